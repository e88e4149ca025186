//! The example as a process: what it refuses to start with, and how it ends.

use http::{Method, StatusCode};
use serde_json::json;

use super::KEY;
use crate::process::{Api, check_example_refused, within};

#[tokio::test]
async fn it_starts_with_its_defaults_and_says_where() {
    let api = Api::start_example("grantex", &[]).await;
    let answer = api.get("/health", None).await;
    assert_eq!((answer.status, answer.json()["status"].clone()), (StatusCode::OK, json!("healthy")));
    let answer = api.send(Method::GET, "/v1/grants", Some(KEY)).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "grants": [] })));
    let end = api.stop("TERM").await;
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), ""), "{}", end.stderr);
}

#[tokio::test]
async fn what_it_does_not_start_with_is_named() {
    for (variables, named) in [
        (&[("PORT", "http")][..], &["PORT=\"http\""][..]),
        (&[("API_KEY", "hush-too-short")], &["API_KEY", "16 to 512"]),
        (&[("API_KEY", "hush with blanks in it")], &["API_KEY", "blanks"]),
        (&[("TOKEN_GENERATION", "0.7")], &["TOKEN_GENERATION=\"0.7\"", "legacy", "0.6"]),
    ] {
        check_example_refused("grantex", variables, named).await;
    }
}

#[tokio::test]
async fn open_streams_and_waiting_polls_do_not_hold_it_up() {
    let api = Api::start_example("grantex", &[("API_KEY", "another-key-that-is-long-enough")]).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask =
        |path: &str| client.get(format!("{}{path}", api.url())).bearer_auth("another-key-that-is-long-enough").send();
    let mut stream = within("the stream", ask("/v1/revocations/stream")).await.unwrap();
    let ready = within("the first event", stream.chunk()).await.unwrap().unwrap();
    assert!(ready.starts_with(b"event: ready\n"), "{ready:?}");
    let waiting = tokio::spawn(ask("/v1/revocations?since=99999999999999999&wait=25"));
    // It waits as soon as a request that was sent after it has been answered.
    assert_eq!(within("a poll", ask("/v1/revocations?since=0")).await.unwrap().status(), StatusCode::OK);

    let rest = async {
        // Heartbeats may come before the end does.
        while let Some(event) = stream.chunk().await.expect("an end, and not a cut") {
            assert!(event.starts_with(b"event: heartbeat\n"), "{event:?}");
        }
    };
    let (end, ()) = within("the end", async { tokio::join!(api.stop("INT"), rest) }).await;
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    let answer = within("the poll", waiting).await.unwrap();
    assert!(answer.is_ok_and(|answer| answer.status() == StatusCode::OK), "it is answered");
}
