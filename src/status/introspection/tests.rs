//! Introspection through its source: what is sent, what answers mean, and what is asked again.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::{
    crypto::Algorithm,
    issuer::{ClientCredentials, HttpTransport},
    keys::KeySource,
    status::{StatusError, StatusQuestion, TokenStatus},
    testing::{Fault, ManualClock, Target, TestIssuer},
};

pub(super) const IDP: &str = "https://idp.example";

pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) issuer: TestIssuer,
    pub(super) environment: Environment,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process(IDP);
        issuer.register_client("c", "s3cret", ["tokens:read"]);
        let environment = Environment { transport: issuer.transport(), clock: Arc::new(clock.clone()) };
        Self { clock, issuer, environment }
    }

    pub(super) fn source(&self, introspection: Introspection) -> Arc<dyn StatusSource> {
        introspection.start(Some(IDP), None, &self.environment).unwrap()
    }

    pub(super) fn keys(&self, source: KeySource) -> Arc<Keys> {
        let algorithms = source.default_algorithms();
        Arc::new(Keys::start(source, Some(IDP), &algorithms, &self.environment).unwrap())
    }

    pub(super) fn opaque(&self) -> String {
        self.issuer.issue_opaque(["x"], Duration::from_secs(600))
    }

    pub(super) fn answers(&self, status: u16, content_type: &str, body: impl Into<Bytes>) {
        let (content_type, body) = (content_type.to_owned(), body.into());
        self.issuer.fault(Target::Introspection, Fault::Body { status, content_type, body });
    }
}

pub(super) fn basic() -> ClientAuthentication {
    ClientAuthentication::basic("c", "s3cret")
}

pub(super) async fn ask(source: &Arc<dyn StatusSource>, token: &str) -> Result<bool, StatusError> {
    let status = source.ask(&StatusQuestion::about_opaque(token.as_bytes())).await;
    status.map(|status: TokenStatus| status.is_active())
}

