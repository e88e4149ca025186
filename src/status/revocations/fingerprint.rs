//! An issuer and a name → 128 bits that stand for both, and that nobody outside can foresee.
//!
//! They are SipHash-2-4 with a key that this process draws for itself. Whoever chooses names (an issuer's users choose
//! some of `sub`, clients some of `jti`) can neither pick two that meet nor heap many in one place, which is what its
//! authors made it for; a faster hash whose authors promise less would not do. It need not be a digest: no fingerprint
//! leaves the process, and without the key nobody can even try.
//!
//! The index knows fingerprints alone, so it is as exact as they are. A name that nobody revoked meets one of ten million
//! with probability 10⁷ ÷ 2¹²⁸ = 3 · 10⁻³², one of a thousand million with 3 · 10⁻³⁰; that any two of so many meet each
//! other, with 1.5 · 10⁻²⁵ and 1.5 · 10⁻²¹. If they did, a token too many would be refused.
//!
//! With SHA-256 of all of it in a buffer, a fingerprint took 2.5 times as long (2026-11-22).

use std::hash::{BuildHasher, Hasher, RandomState};

use siphasher::sip128::{Hasher128, SipHasher24};

use super::{Revocation, RevocationTarget, entry::Kind};

/// Stands for one target of one issuer. What is asked of it depends on different bits of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Which of 256 shards it belongs to.
    pub(super) fn shard(&self) -> usize {
        let [shard, ..] = self.0;
        shard.into()
    }

    /// Where in its shard it belongs, of so many places.
    pub(super) fn home(&self, places: usize) -> usize {
        // What follows the shard, as a fraction of one.
        let fraction = u128::from_be_bytes(self.0) << 8 >> 64;
        let places = u64::try_from(places).unwrap_or_default();
        usize::try_from(fraction.wrapping_mul(places.into()) >> 64).unwrap_or_default()
    }

    /// What tells it from most of those at the same place; never 0.
    pub(super) fn tag(&self) -> u8 {
        let [.., tag] = self.0;
        tag.max(1)
    }

    /// One of eight bits.
    pub(super) const fn bit(&self) -> u8 {
        let [.., bit, _] = self.0;
        1 << (bit % 8)
    }

    /// A number that has nothing to do with anything.
    pub(super) const fn lot(&self) -> u32 {
        let [.., first, second, third, fourth, _, _] = self.0;
        u32::from_be_bytes([first, second, third, fourth])
    }
}

/// Takes fingerprints, with a key of its own.
pub(super) struct Fingerprints {
    keyed: SipHasher24,
}

/// Takes fingerprints of what one issuer says, once its identifier is read.
#[derive(Clone, Copy)]
pub(super) struct OfIssuer {
    read: SipHasher24,
}

impl Fingerprints {
    /// With a random key.
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        Self { keyed: SipHasher24::new_with_keys(random.hash_one(0_u8), random.hash_one(1_u8)) }
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
        self.issuer(revocation.issuer_identifier()).of(Kind::of(revocation.target()), name)
    }

    /// Of the issuer of what is revoked. Of a token that is known by its text alone, nobody knows it.
    pub(super) fn of_issuer(&self, revocation: &Revocation) -> Option<Fingerprint> {
        let issuer = revocation.issuer_identifier();
        let is_known = issuer.is_some() || !matches!(revocation.target(), RevocationTarget::TokenDigest(_));
        is_known.then(|| self.issuer(issuer).of(Kind::Issuer, &[]))
    }

    /// For the tokens of `issuer`.
    pub(super) fn issuer(&self, issuer: Option<&str>) -> OfIssuer {
        let mut read = self.keyed;
        // Its length first, and so no two issuers, kinds and names come to the same text.
        read.write_u64(issuer.map_or(0, |issuer| u64::try_from(issuer.len()).unwrap_or(u64::MAX).saturating_add(1)));
        read.write(issuer.unwrap_or_default().as_bytes());
        OfIssuer { read }
    }
}

impl OfIssuer {
    /// Of the issuer's tokens that have `name` in common.
    pub(super) fn of(&self, kind: Kind, name: &[u8]) -> Fingerprint {
        let mut hasher = self.read;
        hasher.write_u8(kind.number());
        hasher.write(name);
        Fingerprint(u128::from(hasher.finish128()).to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    impl Fingerprint {
        /// One that nobody would ever come upon.
        pub(in crate::status::revocations) const fn contrived(bytes: [u8; 16]) -> Self {
            Self(bytes)
        }
    }

    /// Ways to cut one text into an issuer and a name, as every kind, and with no issuer at all.
    #[test]
    fn no_two_issuers_kinds_and_names_have_the_same_fingerprint_threat_14() {
        let kinds = [
            Kind::TokenId,
            Kind::TokenDigest,
            Kind::Session,
            Kind::Subject,
            Kind::Client,
            Kind::Grant,
            Kind::Actor,
            Kind::Issuer,
        ];
        let fingerprints = Fingerprints::new();
        let mut seen = HashMap::new();
        // Kinds are written as these bytes; and of lengths around a word, and around 256, which is all that ends it.
        let texts = ["ab|c".to_owned(), "\0\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{7}\0\0".to_owned(), "\0".repeat(300)];
        for text in &texts {
            for length in 0..=text.len() {
                for cut in (0..=length).filter(|cut| *cut < 10 || cut + 10 > length) {
                    let (issuer, name) = (&text[..cut], &text[cut..length]);
                    for kind in kinds {
                        let of = |issuer: Option<&str>| fingerprints.issuer(issuer).of(kind, name.as_bytes());
                        let whole = seen.insert(of(Some(issuer)), (Some(issuer), kind, name));
                        assert!(whole.is_none_or(|whole| whole == (Some(issuer), kind, name)), "{whole:?}");
                        let none = seen.insert(of(None), (None, kind, name));
                        assert!(none.is_none_or(|none| none == (None, kind, name)), "{none:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_process_and_index_has_fingerprints_of_its_own() {
        let of = || Fingerprints::new().issuer(None).of(Kind::TokenId, b"t");
        assert_ne!(of(), of());
    }

    #[test]
    fn a_fingerprint_says_the_same_of_each_of_its_bytes_whatever_the_others_are() {
        let of = |at: usize| {
            let mut bytes = [0; 16];
            bytes[at] = 0xff;
            let one = Fingerprint(bytes);
            (one.shard(), one.home(1 << 32), one.tag(), one.bit(), one.lot())
        };
        assert_eq!(of(0), (255, 0, 1, 1, 0));
        assert_eq!(of(1), (0, 0xff00_0000, 1, 1, 0));
        assert_eq!(of(4), (0, 0xff, 1, 1, 0));
        assert_eq!(of(5), (0, 0, 1, 1, 0));
        assert_eq!(of(10), (0, 0, 1, 1, 0xff00_0000));
        assert_eq!(of(13), (0, 0, 1, 1, 0xff));
        assert_eq!(of(14), (0, 0, 1, 128, 0));
        assert_eq!(of(15), (0, 0, 255, 1, 0));
        assert_eq!(Fingerprint([0xff; 16]).home(15), 14, "the last of them, and none behind");
    }
}
