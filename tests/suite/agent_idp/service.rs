//! The `agent_idp` example as a process: started, asked over HTTP, stopped or killed.

use std::{fs, path::PathBuf, process::Stdio};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
};

use crate::process::{Answer, End, example, send_signal, within};

/// Parameters of a form, or headers.
pub type Pairs<'p> = &'p [(&'p str, &'p str)];

pub const SCOPES: [&str; 7] =
    ["agents:read", "agents:write", "tokens:read", "audit:read", "webhooks:read", "webhooks:write", "admin:orgs"];

/// The example, listening. It ends with this at the latest.
pub struct Service {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Read all the while: what nobody reads is lost once the pipe is full.
    stderr: JoinHandle<String>,
    pub url: String,
    /// What it printed before it listened.
    pub printed: Vec<String>,
    client: reqwest::Client,
}

/// Who it is, and how it shows that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub id: String,
    pub secret: String,
}

/// A directory to be kept in, gone with this.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Service {
    /// Starts it with these variables and no others, on a free port.
    pub async fn start(variables: Pairs<'_>) -> Self {
        Self::run(example("agent_idp", variables)).await
    }

    /// The same in a shell that allows it no files of more than `blocks` of 512 bytes.
    pub async fn start_within(blocks: u64, variables: Pairs<'_>) -> Self {
        let command = example("agent_idp", variables);
        let program = command.as_std().get_program();
        let mut shell = Command::new("sh");
        // Beyond, writing fails; it is not ended by a signal.
        shell.args(["-c", "trap '' XFSZ; ulimit -f \"$1\" && exec \"$2\"", "sh", &blocks.to_string()]).arg(program);
        shell.env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
        shell.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self::run(shell).await
    }

    async fn run(mut command: Command) -> Self {
        let mut child = command.env("PORT", "0").spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut log = child.stderr.take().unwrap();
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            log.read_to_string(&mut text).await.unwrap();
            text
        });
        let mut printed = Vec::new();
        let url = loop {
            let Some(line) = within("the start", stdout.next_line()).await.unwrap() else {
                panic!("it did not start: {}", stderr.await.unwrap());
            };
            match line.strip_prefix("listening on ") {
                Some(url) => break url.to_owned(),
                None => printed.push(line),
            }
        };
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { child, stdout, stderr, url, printed, client }
    }

    /// The admin that it made up and printed.
    pub fn admin(&self) -> Credentials {
        let [line] = self.printed.as_slice() else { panic!("one admin: {:?}", self.printed) };
        let (id, secret) =
            line.strip_prefix("admin client_id=").and_then(|rest| rest.split_once(" client_secret=")).expect(line);
        Credentials { id: id.to_owned(), secret: secret.to_owned() }
    }

    pub async fn send(&self, method: Method, path: &str, headers: Pairs<'_>, body: &str) -> Answer {
        let request = self.client.request(method, format!("{}{path}", self.url)).body(body.to_owned());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        within(path, async {
            let mut response = request.send().await.unwrap();
            let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
            Answer { status, headers, text: response.text().await.unwrap() }
        })
        .await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(Method::GET, path, &[("authorization", &format!("Bearer {token}"))], "").await
    }

    /// A form without a token.
    pub async fn form(&self, path: &str, parameters: Pairs<'_>) -> Answer {
        self.send(Method::POST, path, &[FORM], &encoded(parameters)).await
    }

    /// A form with one.
    pub async fn form_by(&self, token: &str, path: &str, parameters: Pairs<'_>) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(Method::POST, path, &[FORM, ("authorization", &bearer)], &encoded(parameters)).await
    }

    pub async fn json_by(&self, token: &str, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("authorization", &format!("Bearer {token}"))];
        self.send(Method::POST, path, &headers, &body.to_string()).await
    }

    /// A request for a token, with whatever else it says.
    pub async fn ask_token(&self, who: &Credentials, more: Pairs<'_>) -> Answer {
        let who = [("grant_type", "client_credentials"), ("client_id", &who.id), ("client_secret", &who.secret)];
        self.form("/api/v1/token", &[&who, more].concat()).await
    }

    /// A token with all that it may have.
    pub async fn token(&self, who: &Credentials) -> String {
        let answer = self.ask_token(who, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn token_for(&self, who: &Credentials, scope: &str) -> String {
        let answer = self.ask_token(who, &[("scope", scope)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn introspect(&self, by: &str, token: &str) -> Value {
        let answer = self.form_by(by, "/api/v1/token/introspect", &[("token", token)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    }

    pub async fn is_active(&self, by: &str, token: &str) -> bool {
        self.introspect(by, token).await["active"].as_bool().unwrap()
    }

    pub async fn revoke(&self, by: &str, token: &str) -> Answer {
        self.form_by(by, "/api/v1/token/revoke", &[("token", token)]).await
    }

    /// A new agent with these scopes.
    pub async fn create(&self, by: &str, scopes: &[&str]) -> Credentials {
        let answer = self.json_by(by, "/api/v1/agents", &json!({ "scopes": scopes })).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let made = answer.json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Credentials { id: text("agentId"), secret: text("client_secret") }
    }

    /// `suspend`, `reactivate` or `credentials`.
    pub async fn manage(&self, by: &str, who: &Credentials, what: &str) -> Answer {
        self.form_by(by, &format!("/api/v1/agents/{}/{what}", who.id), &[]).await
    }

    /// Ends it as nothing else ends it.
    pub async fn kill(&mut self) {
        within("its end", self.child.kill()).await.unwrap();
    }

    pub async fn stop(mut self) -> End {
        send_signal(&self.child, "TERM").await;
        let status = within("the end", self.child.wait()).await.unwrap();
        let mut stdout = String::new();
        within("its last words", self.stdout.get_mut().read_to_string(&mut stdout)).await.unwrap();
        End { code: status.code(), stdout, stderr: within("its log", self.stderr).await.unwrap() }
    }
}

pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub fn encoded(parameters: Pairs<'_>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}
