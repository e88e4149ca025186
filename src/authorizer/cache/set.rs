//! A tag and a text → the entry, among the eight places of one set. Read by everybody, written under the shard's lock.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;

use super::{Held, Kept};

/// The places of a set: one for each byte of a word of tags.
pub(super) const WAYS: usize = 8;
/// The credit of an entry that is used again and again. Beyond it nothing is written, so that a hot entry is only read.
pub(super) const MAX_CREDIT: u8 = 3;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

pub(super) struct Set<V> {
    /// By way, the tag of its entry; zero where there is none. A hit so loads one entry, and a miss hardly ever one.
    tags: AtomicU64,
    credits: [AtomicU8; WAYS],
    entries: [ArcSwapOption<V>; WAYS],
}

impl<V> Default for Set<V> {
    fn default() -> Self {
        Self { tags: AtomicU64::default(), credits: Default::default(), entries: Default::default() }
    }
}

impl<V: Kept> Set<V> {
    /// The entry of exactly this text, and its way.
    pub(super) fn find(&self, tag: u8, text: &[u8]) -> Option<(usize, Held<V>)> {
        self.ways(tag).find_map(|way| {
            let found = self.entries.get(way)?.load();
            let is_it = found.as_ref().is_some_and(|entry| entry.text() == text);
            is_it.then_some((way, found))
        })
    }
}

impl<V> Set<V> {
    /// A way without an entry.
    pub(super) fn vacancy(&self) -> Option<usize> {
        // The first is exact, since no byte below it borrowed.
        self.ways(0).next()
    }

    /// The ways with this tag, and rarely one above them with another.
    fn ways(&self, tag: u8) -> impl Iterator<Item = usize> {
        // A byte is zero where the tag is the same; the high bit of what was zero stays when one is taken away.
        let differences = self.tags.load(Ordering::Acquire) ^ (ONES * u64::from(tag));
        let mut same = differences.wrapping_sub(ONES) & !differences & HIGHS;
        std::iter::from_fn(move || {
            let way = usize::try_from(same.trailing_zeros() / 8).ok().filter(|_| same != 0)?;
            same &= same - 1;
            Some(way)
        })
    }

    /// Gives credit for one more use. Of two at once one may be lost.
    pub(super) fn used(&self, way: usize) {
        if let Some(credit) = self.credits.get(way) {
            let before = credit.load(Ordering::Relaxed);
            if before < MAX_CREDIT {
                credit.store(before + 1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn credit(&self, way: usize) -> u8 {
        self.credits.get(way).map_or(0, |credit| credit.load(Ordering::Relaxed))
    }

    pub(super) fn set_credit(&self, way: usize, credit: u8) {
        if let Some(place) = self.credits.get(way) {
            place.store(credit, Ordering::Relaxed);
        }
    }

    /// Puts an entry there in place of another, or none with tag zero. Only under the shard's lock.
    pub(super) fn put(&self, way: usize, tag: u8, entry: Option<Arc<V>>) {
        if let Some(place) = self.entries.get(way) {
            place.store(entry);
            let mut tags = self.tags.load(Ordering::Relaxed).to_le_bytes();
            if let Some(place) = tags.get_mut(way) {
                *place = tag;
            }
            self.tags.store(u64::from_le_bytes(tags), Ordering::Release);
        }
    }
}
