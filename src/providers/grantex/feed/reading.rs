//! Entries and heartbeats of the log, as it writes them → messages in an order of our own. Pure.
//!
//! The numbers of the log do not come in their order: those of two transactions may be written the wrong way round, and
//! the log says that it has been read up to a number only when nothing below it can follow any more. So what is handed on
//! is numbered here. What was read since a while ago is kept in mind from one connection to the next: a log that does not
//! repeat it is another one, as after its database was restored from a copy.
//!
//! What is read may be older than what we know: that a grant was resumed counts when the log has been read to its end, and
//! nothing later there says otherwise.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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

/// So many positions are kept that nobody reads on from: more than a process has followers of one feed.
const MOST_KEPT: usize = 16;

/// Numbers for what is handed on, and how far the log was read at those from which somebody may read on. Clones are the
/// same.
#[derive(Clone, Debug, Default)]
pub(super) struct Readings {
    numbers: Arc<AtomicU64>,
    kept: Arc<Mutex<BTreeMap<Cursor, Reading>>>,
}

/// The log, being read from a position on.
#[derive(Debug, Default)]
pub(super) struct Reading {
    numbers: Arc<AtomicU64>,
    /// What was handed on last.
    last: Cursor,
    /// The number below which nothing is to come: from here the log is read again.
    anchor: u64,
    /// What will be the anchor, `SETTLED` after it was written.
    candidate: Option<(u64, UnixTime)>,
    /// By their numbers, the marks of what was read; from the anchor on, where its entry is known.
    seen: BTreeMap<u64, u32>,
    /// What was seen on an earlier connection, and is to be met again on this one.
    unmet: BTreeSet<u64>,
    /// What was read up to here would not be recognised, but for the anchor.
    forgotten: u64,
    /// What was resumed since the log last said that it was read, and by which number.
    resumed: HashMap<RevocationTarget, (u64, Revocation)>,
    /// By which number what was last suspended, of the numbers that are not forgotten.
    suspended: HashMap<RevocationTarget, u64>,
    /// This connection asked for what comes after this number, or with it, where its entry is known.
    start: u64,
    /// The greatest number that was read.
    greatest: u64,
    /// Up to where the log has said on this connection that it was read.
    announced: u64,
}

impl Readings {
    /// A position at that number of the log, whose entry is known by that mark.
    pub(super) fn begin(&self, seq: u64, mark: Option<u32>) -> Cursor {
        let seen = mark.map(|mark| (seq, mark)).into_iter().collect();
        let numbers = Arc::clone(&self.numbers);
        let mut reading = Reading { numbers, anchor: seq, greatest: seq, seen, ..Reading::default() };
        let cursor = reading.number();
        self.keep(reading);
        cursor
    }

    /// Somebody may read on from here.
    pub(super) fn keep(&self, reading: Reading) {
        let mut kept = self.kept();
        kept.insert(reading.last, reading);
        while kept.len() > MOST_KEPT {
            kept.pop_first();
        }
    }

    /// To read on from that position, on a new connection.
    pub(super) fn resume(&self, after: Cursor) -> Result<Reading, FeedError> {
        let mut reading = self.kept().remove(&after).ok_or(FeedError::Gap)?;
        // More than can be recognised would come again.
        if reading.forgotten > reading.anchor {
            return Err(FeedError::Gap);
        }
        reading.unmet = reading.seen.keys().copied().collect();
        reading.start = reading.anchor;
        // The entry there comes first, where it is known.
        let is_known = reading.seen.contains_key(&reading.anchor);
        reading.announced = reading.anchor.saturating_sub(is_known.into());
        Ok(reading)
    }

    /// Held for a look at a table.
    fn kept(&self) -> MutexGuard<'_, BTreeMap<Cursor, Reading>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number of the log, if it can be one.
pub(super) const fn number_of_the_log(seq: u64) -> Result<u64, FeedError> {
    if seq > GREATEST { Err(FeedError::Malformed("a number that is too great")) } else { Ok(seq) }
}

impl Reading {
    /// After what to ask the log now.
    pub(super) const fn announced(&self) -> u64 {
        self.announced
    }

    /// The message for an entry; `None` where it is a repetition, or is to wait for the end of the log.
    pub(super) fn entry(&mut self, entry: &Entry, issuer: &str) -> Result<Option<FeedMessage>, FeedError> {
        let (seq, mark) = (number_of_the_log(entry.seq)?, entry.mark());
        match self.seen.get(&seq) {
            Some(same) if *same == mark => {
                self.unmet.remove(&seq);
                return Ok(None);
            }
            Some(_) => return Err(FeedError::Gap),
            None => {}
        }
        // We asked for what comes later: the log has begun to count anew.
        if seq <= self.start {
            return Err(FeedError::Gap);
        }
        let event = entry.event(issuer)?;
        self.seen.insert(seq, mark);
        self.greatest = self.greatest.max(seq);
        if let Some(written) = entry.at {
            self.settle(seq, written);
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
        let previous = self.last;
        FeedMessage::event(event, previous, self.number())
    }

    /// The next position, for what is handed on now.
    fn number(&mut self) -> Cursor {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.last = Cursor::new(number.into());
        self.last
    }

    /// Moves the anchor on, with the time that entries are written at, and not beyond what the log says is complete.
    fn settle(&mut self, newest: u64, written: UnixTime) {
        match self.candidate {
            Some((candidate, then)) if written >= then.saturating_add(SETTLED) && candidate <= self.announced => {
                self.anchor = candidate;
                self.seen = self.seen.split_off(&candidate);
                self.forgotten = self.forgotten.max(candidate);
                self.suspended.retain(|_, last| *last > self.forgotten);
            }
            None => {}
            Some(_) => return,
        }
        if newest == self.greatest {
            self.candidate = Some((newest, written));
        }
    }

    /// The messages for the log's word that it was read up to this number, at that time: what was resumed is so now.
    pub(super) fn beat(&mut self, read_up_to: u64, at: Option<UnixTime>) -> Result<Vec<FeedMessage>, FeedError> {
        let at = at.ok_or(FeedError::Malformed("no time at which the log was read"))?;
        // It does not hold what we have read of it any more; it says less than it said before; or it says more than we were
        // given.
        if !self.unmet.is_empty() || !(self.announced..=self.greatest).contains(&read_up_to) {
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

#[cfg(test)]
mod tests;
