//! Bounds and a clock → an empty [`Revocations`].

use std::{sync::Arc, time::Duration};

use super::Revocations;
use crate::clock::{Clock, SharedClock, SystemClock};

/// How many entries there may be unless said otherwise.
const CAPACITY: usize = 1_000_000;

/// [`Revocations`] being configured.
#[derive(Debug)]
#[must_use]
pub struct RevocationsBuilder {
    pub(super) capacity: usize,
    pub(super) max_token_lifetime: Option<Duration>,
    pub(super) clock: SharedClock,
}

/// Why [`Revocations`] cannot be had like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationsError {
    /// Room for nothing.
    #[error("room for no revocation at all")]
    Capacity,
    /// A lifetime that no token could have.
    #[error("a maximum token lifetime of zero")]
    MaxTokenLifetime,
}

impl RevocationsBuilder {
    pub(super) fn new() -> Self {
        Self { capacity: CAPACITY, max_token_lifetime: None, clock: Arc::new(SystemClock::new()) }
    }

    /// An empty index by that clock, with everything else by default.
    pub(crate) fn by_clock(clock: SharedClock) -> Revocations {
        Revocations::from(Self { clock, ..Self::new() })
    }

    /// How many entries are kept apart. Default: 1,000,000.
    pub const fn capacity(mut self, entries: usize) -> Self {
        self.capacity = entries;
        self
    }

    /// No token that is to be accepted lives longer than this, from `iat` to `exp`, in whole seconds. One that does not say
    /// both is refused. Of a session or grant that is revoked whenever issued, tokens issued long after that may pass: the
    /// issuer must not issue any.
    pub const fn max_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_token_lifetime = Some(lifetime);
        self
    }

    /// Another clock than the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// An empty index.
    ///
    /// # Errors
    /// Where there would be room for nothing, or no token could be accepted.
    pub fn build(self) -> Result<Revocations, RevocationsError> {
        if self.capacity == 0 {
            return Err(RevocationsError::Capacity);
        }
        if self.max_token_lifetime.is_some_and(|lifetime| lifetime.as_secs() == 0) {
            return Err(RevocationsError::MaxTokenLifetime);
        }
        Ok(Revocations::from(self))
    }
}
