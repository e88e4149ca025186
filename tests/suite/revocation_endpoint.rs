//! Requests to the endpoint for revocations → answers, and what was taken in.

mod revision;
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use portcullis::{
    Algorithm, Authorize, Authorizer, ConfigError, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    middleware::RevocationEndpoint,
    status::{RevocationEvent, RevocationSink, Revocations, SinkAnswer, SinkError},
    testing::{ManualClock, TestKey, TokenBuilder},
};
use tower::ServiceExt as _;

use crate::{
    support::World,
    wire::{self, Plain, request, send},
};

const OURS: &str = "https://issuer.test";
const OTHER: &str = "https://other.test";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Keeps what it is told, or fails.
#[derive(Clone, Debug, Default)]
struct Log {
    events: Arc<Mutex<Vec<RevocationEvent>>>,
    fails: bool,
}

impl Log {
    /// One line for each event since the last time.
    fn take(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        events.iter().map(|event| serde_json::to_string(event).unwrap()).collect()
    }
}

impl RevocationSink for Log {
    fn accept(&self, events: Vec<RevocationEvent>) -> SinkAnswer {
        let log = self.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            if log.fails {
                return Err(SinkError::new("the log is closed"));
            }
            log.events.lock().unwrap().extend(events);
            Ok(None)
        })
    }
}

/// A body that says how long it is, and is not to be read.
struct Announced(u64);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        panic!("read, and it is too long")
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

/// Two issuers; the tokens of the second are signed with its own key.
async fn world() -> (World, TokenBuilder) {
    let key = TestKey::shared(Algorithm::ES256);
    let other = Issuer::with_keys(OTHER, KeySource::json(key.jwk().to_string())).audience(TokenBuilder::AUDIENCE);
    let world = World::with(|issuer| issuer, |builder| builder.issuer(other)).await;
    let tokens = TokenBuilder::new(OTHER, &key, ManualClock::START).scopes(["tokens:revoke"]);
    (world, tokens)
}

fn endpoint(world: &World, sink: impl RevocationSink) -> Authorize<RevocationEndpoint> {
    RevocationEndpoint::to(sink).behind(&world.authorizer, Requirement::scope("tokens:revoke")).unwrap()
}

fn post(token: &str, content_type: &str, body: impl Into<Bytes>) -> Request<Plain> {
    let request = request("POST /revocations", Some(token)).header("content-type", content_type);
    request.body(Plain::new(body.into())).unwrap()
}

