//! Grantex's webhooks: what was signed just now counts once, and nothing else does.

use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::hmac;
use axum::Router;
use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Builder};
use http_body::Frame;
use http_body_util::StreamBody;
use portcullis::{
    clock::UnixTime,
    providers::grantex::{GrantexWebhook, GrantexWebhookError},
    status::{Revocation, RevocationEvent, RevocationSink, Revocations, SinkAnswer, SinkError},
    testing::ManualClock,
};
use serde_json::json;
use tokio::{net::TcpListener, sync::Semaphore};
use tower::ServiceExt as _;

use crate::wire::{Plain, text};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";
const OLD_SECRET: &str = "fedcba9876543210fedcba9876543210fedcba9876543210";
const ISSUER: &str = "https://grantex.dev";
const NOW: u64 = ManualClock::START.as_secs();

/// Takes in what it is told, or not.
#[derive(Clone, Debug, Default)]
struct Sink(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    events: Mutex<Vec<RevocationEvent>>,
    fails: Mutex<bool>,
    /// Who takes in has to pass here.
    gate: Semaphore,
}

impl Default for Taken {
    fn default() -> Self {
        Self { events: Mutex::default(), fails: Mutex::default(), gate: Semaphore::new(1000) }
    }
}

impl Sink {
    fn take(&self) -> Vec<RevocationEvent> {
        std::mem::take(&mut self.0.events.lock().unwrap())
    }
}

impl RevocationSink for Sink {
    fn accept(&self, events: Vec<RevocationEvent>) -> SinkAnswer {
        let taken = Arc::clone(&self.0);
        Box::pin(async move {
            taken.gate.acquire().await.unwrap().forget();
            if *taken.fails.lock().unwrap() {
                return Err(SinkError::new("the log is full"));
            }
            taken.events.lock().unwrap().extend(events);
            Ok(None)
        })
    }
}

/// A webhook, what it is told by, and what became of it.
struct World {
    clock: ManualClock,
    sink: Sink,
    webhook: GrantexWebhook,
}

impl World {
    fn new() -> Self {
        let (clock, sink) = (ManualClock::new(), Sink::default());
        let webhook = GrantexWebhook::from_issuer(ISSUER)
            .secret(SECRET)
            .secret(OLD_SECRET)
            .clock(clock.clone())
            .to(sink.clone())
            .unwrap();
        Self { clock, sink, webhook }
    }

    async fn send<B>(&self, request: Request<B>) -> StatusCode
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.webhook.clone().oneshot(request).await.unwrap().status()
    }
}

fn event(kind: &str, data: &serde_json::Value) -> String {
    json!({ "id": "evt_1", "type": kind, "createdAt": "2030-03-17T17:46:40.000Z", "data": data }).to_string()
}

fn revoked(grant: &str) -> String {
    event("grant.revoked", &json!({ "grantId": grant, "cascade": true }))
}

/// What the webhook comes to when it is told that.
fn taken(grant: &str) -> RevocationEvent {
    RevocationEvent::Revoked(Revocation::grant(Some(ISSUER), grant).revoked_at(UnixTime::from_secs(NOW)))
}

