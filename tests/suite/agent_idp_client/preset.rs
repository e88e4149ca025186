//! Tokens of AgentIdP, as its document shows them → what a service that uses the preset makes of them.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use portcullis::{
    Algorithm, Authorizer, Issuer, KeySource, RejectionKind, Requirement, RouteTable, Unlisted,
    issuer::{Connection, Exchange, Transport},
    providers::agent_idp::{AgentIdp, scopes},
    testing::{ManualClock, TestKey, TokenBuilder},
};
use serde_json::json;

use super::AGENT;
use crate::support::bearer;

const BASE: &str = "http://localhost:3000";

/// The token service of the document, as far as a service behind the preset meets it.
#[derive(Clone, Debug)]
struct Service {
    clock: ManualClock,
    key: TestKey,
    /// Published too, and of another algorithm.
    foreign: TestKey,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    revoked: HashSet<String>,
    /// Those that may introspect.
    readers: HashSet<String>,
    asked: Vec<String>,
}

impl Service {
    fn new() -> Self {
        let (key, foreign) = (TestKey::shared(Algorithm::RS256), TestKey::generate(Algorithm::ES256, "es"));
        Self { clock: ManualClock::new(), key, foreign, state: Arc::default() }
    }

    /// A token with the claims of the document's table and no others.
    fn token(&self) -> TokenBuilder {
        let token = TokenBuilder::new(BASE, &self.key, self.clock.now().wall()).token_type("JWT").without_header("kid");
        let token = token.without_claim("iss").without_claim("aud").subject(AGENT).client_id(AGENT);
        token.scopes([scopes::AGENTS_READ, scopes::AGENTS_WRITE])
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let form: std::collections::HashMap<String, String> =
            url::form_urlencoded::parse(request.body()).into_owned().collect();
        let shown =
            request.headers().get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let mut state = self.state.lock().unwrap();
        state.asked.push(request.uri().path().to_owned());
        let (status, body) = match (request.method().as_str(), request.uri().path()) {
            ("GET", "/.well-known/jwks.json") => {
                let other = TestKey::shared_other(Algorithm::RS256).with_key_id("old");
                (200, json!({ "keys": [other.jwk(), self.key.jwk(), self.foreign.jwk()] }))
            }
            ("POST", "/api/v1/token") if form["client_secret"] == "s3cret" => {
                let token = self.token().build();
                if form.get("scope").is_none_or(|scope| scope == scopes::TOKENS_READ) {
                    state.readers.insert(token.clone());
                }
                (
                    200,
                    json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": form.get("scope") }),
                )
            }
            ("POST", "/api/v1/token/introspect") if form.len() > 1 => (400, json!({ "error": "invalid_request" })),
            ("POST", "/api/v1/token/introspect") if shown.is_some_and(|token| state.readers.contains(token)) => {
                let now = self.clock.now().wall().as_secs();
                let is_active = !state.revoked.contains(&form["token"]);
                let active = json!({
                    "active": true, "sub": AGENT, "client_id": AGENT, "scope": "agents:read agents:write",
                    "token_type": "Bearer", "iat": now, "exp": now + 3600,
                });
                (200, if is_active { active } else { json!({ "active": false }) })
            }
            ("POST", "/api/v1/token/revoke") if shown.is_some() => {
                state.revoked.insert(form["token"].clone());
                (200, json!({}))
            }
            _ => (401, json!({ "error": "invalid_client" })),
        };
        let answer = Response::builder().status(status).header("content-type", "application/json");
        answer.body(Bytes::from(body.to_string())).unwrap()
    }

    async fn protects(&self, issuer: Issuer) -> Authorizer {
        let authorizer = Authorizer::builder()
            .issuer(issuer)
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .transport(self.clone())
            .clock(self.clock.clone())
            .build()
            .unwrap();
        authorizer.ready(Duration::from_secs(1)).await.unwrap();
        self.asked();
        authorizer
    }
}

impl Transport for Service {
    fn send(&self, request: Request<Bytes>, _: usize) -> Exchange {
        let answer = self.answer(&request);
        Box::pin(async { Ok(answer) })
    }
}

async fn check(authorizer: &Authorizer, token: &str, requirement: Requirement) -> Result<(), RejectionKind> {
    let (headers, requirement) = (bearer(token), Arc::new(requirement));
    let decided = authorizer.authorize(&authorizer.input(&headers, &requirement)).await;
    decided.map(drop).map_err(|rejection| rejection.kind())
}

fn preset() -> Issuer {
    AgentIdp::at(BASE).unwrap().issuer("service", "s3cret")
}

