//! What the tests of Grantex share: a server that says what it is told to say, and tokens as it writes them.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Full;
use portcullis::{
    Algorithm, AuthorizeLayer, Authorizer, Issuer, Requirement, RouteTable, Unlisted,
    issuer::{Connection, Exchange, Transport, TransportError},
    providers::grantex::{Grantex, GrantexClient},
    testing::{ManualClock, TestKey, TokenBuilder},
};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::bearer;

pub const BASE: &str = "http://127.0.0.1:3001";
pub const KEY: &str = "gx_sandbox_0123456789";
pub const AUDIENCE: &str = TokenBuilder::AUDIENCE;

/// What the server does with a call.
#[derive(Clone, Debug)]
pub enum Says {
    /// A status, headers, a body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The connection breaks.
    Nothing,
    /// It breaks once the answer is larger than it may be.
    TooMuch,
    /// It does not answer, ever.
    Hangs,
}

/// A server of which each call gets the next answer; the last one again and again.
#[derive(Clone, Debug, Default)]
pub struct FakeGrantex {
    says: Arc<Mutex<VecDeque<Says>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// A call as it was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// Method and URL.
    pub line: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl FakeGrantex {
    pub fn says(&self, answers: impl IntoIterator<Item = Says>) {
        *self.says.lock().unwrap() = answers.into_iter().collect();
    }

    /// What was asked since the last time.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    pub fn client(&self, clock: &ManualClock) -> GrantexClient {
        GrantexClient::new(BASE, KEY, self.connection(clock)).unwrap()
    }

    pub fn connection(&self, clock: &ManualClock) -> Connection {
        Connection::over(self.clone()).clock(clock.clone())
    }
}

impl Transport for FakeGrantex {
    fn send(&self, request: Request<Bytes>, max_body: usize) -> Exchange {
        if request.uri().path() == "/.well-known/jwks.json" {
            return Box::pin(async { Ok(Response::new(jwks().to_string().into())) });
        }
        let (line, headers) = (format!("{} {}", request.method(), request.uri()), request.headers().clone());
        self.calls.lock().unwrap().push(Call { line, headers, body: request.into_body() });
        let mut says = self.says.lock().unwrap();
        let next = if says.len() > 1 { says.pop_front() } else { says.front().cloned() };
        Box::pin(async move {
            match next.expect("nobody is asked") {
                Says::Nothing => Err(TransportError::Failed("connection reset".into())),
                Says::TooMuch => Err(TransportError::TooLarge(max_body)),
                Says::Hangs => std::future::pending().await,
                Says::Answer(status, headers, body) => {
                    let mut answer = Response::builder().status(status);
                    for (name, value) in headers {
                        answer = answer.header(name, value);
                    }
                    Ok(answer.body(body.into()).unwrap())
                }
            }
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a text or a value, as it comes")]
pub fn answer(status: u16, body: impl ToString) -> Says {
    Says::Answer(status, vec![("content-type", "application/json; charset=utf-8".to_owned())], body.to_string())
}

pub fn busy(status: u16, retry_after: u64) -> Says {
    let body = json!({ "message": "Plan rate limit exceeded", "code": "RATE_LIMIT_EXCEEDED", "requestId": "r-1" });
    Says::Answer(status, vec![("retry-after", retry_after.to_string())], body.to_string())
}

/// A mixed set as it is published: one RSA key under a `kid` for each month, an Ed25519 key, keys of another business.
pub fn jwks() -> Value {
    let rsa = TestKey::shared(Algorithm::RS256);
    let months =
        (0..36).map(|month| rsa.clone().with_key_id(format!("grantex-{}-{:02}", 2024 + month / 12, month % 12 + 1)));
    let mut keys: Vec<_> = months.map(|key| key.jwk()).collect();
    keys.push(rsa.with_key_id("grantex-rs256-thumb").jwk());
    keys.push(TestKey::shared(Algorithm::ES256).with_key_id("grantex-es256-thumb").jwk());
    keys.push(TestKey::shared(Algorithm::Ed25519).with_key_id("grantex-ed25519-2026-11").jwk());
    keys.push(TestKey::shared_other(Algorithm::ES256).with_key_id("commerce").jwk());
    keys.push(json!({ "kty": "RSA", "kid": "spoilt", "alg": "RS256", "use": "sig", "n": "AQAB", "e": "AQAB" }));
    keys.push(json!({ "kid": 7 }));
    json!({ "keys": keys })
}

/// A token as servers up to 0.5 write it.
pub fn legacy() -> TokenBuilder {
    let key = TestKey::shared(Algorithm::RS256).with_key_id("grantex-2026-11");
    TokenBuilder::new(BASE, &key, ManualClock::START)
        .without_header("typ")
        .without_claim("client_id")
        .subject("user_1")
        .claim("jti", "tok_1")
        .claim("agt", "did:grantex:ag_1")
        .claim("dev", "dev_1")
        .claim("scp", json!(["calendar:read", "payments:initiate:max_500"]))
        .claim("grnt", "grnt_1")
}

/// A token as servers from 0.6 on write it, signed with either of their keys.
pub fn standard(algorithm: Algorithm) -> TokenBuilder {
    let key = TestKey::shared(algorithm);
    let name = format!("grantex-{}-thumb", algorithm.name().to_lowercase());
    TokenBuilder::new(BASE, &key.with_key_id(name), ManualClock::START)
        .subject("user_1")
        .claim("jti", "tok_1")
        .client_id("ag_1")
        .scopes(["calendar:read", "payments:initiate:max_500"])
        .claim("urn:grantex:grant", grant())
}

pub fn grant() -> Value {
    json!({ "grant_id": "grnt_1", "agent_did": "did:grantex:ag_1", "developer_id": "dev_1" })
}

/// An authorizer for such tokens.
pub async fn authorizer(fake: &FakeGrantex, clock: &ManualClock, change: impl FnOnce(Issuer) -> Issuer) -> Authorizer {
    let issuer = change(Grantex::at(BASE).unwrap().audience(AUDIENCE));
    let authorizer = Authorizer::builder()
        .issuer(issuer)
        .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
        .transport(fake.clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    authorizer.ready(std::time::Duration::from_secs(1)).await.unwrap();
    authorizer
}

/// The status that the layer answers where `requirement` counts, and its challenge.
pub async fn ask(authorizer: &Authorizer, requirement: Requirement, token: &str) -> (StatusCode, String) {
    let inner = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    let mut request = Request::new(());
    *request.headers_mut() = bearer(token);
    let layer = AuthorizeLayer::require(authorizer.clone(), requirement).unwrap();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    let challenge = response.headers().get(header::WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap());
    (response.status(), challenge.to_owned())
}