fn signature(secret: &str, text: &str) -> String {
    let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text.as_bytes());
    code.as_ref().iter().fold("sha256=".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The head of a delivery that is signed with that secret, at that time.
fn head(secret: &str, sent: u64, body: &str) -> Builder {
    Request::post("/webhooks")
        .header("content-type", "application/json")
        .header("x-grantex-signature", signature(secret, body))
        .header("x-grantex-timestamp", sent.to_string())
        .header("x-grantex-signature-v2", signature(secret, &format!("{sent}.{body}")))
}

fn delivery(secret: &str, sent: u64, body: &str) -> Request<Plain> {
    head(secret, sent, body).body(Plain::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_revoked_grant_is_taken_in_whatever_secret_of_ours_signed_it() {
    for secret in [SECRET, OLD_SECRET] {
        let world = World::new();
        assert_eq!(world.send(delivery(secret, NOW, &revoked("g1"))).await, 200);
        assert_eq!(world.sink.take(), [taken("g1")]);
    }
}

#[tokio::test]
async fn other_events_are_well_received_and_have_no_effect() {
    let world = World::new();
    for body in [
        event("grant.created", &json!({ "grantId": "g1" })),
        event("token.issued", &json!({ "tokenId": "t1", "grantId": "g1" })),
        event("grant.revoked.later", &json!({ "grantId": "g1" })),
        event("Grant.Revoked", &json!({ "grantId": "g1" })),
        json!({ "type": "of.another.kind" }).to_string(),
    ] {
        // As often as it comes: there is nothing to replay.
        for _ in 0..2 {
            assert_eq!(world.send(delivery(SECRET, NOW, &body)).await, 200, "{body}");
        }
    }
    assert_eq!(world.sink.take(), []);
}

#[tokio::test]
async fn what_is_signed_and_no_event_is_refused_threat_31() {
    let world = World::new();
    for body in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        json!({ "data": { "grantId": "g1" } }).to_string(),
        json!({ "type": 7 }).to_string(),
        json!({ "type": "grant.revoked" }).to_string(),
        event("grant.revoked", &json!(null)),
        event("grant.revoked", &json!({})),
        event("grant.revoked", &json!({ "grantId": "" })),
        event("grant.revoked", &json!({ "grantId": null })),
        event("grant.revoked", &json!({ "grantId": ["g1"] })),
        r#"{"type":"token.issued","type":"grant.revoked","data":{"grantId":"g1"}}"#.to_owned(),
        r#"{"type":"grant.revoked","data":{"grantId":"g1","grantId":"g2"}}"#.to_owned(),
        format!("{} ", revoked("g1")) + "x",
        "[".repeat(200_000),
    ] {
        assert_eq!(world.send(delivery(SECRET, NOW, &body)).await, 400, "{body:.100}");
    }
    assert_eq!(world.sink.take(), []);
}

#[tokio::test]
async fn nothing_is_taken_in_that_grantex_did_not_sign_just_now_threat_27() {
    let (body, sent) = (revoked("g1"), NOW.to_string());
    let signed = signature(SECRET, &format!("{NOW}.{body}"));
    let with = |changes: &[(&'static str, Option<String>)]| {
        let (mut head, body) = delivery(SECRET, NOW, &body).into_parts();
        for (name, value) in changes {
            match value {
                Some(value) => drop(head.headers.insert(*name, value.parse().unwrap())),
                None => drop(head.headers.remove(*name)),
            }
        }
        Request::from_parts(head, body)
    };
    let twice = |name: &'static str| {
        let mut request = delivery(SECRET, NOW, &body);
        let value = request.headers()[name].clone();
        request.headers_mut().append(name, value);
        request
    };
    let at = |text: &str| {
        with(&[
            ("x-grantex-timestamp", Some(text.to_owned())),
            ("x-grantex-signature-v2", Some(signature(SECRET, &format!("{text}.{body}")))),
        ])
    };
    let v2 = |text: String| with(&[("x-grantex-signature-v2", Some(text))]);
    let mut changed = body.clone().into_bytes();
    changed[20] ^= 1;
    let rows: Vec<(&str, Request<Plain>)> = vec![
        ("another secret", delivery("another-secret-0123456789", NOW, &body)),
        ("no secret", delivery("", NOW, &body)),
        ("another body", head(SECRET, NOW, &body).body(Plain::from(changed)).unwrap()),
        ("a longer body", head(SECRET, NOW, &body).body(Plain::from(format!("{body} "))).unwrap()),
        ("no body", head(SECRET, NOW, &body).body(Plain::default()).unwrap()),
        ("another time", with(&[("x-grantex-timestamp", Some((NOW + 1).to_string()))])),
        ("the same time in other words", with(&[("x-grantex-timestamp", Some(format!("0{NOW}")))])),
        ("no time", with(&[("x-grantex-timestamp", None)])),
        ("no signature", with(&[("x-grantex-signature-v2", None), ("x-grantex-signature", None)])),
        ("the older signature alone", with(&[("x-grantex-signature-v2", None)])),
        ("the older one in its place", v2(signature(SECRET, &body))),
        ("no name of a digest", v2(signed["sha256=".len()..].to_owned())),
        ("another name of it", v2(signed.replace("sha256", "SHA256"))),
        ("capitals", v2(format!("sha256={}", signed["sha256=".len()..].to_uppercase()))),
        ("a digit less", v2(signed[..signed.len() - 1].to_owned())),
        ("two digits less", v2(signed[..signed.len() - 2].to_owned())),
        ("two digits more", v2(format!("{signed}00"))),
        ("no digits", v2(format!("sha256={}", "zz".repeat(32)))),
        ("nothing", v2(String::new())),
        ("two in one", v2(format!("{signed}, {signed}"))),
        ("a blank before it", v2(signed.replace('=', "= "))),
        ("the signature twice", twice("x-grantex-signature-v2")),
        ("the time twice", twice("x-grantex-timestamp")),
        ("old", delivery(SECRET, NOW - 301, &body)),
        ("ahead", delivery(SECRET, NOW + 301, &body)),
        ("no number", at("now")),
        ("a sign", at(&format!("+{NOW}"))),
        ("a fraction", at(&format!("{NOW}.0"))),
        ("blanks", at("")),
        ("more digits than a time has", at(&format!("{NOW:016}"))),
        ("more than any number has", at(&"9".repeat(30))),
    ];
    let world = World::new();
    for (attack, request) in rows {
        assert_eq!(world.send(request).await, 401, "{attack}");
        assert_eq!(world.sink.take(), [], "{attack}");
    }
    assert_eq!(sent.len(), 10);
    // And what was tried is not held against the real one.
    assert_eq!(world.send(delivery(SECRET, NOW, &body)).await, 200);
    for sent in [NOW - 300, NOW + 300] {
        assert_eq!(world.send(delivery(SECRET, sent, &body)).await, 200, "{sent}");
    }
}

#[tokio::test]
async fn a_replay_has_no_effect_for_as_long_as_it_would_be_believed_threat_27() {
    let world = World::new();
    let ahead = || delivery(SECRET, NOW + 300, &revoked("g1"));
    assert_eq!(world.send(ahead()).await, 200);
    for _ in 0..6 {
        world.clock.advance(Duration::from_millis(99_999));
        assert_eq!(world.send(ahead()).await, 409);
    }
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.send(ahead()).await, 409, "600 seconds after");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.send(ahead()).await, 401, "too old at last");
    assert_eq!(world.sink.take().len(), 1);
    // A second attempt of the sender has a time of its own.
    let (first, again) = (delivery(SECRET, NOW + 601, &revoked("g2")), delivery(SECRET, NOW + 631, &revoked("g2")));
    assert_eq!((world.send(first).await, world.send(again).await), (StatusCode::OK, StatusCode::OK));
}

