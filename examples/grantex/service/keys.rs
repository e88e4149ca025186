//! Fresh keys → signed tokens, their claims again, and the mixed key set that Grantex publishes.

use aws_lc_rs::{
    digest,
    error::Unspecified,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
    },
};
use base64_simd::URL_SAFE_NO_PAD;
use portcullis::clock::UnixTime;
use serde_json::{Value, json};

use super::{Generation, time::month};

/// For how many months a key keeps the name that older tokens call it by.
const ALIASES: i32 = 13;

/// The keys of this service, made when it starts. Only the RSA key signs.
pub(crate) struct Keys {
    rsa: RsaKeyPair,
    generation: Generation,
    kid: String,
    /// The public halves (RFC 7517).
    pub(crate) jwks: Value,
}

impl Keys {
    pub(crate) fn generate(generation: Generation, now: UnixTime) -> Result<Self, Unspecified> {
        let (rsa, elliptic) =
            (RsaKeyPair::generate(KeySize::Rsa2048)?, EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?);
        let edwards = Ed25519KeyPair::generate()?;

        let public = rsa.public_key();
        let n = text(public.modulus().big_endian_without_leading_zero());
        let e = text(public.exponent().big_endian_without_leading_zero());
        let thumb = thumbprint(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
        let named = |kid: String| json!({ "kty": "RSA", "n": n, "e": e, "alg": "RS256", "use": "sig", "kid": kid });
        let current = format!("grantex-rs256-{thumb}");
        let mut keys = vec![named(current.clone())];
        keys.extend((0..ALIASES).map(|before| named(format!("grantex-{}", month(now, before)))));

        // An uncompressed point: 0x04, then x and y.
        let point = elliptic.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        let (x, y) = (text(x), text(y));
        let thumb = thumbprint(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        let kid = format!("grantex-es256-{thumb}");
        keys.push(json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES256", "use": "sig", "kid": kid }));

        let (x, kid) = (text(edwards.public_key().as_ref()), format!("grantex-ed25519-{}", month(now, 0)));
        keys.push(json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA", "use": "sig", "kid": kid }));

        let kid = match generation {
            Generation::Legacy => format!("grantex-{}", month(now, 0)),
            Generation::Current => current,
        };
        Ok(Self { rsa, generation, kid, jwks: json!({ "keys": keys }) })
    }

    /// Claims → a compact JWS (RFC 7515 §3.1). The older generation has no `typ`.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, Unspecified> {
        let header = match self.generation {
            Generation::Legacy => json!({ "alg": "RS256", "kid": self.kid }),
            Generation::Current => json!({ "alg": "RS256", "kid": self.kid, "typ": "at+jwt" }),
        };
        let message = format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)?;
        Ok(format!("{message}.{}", text(&signature)))
    }

    /// A token of this service's → its claims. Whatever its header says, there is one key and one algorithm.
    pub(crate) fn claims(&self, token: &str) -> Option<Value> {
        let (message, signature) = token.rsplit_once('.')?;
        let (_, claims) = message.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode_to_vec(signature).ok()?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.rsa.public_key().as_ref());
        key.verify(message.as_bytes(), &signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode_to_vec(claims).ok()?).ok()
    }
}

/// The SHA-256 digest of a JWK's required members, in the order of RFC 7638 §3.
fn thumbprint(members: &str) -> String {
    text(digest::digest(&digest::SHA256, members.as_bytes()).as_ref())
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}
