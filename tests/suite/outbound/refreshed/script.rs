//! A token endpoint and a store by mood, which write down what happens to refresh tokens.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::outbound::{RefreshGrant, RefreshTokenStore, Refreshed, Refreshing, SourceError, Storing};
use tokio::sync::watch;

const TEN_MINUTES: Duration = Duration::from_secs(10 * 60);

/// A server that takes each refresh token once, and a store, which write down what happens to them.
#[derive(Clone)]
pub struct Both(pub Arc<State>);

pub struct State {
    happened: Mutex<Vec<String>>,
    grant: Mutex<Grant>,
    store: Mutex<Store>,
    pub may_store: watch::Sender<bool>,
    pub may_grant: watch::Sender<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    Rotates,
    KeepsIt,
    Repeats,
    Invalid,
    Down,
    BadAccessToken,
    Empties,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Works,
    Fails,
    Hangs,
    Panics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("invalid_grant")]
    InvalidGrant,
    #[error("down")]
    Down,
    #[error("disk full")]
    DiskFull,
}

impl Both {
    pub fn new() -> Self {
        Self(Arc::new(State {
            happened: Mutex::default(),
            grant: Mutex::new(Grant::Rotates),
            store: Mutex::new(Store::Works),
            may_store: watch::Sender::new(true),
            may_grant: watch::Sender::new(true),
        }))
    }

    pub fn grant(&self, mood: Grant) {
        *self.0.grant.lock().unwrap() = mood;
    }

    pub fn store(&self, mood: Store) {
        *self.0.store.lock().unwrap() = mood;
    }

    /// What happened since this was asked last.
    pub fn happened(&self) -> String {
        std::mem::take(&mut *self.0.happened.lock().unwrap()).join(", ")
    }

    fn note(&self, what: impl Into<String>) {
        self.0.happened.lock().unwrap().push(what.into());
    }
}

impl RefreshGrant for Both {
    fn refresh(&self, refresh_token: &str) -> Refreshing {
        self.note(format!("use {refresh_token}"));
        let number: u32 = refresh_token.strip_prefix('r').unwrap().parse().unwrap();
        let (mood, mut may_grant) = (*self.0.grant.lock().unwrap(), self.0.may_grant.subscribe());
        Box::pin(async move {
            may_grant.wait_for(|may| *may).await.unwrap();
            let trouble = |trouble: Trouble| Err(shared(trouble));
            match mood {
                Grant::Rotates => Ok(granted(number, "a").refresh_token(format!("r{}", number + 1))),
                Grant::KeepsIt => Ok(granted(number, "kept-")),
                Grant::Empties => Ok(granted(number, "empty-").refresh_token("")),
                Grant::Repeats => Ok(granted(number, "same-").refresh_token(format!("r{number}"))),
                Grant::BadAccessToken => Ok(granted(number, "b a d ").refresh_token(format!("r{}", number + 1))),
                Grant::Invalid => trouble(Trouble::InvalidGrant),
                Grant::Down => trouble(Trouble::Down),
            }
        })
    }

    fn is_over(&self, error: &SourceError) -> bool {
        error.downcast_ref() == Some(&Trouble::InvalidGrant)
    }
}

fn granted(number: u32, name: &str) -> Refreshed {
    Refreshed::new(format!("{name}{number}"), TEN_MINUTES)
}

impl RefreshTokenStore for Both {
    fn store(&self, refresh_token: &str) -> Storing {
        let (both, name, mood) = (self.clone(), refresh_token.to_owned(), *self.0.store.lock().unwrap());
        let mut may_store = self.0.may_store.subscribe();
        Box::pin(async move {
            may_store.wait_for(|may| *may).await.unwrap();
            match mood {
                Store::Works => both.note(format!("stored {name}")),
                Store::Fails => {
                    both.note(format!("failed {name}"));
                    return Err(shared(Trouble::DiskFull));
                }
                Store::Hangs => {
                    both.note(format!("hung {name}"));
                    std::future::pending::<()>().await;
                }
                Store::Panics => {
                    both.note(format!("panicked {name}"));
                    panic!("on purpose");
                }
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Both")
    }
}

fn shared(error: impl std::error::Error + Send + Sync + 'static) -> SourceError {
    Arc::new(error)
}
