//! When keys are fetched without anybody asking, and what the server may say about it.

use std::{
    cell::OnceCell,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use portcullis::{
    Algorithm, RejectionKind,
    issuer::{Exchange, Transport},
    testing::{Fault, Target, TestKey},
};
use serde_json::{Value, json};

use super::{COOLDOWN, FETCH_TIMEOUT, INTERVAL, TICK};
use crate::support::World;

const ISSUER: &str = "https://issuer.test";

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test]
async fn keys_are_refreshed_when_the_server_says_so_within_our_bounds_and_jitter() {
    let rows = [
        (None, seconds(300)),
        (Some("max-age=600"), seconds(600)),
        (Some("public, max-age=90"), seconds(90)),
        (Some("max-age=0"), seconds(60)),
        (Some("no-store"), seconds(60)),
        (Some("no-cache, max-age=1"), seconds(60)),
        (Some("max-age=31536000"), seconds(3600)),
        (Some("max-age=18446744073709551615"), seconds(3600)),
        (Some("max-age=99999999999999999999999"), seconds(300)),
        (Some("max-age=-1"), seconds(300)),
    ];
    for (cache_control, fresh_for) in rows {
        let world = World::new().await;
        world.issuer.set_cache_control(cache_control);
        // The fetch by itself is the first that hears of it; since time leaps, it happens exactly now.
        world.advance(INTERVAL).await;
        assert_eq!(world.issuer.asked().jwks, 1);
        for round in 0..3 {
            world.issuer.reset_asked();
            world.advance(fresh_for * 9 / 10 - TICK).await;
            assert_eq!(world.issuer.asked().jwks, 0, "{cache_control:?}, round {round}: too early");
            world.advance(fresh_for / 10 + TICK).await;
            assert_eq!(world.issuer.asked().jwks, 1, "{cache_control:?}, round {round}: too late, or too often");
        }
    }
}

#[tokio::test]
async fn a_policy_of_no_time_at_all_does_not_ask_without_pause_threat_32() {
    let policy = portcullis::keys::RefreshPolicy::default()
        .interval(Duration::from_nanos(1))
        .interval_bounds(Duration::from_nanos(1), Duration::from_nanos(1));
    let world = World::with(|issuer| issuer.refresh_policy(policy), |builder| builder).await;
    for _ in 0..10 {
        world.clock.settle().await;
    }
    assert_eq!(world.issuer.asked().jwks, 0);
    world.advance(seconds(1)).await;
    assert_eq!(world.issuer.asked().jwks, 1);
}

/// Tells what went over the wire.
#[derive(Clone, Debug)]
struct Recorder {
    inner: Arc<dyn Transport>,
    /// Whether each request was conditional, and how it was answered.
    seen: Arc<Mutex<Vec<(bool, StatusCode)>>>,
}

impl Transport for Recorder {
    fn send(&self, request: Request<Bytes>, max_body: usize) -> Exchange {
        let is_conditional = request.headers().contains_key(header::IF_NONE_MATCH);
        let (answer, seen) = (self.inner.send(request, max_body), Arc::clone(&self.seen));
        Box::pin(async move {
            let answer = answer.await?;
            seen.lock().unwrap().push((is_conditional, answer.status()));
            Ok(answer)
        })
    }
}

#[tokio::test]
async fn keys_that_have_not_changed_are_not_sent_again_and_change_nothing() {
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let recorder = OnceCell::new();
    let world = World::cold(
        |issuer| drop(recorder.set(Recorder { inner: issuer.transport(), seen: Arc::clone(&seen) })),
        |issuer| issuer,
        |builder| builder.transport(recorder.get().unwrap().clone()),
    );
    world.authorizer.ready(seconds(1)).await.unwrap();
    let ok = (false, StatusCode::OK);
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [ok, ok], "metadata and keys");

    // A kid that is remembered as unknown stays so: the set is the same.
    world.advance(COOLDOWN).await;
    let stranger = world.issuer.token().key_id("stranger").build();
    assert_eq!(world.check(&stranger).await.asked.jwks, 1);
    seen.lock().unwrap().clear();
    let not_modified = (true, StatusCode::NOT_MODIFIED);
    world.advance(COOLDOWN).await;
    let other = world.issuer.token().key_id("other").build();
    assert_eq!(world.check(&other).await.asked.jwks, 1);
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [not_modified]);
    world.advance(COOLDOWN).await;
    assert_eq!(world.check(&stranger).await.asked.jwks, 0, "remembered still");
    assert!(world.check(&world.issuer.token().build()).await.verdict.is_ok());

    // And one that has changed is sent whole.
    world.issuer.rotate();
    assert!(world.check(&world.issuer.token().build()).await.verdict.is_ok());
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [(true, StatusCode::OK)]);
}