/// In a word what a verdict means.
pub(super) fn word(verdict: &Result<bool, StatusError>) -> String {
    match verdict {
        Ok(true) => "active".into(),
        Ok(false) => "inactive".into(),
        Err(StatusError::Malformed(_)) => "malformed".into(),
        Err(StatusError::UnsupportedTokenType) => "unsupported".into(),
        Err(StatusError::ClientRefused { .. }) => "client refused".into(),
        Err(StatusError::QuestionRefused { .. }) => "question refused".into(),
        Err(StatusError::Server { retry_after, .. }) => {
            format!("server {}", retry_after.map_or(0, |wait| wait.as_secs()))
        }
        Err(StatusError::RateLimited { retry_after }) => {
            format!("busy {}", retry_after.map_or(0, |wait| wait.as_secs()))
        }
        Err(other) => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_is_active_until_it_is_revoked() {
    let world = World::new();
    for introspection in
        [Introspection::discover(basic()), Introspection::at(world.issuer.introspection_url(), basic())]
    {
        let source = world.source(introspection);
        for token in [world.opaque(), world.issuer.token().build()] {
            assert_eq!(ask(&source, &token).await, Ok(true));
            world.issuer.revoke(&token);
            assert_eq!(ask(&source, &token).await, Ok(false));
        }
    }
    assert_eq!(world.issuer.asked().metadata, 1);
}

#[tokio::test]
async fn only_the_boolean_true_is_active() {
    let world = World::new();
    let source = world.source(Introspection::at(world.issuer.introspection_url(), basic()));
    let large = format!(r#"{{"active":true,"x":"{}"}}"#, "x".repeat(64 * 1024));
    let rows: &[(&str, &str)] = &[
        (r#"{"active":true}"#, "active"),
        (r#" {"active":true,"exp":1900000000.5,"iat":1.25,"aud":["a"],"unknown":{"a":[null]}} "#, "active"),
        (r#"{"active":false}"#, "inactive"),
        (r#"{"active":false,"exp":"never","sub":null}"#, "inactive"),
        (r#"{"\u0061ctive":true}"#, "active"),
        ("{}", "malformed"),
        ("", "malformed"),
        ("true", "malformed"),
        ("[true]", "malformed"),
        ("[]", "malformed"),
        ("null", "malformed"),
        ("active", "malformed"),
        (r#""{\"active\":true}""#, "malformed"),
        (r#"[{"active":true}]"#, "malformed"),
        (r#"{"active":"true"}"#, "malformed"),
        (r#"{"active":1}"#, "malformed"),
        (r#"{"active":1.0}"#, "malformed"),
        (r#"{"active":null}"#, "malformed"),
        (r#"{"active":[true]}"#, "malformed"),
        (r#"{"active":{"active":true}}"#, "malformed"),
        (r#"{"x":{"active":true}}"#, "malformed"),
        (r#"{"Active":true}"#, "malformed"),
        (r#"{"active":true,"active":true}"#, "malformed"),
        (r#"{"active":false,"active":true}"#, "malformed"),
        (r#"{"active":true,"active":false}"#, "malformed"),
        (r#"{"active":false,"\u0061ctive":true}"#, "malformed"),
        (r#"{"active":true,"sub":"a","sub":"b"}"#, "malformed"),
        (r#"{"active":true,"x":1,"x":1}"#, "malformed"),
        (r#"{"active":true,"exp":"1900000000"}"#, "malformed"),
        (r#"{"active":true,"exp":-1}"#, "malformed"),
        (r#"{"active":true,"iat":null}"#, "malformed"),
        (r#"{"active":true,"nbf":true}"#, "malformed"),
        (r#"{"active":true,"sub":7}"#, "malformed"),
        (r#"{"active":true,"aud":{}}"#, "malformed"),
        (r#"{"active":true,"scope":1}"#, "malformed"),
        (r#"{"active":true} {"active":true}"#, "malformed"),
        (r#"{"active":true"#, "malformed"),
        ("\u{feff}{\"active\":true}", "malformed"),
        ("<html>{\"active\":true}</html>", "malformed"),
        (&large, "malformed"),
    ];
    for (body, expected) in rows {
        world.answers(200, "application/json", (*body).to_owned());
        let verdict = ask(&source, "t").await;
        assert_eq!(word(&verdict), *expected, "{body:.100}");
    }
    for (content_type, expected) in [
        ("Application/JSON ; charset=utf-8", "active"),
        ("text/html", "malformed"),
        ("text/plain", "malformed"),
        ("application/jsonx", "malformed"),
        ("application/token-introspection+jwt", "malformed"),
        ("", "malformed"),
    ] {
        world.answers(200, content_type, r#"{"active":true}"#);
        assert_eq!(word(&ask(&source, "t").await), expected, "{content_type}");
    }
    let none = http::Response::new(Bytes::from_static(br#"{"active":true}"#));
    assert!(answer::plain(&none).is_ok(), "without Content-Type");
}

#[tokio::test]
async fn no_status_other_than_200_is_ever_active() {
    let world = World::new();
    let source = world.source(Introspection::discover(basic()));
    for status in (200..600).filter(|status| *status != 200) {
        for body in [
            r#"{"active":true}"#,
            r#"{"active":true,"error":"unsupported_token_type"}"#,
            r#"{"error":"invalid_request"}"#,
            "",
        ] {
            let expected = match status {
                400 if body.contains("unsupported") => "unsupported",
                401 | 403 => "client refused",
                404 | 405 | 408 | 410 | 500.. => "server 0",
                429 => "busy 0",
                400.. => "question refused",
                _ => "malformed",
            };
            world.answers(status, "application/json", body);
            assert_eq!(word(&ask(&source, "t").await), expected, "{status} {body}");
        }
    }
    for (fault, expected) in [
        (Fault::RetryAfter(429, 7), "busy 7"),
        (Fault::RetryAfter(503, 7), "server 7"),
        (Fault::RetryAfter(503, 86400), "server 300"),
        (Fault::RetryAfter(500, 7), "server 0"),
        (Fault::RetryAfter(200, 7), "malformed"),
        (Fault::Garbage, "malformed"),
        (Fault::Huge(64 * 1024 + 1), "malformed"),
        (Fault::Redirect(world.issuer.introspection_url()), "malformed"),
        (Fault::Reset, "Unreachable(\"no answer: connection reset\")"),
    ] {
        world.issuer.fault(Target::Introspection, fault.clone());
        assert_eq!(word(&ask(&source, "t").await), expected, "{fault:?}");
    }
}

#[tokio::test]
async fn without_credentials_nobody_is_asked_and_no_secret_is_told_threat_29() {
    let world = World::new();
    let wrong = ClientCredentials::discover(ClientAuthentication::basic("c", "wr0ng"));
    let source = world.source(Introspection::discover(ClientAuthentication::client_credentials(wrong)));
    let error = ask(&source, "t0ken").await.unwrap_err();
    let expected = "no credentials to ask with: https://idp.example/token answered 401 Unauthorized invalid_client";
    assert_eq!(error.to_string(), expected);
    assert_eq!(world.issuer.asked().introspection, 0);
    let configured = Introspection::discover(basic()).parameter("api_key", "wr0ng");
    let shown = format!("{source:?} {} {error:?} {configured:?}", source.identity());
    assert!(shown.contains(IDP) && !shown.contains("wr0ng") && !shown.contains("t0ken"), "{shown}");
}

#[tokio::test]
async fn metadata_without_a_usable_endpoint_are_no_word_on_a_token_threat_20() {
    let world = World::new();
    world.issuer.set_metadata(json!({ "issuer": IDP, "jwks_uri": world.issuer.jwks_url() }));
    let error = ask(&world.source(Introspection::discover(basic())), "t").await.unwrap_err();
    assert_eq!(error.to_string(), "no answer: the issuer's metadata name no introspection_endpoint");
    world.issuer.set_metadata(json!({ "issuer": IDP, "introspection_endpoint": "http://127.0.0.1/introspect" }));
    world.clock.advance(Duration::from_secs(5));
    let error = ask(&world.source(Introspection::discover(basic())), "t").await.unwrap_err().to_string();
    assert!(error.contains("names an endpoint that cannot be used"), "{error}");
}

#[tokio::test]
async fn it_works_over_real_http_too() {
    let issuer = TestIssuer::start().await;
    issuer.register_client("c:d", "s&c r+t", ["tokens:read"]);
    let (transport, clock) = (Arc::new(HttpTransport::new().unwrap()), Arc::new(crate::clock::SystemClock::new()));
    let environment = Environment { transport, clock };
    let url = Some(issuer.url());
    let keys = Arc::new(Keys::start(KeySource::discovery(), url, &Algorithm::ASYMMETRIC, &environment).unwrap());
    let token = issuer.issue_opaque(["x"], Duration::from_secs(600));
    let basic = ClientAuthentication::basic("c:d", "s&c r+t");
    let own = ClientAuthentication::client_credentials(ClientCredentials::discover(basic.clone()).scope("tokens:read"));
    for (authentication, protected) in
        [(basic, false), (ClientAuthentication::post("c:d", "s&c r+t"), false), (own, true)]
    {
        if protected {
            issuer.protect_introspection("tokens:read");
        }
        let discovered = Introspection::discover(authentication);
        for introspection in [discovered.clone(), discovered.signed_answers()] {
            let source = introspection.start(url, Some(Arc::clone(&keys)), &environment).unwrap();
            assert_eq!(ask(&source, &token).await, Ok(true), "{source:?}");
            assert_eq!(ask(&source, "another").await, Ok(false), "{source:?}");
        }
    }
    let source = Introspection::discover(ClientAuthentication::bearer("wrong")).start(url, None, &environment).unwrap();
    issuer.fault(Target::Introspection, Fault::Huge(1024 * 1024));
    assert_eq!(word(&ask(&source, &token).await), "malformed");
    issuer.fault(Target::Introspection, Fault::Redirect(issuer.introspection_url()));
    assert_eq!(word(&ask(&source, &token).await), "malformed");
    issuer.heal();
    assert_eq!(word(&ask(&source, &token).await), "client refused");
}

#[test]
fn what_could_not_work_is_refused_at_start_up() {
    let world = World::new();
    let start = |introspection: Introspection, issuer| introspection.start(issuer, None, &world.environment).err();
    let at = |url: &str| Introspection::at(url, basic());
    for (introspection, issuer, expected) in [
        (at("http://idp.example/i"), None, "not an introspection endpoint"),
        (at("/introspect"), None, "not an introspection endpoint"),
        (Introspection::discover(basic()), None, "discovery of the introspection endpoint needs an issuer"),
        (Introspection::discover(ClientAuthentication::basic("c", "")), Some(IDP), "client authentication"),
        (at("https://idp.example/i").parameter("token", "x"), None, "the extra parameter \"token\""),
        (at("https://idp.example/i").parameter("client_id", "x"), None, "the extra parameter \"client_id\""),
        (at("https://idp.example/i").signed_answers(), None, "signed answers need an issuer"),
        (at("https://idp.example/i").signed_answers(), Some(IDP), "signed answers need the issuer's keys"),
        (at("https://idp.example/i").signed_answers_for(""), Some(IDP), "signed answers need an audience"),
        (
            Introspection::discover(ClientAuthentication::bearer("x")).signed_answers(),
            Some(IDP),
            "signed answers need an audience",
        ),
    ] {
        let error = start(introspection, issuer).expect(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
