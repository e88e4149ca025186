//! The revocation feed as snapshot and long poll, and the status of one credential.

use std::time::Duration;

use axum::body::Body;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Generation, World, actions, assert_refused, iso, names};
use crate::process::within;

#[tokio::test]
async fn a_snapshot_has_all_that_is_taken_back_at_present() {
    let world = World::new(Generation::Current);
    let empty = world.get("/v1/revocations").await;
    assert_eq!(names(&empty.json), ["cursor", "entries", "nextPageToken", "serverTime", "snapshot"]);
    assert_eq!((&empty.json["entries"], &empty.json["snapshot"]), (&json!([]), &true.into()));
    assert_eq!((&empty.json["nextPageToken"], &empty.json["serverTime"]), (&Value::Null, &iso(0).into()));
    assert_eq!(empty.headers["cache-control"], "private, max-age=1");

    let [revoked, suspended, resumed, partly] = [
        world.grant(&json!({})).await,
        world.grant(&json!({})).await,
        world.grant(&json!({})).await,
        world.grant(&json!({})).await,
    ];
    let brief = world.grant(&json!({ "expiresIn": "1m" })).await;
    world.advance(5);
    world.delete(&format!("/v1/grants/{}", revoked.grant)).await;
    world.delete(&format!("/v1/grants/{}", brief.grant)).await;
    for held in [&suspended, &resumed] {
        world.post(&format!("/v1/grants/{}/suspend", held.grant), &json!({})).await;
    }
    world.post(&format!("/v1/grants/{}/resume", resumed.grant), &json!({})).await;
    world.post("/v1/tokens/revoke", &json!({ "jti": partly.jti() })).await;
    world.advance(60);
    let answer = world.get("/v1/revocations").await.json;
    let entry = |action: &str, held: &super::Held, jti: Value| json!({ "seq": 0, "action": action, "grantId": held.grant, "jti": jti, "expiresAt": iso(86400), "at": iso(5) });
    let mut grants = [entry("revoked", &revoked, Value::Null), entry("suspended", &suspended, Value::Null)];
    grants.sort_by_key(|entry| super::text(entry, "grantId"));
    let expected = [grants[0].clone(), grants[1].clone(), entry("token_revoked", &partly, partly.jti().into())];
    assert_eq!(answer["entries"], json!(expected), "what has expired by itself is of no interest");
    assert_eq!(answer["cursor"].as_u64().unwrap(), empty.json["cursor"].as_u64().unwrap() + 6);
}

#[tokio::test]
async fn a_snapshot_in_pages_misses_nothing_that_happens_meanwhile() {
    let world = World::new(Generation::Current);
    let mut expected = Vec::new();
    for _ in 0..3 {
        let held = world.grant(&json!({})).await;
        world.delete(&format!("/v1/grants/{}", held.grant)).await;
        expected.push(("revoked".to_owned(), held.grant));
        let held = world.grant(&json!({})).await;
        world.post("/v1/tokens/revoke", &json!({ "jti": held.jti() })).await;
        expected.push(("token_revoked".to_owned(), held.jti()));
    }
    let start = world.cursor().await;
    let (mut found, mut page, mut last) = (Vec::new(), String::new(), 0);
    for turn in 0.. {
        let answer = world.get(&format!("/v1/revocations?limit=2&pageToken={page}")).await.json;
        assert!(answer["entries"].as_array().unwrap().len() <= 2);
        found.extend(actions(&answer));
        last = answer["cursor"].as_u64().unwrap();
        let Some(next) = answer["nextPageToken"].as_str() else { break };
        next.clone_into(&mut page);
        // The name of what is revoked meanwhile may well stand before the page that was just read.
        if turn < 2 {
            let held = world.grant(&json!({})).await;
            world.delete(&format!("/v1/grants/{}", held.grant)).await;
            expected.push(("revoked".to_owned(), held.grant));
        }
    }
    assert_eq!(last, start, "the cursor of the last page is that of the first");
    found.extend(world.told(last).await);
    for entry in &expected {
        assert!(found.contains(entry), "{entry:?} in {found:?}");
    }
    assert_eq!(world.told(last).await, expected[6..]);
}

