//! Key sets and metadata that mean us harm (threat 20).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use portcullis::{
    Algorithm, Authorizer, Issuer, KeySource, RejectionKind, RouteTable, Unlisted,
    authorizer::KeysReadiness,
    testing::{Fault, ManualClock, Target, TestIssuer, TestKey, TokenBuilder},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinSet};

use super::{COOLDOWN, FETCH_TIMEOUT, UNKNOWN_FOR};
use crate::{
    crowd::{Crowd, request},
    support::World,
};

const UNAVAILABLE: Result<(), RejectionKind> = Err(RejectionKind::KeysUnavailable);

/// After `spoil`, the old keys stay in use; after the healing, new ones are found.
async fn check_survives(what: &str, spoil: impl FnOnce(&TestIssuer)) {
    let world = World::new().await;
    let readiness = || world.authorizer.readiness().issuers[0].keys;
    world.advance(COOLDOWN).await;
    let key = world.issuer.current_key();
    let known = world.issuer.token();
    spoil(&world.issuer);
    let stranger = Crowd::of(&world.authorizer, [known.clone().key_id("stranger").build()]);
    world.clock.settle().await;
    world.advance(FETCH_TIMEOUT).await;
    stranger.expect(UNAVAILABLE, what).await;
    assert!(world.check(&known.build()).await.verdict.is_ok(), "{what}: the old keys stay in use");
    assert_eq!(readiness(), KeysReadiness::Stale, "{what}");

    world.issuer.heal();
    world.issuer.set_metadata(json!({ "issuer": world.issuer.url(), "jwks_uri": world.issuer.jwks_url() }));
    world.issuer.publish(&[key]);
    world.issuer.rotate();
    world.advance(UNKNOWN_FOR).await;
    assert!(world.check(&world.issuer.token().build()).await.verdict.is_ok(), "{what}: healed");
    assert_eq!(readiness(), KeysReadiness::Loaded, "{what}");
}

#[tokio::test]
async fn whatever_stands_in_place_of_the_keys_the_old_ones_stay_in_use_threat_20() {
    let body = |text: &str| Fault::Body {
        status: 200,
        content_type: "application/json".to_owned(),
        body: Bytes::copy_from_slice(text.as_bytes()),
    };
    let faults = [
        Fault::Huge(512 * 1024),
        Fault::Huge(512 * 1024 + 1),
        Fault::Huge(64 * 1024 * 1024),
        Fault::Garbage,
        Fault::Hang,
        Fault::Reset,
        Fault::Slow(FETCH_TIMEOUT * 2),
        Fault::Redirect("https://169.254.169.254/latest/meta-data".to_owned()),
        Fault::Status(204),
        Fault::Status(206),
        Fault::Status(404),
        Fault::Status(500),
        Fault::RetryAfter(503, 1_000_000),
        body(""),
        body("<!doctype html><h1>Log in to the hotel's WLAN</h1>"),
        body("{}"),
        body("\u{feff}{\"keys\":[]}"),
        body(&"[".repeat(400_000)),
    ];
    for fault in faults {
        let what = format!("{fault:?}");
        let what = what.get(..60).unwrap_or(&what);
        check_survives(what, |issuer| issuer.fault(Target::Jwks, fault)).await;
    }
    let key = TestKey::generate(Algorithm::ES256, "stranger").jwk();
    for (what, set) in [
        ("1e5 empty keys", json!({ "keys": vec![json!({}); 100_000] })),
        ("1e5 keys", json!({ "keys": vec![key.clone(); 100_000] })),
        ("257 keys", json!({ "keys": vec![key.clone(); 257] })),
        ("a good key and much else", json!({ "keys": [key], "padding": "x".repeat(512 * 1024) })),
    ] {
        check_survives(what, |issuer| issuer.publish_raw(set)).await;
    }
}

#[tokio::test]
async fn metadata_that_point_elsewhere_are_not_followed_threat_20() {
    let inward = "an address of ours";
    // What the metadata say in place of the truth, and who waits at the other end.
    let rows: [(Value, &str, &str); 19] = [
        (json!({ "issuer": "https://other.test" }), "https://other.test", "another issuer"),
        (json!({ "issuer": "https://issuer.test/" }), "https://other.test", "a slash more"),
        (json!({ "issuer": "https://ISSUER.test" }), "https://other.test", "another case"),
        (json!({ "issuer": 7 }), "https://other.test", "no issuer"),
        (json!({ "issuer": null }), "https://other.test", "no issuer"),
        (json!({ "jwks_uri": null }), "https://other.test", "no keys"),
        (json!({ "jwks_uri": "" }), "https://other.test", "no URL"),
        (json!({ "jwks_uri": "/jwks" }), "https://other.test", "no absolute URL"),
        (json!({ "jwks_uri": "file:///etc/passwd" }), "https://other.test", "another scheme"),
        (json!({ "jwks_uri": "http://other.test/jwks" }), "http://other.test", "in the clear"),
        (json!({ "jwks_uri": "http://127.0.0.1/jwks" }), "http://127.0.0.1", inward),
        (json!({ "jwks_uri": "https://127.0.0.1/jwks" }), "https://127.0.0.1", inward),
        (json!({ "jwks_uri": "https://2130706433/jwks" }), "https://127.0.0.1", inward),
        (json!({ "jwks_uri": "https://localhost/jwks" }), "https://localhost", inward),
        (json!({ "jwks_uri": "https://localhost./jwks" }), "https://localhost.", inward),
        (json!({ "jwks_uri": "https://[::1]/jwks" }), "https://[::1]", inward),
        (json!({ "jwks_uri": "https://[::ffff:127.0.0.1]/jwks" }), "https://[::ffff:127.0.0.1]", inward),
        (json!({ "jwks_uri": "https://169.254.169.254/jwks" }), "https://169.254.169.254", inward),
        (json!({ "jwks_uri": "https://0.0.0.0/jwks" }), "https://0.0.0.0", inward),
    ];
    for (lie, elsewhere, why) in rows {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
        let elsewhere = TestIssuer::builder().key(issuer.current_key()).in_process(elsewhere);
        let mut metadata = json!({ "issuer": issuer.url(), "jwks_uri": issuer.jwks_url() });
        metadata.as_object_mut().unwrap().extend(lie.as_object().unwrap().clone());
        issuer.set_metadata(metadata);
        let authorizer = Authorizer::builder()
            .issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE))
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(TestIssuer::transport_of(&[&issuer, &elsewhere]))
            .clock(clock.clone())
            .build()
            .unwrap();
        for _ in 0..10 {
            assert_eq!(request(&authorizer, &issuer.token().build()).await, UNAVAILABLE, "{why}: {lie}");
            clock.advance(COOLDOWN);
            clock.settle().await;
        }
        assert!(issuer.asked().metadata >= 5, "{why}: it goes on trying");
        assert_eq!((issuer.asked().jwks, elsewhere.asked().jwks), (0, 0), "{why}: {lie}");
    }
}

