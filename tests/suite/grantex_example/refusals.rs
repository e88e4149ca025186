//! Every refusal: what was asked, and the status, code and words of the answer.

use axum::body::Body;
use http::{Method, Request, header};
use serde_json::{Value, json};

use super::{BOTH, Generation, KEY, World, assert_refused};

/// What a request lacks → code and message, with 400 where nothing else is said.
async fn check(world: &World, path: &str, rows: &[(Value, u16, &str, &str)]) {
    for (body, status, code, message) in rows {
        let answer = world.post(path, body).await;
        assert_refused(&format!("{path} {body}"), &answer, *status, code, message);
    }
}

#[tokio::test]
async fn only_the_developer_may_ask() {
    let world = World::new(Generation::Current);
    let missing = "Missing or invalid Authorization header";
    for (value, message) in [
        (None, missing),
        (Some(String::new()), missing),
        (Some(format!("Basic {KEY}")), missing),
        (Some(KEY.to_owned()), missing),
        (Some("Bearer ".to_owned()), missing),
        (Some(format!("Bearer {KEY} {KEY}")), missing),
        (Some(format!("Bearer {}", &KEY[1..])), "Invalid API key"),
        (Some(format!("Bearer {KEY}x")), "Invalid API key"),
        (Some(format!("Bearer {}", KEY.to_uppercase())), "Invalid API key"),
    ] {
        for (method, path) in [(Method::POST, "/v1/token"), (Method::GET, "/v1/revocations/stream")] {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(value) = &value {
                request = request.header(header::AUTHORIZATION, value);
            }
            let answer = world.send(request.body(Body::empty()).unwrap()).await;
            assert_refused(&format!("{value:?}"), &answer, 401, "UNAUTHORIZED", message);
            assert!(!answer.headers.contains_key(header::WWW_AUTHENTICATE));
        }
    }
}

#[tokio::test]
async fn only_json_objects_are_read() {
    let world = World::new(Generation::Current);
    let typed = |content_type: &str, body: &'static str| {
        let request = world.request(Method::POST, "/v1/tokens/verify").header(header::CONTENT_TYPE, content_type);
        request.body(Body::from(body)).unwrap()
    };
    for (content_type, body, status, message) in [
        ("application/json", "{", 400, "Body is not valid JSON"),
        ("application/json", "[]", 400, "Request body must be a JSON object"),
        ("application/x-www-form-urlencoded", "token=x", 415, "The request body has to be application/json"),
        ("text/plain", "{}", 415, "The request body has to be application/json"),
        ("Application/JSON; charset=utf-8", "{}", 400, "token is required"),
    ] {
        assert_refused(body, &world.send(typed(content_type, body)).await, status, "BAD_REQUEST", message);
    }
    let request = world.request(Method::POST, "/v1/tokens/verify").body(Body::empty()).unwrap();
    assert_refused("no body", &world.send(request).await, 400, "BAD_REQUEST", "token is required");
    let request = world.request(Method::POST, "/v1/tokens/verify").header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(vec![b' '; 3 << 20])).unwrap();
    assert_refused("too large", &world.send(request).await, 413, "BAD_REQUEST", "The request body cannot be read");
}

