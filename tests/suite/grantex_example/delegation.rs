//! Delegation: never more than the parent, never longer, never too deep; and what becomes of it with the parent.

use serde_json::json;

use super::{BOTH, Generation, World, assert_refused, part};

#[tokio::test]
async fn no_more_than_the_parent_has() {
    for generation in BOTH {
        let world = World::new(generation);
        let parent = world.grant(&json!({ "scopes": ["payments:initiate:max_500", "calendar:read"] })).await;
        let agent = world.agent().await;
        let of = |scopes: &[&str]| json!({ "parentGrantToken": parent.token, "subAgentId": agent, "scopes": scopes });
        for (scopes, beyond) in [
            (&["payments:initiate"][..], "payments:initiate"),
            (&["payments:initiate:max_5"], "payments:initiate:max_5"),
            (&["payments:initiate:max_5000"], "payments:initiate:max_5000"),
            (&["Calendar:read"], "Calendar:read"),
            (&["calendar:read", "a", "b"], "a, b"),
        ] {
            let answer = world.post("/v1/grants/delegate", &of(scopes)).await;
            let message = format!("Requested scopes exceed parent grant scopes: {beyond}");
            assert_refused(beyond, &answer, 400, "BAD_REQUEST", &message);
        }
        let answer = world.post("/v1/grants/delegate", &of(&["payments:initiate:max_500"])).await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.json["scopes"], json!(["payments:initiate:max_500"]));
    }
}

#[tokio::test]
async fn no_longer_than_the_parent_lasts() {
    let world = World::new(Generation::Current);
    let parent = world.grant(&json!({ "expiresIn": "90m" })).await;
    let agent = world.agent().await;
    let start = part(&parent.token, 1)["iat"].as_u64().unwrap();
    for (expires_in, lasts) in [(None, 3600), (Some("10m"), 600), (Some("2h"), 5400), (Some("30d"), 5400)] {
        let mut body = json!({ "parentGrantToken": parent.token, "subAgentId": agent, "scopes": ["calendar:read"] });
        if let Some(expires_in) = expires_in {
            body["expiresIn"] = expires_in.into();
        }
        let answer = world.post("/v1/grants/delegate", &body).await;
        let token = answer.json["grantToken"].as_str().unwrap();
        assert_eq!(part(token, 1)["exp"].as_u64().unwrap(), start + lasts, "{expires_in:?}");
    }
}

#[tokio::test]
async fn three_times_and_no_deeper() {
    let world = World::new(Generation::Current);
    let mut held = world.grant(&json!({})).await;
    for depth in 1..=3 {
        held = world.delegate(&held).await;
        assert_eq!(part(&held.token, 1)["urn:grantex:grant"]["delegation_depth"], depth);
    }
    let body = json!({ "parentGrantToken": held.token, "subAgentId": held.agent, "scopes": ["calendar:read"] });
    let answer = world.post("/v1/grants/delegate", &body).await;
    let message = "Delegation depth limit reached: chains may not exceed 3 hop(s)";
    assert_refused("a fourth time", &answer, 403, "DELEGATION_DEPTH_EXCEEDED", message);
}

#[tokio::test]
async fn only_from_a_grant_that_stands() {
    let world = World::new(Generation::Current);
    let [good, revoked, suspended] =
        [world.grant(&json!({})).await, world.grant(&json!({})).await, world.grant(&json!({})).await];
    let expired = world.grant(&json!({ "expiresIn": "1m" })).await;
    world.delete(&format!("/v1/grants/{}", revoked.grant)).await;
    world.post(&format!("/v1/grants/{}/suspend", suspended.grant), &json!({})).await;
    world.advance(60);
    let of = |token: &str, agent: &str| json!({ "parentGrantToken": token, "subAgentId": agent, "scopes": ["calendar:read"] });
    let required = "parentGrantToken, subAgentId, and scopes are required";
    let lifetime = "Invalid expiresIn format. Use e.g. \"1h\", \"30m\", or \"1d\".";
    let mut never = of(&good.token, &good.agent);
    never["expiresIn"] = "soon".into();
    for (body, status, code, message) in [
        (json!({}), 400, "BAD_REQUEST", required),
        (
            json!({ "parentGrantToken": good.token, "subAgentId": good.agent, "scopes": [] }),
            400,
            "BAD_REQUEST",
            required,
        ),
        (never, 400, "BAD_REQUEST", lifetime),
        (of("junk", &good.agent), 400, "BAD_REQUEST", "Invalid parentGrantToken"),
        (of(&revoked.token, &good.agent), 400, "BAD_REQUEST", "Parent grant has been revoked"),
        (of(&suspended.token, &good.agent), 400, "BAD_REQUEST", "Parent grant has been revoked"),
        (of(&expired.token, &good.agent), 400, "BAD_REQUEST", "Parent grant has expired"),
        (of(&good.token, "ag_nobody"), 404, "NOT_FOUND", "Sub-agent not found"),
    ] {
        assert_refused(message, &world.post("/v1/grants/delegate", &body).await, status, code, message);
    }
}