#[tokio::test]
async fn metadata_that_turn_bad_leave_the_old_keys_in_use_threat_20() {
    for metadata in [
        json!({ "issuer": "https://other.test", "jwks_uri": "https://issuer.test/jwks" }),
        json!({ "issuer": "https://issuer.test", "jwks_uri": "https://169.254.169.254/jwks" }),
        json!("garbage"),
    ] {
        check_survives(&metadata.to_string(), |issuer| {
            // The keys have to be lost first: while they are found, nobody looks where they are.
            issuer.fault(Target::Jwks, Fault::Reset);
            issuer.set_metadata(metadata.clone());
        })
        .await;
    }
}

/// An issuer behind a socket, and an authorizer that has its keys.
async fn over_http() -> (ManualClock, TestIssuer, Authorizer) {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).start().await;
    let authorizer = trusting(&clock, Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE));
    assert_eq!(request(&authorizer, &issuer.token().build()).await, Ok(()));
    clock.advance(COOLDOWN);
    issuer.reset_asked();
    (clock, issuer, authorizer)
}

fn trusting(clock: &ManualClock, issuer: Issuer) -> Authorizer {
    let routes = RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap();
    Authorizer::builder().issuer(issuer).routes(routes).clock(clock.clone()).build().unwrap()
}

#[tokio::test]
async fn over_real_http_the_old_keys_stay_in_use_and_redirects_are_not_followed_threat_20() {
    let thief = TestIssuer::start().await;
    let stranger = TestKey::generate(Algorithm::ES256, "stranger");
    thief.publish(std::slice::from_ref(&stranger));
    for fault in [
        Fault::Redirect(thief.jwks_url()),
        Fault::Redirect("//169.254.169.254/jwks".to_owned()),
        Fault::Huge(64 * 1024 * 1024),
        Fault::Reset,
        Fault::Garbage,
        Fault::Status(500),
    ] {
        let (_clock, issuer, authorizer) = over_http().await;
        issuer.fault(Target::Jwks, fault.clone());
        let forged = issuer.token().signed_with(&stranger).build();
        assert_eq!(request(&authorizer, &forged).await, UNAVAILABLE, "{fault:?}");
        assert_eq!(issuer.asked().jwks, 1, "{fault:?}");
        assert_eq!(request(&authorizer, &issuer.token().build()).await, Ok(()), "{fault:?}");
    }
    assert_eq!(thief.asked().jwks, 0);
}

#[tokio::test]
async fn over_real_http_an_answer_that_never_comes_is_given_up_by_the_clock_threat_20() {
    let (clock, issuer, authorizer) = over_http().await;
    let held = issuer.hold(Target::Jwks);
    let stranger = Crowd::of(&authorizer, [issuer.token().key_id("stranger").build()]);
    held.arrived().await;
    clock.advance(FETCH_TIMEOUT);
    stranger.expect(UNAVAILABLE, "nobody answered").await;
    clock.settle().await;
    assert_eq!(authorizer.readiness().issuers[0].keys, KeysReadiness::Stale);
    assert_eq!(request(&authorizer, &issuer.token().build()).await, Ok(()));
}

#[tokio::test]
async fn over_real_http_a_body_without_end_is_cut_threat_20() {
    const END: usize = 256 * 1024 * 1024;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    let mut server = JoinSet::new();
    let counter = Arc::clone(&sent);
    server.spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let chunk = vec![b' '; 64 * 1024];
        let mut written = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n").await;
        while written.is_ok() && counter.fetch_add(chunk.len(), Ordering::Relaxed) < END {
            written = socket.write_all(&chunk).await;
        }
    });
    let clock = ManualClock::new();
    let issuer = Issuer::with_keys("https://issuer.test", KeySource::url(&url)).audience(TokenBuilder::AUDIENCE);
    let authorizer = trusting(&clock, issuer);
    let token = TokenBuilder::new("https://issuer.test", &TestKey::shared(Algorithm::ES256), clock.now().wall());
    assert_eq!(request(&authorizer, &token.build()).await, UNAVAILABLE);
    server.join_all().await;
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < END / 4, "{sent} bytes were taken");
}
