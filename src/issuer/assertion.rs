//! A private key and a client → the signed word that we are that client (RFC 7523 §2.2, §3).

use std::{fmt, time::Duration};

use serde_json::json;

use crate::{
    clock::UnixTime,
    crypto::{Algorithm, KeyError, SigningKey, base64url, unique_id},
};

/// Long enough for the way there and clocks that differ a little; too short to be worth stealing.
const LIFETIME: Duration = Duration::from_secs(60);

/// A private key that a client signs with, of one algorithm.
///
/// It is never shown, not even by `Debug`.
#[derive(Clone)]
pub struct PrivateKey {
    key: SigningKey,
    key_id: Option<Box<str>>,
}

impl PrivateKey {
    /// A private key in PEM, not encrypted: PKCS#8 (`PRIVATE KEY`), or `RSA PRIVATE KEY`, or `EC PRIVATE KEY`.
    ///
    /// # Errors
    /// Where the text holds no such key for `algorithm`, which must be an asymmetric one.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        SigningKey::from_pem(algorithm, pem).map(|key| Self { key, key_id: None })
    }

    /// The name under which the authorization server knows the public half (`kid`). Servers that know several need it.
    #[must_use]
    pub fn with_key_id(mut self, key_id: &str) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// An assertion that its signer is `client_id`, good for a minute and for one use.
    pub(super) fn assertion(&self, client_id: &str, audience: &str, token_type: &str, now: UnixTime) -> Option<String> {
        let mut header = json!({ "alg": self.key.algorithm().name(), "typ": token_type });
        if let Some(key_id) = &self.key_id {
            header["kid"] = (&**key_id).into();
        }
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": audience, "jti": unique_id()?,
            "iat": now.as_secs(), "exp": now.saturating_add(LIFETIME).as_secs(),
        });
        let part = |value: serde_json::Value| base64url::encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = base64url::encode(&self.key.sign(signed.as_bytes())?);
        Some(format!("{signed}.{signature}"))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} {:?})", self.key.algorithm(), self.key_id)
    }
}