#[tokio::test]
async fn of_two_at_once_one_is_taken_in_and_one_that_failed_may_come_again() {
    let world = World::new();
    let request = || delivery(SECRET, NOW, &revoked("g1"));
    world.sink.0.gate.forget_permits(1000);
    let first = tokio::spawn(world.webhook.clone().oneshot(request()));
    world.clock.settle().await;
    for _ in 0..10 {
        assert_eq!(world.send(request()).await, 409, "while the first is taken in");
    }
    world.sink.0.gate.add_permits(1000);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(world.send(request()).await, 409);
    assert_eq!(world.sink.take(), [taken("g1")]);

    let request = || delivery(SECRET, NOW, &revoked("g2"));
    *world.sink.0.fails.lock().unwrap() = true;
    let refused = world.webhook.clone().oneshot(request()).await.unwrap();
    let refused = text(refused).await;
    assert!(refused.starts_with("503") && refused.contains("retry-after: 1"), "{refused}");
    *world.sink.0.fails.lock().unwrap() = false;
    // Nor does it count when the sender hangs up meanwhile.
    world.sink.0.gate.forget_permits(1000);
    let hung_up = tokio::spawn(world.webhook.clone().oneshot(request()));
    world.clock.settle().await;
    hung_up.abort();
    assert!(hung_up.await.is_err());
    world.sink.0.gate.add_permits(1000);
    assert_eq!((world.send(request()).await, world.sink.take()), (StatusCode::OK, vec![taken("g2")]));
}

