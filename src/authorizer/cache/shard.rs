//! An entry to keep → its place, and who leaves for it. One lock, bounded work while it is held.

use std::sync::{Arc, MutexGuard};

use super::{
    Kept,
    set::{Set, WAYS},
};

/// An entry may take this part of its shard's room.
pub(super) const LARGEST: usize = 8;
/// How many places an insertion looks at for room. What finds none is not kept, but has taken credit away from all that it
/// saw, so that one of the next will be.
const MAX_PASSED: usize = 512;

/// What writers know of the sets of a shard.
#[derive(Debug)]
pub(super) struct Shard {
    books: Box<[Book]>,
    entries: usize,
    bytes: usize,
    /// The place that is looked at next when there is no room.
    hand: usize,
}

/// What writers know of one set.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    /// By way, what its entry was counted as; zero where there is none.
    charges: [u32; WAYS],
    /// The way that is looked at next when the set is full.
    hand: u8,
}

impl Shard {
    pub(super) fn new(sets: usize) -> Self {
        Self { books: vec![Book::default(); sets].into(), entries: 0, bytes: 0, hand: 0 }
    }

    pub(super) const fn entries(&self) -> usize {
        self.entries
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Whoever holds the lock of a shard.
pub(super) struct Writer<'c, V> {
    pub(super) sets: &'c [Set<V>],
    pub(super) shard: MutexGuard<'c, Shard>,
    pub(super) room: usize,
}

impl<V: Kept> Writer<'_, V> {
    pub(super) fn keep(&mut self, set: usize, tag: u8, entry: Arc<V>) {
        let Some(at) = self.sets.get(set) else { return };
        // Nothing is free: every entry takes a place.
        let charge = u32::try_from(entry.bytes().max(1)).unwrap_or(u32::MAX);
        let bytes = count(charge);
        let fits = bytes <= self.room / LARGEST;

        let known = at.find(tag, entry.text()).map(|(way, _)| way);
        if let Some(way) = known {
            let others = self.shard.bytes - self.charge(set, way);
            if fits && others + bytes <= self.room {
                // At once: nobody finds nothing in between.
                self.put(set, way, tag, Some(entry), charge);
                return;
            }
            self.evict(set, way);
        }
        if !fits {
            return;
        }
        let way = at.vacancy().unwrap_or_else(|| self.least(set));
        if self.make_room(bytes) {
            self.put(set, way, tag, Some(entry), charge);
        }
    }

    /// Whether there is room for so many bytes, once the hand has passed the places that it may.
    fn make_room(&mut self, bytes: usize) -> bool {
        for _ in 0..MAX_PASSED {
            if self.shard.bytes + bytes <= self.room {
                return true;
            }
            let (set, way) = (self.shard.hand / WAYS, self.shard.hand % WAYS);
            self.shard.hand = (self.shard.hand + 1) % (self.sets.len() * WAYS);
            self.pass(set, way);
        }
        self.shard.bytes + bytes <= self.room
    }

    /// The way of the entry with the least credit of a full set, once as much was taken away from all.
    fn least(&mut self, set: usize) -> usize {
        let Some((at, book)) = self.sets.get(set).zip(self.shard.books.get_mut(set)) else { return 0 };
        // From where the last one left on, so that the newest is not always the first to go.
        let ways = (0..WAYS).map(|way| (usize::from(book.hand) + way) % WAYS);
        let Some(way) = ways.min_by_key(|way| at.credit(*way)) else { return 0 };
        book.hand = u8::try_from(way + 1).unwrap_or(0);
        let least = at.credit(way);
        (0..WAYS).for_each(|way| at.set_credit(way, at.credit(way).saturating_sub(least)));
        way
    }

    /// Takes away credit, or the entry that has none.
    fn pass(&mut self, set: usize, way: usize) {
        let Some(at) = self.sets.get(set) else { return };
        match at.credit(way).checked_sub(1) {
            Some(rest) => at.set_credit(way, rest),
            None => self.evict(set, way),
        }
    }

    fn evict(&mut self, set: usize, way: usize) {
        if self.charge(set, way) > 0 {
            self.put(set, way, 0, None, 0);
        }
    }

    /// Puts an entry there in place of another, or none with tag and charge zero, and counts it.
    fn put(&mut self, set: usize, way: usize, tag: u8, entry: Option<Arc<V>>, charge: u32) {
        let shard = &mut *self.shard;
        let before = shard.books.get_mut(set).and_then(|book| book.charges.get_mut(way));
        if let (Some(before), Some(set)) = (before, self.sets.get(set)) {
            shard.entries = shard.entries + usize::from(charge > 0) - usize::from(*before > 0);
            shard.bytes = shard.bytes + count(charge) - count(*before);
            *before = charge;
            set.put(way, tag, entry);
        }
    }

    fn charge(&self, set: usize, way: usize) -> usize {
        let charge = self.shard.books.get(set).and_then(|book| book.charges.get(way));
        charge.map_or(0, |charge| count(*charge))
    }
}

fn count(charge: u32) -> usize {
    usize::try_from(charge).unwrap_or(usize::MAX)
}
