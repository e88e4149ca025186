//! Entries and heartbeats of the log, as it writes them → messages in an order of our own. Pure.
//!
//! The numbers of the log do not come in their order: those of two transactions may be written the wrong way round, and
//! the log says that it has been read up to a number only when nothing below it can follow any more. So what is handed on
//! is numbered here, and beside its number a position says from where the log may be read again.
//!
//! What is read again may be older than what we know: that a grant was resumed counts when the log has been read to its
//! end, and nothing later there says otherwise.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::entry::Entry;
use crate::{
    clock::UnixTime,
    status::{Cursor, FeedError, FeedMessage, Revocation, RevocationEvent, RevocationTarget},
};

/// The greatest number that the log can write (JSON as JavaScript reads it).
const GREATEST: u64 = (1 << 53) - 1;

/// So long after an entry was written, none with a lower number appears any more. The log itself counts on 15 seconds.
const SETTLED: Duration = Duration::from_secs(60);

/// So many entries are recognised when they are repeated; of others, what revokes and suspends is handed on again.
const MOST_SEEN: usize = 65_536;

/// So many may be resumed before the log says that it was read.
const MOST_RESUMED: usize = 65_536;

/// From where the log may be read again: an entry below which nothing is to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) seq: u64,
    /// By what the entry is known, or zero. A log that was restored from a copy may have another one under that number.
    pub(super) mark: u32,
}

/// So many connections that ended are remembered: one for each who follows a clone of the feed.
const MOST_ENDED: usize = 8;

/// The numbers of entries, and by what each is known.
type Marks = BTreeMap<u64, u32>;

/// Numbers for what is handed on, in one order for a feed and all its clones.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers(Arc<Handed>);

#[derive(Debug, Default)]
struct Handed {
    last: AtomicU64,
    /// What connections that ended had read, by the last position that each handed on.
    read: Mutex<VecDeque<(Cursor, Marks)>>,
}

impl Numbers {
    /// The next position: its number, and where to read on.
    pub(super) fn next(&self, anchor: Anchor) -> Cursor {
        // 43 bits, 53 and 32: at a million messages a second, the first ones are used up after a hundred days.
        let number = self.0.last.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        Cursor::new((u128::from(number) << 85) | (u128::from(anchor.seq) << 32) | u128::from(anchor.mark))
    }

    /// Where to read on from a position, if it is one of ours.
    fn anchor(&self, cursor: Cursor) -> Option<Anchor> {
        let position = cursor.position();
        if position >> 85 > u128::from(self.0.last.load(Ordering::Relaxed)) {
            return None;
        }
        let seq = u64::try_from((position >> 32) & u128::from(GREATEST)).ok()?;
        let mark = u32::try_from(position & u128::from(u32::MAX)).ok()?;
        Some(Anchor { seq, mark })
    }

    /// Held for a look at a few connections.
    fn read(&self) -> MutexGuard<'_, VecDeque<(Cursor, Marks)>> {
        self.0.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection ended at that position.
    fn ended(&self, last: Cursor, marks: Marks) {
        let mut read = self.read();
        read.push_back((last, marks));
        if read.len() > MOST_ENDED {
            read.pop_front();
        }
    }

    /// What the connection that ended there had read, for the one that follows it.
    fn read_before(&self, last: Cursor) -> Marks {
        let mut read = self.read();
        let at = read.iter().position(|(other, _)| *other == last);
        at.and_then(|at| read.remove(at)).map(|(_, marks)| marks).unwrap_or_default()
    }
}

impl Anchor {
    /// This number of the log, with no entry that is known.
    pub(super) fn at(seq: u64) -> Result<Self, FeedError> {
        if seq > GREATEST { Err(FeedError::Malformed("a number that is too great")) } else { Ok(Self { seq, mark: 0 }) }
    }

    /// What to read after: where the entry is known it comes first, and shows that it is still the same log.
    pub(super) const fn since(self) -> u64 {
        if self.mark == 0 { self.seq } else { self.seq.saturating_sub(1) }
    }
}

/// The log, being read from a position on.
#[derive(Debug)]
pub(super) struct Reading {
    issuer: Box<str>,
    numbers: Numbers,
    /// What was handed on last.
    last: Cursor,
    start: Anchor,
    /// Whether the entry at the start is still to be met.
    awaits_start: bool,
    anchor: Anchor,
    /// What will be the anchor, `SETTLED` after it was written.
    candidate: Option<(Anchor, UnixTime)>,
    /// What the connection before had read, and the log is to say again before its end: else it has lost something.
    awaited: Marks,
    /// What was read.
    seen: Marks,
    /// What was read up to here would not be recognised.
    forgotten: u64,
    /// What was resumed since the log last said that it was read, and by which number.
    resumed: HashMap<RevocationTarget, (u64, Revocation)>,
    /// By which number what was last suspended, of the numbers that are not forgotten.
    suspended: HashMap<RevocationTarget, u64>,
    /// The greatest number that was read.
    greatest: u64,
    /// Up to where the log has said that it was read.
    announced: u64,
}

