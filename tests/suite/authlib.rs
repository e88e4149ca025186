//! `examples/protected_api` before an authorization server that is not ours: PyPI `Authlib`.
//!
//! It needs Python and what pip installs; `tests/external/run` sees to both and runs this.

use http::{Method, StatusCode};
use serde_json::json;
use tokio::process::Command;

use crate::{
    external::{AUDIENCE, Server, assert_insufficient, assert_invalid, home, part, tampered},
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