#[tokio::test]
async fn since_a_cursor_everything_comes_in_order_and_a_page_at_a_time() {
    let world = World::new(Generation::Current);
    let start = world.cursor().await;
    let held = world.grant(&json!({})).await;
    for verb in ["suspend", "resume"] {
        world.post(&format!("/v1/grants/{}/{verb}", held.grant), &json!({})).await;
    }
    world.post("/v1/tokens/revoke", &json!({ "jti": held.jti() })).await;
    world.delete(&format!("/v1/grants/{}", held.grant)).await;
    let all = world.get(&format!("/v1/revocations?since={start}")).await;
    assert_eq!(names(&all.json), ["cursor", "entries", "serverTime", "snapshot"]);
    assert_eq!((&all.json["snapshot"], &all.json["cursor"]), (&false.into(), &(start + 4).into()));
    let first = json!({
        "seq": start + 1, "action": "suspended", "grantId": held.grant, "jti": null, "expiresAt": iso(86400), "at": iso(0),
    });
    assert_eq!(all.json["entries"][0], first);
    let found: Vec<_> = actions(&all.json).into_iter().map(|(action, _)| action).collect();
    assert_eq!(found, ["suspended", "resumed", "token_revoked", "revoked"]);

    let page = world.get(&format!("/v1/revocations?since={start}&limit=3")).await.json;
    assert_eq!(page["cursor"], start + 3, "no further than what was delivered");
    let rest = world.get(&format!("/v1/revocations?since={}", start + 3)).await.json;
    assert_eq!(actions(&rest), [("revoked".to_owned(), held.grant.clone())]);

    // What it speaks of has expired.
    world.advance(86400);
    assert_eq!(world.told(start).await, []);
    assert_eq!(world.cursor().await, start + 4);
}

#[tokio::test]
async fn numbers_go_on_after_a_restart() {
    let world = World::new(Generation::Current);
    let held = world.grant(&json!({})).await;
    world.delete(&format!("/v1/grants/{}", held.grant)).await;
    let before = world.cursor().await;
    world.advance(1);
    let again = super::Service::new(
        super::URL.to_owned(),
        super::ApiKey::new(super::KEY.to_owned()).unwrap(),
        Generation::Current,
        std::sync::Arc::new(world.clock.clone()),
    );
    let again = World { clock: world.clock.clone(), router: again.as_ref().unwrap().router(), service: again.unwrap() };
    assert!(again.cursor().await > before, "whoever followed the old one hears of the new one's");
}

#[tokio::test]
async fn whoever_waits_hears_at_once() {
    let world = World::new(Generation::Current);
    let held = world.grant(&json!({})).await;
    let start = world.cursor().await;
    let path = format!("/v1/revocations?since={start}&wait=25");
    let revoke = async {
        world.clock.settle().await;
        world.delete(&format!("/v1/grants/{}", held.grant)).await;
    };
    let (answer, ()) = tokio::join!(world.get(&path), revoke);
    assert_eq!(actions(&answer.json), [("revoked".to_owned(), held.grant)]);
    assert_eq!(world.clock.now().monotonic(), Duration::ZERO);

    let path = format!("/v1/revocations?since={}&wait=25", start + 1);
    let wait = async {
        world.clock.settle().await;
        world.advance(25);
    };
    let (answer, ()) = tokio::join!(world.get(&path), wait);
    assert_eq!((&answer.json["entries"], &answer.json["cursor"]), (&json!([]), &(start + 1).into()));

    let end = async {
        world.clock.settle().await;
        world.service.end();
    };
    within("the end", async { tokio::join!(world.get(&path), end) }).await;
}