#[tokio::test]
async fn a_body_may_come_in_pieces_and_is_neither_too_long_nor_too_slow_threat_20() {
    let world = World::new();
    let pieces = |body: &str| {
        let frames: Vec<_> = body.as_bytes().chunks(3).map(Bytes::copy_from_slice).map(Frame::data).collect();
        StreamBody::new(tokio_stream::iter(frames.into_iter().map(Ok::<_, Infallible>)))
    };
    let body = revoked("g1");
    assert_eq!(world.send(head(SECRET, NOW, &body).body(pieces(&body)).unwrap()).await, 200);
    let padded = |length: usize| revoked("g2") + &" ".repeat(length - revoked("g2").len());
    let (longest, longer) = (padded(256 * 1024), padded(256 * 1024 + 1));
    assert_eq!(world.send(delivery(SECRET, NOW, &longest)).await, 200);
    assert_eq!(world.send(delivery(SECRET, NOW, &longer)).await, 413, "said at once");
    assert_eq!(world.send(head(SECRET, NOW, &longer).body(pieces(&longer)).unwrap()).await, 413, "in pieces");
    assert_eq!(world.sink.take().len(), 2);

    let pending = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let slow = tokio::spawn(world.webhook.clone().oneshot(head(SECRET, NOW, &body).body(pending).unwrap()));
    world.clock.settle().await;
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(slow.await.unwrap().unwrap().status(), 408);
    let broken = tokio_stream::iter([Err::<Frame<Bytes>, _>(std::io::Error::other("gone"))]);
    assert_eq!(world.send(head(SECRET, NOW, &body).body(StreamBody::new(broken)).unwrap()).await, 400);
}

#[tokio::test]
async fn answers_say_what_is_needed_and_repeat_nothing_threat_29() {
    let world = World::new();
    let answer = async |request| text(world.webhook.clone().oneshot(request).await.unwrap()).await;
    let mut other = delivery(SECRET, NOW, &revoked("g1"));
    *other.method_mut() = http::Method::PUT;
    assert_eq!(
        answer(other).await,
        "405\nallow: POST\ncache-control: no-store\ncontent-type: application/json\n\n{\"message\":\"POST is needed\"}"
    );
    assert_eq!(
        answer(delivery(SECRET, NOW - 301, &revoked("g1"))).await,
        "401\ncache-control: no-store\ncontent-type: application/json\nwww-authenticate: X-Grantex-Signature-V2\n\n\
         {\"message\":\"not signed, or not lately\"}"
    );
    assert_eq!(answer(delivery(SECRET, NOW, &revoked("g1"))).await, "200\ncache-control: no-store");
    let builder = GrantexWebhook::from_issuer(ISSUER).secret(SECRET);
    for printed in [format!("{:?}", world.webhook), format!("{builder:?}")] {
        assert!(!printed.contains(SECRET) && !printed.contains(&SECRET[..8]), "{printed}");
    }
}

#[test]
fn a_webhook_that_anybody_could_use_is_refused_threat_32() {
    let with = |secrets: &[&str]| {
        let builder = GrantexWebhook::from_issuer(ISSUER);
        secrets.iter().fold(builder, |builder, secret| builder.secret(secret)).to(Revocations::new()).map(drop)
    };
    let short = "fifteen-bytes-x";
    assert_eq!(with(&[]), Err(GrantexWebhookError::NoSecret));
    assert_eq!(with(&[""]), Err(GrantexWebhookError::Secret(0)));
    assert_eq!(with(&[SECRET, short, ""]), Err(GrantexWebhookError::Secret(1)));
    assert_eq!(with(&[SECRET, "sixteen-bytes-xx"]), Ok(()));
    let error = with(&[short]).unwrap_err().to_string();
    assert_eq!(error, "secret 0 of a webhook has fewer than 16 bytes");
}

#[tokio::test]
async fn on_a_server_a_chunked_delivery_counts_from_then_on() {
    let (clock, revocations) = (ManualClock::new(), Revocations::new());
    let webhook = GrantexWebhook::from_issuer(ISSUER).secret(SECRET).clock(clock).to(revocations.clone()).unwrap();
    let app = Router::new().route_service("/webhooks", webhook);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let body = revoked("g1");
    let send = async |body: String| -> Response<reqwest::Body> {
        let (head, _) = delivery(SECRET, NOW, &revoked("g1")).into_parts();
        // Without a length.
        let body = reqwest::Body::wrap(StreamBody::new(tokio_stream::once(Ok::<_, Infallible>(Frame::data(
            Bytes::from(body),
        )))));
        reqwest::Client::new().post(&url).headers(head.headers).body(body).send().await.unwrap().into()
    };
    assert_eq!(send(format!("{body}\n")).await.status(), 401);
    assert_eq!(send(body.clone()).await.status(), 200);
    assert_eq!(revocations.len(), 1);
    assert_eq!(send(body).await.status(), 409);
}
