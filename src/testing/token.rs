//! Claims, a header and a key → one compact JWS (RFC 7515 §7.1), good unless asked otherwise.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::Value;

use super::TestKey;
use crate::{
    clock::UnixTime,
    crypto::{Algorithm, base64url, generate::hmac_sign},
};

/// How long a token lasts unless told otherwise.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Numbers the tokens of this process.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Builds an access token (RFC 9068) that is right in everything that is not changed.
///
/// By default the header has `alg`, `typ` (`at+jwt`) and `kid`; the claims are `iss`, `sub`, `client_id`, `aud`, `iat`,
/// `exp` (an hour later) and `jti` (another for each token built). Claims keep the order in which they were set.
///
/// ```
/// use portcullis::{clock::UnixTime, crypto::Algorithm, testing::{TestKey, TokenBuilder}};
///
/// let key = TestKey::shared(Algorithm::ES256);
/// let builder = TokenBuilder::new("https://idp.example", &key, UnixTime::from_secs(1_900_000_000));
/// let good = builder.clone().scopes(["orders:read"]).build();
/// let unsigned = builder.unsigned().build();
/// assert_eq!(good.split('.').count(), 3);
/// assert!(unsigned.ends_with('.'));
/// ```
#[derive(Clone)]
pub struct TokenBuilder {
    header: Vec<(String, Member)>,
    claims: Vec<(String, Member)>,
    raw_header: Option<String>,
    raw_payload: Option<String>,
    now: UnixTime,
    key: TestKey,
    signing: Signing,
    tampered: bool,
}

/// A member of a JSON object: a value, or what is known only when the token is built.
#[derive(Clone)]
enum Member {
    Given(Value),
    KeyAlgorithm,
    KeyId,
    TokenId,
}

#[derive(Clone)]
enum Signing {
    WithKey,
    Hmac(Algorithm, Vec<u8>),
    Given(Vec<u8>),
}

impl TokenBuilder {
    /// The audience of a token that names no other.
    pub const AUDIENCE: &str = "https://api.example";

    /// A token of `issuer`, signed with `key`, issued `now`.
    #[must_use]
    pub fn new(issuer: impl Into<String>, key: &TestKey, now: UnixTime) -> Self {
        let builder = Self {
            header: vec![("alg".into(), Member::KeyAlgorithm)],
            claims: Vec::new(),
            raw_header: None,
            raw_payload: None,
            now,
            key: key.clone(),
            signing: Signing::WithKey,
            tampered: false,
        };
        let mut builder = builder
            .token_type("at+jwt")
            .claim("iss", issuer.into())
            .subject("user-1")
            .client_id("client-1")
            .audience(Self::AUDIENCE)
            .issued_at(now)
            .expires_in(LIFETIME);
        builder.header.push(("kid".into(), Member::KeyId));
        builder.claims.push(("jti".into(), Member::TokenId));
        builder
    }