#[tokio::test]
async fn what_no_agent_can_be_or_ask_for() {
    let bad = "BAD_REQUEST";
    for generation in BOTH {
        let world = World::new(generation);
        let agent = world.agent().await;
        let with = |name: &str, value: Value| {
            let mut body = json!({ "agentId": agent, "principalId": "user_1", "scopes": ["a"] });
            body[name] = value;
            body
        };
        let required = "agentId, principalId, and scopes are required";
        let scope = "Invalid scope format";
        let lifetime = "Invalid expiresIn format. Use e.g. \"1h\", \"30m\", \"24h\".";
        let audience = "audience must be a non-empty string of at most 1024 characters";
        let together = "codeChallenge and codeChallengeMethod must be provided together";
        let digest = "codeChallengeMethod must be S256 and codeChallenge must be a valid S256 digest";
        let challenge = |challenge: String, method: &str| {
            let mut body = with("codeChallenge", challenge.into());
            body["codeChallengeMethod"] = method.into();
            body
        };
        check(
            &world,
            "/v1/authorize",
            &[
                (json!({}), 400, bad, required),
                (with("agentId", Value::Null), 400, bad, required),
                (with("principalId", 1.into()), 400, bad, required),
                (with("scopes", json!([])), 400, bad, required),
                (with("scopes", "a".into()), 400, bad, required),
                (with("scopes", json!([" "])), 400, bad, scope),
                (with("scopes", json!([1])), 400, bad, scope),
                (with("scopes", json!(["a".repeat(257)])), 400, bad, scope),
                (with("scopes", json!(vec!["a"; 101])), 400, bad, "Too many scopes (max 100)"),
                (with("expiresIn", "".into()), 400, bad, lifetime),
                (with("expiresIn", "h".into()), 400, bad, lifetime),
                (with("expiresIn", "1w".into()), 400, bad, lifetime),
                (with("expiresIn", "+1h".into()), 400, bad, lifetime),
                (with("expiresIn", "1 h".into()), 400, bad, lifetime),
                (with("expiresIn", "1é".into()), 400, bad, lifetime),
                (with("expiresIn", "0s".into()), 400, bad, lifetime),
                (with("expiresIn", "99999999999999999999d".into()), 400, bad, lifetime),
                (with("expiresIn", 3600.into()), 400, bad, lifetime),
                (with("audience", "".into()), 400, bad, audience),
                (with("audience", "a".repeat(1025).into()), 400, bad, audience),
                (with("state", "s".repeat(1025).into()), 400, bad, "state must be 1024 characters or fewer"),
                (with("redirectUri", "".into()), 400, bad, "Invalid redirectUri"),
                (with("codeChallenge", "a".repeat(43).into()), 400, bad, together),
                (with("codeChallengeMethod", "S256".into()), 400, bad, together),
                (challenge("a".repeat(42), "S256"), 400, bad, digest),
                (challenge("a".repeat(44), "S256"), 400, bad, digest),
                (challenge("=".repeat(43), "S256"), 400, bad, digest),
                (challenge("a".repeat(43), "plain"), 400, bad, digest),
                (with("agentId", "ag_nobody".into()), 404, "NOT_FOUND", "Agent not found"),
            ],
        )
        .await;
        let answer = world.post("/v1/authorize", &with("scopes", json!(["a b"]))).await;
        if generation == Generation::Current {
            let message = "Scopes must not contain whitespace";
            assert_refused("a blank within", &answer, 400, "INVALID_SCOPE", message);
        } else {
            assert_eq!(answer.status, 201, "the older generation writes them as an array");
        }
        check(
            &world,
            "/v1/agents",
            &[
                (json!({}), 400, bad, "name is required"),
                (json!({ "name": "" }), 400, bad, "name is required"),
                (json!({ "name": "x", "scopes": [""] }), 400, bad, scope),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn what_a_code_is_not_exchanged_for() {
    let bad = "BAD_REQUEST";
    for generation in BOTH {
        let world = World::new(generation);
        let (agent, other) = (world.agent().await, world.agent().await);
        let verifier = "v".repeat(43);
        // The digest of 43 times "v", computed by others: `printf v…v | openssl dgst -sha256 -binary | basenc --base64url`.
        let pkce =
            json!({ "codeChallenge": "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM", "codeChallengeMethod": "S256" });
        let protected = world.code(&agent, &pkce).await;
        let plain = world.code(&agent, &json!({})).await;
        let late = world.code(&agent, &json!({})).await;
        let used = world.code(&agent, &json!({})).await;
        let of = |code: &str| json!({ "code": code, "agentId": agent });
        let with = |code: &str, name: &str, value: &str| {
            let mut body = of(code);
            body[name] = value.into();
            body
        };
        assert_eq!(world.post("/v1/token", &of(&used)).await.status, 201);
        let required = "code and agentId are required";
        let invalid = "Invalid codeVerifier";
        check(
            &world,
            "/v1/token",
            &[
                (json!({}), 400, bad, required),
                (json!({ "code": plain }), 400, bad, required),
                (json!({ "agentId": agent }), 400, bad, required),
                (of("01M8156850PZ3W9NP6BGZN7RC3"), 400, bad, "Invalid code"),
                (json!({ "code": plain, "agentId": other }), 400, bad, "Invalid code"),
                (of(&used), 400, bad, "Auth request not approved"),
                (of(&protected), 400, bad, "codeVerifier is required for PKCE"),
                (with(&protected, "codeVerifier", &"w".repeat(43)), 400, bad, invalid),
                (with(&protected, "codeVerifier", &"v".repeat(42)), 400, bad, invalid),
                (with(&protected, "codeVerifier", ""), 400, bad, "codeVerifier must be a string"),
                (with(&plain, "codeVerifier", &verifier), 400, bad, invalid),
                (with(&plain, "credentialFormat", "saml"), 400, bad, "Invalid credentialFormat"),
            ],
        )
        .await;
        // None of these has used them up.
        assert_eq!(world.post("/v1/token", &with(&protected, "codeVerifier", &verifier)).await.status, 201);
        assert_eq!(world.post("/v1/token", &of(&plain)).await.status, 201);
        world.advance(600);
        check(&world, "/v1/token", &[(of(&late), 400, bad, "Auth request expired")]).await;
    }
}

#[tokio::test]
async fn the_newer_generation_compares_where_the_code_was_sent() {
    for generation in BOTH {
        let world = World::new(generation);
        let agent = world.agent().await;
        let sent = json!({ "redirectUri": "https://app.example/callback" });
        for other in [None, Some("https://app.example/callback/"), Some("https://evil.example/")] {
            let code = world.code(&agent, &sent).await;
            let mut body = json!({ "code": code, "agentId": agent });
            if let Some(other) = other {
                body["redirectUri"] = other.into();
            }
            let answer = world.post("/v1/token", &body).await;
            if generation == Generation::Current {
                let message = "redirectUri must exactly match the authorization request";
                assert_refused("another place", &answer, 400, "REDIRECT_URI_MISMATCH", message);
                body["redirectUri"] = sent["redirectUri"].clone();
                assert_eq!(world.post("/v1/token", &body).await.status, 201);
            } else {
                assert_eq!(answer.status, 201);
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_verified_revoked_or_shown() {
    let (bad, none) = ("BAD_REQUEST", "NOT_FOUND");
    let world = World::new(Generation::Current);
    let held = world.grant(&json!({})).await;
    let gone = world.grant(&json!({})).await;
    world.post("/v1/tokens/revoke", &json!({ "jti": gone.jti() })).await;
    world.delete(&format!("/v1/grants/{}", gone.grant)).await;
    let token = "token is required";
    for body in [json!({}), json!({ "token": "" }), json!({ "token": 1 })] {
        check(&world, "/v1/tokens/verify", &[(body.clone(), 400, bad, token)]).await;
        check(&world, "/v1/grants/verify", &[(body, 400, bad, token)]).await;
    }
    let tampered = json!({ "token": held.token.replace(['a', 'e'], "A") });
    check(&world, "/v1/grants/verify", &[(tampered, 400, bad, "Invalid token")]).await;
    let unknown = "Token not found or already revoked";
    check(
        &world,
        "/v1/tokens/revoke",
        &[
            (json!({}), 400, bad, "jti is required"),
            (json!({ "jti": "" }), 400, bad, "jti is required"),
            (json!({ "jti": "j".repeat(513) }), 400, bad, "jti is required"),
            (json!({ "jti": "tok_unknown" }), 404, none, unknown),
            (json!({ "jti": gone.jti() }), 404, none, unknown),
        ],
    )
    .await;
    for id in ["grnt_unknown", &*gone.grant] {
        let path = format!("/v1/grants/{id}");
        let message = "Grant not found or already revoked";
        assert_refused(id, &world.delete(&path).await, 404, none, message);
        let rows = [(json!({}), 404, none, "Grant not found or not active")];
        check(&world, &format!("{path}/suspend"), &rows).await;
        let rows = [(json!({}), 404, none, "Grant not found or not suspended")];
        check(&world, &format!("{path}/resume"), &rows).await;
    }
    assert_refused("unknown", &world.get("/v1/grants/grnt_unknown").await, 404, none, "Grant not found");
    // No text at all.
    for path in ["/v1/grants/%ff", "/v1/webhooks/%ff"] {
        assert_refused(path, &world.delete(path).await, 400, bad, "The path is not UTF-8");
    }
    for path in ["/v1/grants/%ff/suspend", "/v1/grants/%ff/resume"] {
        check(&world, path, &[(json!({}), 400, bad, "The path is not UTF-8")]).await;
    }
    assert_refused("%ff", &world.get("/v1/grants/%ff").await, 400, bad, "The path is not UTF-8");
}

#[tokio::test]
async fn where_webhooks_are_not_sent() {
    let world = World::new(Generation::Current);
    let bad = "BAD_REQUEST";
    let of = |url: &str| json!({ "url": url, "events": ["grant.revoked"] });
    let address = "url must be https, or http on loopback, without user information";
    let events = "Invalid event types. Valid: grant.created, grant.revoked, token.issued";
    check(
        &world,
        "/v1/webhooks",
        &[
            (json!({ "events": ["grant.revoked"] }), 400, bad, "url and events are required"),
            (json!({ "url": "https://a.example/", "events": [] }), 400, bad, "url and events are required"),
            (json!({ "url": "https://a.example/", "events": ["grant.revoked", "x"] }), 400, bad, events),
            (of("http://169.254.169.254/latest"), 400, bad, address),
            (of("http://10.0.0.1/"), 400, bad, address),
            (of("http://a.example/"), 400, bad, address),
            (of("http://localhost.a.example/"), 400, bad, address),
            (of("http://127.0.0.1@a.example/"), 400, bad, address),
            (of("https://user:password@a.example/"), 400, bad, address),
            (of("file:///etc/passwd"), 400, bad, address),
            (of("ftp://127.0.0.1/"), 400, bad, address),
            (of("not a url"), 400, bad, address),
        ],
    )
    .await;
    for url in ["http://127.0.0.1:1/", "http://localhost/", "http://[::1]/", "https://a.example/"] {
        assert_eq!(world.post("/v1/webhooks", &of(url)).await.status, 201, "{url}");
    }
    for _ in 4..100 {
        world.post("/v1/webhooks", &of("https://a.example/")).await;
    }
    let rows = [(of("https://a.example/"), 402, "PLAN_LIMIT_EXCEEDED", "Plan limit reached: 100 webhook(s)")];
    check(&world, "/v1/webhooks", &rows).await;
}
