//! A [`Fingerprint`] → its [`Entry`]: a hash table that mostly knows from 16 bytes what is not there, at 29 bytes a slot.
//!
//! Slots come in groups of 15, and beside each group lie 15 bytes that tell its fingerprints apart, and one more: eight
//! bits for those that found it full and went on to the next. Who looks for what is not there reads these 16 bytes, an
//! aligned quarter of a cache line, and is done but for the one in twenty that has a byte in common with one that is.
//!
//! Tables of the usual kind double: between 33 and 66 bytes an entry. This one grows by a quarter, one of 256 shards at
//! a time, so that nobody waits for long while it does: 34 to 42 bytes an entry. With ten million of them, a look that
//! finds nothing takes 1.2 times what it does in a set of 128-bit numbers hashed by foldhash, and one that finds something
//! 2.0 times (2026-11-22, by the test below that measures it).

use super::{entry::Entry, fingerprint::Fingerprint};

/// As many as [`Fingerprint::shard`] tells apart.
pub(super) const SHARDS: usize = 256;

/// How many slots a group has.
const GROUP: usize = 15;

/// How full groups may be on average.
const FULL: usize = 13;

pub(super) struct Table {
    shards: Vec<Shard>,
    len: usize,
}

/// Groups of slots, and as many of tags.
#[derive(Default)]
struct Shard {
    tags: Vec<Tags>,
    slots: Vec<[Option<Slot>; GROUP]>,
    used: usize,
}

/// The tag of what is in each slot of a group, or 0; at last, the bits of what belongs here and is further on.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Tags([u8; GROUP + 1]);

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
        let (group, at) = shard.find(fingerprint)?;
        shard.slots.get(group)?.get(at)?.as_ref().map(|(_, entry)| entry)
    }

    /// The entry of that fingerprint, if it is there.
    pub(super) fn get_mut(&mut self, fingerprint: &Fingerprint) -> Option<&mut Entry> {
        let shard = self.shards.get_mut(fingerprint.shard())?;
        let (group, at) = shard.find(fingerprint)?;
        shard.slots.get_mut(group)?.get_mut(at)?.as_mut().map(|(_, entry)| entry)
    }

    /// Puts in an entry whose fingerprint is not there yet. Where its shard is full, `keep` says what of it stays.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint, entry: Entry, keep: impl FnMut(&Slot) -> bool) {
        let at = fingerprint.shard();
        if self.shards.get(at).is_some_and(Shard::is_full) {
            self.retain(at, keep);
        }
        let Some(shard) = self.shards.get_mut(at) else { return };
        if shard.is_full() {
            let groups = shard.tags.len();
            shard.rebuild(groups + groups / 4 + 1);
        }
        shard.insert((fingerprint, entry));
        self.len += 1;
    }

    /// Keeps of one shard what `keep` says.
    pub(super) fn retain(&mut self, shard: usize, mut keep: impl FnMut(&Slot) -> bool) {
        let Some(shard) = self.shards.get_mut(shard) else { return };
        let before = shard.used;
        for slot in shard.slots.as_flattened_mut() {
            if slot.as_ref().is_some_and(|slot| !keep(slot)) {
                *slot = None;
                shard.used -= 1;
            }
        }
        if shard.used < before {
            self.len -= before - shard.used;
            // What went on for want of room comes back.
            shard.rebuild(shard.tags.len());
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.shards.iter().flat_map(|shard| shard.slots.as_flattened()).flatten()
    }
}

impl Shard {
    const fn is_full(&self) -> bool {
        self.used >= self.tags.len() * FULL
    }

    /// In which group the fingerprint is, and where in it.
    fn find(&self, fingerprint: &Fingerprint) -> Option<(usize, usize)> {
        let tag = fingerprint.tag();
        let mut group = fingerprint.home(self.tags.len());
        for _ in &self.tags {
            let tags = self.tags.get(group)?;
            if tags.contain(tag) {
                let slots = self.slots.get(group)?;
                let is_it = |at: &usize| matches!(slots.get(*at), Some(Some((known, _))) if known == fingerprint);
                if let Some(at) = tags.positions(tag).find(is_it) {
                    return Some((group, at));
                }
            }
            if !tags.lead_on(fingerprint) {
                return None;
            }
            group = self.after(group);
        }
        None
    }

