//! PEM text of a private key → [`SigningKey`], and its signatures in their JWS form (RFC 5208, RFC 8017 §A.1.2, RFC 5915).

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    rand::{self, SystemRandom},
    signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair},
};

use super::{Algorithm, KeyError, KeyKind, base64url, der};

/// A private key, ready to use with its one algorithm; cloning shares it.
#[derive(Clone)]
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    pair: Arc<KeyPair>,
}

pub(super) enum KeyPair {
    Rsa(RsaKeyPair),
    EllipticCurve(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
}

impl SigningKey {
    /// The key of a PEM text: `PRIVATE KEY`, or `RSA PRIVATE KEY`, or `EC PRIVATE KEY`.
    pub(crate) fn from_pem(algorithm: Algorithm, text: &[u8]) -> Result<Self, KeyError> {
        let key = der::private_from_pem(text)?;
        let other = KeyError::Malformed("not a private key for this algorithm");
        let pair = match (algorithm.key_kind(), &key) {
            (KeyKind::Rsa, der::PrivateDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der).ok().map(KeyPair::Rsa),
            (KeyKind::Rsa, der::PrivateDer::Rsa(der)) => RsaKeyPair::from_der(der).ok().map(KeyPair::Rsa),
            (KeyKind::EllipticCurve, der::PrivateDer::Pkcs8(der) | der::PrivateDer::EllipticCurve(der)) => {
                let pair = EcdsaKeyPair::from_private_key_der(ecdsa_signing(algorithm).0, der);
                pair.ok().map(KeyPair::EllipticCurve)
            }
            (KeyKind::Edwards, der::PrivateDer::Pkcs8(der)) => {
                Ed25519KeyPair::from_pkcs8(der).ok().map(KeyPair::Edwards)
            }
            _ => return Err(KeyError::WrongType(algorithm)),
        };
        Ok(Self { algorithm, pair: Arc::new(pair.ok_or(other)?) })
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The signature in its JWS form (RFC 7518 §3); `None` where the system's random source fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.pair.sign(self.algorithm, message)
    }
}

impl KeyPair {
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(rsa_encoding(algorithm), &random, message, &mut signature);
                signed.ok().map(|()| signature)
            }
            Self::EllipticCurve(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Edwards(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm)
    }
}

/// A text of 128 random bits that nobody guesses or meets twice; `None` where the system's random source fails.
pub(crate) fn unique_id() -> Option<String> {
    let mut bits = [0; 16];
    rand::fill(&mut bits).ok()?;
    Some(base64url::encode(&bits))
}

fn rsa_encoding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_SHA512,
        _ => &signature::RSA_PKCS1_SHA256,
    }
}

/// How a curve's algorithm signs, and the curve's name.
pub(super) fn ecdsa_signing(algorithm: Algorithm) -> (&'static EcdsaSigningAlgorithm, &'static str) {
    match algorithm {
        Algorithm::ES384 => (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
        Algorithm::ES512 => (&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
        _ => (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC_PARAMETERS: &str = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";

    #[test]
    fn what_is_no_private_key_for_the_algorithm_is_refused_and_not_quoted_threat_29() {
        let block = |tag: &str| format!("-----BEGIN {tag}-----\nc2VjcmV0\n-----END {tag}-----\n");
        for text in [
            String::new(),
            "secret".to_owned(),
            EC_PARAMETERS.to_owned(),
            block("PRIVATE KEY"),
            block("RSA PRIVATE KEY"),
            block("EC PRIVATE KEY"),
            block("ENCRYPTED PRIVATE KEY"),
            block("OPENSSH PRIVATE KEY"),
            block("PUBLIC KEY"),
            block("CERTIFICATE"),
            block("PRIVATE KEY") + &block("PRIVATE KEY"),
        ] {
            for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519, Algorithm::HS256] {
                let error = SigningKey::from_pem(algorithm, text.as_bytes()).expect_err(&text).to_string();
                assert!(!error.contains("c2VjcmV0") && !error.contains("secret"), "{error}");
            }
        }
    }

    #[test]
    fn ids_are_not_met_twice() {
        let (one, other) = (unique_id().unwrap(), unique_id().unwrap());
        assert_eq!(one.len(), 22);
        assert_ne!(one, other);
    }
}
