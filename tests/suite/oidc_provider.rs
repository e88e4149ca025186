//! `examples/protected_api` before an authorization server that is not ours: npm `oidc-provider`.
//!
//! It needs Node and what npm installs; `tests/external/run` sees to both and runs this.

use std::{path::Path, process::Stdio};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use crate::process::{Answer, Api, within};

const AUDIENCE: &str = "https://api.example";

/// The server, which ends with its standard input.
struct OidcProvider {
    issuer: String,
    client: reqwest::Client,
    _process: (Child, ChildStdin),
}

impl OidcProvider {
    async fn start() -> Self {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/external/oidc_provider");
        let mut command = Command::new("node");
        command.arg("server.mjs").current_dir(home).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("node");
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within("oidc-provider", stdout.next_line()).await.unwrap().expect("run tests/external/run");
        let issuer = line.strip_prefix("listening on ").expect(&line).to_owned();
        let stdin = child.stdin.take().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { issuer, client, _process: (child, stdin) }
    }

    /// An access token for `resource`, by client credentials, signed with the algorithm that names the client.
    async fn token(&self, algorithm: &str, resource: &str, scope: &str) -> String {
        let form = format!("grant_type=client_credentials&resource={resource}&scope={scope}");
        let request = self.client.post(format!("{}/token", self.issuer)).basic_auth(algorithm, Some("secret"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let text = within("a token", async { request.send().await.unwrap().text().await.unwrap() }).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["access_token"].as_str().expect(&text).to_owned()
    }

    async fn api(&self) -> Api {
        Api::start(&[("ISSUER", &self.issuer), ("AUDIENCE", AUDIENCE), ("TOKEN_TYPE", "at+jwt")]).await
    }
}

/// A part of a token, as JSON.
fn part(token: &str, position: usize) -> Value {
    let part = token.split('.').nth(position).unwrap();
    serde_json::from_slice(&base64_simd::URL_SAFE_NO_PAD.decode_to_vec(part).unwrap()).unwrap()
}

fn assert_invalid(what: &str, answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {answer:?}");
    assert!(answer.challenge().contains("error=\"invalid_token\""), "{what}: {}", answer.challenge());
    assert_eq!(answer.json()["error"], "invalid_token", "{what}");
}

#[tokio::test]
#[ignore = "needs Node and npm: tests/external/run"]
async fn its_tokens_are_accepted_whatever_they_are_signed_with() {
    let server = OidcProvider::start().await;
    let api = server.api().await;
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
    let server = OidcProvider::start().await;
    let api = server.api().await;
    for algorithm in ["RS256", "PS256", "ES256", "Ed25519", "EdDSA"] {
        for other in ["https://other.example", "https://api.example/", "https://api.example.evil.example"] {
            let token = server.token(algorithm, other, "agents:read").await;
            assert_invalid(other, &api.get("/agents", Some(&token)).await);
        }

        let token = server.token(algorithm, AUDIENCE, "agents:read").await;
        assert_eq!(api.get("/agents", Some(&token)).await.status, StatusCode::OK, "{algorithm}");
        let answer = api.send(Method::POST, "/agents", Some(&token)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{algorithm}");
        assert!(answer.challenge().contains("error=\"insufficient_scope\""), "{}", answer.challenge());
        assert!(answer.challenge().contains("scope=\"agents:write\""), "{}", answer.challenge());

        let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let mut changed = part(&token, 1);
        changed["scope"] = "agents:read agents:write".into();
        let changed = base64_simd::URL_SAFE_NO_PAD.encode_to_string(changed.to_string());
        let reversed: String = signature.chars().rev().collect();
        for (what, tampered) in [
            ("other claims", format!("{header}.{changed}.{signature}")),
            ("another signature", format!("{header}.{claims}.{reversed}")),
            ("no signature", format!("{header}.{claims}.")),
        ] {
            assert_invalid(what, &api.get("/agents", Some(&tampered)).await);
        }
        println!("{algorithm}: other audiences, missing scope, tampering refused");
    }
    let opaque = server.token("RS256", "urn:opaque", "agents:read").await;
    assert_invalid("an opaque token", &api.get("/agents", Some(&opaque)).await);
    assert_eq!(api.get("/agents", None).await.status, StatusCode::UNAUTHORIZED);
}
