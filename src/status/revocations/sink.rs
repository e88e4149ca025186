//! Where revocations go that somebody was told of: the index here, or a log that many read.

use std::{
    fmt,
    future::{Future, ready},
    pin::Pin,
};

use super::{Origin, RevocationEvent, Revocations};
use crate::status::{Cursor, RevocationLog};

/// What [`RevocationSink::accept`] returns: the position of the last event, where the sink is a log.
pub type SinkAnswer = Pin<Box<dyn Future<Output = Result<Option<Cursor>, SinkError>> + Send>>;

/// Takes revocations in. [`Revocations`] does, for this process alone; a log does for everybody who reads it.
pub trait RevocationSink: Send + Sync + fmt::Debug + 'static {
    /// Takes in these events, in their order. Ready when they cannot be lost any more; on an error, some may have been
    /// taken in, and whoever sent them sends them again.
    fn accept(&self, events: Vec<RevocationEvent>) -> SinkAnswer;
}

/// Why a sink did not take events in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("revocations were not taken in: {trouble}")]
pub struct SinkError {
    trouble: String,
}

impl SinkError {
    /// For logs: no token, no claim, no secret.
    #[must_use]
    pub fn new(trouble: impl Into<String>) -> Self {
        Self { trouble: trouble.into() }
    }
}

impl RevocationSink for Revocations {
    /// As [`revoke`](Self::revoke), [`suspend`](Self::suspend) and [`resume`](Self::resume) do; at once.
    fn accept(&self, events: Vec<RevocationEvent>) -> SinkAnswer {
        events.into_iter().for_each(|event| self.apply(Origin::LOCAL, event));
        Box::pin(ready(Ok(None)))
    }
}

impl RevocationSink for RevocationLog {
    /// As [`publish`](Self::publish) does; at once.
    fn accept(&self, events: Vec<RevocationEvent>) -> SinkAnswer {
        let published = events.into_iter().try_fold(None, |_, event| self.publish(event).map(Some));
        Box::pin(ready(published.map_err(|full| SinkError::new(full.to_string()))))
    }
}
