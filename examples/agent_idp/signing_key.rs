//! Claims → a token signed with RS256 (RFC 7515, 7518 §3.3); the key → its JWK set.

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    error::{KeyRejected, Unspecified},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64_simd::URL_SAFE_NO_PAD;
use portcullis::clock::UnixTime;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// For how long a token counts, in seconds.
pub(crate) const LIFETIME: u64 = 3600;

/// What a token says. Neither who issued it, nor whom it is for.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) client_id: String,
    pub(crate) scope: String,
    pub(crate) jti: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
}

impl Claims {
    /// A new token of this agent's, from now on.
    pub(crate) fn new(client_id: &str, scope: String, now: UnixTime) -> Self {
        let (sub, client_id, iat) = (client_id.to_owned(), client_id.to_owned(), now.as_secs());
        Self { sub, client_id, scope, jti: Uuid::new_v4().to_string(), iat, exp: iat.saturating_add(LIFETIME) }
    }
}

/// The one key that signs tokens.
pub(crate) struct SigningKey(RsaKeyPair);

impl SigningKey {
    /// A new key, as PKCS#8.
    pub(crate) fn generate() -> Result<Vec<u8>, Unspecified> {
        let der: Pkcs8V1Der<'_> = RsaKeyPair::generate(KeySize::Rsa2048)?.as_der()?;
        Ok(der.as_ref().to_vec())
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyRejected> {
        RsaKeyPair::from_pkcs8(der).map(Self)
    }

    /// The token in its compact form.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, Unspecified> {
        let claims = serde_json::to_vec(claims).map_err(|_| Unspecified)?;
        let header = URL_SAFE_NO_PAD.encode_to_string(br#"{"alg":"RS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode_to_string(claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode_to_string(signature)))
    }

    /// The public half, for whoever verifies tokens (RFC 7517 §5).
    pub(crate) fn jwk_set(&self) -> String {
        let public = self.0.public_key();
        let [n, e] = [public.modulus(), public.exponent()]
            .map(|number| URL_SAFE_NO_PAD.encode_to_string(number.big_endian_without_leading_zero()));
        json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "n": n, "e": e }] }).to_string()
    }
}
