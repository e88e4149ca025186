//! Bytes → their SHA-256 digest, taken piece by piece so that no two lists of pieces look alike.

use std::fmt;

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};

/// A digest being taken.
#[derive(Clone)]
pub(crate) struct Sha256(Context);

impl Sha256 {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Takes in one piece, and how long it is: `ab`, `c` and `a`, `bc` come to different digests.
    pub(crate) fn piece(mut self, bytes: &[u8]) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.update(&length.to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// The digest of these bytes and nothing else, as anybody would take it.
    pub(crate) fn of(bytes: &[u8]) -> [u8; 32] {
        Self::bytes(&digest(&SHA256, bytes))
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        Self::bytes(&self.0.finish())
    }

    fn bytes(digest: &Digest) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        bytes
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_run_into_each_other_threat_23() {
        let of =
            |pieces: &[&str]| pieces.iter().fold(Sha256::new(), |hash, piece| hash.piece(piece.as_bytes())).finish();
        let different = [of(&["ab", "c"]), of(&["a", "bc"]), of(&["abc"]), of(&["abc", ""]), of(&["", "abc"]), of(&[])];
        for (at, one) in different.iter().enumerate() {
            assert!(different.iter().skip(at + 1).all(|other| other != one), "{at}");
        }
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
    }
}
