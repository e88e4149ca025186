//! The revocation feed as a stream of server-sent events.

use std::time::Duration;

use axum::body::Body;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{Generation, World, assert_refused, names, text};
use crate::process::within;

/// An open stream, read event by event.
struct Stream(Body);

impl Stream {
    async fn open(world: &World, query: &str) -> Self {
        let request = world.request(Method::GET, &format!("/v1/revocations/stream{query}"));
        let response = world.open(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Self(response.into_body())
    }

    /// The next event's name and data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        let frame = within("an event", self.0.frame()).await?.unwrap().into_data().unwrap();
        let text = String::from_utf8(frame.to_vec()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let [name, data, ""] = lines[..] else { panic!("{text:?}") };
        let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        Some((name.strip_prefix("event: ").unwrap().to_owned(), data))
    }

    async fn expect(&mut self, name: &str) -> Value {
        let (found, data) = self.next().await.expect(name);
        assert_eq!(found, name, "{data}");
        data
    }
}

#[tokio::test]
async fn it_tells_what_was_missed_then_that_it_is_ready_then_what_happens() {
    let world = World::new(Generation::Current);
    let held = world.grant(&json!({})).await;
    let start = world.cursor().await;
    let suspend = format!("/v1/grants/{}/suspend", held.grant);
    world.post(&suspend, &json!({})).await;
    let mut stream = Stream::open(&world, &format!("?since={start}")).await;
    let missed = stream.expect("revocation").await;
    assert_eq!(names(&missed), ["action", "at", "expiresAt", "grantId", "jti", "seq"]);
    assert_eq!((&missed["action"], &missed["seq"]), (&"suspended".into(), &(start + 1).into()));
    let ready = stream.expect("ready").await;
    assert_eq!((names(&ready), &ready["cursor"]), (vec!["cursor", "serverTime"], &(start + 1).into()));

    // At once: no time passes.
    world.post(&format!("/v1/grants/{}/resume", held.grant), &json!({})).await;
    assert_eq!(stream.expect("revocation").await["action"], "resumed");
    let child = world.delegate(&held).await;
    let path = format!("/v1/grants/{}", held.grant);
    let (_, entry) = tokio::join!(world.delete(&path), stream.expect("revocation"));
    assert_eq!(text(&entry, "grantId"), held.grant);
    assert_eq!(text(&stream.expect("revocation").await, "grantId"), child.grant);
    assert_eq!(world.clock.now().monotonic(), Duration::ZERO);
}

#[tokio::test]
async fn its_heart_beats_every_second_whatever_happens() {
    let world = World::new(Generation::Current);
    let held = world.grant(&json!({})).await;
    let start = world.cursor().await;
    let mut stream = Stream::open(&world, &format!("?since={start}")).await;
    stream.expect("ready").await;
    for second in 1..=3 {
        world.advance(1);
        let beat = stream.expect("heartbeat").await;
        assert_eq!((names(&beat), &beat["cursor"]), (vec!["cursor", "freshAt"], &start.into()), "{second}");
        let none = world.clock.settle();
        tokio::select! {
            biased;
            event = stream.next() => panic!("{event:?}, and no time has passed"),
            () = none => {}
        }
    }
    world.clock.advance(Duration::from_millis(900));
    world.post("/v1/tokens/revoke", &json!({ "jti": held.jti() })).await;
    assert_eq!(stream.expect("revocation").await["action"], "token_revoked");
    world.clock.advance(Duration::from_millis(100));
    assert_eq!(stream.expect("heartbeat").await["cursor"], start + 1, "news do not put it off");
}

#[tokio::test]
async fn streams_end_with_the_service() {
    let world = World::new(Generation::Current);
    let mut stream = Stream::open(&world, "").await;
    stream.expect("ready").await;
    let end = async {
        world.clock.settle().await;
        world.service.end();
    };
    let (next, ()) = tokio::join!(stream.next(), end);
    assert_eq!(next, None);
}

#[tokio::test]
async fn only_so_many_are_open_at_once() {
    let world = World::new(Generation::Current);
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(Stream::open(&world, "").await);
    }
    let answer = world.get("/v1/revocations/stream").await;
    let message = "At most 200 revocation streams per developer on one instance";
    assert_refused("one too many", &answer, 429, "TOO_MANY_CONNECTIONS", message);
    drop(open.pop());
    Stream::open(&world, "").await;
}
