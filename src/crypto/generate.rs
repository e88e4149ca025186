//! An algorithm → a fresh key and its signatures. Only for the fakes of `testing`: the library itself makes no keys.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    error::Unspecified,
    hmac, rand,
    rsa::KeySize,
    signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair},
};
use serde_json::{Value, json};

use super::{
    Algorithm, KeyKind, base64url,
    signing::{KeyPair, ecdsa_signing},
};

/// A private key; cloning shares it.
#[derive(Clone)]
pub(crate) struct GeneratedKey {
    algorithm: Algorithm,
    material: Arc<Material>,
}

enum Material {
    Pair(KeyPair),
    Secret(Vec<u8>),
}

impl GeneratedKey {
    /// A new key for `algorithm`: RSA keys of 2048 bits, secrets of 64 bytes.
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        let material = match algorithm.key_kind() {
            KeyKind::Rsa => RsaKeyPair::generate(KeySize::Rsa2048).map(|pair| Material::Pair(KeyPair::Rsa(pair))),
            KeyKind::EllipticCurve => EcdsaKeyPair::generate(ecdsa_signing(algorithm).0)
                .map(|pair| Material::Pair(KeyPair::EllipticCurve(pair))),
            KeyKind::Edwards => Ed25519KeyPair::generate().map(|pair| Material::Pair(KeyPair::Edwards(pair))),
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
            Material::Pair(_) => None,
        }
    }

    /// The signature in its JWS form (RFC 7518 §3).
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signed = match &*self.material {
            Material::Pair(pair) => pair.sign(self.algorithm, message),
            Material::Secret(secret) => Some(hmac_sign(self.algorithm, secret, message)),
        };
        #[expect(clippy::expect_used, reason = "a fake that cannot sign is of no use to its test")]
        signed.expect("a generated key signs")
    }

    /// The private half of a key pair as PKCS#8 in PEM; `None` for a secret.
    pub(crate) fn private_pem(&self) -> Option<String> {
        let der: Result<Vec<u8>, Unspecified> = match &*self.material {
            Material::Pair(KeyPair::Rsa(pair)) => pair.as_der().map(|der: Pkcs8V1Der<'_>| der.as_ref().to_vec()),
            Material::Pair(KeyPair::EllipticCurve(pair)) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Material::Pair(KeyPair::Edwards(pair)) => pair.as_der().map(|der: Pkcs8V1Der<'_>| der.as_ref().to_vec()),
            Material::Secret(_) => return None,
        };
        der.ok().map(|der| pem::encode(&pem::Pem::new("PRIVATE KEY", der)))
    }

    /// The public half as a JWK without `kid` and `use`; for a secret, the secret (RFC 7518 §6).
    pub(crate) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| Value::from(base64url::encode(bytes));
        match &*self.material {
            Material::Pair(KeyPair::Rsa(pair)) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({
                    "kty": "RSA", "alg": self.algorithm.name(),
                    "n": text(n.big_endian_without_leading_zero()), "e": text(e.big_endian_without_leading_zero()),
                })
            }
            Material::Pair(KeyPair::EllipticCurve(pair)) => {
                // An uncompressed point: 0x04, then x and y of equal length.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                let curve = ecdsa_signing(self.algorithm).1;
                json!({ "kty": "EC", "alg": self.algorithm.name(), "crv": curve, "x": text(x), "y": text(y) })
            }
            Material::Pair(KeyPair::Edwards(pair)) => {
                json!({ "kty": "OKP", "alg": "EdDSA", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
            Material::Secret(secret) => json!({ "kty": "oct", "alg": self.algorithm.name(), "k": text(secret) }),
        }
    }
}

impl fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GeneratedKey({})", self.algorithm)
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
