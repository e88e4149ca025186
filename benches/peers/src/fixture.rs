//! One issuer, its key set on 127.0.0.1, and its tokens, good and bad: the same for whoever is measured.

use std::{error::Error, time::SystemTime};

use axum::{Router, routing::get};
use http::HeaderValue;
use portcullis::{
    Algorithm,
    clock::UnixTime,
    testing::{TestKey, TokenBuilder},
};
use serde_json::json;

/// What goes wrong before anything is measured.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "https://api.example";
/// The one that every request needs.
pub(crate) const SCOPE: &str = "agents:read";
/// Characters of the good token: those of a real one.
pub(crate) const TOKEN_LEN: usize = 717;

/// What a handler gets from those that want to be told a type.
#[derive(Clone, Debug, serde::Deserialize)]
#[allow(dead_code, reason = "read by nobody, as it is handed to a handler that does nothing")]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) client_id: String,
    pub(crate) exp: u64,
    pub(crate) scope: String,
}

impl Claims {
    /// Whether the scope is among them, whole.
    pub(crate) fn suffice(&self) -> bool {
        self.scope.split(' ').any(|scope| scope == SCOPE)
    }
}

/// An issuer that anybody can be configured with.
pub(crate) struct Fixture {
    /// Its keys, as text.
    pub(crate) jwks: String,
    /// Where they are served.
    pub(crate) jwks_url: String,
    pub(crate) tokens: Tokens,
}

/// `Authorization` headers.
pub(crate) struct Tokens {
    pub(crate) good: HeaderValue,
    pub(crate) not_a_jwt: HeaderValue,
    pub(crate) bad_signature: HeaderValue,
    pub(crate) expired: HeaderValue,
    pub(crate) foreign_issuer: HeaderValue,
    pub(crate) foreign_audience: HeaderValue,
    pub(crate) unknown_key: HeaderValue,
    pub(crate) without_scope: HeaderValue,
}

impl Tokens {
    /// The good one's text.
    pub(crate) fn text(&self) -> &str {
        let text = self.good.to_str().ok().and_then(|header| header.strip_prefix("Bearer "));
        text.expect("it was put together from ASCII")
    }

    /// What a requirement might not look at, and a token that shows whether it does.
    pub(crate) fn bad(&self) -> [(&'static str, &HeaderValue); 5] {
        [
            ("signature", &self.bad_signature),
            ("exp", &self.expired),
            ("iss", &self.foreign_issuer),
            ("aud", &self.foreign_audience),
            ("scope", &self.without_scope),
        ]
    }
}

impl Fixture {
    /// Makes a key and starts to serve it.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let key = TestKey::shared(Algorithm::RS256).with_key_id("2026-11-22-rs256");
        let jwks = json!({ "keys": [key.jwk()] }).to_string();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let jwks_url = format!("http://{}/jwks.json", listener.local_addr()?);
        let served = jwks.clone();
        let body = move || async { ([("content-type", "application/json")], served) };
        let app = Router::new().route("/jwks.json", get(body));
        tokio::spawn(async { axum::serve(listener, app).await });
        Ok(Self { jwks, jwks_url, tokens: tokens(&key)? })
    }
}

fn tokens(key: &TestKey) -> Result<Tokens, Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    // For a day: no run lasts longer.
    let good = TokenBuilder::new(ISSUER, key, UnixTime::from_secs(now - 60))
        .subject("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
        .client_id("web-shop")
        .audience(AUDIENCE)
        .claim("jti", "0198c9a2-7f3e-7d1b")
        .claim("exp", now + 86_400)
        .scopes([SCOPE, "agents:write"]);
    let bearer = |text: String| HeaderValue::try_from(format!("Bearer {text}"));
    let text = good.build();
    if text.len() != TOKEN_LEN {
        return Err(format!("the token has {} characters instead of {TOKEN_LEN}", text.len()).into());
    }
    Ok(Tokens {
        not_a_jwt: bearer("not.a-jwt".to_owned())?,
        bad_signature: bearer(bent(&text))?,
        good: bearer(text)?,
        expired: bearer(good.clone().claim("exp", now - 3600).claim("iat", now - 7200).build())?,
        foreign_issuer: bearer(good.clone().claim("iss", "https://foreign.example").build())?,
        foreign_audience: bearer(good.clone().audience("https://foreign.example").build())?,
        unknown_key: bearer(good.clone().key_id("2020-01-01-gone!").build())?,
        without_scope: bearer(good.scopes(["agents:readonly"]).build())?,
    })
}

/// With another character in the middle of its signature: still below the key's modulus, so that nobody is done early.
fn bent(token: &str) -> String {
    let at = token.len() - 100;
    let other = if token[at..].starts_with('A') { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}
