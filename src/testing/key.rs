//! An algorithm and a `kid` → [`TestKey`]: something that signs, and its JWK (RFC 7517 §4).

use std::{
    collections::HashMap,
    fmt,
    sync::{LazyLock, Mutex, PoisonError},
};

use serde_json::Value;

use crate::crypto::{Algorithm, Curve, KeyKind, PreparedKey, base64url, generate::GeneratedKey};

/// The keys that tests ask for by name, made once per process. RSA keys serve all RSA algorithms.
static SHARED: LazyLock<Mutex<HashMap<(Algorithm, Slot), GeneratedKey>>> = LazyLock::new(Mutex::default);

/// RSA keys of issuers. They take long to make, so that one which nobody else holds any more is used again.
static ISSUERS: Mutex<Vec<GeneratedKey>> = Mutex::new(Vec::new());

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Slot {
    First,
    Other,
}

/// A key pair (or, for HMAC, a secret) with a `kid`; cloning shares it.
///
/// ```
/// use portcullis::{crypto::Algorithm, testing::TestKey};
///
/// let key = TestKey::generate(Algorithm::ES256, "2030-03");
/// assert_eq!(key.jwk()["kid"], "2030-03");
/// assert_eq!(key.sign(b"message").len(), 64);
/// ```
#[derive(Clone)]
pub struct TestKey {
    key_id: String,
    key: GeneratedKey,
}

impl TestKey {
    /// A new key. RSA keys of 2048 bits take a while: prefer [`TestKey::shared`].
    #[must_use]
    pub fn generate(algorithm: Algorithm, key_id: impl Into<String>) -> Self {
        Self { key_id: key_id.into(), key: GeneratedKey::generate(algorithm) }
    }

    /// The key that this process uses for `algorithm`. All RSA algorithms share one key pair.
    #[must_use]
    pub fn shared(algorithm: Algorithm) -> Self {
        Self { key_id: format!("shared-{algorithm}"), key: shared(algorithm, Slot::First) }
    }

    /// Another key for `algorithm`, the same throughout the process, never that of [`TestKey::shared`].
    #[must_use]
    pub fn shared_other(algorithm: Algorithm) -> Self {
        Self { key_id: format!("shared-other-{algorithm}"), key: shared(algorithm, Slot::Other) }
    }

    /// A key that nobody else alive holds: new, or for RSA one that was given up.
    pub(super) fn of_its_own(algorithm: Algorithm, key_id: impl Into<String>) -> Self {
        if algorithm.key_kind() != KeyKind::Rsa {
            return Self::generate(algorithm, key_id);
        }
        let mut keys = ISSUERS.lock().unwrap_or_else(PoisonError::into_inner);
        let free = keys.iter().find(|key| !key.is_held_elsewhere()).map(|key| key.with_algorithm(algorithm));
        let key = free.unwrap_or_else(|| {
            let new = GeneratedKey::generate(algorithm);
            keys.push(new.clone());
            new
        });
        Self { key_id: key_id.into(), key }
    }

