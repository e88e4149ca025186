//! A fresh key pair → signatures. Only for the fakes of `testing`: the library itself never signs a token.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    hmac,
    rand::{self, SystemRandom},
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair},
};
use serde_json::{Value, json};

use super::{Algorithm, KeyKind, base64url};

/// A private key; cloning shares it.
#[derive(Clone)]
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    material: Arc<Material>,
}

enum Material {
    Rsa(RsaKeyPair),
    EllipticCurve(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl SigningKey {
    /// A new key for `algorithm`: RSA keys of 2048 bits, secrets of 64 bytes.
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        let material = match algorithm.key_kind() {
            KeyKind::Rsa => RsaKeyPair::generate(KeySize::Rsa2048).map(Material::Rsa),
            KeyKind::EllipticCurve => EcdsaKeyPair::generate(ecdsa_signing(algorithm).0).map(Material::EllipticCurve),
            KeyKind::Edwards => Ed25519KeyPair::generate().map(Material::Edwards),
            KeyKind::Secret => {
                let mut secret = vec![0; 64];
                rand::fill(&mut secret).map(|()| Material::Secret(secret))
            }
        };
        #[expect(clippy::expect_used, reason = "a fake without randomness is of no use to its test")]
        let material = Arc::new(material.expect("the system's random source answers"));
        Self { algorithm, material }
    }

    /// The same key used with another algorithm of its kind.
    pub(crate) fn with_algorithm(&self, algorithm: Algorithm) -> Self {
        assert_eq!(self.algorithm.key_kind(), algorithm.key_kind(), "another kind of key");
        Self { algorithm, material: Arc::clone(&self.material) }
    }

    /// Whether a clone of this key is alive.
    pub(crate) fn is_held_elsewhere(&self) -> bool {
        Arc::strong_count(&self.material) > 1
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes of a symmetric key.
    pub(crate) fn secret(&self) -> Option<&[u8]> {
        match &*self.material {
            Material::Secret(secret) => Some(secret),
            Material::Rsa(_) | Material::EllipticCurve(_) | Material::Edwards(_) => None,
        }
    }

    /// The signature in its JWS form (RFC 7518 §3).
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let signed = match &*self.material {
            Material::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(rsa_encoding(self.algorithm), &random, message, &mut signature).map(|()| signature)
            }
            Material::EllipticCurve(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Material::Edwards(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Material::Secret(secret) => Ok(hmac_sign(self.algorithm, secret, message)),
        };
        #[expect(clippy::expect_used, reason = "a fake that cannot sign is of no use to its test")]
        signed.expect("a generated key signs")
    }

    /// The public half as a JWK without `kid` and `use`; for a secret, the secret (RFC 7518 §6).
    pub(crate) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| Value::from(base64url::encode(bytes));
        match &*self.material {
            Material::Rsa(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({
                    "kty": "RSA", "alg": self.algorithm.name(),
                    "n": text(n.big_endian_without_leading_zero()), "e": text(e.big_endian_without_leading_zero()),
                })
            }
            Material::EllipticCurve(pair) => {
                // An uncompressed point: 0x04, then x and y of equal length.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                let curve = ecdsa_signing(self.algorithm).1;
                json!({ "kty": "EC", "alg": self.algorithm.name(), "crv": curve, "x": text(x), "y": text(y) })
            }
            Material::Edwards(pair) => {
                json!({ "kty": "OKP", "alg": "EdDSA", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
            Material::Secret(secret) => json!({ "kty": "oct", "alg": self.algorithm.name(), "k": text(secret) }),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm)
    }
}

/// HMAC under any secret, for tokens that pretend.
pub(crate) fn hmac_sign(algorithm: Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let hash = match algorithm {
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec()
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

fn ecdsa_signing(algorithm: Algorithm) -> (&'static EcdsaSigningAlgorithm, &'static str) {
    match algorithm {
        Algorithm::ES384 => (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
        Algorithm::ES512 => (&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
        _ => (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
    }
}
