//! Whether requests can be judged, as a probe asks and as a start-up waits for.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use portcullis::{
    Algorithm, Authorizer, AuthorizerBuilder, Issuer, KeySource, RouteTable, Unlisted,
    authorizer::KeysReadiness,
    testing::{Fault, ManualClock, Target, TestIssuer, TestKey, TokenBuilder},
};
use serde_json::json;

use crate::{crowd::request, support::World};

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> AuthorizerBuilder {
    Authorizer::builder().routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
}

fn by_hand(identifier: &str) -> Issuer {
    let jwk = TestKey::shared(Algorithm::ES256).jwk();
    Issuer::with_keys(identifier, KeySource::json(jwk.to_string())).audience(TokenBuilder::AUDIENCE)
}

#[tokio::test]
async fn readiness_is_the_last_known_state_and_asks_nobody() {
    let world = World::cold(|issuer| issuer.fault(Target::All, Fault::Reset), |issuer| issuer, |builder| builder);
    let check = async |expected: KeysReadiness, ready: bool, why: &str| {
        let asked = world.issuer.asked();
        let readiness = world.authorizer.readiness();
        assert_eq!((readiness.issuers[0].keys, readiness.ready), (expected, ready), "{why}");
        assert_eq!(readiness.issuers[0].issuer.as_deref(), Some("https://issuer.test"));
        world.clock.settle().await;
        assert_eq!(world.issuer.asked(), asked, "{why}: asked nobody");
    };
    world.clock.settle().await;
    check(KeysReadiness::Missing, false, "never there").await;
    world.issuer.heal();
    world.advance(SECOND).await;
    check(KeysReadiness::Loaded, true, "there").await;
    world.issuer.fault(Target::All, Fault::Status(500));
    world.advance(SECOND * 60).await;
    check(KeysReadiness::Loaded, true, "fresh").await;
    world.advance(SECOND * 240).await;
    check(KeysReadiness::Stale, true, "not refreshed").await;
    // Fresh for 270 to 300 seconds and an hour more.
    world.advance(SECOND * (3600 - 31)).await;
    check(KeysReadiness::Stale, true, "not refreshed for almost an hour").await;
    world.advance(SECOND * 31).await;
    check(KeysReadiness::Missing, false, "too old").await;
    world.issuer.heal();
    world.advance(SECOND * 60).await;
    check(KeysReadiness::Loaded, true, "there again").await;
}

#[tokio::test]
async fn one_issuer_without_keys_is_enough_to_be_unready_and_is_named() {
    let clock = ManualClock::new();
    let make = |url: &str| TestIssuer::builder().clock(clock.clone()).in_process(url);
    let (up, down, slow) = (make("https://up.test"), make("https://down.test"), make("https://slow.test"));
    down.fault(Target::All, Fault::Reset);
    let held = slow.hold(Target::Jwks);
    let discover = |issuer: &TestIssuer| Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE);
    let authorizer = builder()
        .issuer(discover(&up))
        .issuer(discover(&down))
        .issuer(discover(&slow))
        .issuer(by_hand("https://by-hand.test"))
        .shared_transport(TestIssuer::transport_of(&[&up, &down, &slow]))
        .clock(clock.clone())
        .build()
        .unwrap();
    let waiting = authorizer.clone();
    let mut waiting = pin!(waiting.ready(SECOND * 10));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    clock.settle().await;
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    clock.advance(SECOND * 10);
    let Poll::Ready(Err(error)) = waiting.as_mut().poll(&mut context) else { panic!("its time is over") };
    assert_eq!(
        error.to_string(),
        "not ready within 10s: no keys from https://down.test (no metadata: \
         https://down.test/.well-known/oauth-authorization-server could not be read: no answer: connection reset), \
         no keys from https://slow.test (no answer yet)"
    );

    clock.settle().await;
    let readiness = serde_json::to_value(authorizer.readiness()).unwrap();
    let of = |issuer: &str, keys: &str| json!({ "issuer": issuer, "keys": keys });
    let in_trouble = |issuer: &str, trouble: &str| {
        let mut issuer = of(issuer, "missing");
        issuer["trouble"] = json!(trouble);
        issuer
    };
    let reset = "no metadata: https://down.test/.well-known/oauth-authorization-server could not be read: no answer: \
                 connection reset";
    let issuers = [
        of("https://up.test", "loaded"),
        in_trouble("https://down.test", reset),
        in_trouble("https://slow.test", "no answer within 5s"),
        of("https://by-hand.test", "loaded"),
    ];
    assert_eq!(readiness, json!({ "ready": false, "issuers": issuers }));

    held.release();
    down.heal();
    clock.advance(SECOND * 60);
    assert_eq!(authorizer.ready(SECOND).await, Ok(()), "it went on trying");
    assert!(authorizer.readiness().ready);
}

#[tokio::test]
async fn whoever_waits_for_the_keys_is_woken_by_them() {
    let mut held = None;
    let world = World::cold(|issuer| held = Some(issuer.hold(Target::Jwks)), |issuer| issuer, |builder| builder);
    let mut waiting = tokio::task::JoinSet::new();
    let authorizer = world.authorizer.clone();
    waiting.spawn(async move { authorizer.ready(SECOND).await });
    world.clock.settle().await;
    assert!(waiting.try_join_next().is_none());
    drop(held);
    world.clock.settle().await;
    assert_eq!(waiting.try_join_next().unwrap().unwrap(), Ok(()));
    assert_eq!(world.authorizer.ready(Duration::ZERO).await, Ok(()), "there already");
}

#[test]
fn remote_keys_without_a_runtime_are_an_error_and_no_panic_threat_32() {
    let url = KeySource::url("https://idp.example/jwks");
    for issuer in [Issuer::discover("https://idp.example"), Issuer::with_keys("https://idp.example", url)] {
        let error = builder().issuer(issuer.audience(TokenBuilder::AUDIENCE)).build().unwrap_err();
        let text = crate::configuration::chain(&error);
        assert!(text.contains("https://idp.example") && text.contains("tokio runtime"), "{text}");
    }
}

#[test]
fn keys_given_by_hand_need_no_runtime() {
    let clock = ManualClock::new();
    let authorizer = builder().issuer(by_hand("https://by-hand.test")).clock(clock.clone()).build().unwrap();
    assert!(authorizer.readiness().ready);
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(pin!(authorizer.ready(Duration::ZERO)).poll(&mut context), Poll::Ready(Ok(())));
    let key = TestKey::shared(Algorithm::ES256);
    let token = TokenBuilder::new("https://by-hand.test", &key, clock.now().wall());
    assert_eq!(pin!(request(&authorizer, &token.build())).poll(&mut context), Poll::Ready(Ok(())));
    // What nobody could bring is not waited for either.
    for refused in [token.clone().key_id("stranger"), token.tampered()] {
        let verdict = pin!(request(&authorizer, &refused.build())).poll(&mut context);
        assert_eq!(verdict, Poll::Ready(Err(portcullis::RejectionKind::InvalidToken)));
    }
    assert_eq!(clock.sleepers(), 0);
}
