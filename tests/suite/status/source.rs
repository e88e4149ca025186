//! A status source that does as the test says, and counts what it is asked.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use portcullis::status::{StatusAnswer, StatusError, StatusQuestion, StatusSource, TokenStatus};
use serde_json::Value;
use tokio::sync::watch;

/// What it says of every token.
#[derive(Clone, Debug)]
pub enum Says {
    Active,
    Describes(Value),
    Inactive,
    Fails(StatusError),
    Panics,
    Hangs,
}

/// A source that is told what to say; clones are the same.
#[derive(Clone, Debug)]
pub struct Scripted {
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicU64>,
    gate: watch::Sender<bool>,
}

impl Scripted {
    pub fn new(says: Says) -> Self {
        Self { says: Arc::new(Mutex::new(says)), asked: Arc::default(), gate: watch::Sender::new(true) }
    }

    /// From now on it says this.
    pub fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Holds answers back, which tell how things stood when the question came.
    pub fn hold(&self) {
        self.gate.send_replace(false);
    }

    pub fn release(&self) {
        self.gate.send_replace(true);
    }
}

impl StatusSource for Scripted {
    fn identity(&self) -> String {
        "scripted".to_owned()
    }

    fn ask(&self, _: &StatusQuestion) -> StatusAnswer {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let says = self.says.lock().unwrap().clone();
        let mut gate = self.gate.subscribe();
        Box::pin(async move {
            let _ = gate.wait_for(|open| *open).await;
            match says {
                Says::Active => Ok(TokenStatus::active()),
                Says::Describes(claims) => TokenStatus::described(&Bytes::from(claims.to_string())),
                Says::Inactive => Ok(TokenStatus::inactive()),
                Says::Fails(error) => Err(error),
                Says::Panics => panic!("as told"),
                Says::Hangs => std::future::pending().await,
            }
        })
    }
}

/// What a [`ByToken`] says of a token.
type Saying = dyn Fn(&StatusQuestion) -> Result<TokenStatus, StatusError> + Send + Sync;

/// A source whose answer depends on the token; clones are the same.
#[derive(Clone)]
pub struct ByToken {
    says: Arc<Saying>,
}

impl ByToken {
    pub fn new(says: impl Fn(&StatusQuestion) -> Result<TokenStatus, StatusError> + Send + Sync + 'static) -> Self {
        Self { says: Arc::new(says) }
    }
}

impl std::fmt::Debug for ByToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByToken")
    }
}

impl StatusSource for ByToken {
    fn identity(&self) -> String {
        "by token".to_owned()
    }

    fn ask(&self, question: &StatusQuestion) -> StatusAnswer {
        let answer = (self.says)(question);
        Box::pin(async move { answer })
    }
}
