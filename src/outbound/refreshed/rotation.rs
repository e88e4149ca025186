//! The refresh token that counts → the next one, and which of them are stored.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{RefreshGrant, RefreshTokenStore, Refreshed, Renewed};
use crate::{
    issuer::{ClientError, Connection},
    observe,
    outbound::{Renew, Renewal, SourceError},
    tasks::{TaskSet, caught, uncut},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// How access tokens are renewed by a refresh token. What it does in the background ends with it, but for a refresh that
/// has begun: its answer may be the only place where the next refresh token is.
pub(super) struct Rotation {
    held: Arc<Held>,
    /// Weak in the tasks, lest they keep what ends them.
    tasks: Arc<TaskSet>,
}

struct Held {
    grant: Box<dyn RefreshGrant>,
    store: Box<dyn RefreshTokenStore>,
    state: Mutex<State>,
    /// Held while the refresh token is under way, which may be good for one use only.
    refreshing: tokio::sync::Mutex<()>,
    /// Held while a token is being stored, so that an older one never comes after a newer.
    storing: tokio::sync::Mutex<()>,
    connection: Connection,
}

struct State {
    refresh_token: Arc<str>,
    /// How many refresh tokens came before this one, and how many are stored or need not be.
    number: u64,
    stored: u64,
    /// Why the refresh token is not used any more.
    over: Option<SourceError>,
}

impl Rotation {
    pub(super) fn new(
        refresh_token: String,
        grant: impl RefreshGrant,
        store: impl RefreshTokenStore,
        connection: &Connection,
    ) -> Self {
        let state = State { refresh_token: refresh_token.into(), number: 0, stored: 0, over: None };
        let held = Held {
            grant: Box::new(grant),
            store: Box::new(store),
            state: Mutex::new(state),
            refreshing: tokio::sync::Mutex::default(),
            storing: tokio::sync::Mutex::default(),
            connection: connection.clone(),
        };
        Self { held: Arc::new(held), tasks: Arc::default() }
    }
}

impl Renew for Rotation {
    fn renew(&self) -> Renewal {
        let (held, tasks) = (Arc::clone(&self.held), Arc::downgrade(&self.tasks));
        let renewing = async move {
            let renewed = held.refresh().await?;
            if let Err(number) = held.save().await
                && let Some(tasks) = tasks.upgrade()
            {
                let _ = tasks.start(async move { held.save_later(number).await });
            }
            renewed
        };
        Box::pin(async { uncut(renewing).await.unwrap_or_else(|| Err(Arc::new(ClientError::Panicked))) })
    }

    fn retry_after(&self, error: &SourceError) -> Option<Duration> {
        self.held.grant.retry_after(error)
    }

    fn name(&self) -> &str {
        self.held.grant.name()
    }
}

impl Held {
    /// Held for a few assignments at a time.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `work` comes to within the connection's timeout.
    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, SourceError> {
        self.connection
            .within(work)
            .await
            .map_err(|timeout| -> SourceError { Arc::new(ClientError::TimedOut(timeout)) })
    }

    /// Asks once, and never while it is being asked: an attempt that was given up may stand still and be answered yet. The
    /// refresh token that came along counts from the moment that it is here.
    async fn refresh(&self) -> Result<Result<Renewed, SourceError>, SourceError> {
        let _refreshing = self.within(self.refreshing.lock()).await?;
        let refresh_token = {
            let state = self.state();
            match &state.over {
                Some(error) => return Err(Arc::clone(error)),
                None => Arc::clone(&state.refresh_token),
            }
        };
        match self.within(async { self.grant.refresh(&refresh_token).await }).await.and_then(|outcome| outcome) {
            Ok(Refreshed { renewed, refresh_token: new }) => {
                if let Some(new) = new.filter(|new| !new.is_empty() && **new != *refresh_token) {
                    let mut state = self.state();
                    state.refresh_token = new.into();
                    state.number += 1;
                }
                Ok(renewed)
            }
            Err(error) => {
                if self.grant.is_over(&error) {
                    self.state().over = Some(Arc::clone(&error));
                }
                Err(error)
            }
        }
    }

    /// Stores the refresh token if it is not. Else its number, once its store's trouble is told.
    async fn save(&self) -> Result<(), u64> {
        let _storing = self.storing.lock().await;
        let (refresh_token, number) = {
            let state = self.state();
            if state.stored == state.number {
                return Ok(());
            }
            (Arc::clone(&state.refresh_token), state.number)
        };
        let trouble = match self.within(caught(async { self.store.store(&refresh_token).await })).await {
            Ok(Some(Ok(()))) => {
                let mut state = self.state();
                state.stored = state.stored.max(number);
                return Ok(());
            }
            Ok(Some(Err(error))) | Err(error) => observe::chain(&*error),
            Ok(None) => "the store panicked".to_owned(),
        };
        observe::refresh_token_not_stored(self.grant.name(), &trouble);
        Err(number)
    }

    /// Tries again until that refresh token is stored or has been replaced.
    async fn save_later(&self, number: u64) {
        let mut pause = SECOND;
        loop {
            self.connection.environment().clock.sleep(pause).await;
            if self.state().number != number || self.save().await.is_ok() {
                return;
            }
            pause = (pause * 2).min(MINUTE);
        }
    }
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (grant, store) = (&self.held.grant, &self.held.store);
        f.debug_struct("Rotation").field("grant", grant).field("store", store).finish_non_exhaustive()
    }
}