#[tokio::test]
async fn nothing_new_is_not_sent_twice() {
    let world = World::new(Generation::Current);
    let held = world.grant(&json!({})).await;
    let start = world.cursor().await;
    let ask = async |path: &str, tag: &str| {
        let request = world.request(Method::GET, path).header(header::IF_NONE_MATCH, tag);
        world.send(request.body(Body::empty()).unwrap()).await
    };
    let path = format!("/v1/revocations?since={start}");
    let tag = format!("W/\"r{start}-0\"");
    assert_eq!(world.get(&path).await.headers["etag"], tag.as_str());
    let answer = ask(&path, &tag).await;
    assert_eq!((answer.status, answer.headers["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, &*tag));
    assert_eq!(ask(&path, "W/\"r0-0\"").await.status, StatusCode::OK);

    let status = format!("/v1/revocations/status?jti={}", held.jti());
    let active = format!("W/\"sactive-{}\"", iso(86400));
    assert_eq!(world.get(&status).await.headers["etag"], active.as_str());
    assert_eq!(ask(&status, &active).await.status, StatusCode::NOT_MODIFIED);
    world.delete(&format!("/v1/grants/{}", held.grant)).await;
    let answer = ask(&path, &tag).await;
    let tag = format!("W/\"r{}-1\"", start + 1);
    assert_eq!((answer.status, answer.headers["etag"].to_str().unwrap()), (StatusCode::OK, &*tag));
    assert_eq!(ask(&status, &active).await.status, StatusCode::OK);
}

#[tokio::test]
async fn one_credential_at_a_time() {
    let world = World::new(Generation::Current);
    let [active, revoked, partly, suspended] = [
        world.grant(&json!({})).await,
        world.grant(&json!({})).await,
        world.grant(&json!({})).await,
        world.grant(&json!({})).await,
    ];
    let expired = world.grant(&json!({ "expiresIn": "1m" })).await;
    world.delete(&format!("/v1/grants/{}", revoked.grant)).await;
    world.post("/v1/tokens/revoke", &json!({ "jti": partly.jti() })).await;
    world.post(&format!("/v1/grants/{}/suspend", suspended.grant), &json!({})).await;
    world.advance(60);
    let ask = async |query: String| world.get(&format!("/v1/revocations/status?{query}")).await.json;
    for (held, of_grant, of_token) in [
        (&active, "active", "active"),
        (&revoked, "revoked", "revoked"),
        (&partly, "active", "revoked"),
        (&suspended, "suspended", "suspended"),
        (&expired, "expired", "expired"),
    ] {
        let ends = if of_grant == "expired" { iso(60) } else { iso(86400) };
        let expected = |status: &str, jti: Value| {
            json!({
                "status": status, "revoked": status != "active", "grantId": held.grant, "jti": jti,
                "expiresAt": ends, "checkedAt": iso(60),
            })
        };
        assert_eq!(ask(format!("grantId={}", held.grant)).await, expected(of_grant, Value::Null));
        let jti = held.jti();
        for query in [format!("jti={jti}"), format!("grantId={}&jti={jti}", held.grant)] {
            assert_eq!(ask(query).await, expected(of_token, jti.clone().into()));
        }
    }
    for (query, grant, jti) in [
        ("grantId=x".to_owned(), "x".into(), Value::Null),
        ("jti=x".to_owned(), Value::Null, "x".into()),
        // A token that is not of that grant.
        (format!("grantId={}&jti={}", revoked.grant, active.jti()), revoked.grant.clone().into(), active.jti().into()),
    ] {
        let expected = json!({
            "status": "unknown", "revoked": true, "grantId": grant, "jti": jti, "expiresAt": null, "checkedAt": iso(60),
        });
        assert_eq!(ask(query).await, expected);
    }
}

#[tokio::test]
async fn what_the_feed_is_not_asked() {
    let world = World::new(Generation::Current);
    for (query, message) in [
        ("?since=x", "since must be a non-negative integer"),
        ("?since=-1", "since must be a non-negative integer"),
        ("?since=", "since must be a non-negative integer"),
        ("?limit=0", "limit must be between 1 and 1000"),
        ("?limit=1001", "limit must be between 1 and 1000"),
        ("?since=0&wait=26", "wait must be between 0 and 25"),
        ("?pageToken=junk", "pageToken is not a revocation snapshot cursor"),
        ("/stream?since=x", "since must be a non-negative integer"),
        ("/status", "grantId or jti is required"),
    ] {
        assert_refused(query, &world.get(&format!("/v1/revocations{query}")).await, 400, "BAD_REQUEST", message);
    }
    let long = format!("/v1/revocations/status?grantId={}", "g".repeat(257));
    let message = "grantId and jti must be short identifiers";
    assert_refused("long", &world.get(&long).await, 400, "BAD_REQUEST", message);
}
