//! The response future, written by hand: a token, the answer, and where the token was refused another of both.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Extensions, StatusCode, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{AttachError, OutgoingRequest, ReceivedResponse, Repeat};
use crate::{
    outbound::{IssuedToken, SourcedToken, TokenSource},
    rejection::says_invalid_token,
};

pin_project! {
    /// The future of [`AttachToken`](super::AttachToken).
    pub struct AttachFuture<S, P, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S, P, Req, S::Future, S::Response>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, P, Req, F, R> {
        /// The service's answer is the answer.
        Passed { #[pin] future: F },
        /// Waiting for a token, with the service that was polled ready.
        Attaching { sourced: SourcedToken, held: Option<Box<Held<S, P, Req>>> },
        /// Waiting for an answer that may refuse the token.
        Sent { #[pin] future: F, sent: Option<Box<Sent<S, Req>>> },
        /// Waiting for another token; without one, the refusal is the answer.
        Refused { sourced: SourcedToken, refused: Option<Box<Refused<S, Req, R>>> },
        /// Waiting until the service can be called once more.
        Readying { again: Option<Box<Again<S, Req>>> },
    }
}

struct Held<S, P, Req> {
    source: Arc<dyn TokenSource>,
    repeat: P,
    again: Again<S, Req>,
}

struct Again<S, Req> {
    service: S,
    request: Req,
}

struct Sent<S, Req> {
    source: Arc<dyn TokenSource>,
    token: IssuedToken,
    again: Option<Again<S, Req>>,
}

struct Refused<S, Req, R> {
    token: IssuedToken,
    again: Again<S, Req>,
    response: R,
}

impl<S, P, Req> AttachFuture<S, P, Req>
where
    S: Service<Req>,
{
    pub(super) const fn passed(future: S::Future) -> Self {
        Self { state: State::Passed { future } }
    }
}

impl<S, P, Req> AttachFuture<S, P, Req>
where
    S: Service<Req>,
    Req: OutgoingRequest,
{
    /// `service` is one that was polled ready.
    pub(super) fn attaching(source: Arc<dyn TokenSource>, repeat: P, service: S, request: Req) -> Self {
        let sourced = ask(&*source, &request);
        let held = Held { source, repeat, again: Again { service, request } };
        Self { state: State::Attaching { sourced, held: Some(Box::new(held)) } }
    }
}

impl<S, P, Req> Future for AttachFuture<S, P, Req>
where
    S: Service<Req>,
    S::Response: ReceivedResponse,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    Req: OutgoingRequest,
    P: Repeat<Req>,
{
    type Output = Result<S::Response, AttachError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Passed { future } => return future.poll(cx).map_err(AttachError::inner),
                StateProjection::Attaching { sourced, held } => {
                    let token = ready!(sourced.as_mut().poll(cx)).map_err(AttachError::Source)?;
                    let Held { source, repeat, again: Again { mut service, mut request } } = *taken(held);
                    attach(&mut request, &token);
                    let repeated = repeat.repeat(&request);
                    let future = service.call(request);
                    let again = repeated.map(|request| Again { service, request });
                    State::Sent { future, sent: Some(Box::new(Sent { source, token, again })) }
                }
                StateProjection::Sent { future, sent } => {
                    let response = ready!(future.poll(cx)).map_err(AttachError::inner)?;
                    let Sent { source, token, again } = *taken(sent);
                    let is_refused =
                        response.status() == StatusCode::UNAUTHORIZED && says_invalid_token(response.headers());
                    // The source is told in any case: the next request is sent with another token then.
                    let may_be_another = is_refused && source.refused(&token);
                    match again {
                        Some(again) if may_be_another => {
                            let sourced = ask(&*source, &again.request);
                            State::Refused { sourced, refused: Some(Box::new(Refused { token, again, response })) }
                        }
                        _ => return Poll::Ready(Ok(response)),
                    }
                }
                StateProjection::Refused { sourced, refused } => {
                    let another = ready!(sourced.as_mut().poll(cx));
                    let Refused { token, mut again, response } = *taken(refused);
                    match another {
                        Ok(another) if another.header() != token.header() => {
                            attach(&mut again.request, &another);
                            // A service may be ready only once this answer has given back its connection.
                            drop(response);
                            State::Readying { again: Some(Box::new(again)) }
                        }
                        _ => return Poll::Ready(Ok(response)),
                    }
                }
                StateProjection::Readying { again } => {
                    if let Some(again) = again {
                        ready!(again.service.poll_ready(cx)).map_err(AttachError::inner)?;
                    }
                    let Again { mut service, request } = *taken(again);
                    State::Passed { future: service.call(request) }
                }
            };
            state.set(next);
        }
    }
}

fn ask(source: &dyn TokenSource, request: &impl OutgoingRequest) -> SourcedToken {
    match request.extensions() {
        Some(extensions) => source.token(extensions),
        None => source.token(&Extensions::new()),
    }
}

fn attach(request: &mut impl OutgoingRequest, token: &IssuedToken) {
    request.headers_mut().insert(AUTHORIZATION, token.header().clone());
}

#[expect(clippy::panic, reason = "polled after it was ready: a caller's mistake, as for every future")]
fn taken<T>(held: &mut Option<T>) -> T {
    match held.take() {
        Some(held) => held,
        None => panic!("polled after completion"),
    }
}

impl<S, P, Req> fmt::Debug for AttachFuture<S, P, Req>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachFuture").finish_non_exhaustive()
    }
}
