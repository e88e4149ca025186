//! Examples as processes: one whose log nobody reads, and one that starts others.

use std::path::Path;

use http::StatusCode;
use portcullis::testing::{TestIssuer, TokenBuilder};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::process::{Api, end_of, example, send_signal, within};

/// Each is logged, in 80 bytes and more, and a pipe holds 64 KiB.
const REFUSALS: usize = 1200;

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_neither_requests_nor_the_end() {
    let issuer = TestIssuer::start().await;
    let of_issuer = [("ISSUER", issuer.url()), ("AUDIENCE", TokenBuilder::AUDIENCE)];
    let chosen = [("ADMIN_CLIENT_ID", "admin"), ("ADMIN_CLIENT_SECRET", "of this test")];
    for (name, variables, path) in [
        ("agent_idp", &chosen[..], "/api/v1/agents"),
        ("grantex", &[], "/calendar/events"),
        ("protected_api", &of_issuer, "/whoami"),
    ] {
        let api = Api::start_example(name, variables).await;
        for _ in 0..REFUSALS {
            assert_eq!(api.get(path, None).await.status, StatusCode::UNAUTHORIZED, "{name}");
        }
        assert_eq!(api.stop_unread("TERM").await, Some(0), "{name}");
    }
}

/// Its admin's secret is in the source: it must not get into a store that somebody else relies on.
#[tokio::test]
async fn the_measurement_keeps_off_what_its_environment_configures_and_takes_its_services_along() {
    let dir = format!("{}/{}-measured", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let variables = [("DATA_DIR", dir.as_str()), ("ISSUERS_FILE", "/nowhere"), ("PORT", "http")];
    let mut child = example("revocation_latency", &variables).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = within("a measurement", stdout.next_line()).await.unwrap() {
        if line.starts_with("AgentIdP") {
            send_signal(&child, "TERM").await;
        }
    }
    // An end of its own: whoever is ended by the signal leaves behind what it started.
    let end = end_of(child, stdout).await;
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    assert!(!Path::new(&dir).exists());
}
