//! Examples as processes: started, asked over HTTP, told to stop. Every wait has an end.

use std::{env, fs, future::Future, path::PathBuf, process::Stdio, time::Duration};

use http::{HeaderMap, Method, StatusCode, header};
use portcullis::clock::{Clock, SystemClock};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// The `protected_api` example, listening. It ends with this at the latest.
pub struct Api {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    url: String,
    client: reqwest::Client,
}

/// How the example ended.
pub struct End {
    pub code: Option<i32>,
    /// What it printed on standard output after the line that says where it listens.
    pub stdout: String,
    pub stderr: String,
}

/// What a request came to.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn challenge(&self) -> &str {
        self.headers.get(header::WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap())
    }
}

/// Variables that change a good configuration, and what the error must say.
pub type Refusal<'r> = (&'r [(&'r str, &'r str)], &'r [&'r str]);

/// A file for the example to read, gone with this.
pub struct File(PathBuf);

impl File {
    pub fn new(name: &str, content: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Api {
    /// Starts `protected_api` with these variables and no others, on a free port.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_example("protected_api", variables).await
    }

    /// The same with another example.
    pub async fn start_example(name: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = example(name, variables).env("PORT", "0").spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(line) = within("the start", stdout.next_line()).await.unwrap() else {
            let end = end_of(child, stdout).await;
            panic!("it did not start: {}", end.stderr);
        };
        let url = line.strip_prefix("listening on ").expect(&line).to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        // Whatever proxy the machine is configured with, it does not lead to loopback.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { child, stdout, url, client }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(Method::GET, path, token).await
    }

    pub async fn send(&self, method: Method, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        within(path, async {
            let mut response = request.send().await.unwrap();
            let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
            Answer { status, headers, text: response.text().await.unwrap() }
        })
        .await
    }

    /// Sends it that signal, by its own process id, and waits for its end.
    pub async fn stop(self, signal: &str) -> End {
        send_signal(&self.child, signal).await;
        end_of(self.child, self.stdout).await
    }

    /// The same, and reads nothing of what it has logged.
    pub async fn stop_unread(mut self, signal: &str) -> Option<i32> {
        send_signal(&self.child, signal).await;
        within("the end", self.child.wait()).await.unwrap().code()
    }
}

/// Starts the example with variables that it should refuse, and checks that the error names the right thing.
pub async fn check_refused(variables: &[(&str, &str)], named: &[&str]) {
    check_example_refused("protected_api", variables, named).await;
}

/// The same with another example.
pub async fn check_example_refused(name: &str, variables: &[(&str, &str)], named: &[&str]) {
    let mut child = example(name, variables).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let end = end_of(child, stdout).await;
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{variables:?}: {}", end.stderr);
    let error = end.stderr.lines().find(|line| line.starts_with("error: ")).expect(&end.stderr);
    for text in named {
        assert!(error.contains(text), "{variables:?}: {error}");
    }
    assert!(!end.stderr.contains("hush"), "a secret in the log");
}

/// `future`, or a panic that says what has taken too long.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::select! {
        done = future => done,
        () = SystemClock::new().sleep(Duration::from_secs(30)) => panic!("{what} takes too long"),
    }
}

/// This example, with these variables and no others.
pub fn example(name: &str, variables: &[(&str, &str)]) -> Command {
    // `target/debug/deps/suite-…` is this program, `target/debug/examples/` is where the examples are.
    let this = env::current_exe().unwrap();
    let examples: PathBuf = this.ancestors().nth(2).unwrap().join("examples");
    let program = examples.join(name);
    assert!(program.exists(), "{} is built by `cargo test`, or `cargo build --examples`", program.display());
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Sends a process that signal, by its id.
pub async fn send_signal(process: &Child, signal: &str) {
    let id = process.id().unwrap().to_string();
    // `kill` is built into every shell, and not on every machine a program.
    let sent = Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal, &id]).status().await.unwrap();
    assert!(sent.success());
}

/// Waits for its end.
pub async fn end_of(mut child: Child, stdout: Lines<BufReader<ChildStdout>>) -> End {
    let (mut rest, mut stderr) = (String::new(), String::new());
    let (mut out, mut err) = (stdout.into_inner(), child.stderr.take().unwrap());
    let reading = async { tokio::try_join!(out.read_to_string(&mut rest), err.read_to_string(&mut stderr)) };
    within("reading to the end", reading).await.unwrap();
    let status = within("the end", child.wait()).await.unwrap();
    End { code: status.code(), stdout: rest, stderr }
}
