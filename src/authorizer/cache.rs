//! The text of a verified token → what was kept under it. Bounded in bytes; whoever reads neither locks nor waits.
//!
//! ```text
//! text ─► place: a keyed hash of tail and length
//!           │
//!           ├─► set ─► tag ─► entry ─► the whole text compared      find: no lock, no count that threads share
//!           └─► shard: one lock, bytes, the hand of a clock         keep
//! ```
//!
//! Only what was verified is kept, so whoever floods this place must hold that many valid tokens; even then the ones in
//! use stay: an entry comes without credit, every use gives it some, and the hand that looks for room takes a credit
//! away where it finds one and the entry where it finds none. So one-use tokens leave first, and what was in use once
//! leaves after the hand came by a few times.

mod place;
mod set;
mod shard;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::Guard;
use place::Places;
use set::{Set, WAYS};
use shard::{Book, LARGEST, Shard, Writer};

/// What can be kept.
pub(super) trait Kept {
    /// The text by which it is found; the same for as long as it lives.
    fn text(&self) -> &[u8];

    /// About how many bytes it takes, itself and all that it owns; asked once, when it comes.
    fn bytes(&self) -> usize;
}

/// What stands under a text at one moment: borrowed from the cache without a count that threads share.
///
/// Short-lived: each thread has room for eight, and beyond them a count is shared after all.
pub(super) type Held<V> = Guard<Option<Arc<V>>>;

/// How many bytes of room there are to one place for an entry. With fewer places more of the hot ones meet in a full set,
/// with more the table grows: a place takes 15 bytes, 2 % of its room.
const BYTES_PER_PLACE: usize = 768;
/// How many bytes of room there are to one lock, up to [`MAX_SHARDS`] of them.
const BYTES_PER_SHARD: usize = 1 << 20;
const MAX_SHARDS: usize = 64;

/// The verified tokens that were seen lately.
pub(super) struct TokenCache<V> {
    places: Places,
    /// Of all shards, one after the other; none where there is no room.
    sets: Box<[Set<V>]>,
    shards: Box<[Mutex<Shard>]>,
    /// How many bytes the entries of one shard may take.
    room: usize,
}

impl<V: Kept> TokenCache<V> {
    /// Room for about so many bytes, its own table included; zero keeps nothing and allocates nothing.
    ///
    /// The table is allocated at once. Where entries take less than 768 bytes each, it is full before the room is.
    pub(super) fn new(max_bytes: usize) -> Self {
        let shards = (max_bytes / BYTES_PER_SHARD).clamp(1, MAX_SHARDS);
        let sets = (max_bytes / (WAYS * BYTES_PER_PLACE * shards)).max(1);
        let room = (max_bytes / shards).saturating_sub(table_bytes::<V>(sets, 1));
        let (shards, sets) = if room == 0 { (0, 0) } else { (shards, sets) };
        Self {
            places: Places::new(sets * shards),
            sets: (0..sets * shards).map(|_| Set::default()).collect(),
            shards: (0..shards).map(|_| Mutex::new(Shard::new(sets))).collect(),
            room,
        }
    }

    /// The entry of exactly this text, or `None` inside; any bytes of any length may be asked for.
    pub(super) fn find(&self, text: &[u8]) -> Held<V> {
        let place = self.places.of(text);
        let found = self.sets.get(place.set).and_then(|set| {
            let (way, found) = set.find(place.tag, text)?;
            set.used(way);
            Some(found)
        });
        found.unwrap_or_else(|| Guard::from_inner(None))
    }

    /// Keeps it, in place of what was kept under the same text.
    ///
    /// What is larger than an eighth of its shard's room is not kept, nor what finds no room within 512 places looked
    /// at; what it would have replaced is gone all the same.
    pub(super) fn keep(&self, entry: Arc<V>) {
        let place = self.places.of(entry.text());
        if let Some((mut writer, set)) = self.writer(place.set) {
            writer.keep(set, place.tag, entry);
        }
    }

    /// How many bytes an entry may take; larger ones are not kept.
    pub(super) const fn largest(&self) -> usize {
        self.room / LARGEST
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| locked(shard).entries()).sum()
    }

    /// How many bytes they take together with the table.
    pub(super) fn bytes(&self) -> usize {
        let entries: usize = self.shards.iter().map(|shard| locked(shard).bytes()).sum();
        table_bytes::<V>(self.sets.len(), self.shards.len()) + entries
    }

    /// Whoever may change the shard of this set, with the set's number within the shard.
    fn writer(&self, set: usize) -> Option<(Writer<'_, V>, usize)> {
        let sets_per_shard = self.sets.len().checked_div(self.shards.len())?;
        let (number, set) = (set / sets_per_shard, set % sets_per_shard);
        let shard = locked(self.shards.get(number)?);
        let sets = self.sets.chunks_exact(sets_per_shard).nth(number)?;
        Some((Writer { sets, shard, room: self.room }, set))
    }
}

fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn table_bytes<V>(sets: usize, shards: usize) -> usize {
    sets * (size_of::<Set<V>>() + size_of::<Book>()) + shards * size_of::<Mutex<Shard>>()
}

impl<V: Kept> fmt::Debug for TokenCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("entries", &self.len()).field("bytes", &self.bytes()).finish()
    }
}
