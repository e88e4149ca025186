//! What a log of revocations says: what happened, where in the log that stands, and up to when that is all.

use crate::{clock::UnixTime, status::RevocationEvent};

/// A position in a log of revocations. Later events have greater ones; they need not be consecutive.
///
/// Room for a sequence number, for the id of an entry in a Redis stream (milliseconds in the upper half, the number in
/// the lower), or for a log sequence number. A log that may begin again from nothing puts the number of its incarnation
/// in the upper bits: a position of the new one is then never taken for one of the old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(u128);

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// This position.
    #[must_use]
    pub const fn new(position: u128) -> Self {
        Self(position)
    }

    /// The position as a number.
    #[must_use]
    pub const fn position(self) -> u128 {
        self.0
    }
}

/// All that counts at one position of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSnapshot {
    pub(super) events: Vec<RevocationEvent>,
    pub(super) cursor: Cursor,
    pub(super) as_of: Option<UnixTime>,
}

impl FeedSnapshot {
    /// These events, in this order, are what a reader of the whole log up to `cursor` would know: every revocation that
    /// has not expired, and every suspension that was not lifted.
    #[must_use]
    pub const fn new(events: Vec<RevocationEvent>, cursor: Cursor) -> Self {
        Self { events, cursor, as_of: None }
    }

    /// When the log ended at that position, by its own clock, read before the events are. Without it, when the snapshot
    /// was asked for.
    #[must_use]
    pub const fn as_of(mut self, time: UnixTime) -> Self {
        self.as_of = Some(time);
        self
    }
}

/// One message of a feed: something happened, or nothing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedMessage {
    pub(super) kind: MessageKind,
    pub(super) as_of: Option<UnixTime>,
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
    /// [`as_of`](Self::as_of).
    #[must_use]
    pub const fn event(event: RevocationEvent, previous: Cursor, cursor: Cursor) -> Self {
        Self { kind: MessageKind::Event { event, previous, cursor }, as_of: None }
    }

    /// The last event of the log is the one at `head` ([`Cursor::START`]: there is none yet). A reader who is there
    /// knows everything.
    ///
    /// Without [`as_of`](Self::as_of) that counts as true at the moment when it is received.
    #[must_use]
    pub const fn heartbeat(head: Cursor) -> Self {
        Self { kind: MessageKind::Heartbeat { head }, as_of: None }
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

    /// The position it speaks of: of the event, or of the log's end.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        match self.kind {
            MessageKind::Event { cursor, .. } => cursor,
            MessageKind::Heartbeat { head } => head,
        }
    }

    /// Whether it is a heartbeat.
    #[must_use]
    pub const fn is_heartbeat(&self) -> bool {
        matches!(self.kind, MessageKind::Heartbeat { .. })
    }
}
