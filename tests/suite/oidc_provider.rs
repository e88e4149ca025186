//! `examples/protected_api` before an authorization server that is not ours: npm `oidc-provider`.
//!
//! It needs Node and what npm installs; `tests/external/run` sees to both and runs this.

use http::{Method, StatusCode};
use serde_json::json;
use tokio::process::Command;

use crate::{
    external::{
        AUDIENCE, Server, assert_insufficient, assert_invalid, assert_unavailable, home, part, tampered, whoami,
    },
    process::Api,
};

/// Longer than its tokens are.
const LONG: &str = "NUbbTwSW3dN9Fw7XLhhSjWnbfDfZ2iZWLWyfAvRNMFCjkZRNZ8SLyqpwMPdGxJmJCxsP2ahsLuDbwhWfyrKpnTvPd3GVkjCb";

async fn start() -> Server {
    let mut command = Command::new("node");
    command.arg("server.mjs").current_dir(home("oidc_provider"));
    Server::start(command, "openid-configuration").await
}

async fn api(server: &Server) -> Api {
    Api::start(&[("ISSUER", &server.issuer), ("AUDIENCE", AUDIENCE), ("TOKEN_TYPE", "at+jwt")]).await
}

#[tokio::test]
#[ignore = "needs Node and npm: tests/external/run"]
async fn its_tokens_are_accepted_whatever_they_are_signed_with() {
    let server = start().await;
    let api = api(&server).await;
    for algorithm in ["RS256", "PS256", "ES256", "Ed25519", "EdDSA"] {
        let token = server.token(algorithm, AUDIENCE, "agents:read agents:write").await;
        let (header, claims) = (part(&token, 0), part(&token, 1));
        assert_eq!((&header["alg"], &header["typ"]), (&algorithm.into(), &"at+jwt".into()));

        let answer = api.get("/whoami", Some(&token)).await;
        assert_eq!(answer.status, StatusCode::OK, "{algorithm}: {answer:?}");
        let expected = json!({
            "sub": algorithm, "client_id": algorithm, "iss": server.issuer, "aud": AUDIENCE,
            "scope": ["agents:read", "agents:write"], "exp": claims["exp"], "jti": claims["jti"],
        });
        assert_eq!(answer.json(), expected, "{algorithm}");
        assert_eq!(api.get("/agents", Some(&token)).await.status, StatusCode::OK, "{algorithm}");
        assert_eq!(api.send(Method::POST, "/agents", Some(&token)).await.status, StatusCode::OK, "{algorithm}");
        println!("{algorithm}: {} {header} accepted, {}", claims["iss"], answer.text);
    }
}