#[tokio::test]
async fn what_has_not_changed_counts_as_fresh_for_as_long_as_ever() {
    let world = World::new().await;
    // A day of nothing but `304 Not Modified`.
    for hour in 0..24 {
        for _ in 0..12 {
            world.advance(INTERVAL).await;
        }
        let verdict = world.check(&world.issuer.token().build()).await.verdict;
        assert_eq!(verdict.map(drop).map_err(|kind| kind == RejectionKind::KeysUnavailable), Ok(()), "hour {hour}");
    }
    assert_eq!(world.issuer.asked().jwks, 24 * 12);
}

/// Two addresses whose servers number their documents, as some do.
#[derive(Debug)]
struct Numbered {
    metadata: Arc<Mutex<&'static str>>,
    keys: [TestKey; 2],
}

impl Transport for Numbered {
    fn send(&self, request: Request<Bytes>, _max_body: usize) -> Exchange {
        let jwks = |key: &TestKey| json!({ "keys": [key.jwk()] });
        let home = *self.metadata.lock().unwrap();
        let document = match request.uri().path() {
            path if path.starts_with("/.well-known") => Some(json!({ "issuer": ISSUER, "jwks_uri": home })),
            "/old" if home.ends_with("old") => Some(jwks(&self.keys[0])),
            "/new" => Some(jwks(&self.keys[1])),
            _ => None,
        };
        let mut answer = http::Response::new(Bytes::from(document.as_ref().map(Value::to_string).unwrap_or_default()));
        answer.headers_mut().insert(header::ETAG, header::HeaderValue::from_static("\"1\""));
        if document.is_none() {
            *answer.status_mut() = StatusCode::NOT_FOUND;
        } else if request.headers().contains_key(header::IF_NONE_MATCH) {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        }
        Box::pin(async move { Ok(answer) })
    }
}

#[tokio::test]
async fn keys_that_have_moved_are_found_and_an_etag_does_not_move_with_them() {
    let keys = ["old", "new"].map(|name| TestKey::generate(Algorithm::ES256, name));
    let metadata = Arc::new(Mutex::new("https://issuer.test/old"));
    let transport = Numbered { metadata: Arc::clone(&metadata), keys: keys.clone() };
    let world = World::cold(|_| {}, |issuer| issuer, |builder| builder.transport(transport));
    let [old, new] = keys.map(|key| world.issuer.token().signed_with(&key).build());
    assert!(world.check(&old).await.verdict.is_ok());
    world.advance(INTERVAL).await;
    assert!(world.check(&old).await.verdict.is_ok(), "not modified");
    *metadata.lock().unwrap() = "https://issuer.test/new";
    world.advance(INTERVAL).await;
    world.advance(COOLDOWN).await;
    assert!(world.check(&new).await.verdict.is_ok(), "the other document of that number");
    assert!(world.check(&old).await.verdict.is_err());
}

#[tokio::test]
async fn keys_are_looked_for_again_where_their_old_address_hangs() {
    let world = World::new().await;
    world.issuer.fault(Target::Jwks, Fault::Hang);
    world.advance(INTERVAL).await;
    assert_eq!((world.issuer.asked().jwks, world.issuer.asked().metadata), (1, 0));
    world.advance(FETCH_TIMEOUT).await;
    world.advance(COOLDOWN).await;
    assert_eq!((world.issuer.asked().jwks, world.issuer.asked().metadata), (2, 1));
}
