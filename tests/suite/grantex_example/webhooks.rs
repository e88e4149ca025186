//! Webhooks, received over HTTP: what is sent, how it is signed, and how often it is tried.

use std::{collections::VecDeque, sync::Arc};

use aws_lc_rs::hmac;
use axum::{Router, body::Bytes, extract::State, routing::post};
use http::{HeaderMap, StatusCode};
use portcullis::testing::ManualClock;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
};

use super::{BOTH, Generation, World, iso, names, text};
use crate::process::within;

/// Somebody who is told, and answers as it is told to: 200, or what is prepared.
struct Receiver {
    url: String,
    arrived: mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
}

type Prepared = Arc<(mpsc::UnboundedSender<(HeaderMap, Bytes)>, Mutex<VecDeque<StatusCode>>)>;

impl Receiver {
    async fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, arrived) = mpsc::unbounded_channel();
        let answers = answers.iter().map(|status| StatusCode::from_u16(*status).unwrap()).collect();
        let prepared: Prepared = Arc::new((sender, Mutex::new(answers)));
        let router = Router::new().route("/hook", post(receive)).with_state(prepared);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, arrived }
    }

    async fn next(&mut self) -> (HeaderMap, Bytes) {
        within("a delivery", self.arrived.recv()).await.unwrap()
    }
}

async fn receive(State(prepared): State<Prepared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let _ = prepared.0.send((headers, body));
    prepared.1.lock().await.pop_front().unwrap_or(StatusCode::OK)
}

async fn register(world: &World, receiver: &Receiver, events: &[&str]) -> String {
    let body = json!({ "url": receiver.url, "events": events });
    text(&world.post("/v1/webhooks", &body).await.json, "secret")
}

fn signature(secret: &str, message: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message);
    format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[tokio::test]
async fn a_delivery_is_signed_over_its_time_and_its_bytes() {
    for generation in BOTH {
        let world = World::new(generation);
        let mut receiver = Receiver::start(&[]).await;
        let secret = register(&world, &receiver, &["grant.revoked"]).await;
        let held = world.grant(&json!({})).await;
        world.delegate(&held).await;
        world.advance(7);
        world.delete(&format!("/v1/grants/{}", held.grant)).await;
        let (headers, body) = receiver.next().await;
        let timestamp = headers["x-grantex-timestamp"].to_str().unwrap();
        assert_eq!(timestamp, (ManualClock::START.as_secs() + 7).to_string());
        let signed = [timestamp.as_bytes(), b".", &body].concat();
        assert_eq!(headers["x-grantex-signature-v2"], signature(&secret, &signed));
        assert_eq!(headers["x-grantex-signature"], signature(&secret, &body));
        assert_eq!(headers["user-agent"], "Grantex-Webhooks/0.1");
        assert_eq!(headers["content-type"], "application/json");
        let is_chunked = headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
        assert_eq!(is_chunked, generation == Generation::Legacy);
        assert_eq!(headers.contains_key("content-length"), generation == Generation::Current);

        let event: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(names(&event), ["createdAt", "data", "id", "type"]);
        assert!(text(&event, "id").starts_with("evt_"));
        assert_eq!((text(&event, "type"), text(&event, "createdAt")), ("grant.revoked".into(), iso(7)));
        assert_eq!(event["data"], json!({ "grantId": held.grant, "cascade": true }), "only the root is named");
    }
}