#[tokio::test]
async fn revoking_a_grant_ends_what_was_delegated_from_it() {
    let world = World::new(Generation::Current);
    let root = world.grant(&json!({})).await;
    let (left, right) = (world.delegate(&root).await, world.delegate(&root).await);
    let below = world.delegate(&left).await;
    let other = world.grant(&json!({})).await;
    let before = world.cursor().await;
    assert_eq!(world.delete(&format!("/v1/grants/{}", left.grant)).await.status, 204);
    let revoked = |id: &str| ("revoked".to_owned(), id.to_owned());
    assert_eq!(world.told(before).await, [revoked(&left.grant), revoked(&below.grant)]);
    assert!(world.is_valid(&root.token).await && world.is_valid(&right.token).await);
    assert!(!world.is_valid(&left.token).await && !world.is_valid(&below.token).await);

    let before = world.cursor().await;
    assert_eq!(world.delete(&format!("/v1/grants/{}", root.grant)).await.status, 204);
    assert_eq!(world.told(before).await, [revoked(&root.grant), revoked(&right.grant)], "each of them once");
    assert!(world.is_valid(&other.token).await);
}

#[tokio::test]
async fn what_was_delegated_is_suspended_with_its_parents_and_resumed_with_the_last_of_them() {
    let world = World::new(Generation::Current);
    let root = world.grant(&json!({})).await;
    let child = world.delegate(&root).await;
    let grandchild = world.delegate(&child).await;
    let doomed = world.delegate(&root).await;
    let change = async |held: &super::Held, verb: &str| {
        let before = world.cursor().await;
        let answer = world.post(&format!("/v1/grants/{}/{verb}", held.grant), &json!({})).await;
        assert_eq!(answer.status, 204, "{verb}");
        world.told(before).await
    };
    let of = |action: &str, ids: &[&super::Held]| -> Vec<(String, String)> {
        ids.iter().map(|held| (action.to_owned(), held.grant.clone())).collect()
    };
    assert_eq!(change(&child, "suspend").await, of("suspended", &[&child, &grandchild]));
    assert_eq!(change(&root, "suspend").await, of("suspended", &[&root, &doomed]), "the others are already");
    assert_eq!(world.status_of(&grandchild).await, "suspended");
    assert!(!world.is_valid(&grandchild.token).await);
    assert_refused("suspended", &world.refresh(&grandchild, None).await, 400, "BAD_REQUEST", "Grant is not active");
    world.delete(&format!("/v1/grants/{}", doomed.grant)).await;
    assert_eq!(change(&root, "resume").await, of("resumed", &[&root]), "one is suspended by itself, one is revoked");
    assert!(world.is_valid(&root.token).await && !world.is_valid(&child.token).await);
    assert!(!world.is_valid(&doomed.token).await, "resuming lifts no revocation");
    assert_eq!(change(&child, "resume").await, of("resumed", &[&child, &grandchild]));
    assert!(world.is_valid(&grandchild.token).await);
    let again = world.post(&format!("/v1/grants/{}/resume", doomed.grant), &json!({})).await;
    assert_refused("revoked", &again, 404, "NOT_FOUND", "Grant not found or not suspended");
}
