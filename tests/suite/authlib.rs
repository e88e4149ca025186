//! `examples/protected_api` before an authorization server that is not ours: PyPI `Authlib`.
//!
//! It needs Python and what pip installs; `tests/external/run` sees to both and runs this.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    external::{
        AUDIENCE, Server, assert_insufficient, assert_invalid, assert_unavailable, home, part, tampered, whoami,
    },
    process::Api,
};

async fn start() -> Server {
    let mut command = Command::new(home("../../target/authlib/bin/python"));
    command.arg(home("authlib/server.py"));
    Server::start(command, "oauth-authorization-server").await
}

#[tokio::test]
#[ignore = "needs Python and venv: tests/external/run"]
async fn its_jwts_are_judged_by_its_keys() {
    let server = start().await;
    let api = Api::start(&[("ISSUER", &server.issuer), ("AUDIENCE", AUDIENCE), ("TOKEN_TYPE", "at+jwt")]).await;
    for algorithm in ["RS256", "ES256"] {
        let token = server.token(algorithm, AUDIENCE, "agents:read").await;
        let (header, claims) = (part(&token, 0), part(&token, 1));
        assert_eq!(header, json!({ "alg": algorithm, "typ": "at+jwt" }), "no kid");

        let answer = api.get("/whoami", Some(&token)).await;
        assert_eq!(answer.status, StatusCode::OK, "{algorithm}: {answer:?}");
        let expected = json!({
            "sub": algorithm, "client_id": algorithm, "iss": server.issuer, "aud": [AUDIENCE],
            "scope": ["agents:read"], "exp": claims["exp"], "jti": claims["jti"],
        });
        assert_eq!(answer.json(), expected, "{algorithm}");
        assert_eq!(api.get("/agents", Some(&token)).await.status, StatusCode::OK, "{algorithm}");
        let answer = api.send(Method::POST, "/agents", Some(&token)).await;
        assert_insufficient(algorithm, "agents:write", &answer);

        let other = server.token(algorithm, "https://other.example", "agents:read").await;
        assert_invalid("another audience", &api.get("/whoami", Some(&other)).await);
        for (what, tampered) in tampered(&token) {
            assert_invalid(what, &api.get("/whoami", Some(&tampered)).await);
        }
        println!("{algorithm}: {header} {claims} accepted; other audiences, missing scope, tampering refused");
    }
    let opaque = server.token("opaque", AUDIENCE, "agents:read").await;
    assert_invalid("an opaque token", &api.get("/agents", Some(&opaque)).await);
}

#[tokio::test]
#[ignore = "needs Python and venv: tests/external/run"]
async fn it_is_asked_about_both_kinds_of_token() {
    let server = start().await;
    let api = server.asking_api(&[]).await;
    for client in ["RS256", "ES256", "opaque"] {
        let token = server.token(client, AUDIENCE, "agents:read").await;
        let said = server.introspect(&token).await;
        assert_eq!((&said["active"], &said["client_id"]), (&true.into(), &client.into()), "{said}");
        let mut expected = whoami(&said);
        if client != "opaque" {
            assert_eq!(said["jti"], Value::Null, "what it leaves out, the token itself says");
            expected["jti"] = part(&token, 1)["jti"].clone();
        }
        let answer = api.get("/whoami", Some(&token)).await;
        assert_eq!(answer.status, StatusCode::OK, "{client}: {answer:?}");
        assert_eq!(answer.json(), expected, "{client}");
        assert_eq!(api.get("/agents", Some(&token)).await.status, StatusCode::OK, "{client}");
        assert_insufficient(client, "agents:write", &api.send(Method::POST, "/agents", Some(&token)).await);
        println!("{client}: {said} accepted, {}", answer.text);

        let other = server.token(client, "https://other.example", "agents:read").await;
        let reversed: String = token.chars().rev().collect();
        for (what, token) in [("another audience", &*other), ("unknown", &*reversed), ("junk", "junk")] {
            assert_invalid(what, &api.get("/agents", Some(token)).await);
        }
    }
    assert_eq!(api.get("/readyz", None).await.status, StatusCode::OK);
}

#[tokio::test]
#[ignore = "needs Python and venv: tests/external/run"]
async fn a_token_that_it_revoked_is_refused() {
    let server = start().await;
    let asking = server.asking_api(&[("STATUS_MAX_AGE", "0")]).await;
    let caching = server.asking_api(&[("STATUS_MAX_AGE", "600")]).await;
    for client in ["RS256", "ES256", "opaque"] {
        let token = server.token(client, AUDIENCE, "agents:read agents:write").await;
        for api in [&asking, &caching] {
            for method in [Method::GET, Method::POST] {
                let answer = api.send(method, "/agents", Some(&token)).await;
                assert_eq!(answer.status, StatusCode::OK, "{client}: {answer:?}");
            }
        }
        server.revoke(client, &token).await;
        assert_invalid(client, &asking.get("/agents", Some(&token)).await);
        assert_eq!(caching.get("/agents", Some(&token)).await.status, StatusCode::OK, "within its ten minutes");
        assert_invalid(client, &caching.send(Method::POST, "/agents", Some(&token)).await);
        assert_invalid("what one route learnt", &caching.get("/agents", Some(&token)).await);
        println!("{client}: refused as soon as it is revoked");
    }
}

#[tokio::test]
#[ignore = "needs Python and venv: tests/external/run"]
async fn while_it_is_gone_the_outage_policy_decides() {
    for (max_age, on_outage, status) in [
        ("0", "deny", StatusCode::SERVICE_UNAVAILABLE),
        ("600", "deny", StatusCode::OK),
        ("0", "accept-stale:60", StatusCode::OK),
        ("0", "accept-stale:0", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let mut server = start().await;
        let api = server.asking_api(&[("STATUS_MAX_AGE", max_age), ("ON_OUTAGE", on_outage)]).await;
        let mut tokens = Vec::new();
        for client in ["RS256", "opaque"] {
            let seen = server.token(client, AUDIENCE, "agents:read agents:write").await;
            for method in [Method::GET, Method::POST] {
                let answer = api.send(method, "/agents", Some(&seen)).await;
                assert_eq!(answer.status, StatusCode::OK, "{client}: {answer:?}");
            }
            let unseen = server.token(client, AUDIENCE, "agents:read agents:write").await;
            tokens.push((client, seen, unseen));
        }
        assert_eq!(api.get("/readyz", None).await.status, StatusCode::OK);

        server.kill().await;
        for (client, seen, unseen) in &tokens {
            let what = format!("{client}, {max_age} seconds, {on_outage}");
            let answer = api.get("/agents", Some(seen)).await;
            if status == StatusCode::OK {
                assert_eq!(answer.status, status, "{what}: {answer:?}");
            } else {
                assert_unavailable(&what, &answer);
            }
            assert_unavailable(&what, &api.send(Method::POST, "/agents", Some(seen)).await);
            assert_unavailable(&what, &api.get("/agents", Some(unseen)).await);
        }
        for (what, tampered) in tampered(&tokens[0].1) {
            // 503 where a new key could have made that signature: there may be one, and it is not to be had.
            let answer = api.get("/agents", Some(&tampered)).await;
            let is_refused = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::SERVICE_UNAVAILABLE);
            assert!(is_refused, "{what}: {answer:?}");
        }
        let ready = api.get("/readyz", None).await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "{ready:?}");
        assert!(ready.text.contains(&server.issuer), "{}", ready.text);
        println!("{max_age} seconds, {on_outage}: {status} for tokens seen before, 503 for others; {}", ready.text);
    }
}