#[tokio::test]
async fn everybody_is_told_what_they_asked_for_and_nothing_else() {
    let world = World::new(Generation::Current);
    let (mut all, mut some) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    register(&world, &all, &["grant.created", "grant.revoked", "token.issued"]).await;
    register(&world, &some, &["grant.revoked"]).await;
    let parent = world.grant(&json!({})).await;
    let child = world.delegate(&parent).await;
    let refreshed = super::Held::new(&parent.agent, &world.refresh(&parent, None).await);
    world.post("/v1/tokens/revoke", &json!({ "jti": refreshed.jti() })).await;
    world.post(&format!("/v1/grants/{}/suspend", child.grant), &json!({})).await;
    world.delete(&format!("/v1/grants/{}", child.grant)).await;
    let mut told = Vec::new();
    for _ in 0..6 {
        let event: Value = serde_json::from_slice(&all.next().await.1).unwrap();
        told.push((text(&event, "type"), event["data"].clone()));
    }
    let both = json!(["calendar:read", "email:send"]);
    let of = |held: &super::Held, scopes: Value, ends: u64| {
        json!({
            "grantId": held.grant, "agentId": held.agent, "principalId": "user_1", "scopes": scopes,
            "expiresAt": iso(ends),
        })
    };
    let with = |mut data: Value, more: Value| {
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let (whole, part) = (of(&parent, both, 86400), of(&child, json!(["calendar:read"]), 3600));
    let mut expected = vec![
        ("grant.created", whole.clone()),
        ("token.issued", with(whole.clone(), json!({ "tokenId": parent.jti() }))),
        ("grant.created", with(part.clone(), json!({ "delegationDepth": 1, "parentGrantId": parent.grant }))),
        ("token.issued", with(part, json!({ "tokenId": child.jti() }))),
        ("token.issued", with(whole, json!({ "tokenId": refreshed.jti() }))),
        ("grant.revoked", json!({ "grantId": child.grant, "cascade": false })),
    ];
    // The order is not promised.
    told.sort_by_key(|(kind, data)| format!("{kind} {data}"));
    expected.sort_by_key(|(kind, data)| format!("{kind} {data}"));
    let expected: Vec<_> = expected.into_iter().map(|(kind, data)| (kind.to_owned(), data)).collect();
    assert_eq!(told, expected, "the end of a single token is no event");
    let event: Value = serde_json::from_slice(&some.next().await.1).unwrap();
    assert_eq!(event["type"], "grant.revoked");
    assert!(some.arrived.try_recv().is_err());
}

#[tokio::test]
async fn what_does_not_arrive_is_sent_again_and_signed_again() {
    let world = World::new(Generation::Current);
    let mut receiver = Receiver::start(&[500, 404, 302, 503, 400, 500]).await;
    let secret = register(&world, &receiver, &["grant.revoked"]).await;
    let held = world.grant(&json!({})).await;
    world.delete(&format!("/v1/grants/{}", held.grant)).await;
    let mut bodies = Vec::new();
    for wait in [30, 60, 120, 240, 480, 0] {
        let (headers, body) = receiver.next().await;
        let now = world.clock.now().wall().to_string();
        let signed = [now.as_bytes(), b".", &body].concat();
        assert_eq!(headers["x-grantex-signature-v2"], signature(&secret, &signed), "by the time of sending");
        bodies.push(body);
        if wait > 0 {
            until_asleep(&world, 1).await;
            world.advance(wait - 1);
            assert_eq!(world.clock.sleepers(), 1, "{wait}: too early");
            world.advance(1);
        }
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the same event");
    // After six attempts it is given up.
    until_asleep(&world, 0).await;
    assert!(receiver.arrived.try_recv().is_err());
}

#[tokio::test]
async fn what_has_arrived_is_not_sent_again() {
    let world = World::new(Generation::Current);
    let mut receiver = Receiver::start(&[204, 200]).await;
    register(&world, &receiver, &["grant.revoked"]).await;
    for _ in 0..3 {
        let held = world.grant(&json!({})).await;
        world.delete(&format!("/v1/grants/{}", held.grant)).await;
        receiver.next().await;
    }
    // The answers to the first two were there before the third was sent.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
        assert_eq!(world.clock.sleepers(), 0, "nothing waits for another attempt");
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_is_told_a_few_things_at_a_time_and_holds_up_no_other() {
    let world = World::new(Generation::Current);
    // It is connected to, and nobody answers.
    let hangs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    hangs.set_nonblocking(true).unwrap();
    let url = format!("http://{}/hook", hangs.local_addr().unwrap());
    world.post("/v1/webhooks", &json!({ "url": url, "events": ["grant.created"] })).await;
    let mut receiver = Receiver::start(&[]).await;
    register(&world, &receiver, &["grant.created"]).await;
    for _ in 0..50 {
        world.grant(&json!({})).await;
    }
    for _ in 0..50 {
        receiver.next().await;
    }
    let connections = std::iter::from_fn(|| hangs.accept().ok()).count();
    assert!((1..=4).contains(&connections), "{connections} at a time");
}

#[tokio::test]
async fn a_webhook_that_is_removed_is_told_nothing_that_it_was_not_told_before() {
    let world = World::new(Generation::Current);
    let (mut removed, mut stays) = (Receiver::start(&[500]).await, Receiver::start(&[]).await);
    let body = json!({ "url": removed.url, "events": ["grant.created"] });
    let id = text(&world.post("/v1/webhooks", &body).await.json, "id");
    world.grant(&json!({})).await;
    removed.next().await;
    until_asleep(&world, 1).await;
    assert_eq!(world.delete(&format!("/v1/webhooks/{id}")).await.status, StatusCode::NO_CONTENT);
    world.advance(30);
    until_asleep(&world, 0).await;
    // A second attempt would arrive before these.
    register(&world, &stays, &["grant.created"]).await;
    for _ in 0..5 {
        world.grant(&json!({})).await;
        stays.next().await;
    }
    assert!(removed.arrived.try_recv().is_err());
}

/// Until the answer has been read, and so many wait for their next attempt.
async fn until_asleep(world: &World, deliveries: usize) {
    within("the answer", async {
        while world.clock.sleepers() != deliveries {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
