//! A secret and a purpose → names that nobody else can make, and boxes that nobody else can fill or open (RFC 5869, AES-256-GCM).

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    rand,
};

use super::{Sha256, base64url};

/// What those who know a secret seal for each other, for one purpose.
///
/// Each name has a key of its own, so that random nonces do not meet, whatever the number of boxes.
pub(crate) struct SealingKey {
    names: Prk,
    boxes: Prk,
}

impl SealingKey {
    /// The key of `secret` for what `purpose` digests. The secret must be hard to guess.
    pub(crate) fn derive(secret: &[u8], purpose: Sha256) -> Option<Self> {
        let root = Salt::new(HKDF_SHA256, b"portcullis sharing 1").extract(secret);
        let purpose = purpose.finish();
        let derive = |of: &[u8]| Some(root.expand(&[of, &purpose], HKDF_SHA256).ok()?.into());
        Some(Self { names: derive(b"names")?, boxes: derive(b"boxes")? })
    }

    /// The name of `what`: says nothing of it, and nobody else can tell which it is. `None` does not happen.
    pub(crate) fn name(&self, what: &[u8]) -> Option<String> {
        let mut name = [0; 32];
        self.names.expand(&[what], Length).ok()?.fill(&mut name).ok()?;
        Some(base64url::encode(&name))
    }

    /// A box for `name` with `label` on it, which is not secret; `None` where the system's random source fails.
    pub(crate) fn seal(&self, name: &str, label: &[u8], mut content: Vec<u8>) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let with = Aad::from(bound(name, label));
        self.key(name)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), with, &mut content).ok()?;
        Some([&nonce[..], &content].concat())
    }

    /// What is in the box, if it was sealed for this name and with this label.
    pub(crate) fn open(&self, name: &str, label: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut content = sealed.to_vec();
        let with = Aad::from(bound(name, label));
        let opened = self.key(name)?.open_in_place(Nonce::assume_unique_for_key(*nonce), with, &mut content).ok()?;
        let length = opened.len();
        content.truncate(length);
        Some(content)
    }

    fn key(&self, name: &str) -> Option<LessSafeKey> {
        let of = [name.as_bytes()];
        let key = self.boxes.expand(&of, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}

/// What a box belongs to.
fn bound(name: &str, label: &[u8]) -> [u8; 32] {
    Sha256::new().piece(name.as_bytes()).piece(label).finish()
}

/// 32 bytes.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"thirty-two bytes that are secret";

    fn key(secret: &[u8], purpose: &str) -> SealingKey {
        SealingKey::derive(secret, Sha256::new().piece(purpose.as_bytes())).unwrap()
    }

    #[test]
    fn a_box_opens_where_everything_is_as_it_was_and_nowhere_else_threat_12() {
        let mine = key(SECRET, "answers");
        let sealed = mine.seal("a", b"label", b"content".to_vec()).unwrap();
        assert_eq!(key(SECRET, "answers").open("a", b"label", &sealed).unwrap(), b"content");
        let others = [key(b"thirty-two bytes that are Secret", "answers"), key(SECRET, "tokens")];
        assert!(others.iter().all(|other| other.open("a", b"label", &sealed).is_none()));
        for (name, label) in [("b", &b"label"[..]), ("a", b"labe"), ("a", b""), ("al", b"abel")] {
            assert!(mine.open(name, label, &sealed).is_none(), "{name}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(mine.open("a", b"label", &changed).is_none(), "byte {at}");
            assert!(mine.open("a", b"label", &sealed[..at]).is_none(), "{at} bytes of it");
        }
    }

    #[test]
    fn nothing_shows_and_nothing_repeats_threat_29() {
        let key = key(SECRET, "answers");
        let sealed = [(); 2].map(|()| key.seal("a", b"", b"the same content".to_vec()).unwrap());
        assert_ne!(sealed[0], sealed[1]);
        assert!(sealed[0][12..].iter().zip(&sealed[1][12..]).filter(|(one, other)| one == other).count() < 16);
        assert_eq!(format!("{key:?}"), "SealingKey(<redacted>)");
    }

    #[test]
    fn a_name_is_of_one_thing_one_purpose_and_one_secret_threat_12_23() {
        let of = |secret: &[u8], purpose: &str, what: &[u8]| key(secret, purpose).name(what).unwrap();
        let mine = of(SECRET, "answers", b"a");
        assert_eq!(mine, of(SECRET, "answers", b"a"));
        assert!(mine.len() == 43 && mine.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        for other in [of(SECRET, "answers", b"b"), of(SECRET, "tokens", b"a"), of(&[7; 32], "answers", b"a")] {
            assert_ne!(mine, other);
        }
    }
}
