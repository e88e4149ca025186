//! Clients that are not ours before the example: PyPI `grantex` and `grantex-fastapi`.
//!
//! They need Python and what pip installs; `tests/external/run` sees to both and runs this.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use super::KEY;
use crate::{
    external::home,
    process::{Api, within},
};

/// Runs a script to its end, before a service of its own. One that asks for it has the service ended under it.
async fn run(script: &str) {
    for generation in ["legacy", "0.6"] {
        let mut api = Some(Api::start_example("grantex", &[("TOKEN_GENERATION", generation)]).await);
        let mut child = Command::new(home("../../target/grantex/bin/python"))
            .arg(home("grantex").join(script))
            .env("GRANTEX_URL", api.as_ref().unwrap().url())
            .env("GRANTEX_KEY", KEY)
            .env("GRANTEX_GENERATION", generation)
            // Whatever proxy the machine is configured with, it does not lead to loopback.
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("run tests/external/run");
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stdin = child.stdin.take().unwrap();
        while let Some(line) = within(script, stdout.next_line()).await.unwrap() {
            println!("{line}");
            if line == "end it" {
                let end = api.take().unwrap().stop("KILL").await;
                assert_eq!(end.code, None, "killed");
                stdin.write_all(b"\n").await.unwrap();
            }
        }
        let status = within(script, child.wait()).await.unwrap();
        assert!(status.success(), "{script}, {generation}: its error is above");
    }
}

#[tokio::test]
#[ignore = "needs Python and venv: tests/external/run"]
async fn the_real_client_lives_through_a_tokens_whole_life() {
    run("client.py").await;
}

#[tokio::test]
#[ignore = "needs Python and venv: tests/external/run"]
async fn the_real_client_follows_the_feed() {
    run("feed.py").await;
}

#[tokio::test]
#[ignore = "needs Python and venv: tests/external/run"]
async fn the_real_middleware_judges_its_tokens() {
    run("middleware.py").await;
}
