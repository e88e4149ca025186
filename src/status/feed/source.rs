//! A position → what a log of revocations holds from there on: what an adapter of some engine implements.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use futures_core::Stream;

use super::{Cursor, FeedMessage, FeedSnapshot};
use crate::status::RevocationEvent;

/// What [`RevocationFeed::snapshot`] returns.
pub type FeedAnswer = Pin<Box<dyn Future<Output = Result<FeedSnapshot, FeedError>> + Send>>;

/// What a snapshot may [come in](FeedSnapshot::in_pages): events, page by page, of which none follows an error.
pub type FeedPages = Pin<Box<dyn Stream<Item = Result<Vec<RevocationEvent>, FeedError>> + Send>>;

/// What [`RevocationFeed::tail`] returns.
pub type FeedMessages = Pin<Box<dyn Stream<Item = Result<FeedMessage, FeedError>> + Send>>;

/// An ordered log of revocations that others write and this process follows.
///
/// [`RevocationLog`](super::RevocationLog) is the one within a process. An adapter says what the log says and keeps
/// nothing: when to ask, when to give up a connection and when to try again, what is a duplicate, what is missing and how
/// stale all of it is, is decided by whoever follows it, in one background task.
///
/// What a feed owes:
/// - [`snapshot`](Self::snapshot) and [`tail`](Self::tail) fit together: what is not in the snapshot at a cursor comes in
///   the tail after it.
/// - A heartbeat every so often, also when nothing happens ([`FeedPolicy::silence`](super::FeedPolicy::silence)), and
///   only while the log itself can be read. Its head is in the order of the events: what stands before it has been sent.
/// - A log whose numbers do not arrive in their order (those of transactions do not) numbers what it hands on itself.
///
/// [`adapters`](crate::status::adapters) shows two that are complete: over a table of Postgres, and over a stream of NATS.
///
/// ```
/// use std::sync::Arc;
/// use portcullis::status::{Cursor, FeedAnswer, FeedError, FeedMessages, RevocationFeed, RevocationLog};
///
/// /// A log that is read through somebody else's eyes.
/// #[derive(Debug)]
/// struct Relayed(RevocationLog);
///
/// impl RevocationFeed for Relayed {
///     fn label(&self) -> String {
///         "relay".to_owned()
///     }
///
///     fn snapshot(&self, max_events: usize) -> FeedAnswer {
///         self.0.snapshot(max_events)
///     }
///
///     fn tail(&self, after: Cursor) -> FeedMessages {
///         self.0.tail(after)
///     }
/// }
/// ```
pub trait RevocationFeed: Send + Sync + fmt::Debug + 'static {
    /// How logs, metrics and readiness call it; never a secret. Feeds that speak to one index want a name each: what one
    /// suspended is lifted where it is followed no more and another of its name is heard.
    fn label(&self) -> String;

    /// The one issuer, by its identifier, of whose tokens it speaks; `None` where that is not known beforehand. A feed of
    /// another issuer than those that are configured would be heard and count for nothing: it is refused at start-up.
    fn issuer(&self) -> Option<&str> {
        None
    }

    /// All that counts now, of at most so many events; a feed that has more stops reading with [`FeedError::TooLarge`].
    /// The future may be dropped at any time, and so may the pages; that is how their time is bounded.
    fn snapshot(&self, max_events: usize) -> FeedAnswer;

    /// The events after a position, in their order, and heartbeats; it ends with an error, or because the connection
    /// does. A position that the log no longer reaches back to is a [`FeedError::Gap`]. It may be dropped at any time.
    fn tail(&self, after: Cursor) -> FeedMessages;
}

/// Why a feed did not answer. The texts go to logs and to readiness, and hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The log no longer holds what follows the position, or does not know it: a snapshot is needed.
    #[error("the log does not reach back to where we stand")]
    Gap,
    /// The log cannot be read at the moment.
    #[error("the log cannot be read: {reason}")]
    Unavailable {
        /// What is wrong.
        reason: String,
        /// When to come back, where the log said so.
        retry_after: Option<Duration>,
    },
    /// We may not read the log: our credentials, or their permissions.
    #[error("reading the log was refused: {0}")]
    Refused(String),
    /// What the log said cannot be understood.
    #[error("a malformed message: {0}")]
    Malformed(&'static str),
    /// The snapshot holds more events than this.
    #[error("a snapshot of more than {0} events")]
    TooLarge(usize),
}
