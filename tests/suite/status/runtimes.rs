//! An authorizer that outlives the runtime it was built on: what ran there is started again (threat 17).

use std::time::Duration;

use portcullis::{
    Algorithm, Authorizer, Issuer, KeySource, RejectionKind, Requirement, RouteTable, Unlisted,
    authorizer::StatusReadiness,
    status::{FeedPolicy, OnOutage, Revocation, RevocationEvent, RevocationLog, StatusError, StatusPolicy},
    testing::{ManualClock, TestKey, TokenBuilder},
};

use super::{
    SECOND,
    source::{Says, Scripted},
};
use crate::{crowd::request, support::bearer};

const ISSUER: &str = "https://by-hand.test";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Nothing of it but what the test is about runs in the background.
fn build(clock: &ManualClock, change: impl FnOnce(Issuer) -> Issuer) -> Authorizer {
    let jwk = TestKey::shared(Algorithm::ES256).jwk();
    let issuer = Issuer::with_keys(ISSUER, KeySource::json(jwk.to_string())).audience(TokenBuilder::AUDIENCE);
    let routes = RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap();
    Authorizer::builder().issuer(change(issuer)).routes(routes).clock(clock.clone()).build().unwrap()
}

fn token(clock: &ManualClock, id: &str) -> String {
    let key = TestKey::shared(Algorithm::ES256);
    TokenBuilder::new(ISSUER, &key, clock.now().wall()).expires_in(7200 * SECOND).claim("jti", id).build()
}

#[test]
fn who_is_not_ready_and_gets_no_requests_becomes_ready_again_threat_17() {
    let (clock, source) = (ManualClock::new(), Scripted::new(Says::Active));
    let log = RevocationLog::builder().clock(clock.clone()).build();
    let (of_log, of_source) = (log.clone(), source.clone());
    let authorizer = runtime().block_on(async {
        let policy = StatusPolicy::default().attempts(1, SECOND, SECOND).breaks(1, SECOND, SECOND);
        let authorizer = build(&clock, |issuer| {
            let issuer = issuer.status_source(of_source).status_policy(policy);
            issuer.revocation_feed(of_log, FeedPolicy::default())
        });
        authorizer.ready(SECOND).await.unwrap();
        source.say(Says::Fails(StatusError::Malformed("as told")));
        let every = std::sync::Arc::new(Requirement::authenticated().status_on_every_request());
        let headers = bearer(&token(&clock, "one"));
        let refused = authorizer.authorize(&authorizer.input(&headers, &every)).await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::StatusUnavailable);
        authorizer
    });
    source.say(Says::Active);
    let readiness = authorizer.readiness();
    assert_eq!((readiness.ready, readiness.issuers[0].status), (false, Some(StatusReadiness::LeftAlone)));
    runtime().block_on(async {
        clock.advance(60 * SECOND);
        assert!(!authorizer.readiness().ready);
        clock.settle().await;
        let readiness = authorizer.readiness();
        assert_eq!(readiness.issuers[0].status, Some(StatusReadiness::Failing), "the next request tries");
        assert!(readiness.ready, "{readiness:?}");
    });
}

#[test]
fn a_runtime_that_nobody_drives_keeps_nobody_from_asking_threat_17() {
    let (clock, source) = (ManualClock::new(), Scripted::new(Says::Fails(StatusError::Malformed("as told"))));
    let of_source = source.clone();
    let idle = runtime();
    let authorizer = idle.block_on(async {
        let policy = StatusPolicy::default().breaks(1, SECOND, SECOND);
        let authorizer = build(&clock, |issuer| issuer.status_source(of_source).status_policy(policy));
        let refused = request(&authorizer, &token(&clock, "one")).await;
        assert_eq!(refused, Err(RejectionKind::StatusUnavailable));
        authorizer
    });
    source.say(Says::Active);
    runtime().block_on(async {
        clock.advance(60 * SECOND);
        assert_eq!(authorizer.readiness().issuers[0].status, Some(StatusReadiness::Failing));
        assert_eq!(request(&authorizer, &token(&clock, "two")).await, Ok(()));
        assert_eq!(authorizer.readiness().issuers[0].status, Some(StatusReadiness::Answering));
    });
    drop(idle);
}

#[test]
fn who_accepts_what_is_stale_hears_of_revocations_again_all_the_same_threat_16_17() {
    let clock = ManualClock::new();
    let log = RevocationLog::builder().clock(clock.clone()).build();
    let of_log = log.clone();
    let policy = StatusPolicy::default().on_outage(OnOutage::AcceptStale(Duration::from_secs(3600)));
    let authorizer = runtime().block_on(async {
        let change = |issuer: Issuer| issuer.revocation_feed(of_log, FeedPolicy::default()).status_policy(policy);
        let authorizer = build(&clock, change);
        authorizer.ready(SECOND).await.unwrap();
        authorizer
    });
    let token = token(&clock, "one");
    log.publish(RevocationEvent::Revoked(Revocation::token_id(Some(ISSUER), "one"))).unwrap();
    runtime().block_on(async {
        clock.advance(60 * SECOND);
        assert_eq!(request(&authorizer, &token).await, Ok(()), "a minute stale, as declared");
        clock.settle().await;
        assert_eq!(request(&authorizer, &token).await, Err(RejectionKind::InvalidToken), "the log was there all along");
    });
}
