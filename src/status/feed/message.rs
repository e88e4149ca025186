//! What a log of revocations says: what happened, where in the log that stands, and up to when that is all.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;

use super::{Cursor, FeedError, FeedPages};
use crate::{clock::UnixTime, status::RevocationEvent};

/// All that counts at one position of a log.
pub struct FeedSnapshot {
    pub(super) events: Events,
    pub(super) cursor: Cursor,
    pub(crate) as_of: Option<UnixTime>,
    pub(crate) age: Option<Duration>,
}

pub(super) enum Events {
    Whole(Vec<RevocationEvent>),
    Pages(FeedPages),
}

impl FeedSnapshot {
    /// These events, in this order, are what a reader of the whole log up to `cursor` would know: every revocation that
    /// has not expired, and every suspension that was not lifted.
    #[must_use]
    pub const fn new(events: Vec<RevocationEvent>, cursor: Cursor) -> Self {
        Self { events: Events::Whole(events), cursor, as_of: None, age: None }
    }

    /// The same, a page at a time: for a log with more events than are wanted in memory at once. Whoever follows it takes
    /// the next page when the last one is applied, and keeps of a page nothing but its suspensions.
    ///
    /// The log may go on while they are read: `cursor` is where it ended before the first of them. They may hold what
    /// happened since then, and lack what has expired or was lifted since; the tail tells of all that again.
    ///
    /// Each page is waited for as long as [`FeedPolicy::snapshot_timeout`](super::FeedPolicy::snapshot_timeout) says; an
    /// empty one is none. On an error, what was revoked by the pages before it stays revoked, and nothing else counts: no
    /// suspension, no position, no proof of freshness.
    #[must_use]
    pub const fn in_pages(pages: FeedPages, cursor: Cursor) -> Self {
        Self { events: Events::Pages(pages), cursor, as_of: None, age: None }
    }

    /// When the log ended at that position, by its own clock, read before the events are. Without it, when the snapshot
    /// was asked for.
    #[must_use]
    pub const fn as_of(mut self, time: UnixTime) -> Self {
        self.as_of = Some(time);
        self
    }

    /// The log ended at that position at most this long before it was asked for: no clock of the log is needed. Beside
    /// [`as_of`](Self::as_of), the greater age counts.
    #[must_use]
    pub const fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// The position in the log.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// What counts there, in pages; in one, where it was made of [one list](Self::new).
    #[must_use]
    pub fn into_pages(self) -> FeedPages {
        match self.events {
            Events::Whole(events) => Box::pin(OnePage(Some(events))),
            Events::Pages(pages) => pages,
        }
    }
}

impl fmt::Debug for FeedSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, cursor, as_of, age } = self;
        let mut out = f.debug_struct("FeedSnapshot");
        if let Events::Whole(events) = events {
            out.field("events", events);
        }
        out.field("cursor", cursor).field("as_of", as_of).field("age", age).finish_non_exhaustive()
    }
}

struct OnePage(Option<Vec<RevocationEvent>>);

impl Stream for OnePage {
    type Item = Result<Vec<RevocationEvent>, FeedError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

/// One message of a feed: something happened, or nothing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedMessage {
    pub(super) kind: MessageKind,
    pub(super) as_of: Option<UnixTime>,
    pub(super) age: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MessageKind {
    Event { event: RevocationEvent, previous: Cursor, cursor: Cursor },
    Heartbeat { head: Cursor },
}

impl FeedMessage {
    /// The event at `cursor`, which follows the one at `previous`: between these two there is none. That is how a
    /// reader sees what it has missed.
    ///
    /// By itself it proves nothing about how fresh the reader is, since a newer event may be under way; see
    /// [`as_of`](Self::as_of) and [`age`](Self::age).
    #[must_use]
    pub const fn event(event: RevocationEvent, previous: Cursor, cursor: Cursor) -> Self {
        Self { kind: MessageKind::Event { event, previous, cursor }, as_of: None, age: None }
    }

    /// The last event of the log is the one at `head` ([`Cursor::START`]: there is none yet). A reader who is there
    /// knows everything.
    ///
    /// Without [`as_of`](Self::as_of) and [`age`](Self::age) that counts as true at the moment when it is received.
    #[must_use]
    pub const fn heartbeat(head: Cursor) -> Self {
        Self { kind: MessageKind::Heartbeat { head }, as_of: None, age: None }
    }

    /// When the log ended at the position of this message, by the log's own clock. A heartbeat that sat in a buffer for
    /// ten minutes proves what was known ten minutes ago, and only so can a reader see it.
    ///
    /// For an event only where it was the last one at that time: never the time of its delivery while newer ones wait.
    #[must_use]
    pub const fn as_of(mut self, time: UnixTime) -> Self {
        self.as_of = Some(time);
        self
    }

    /// That was true at most this long before the message was handed on, by the adapter's own measure: for one who asks the
    /// log and knows when it asked. No clock of the log is needed, and nothing is rounded to seconds. Beside
    /// [`as_of`](Self::as_of), the greater age counts.
    ///
    /// For an event, as `as_of`, only where it was the last one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use portcullis::status::{Cursor, FeedMessage};
    ///
    /// // Asked three milliseconds ago, the log says that it ends at 7.
    /// let message = FeedMessage::heartbeat(Cursor::new(7)).age(Duration::from_millis(3));
    /// assert!(message.is_heartbeat());
    /// ```
    #[must_use]
    pub const fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// The position it speaks of: of the event, or of the log's end.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        match self.kind {
            MessageKind::Event { cursor, .. } => cursor,
            MessageKind::Heartbeat { head } => head,
        }
    }

    /// What happened, where something did.
    #[cfg(feature = "redis")]
    pub(crate) fn into_event(self) -> Option<RevocationEvent> {
        match self.kind {
            MessageKind::Event { event, .. } => Some(event),
            MessageKind::Heartbeat { .. } => None,
        }
    }

    /// Whether it is a heartbeat.
    #[must_use]
    pub const fn is_heartbeat(&self) -> bool {
        matches!(self.kind, MessageKind::Heartbeat { .. })
    }
}
