//! Randomness → a PKCE code verifier and its challenge (RFC 7636 §4).

use std::fmt;

use super::GrantexError;
use crate::crypto::{Sha256, base64url, unique_id};

/// A secret of which the authorization request shows the digest, and the exchange the secret: a code is then of no use to
/// whoever else gets hold of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Pkce {
    verifier: String,
}

impl Pkce {
    /// A new one, of 256 random bits.
    ///
    /// # Errors
    /// Where the system's random source fails.
    pub fn new() -> Result<Self, GrantexError> {
        let (Some(one), Some(other)) = (unique_id(), unique_id()) else { return Err(GrantexError::NoRandomness) };
        Ok(Self { verifier: one + &other })
    }

    /// The secret, for [`ExchangeRequest::code_verifier`](super::ExchangeRequest::code_verifier): 44 characters.
    #[must_use]
    pub fn verifier(&self) -> &str {
        &self.verifier
    }

    /// `codeChallenge` of the authorization request: 43 characters.
    #[must_use]
    pub fn challenge(&self) -> String {
        base64url::encode(&Sha256::of(self.verifier.as_bytes()))
    }

    /// `codeChallengeMethod` of the authorization request.
    pub const METHOD: &str = "S256";
}

impl fmt::Debug for Pkce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pkce(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_that_of_the_rfc() {
        let pkce = Pkce { verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned() };
        assert_eq!(pkce.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_is_one_of_the_rfc_and_not_met_twice() {
        let (one, other) = (Pkce::new().unwrap(), Pkce::new().unwrap());
        assert_ne!(one, other);
        assert!((43..=128).contains(&one.verifier().len()));
        assert!(one.verifier().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
        assert_eq!(one.challenge().len(), 43);
        assert!(!format!("{one:?}").contains(one.verifier()));
    }
}
