//! `examples/agent_idp` before clients that are not ours: the `curl` lines of AgentIdP's document, and npm `oauth4webapi`.
//!
//! They need curl and jq, Node and npm; `tests/external/run` sees to both and runs this.

use std::fs;

use tokio::process::Command;

use super::service::Service;
use crate::{external::home, process::within};

/// Runs it to its end, and wants it to be a good one.
async fn run(mut command: Command, service: &Service) {
    let admin = service.admin();
    command.env("CLIENT_ID", admin.id).env("CLIENT_SECRET", admin.secret).env("IDP", &service.url);
    let output = within("the walk", command.kill_on_drop(true).output()).await.expect("run tests/external/run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}{err}");
    assert!(output.status.success());
    assert!(out.ends_with("done\n"), "it did not come to its end");
}

#[tokio::test]
#[ignore = "needs curl and jq: tests/external/run"]
async fn every_curl_line_of_the_document_works_unchanged_but_for_the_port() {
    let service = Service::start(&[]).await;
    let port = service.url.rsplit(':').next().unwrap();
    let script = fs::read_to_string(home("agent_idp").join("document.sh")).unwrap();
    assert_eq!(script.matches("localhost:3000").count(), 4, "the lines of the document");
    let mut command = Command::new("bash");
    command.args(["-c", &script.replace("localhost:3000", &format!("localhost:{port}"))]);
    command.env_remove("http_proxy").env_remove("HTTP_PROXY").env_remove("ALL_PROXY").env_remove("all_proxy");
    run(command, &service).await;
}

#[tokio::test]
#[ignore = "needs Node and npm: tests/external/run"]
async fn oauth4webapi_gets_a_token_asks_about_it_and_revokes_it() {
    let service = Service::start(&[]).await;
    let mut command = Command::new("node");
    command.arg("client.mjs").current_dir(home("oauth4webapi"));
    run(command, &service).await;
}
