//! Agents of `examples/agent_idp`: made, listed, given another secret, suspended and reactivated.

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::service::{Credentials, SCOPES, Service};
use crate::external::part;

#[tokio::test]
async fn an_agent_is_made_with_the_scopes_that_are_said_and_shown_without_its_secret() {
    let service = Service::start(&[]).await;
    let admin = service.admin();
    let by = service.token(&admin).await;
    let wanted = json!({
        "name": "reader", "scopes": ["tokens:read", "agents:read", "tokens:read"],
        // Not for whoever asks to say, and what we know nothing of.
        "agentId": admin.id, "client_secret": "mine", "status": "suspended", "description": "reads",
    });
    let answer = service.json_by(&by, "/api/v1/agents", &wanted).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    let made = answer.json();
    let agent = Credentials {
        id: made["agentId"].as_str().unwrap().to_owned(),
        secret: made["client_secret"].as_str().unwrap().to_owned(),
    };
    let created_at = made["createdAt"].as_str().unwrap();
    assert!(created_at.starts_with("20") && created_at.ends_with('Z'), "{created_at}");
    let mut expected = json!({
        "agentId": agent.id, "name": "reader", "scopes": ["agents:read", "tokens:read"], "status": "active",
        "createdAt": created_at,
    });
    let shown = expected.clone();
    expected["client_id"] = json!(agent.id);
    expected["client_secret"] = json!(agent.secret);
    assert_eq!(made, expected);
    assert!(agent.secret.len() >= 43, "256 bits");

    let listed = service.get("/api/v1/agents", &by).await;
    let all = listed.json();
    let agents = all["agents"].as_array().unwrap();
    assert_eq!((all.as_object().unwrap().len(), agents.len()), (1, 2), "{all}");
    assert!(agents.contains(&shown), "{all}");
    let first = agents.iter().find(|agent| agent["agentId"] == json!(admin.id)).unwrap();
    assert_eq!(first["scopes"], json!(SCOPES));
    assert!(!listed.text.contains(&agent.secret) && !listed.text.contains("secret"), "{}", listed.text);
    assert_eq!(part(&service.token(&agent).await, 1)["scope"], "agents:read tokens:read");
}

#[tokio::test]
async fn what_is_no_agent_is_refused_with_a_reason() {
    let service = Service::start(&[]).await;
    let by = service.token(&service.admin()).await;
    let rows: [(&str, Value, &str); 10] = [
        ("no object", json!([]), "not an agent"),
        ("no scopes", json!({ "name": "x" }), "scopes"),
        ("none at all", json!({ "scopes": [] }), "at least one scope"),
        ("an unknown one", json!({ "scopes": ["agents:read", "agents:delete"] }), "agents:delete"),
        ("a prefix", json!({ "scopes": ["agents"] }), "agents"),
        ("two in one", json!({ "scopes": ["agents:read agents:write"] }), "agents:read agents:write"),
        ("a text", json!({ "scopes": "agents:read" }), "not an agent"),
        ("a number for a name", json!({ "scopes": ["agents:read"], "name": 1 }), "not an agent"),
        ("an empty name", json!({ "scopes": ["agents:read"], "name": "" }), "name"),
        ("a long name", json!({ "scopes": ["agents:read"], "name": "x".repeat(201) }), "name"),
    ];
    for (what, body, named) in rows {
        let answer = service.json_by(&by, "/api/v1/agents", &body).await;
        let error = answer.json();
        assert_eq!((answer.status, &error["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{what}");
        assert!(error["error_description"].as_str().unwrap().contains(named), "{what}: {error}");
    }
    let bearer = format!("Bearer {by}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "text/plain")];
    let answer = service.send(Method::POST, "/api/v1/agents", &headers, r#"{"scopes":["agents:read"]}"#).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(service.get("/api/v1/agents", &by).await.json()["agents"].as_array().unwrap().len(), 1);

    // The second is no text at all.
    for nobody in ["nobody", "%ff"] {
        let nobody = Credentials { id: nobody.to_owned(), secret: String::new() };
        for what in ["credentials", "suspend", "reactivate"] {
            let answer = service.manage(&by, &nobody, what).await;
            let expected = json!({ "error": "not_found", "error_description": "There is no such agent." });
            assert_eq!((answer.status, answer.json()), (StatusCode::NOT_FOUND, expected), "{what}");
        }
    }
}

#[tokio::test]
async fn a_rotated_secret_is_worth_nothing_at_once_and_its_tokens_live_on() {
    let chosen = Credentials { id: "admin".to_owned(), secret: "correct horse".to_owned() };
    let variables = [("ADMIN_CLIENT_ID", chosen.id.as_str()), ("ADMIN_CLIENT_SECRET", &chosen.secret)];
    let service = Service::start(&variables).await;
    let by = service.token(&chosen).await;
    let made_up = service.create(&by, &["agents:read"]).await;
    // Also the one that is remembered not to be hashed again.
    for old in [made_up, chosen] {
        let token = service.token(&old).await;
        let answer = service.manage(&by, &old, "credentials").await;
        assert_eq!(
            (answer.status, answer.headers[header::CACHE_CONTROL].as_bytes()),
            (StatusCode::CREATED, &b"no-store"[..])
        );
        let made = answer.json();
        let new = Credentials { secret: made["client_secret"].as_str().unwrap().to_owned(), ..old.clone() };
        assert_eq!(made, json!({ "client_id": old.id, "client_secret": new.secret }));
        assert_ne!(new.secret, old.secret);
        let refused = service.ask_token(&old, &[]).await;
        assert_eq!((refused.status, &refused.json()["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_client")));
        service.token(&new).await;
        assert!(service.is_active(&by, &token).await);
    }
}

#[tokio::test]
async fn a_suspended_agent_has_no_tokens_until_it_is_reactivated() {
    let service = Service::start(&[]).await;
    let by = service.token(&service.admin()).await;
    let [agent, other] = [service.create(&by, &["agents:read"]).await, service.create(&by, &["agents:read"]).await];
    let (token, revoked) = (service.token(&agent).await, service.token(&agent).await);
    let others = service.token(&other).await;
    let status = async |token: &str| service.get("/api/v1/agents", token).await.status;

    for _ in 0..2 {
        let answer = service.manage(&by, &agent, "suspend").await;
        assert_eq!((answer.status, &answer.json()["status"]), (StatusCode::OK, &json!("suspended")));
        assert_eq!(answer.json()["agentId"], json!(agent.id));
    }
    assert_eq!(service.ask_token(&agent, &[]).await.json()["error"], "unauthorized_client");
    assert_eq!((status(&token).await, status(&others).await), (StatusCode::UNAUTHORIZED, StatusCode::OK));
    assert_eq!(service.introspect(&by, &token).await, json!({ "active": false }));
    // What is revoked meanwhile does not come back with the agent.
    assert_eq!(service.revoke(&by, &revoked).await.status, StatusCode::OK);

    for _ in 0..2 {
        let answer = service.manage(&by, &agent, "reactivate").await;
        assert_eq!((answer.status, &answer.json()["status"]), (StatusCode::OK, &json!("active")));
    }
    assert_eq!((status(&token).await, status(&revoked).await), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    assert!(service.is_active(&by, &token).await && !service.is_active(&by, &revoked).await);
    service.token(&agent).await;
}