#[tokio::test]
async fn a_token_of_the_document_opens_what_its_scopes_say_until_it_is_revoked() {
    let service = Service::new();
    let authorizer = service.protects(preset()).await;
    let connection = Connection::over(service.clone()).clock(service.clock.clone());
    let client = AgentIdp::at(BASE).unwrap().client(AGENT, "s3cret", &connection).unwrap();
    let token = client.issue(Some(&[scopes::AGENTS_READ])).await.unwrap();
    let token = token.access_token();
    service.asked();
    let reads = || Requirement::scope(scopes::AGENTS_READ);
    assert_eq!(check(&authorizer, token, reads()).await, Ok(()));
    assert_eq!(service.asked(), ["/api/v1/token", "/api/v1/token/introspect"]);
    assert_eq!(check(&authorizer, token, reads()).await, Ok(()));
    assert_eq!(service.asked().len(), 0, "the answer is kept");
    assert_eq!(
        check(&authorizer, token, Requirement::scope("audit:read")).await,
        Err(RejectionKind::InsufficientScope)
    );
    assert_eq!(check(&authorizer, token, reads().status_on_every_request()).await, Ok(()));
    assert_eq!(service.asked(), ["/api/v1/token/introspect"], "and so is the Bearer");

    client.revoke(token).await.unwrap();
    service.asked();
    let fresh = check(&authorizer, token, reads().status_on_every_request()).await;
    assert_eq!(fresh, Err(RejectionKind::InvalidToken));
    let other = service.token().build();
    assert_eq!(check(&authorizer, &other, reads()).await, Ok(()), "another of the same agent");
    client.revoke(&other).await.unwrap();
    service.clock.advance(Duration::from_secs(31));
    service.clock.settle().await;
    assert_eq!(check(&authorizer, &other, reads()).await, Err(RejectionKind::InvalidToken));
}

#[tokio::test]
async fn whatever_is_not_a_token_of_the_document_is_refused() {
    let service = Service::new();
    let authorizer = service.protects(preset()).await;
    let token = || service.token();
    for (name, token, expected) in [
        ("as in the document", token(), Ok(())),
        (
            "signed with the other published key",
            token().signed_with(&TestKey::shared_other(Algorithm::RS256)).without_header("kid"),
            Ok(()),
        ),
        ("with an issuer and an audience", token().claim("iss", "https://a").audience("b"), Ok(())),
        ("RFC 9068", token().token_type("at+jwt"), Err(())),
        ("without typ", token().without_header("typ"), Err(())),
        ("another's", token().subject("b"), Err(())),
        ("on behalf of a user", token().claim("client_id", "service"), Err(())),
        ("without sub", token().without_claim("sub"), Err(())),
        ("without client_id", token().without_claim("client_id"), Err(())),
        ("without either", token().without_claim("client_id").without_claim("sub"), Err(())),
        ("without end", token().without_claim("exp"), Err(())),
        ("an ID token", token().claim("nonce", "n"), Err(())),
        ("another algorithm", token().signed_with(&service.foreign).without_header("kid"), Err(())),
        ("RS512", token().algorithm_name("RS512"), Err(())),
        ("a forgery", token().tampered(), Err(())),
        ("unsigned", token().unsigned(), Err(())),
    ] {
        let verdict = check(&authorizer, &token.build(), Requirement::authenticated()).await;
        assert_eq!(verdict, expected.map_err(|()| RejectionKind::InvalidToken), "{name}");
    }
}

#[tokio::test]
async fn the_preset_can_be_changed_and_asks_nobody_where_it_is_told_so() {
    let service = Service::new();
    let keys = json!({ "keys": [service.key.jwk()] }).to_string();
    let idp = AgentIdp::at(BASE).unwrap().keys(KeySource::json(keys));
    let alone = service.protects(idp.issuer_without_status()).await;
    let token = service.token().build();
    service.state.lock().unwrap().revoked.insert(token.clone());
    assert_eq!(check(&alone, &token, Requirement::authenticated()).await, Ok(()), "nobody says that it is revoked");
    assert_eq!(service.asked().len(), 0);

    let stricter = idp.issuer("service", "s3cret").that("is an admin", |token| token.subject() == Some("admin"));
    let strict = service.protects(stricter).await;
    let token = service.token().build();
    assert_eq!(check(&strict, &token, Requirement::authenticated()).await, Err(RejectionKind::InvalidToken));
    // A service whose own secret is wrong lets nobody in, and says that it is its own trouble.
    let wrong = service.protects(idp.issuer("service", "wr0ng")).await;
    let verdict = check(&wrong, &token, Requirement::authenticated()).await;
    assert_eq!(verdict, Err(RejectionKind::StatusUnavailable));
    for shown in [format!("{:?}", idp.issuer("service", "s3cret")), format!("{idp:?}"), format!("{wrong:?}")] {
        assert!(!shown.contains("s3cret") && !shown.contains("wr0ng"), "{shown}");
    }
}
