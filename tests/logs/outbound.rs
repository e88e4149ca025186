//! Tokens got, refused and lost → what is logged and counted of it, none of which shows a token.

use std::{fmt, sync::Arc, time::Duration};

use http::Extensions;
use portcullis::{
    issuer::Connection,
    outbound::{
        RefreshGrant, RefreshTokenStore, Refreshed, RefreshedToken, Refreshing, SourceError, Storing, TokenSource,
    },
    testing::{ManualClock, TestIssuer},
};

use crate::{
    secrets::{SUBJECT, TENANT, assert_clean},
    witness::Witness,
};

/// Grants tokens that must not be seen, where the refresh token is the first; stores none.
#[derive(Debug)]
struct Service;

impl RefreshGrant for Service {
    fn refresh(&self, refresh_token: &str) -> Refreshing {
        let is_first = refresh_token == SUBJECT;
        Box::pin(async move {
            if is_first {
                Ok(Refreshed::new(TENANT, Duration::from_secs(60)).refresh_token(TENANT))
            } else {
                Err(trouble())
            }
        })
    }

    fn name(&self) -> &'static str {
        "the service"
    }
}

impl RefreshTokenStore for Service {
    fn store(&self, _: &str) -> Storing {
        Box::pin(async { Err(trouble()) })
    }
}

#[tokio::test]
async fn a_renewal_a_failure_and_a_refresh_token_that_is_not_stored_are_counted_and_say_no_more_threat_29() {
    let witness = Witness::default();
    let _watching = witness.watch();
    let clock = ManualClock::new();
    let connection = Connection::over(TestIssuer::in_process("https://idp.test").transport()).clock(clock.clone());
    let token = RefreshedToken::new(SUBJECT, Service, Service, &connection);
    assert!(token.token(&Extensions::new()).await.is_ok());
    clock.advance(Duration::from_secs(61));
    assert!(token.token(&Extensions::new()).await.is_err());
    let seen = witness.take();
    for outcome in ["not_stored", "fetched", "failed"] {
        let line = format!("portcullis_token_requests_total from=the service outcome={outcome}");
        assert!(seen.contains(&line), "{outcome}: {seen:#?}");
    }
    assert!(seen.iter().any(|line| line.contains("new refresh token not stored")), "{seen:#?}");
    assert_clean("a line", &seen.join("\n"), &[SUBJECT.to_owned(), TENANT.to_owned()]);
}

fn trouble() -> SourceError {
    Arc::new(fmt::Error)
}
