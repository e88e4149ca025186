//! Key material given by hand → [`VerificationKey`].

use std::sync::Arc;

use crate::crypto::{Algorithm, KeyError, PreparedKey};

/// A key that verifies signatures of one algorithm, parsed and checked.
///
/// A key without a `kid` is tried for every token of its algorithm; one with a `kid` only for tokens that name it or
/// name none.
#[derive(Clone, Debug)]
pub struct VerificationKey {
    key_id: Option<Box<str>>,
    prepared: Arc<PreparedKey>,
}

impl VerificationKey {
    /// A public key in PEM: `PUBLIC KEY`, or for RSA also `RSA PUBLIC KEY`.
    ///
    /// # Errors
    /// Where the text holds no such key, or one that is too weak.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        PreparedKey::from_pem(algorithm, pem).map(Self::without_id)
    }

    /// A public key in DER: a SubjectPublicKeyInfo, or for RSA also a PKCS#1 RSAPublicKey.
    ///
    /// # Errors
    /// Where the bytes are no such key, or one that is too weak.
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        PreparedKey::from_der(algorithm, der).map(Self::without_id)
    }

    /// A shared secret for HS256, HS384 or HS512, at least as long as the hash. Whoever verifies with it can also sign.
    ///
    /// # Errors
    /// Where the secret is too short, or is the text of a key that others may know.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        PreparedKey::from_secret(algorithm, secret).map(Self::without_id)
    }

    /// A key of the jsonwebtoken crate, with the algorithm it is meant for.
    ///
    /// # Errors
    /// As for the other constructors.
    pub fn from_decoding_key(algorithm: Algorithm, key: &jsonwebtoken::DecodingKey) -> Result<Self, KeyError> {
        use jsonwebtoken::{AlgorithmFamily, DecodingKeyKind};
        let prepared = match (key.family(), key.kind()) {
            (AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) => {
                PreparedKey::from_secret(algorithm, secret)
            }
            (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => PreparedKey::rsa(algorithm, n, e),
            (AlgorithmFamily::Rsa, DecodingKeyKind::SecretOrDer(der)) => PreparedKey::from_der(algorithm, der),
            (_, DecodingKeyKind::SecretOrDer(point)) => PreparedKey::from_raw_point(algorithm, point),
            _ => Err(KeyError::WrongType(algorithm)),
        };
        prepared.map(Self::without_id)
    }

    /// The same key under the name that tokens call it by (`kid`, RFC 7515 §4.1.4).
    #[must_use]
    pub fn with_key_id(mut self, key_id: &str) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Its `kid`.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The one algorithm it is used with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.prepared.algorithm()
    }

    pub(crate) fn without_id(prepared: PreparedKey) -> Self {
        Self::shared(None, Arc::new(prepared))
    }

    pub(super) const fn shared(key_id: Option<Box<str>>, prepared: Arc<PreparedKey>) -> Self {
        Self { key_id, prepared }
    }

    pub(super) const fn prepared(&self) -> &Arc<PreparedKey> {
        &self.prepared
    }
}
