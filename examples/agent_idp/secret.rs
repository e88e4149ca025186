//! A client's secret: made or chosen → kept as a salted hash only (PBKDF2, RFC 8018 §5.2).

use std::{fmt, num::NonZeroU32};

use aws_lc_rs::{error::Unspecified, pbkdf2, rand};
use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

const ALGORITHM: pbkdf2::Algorithm = pbkdf2::PBKDF2_HMAC_SHA256;

/// Nobody guesses 256 random bits, however cheap a guess is.
const FOR_RANDOM: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

/// What a person chose can be guessed, and a guess is to be dear (OWASP, 2023: 600,000).
const FOR_CHOSEN: NonZeroU32 = NonZeroU32::new(600_000).unwrap();

/// A secret in the clear, on its way to or from its owner.
#[derive(Clone)]
pub(crate) struct Secret {
    text: String,
    iterations: NonZeroU32,
}

impl Secret {
    /// 256 random bits, as text.
    pub(crate) fn random() -> Result<Self, Unspecified> {
        Ok(Self { text: URL_SAFE_NO_PAD.encode_to_string(random::<32>()?), iterations: FOR_RANDOM })
    }

    /// One that somebody thought of.
    pub(crate) const fn chosen(text: String) -> Self {
        Self { text, iterations: FOR_CHOSEN }
    }

    /// The text itself, to be shown to its owner.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    /// Takes a while where it was chosen.
    pub(crate) fn hash(&self) -> Result<HashedSecret, Unspecified> {
        let (salt, mut hash) = (random()?, [0; 32]);
        pbkdf2::derive(ALGORITHM, self.iterations, &salt, self.text.as_bytes(), &mut hash);
        Ok(HashedSecret { salt, iterations: self.iterations, hash })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(<redacted>)")
    }
}

/// What is kept of a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HashedSecret {
    salt: [u8; 16],
    iterations: NonZeroU32,
    hash: [u8; 32],
}

impl HashedSecret {
    /// A hash of no secret, that takes as many iterations as that.
    pub(crate) const fn of_nobody(iterations: NonZeroU32) -> Self {
        Self { salt: [0; 16], iterations, hash: [0; 32] }
    }

    /// Whether `secret` is the one.
    pub(crate) fn is_of(&self, secret: &str) -> bool {
        pbkdf2::verify(ALGORITHM, self.iterations, &self.salt, secret.as_bytes(), &self.hash).is_ok()
    }

    pub(crate) const fn salt(&self) -> &[u8; 16] {
        &self.salt
    }

    pub(crate) const fn iterations(&self) -> NonZeroU32 {
        self.iterations
    }

    /// Whether to check a guess takes long.
    pub(crate) fn is_dear(&self) -> bool {
        self.iterations > FOR_RANDOM
    }

    /// A hash as cheap as any.
    pub(crate) const fn cheap() -> Self {
        Self::of_nobody(FOR_RANDOM)
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Unspecified> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_secret_and_of_no_other() {
        for secret in [Secret::random().unwrap(), Secret::chosen("correct horse".to_owned())] {
            let (hash, again) = (secret.hash().unwrap(), secret.hash().unwrap());
            assert!(hash.is_of(secret.expose()) && again.is_of(secret.expose()));
            assert!(hash != again, "without salt");
            let text = secret.expose();
            for other in ["", &text[1..], &format!("{text} "), &text.to_uppercase(), "\u{0}"] {
                assert!(!hash.is_of(other), "{other:?}");
            }
            let kept = serde_json::to_string(&hash).unwrap();
            assert!(!kept.contains(text));
            assert!(!format!("{secret:?}").contains(text));
        }
        assert!(!HashedSecret::cheap().is_of(""));
    }

    #[test]
    fn a_guess_at_what_a_person_chose_is_dear() {
        let chosen = Secret::chosen("hunter2".to_owned()).hash().unwrap();
        assert!(chosen.iterations().get() >= 600_000 && chosen.is_dear());
        assert!(!Secret::random().unwrap().hash().unwrap().is_dear());
    }
}
