//! The text of a token → the set where it may stand, and its tag there.
//!
//! Only tail and length are hashed: the tail of a JWT is its signature, which nobody chooses. Texts that share both
//! share the place too; what tells them apart is that the whole text is compared. The hash is strongly universal
//! (multilinear: a random key of twice the width per word, the upper half of the sum), so for whoever does not know the
//! keys two texts meet no more often than by chance.

use std::{collections::hash_map::RandomState, hash::BuildHasher};

/// How many bytes of the tail count.
const TAIL: usize = 32;
const WORDS: usize = TAIL / 8;

/// Where a text belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) set: usize,
    /// Never zero.
    pub(super) tag: u8,
}

/// Random keys, drawn anew for each cache.
pub(super) struct Places {
    sets: u64,
    start: u128,
    length: u128,
    words: [u128; WORDS],
}

impl Places {
    /// Among so many sets.
    pub(super) fn new(sets: usize) -> Self {
        let random = RandomState::new();
        let key = |number: usize| {
            (u128::from(random.hash_one((number, "upper"))) << 64) | u128::from(random.hash_one((number, "lower")))
        };
        // The upper half of the hash picks the set.
        let sets = u32::try_from(sets).unwrap_or(u32::MAX).into();
        Self { sets, start: key(WORDS), length: key(WORDS + 1), words: std::array::from_fn(key) }
    }

    pub(super) fn of(&self, text: &[u8]) -> Place {
        let mut short = [0; TAIL];
        let tail = text.last_chunk().unwrap_or_else(|| {
            short.iter_mut().zip(text).for_each(|(place, byte)| *place = *byte);
            &short
        });
        let mut sum = self.start.wrapping_add(self.length.wrapping_mul(wide(text.len())));
        let (words, _) = tail.as_chunks();
        for (word, key) in words.iter().zip(self.words) {
            sum = sum.wrapping_add(key.wrapping_mul(u64::from_le_bytes(*word).into()));
        }
        let [a, b, c, d, tag, ..] = mixed(upper_half(sum)).to_be_bytes();
        let set = (u64::from(u32::from_be_bytes([a, b, c, d])) * self.sets) >> 32;
        Place { set: usize::try_from(set).unwrap_or(usize::MAX), tag: tag.max(1) }
    }
}

/// The same hash in another order, so that texts at equal distances do not stand at equal distances.
const fn mixed(hash: u64) -> u64 {
    (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn upper_half(sum: u128) -> u64 {
    u64::try_from(sum >> 64).unwrap_or(u64::MAX)
}

fn wide(length: usize) -> u128 {
    u128::try_from(length).unwrap_or(u128::MAX)
}
