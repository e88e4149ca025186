//! A message → what is to become of it, by where we stand in the log. Pure.

use super::{
    Cursor, FeedMessage,
    message::MessageKind::{Event, Heartbeat},
};
use crate::status::RevocationEvent;

/// Where we stand in a log, and how far we know it to reach.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    /// Everything up to here was applied.
    mine: Cursor,
    /// The log has been seen to reach up to here.
    known: Cursor,
    /// Whether the tail may go on from `mine`.
    is_in_step: bool,
}

/// What a message means for somebody at a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// The next event.
    Apply(&'a RevocationEvent),
    /// An event that was applied before.
    Duplicate,
    /// We know everything.
    Current,
    /// Something between us and the message is missing.
    Gap,
    /// The log ends before us: it is another one, or has lost something.
    Reset,
}

impl Position {
    /// From where the tail may go on; nothing where a snapshot is needed first.
    pub(super) fn resume_after(&self) -> Option<Cursor> {
        self.is_in_step.then_some(self.mine)
    }

    /// Whether everything up to there was applied. Where a snapshot is needed, nobody can tell: the log may be another one.
    pub(super) fn reaches(&self, revision: Cursor) -> bool {
        self.is_in_step && revision <= self.mine
    }

    pub(super) fn judge<'a>(&self, message: &'a FeedMessage) -> Verdict<'a> {
        match &message.kind {
            Event { cursor, .. } if *cursor <= self.mine => Verdict::Duplicate,
            Event { previous, .. } if *previous > self.mine => Verdict::Gap,
            Event { event, .. } => Verdict::Apply(event),
            Heartbeat { head } if *head > self.mine => Verdict::Gap,
            Heartbeat { head } if *head < self.mine => Verdict::Reset,
            Heartbeat { .. } => Verdict::Current,
        }
    }

    /// An event was applied.
    pub(super) fn applied(&mut self, cursor: Cursor) {
        self.mine = cursor;
        self.known = self.known.max(cursor);
    }

    /// Something was missed: the tail may not go on.
    pub(super) fn lost(&mut self) {
        self.is_in_step = false;
    }

    /// The log was seen to reach this far.
    pub(super) fn saw(&mut self, cursor: Cursor) {
        self.known = self.known.max(cursor);
    }

    /// Whether a snapshot at this position is behind what the log was known to hold: then it is an old copy, or the log
    /// has lost something, and nothing is proved by it.
    pub(super) fn is_behind(&self, snapshot: Cursor) -> bool {
        snapshot < self.known
    }

    /// A snapshot was applied.
    pub(super) fn synced(&mut self, cursor: Cursor) {
        *self = Self { mine: cursor, known: cursor, is_in_step: true };
    }
}
