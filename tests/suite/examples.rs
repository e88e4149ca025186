//! What every example that serves does as a process, whether or not anybody reads what it logs.

use http::StatusCode;
use portcullis::testing::{TestIssuer, TokenBuilder};

use crate::process::Api;

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
