//! Every route's answer: its status, its headers, and every member of its body.

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{BOTH, Generation, Held, KEY, URL, World, iso, names, text};

const TOMORROW: u64 = 24 * 60 * 60;

#[track_caller]
fn assert_name(json: &Value, member: &str, prefix: &str) {
    let name = text(json, member);
    let ulid = name.strip_prefix(prefix).unwrap_or_else(|| panic!("{member}: {name}"));
    let is_digit = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase() && !"ILOU".contains(c);
    assert!(ulid.len() == 26 && ulid.chars().all(is_digit), "{member}: {name}");
}

#[tokio::test]
async fn an_agent_is_registered() {
    let world = World::new(Generation::Current);
    let body = json!({ "name": "assistant", "description": "plans days", "scopes": ["calendar:read"] });
    let answer = world.post("/v1/agents", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let id = text(&answer.json, "agentId");
    assert_name(&answer.json, "agentId", "ag_");
    assert_name(&answer.json, "developerId", "dev_");
    let expected = json!({
        "id": id, "agentId": id, "did": format!("did:grantex:{id}"), "developerId": answer.json["developerId"],
        "name": "assistant", "description": "plans days", "scopes": ["calendar:read"], "status": "active",
        "createdAt": iso(0), "updatedAt": iso(0),
    });
    assert_eq!(answer.json, expected);
}

#[tokio::test]
async fn a_sandbox_key_gets_its_code_at_once() {
    let world = World::new(Generation::Current);
    let agent = world.agent().await;
    let body = json!({ "agentId": agent, "principalId": "user_1", "scopes": ["calendar:read"] });
    let answer = world.post("/v1/authorize", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_name(&answer.json, "authRequestId", "areq_");
    assert_name(&answer.json, "code", "");
    let expected = json!({
        "authRequestId": answer.json["authRequestId"], "code": answer.json["code"], "sandbox": true,
        "consentUrl": format!("{URL}/consent?req={}", text(&answer.json, "authRequestId")),
        "expiresAt": iso(600),
    });
    assert_eq!(answer.json, expected);
}

#[tokio::test]
async fn a_code_and_a_refresh_token_bring_the_same_members() {
    for generation in BOTH {
        let world = World::new(generation);
        let agent = world.agent().await;
        let code = world.code(&agent, &json!({})).await;
        let first = world.post("/v1/token", &json!({ "code": code, "agentId": agent })).await;
        let held = Held::new(&agent, &first);
        world.advance(60);
        let second = world.refresh(&held, None).await;
        for answer in [&first, &second] {
            assert_eq!(answer.status, StatusCode::CREATED);
            assert_eq!(names(&answer.json), ["expiresAt", "grantId", "grantToken", "refreshToken", "scopes"]);
            assert_name(&answer.json, "grantId", "grnt_");
            assert_name(&answer.json, "refreshToken", "ref_");
            assert_eq!(answer.json["expiresAt"], iso(TOMORROW), "the grant's, however often it is refreshed");
            assert_eq!(answer.json["scopes"], json!(["calendar:read", "email:send"]));
            assert_eq!(answer.json["grantId"], held.grant.as_str());
        }
    }
}

#[tokio::test]
async fn verifying_tells_everything_or_only_that_it_is_not_valid() {
    for generation in BOTH {
        let world = World::new(generation);
        let held = world.grant(&json!({})).await;
        let valid = json!({
            "valid": true, "grantId": held.grant, "scopes": ["calendar:read", "email:send"], "principal": "user_1",
            "agent": format!("did:grantex:{}", held.agent), "expiresAt": iso(TOMORROW),
        });
        let verify = async |token: &str| world.post("/v1/tokens/verify", &json!({ "token": token })).await;
        for _ in 0..3 {
            let answer = verify(&held.token).await;
            assert_eq!((answer.status, answer.json), (StatusCode::OK, valid.clone()), "as often as one asks");
        }
        let revoked = world.grant(&json!({})).await;
        world.post("/v1/tokens/revoke", &json!({ "jti": revoked.jti() })).await;
        let of_another = World::new(generation).grant(&json!({})).await;
        let mut tampered = held.token.clone().into_bytes();
        let middle = tampered.len() / 2;
        tampered[middle] ^= 1;
        let tampered = String::from_utf8(tampered).unwrap();
        let unsigned = held.token.rsplit_once('.').unwrap().0;
        let by_another = revoked.token.rsplit_once('.').unwrap().1;
        let expired = world.grant(&json!({ "expiresIn": "1s" })).await;
        world.advance(1);
        for (what, token) in [
            ("expired", &*expired.token),
            ("revoked", &revoked.token),
            ("of another service", &of_another.token),
            ("tampered with", &tampered),
            ("not signed", &format!("{unsigned}.")),
            ("with the signature of another", &format!("{unsigned}.{by_another}")),
            ("junk", "junk"),
            ("half of it", &held.token[..middle]),
        ] {
            let answer = verify(token).await;
            assert_eq!((answer.status, answer.json), (StatusCode::OK, json!({ "valid": false })), "{what}");
        }
    }
}

#[tokio::test]
async fn a_grants_authority_is_told_with_all_claims_or_with_a_reason() {
    for generation in BOTH {
        let world = World::new(generation);
        let held = world.grant(&json!({})).await;
        let verify = async |token: &str| world.post("/v1/grants/verify", &json!({ "token": token })).await.json;
        assert_eq!(verify(&held.token).await, json!({ "active": true, "claims": super::part(&held.token, 1) }));

        let suspended = world.grant(&json!({})).await;
        world.post(&format!("/v1/grants/{}/suspend", suspended.grant), &json!({})).await;
        let expired = world.grant(&json!({ "expiresIn": "1m" })).await;
        world.delete(&format!("/v1/grants/{}", held.grant)).await;
        world.advance(60);
        for (token, reason) in [(&held, "revoked"), (&suspended, "revoked"), (&expired, "expired")] {
            assert_eq!(verify(&token.token).await, json!({ "active": false, "reason": reason }));
        }
        // After a day, nothing is known of it any more.
        world.advance(TOMORROW);
        assert_eq!(verify(&expired.token).await, json!({ "active": false, "reason": "not_found" }));
    }
}

#[tokio::test]
async fn grants_are_listed_and_shown() {
    let world = World::new(Generation::Current);
    let root = world.grant(&json!({})).await;
    let child = world.delegate(&root).await;
    let shown = world.get(&format!("/v1/grants/{}", child.grant)).await;
    assert_eq!(shown.status, StatusCode::OK);
    let expected = json!({
        "id": child.grant, "grantId": child.grant, "agentId": child.agent,
        "agentDid": format!("did:grantex:{}", child.agent), "principalId": "user_1",
        "developerId": shown.json["developerId"], "scopes": ["calendar:read"], "status": "active",
        "issuedAt": iso(0), "expiresAt": iso(3600), "parentGrantId": root.grant, "delegationDepth": 1,
    });
    assert_eq!(shown.json, expected);

    world.advance(5);
    world.delete(&format!("/v1/grants/{}", root.grant)).await;
    let shown = world.get(&format!("/v1/grants/{}", root.grant)).await.json;
    assert_eq!((&shown["status"], &shown["revokedAt"]), (&"revoked".into(), &iso(5).into()));
    assert_eq!((&shown["delegationDepth"], &shown["parentGrantId"]), (&0.into(), &Value::Null));

    let other = world.grant(&json!({ "principalId": "user_2" })).await;
    for (query, expected) in [
        ("", 3),
        ("?status=revoked", 2),
        ("?status=active", 1),
        ("?principalId=user_2", 1),
        (&*format!("?agentId={}", root.agent), 1),
        ("?agentId=nobody", 0),
    ] {
        let answer = world.get(&format!("/v1/grants{query}")).await;
        assert_eq!(names(&answer.json), ["grants"]);
        assert_eq!(answer.json["grants"].as_array().unwrap().len(), expected, "{query}");
    }
    assert_eq!(world.status_of(&other).await, "active");
}

#[tokio::test]
async fn a_token_is_revoked_once_and_alone() {
    let world = World::new(Generation::Current);
    let held = world.grant(&json!({})).await;
    let next = Held::new(&held.agent, &world.refresh(&held, None).await);
    let answer = world.post("/v1/tokens/revoke", &json!({ "jti": held.jti() })).await;
    assert_eq!((answer.status, answer.json), (StatusCode::NO_CONTENT, Value::Null));
    assert!(!world.is_valid(&held.token).await);
    assert!(world.is_valid(&next.token).await, "refreshing has not ended the first, ending the first not the second");
}

#[tokio::test]
async fn a_webhook_gets_its_secret_once() {
    let world = World::new(Generation::Current);
    let body = json!({ "url": "https://receiver.example/hook", "events": ["grant.revoked", "token.issued"] });
    let answer = world.post("/v1/webhooks", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_name(&answer.json, "id", "wh_");
    let secret = text(&answer.json, "secret");
    assert!(secret.len() == 48 && secret.chars().all(|c| c.is_ascii_hexdigit()), "{secret}");
    assert_eq!(answer.json["url"], body["url"]);
    assert_eq!(answer.json["events"], body["events"]);
    assert_eq!(answer.json["createdAt"], iso(0));
    assert_eq!(names(&answer.json), ["createdAt", "events", "id", "secret", "url"]);

    let path = format!("/v1/webhooks/{}", text(&answer.json, "id"));
    assert_eq!(world.delete(&path).await.status, StatusCode::NO_CONTENT);
    super::assert_refused("gone", &world.delete(&path).await, 404, "NOT_FOUND", "Webhook not found");
}

#[tokio::test]
async fn health_and_keys_are_public_and_no_answer_is_stored() {
    let world = World::new(Generation::Current);
    for (path, is_limited) in [("/health", true), ("/.well-known/jwks.json", false), ("/v1/grants", true)] {
        let mut request = http::Request::builder().uri(path);
        if path.starts_with("/v1") {
            request = request.header(header::AUTHORIZATION, format!("bEARER \t {KEY}"));
        }
        let answer = world.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
            let number = answer.headers.get(name).map(|value| value.to_str().unwrap().parse::<u32>().unwrap());
            assert_eq!(number.is_some(), is_limited, "{path}: {name}");
        }
    }
    let healthy = json!({ "status": "healthy", "database": "ok", "redis": "ok" });
    assert_eq!(world.get("/health").await.json, healthy);
}

#[tokio::test]
async fn an_unknown_route_is_answered_as_fastify_does() {
    let world = World::new(Generation::Current);
    for (method, path) in
        [(Method::GET, "/nowhere?a=b"), (Method::PUT, "/v1/token"), (Method::GET, "/v1/token"), (Method::POST, "/")]
    {
        let request = http::Request::builder().method(&method).uri(path).body(axum::body::Body::empty()).unwrap();
        let answer = world.send(request).await;
        let message = format!("Route {method}:{path} not found");
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.json, json!({ "message": message, "error": "Not Found", "statusCode": 404 }));
    }
}