/// Status and body of the answer.
async fn answer(endpoint: &Authorize<RevocationEndpoint>, request: Request<Plain>) -> (u16, String) {
    let response = send(endpoint, request).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn what_is_said_well_is_taken_in() {
    let (world, _) = world().await;
    let log = Log::default();
    let endpoint = endpoint(&world, log.clone());
    let admin = world.issuer.token().scopes(["tokens:revoke"]).build();
    // Whatever is not said: the caller's issuer, now, and that it is revoked.
    let rows = [
        (r#"{"jti":"t"}"#, r#"{"event":"revoke","iss":"https://issuer.test","jti":"t","revoked_at":1900000000}"#),
        (
            r#" {"event":"suspend","iss":"https://issuer.test","sid":"s","exp":1900003600}"#,
            r#"{"event":"suspend","iss":"https://issuer.test","sid":"s","exp":1900003600,"revoked_at":1900000000}"#,
        ),
        (r#"{"event":"resume","sub":"u"}"#, r#"{"event":"resume","iss":"https://issuer.test","sub":"u"}"#),
        (
            r#"{"sub":"u"}"#,
            r#"{"event":"revoke","iss":"https://issuer.test","sub":"u","issued_up_to":1900000000,"revoked_at":1900000000}"#,
        ),
        (
            r#"{"client_id":"c","issued_up_to":1800000000}"#,
            r#"{"event":"revoke","iss":"https://issuer.test","client_id":"c","issued_up_to":1800000000,"revoked_at":1900000000}"#,
        ),
        (
            r#"{"act":"a"}"#,
            r#"{"event":"revoke","iss":"https://issuer.test","act":"a","issued_up_to":1900000000,"revoked_at":1900000000}"#,
        ),
        (r#"{"grant":"g"}"#, r#"{"event":"revoke","iss":"https://issuer.test","grant":"g","revoked_at":1900000000}"#),
        (
            r#"{"issuer_wide":true}"#,
            r#"{"event":"revoke","iss":"https://issuer.test","issuer_wide":true,"issued_up_to":1900000000,"revoked_at":1900000000}"#,
        ),
        (
            r#"{"token":"text"}"#,
            r#"{"event":"revoke","iss":"https://issuer.test","token_sha256":"mC2ePrmW9VnmM_TRlN7zdh2Qn1o7ZH0ahR_q1nwyydE","revoked_at":1900000000}"#,
        ),
    ];
    for (said, taken_in) in rows {
        assert_eq!(answer(&endpoint, post(&admin, JSON, said)).await, (200, String::new()), "{said}");
        assert_eq!(log.take(), [taken_in]);
    }
    let batch = format!("[{}]", rows.map(|(said, _)| said).join(","));
    assert_eq!(answer(&endpoint, post(&admin, "Application/JSON; charset=utf-8", batch)).await.0, 200);
    assert_eq!(log.take(), rows.map(|(_, taken_in)| taken_in));
    // RFC 7009 §2.1: a hint is a hint.
    for form in ["token=text", "token_type_hint=refresh_token&token=te%78t&other=1"] {
        assert_eq!(answer(&endpoint, post(&admin, FORM, form)).await, (200, String::new()), "{form}");
        assert_eq!(log.take(), [rows[8].1]);
    }
}

#[tokio::test]
async fn what_is_said_badly_changes_nothing_threat_27() {
    let (world, _) = world().await;
    let log = Log::default();
    let endpoint = endpoint(&world, log.clone());
    let admin = world.issuer.token().scopes(["tokens:revoke"]).build();
    let many = format!("[{}]", vec![r#"{"jti":"t"}"#; 1001].join(","));
    // What is too much is not even looked at, nor kept.
    let flood = format!("[{},7]", vec!["{}"; 1001].join(","));
    let rows = [
        (JSON, &*flood, "not between one event and 1000"),
        (JSON, "", "line 1, column 0"),
        (JSON, "[]", "not between one event and 1000"),
        (JSON, &many, "not between one event and 1000"),
        (JSON, "{}", "event 1: not exactly one target"),
        (JSON, r#"{"issuer_wide":false}"#, "event 1: not exactly one target"),
        (JSON, r#"{"sub":"u","sid":"s"}"#, "event 1: not exactly one target"),
        (JSON, r#"{"sub":"u","issuer_wide":true}"#, "event 1: not exactly one target"),
        (JSON, r#"{"sid":""}"#, "event 1: an empty name"),
        (JSON, r#"{"token_sha256":"text"}"#, "event 1: not a SHA-256 digest"),
        (JSON, r#"{"sub":"u","issued_upto":1}"#, "line 1, column 24"),
        (JSON, r#"{"sub":"u","sub":"v"}"#, "line 1, column 16"),
        (JSON, r#"{"sub":"u","issued_up_to":null}"#, "line 1, column 30"),
        (JSON, r#"{"event":"forget","sub":"u"}"#, "line 1, column 17"),
        (JSON, r#"{"sub":"u","issued_up_to":1900000000000}"#, "event 1: an instant that is not in seconds"),
        (JSON, r#"{"sub":"u","exp":3600}"#, "event 1: an instant that is not in seconds"),
        (JSON, r#"{"jti":"t","revoked_at":1900000000}"#, "event 1: revoked_at is not for the caller to say"),
        (JSON, r#"{"jti":"t"}{"jti":"u"}"#, "line 1, column 12"),
        // All or nothing.
        (JSON, r#"[{"jti":"t"},{"jti":"u"},{"sub":"v","sid":"s"}]"#, "event 3: not exactly one target"),
        (JSON, r#"[{"jti":"t"},{"jti":"u","typo":1}]"#, "line 1, column 30"),
        (FORM, "", "there is no token"),
        (FORM, "token=", "there is no token"),
        (FORM, "token_type_hint=access_token", "there is no token"),
        (FORM, "token=a&token=b", "a parameter stands twice"),
        (FORM, r#"{"jti":"t"}"#, "there is no token"),
        (JSON, "token=text", "line 1, column 2"),
    ];
    for (content_type, said, expected) in rows {
        let (status, body) = answer(&endpoint, post(&admin, content_type, said.to_owned())).await;
        assert!(status == 400 && body.contains(expected), "{said}: {status} {body}");
        assert!(body.starts_with(r#"{"error":"invalid_request","error_description":""#), "{body}");
        assert!(log.take().is_empty(), "{said}");
    }
}

#[tokio::test]
async fn other_requests_are_told_what_is_needed() {
    let (world, _) = world().await;
    let log = Log::default();
    let endpoint = endpoint(&world, log.clone());
    let admin = world.issuer.token().scopes(["tokens:revoke"]).build();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let line = format!("{method} /revocations");
        let answer = wire::ask(&endpoint, &line, Some(&admin)).await;
        assert!(answer.starts_with("405\nallow: POST\ncache-control: no-store\n"), "{answer}");
    }
    for content_type in ["text/plain", "application/jsonp", "application/json, text/plain", "", "multipart/form-data"] {
        assert_eq!(answer(&endpoint, post(&admin, content_type, r#"{"jti":"t"}"#)).await.0, 415, "{content_type}");
    }
    let mut packed = post(&admin, JSON, r#"{"jti":"t"}"#);
    packed.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(answer(&endpoint, packed).await.0, 415);
    let bare = request("POST /revocations", Some(&admin)).body(Plain::from(r#"{"jti":"t"}"#)).unwrap();
    assert_eq!(answer(&endpoint, bare).await.0, 415);
    assert!(log.take().is_empty());
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound_threat_31() {
    let (world, _) = world().await;
    let log = Log::default();
    let endpoint = endpoint(&world, log.clone());
    let admin = world.issuer.token().scopes(["tokens:revoke"]).build();
    let padded = |length: usize| r#"{"jti":"t"}"#.to_owned() + &" ".repeat(length - 11);
    assert_eq!(answer(&endpoint, post(&admin, JSON, padded(256 * 1024))).await.0, 200);
    assert_eq!(log.take().len(), 1);
    assert_eq!(answer(&endpoint, post(&admin, JSON, padded(256 * 1024 + 1))).await.0, 413);
    let announced = request("POST /revocations", Some(&admin)).header("content-type", JSON);
    let announced = announced.body(Announced(256 * 1024 + 1)).unwrap();
    assert_eq!(endpoint.clone().oneshot(announced).await.unwrap().status(), 413);
    // One that does not say how long it will be, and never ends.
    let pieces = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&pieces);
    let endless = StreamBody::new(tokio_stream::iter(std::iter::repeat_with(move || {
        *counted.lock().unwrap() += 1;
        Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(" ".repeat(1024))))
    })));
    let request = request("POST /revocations", Some(&admin)).header("content-type", JSON).body(endless).unwrap();
    assert_eq!(endpoint.clone().oneshot(request).await.unwrap().status(), 413);
    assert_eq!((*pieces.lock().unwrap(), log.take().len()), (257, 0));
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing() {
    let (world, _) = world().await;
    let log = Log::default();
    let admin = world.issuer.token().scopes(["tokens:revoke"]).build();
    let pieces = [Ok(http_body::Frame::data(Bytes::from(r#"{"jti":"t"}"#))), Err("the connection broke off")];
    let body = StreamBody::new(tokio_stream::iter(pieces));
    let request = request("POST /revocations", Some(&admin)).header("content-type", JSON).body(body).unwrap();
    assert_eq!(endpoint(&world, log.clone()).oneshot(request).await.unwrap().status(), 400);
    assert!(log.take().is_empty());
}

#[tokio::test]
async fn nobody_is_let_in_without_a_sufficient_token_threat_27() {
    let (world, _) = world().await;
    let log = Log::default();
    let endpoint = endpoint(&world, log.clone());
    let without_scope = world.issuer.token().scopes(["tokens:read"]).build();
    let forged = world.issuer.token().scopes(["tokens:revoke"]).tampered().build();
    let body = || Plain::from(r#"{"jti":"t"}"#);
    for (token, expected) in [(None, 401), (Some(&without_scope), 403), (Some(&forged), 401)] {
        let request = request("POST /revocations", token.map(String::as_str)).header("content-type", JSON);
        assert_eq!(answer(&endpoint, request.body(body()).unwrap()).await.0, expected);
    }
    // The service without its layer, whoever took it apart.
    let admin = world.issuer.token().scopes(["tokens:revoke"]).build();
    let response = send(&endpoint.into_inner(), post(&admin, JSON, r#"{"jti":"t"}"#)).await;
    let text = wire::text(response).await;
    assert!(text.starts_with("401\n") && text.contains("www-authenticate: Bearer"), "{text}");
    assert!(log.take().is_empty());
}

#[tokio::test]
async fn nobody_speaks_for_another_issuer_threat_27() {
    let (world, others) = world().await;
    let log = Log::default();
    let endpoint = endpoint(&world, log.clone());
    let (ours, theirs) = (world.issuer.token().scopes(["tokens:revoke"]).build(), others.build());
    let said = |issuer: &str| format!(r#"[{{"jti":"t"}},{{"iss":"{issuer}","jti":"u"}}]"#);
    for (caller, issuer, expected) in [
        (&ours, OURS, 200),
        (&ours, OTHER, 403),
        (&ours, "https://issuer.test/", 403),
        (&ours, "", 403),
        (&theirs, OTHER, 200),
        (&theirs, OURS, 403),
    ] {
        let (status, body) = answer(&endpoint, post(caller, JSON, said(issuer))).await;
        assert_eq!(status, expected, "{issuer}");
        let taken_in = log.take();
        assert_eq!(taken_in.len(), if expected == 200 { 2 } else { 0 }, "{issuer}");
        assert!(taken_in.iter().all(|event| event.contains(&format!(r#""iss":"{issuer}""#))), "{taken_in:?}");
        assert_eq!(body.is_empty(), expected == 200);
    }
    // A text too is only a token of the caller's issuer.
    assert_eq!(answer(&endpoint, post(&theirs, FORM, "token=text")).await.0, 200);
    assert!(log.take()[0].contains(OTHER));
}

#[tokio::test]
async fn one_body_may_administer_all_issuers_where_it_is_said() {
    let (world, others) = world().await;
    let log = Log::default();
    let endpoint = RevocationEndpoint::to(log.clone())
        .for_issuers([OURS, "https://third.test"])
        .behind(&world.authorizer, Requirement::scope("tokens:revoke"))
        .unwrap();
    let theirs = others.build();
    for (issuer, expected) in [(OURS, 200), (OTHER, 200), ("https://third.test", 200), ("https://fourth.test", 403)] {
        let said = format!(r#"{{"iss":"{issuer}","jti":"u"}}"#);
        assert_eq!(answer(&endpoint, post(&theirs, JSON, said)).await.0, expected, "{issuer}");
        assert_eq!(log.take().len(), usize::from(expected == 200));
    }
    // A text may be a token of any of them.
    assert_eq!(answer(&endpoint, post(&theirs, FORM, "token=text")).await.0, 200);
    let taken_in = log.take();
    let of = |issuer: &str| taken_in.iter().any(|event| event.contains(issuer));
    assert!(taken_in.len() == 3 && of(OURS) && of(OTHER) && of("https://third.test"), "{taken_in:?}");
}

#[tokio::test]
async fn an_issuer_without_identifier_is_what_its_tokens_say() {
    let key = TestKey::shared(Algorithm::ES256);
    let clock = ManualClock::new();
    let authorizer = Authorizer::builder()
        .issuer(Issuer::without_identifier(KeySource::json(key.jwk().to_string())).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Deny).unwrap())
        .clock(clock)
        .build()
        .unwrap();
    let log = Log::default();
    let endpoint =
        RevocationEndpoint::to(log.clone()).behind(&authorizer, Requirement::scope("tokens:revoke")).unwrap();
    let named = TokenBuilder::new(OTHER, &key, ManualClock::START).scopes(["tokens:revoke"]);
    let bare = named.clone().without_claim("iss").build();
    let named = named.build();
    for (caller, said, expected) in [
        (&named, r#"{"jti":"t"}"#, 200),
        (&bare, r#"{"jti":"t"}"#, 200),
        (&named, r#"{"iss":"https://other.test","jti":"t"}"#, 200),
        (&bare, r#"{"iss":"https://other.test","jti":"t"}"#, 403),
        (&named, r#"{"iss":"https://issuer.test","jti":"t"}"#, 403),
    ] {
        assert_eq!(answer(&endpoint, post(caller, JSON, said)).await.0, expected, "{said}");
        let taken_in = log.take().join("");
        assert_eq!(taken_in.contains("iss"), expected == 200 && said.contains("iss"), "{taken_in}");
    }
}

#[tokio::test]
async fn what_no_sink_takes_in_is_to_be_sent_again() {
    let (world, _) = world().await;
    let (log, revocations) = (Log::default(), Revocations::new());
    let closed = Log { fails: true, ..Log::default() };
    let admin = world.issuer.token().scopes(["tokens:revoke"]).build();
    let to_all = |last: Log| {
        let all = RevocationEndpoint::to(revocations.clone()).and_to(log.clone()).and_to(last);
        all.behind(&world.authorizer, Requirement::scope("tokens:revoke")).unwrap()
    };
    let response = send(&to_all(closed), post(&admin, JSON, r#"{"jti":"t"}"#)).await;
    let expected = "503\ncache-control: no-store\ncontent-type: application/json\nretry-after: 1\n\n\
        {\"error\":\"temporarily_unavailable\",\"error_description\":\"not taken in; send it again\"}";
    assert_eq!(wire::text(response).await, expected);
    assert_eq!((log.take().len(), revocations.len()), (1, 1), "those before it took it in");
    assert_eq!(answer(&to_all(Log::default()), post(&admin, JSON, r#"{"jti":"t"}"#)).await.0, 200);
    assert_eq!((log.take().len(), revocations.len()), (1, 1));
}

#[tokio::test]
async fn a_requirement_that_anybody_meets_is_none() {
    let (world, _) = world().await;
    let build = |requirement: Requirement| {
        RevocationEndpoint::to(Revocations::new()).behind(&world.authorizer, requirement).map(|_| ())
    };
    let open = [
        Requirement::public(),
        Requirement::optional(),
        Requirement::scope("tokens:revoke").or_no_token(),
        Requirement::authenticated(),
        Requirement::authenticated().audience("https://other.example"),
        Requirement::all_of([]),
        Requirement::scope("not a scope"),
    ];
    for requirement in open {
        let name = requirement.to_string();
        let error = build(requirement).unwrap_err();
        assert!(matches!(error, ConfigError::Contradiction { .. } | ConfigError::Scope { .. }), "{name}: {error}");
    }
    build(Requirement::any_of(["a", "b"])).unwrap();
    build(Requirement::authenticated().that("is the console", |token| token.client_id() == Some("console"))).unwrap();
}