    /// Puts it into the first group that has room. There is one: a shard is never full to the brim.
    fn insert(&mut self, slot: Slot) {
        let mut group = slot.0.home(self.tags.len());
        while let Some((tags, slots)) = self.tags.get_mut(group).zip(self.slots.get_mut(group)) {
            if let Some((at, free)) = slots.iter_mut().enumerate().find(|(_, free)| free.is_none()) {
                tags.put(at, slot.0.tag());
                *free = Some(slot);
                self.used += 1;
                return;
            }
            tags.pass(&slot.0);
            group = self.after(group);
        }
    }

    /// The last is followed by the first.
    const fn after(&self, group: usize) -> usize {
        if group + 1 < self.tags.len() { group + 1 } else { 0 }
    }

    /// Distributes what is there over so many groups.
    fn rebuild(&mut self, groups: usize) {
        let slots = std::mem::replace(&mut self.slots, vec![[None; GROUP]; groups]);
        self.tags = vec![Tags([0; GROUP + 1]); groups];
        self.used = 0;
        slots.as_flattened().iter().flatten().for_each(|slot| self.insert(*slot));
    }
}

impl Tags {
    /// Whether a slot may have this tag. Written so that it compiles to one comparison of all of them.
    fn contain(&self, tag: u8) -> bool {
        self.0.map(|known| known == tag).into_iter().fold(false, |any, is_it| any | is_it)
    }

    /// The slots that have this tag, and maybe more.
    fn positions(&self, tag: u8) -> impl Iterator<Item = usize> {
        const ONES: u128 = u128::from_le_bytes([1; GROUP + 1]);
        // A byte becomes zero that equals the tag, and has its upper bit set where it did.
        let different = u128::from_le_bytes(self.0) ^ (ONES * u128::from(tag));
        let mut equal = different.wrapping_sub(ONES) & !different & (ONES << 7);
        std::iter::from_fn(move || {
            let at = (equal != 0).then_some(equal.trailing_zeros() / 8)?;
            equal &= equal - 1;
            usize::try_from(at).ok()
        })
    }

    fn put(&mut self, at: usize, tag: u8) {
        if let Some(known) = self.0.get_mut(at) {
            *known = tag;
        }
    }

    /// Remembers that this went on to the next group.
    const fn pass(&mut self, fingerprint: &Fingerprint) {
        let [.., passed] = &mut self.0;
        *passed |= fingerprint.bit();
    }

    /// Whether something went on that may have been this.
    const fn lead_on(&self, fingerprint: &Fingerprint) -> bool {
        let [.., passed] = self.0;
        passed & fingerprint.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*, sample::select};

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

    /// Whether the tags are those of the slots, and only full groups lead on.
    fn is_tidy(shard: &Shard) -> bool {
        let tag = |slot: &Option<Slot>| slot.as_ref().map_or(0, |(fingerprint, _)| fingerprint.tag());
        shard.used == shard.slots.as_flattened().iter().flatten().count()
            && shard.tags.iter().zip(&shard.slots).all(|(Tags([tags @ .., passed]), slots)| {
                *tags == slots.each_ref().map(tag) && (*passed == 0 || slots.iter().all(Option::is_some))
            })
    }

    #[test]
    fn a_slot_has_28_bytes() {
        assert_eq!(size_of::<Option<Slot>>(), 28);
    }