impl Reading {
    /// From a position on.
    pub(super) fn after(cursor: Cursor, numbers: &Numbers, issuer: &str) -> Result<Self, FeedError> {
        let start = numbers.anchor(cursor).ok_or(FeedError::Gap)?;
        Ok(Self {
            issuer: issuer.into(),
            numbers: numbers.clone(),
            last: cursor,
            start,
            awaits_start: start.mark != 0,
            anchor: start,
            candidate: None,
            awaited: numbers.read_before(cursor),
            seen: Marks::new(),
            forgotten: 0,
            resumed: HashMap::new(),
            suspended: HashMap::new(),
            greatest: start.seq,
            announced: start.since(),
        })
    }

    /// After what to ask the log now.
    pub(super) const fn announced(&self) -> u64 {
        self.announced
    }

    /// The message for an entry; `None` where it is a repetition, or is to wait for the end of the log.
    pub(super) fn entry(&mut self, entry: &Entry) -> Result<Option<FeedMessage>, FeedError> {
        let (seq, mark) = (Anchor::at(entry.seq)?.seq, entry.mark());
        if std::mem::take(&mut self.awaits_start) {
            return if self.start == (Anchor { seq, mark }) { Ok(None) } else { Err(FeedError::Gap) };
        }
        // We asked for what comes later: the log has begun to count anew.
        if seq <= self.start.seq {
            return Err(FeedError::Gap);
        }
        let (known, awaited) = (self.seen.insert(seq, mark), self.awaited.remove(&seq));
        if known.or(awaited).is_some_and(|known| known != mark) {
            return Err(FeedError::Gap);
        }
        let event = entry.event(&self.issuer)?;
        if known.is_some() {
            return Ok(None);
        }
        self.greatest = self.greatest.max(seq);
        if let Some(written) = entry.at {
            self.settle(Anchor { seq, mark }, written);
        }
        while self.seen.len() > MOST_SEEN {
            self.forgotten = self.seen.pop_first().map_or(self.forgotten, |(seq, _)| self.forgotten.max(seq));
        }
        match event {
            // It may have been handed on before, and who knows what came after it.
            RevocationEvent::Resumed(_) if seq <= self.forgotten => Ok(None),
            RevocationEvent::Resumed(about) => {
                self.resumed.insert(about.target().clone(), (seq, about));
                if self.resumed.len() > MOST_RESUMED { Err(FeedError::Gap) } else { Ok(None) }
            }
            event => {
                if let RevocationEvent::Suspended(about) = &event {
                    self.suspend(seq, about);
                }
                Ok(Some(self.event(event)))
            }
        }
    }

    fn suspend(&mut self, seq: u64, about: &Revocation) {
        let last = self.suspended.entry(about.target().clone()).or_default();
        *last = seq.max(*last);
        if self.suspended.len() > 2 * MOST_SEEN {
            self.suspended.retain(|_, last| *last > self.forgotten);
        }
    }

    fn event(&mut self, event: RevocationEvent) -> FeedMessage {
        let previous = std::mem::replace(&mut self.last, self.numbers.next(self.anchor));
        FeedMessage::event(event, previous, self.last)
    }

    /// Moves the anchor on, with the time that entries are written at, and not beyond what the log says is complete.
    fn settle(&mut self, newest: Anchor, written: UnixTime) {
        match self.candidate {
            Some((candidate, then)) if written >= then.saturating_add(SETTLED) && candidate.seq <= self.announced => {
                self.anchor = candidate;
                self.seen = self.seen.split_off(&candidate.seq.saturating_add(1));
                self.forgotten = self.forgotten.max(candidate.seq);
                self.suspended.retain(|_, last| *last > self.forgotten);
            }
            None => {}
            Some(_) => return,
        }
        if newest.seq == self.greatest {
            self.candidate = Some((newest, written));
        }
    }

    /// The messages for the log's word that it was read up to this number, at that time: what was resumed is so now.
    pub(super) fn beat(&mut self, read_up_to: u64, at: Option<UnixTime>) -> Result<Vec<FeedMessage>, FeedError> {
        let at = at.ok_or(FeedError::Malformed("no time at which the log was read"))?;
        // Less than it said before: it was restored from a copy. More than we were given: something was lost.
        let is_whole = !self.awaits_start && self.awaited.is_empty();
        if !is_whole || !(self.announced..=self.greatest).contains(&read_up_to) {
            return Err(FeedError::Gap);
        }
        self.announced = read_up_to;
        let mut resumed: Vec<_> = self.resumed.drain().map(|(_, resumed)| resumed).collect();
        resumed.sort_unstable_by_key(|(seq, _)| *seq);
        resumed.retain(|(seq, about)| self.suspended.get(about.target()).is_none_or(|last| last < seq));
        let events = resumed.into_iter().map(|(_, about)| self.event(RevocationEvent::Resumed(about)));
        let mut messages: Vec<_> = events.collect();
        messages.push(FeedMessage::heartbeat(self.last).as_of(at));
        Ok(messages)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // What was still awaited is awaited further on.
        let mut marks = std::mem::take(&mut self.seen);
        marks.append(&mut self.awaited);
        self.numbers.ended(self.last, marks);
    }
}

#[cfg(test)]
mod tests;
