//! Refresh tokens: used once, had again by whoever lost the answer, and of no more use once two hold the same.

use serde_json::json;

use super::{BOTH, Generation, Held, World, assert_refused};

const KEY: &str = "0c9a2f1e-idempotency";

#[tokio::test]
async fn each_brings_the_next_and_a_new_token_of_the_same_grant() {
    for generation in BOTH {
        let world = World::new(generation);
        let first = world.grant(&json!({})).await;
        world.advance(60);
        let second = Held::new(&first.agent, &world.refresh(&first, None).await);
        let third = Held::new(&first.agent, &world.refresh(&second, None).await);
        assert_eq!((&first.grant, &second.grant), (&second.grant, &third.grant));
        assert!(first.jti() != second.jti() && second.jti() != third.jti());
        let exp = |held: &Held| super::part(&held.token, 1)["exp"].clone();
        assert_eq!(exp(&first), exp(&third), "a refreshed grant lasts no longer");
        for held in [&first, &second, &third] {
            assert!(world.is_valid(&held.token).await, "refreshing takes nothing back");
        }
    }
}

#[tokio::test]
async fn a_second_use_is_refused_and_ends_the_active_one_but_not_the_grant() {
    let world = World::new(Generation::Current);
    let first = world.grant(&json!({})).await;
    let second = Held::new(&first.agent, &world.refresh(&first, None).await);
    let used = "Refresh token already used";
    assert_refused("again", &world.refresh(&first, None).await, 400, "BAD_REQUEST", used);
    assert_refused("its heir", &world.refresh(&second, None).await, 400, "BAD_REQUEST", "Invalid refresh token");
    assert_refused("and again", &world.refresh(&first, None).await, 400, "BAD_REQUEST", used);
    assert!(world.is_valid(&first.token).await && world.is_valid(&second.token).await);
    assert_eq!(world.status_of(&first).await, "active");
}

#[tokio::test]
async fn whoever_lost_the_answer_gets_it_again() {
    let world = World::new(Generation::Current);
    let held = world.grant(&json!({})).await;
    let answer = world.refresh(&held, Some(KEY)).await;
    for seconds in [0, 100, 199] {
        world.advance(seconds);
        let again = world.refresh(&held, Some(KEY)).await;
        assert_eq!((again.status, again.json), (answer.status, answer.json.clone()), "{seconds}");
    }
    // After 300 seconds it is gone. The caller is still the same, and so the next refresh token lives on.
    world.advance(1);
    let used = "Refresh token already used";
    assert_refused("late", &world.refresh(&held, Some(KEY)).await, 400, "BAD_REQUEST", used);
    let next = Held::new(&held.agent, &answer);
    assert_eq!(world.refresh(&next, None).await.status, 201);
}

#[tokio::test]
async fn an_answer_that_has_arrived_is_not_given_again() {
    let world = World::new(Generation::Current);
    let held = world.grant(&json!({})).await;
    let next = Held::new(&held.agent, &world.refresh(&held, Some(KEY)).await);
    let last = Held::new(&held.agent, &world.refresh(&next, None).await);
    let used = "Refresh token already used";
    assert_refused("delayed", &world.refresh(&held, Some(KEY)).await, 400, "BAD_REQUEST", used);
    assert_eq!(world.refresh(&last, None).await.status, 201, "a request that was delayed is no theft");
}

#[tokio::test]
async fn another_key_is_another_caller() {
    for key in [None, Some("another-idempotency-key")] {
        let world = World::new(Generation::Current);
        let held = world.grant(&json!({})).await;
        let next = Held::new(&held.agent, &world.refresh(&held, Some(KEY)).await);
        let used = "Refresh token already used";
        assert_refused("a thief", &world.refresh(&held, key).await, 400, "BAD_REQUEST", used);
        assert_refused("too late", &world.refresh(&held, Some(KEY)).await, 400, "BAD_REQUEST", used);
        assert_refused("its heir", &world.refresh(&next, None).await, 400, "BAD_REQUEST", "Invalid refresh token");
    }
}

#[tokio::test]
async fn what_is_not_refreshed() {
    let world = World::new(Generation::Current);
    let bad = "BAD_REQUEST";
    let held = world.grant(&json!({ "expiresIn": "60d" })).await;
    let other = world.agent().await;
    let required = "refreshToken and agentId are required";
    for (body, message) in [
        (json!({}), required),
        (json!({ "refreshToken": held.refresh_token }), required),
        (json!({ "agentId": held.agent }), required),
        (json!({ "refreshToken": "ref_unknown", "agentId": held.agent }), "Invalid refresh token"),
        (json!({ "refreshToken": held.refresh_token, "agentId": other }), "Agent mismatch"),
    ] {
        assert_refused(message, &world.post("/v1/token/refresh", &body).await, 400, bad, message);
    }
    for key in ["too-short", &"k".repeat(257)] {
        let message = "Idempotency-Key must contain 16 to 256 characters";
        assert_refused(key, &world.refresh(&held, Some(key)).await, 400, bad, message);
    }
    let short = world.grant(&json!({ "expiresIn": "1h" })).await;
    let revoked = world.grant(&json!({})).await;
    world.delete(&format!("/v1/grants/{}", revoked.grant)).await;
    assert_refused("revoked", &world.refresh(&revoked, None).await, 400, bad, "Grant has been revoked");
    world.advance(3600);
    assert_refused("expired", &world.refresh(&short, None).await, 400, bad, "Grant has expired");
    assert_eq!(world.refresh(&held, Some(KEY)).await.status, 201, "none of these has used it up");

    // A refresh token lives for 30 days, whatever its grant does.
    let old = world.grant(&json!({ "expiresIn": "60d" })).await;
    world.advance(30 * 24 * 3600);
    assert_refused("old", &world.refresh(&old, None).await, 400, bad, "Refresh token expired");
    assert!(world.is_valid(&old.token).await);
}
