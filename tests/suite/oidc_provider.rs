//! `examples/protected_api` before an authorization server that is not ours: npm `oidc-provider`.
//!
//! It needs Node and what npm installs; `tests/external/run` sees to both and runs this.

use http::{Method, StatusCode};
use serde_json::json;
use tokio::process::Command;

use crate::{
    external::{AUDIENCE, Server, assert_insufficient, assert_invalid, home, part, tampered},
    process::Api,
};

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
