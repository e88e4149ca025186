//! An index that is too full → what to forget, and what to merge into epochs so that nothing is let through.
//!
//! Entries that are over go first. If that does not help, the issuer with the most entries gives up its oldest: the epoch
//! of the issuer is raised so that it refuses whatever they do (every token that one of them refuses was issued at or
//! before it), and only then do they go. Tokens that have nothing in common with them are refused too; their holders need
//! new ones. What is known by its text alone has no issuer, and raises an epoch for everyone.
//!
//! A quarter of the capacity goes at once, about a microsecond for each that is revoked. With a million entries that is a
//! fifth of a second for whoever comes at the wrong moment (2026-11-22, two busy cores); whoever only reads waits for one
//! of 256 shards at most.

use std::collections::{BTreeMap, BinaryHeap};

use super::{
    entry::{Entry, LEEWAY, Rank},
    fingerprint::Fingerprint,
    index::Index,
    times::Moment,
};
use crate::clock::UnixTime;

/// What is to go.
pub(super) struct Plan {
    now: UnixTime,
    ceiling: UnixTime,
    cuts: BTreeMap<u16, Cut>,
    /// How many entries are merged.
    pub(super) merged: u64,
}

/// Of one issuer, everything up to a rank goes, and this epoch comes.
struct Cut {
    last: Rank,
    epoch: Option<Entry>,
}

impl Plan {
    /// How to get by with three quarters of `capacity`.
    pub(super) fn new(index: &Index, capacity: usize, moment: Moment) -> Self {
        let Moment { earliest, latest } = moment;
        // Clocks may disagree: the tokens that are there by now say that they were issued up to then.
        let mut plan = Self { now: earliest, ceiling: latest.saturating_add(LEEWAY), cuts: BTreeMap::new(), merged: 0 };
        let mut sizes: BTreeMap<u16, usize> = index.issuers.sizes().collect();
        let mut over = 0;
        for (_, entry, _) in index.entries().filter(|(_, entry, _)| entry.is_over(earliest)) {
            over += 1;
            sizes.entry(entry.issuer).and_modify(|size| *size -= 1);
        }
        let left = index.len() - over;
        // If it gave next to nothing, everybody would soon be back here.
        if left > capacity - capacity / 16 {
            plan.cut(index, shares(sizes, left - capacity.min(left) + (capacity / 4).max(1)));
        }
        plan
    }

    /// Where to cut so that each issuer loses its share, and to what epoch that comes.
    fn cut(&mut self, index: &Index, shares: BTreeMap<u16, usize>) {
        let mut ranks: BTreeMap<u16, Vec<Rank>> = shares.keys().map(|issuer| (*issuer, Vec::new())).collect();
        for (fingerprint, entry, suspended) in index.entries().filter(|(_, entry, _)| !entry.is_over(self.now)) {
            if let Some(ranks) = ranks.get_mut(&entry.issuer) {
                ranks.push(entry.rank(fingerprint, suspended, self.ceiling));
            }
        }
        for (issuer, share) in shares {
            if let Some(ranks) = ranks.get_mut(&issuer)
                && (1..=ranks.len()).contains(&share)
            {
                let last = *ranks.select_nth_unstable(share - 1).1;
                self.cuts.insert(issuer, Cut { last, epoch: None });
            }
        }
        for (fingerprint, entry, suspended) in index.entries().filter(|(_, entry, _)| !entry.is_over(self.now)) {
            let Some(cut) = self.cuts.get_mut(&entry.issuer) else { continue };
            if entry.rank(fingerprint, suspended, self.ceiling) <= cut.last {
                self.merged += 1;
                let epoch = Entry::epoch(*entry, self.ceiling);
                match &mut cut.epoch {
                    Some(known) => {
                        known.merge(&epoch);
                    }
                    unknown => *unknown = Some(epoch),
                }
            }
        }
    }

    /// The epochs to be raised, by issuer. Only after that may anything [go](Self::stays).
    pub(super) fn epochs(&self) -> impl Iterator<Item = (u16, &Entry)> {
        self.cuts.iter().filter_map(|(issuer, cut)| Some((*issuer, cut.epoch.as_ref()?)))
    }

    /// Whether an entry stays.
    pub(super) fn stays(&self, fingerprint: &Fingerprint, entry: &Entry, suspended: bool) -> bool {
        let is_cut = |cut: &Cut| entry.rank(fingerprint, suspended, self.ceiling) <= cut.last;
        !entry.is_over(self.now) && !self.cuts.get(&entry.issuer).is_some_and(is_cut)
    }

    /// Whether an epoch is over.
    pub(super) fn is_over(&self, epoch: &Entry) -> bool {
        epoch.is_over(self.now)
    }
}

/// How many entries each issuer loses until there are `need` fewer: whoever has the most at the time, half of them.
fn shares(sizes: BTreeMap<u16, usize>, mut need: usize) -> BTreeMap<u16, usize> {
    let mut shares = BTreeMap::new();
    let mut heap: BinaryHeap<(usize, u16)> = sizes.into_iter().map(|(issuer, size)| (size, issuer)).collect();
    while need > 0
        && let Some((size, issuer)) = heap.pop()
        && size > 0
    {
        let share = size.div_ceil(2).min(need);
        *shares.entry(issuer).or_default() += share;
        need -= share;
        heap.push((size - share, issuer));
    }
    shares
}