    /// The same key under another `kid`.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = key_id.into();
        self
    }

    /// The same key used with another algorithm, such as `PS256` instead of `RS256`.
    ///
    /// # Panics
    /// Where the algorithm needs another type of key.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.key = self.key.with_algorithm(algorithm);
        self
    }

    /// Its `kid`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What it signs with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// Its `alg` in headers and JWKs; for Ed25519 `EdDSA`, which authorization servers still write.
    pub(super) fn algorithm_name(&self) -> &'static str {
        match self.algorithm() {
            Algorithm::Ed25519 => "EdDSA",
            other => other.name(),
        }
    }

    /// The public half as a JWK with `kid`, `alg` and `use`. Of a secret, the JWK is the secret itself (`kty` `oct`).
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = self.key.jwk();
        jwk["kid"] = self.key_id.as_str().into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm_name().into();
        jwk
    }

    /// The signature over `message` in its JWS form (RFC 7518 §3).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message)
    }

    /// Whether `signature` is this key's, judged as a resource server would: by its JWK.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.prepared().is_some_and(|key| key.verify(message, signature).is_ok())
    }

    /// The private half as PKCS#8 in PEM, for a client that signs; `None` for a secret.
    ///
    /// ```
    /// use portcullis::{crypto::Algorithm, issuer::PrivateKey, testing::TestKey};
    ///
    /// let pem = TestKey::shared(Algorithm::ES256).private_pem().unwrap();
    /// assert!(PrivateKey::from_pem(Algorithm::ES256, pem.as_bytes()).is_ok());
    /// ```
    #[must_use]
    pub fn private_pem(&self) -> Option<String> {
        self.key.private_pem()
    }

    fn prepared(&self) -> Option<PreparedKey> {
        let jwk = self.jwk();
        let bytes = |name: &str| base64url::decode(jwk.get(name)?.as_str()?.as_bytes());
        let prepared = match self.algorithm().key_kind() {
            KeyKind::Rsa => PreparedKey::rsa(self.algorithm(), &bytes("n")?, &bytes("e")?),
            KeyKind::EllipticCurve => {
                let curve = Curve::from_name(jwk.get("crv")?.as_str()?)?;
                PreparedKey::elliptic_curve(curve, &bytes("x")?, &bytes("y")?)
            }
            KeyKind::Edwards => PreparedKey::ed25519(&bytes("x")?),
            KeyKind::Secret => PreparedKey::from_secret(self.algorithm(), &bytes("k")?),
        };
        prepared.ok()
    }

    /// The secret of an HMAC key; `None` for a key pair.
    #[must_use]
    pub fn secret(&self) -> Option<Vec<u8>> {
        self.key.secret().map(<[u8]>::to_vec)
    }
}

impl fmt::Debug for TestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestKey({} {:?})", self.algorithm(), self.key_id)
    }
}

fn shared(algorithm: Algorithm, slot: Slot) -> GeneratedKey {
    let material = if algorithm.key_kind() == KeyKind::Rsa { Algorithm::RS256 } else { algorithm };
    let mut keys = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let key = keys.entry((material, slot)).or_insert_with(|| GeneratedKey::generate(material));
    key.with_algorithm(algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SigningKey;

    #[test]
    fn every_algorithm_signs_what_its_jwk_verifies() {
        let secrets = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        for algorithm in Algorithm::ASYMMETRIC.into_iter().chain(secrets) {
            let (key, other) = (TestKey::shared(algorithm), TestKey::shared_other(algorithm));
            assert_eq!(key.jwk(), TestKey::shared(algorithm).jwk());
            assert_eq!((&key.jwk()["use"], &key.jwk()["kid"]), (&"sig".into(), &key.key_id().into()));
            assert_eq!(Algorithm::from_name(key.jwk()["alg"].as_str().unwrap()), Some(algorithm));
            assert!(key.verifies(b"message", &key.sign(b"message")), "{algorithm}");
            assert!(!key.verifies(b"message", &other.sign(b"message")), "{algorithm}");
            assert_eq!(key.secret().is_some(), algorithm.is_symmetric());
        }
    }

    #[test]
    fn every_private_key_is_read_back_from_its_pem_and_only_for_its_own_algorithm() {
        let kinds = [Algorithm::RS256, Algorithm::PS512, Algorithm::ES256, Algorithm::ES384, Algorithm::ES512];
        for algorithm in kinds.into_iter().chain([Algorithm::Ed25519]) {
            let key = TestKey::shared(algorithm);
            let pem = key.private_pem().unwrap();
            let read = SigningKey::from_pem(algorithm, pem.as_bytes()).unwrap();
            assert!(key.verifies(b"message", &read.sign(b"message").unwrap()), "{algorithm}");
            for other in kinds.into_iter().filter(|other| !(algorithm.is_rsa() && other.is_rsa())) {
                assert_eq!(
                    SigningKey::from_pem(other, pem.as_bytes()).is_ok(),
                    other == algorithm,
                    "{algorithm} {other}"
                );
            }
        }
        assert_eq!(TestKey::shared(Algorithm::HS256).private_pem(), None);
    }

    #[test]
    fn a_key_can_change_its_name_and_its_algorithm_but_shows_no_secret() {
        let key = TestKey::shared(Algorithm::RS256).with_key_id("k").with_algorithm(Algorithm::PS512);
        assert_eq!(format!("{key:?}"), "TestKey(PS512 \"k\")");
        assert!(key.verifies(b"message", &key.sign(b"message")));
        assert_eq!(key.jwk()["n"], TestKey::shared(Algorithm::RS256).jwk()["n"]);
        assert!(key.jwk().get("d").is_none());
    }
}