#[tokio::test]
#[ignore = "needs Node and npm: tests/external/run"]
async fn its_tokens_are_refused_where_they_should_be() {
    let server = start().await;
    let api = api(&server).await;
    for algorithm in ["RS256", "PS256", "ES256", "Ed25519", "EdDSA"] {
        for other in ["https://other.example", "https://api.example/", "https://api.example.evil.example"] {
            let token = server.token(algorithm, other, "agents:read").await;
            assert_invalid(other, &api.get("/agents", Some(&token)).await);
        }

        let token = server.token(algorithm, AUDIENCE, "agents:read").await;
        assert_eq!(api.get("/agents", Some(&token)).await.status, StatusCode::OK, "{algorithm}");
        let answer = api.send(Method::POST, "/agents", Some(&token)).await;
        assert_insufficient(algorithm, "agents:write", &answer);

        for (what, tampered) in tampered(&token) {
            assert_invalid(what, &api.get("/agents", Some(&tampered)).await);
        }
        println!("{algorithm}: other audiences, missing scope, tampering refused");
    }
    let opaque = server.token("opaque", AUDIENCE, "agents:read").await;
    assert_invalid("an opaque token", &api.get("/agents", Some(&opaque)).await);
    assert_eq!(api.get("/agents", None).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
#[ignore = "needs Node and npm: tests/external/run"]
async fn its_opaque_tokens_are_accepted_once_it_vouches_for_them() {
    let server = start().await;
    let api = server.asking_api(&[]).await;
    let token = server.token("opaque", AUDIENCE, "agents:read").await;
    let said = server.introspect(&token).await;
    assert_eq!((&said["active"], &said["client_id"]), (&true.into(), &"opaque".into()), "{said}");

    let answer = api.get("/whoami", Some(&token)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json(), whoami(&said));
    assert_eq!(api.get("/agents", Some(&token)).await.status, StatusCode::OK);
    assert_insufficient("opaque", "agents:write", &api.send(Method::POST, "/agents", Some(&token)).await);
    println!("opaque: {said} accepted, {}", answer.text);

    let other = server.token("opaque", "https://other.example", "agents:read").await;
    let reversed: String = token.chars().rev().collect();
    for (what, token) in [("another audience", &*other), ("unknown", &*reversed), ("junk", "junk"), ("long", LONG)] {
        assert_invalid(what, &api.get("/agents", Some(token)).await);
    }
    assert_eq!(api.get("/readyz", None).await.status, StatusCode::OK);
}

#[tokio::test]
#[ignore = "needs Node and npm: tests/external/run"]
async fn a_token_that_it_revoked_is_refused() {
    let server = start().await;
    let asking = server.asking_api(&[("STATUS_MAX_AGE", "0")]).await;
    let caching = server.asking_api(&[("STATUS_MAX_AGE", "600")]).await;
    let token = server.token("opaque", AUDIENCE, "agents:read agents:write").await;
    for api in [&asking, &caching] {
        for method in [Method::GET, Method::POST] {
            let answer = api.send(method, "/agents", Some(&token)).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        }
    }
    server.revoke("opaque", &token).await;
    assert_invalid("asked anew", &asking.get("/agents", Some(&token)).await);
    assert_eq!(caching.get("/agents", Some(&token)).await.status, StatusCode::OK, "within its ten minutes");
    let answer = caching.send(Method::POST, "/agents", Some(&token)).await;
    assert_invalid("asked on every request", &answer);
    assert_invalid("what one route learnt", &caching.get("/agents", Some(&token)).await);
    println!("opaque: refused as soon as it is revoked");
}

#[tokio::test]
#[ignore = "needs Node and npm: tests/external/run"]
async fn its_jwts_are_judged_by_its_keys_beside_opaque_tokens() {
    let server = start().await;
    let api = server.asking_api(&[("INTROSPECT", "opaque")]).await;
    let opaque = server.token("opaque", AUDIENCE, "agents:read").await;
    let jwt = server.token("RS256", AUDIENCE, "agents:read").await;
    for token in [&opaque, &jwt] {
        let answer = api.get("/agents", Some(token)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    for (what, tampered) in tampered(&jwt) {
        assert_invalid(what, &api.get("/agents", Some(&tampered)).await);
    }
    // It answers 400 `unsupported_token_type`, which makes no token active.
    let asking = server.asking_api(&[]).await;
    assert_unavailable("a JWT", &asking.get("/agents", Some(&jwt)).await);
    assert_eq!(asking.get("/agents", Some(&opaque)).await.status, StatusCode::OK);
    println!("JWTs: judged by keys, or not at all");
}

#[tokio::test]
#[ignore = "needs Node and npm: tests/external/run"]
async fn credentials_that_it_refuses_make_no_token_active() {
    let server = start().await;
    let token = server.token("opaque", AUDIENCE, "agents:read").await;
    for (what, variable) in [("another secret", ("CLIENT_SECRET", "hush")), ("another client", ("CLIENT_ID", "nobody"))]
    {
        let api = server.asking_api(&[variable]).await;
        for _ in 0..5 {
            assert_unavailable(what, &api.get("/agents", Some(&token)).await);
        }
        let ready = api.get("/readyz", None).await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "{what}: {ready:?}");
        let end = api.stop("TERM").await;
        assert!(!end.stderr.contains("hush") && !end.stderr.contains(&token), "a secret in the log");
        println!("{what}: 503, {}", ready.text);
    }
}
