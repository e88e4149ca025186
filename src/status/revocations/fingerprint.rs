//! An issuer and a name → 128 bits that stand for both, and that nobody outside can foresee.

use std::hash::{BuildHasher, RandomState};

use super::{Revocation, RevocationTarget, entry::Kind};
use crate::crypto::Sha256;

/// Stands for one target of one issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fingerprint([u32; 4]);

impl Fingerprint {
    /// Which of 64 shards it belongs to.
    pub(super) fn shard(&self) -> usize {
        usize::try_from(self.high() >> 58).unwrap_or_default()
    }

    /// Where in its shard it belongs, of so many places: a greater one never before a smaller one.
    pub(super) fn home(&self, places: usize) -> usize {
        let places = u128::try_from(places).unwrap_or_default();
        usize::try_from(u128::from(self.high() << 6).saturating_mul(places) >> 64).unwrap_or_default()
    }

    /// A number that has nothing to do with anything.
    pub(super) const fn lot(&self) -> u32 {
        let [.., last] = self.0;
        last
    }

    fn high(&self) -> u64 {
        let [first, second, ..] = self.0;
        u64::from(first) << 32 | u64::from(second)
    }
}

/// Takes fingerprints, with a key of its own.
pub(super) struct Fingerprints {
    key: [u8; 16],
}

impl Fingerprints {
    /// With a random key: whoever chooses the names cannot choose where they go.
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        let (first, second) = (random.hash_one(0_u8).to_be_bytes(), random.hash_one(1_u8).to_be_bytes());
        let mut key = [0; 16];
        key[..8].copy_from_slice(&first);
        key[8..].copy_from_slice(&second);
        Self { key }
    }

    /// Of what is revoked.
    pub(super) fn of_target(&self, revocation: &Revocation) -> Fingerprint {
        let name = match revocation.target() {
            RevocationTarget::TokenDigest(digest) => &digest[..],
            RevocationTarget::TokenId(name)
            | RevocationTarget::Session(name)
            | RevocationTarget::Subject(name)
            | RevocationTarget::Client(name)
            | RevocationTarget::Grant(name)
            | RevocationTarget::Actor(name) => name.as_bytes(),
            RevocationTarget::Issuer => &[],
        };
        self.of(revocation.issuer_identifier(), Kind::of(revocation.target()), name)
    }

    /// Of the issuer of what is revoked. Of a token that is known by its text alone, nobody knows it.
    pub(super) fn of_issuer(&self, revocation: &Revocation) -> Option<Fingerprint> {
        let issuer = revocation.issuer_identifier();
        let is_known = issuer.is_some() || !matches!(revocation.target(), RevocationTarget::TokenDigest(_));
        is_known.then(|| self.of(issuer, Kind::Issuer, &[]))
    }

    /// Of the tokens of `issuer` that have `name` in common.
    pub(super) fn of(&self, issuer: Option<&str>, kind: Kind, name: &[u8]) -> Fingerprint {
        // Of known lengths all but the last, and so no two come to the same text.
        let length = issuer.map_or(0, str::len);
        let mut text = Vec::with_capacity(self.key.len() + 16 + length + name.len());
        text.extend_from_slice(&self.key);
        text.extend_from_slice(&[kind.number(), u8::from(issuer.is_some())]);
        text.extend_from_slice(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
        text.extend_from_slice(issuer.unwrap_or_default().as_bytes());
        text.extend_from_slice(name);
        let digest = Sha256::of(&text);
        let mut words =
            digest.chunks_exact(4).map(|bytes| bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)));
        Fingerprint([(); 4].map(|()| words.next().unwrap_or_default()))
    }
}