    /// The medians of what looks cost, in turns: to be read, not judged.
    /// `cargo test --release --lib table::tests::what_a_look -- --ignored --nocapture`
    #[test]
    #[ignore = "ten million entries, and a measurement"]
    #[expect(clippy::disallowed_methods, reason = "a measurement of real time")]
    fn what_a_look_costs_beside_one_into_a_set_of_numbers() {
        const ENTRIES: u64 = 10_000_000;
        const LOOKS: u64 = 4096;
        // Evenly distributed, as fingerprints are, and no two alike.
        let scattered = |number: u64| {
            let words = [number, !number].map(|word| word.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
            words.map(|word| (word ^ (word >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9).to_be_bytes())
        };
        let bytes = |number: u64| {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(scattered(number).as_flattened());
            bytes
        };
        let (mut table, mut set) = (Table::new(), foldhash::HashSet::<u128>::default());
        for number in 0..ENTRIES {
            table.insert(Fingerprint::contrived(bytes(number)), entry(0), |_| true);
            set.insert(u128::from_be_bytes(bytes(number)));
        }
        assert_eq!((table.len(), set.len()), (10_000_000, 10_000_000));
        let timed = |look: &dyn Fn([u8; 16]) -> bool, from: u64, first: u64| {
            let keys: Vec<_> = (0..LOOKS).map(|look| bytes(first + (from + look * 2003) % ENTRIES)).collect();
            let start = std::time::Instant::now();
            let found = keys.iter().filter(|key| look(**key)).count();
            let time = start.elapsed().as_secs_f64();
            assert_eq!(found, if first == 0 { keys.len() } else { 0 });
            time
        };
        let in_table = |key: [u8; 16]| table.get(&Fingerprint::contrived(key)).is_some();
        let in_set = |key: [u8; 16]| set.contains(&u128::from_be_bytes(key));
        for (what, first) in [("there", 0), ("not there", ENTRIES)] {
            let mut ratios: Vec<f64> = (0..61)
                .map(|round| {
                    // Others for each, so that neither finds near what the other looked for.
                    let from = round * 160_001;
                    timed(&in_table, from, first) / timed(&in_set, from + ENTRIES / 2, first)
                })
                .collect();
            ratios.sort_by(f64::total_cmp);
            println!("{what}: {:.2} of a look into a set ({:.2} to {:.2})", ratios[30], ratios[15], ratios[45]);
        }
    }

    proptest! {
        /// Far more in one place than a group has room for, alike in all but what nobody looks at before the last.
        #[test]
        fn fingerprints_that_crowd_one_place_are_told_apart(
            crowd in vec((select(vec![0, 7, 255]), select(vec![0, 1, 128]), 0..2_u8, any::<u8>(), any::<bool>()), 1..400),
        ) {
            let (mut table, mut model) = (Table::new(), BTreeMap::new());
            let crowd: Vec<_> = crowd
                .into_iter()
                .map(|(place, tag, bit, number, is_absent)| {
                    // All bits of its place alike: at the first group, near it, or at the last, whose next is the first.
                    let bytes = [255, place, place, place, place, place, place, place, place, 0, 0, 0, 0, number, bit, tag];
                    (bytes, Fingerprint::contrived(bytes), is_absent)
                })
                .collect();
            for (at, (bytes, fingerprint, is_absent)) in (0_u32..).zip(&crowd) {
                if !is_absent && !model.contains_key(bytes) {
                    prop_assert_eq!(table.get(fingerprint), None);
                    table.insert(*fingerprint, entry(at), |_| true);
                    model.insert(*bytes, entry(at));
                }
            }
            for is_second in [false, true] {
                for (bytes, fingerprint, _) in &crowd {
                    prop_assert_eq!(table.get(fingerprint), model.get(bytes));
                    prop_assert_eq!(table.get_mut(fingerprint), model.get_mut(bytes));
                }
                prop_assert_eq!((table.len(), table.slots().count()), (model.len(), model.len()));
                prop_assert!(table.shards.iter().all(is_tidy));
                if !is_second {
                    let keeps = |[.., number, _, _]: [u8; 16]| number % 3 > 0;
                    let kept: Vec<_> = model.keys().copied().filter(|bytes| keeps(*bytes)).map(Fingerprint::contrived).collect();
                    model.retain(|bytes, _| keeps(*bytes));
                    table.retain(255, |(fingerprint, _)| kept.contains(fingerprint));
                }
            }
        }

        #[test]
        fn the_table_holds_what_was_put_in_and_kept(rounds in vec((0..2000_u32, 1..5_u32), 1..6)) {
            let fingerprints = Fingerprints::new();
            let of = |number: u32| fingerprints.issuer(None).of(Kind::Subject, &number.to_be_bytes());
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
                prop_assert!(table.shards.iter().all(is_tidy));
                for (number, entry) in &model {
                    prop_assert_eq!(table.get(&of(*number)), Some(entry));
                }
                prop_assert!(dropped.iter().chain([&next]).all(|number| table.get(&of(*number)).is_none()));
            }
        }
    }
}
