//! A [`Fingerprint`] → its [`Entry`]: a hash table in sorted order, at 7/8 full 32 bytes an entry.
//!
//! The map of the standard library doubles: with a million entries it is half empty, at 61 bytes for each. This one grows
//! by a quarter, one of 64 shards at a time, so that nobody waits for long while it does. Fingerprints are evenly
//! distributed, so each stands at or close behind the place that is proportional to it, and whoever looks for one that is
//! not there stops at the first greater one.

use super::{entry::Entry, fingerprint::Fingerprint};

pub(super) const SHARDS: usize = 64;

pub(super) struct Table {
    shards: Vec<Shard>,
    len: usize,
}

/// Slots in the order of their fingerprints, with gaps.
#[derive(Default)]
struct Shard {
    slots: Vec<Option<Slot>>,
    /// How many places fingerprints are distributed over; there may be a few more behind the last.
    places: usize,
    used: usize,
}

pub(super) type Slot = (Fingerprint, Entry);

impl Table {
    pub(super) fn new() -> Self {
        Self { shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<&Entry> {
        let shard = self.shards.get(fingerprint.shard())?;
        let slot = shard.slots.get(shard.find(fingerprint).ok()?)?;
        slot.as_ref().map(|(_, entry)| entry)
    }

    /// The entry of that fingerprint, if it is there.
    pub(super) fn get_mut(&mut self, fingerprint: &Fingerprint) -> Option<&mut Entry> {
        let shard = self.shards.get_mut(fingerprint.shard())?;
        let at = shard.find(fingerprint).ok()?;
        shard.slots.get_mut(at)?.as_mut().map(|(_, entry)| entry)
    }

    /// Puts in an entry whose fingerprint is not there yet. Where its shard is full, `keep` says what of it stays.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint, entry: Entry, keep: impl FnMut(&Slot) -> bool) {
        let at = fingerprint.shard();
        if self.shards.get(at).is_some_and(Shard::is_full) {
            self.retain(at, keep);
        }
        let Some(shard) = self.shards.get_mut(at) else { return };
        if shard.is_full() {
            shard.rebuild(shard.places + shard.places / 4 + 8);
        }
        shard.insert((fingerprint, entry));
        self.len += 1;
    }

    /// Keeps of one shard what `keep` says.
    pub(super) fn retain(&mut self, shard: usize, mut keep: impl FnMut(&Slot) -> bool) {
        let Some(shard) = self.shards.get_mut(shard) else { return };
        let before = shard.used;
        for slot in &mut shard.slots {
            if slot.as_ref().is_some_and(|slot| !keep(slot)) {
                *slot = None;
                shard.used -= 1;
            }
        }
        if shard.used < before {
            // What stood behind a gap moves up.
            shard.rebuild(shard.places);
            self.len -= before - shard.used;
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.shards.iter().flat_map(|shard| &shard.slots).flatten()
    }
}

impl Shard {
    const fn is_full(&self) -> bool {
        self.used >= self.places / 8 * 7
    }

    /// Where the fingerprint is, or else where it belongs.
    fn find(&self, fingerprint: &Fingerprint) -> Result<usize, usize> {
        let mut at = fingerprint.home(self.places);
        while let Some(Some((other, _))) = self.slots.get(at) {
            if other >= fingerprint {
                return if other == fingerprint { Ok(at) } else { Err(at) };
            }
            at += 1;
        }
        Err(at)
    }

    fn insert(&mut self, slot: Slot) {
        let Err(at) = self.find(&slot.0) else { return };
        let gap = self.slots.iter().skip(at).position(Option::is_none).map_or(self.slots.len(), |gap| at + gap);
        if gap == self.slots.len() {
            self.slots.push(None);
        }
        if let Some(moved) = self.slots.get_mut(at..=gap) {
            moved.rotate_right(1);
        }
        if let Some(free) = self.slots.get_mut(at) {
            *free = Some(slot);
        }
        self.used += 1;
    }

    /// Distributes what is there over so many places. In order it goes in, so in order it comes out.
    fn rebuild(&mut self, places: usize) {
        let mut slots = Vec::with_capacity(places + places / 64 + 8);
        for slot in self.slots.drain(..).flatten() {
            let home = slot.0.home(places);
            if slots.len() < home {
                slots.resize_with(home, || None);
            }
            slots.push(Some(slot));
        }
        if slots.len() < places {
            slots.resize_with(places, || None);
        }
        (self.slots, self.places) = (slots, places);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        clock::UnixTime,
        status::revocations::{Revocation, entry::Kind, fingerprint::Fingerprints},
    };

    /// An entry that can be told by its number.
    fn entry(number: u32) -> Entry {
        let name = number.to_string();
        Entry::new(&Revocation::subject(None, &name, UnixTime::from_secs(number.into())), UnixTime::default(), None)
    }

    #[test]
    fn a_slot_has_28_bytes() {
        assert_eq!(size_of::<Option<Slot>>(), 28);
    }

    proptest! {
        #[test]
        fn the_table_holds_what_was_put_in_and_kept(rounds in vec((0..2000_u32, 1..5_u32), 1..6)) {
            let fingerprints = Fingerprints::new();
            let of = |number: u32| fingerprints.of(None, Kind::Subject, &number.to_be_bytes());
            let (mut table, mut model) = (Table::new(), BTreeMap::new());
            let (mut next, mut dropped) = (0, Vec::new());
            for (count, modulus) in rounds {
                for number in next..next + count {
                    table.insert(of(number), entry(number), |_| true);
                    model.insert(number, entry(number));
                }
                next += count;
                let keeps = |entry: &Entry| (0..modulus).any(|least| *entry == self::entry(least)) || modulus < 3;
                (0..SHARDS).for_each(|shard| table.retain(shard, |(_, entry)| keeps(entry)));
                dropped.extend(model.extract_if(.., |_, entry| !keeps(entry)).map(|(number, _)| number));
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.slots().count(), model.len());
                for (number, entry) in &model {
                    prop_assert_eq!(table.get(&of(*number)), Some(entry));
                }
                prop_assert!(dropped.iter().chain([&next]).all(|number| table.get(&of(*number)).is_none()));
            }
        }
    }
}