    /// Sets `sub`.
    #[must_use]
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.claim("sub", subject.into())
    }

    /// Sets `client_id`.
    #[must_use]
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.claim("client_id", client_id.into())
    }

    /// Sets `aud`: a string, or an array of them.
    #[must_use]
    pub fn audience(self, audience: impl Into<Value>) -> Self {
        self.claim("aud", audience)
    }

    /// Sets `scope`, with a space between its tokens (RFC 8693 §4.2).
    #[must_use]
    pub fn scopes(self, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.claim("scope", joined(scopes))
    }

    /// Sets `iat`.
    #[must_use]
    pub fn issued_at(self, time: UnixTime) -> Self {
        self.claim("iat", time.as_secs())
    }

    /// Sets `exp`.
    #[must_use]
    pub fn expires_at(self, time: UnixTime) -> Self {
        self.claim("exp", time.as_secs())
    }

    /// Sets `exp`, counted from when this builder was made.
    #[must_use]
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let at = self.now.saturating_add(lifetime);
        self.expires_at(at)
    }

    /// Sets a claim to any JSON value.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.claims, name, value.into());
        self
    }

    /// Leaves a claim out.
    #[must_use]
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.retain(|(known, _)| known != name);
        self
    }

    /// Sets a header parameter to any JSON value.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.header, name, value.into());
        self
    }

    /// Leaves a header parameter out.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.retain(|(known, _)| known != name);
        self
    }

    /// Sets `kid`; the key stays.
    #[must_use]
    pub fn key_id(self, key_id: impl Into<String>) -> Self {
        self.header("kid", key_id.into())
    }

    /// Sets `typ`.
    #[must_use]
    pub fn token_type(self, token_type: impl Into<String>) -> Self {
        self.header("typ", token_type.into())
    }

    /// Sets `alg` alone; the key still signs with its own algorithm.
    #[must_use]
    pub fn algorithm_name(self, name: impl Into<String>) -> Self {
        self.header("alg", name.into())
    }

    /// The exact text of the payload, duplicates and garbage included; claims are then ignored.
    #[must_use]
    pub fn raw_payload(mut self, text: impl Into<String>) -> Self {
        self.raw_payload = Some(text.into());
        self
    }

    /// The exact text of the header; header parameters are then ignored.
    #[must_use]
    pub fn raw_header(mut self, text: impl Into<String>) -> Self {
        self.raw_header = Some(text.into());
        self
    }

    /// Signs with another key; `alg` and `kid` follow it unless they were set by hand.
    #[must_use]
    pub fn signed_with(mut self, key: &TestKey) -> Self {
        self.key = key.clone();
        self.signing = Signing::WithKey;
        self
    }

    /// Signs by HMAC under any bytes, and says so in `alg`: a public key's text as the secret is the classic confusion.
    ///
    /// # Panics
    /// Where the algorithm is not an HMAC.
    #[must_use]
    pub fn signed_as_hmac(mut self, algorithm: Algorithm, secret: impl Into<Vec<u8>>) -> Self {
        assert!(algorithm.is_symmetric(), "{algorithm} is not an HMAC");
        self.signing = Signing::Hmac(algorithm, secret.into());
        self.algorithm_name(algorithm.name())
    }

    /// Puts these bytes where the signature goes.
    #[must_use]
    pub fn signature(mut self, signature: impl Into<Vec<u8>>) -> Self {
        self.signing = Signing::Given(signature.into());
        self
    }

    /// `alg` `none` and an empty signature (RFC 7515 §A.5).
    #[must_use]
    pub fn unsigned(self) -> Self {
        self.algorithm_name("none").signature([])
    }

    /// Flips one bit of the signature.
    #[must_use]
    pub const fn tampered(mut self) -> Self {
        self.tampered = true;
        self
    }

    /// The token in compact serialization; another `jti` and another signature each time.
    #[must_use]
    pub fn build(&self) -> String {
        let header = self.raw_header.clone().unwrap_or_else(|| self.object(&self.header));
        let payload = self.raw_payload.clone().unwrap_or_else(|| self.object(&self.claims));
        let signed = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
        let mut signature = match &self.signing {
            Signing::WithKey => self.key.sign(signed.as_bytes()),
            Signing::Hmac(algorithm, secret) => hmac_sign(*algorithm, secret, signed.as_bytes()),
            Signing::Given(bytes) => bytes.clone(),
        };
        if let (true, Some(byte)) = (self.tampered, signature.first_mut()) {
            *byte ^= 1;
        }
        format!("{signed}.{}", base64url::encode(&signature))
    }

    /// JSON in the order of `members`, which a map would not keep.
    fn object(&self, members: &[(String, Member)]) -> String {
        let members = members.iter().map(|(name, member)| {
            let value = match member {
                Member::Given(value) => value.clone(),
                Member::KeyAlgorithm => self.key.algorithm_name().into(),
                Member::KeyId => self.key.key_id().into(),
                Member::TokenId => unique("token").into(),
            };
            format!("{}:{value}", Value::from(name.as_str()))
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for TokenBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |members: &[(String, Member)]| members.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("TokenBuilder")
            .field("header", &names(&self.header))
            .field("claims", &names(&self.claims))
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// `prefix-number`, never the same twice in this process.
pub(super) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The value of a `scope` parameter or claim (RFC 6749 §3.3).
pub(super) fn joined(scopes: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect::<Vec<_>>().join(" ")
}

fn set(members: &mut Vec<(String, Member)>, name: &str, value: Value) {
    match members.iter_mut().find(|(known, _)| known == name) {
        Some((_, member)) => *member = Member::Given(value),
        None => members.push((name.to_owned(), Member::Given(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> TokenBuilder {
        TokenBuilder::new("https://idp.example", &TestKey::shared(Algorithm::ES256), UnixTime::from_secs(1000))
    }

    fn parts(token: &str) -> (String, String, Vec<u8>) {
        let mut parts = token.split('.').map(|part| base64url::decode(part.as_bytes()).unwrap());
        let mut text = || String::from_utf8(parts.next().unwrap()).unwrap();
        (text(), text(), parts.next().unwrap())
    }

    fn holds(token: &str, key: &TestKey) -> bool {
        let signed = token.rsplit_once('.').unwrap().0;
        key.verifies(signed.as_bytes(), &parts(token).2)
    }

    #[test]
    fn a_token_is_right_by_default() {
        let token = builder().build();
        let (header, payload, _) = parts(&token);
        assert_eq!(header, r#"{"alg":"ES256","typ":"at+jwt","kid":"shared-ES256"}"#);
        let start = r#"{"iss":"https://idp.example","sub":"user-1","client_id":"client-1","aud":"https://api.example","iat":1000,"exp":4600,"jti":"token-"#;
        assert!(payload.starts_with(start), "{payload}");
        assert!(holds(&token, &TestKey::shared(Algorithm::ES256)));
        let again = builder();
        assert_ne!(parts(&again.build()).1, parts(&again.build()).1, "each token has its own jti");
    }

    #[test]
    fn claims_and_header_are_replaced_in_place_added_and_left_out() {
        let token = builder()
            .subject("s")
            .without_claim("iss")
            .without_claim("client_id")
            .claim("jti", 7)
            .audience(["a", "b"])
            .scopes(["x", "y:z"])
            .issued_at(UnixTime::from_secs(1))
            .expires_in(Duration::from_secs(5))
            .without_header("kid")
            .token_type("JWT")
            .header("crit", ["x"])
            .build();
        let (header, payload, _) = parts(&token);
        assert_eq!(header, r#"{"alg":"ES256","typ":"JWT","crit":["x"]}"#);
        assert_eq!(payload, r#"{"sub":"s","aud":["a","b"],"iat":1,"exp":1005,"jti":7,"scope":"x y:z"}"#);
    }

    #[test]
    fn raw_text_is_signed_to_the_letter() {
        let token = builder().raw_header(r#"{"alg":"ES256","alg":"none"}"#).raw_payload("garbage").build();
        let (header, payload, _) = parts(&token);
        assert_eq!((header.as_str(), payload.as_str()), (r#"{"alg":"ES256","alg":"none"}"#, "garbage"));
        assert!(holds(&token, &TestKey::shared(Algorithm::ES256)));
    }

    #[test]
    fn a_forgery_is_what_it_says() {
        let key = TestKey::shared(Algorithm::ES256);
        assert!(!holds(&builder().tampered().build(), &key));
        assert!(holds(&builder().algorithm_name("nOnE").build(), &key), "still signed");
        assert_eq!(parts(&builder().signature([1, 2]).build()).2, [1, 2]);

        let (header, _, signature) = parts(&builder().unsigned().build());
        assert!(header.starts_with(r#"{"alg":"none","#) && signature.is_empty());

        let secret = TestKey::shared(Algorithm::HS256);
        let token = builder().signed_as_hmac(Algorithm::HS256, secret.secret().unwrap()).build();
        assert!(parts(&token).0.starts_with(r#"{"alg":"HS256","#) && holds(&token, &secret));

        let other = TestKey::shared_other(Algorithm::RS256);
        let token = builder().signed_with(&other).build();
        assert_eq!(parts(&token).0, r#"{"alg":"RS256","typ":"at+jwt","kid":"shared-other-RS256"}"#);
        assert!(holds(&token, &other));
    }
}
