//! A source and a server by script, which note what is asked of them.

use std::{
    collections::VecDeque,
    fmt,
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use http::{Extensions, Request, Response, StatusCode, header::AUTHORIZATION};
use portcullis::outbound::{IssuedToken, SourceError, SourcedToken, TokenSource};
use tower::Service;

use super::answer;
use crate::wire::Plain;

/// Hands out its tokens one after the other, and none after that.
#[derive(Clone, Default)]
pub struct Fake(pub Arc<FakeState>);

#[derive(Default)]
pub struct FakeState {
    tokens: Mutex<VecDeque<IssuedToken>>,
    asked: AtomicUsize,
    refused: Mutex<Vec<u64>>,
    has_no_other: bool,
    pub seen: Mutex<Vec<Option<Tenant>>>,
}

/// What a source may find in the extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant(pub &'static str);

impl Fake {
    pub fn of(tokens: &[&str]) -> Self {
        Self::with(tokens, false)
    }

    pub fn with(tokens: &[&str], has_no_other: bool) -> Self {
        let tokens = tokens.iter().zip(1..).map(|(token, number)| IssuedToken::new(token, number).unwrap());
        Self(Arc::new(FakeState { tokens: Mutex::new(tokens.collect()), has_no_other, ..FakeState::default() }))
    }

    pub fn asked(&self) -> usize {
        self.0.asked.load(Ordering::Relaxed)
    }

    pub fn refused(&self) -> Vec<u64> {
        self.0.refused.lock().unwrap().clone()
    }
}

impl TokenSource for Fake {
    fn token(&self, request: &Extensions) -> SourcedToken {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        self.0.seen.lock().unwrap().push(request.get().cloned());
        let token = self.0.tokens.lock().unwrap().pop_front();
        Box::pin(async move {
            tokio::task::yield_now().await;
            token.ok_or_else(|| -> SourceError { Arc::new(fmt::Error) })
        })
    }

    fn refused(&self, token: &IssuedToken) -> bool {
        self.0.refused.lock().unwrap().push(token.number());
        !self.0.has_no_other
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

/// A server that answers by a script and then 200, and notes what it was sent. As tower says: a clone that was not
/// polled ready since its last call must not be called.
pub struct Strict<B> {
    script: Arc<Mutex<VecDeque<Response<Plain>>>>,
    pub sent: Arc<Mutex<Vec<Request<B>>>>,
    is_ready: bool,
}

impl<B> Clone for Strict<B> {
    fn clone(&self) -> Self {
        Self { script: self.script.clone(), sent: self.sent.clone(), is_ready: false }
    }
}

impl<B> Strict<B> {
    pub fn new(script: impl IntoIterator<Item = Response<Plain>>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        Self { script, sent: Arc::default(), is_ready: false }
    }

    /// `Authorization` of each request, `-` where there was none.
    pub fn tokens(&self) -> Vec<String> {
        let text = |request: &Request<B>| match request.headers().get(AUTHORIZATION) {
            Some(value) => value.to_str().unwrap().to_owned(),
            None => "-".to_owned(),
        };
        self.sent.lock().unwrap().iter().map(text).collect()
    }
}

impl<B> Service<Request<B>> for Strict<B> {
    type Response = Response<Plain>;
    type Error = fmt::Error;
    type Future = Ready<Result<Response<Plain>, fmt::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), fmt::Error>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without having been polled ready");
        self.sent.lock().unwrap().push(request);
        let answer = self.script.lock().unwrap().pop_front().unwrap_or_else(|| answer(200, &[]));
        ready(if answer.status() == StatusCode::IM_A_TEAPOT { Err(fmt::Error) } else { Ok(answer) })
    }
}
