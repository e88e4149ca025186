//! AgentIdP's document as a table: every field, every status, every error body.

use std::collections::BTreeSet;

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::service::{Credentials, Pairs, SCOPES, Service};
use crate::external::part;

#[tokio::test]
async fn a_token_is_issued_as_the_document_shows_it() {
    let service = Service::start(&[]).await;
    let admin = service.admin();
    let agent = service.create(&service.token(&admin).await, &["agents:read", "agents:write"]).await;
    let all = SCOPES.join(" ");
    // Who asks, what it asks for, what it is granted.
    let rows: [(&Credentials, Pairs<'_>, &str); 7] = [
        (&agent, &[("scope", "agents:read agents:write")], "agents:read agents:write"),
        (&agent, &[], "agents:read agents:write"),
        (&agent, &[("scope", "")], "agents:read agents:write"),
        (&agent, &[("scope", "agents:write")], "agents:write"),
        (&agent, &[("scope", "agents:write  agents:write agents:read")], "agents:write agents:read"),
        (&admin, &[], &all),
        (&agent, &[("scope", "agents:read"), ("resource", "https://api.example")], "agents:read"),
    ];
    let mut ids = BTreeSet::new();
    for (who, more, granted) in rows {
        let answer = service.ask_token(who, more).await;
        assert_eq!(answer.status, StatusCode::OK, "{more:?}: {answer:?}");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
        let body = answer.json();
        let token = body["access_token"].as_str().unwrap();
        let expected = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": granted });
        assert_eq!(body, expected, "{more:?}");

        assert!(token.starts_with("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9."), "{token}");
        assert_eq!(part(token, 0), json!({ "alg": "RS256", "typ": "JWT" }));
        let claims = part(token, 1);
        let (jti, iat) = (claims["jti"].as_str().unwrap(), claims["iat"].as_u64().unwrap());
        let expected = json!({
            "sub": who.id, "client_id": who.id, "scope": granted, "jti": jti, "iat": iat, "exp": iat + 3600,
        });
        assert_eq!(claims, expected, "{more:?}");
        assert!(uuid::Uuid::parse_str(jti).is_ok() && ids.insert(jti.to_owned()), "{jti}");
    }
    assert!(uuid::Uuid::parse_str(&admin.id).is_ok() && uuid::Uuid::parse_str(&agent.id).is_ok());
}

#[tokio::test]
async fn every_token_error_is_the_documents() {
    let service = Service::start(&[("MONTHLY_LIMIT", "3")]).await;
    let admin = service.admin();
    let by = service.token(&admin).await;
    let agent = service.create(&by, &["agents:read"]).await;
    let [suspended, spent] = [service.create(&by, &["agents:read"]).await, service.create(&by, &["agents:read"]).await];
    assert_eq!(service.manage(&by, &suspended, "suspend").await.status, StatusCode::OK);
    for _ in 0..3 {
        service.token(&spent).await;
    }

    let (id, secret) = (agent.id.as_str(), agent.secret.as_str());
    let grant = ("grant_type", "client_credentials");
    let unknown_client = json!({
        "error": "invalid_client",
        "error_description": "Client authentication failed. Invalid client_id or client_secret.",
    });
    let unsupported = json!({
        "error": "unsupported_grant_type",
        "error_description": "Only 'client_credentials' grant type is supported.",
    });
    let suspension = json!({
        "error": "unauthorized_client",
        "error_description": "Agent is currently suspended and cannot obtain tokens.",
    });
    let limit = json!({
        "error": "unauthorized_client",
        "error_description": "Free tier monthly token limit of 3 requests has been reached.",
    });
    let scope = json!({
        "error": "invalid_scope",
        "error_description": "A scope is unknown, or was not granted to this agent.",
    });
    let rows: [(&str, Pairs<'_>, u16, &Value); 17] = [
        ("wrong secret", &[grant, ("client_id", id), ("client_secret", "wrong")], 401, &unknown_client),
        ("another's secret", &[grant, ("client_id", id), ("client_secret", &admin.secret)], 401, &unknown_client),
        ("unknown client", &[grant, ("client_id", "nobody"), ("client_secret", secret)], 401, &unknown_client),
        ("no secret", &[grant, ("client_id", id)], 401, &unknown_client),
        ("empty secret", &[grant, ("client_id", id), ("client_secret", "")], 401, &unknown_client),
        ("no client", &[grant], 401, &unknown_client),
        ("suspended", &[grant, ("client_id", &suspended.id), ("client_secret", &suspended.secret)], 403, &suspension),
        ("suspended, wrong", &[grant, ("client_id", &suspended.id), ("client_secret", "x")], 401, &unknown_client),
        ("limit", &[grant, ("client_id", &spent.id), ("client_secret", &spent.secret)], 403, &limit),
        ("limit, wrong", &[grant, ("client_id", &spent.id), ("client_secret", "x")], 401, &unknown_client),
        ("code", &[("grant_type", "authorization_code"), ("code", "x")], 400, &unsupported),
        ("password", &[("grant_type", "password"), ("client_id", id), ("client_secret", secret)], 400, &unsupported),
        (
            "case",
            &[("grant_type", "Client_Credentials"), ("client_id", id), ("client_secret", secret)],
            400,
            &unsupported,
        ),
        ("unknown scope", &[grant, ("client_id", id), ("client_secret", secret), ("scope", "agents")], 400, &scope),
        (
            "not granted",
            &[grant, ("client_id", id), ("client_secret", secret), ("scope", "agents:read agents:write")],
            400,
            &scope,
        ),
        ("another case", &[grant, ("client_id", id), ("client_secret", secret), ("scope", "Agents:read")], 400, &scope),
        ("only spaces", &[grant, ("client_id", id), ("client_secret", secret), ("scope", "  ")], 400, &scope),
    ];
    for (what, form, status, body) in rows {
        let answer = service.form("/api/v1/token", form).await;
        assert_eq!((answer.status.as_u16(), &answer.json()), (status, body), "{what}");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{what}");
        assert_eq!(answer.challenge(), "", "{what}: nobody tried HTTP authentication");
    }
    // What was refused was not counted.
    for _ in 0..3 {
        service.token(&agent).await;
    }
    assert_eq!(service.ask_token(&agent, &[]).await.json(), limit);
}

#[tokio::test]
async fn introspection_answers_as_the_document_shows_it() {
    let service = Service::start(&[]).await;
    let admin = service.admin();
    let by = service.token(&admin).await;
    let asker = service.token_for(&admin, "tokens:read").await;
    let agent = service.create(&by, &["agents:read", "agents:write"]).await;
    let token = service.token(&agent).await;
    let claims = part(&token, 1);
    let expected = json!({
        "active": true, "sub": agent.id, "client_id": agent.id, "scope": "agents:read agents:write",
        "token_type": "Bearer", "iat": claims["iat"], "exp": claims["exp"],
    });
    assert_eq!(service.introspect(&asker, &token).await, expected);
    // By whoever may, itself included.
    assert!(service.is_active(&asker, &asker).await);

    let revoked = service.token(&agent).await;
    assert_eq!(service.revoke(&revoked, &revoked).await.status, StatusCode::OK);
    let (start, end) = token.rsplit_once('.').unwrap();
    let reversed = format!("{start}.{}", end.chars().rev().collect::<String>());
    let long = "x".repeat(20_000);
    for (what, text) in [
        ("revoked", revoked.as_str()),
        ("another signature", &reversed),
        ("unsigned", start),
        ("garbage", "garbage"),
        ("empty", ""),
        ("not a token at all", "a b\u{0}é"),
        ("long", &long),
        ("a secret", &agent.secret),
    ] {
        assert_eq!(service.introspect(&asker, text).await, json!({ "active": false }), "{what}");
    }

    // The layer's word on who may ask.
    let mut answer = service.form("/api/v1/token/introspect", &[("token", &token)]).await;
    assert_eq!((answer.status, answer.challenge()), (StatusCode::UNAUTHORIZED, "Bearer scope=\"tokens:read\""));
    answer = service.form_by(&token, "/api/v1/token/introspect", &[("token", &token)]).await;
    assert_eq!((answer.status, &answer.json()["error"]), (StatusCode::FORBIDDEN, &json!("insufficient_scope")));
    answer = service.form_by(&revoked, "/api/v1/token/introspect", &[("token", &token)]).await;
    assert_eq!((answer.status, &answer.json()["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_token")));
}

#[tokio::test]
async fn a_revoked_token_is_refused_on_the_next_request_and_its_credentials_live_on() {
    let service = Service::start(&[]).await;
    let admin = service.admin();
    let by = service.token(&admin).await;
    let [agent, other] = [service.create(&by, &["agents:read"]).await, service.create(&by, &["agents:read"]).await];
    let (own, foreign) = (service.token(&agent).await, service.token(&other).await);
    let listed = async |token: &str| service.get("/api/v1/agents", token).await.status;
    let empty = (StatusCode::OK, json!({}));
    let revoke = async |by: &str, token: &str| {
        let answer = service.revoke(by, token).await;
        (answer.status, answer.json())
    };

    // Another's, without and with an admin-scoped token.
    let (status, body) = revoke(&own, &foreign).await;
    assert_eq!((status, &body["error"]), (StatusCode::FORBIDDEN, &json!("insufficient_scope")));
    assert_eq!(listed(&foreign).await, StatusCode::OK);
    let (status, _) = revoke(&service.token_for(&admin, "agents:write tokens:read").await, &foreign).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "an admin whose token is not one");
    assert_eq!(listed(&foreign).await, StatusCode::OK);
    assert_eq!(revoke(&service.token_for(&admin, "admin:orgs").await, &foreign).await, empty);
    assert_eq!(listed(&foreign).await, StatusCode::UNAUTHORIZED);

    // Its own: another one, then the one that asks.
    let second = service.token(&agent).await;
    assert_eq!(listed(&own).await, StatusCode::OK);
    assert_eq!(revoke(&second, &own).await, empty);
    assert_eq!(listed(&own).await, StatusCode::UNAUTHORIZED);
    assert!(!service.is_active(&by, &own).await);
    // Again, and whatever is no token of ours.
    for token in
        [own.as_str(), "garbage", "", &"x".repeat(20_000), &format!("{second}x"), second.rsplit_once('.').unwrap().0]
    {
        assert_eq!(revoke(&second, token).await, empty, "{token}");
    }
    assert_eq!(listed(&second).await, StatusCode::OK);
    assert_eq!(revoke(&second, &second).await, empty);
    assert_eq!(revoke(&second, &second).await.0, StatusCode::UNAUTHORIZED, "it is no Bearer any more");

    assert_eq!(listed(&service.token(&agent).await).await, StatusCode::OK);
    let (status, body) = {
        let answer = service.form("/api/v1/token/revoke", &[("token", "x")]).await;
        (answer.status, answer.json())
    };
    assert_eq!((status, &body["error"]), (StatusCode::UNAUTHORIZED, &json!("unauthorized")));
}

#[tokio::test]
async fn every_route_needs_the_scope_that_the_document_says() {
    let service = Service::start(&[]).await;
    let admin = service.admin();
    let by = service.token(&admin).await;
    let agent = service.create(&by, &["audit:read"]).await;
    let of_agent = |what: &str| format!("/api/v1/agents/{}/{what}", agent.id);
    let rows = [
        (Method::POST, "/api/v1/token/introspect".to_owned(), "tokens:read"),
        (Method::GET, "/api/v1/agents".to_owned(), "agents:read"),
        (Method::POST, "/api/v1/agents".to_owned(), "agents:write"),
        (Method::POST, of_agent("credentials"), "agents:write"),
        (Method::POST, of_agent("suspend"), "agents:write"),
        (Method::POST, of_agent("reactivate"), "agents:write"),
    ];
    for (method, path, scope) in rows {
        let anonymous = service.send(method.clone(), &path, &[], "").await;
        assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let others: Vec<_> = SCOPES.into_iter().filter(|other| *other != scope).collect();
        let token = service.token_for(&admin, &others.join(" ")).await;
        let headers = [("authorization", format!("Bearer {token}"))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = service.send(method.clone(), &path, &headers, "").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {path}");
        assert!(refused.challenge().contains(&format!("scope=\"{scope}\"")), "{path}: {}", refused.challenge());
        let token = service.token_for(&admin, scope).await;
        let headers = [("authorization", format!("Bearer {token}"))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let passed = service.send(method.clone(), &path, &headers, "").await;
        assert!(!matches!(passed.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), "{path}: {passed:?}");
    }
    for (method, path) in [(Method::GET, "/api/v1/token"), (Method::GET, "/"), (Method::DELETE, "/api/v1/agents")] {
        let answer = service.send(method, path, &[], "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: unlisted");
    }
    let health = service.send(Method::GET, "/healthz", &[], "").await;
    assert_eq!((health.status, health.text.as_str()), (StatusCode::OK, "ok"));
}

#[tokio::test]
async fn its_tokens_are_verified_by_its_published_key_and_by_another_verifier() {
    let service = Service::start(&[]).await;
    let token = service.token(&service.admin()).await;
    let keys = service.send(Method::GET, "/.well-known/jwks.json", &[], "").await;
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&keys.text).unwrap();
    let [key] = keys.keys.as_slice() else { panic!("one key: {keys:?}") };
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.validate_aud = false;
    let decoded =
        jsonwebtoken::decode::<Value>(&token, &jsonwebtoken::DecodingKey::from_jwk(key).unwrap(), &rules).unwrap();
    assert_eq!(decoded.claims, part(&token, 1));
    assert_eq!(decoded.header.kid, None);
    let published = serde_json::to_string(&keys).unwrap();
    assert!(!published.contains("\"d\""), "a private key: {published}");
}
