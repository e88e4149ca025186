//! An authorization server that is not ours, as a process: started, asked for tokens and about them, killed.
//!
//! `tests/external/run` installs what they need. In all of them the client that gets a token has the secret `secret`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use crate::process::{Answer, Api, within};

pub const AUDIENCE: &str = "https://api.example";

/// What it knows the resource server by. In HTTP Basic both are form-encoded first (RFC 6749 §2.3.1).
pub const CLIENT_ID: &str = "api";
pub const CLIENT_SECRET: &str = "a secret: 100% + /";
const CLIENT_SECRET_ENCODED: &str = "a%20secret%3A%20100%25%20%2B%20%2F";

/// The server, which ends with its standard input.
pub struct Server {
    pub issuer: String,
    metadata: Value,
    client: reqwest::Client,
    process: Child,
    _stdin: ChildStdin,
}

/// `tests/external/` and this.
pub fn home(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/external").join(name)
}

impl Server {
    /// Starts it, and reads its metadata from there.
    pub async fn start(mut command: Command, well_known: &str) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("run tests/external/run");
        let mut stdout = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = within("its start", stdout.next_line()).await.unwrap().expect("run tests/external/run");
        let issuer = line.strip_prefix("listening on ").expect(&line).to_owned();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let metadata = format!("{issuer}/.well-known/{well_known}");
        let metadata = within("metadata", async { client.get(metadata).send().await.unwrap().text().await.unwrap() });
        let metadata = serde_json::from_str(&metadata.await).unwrap();
        let _stdin = process.stdin.take().unwrap();
        Self { issuer, metadata, client, process, _stdin }
    }

    /// An access token for `resource`, by client credentials.
    pub async fn token(&self, client: &str, resource: &str, scope: &str) -> String {
        let form = format!("grant_type=client_credentials&resource={resource}&scope={scope}");
        let answer = self.post("token_endpoint", (client, "secret"), form).await;
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// What it says of a token, whoever's it is.
    pub async fn introspect(&self, token: &str) -> Value {
        let form = format!("token={token}");
        self.post("introspection_endpoint", (CLIENT_ID, CLIENT_SECRET_ENCODED), form).await
    }

    /// Withdraws a token of this client's.
    pub async fn revoke(&self, client: &str, token: &str) {
        self.post("revocation_endpoint", (client, "secret"), format!("token={token}")).await;
    }

    /// The example, judging its tokens and asking it about them.
    pub async fn asking_api(&self, changes: &[(&str, &str)]) -> Api {
        let variables = [
            ("ISSUER", self.issuer.as_str()),
            ("AUDIENCE", AUDIENCE),
            ("TOKEN_TYPE", "at+jwt"),
            ("INTROSPECTION_URL", "discover"),
            ("CLIENT_ID", CLIENT_ID),
            ("CLIENT_SECRET", CLIENT_SECRET),
        ];
        Api::start(&[variables.as_slice(), changes].concat()).await
    }

    /// Ends it at once. What is asked from now on finds nobody.
    pub async fn kill(&mut self) {
        within("its end", self.process.kill()).await.unwrap();
    }

    async fn post(&self, endpoint: &str, (id, secret): (&str, &str), form: String) -> Value {
        let url = self.metadata[endpoint].as_str().expect(endpoint);
        let request = self.client.post(url).basic_auth(id, Some(secret)).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let (status, text) = within(endpoint, async {
            let response = request.send().await.unwrap();
            (response.status(), response.text().await.unwrap())
        })
        .await;
        assert_eq!(status, StatusCode::OK, "{endpoint}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// What `/whoami` makes of claims, or of what the server said of a token.
pub fn whoami(claims: &Value) -> Value {
    let scopes: Vec<_> = claims["scope"].as_str().unwrap().split(' ').collect();
    json!({
        "sub": claims["sub"], "client_id": claims["client_id"], "iss": claims["iss"], "aud": claims["aud"],
        "scope": scopes, "exp": claims["exp"], "jti": claims["jti"],
    })
}

/// A part of a token, as JSON.
pub fn part(token: &str, position: usize) -> Value {
    let part = token.split('.').nth(position).unwrap();
    serde_json::from_slice(&base64_simd::URL_SAFE_NO_PAD.decode_to_vec(part).unwrap()).unwrap()
}

/// Tokens that this one does not vouch for: other claims, another signature, none.
pub fn tampered(token: &str) -> [(&'static str, String); 3] {
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut changed = part(token, 1);
    changed["scope"] = "agents:read agents:write agents:delete".into();
    let changed = base64_simd::URL_SAFE_NO_PAD.encode_to_string(changed.to_string());
    let reversed: String = signature.chars().rev().collect();
    [
        ("other claims", format!("{header}.{changed}.{signature}")),
        ("another signature", format!("{header}.{claims}.{reversed}")),
        ("no signature", format!("{header}.{claims}.")),
    ]
}

pub fn assert_invalid(what: &str, answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {answer:?}");
    assert!(answer.challenge().contains("error=\"invalid_token\""), "{what}: {}", answer.challenge());
    assert_eq!(answer.json()["error"], "invalid_token", "{what}");
}

pub fn assert_unavailable(what: &str, answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{what}: {answer:?}");
    assert!(answer.headers.contains_key(header::RETRY_AFTER), "{what}");
    assert_eq!(answer.challenge(), "", "{what}");
}

pub fn assert_insufficient(what: &str, scope: &str, answer: &Answer) {
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}: {answer:?}");
    assert!(answer.challenge().contains("error=\"insufficient_scope\""), "{what}: {}", answer.challenge());
    assert!(answer.challenge().contains(&format!("scope=\"{scope}\"")), "{what}: {}", answer.challenge());
}
