//! How long an answer counts, for whom, and who is asked again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use portcullis::{
    RejectionKind, Requirement,
    status::{OpaqueTokens, StatusAnswer, StatusError, StatusPolicy, StatusQuestion, StatusSource, TokenStatus},
};
use serde_json::json;
use tokio::sync::watch;

use super::{
    SECOND, request,
    source::{Says, Scripted},
    verdict, world,
};

const ANY: fn() -> Requirement = Requirement::authenticated;

#[tokio::test]
async fn an_answer_counts_for_a_while_and_no_longer_threat_14() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default().without_renewal_ahead()).await;
    let token = world.issuer.token().build();
    for _ in 0..3 {
        assert!(verdict(&world, &token, ANY()).await.is_ok());
    }
    assert_eq!(source.asked(), 1);
    source.say(Says::Inactive);
    world.advance(26 * SECOND).await;
    assert!(verdict(&world, &token, ANY()).await.is_ok(), "as agreed");
    world.advance(4 * SECOND).await;
    assert_eq!(verdict(&world, &token, ANY()).await.unwrap_err(), RejectionKind::InvalidToken);
    assert_eq!(source.asked(), 2);
    source.say(Says::Active);
    assert_eq!(verdict(&world, &token, ANY()).await.unwrap_err(), RejectionKind::InvalidToken, "a no counts too");
    world.advance(10 * SECOND).await;
    assert!(verdict(&world, &token, ANY()).await.is_ok(), "but not as long");
}

#[tokio::test]
async fn a_route_gets_an_answer_as_fresh_as_it_wants() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default().without_renewal_ahead()).await;
    let token = world.issuer.token().build();
    assert!(verdict(&world, &token, ANY()).await.is_ok());
    source.say(Says::Inactive);
    world.advance(5 * SECOND).await;
    assert!(verdict(&world, &token, ANY()).await.is_ok());
    assert!(verdict(&world, &token, ANY().max_status_age(6 * SECOND)).await.is_ok());
    assert_eq!(source.asked(), 1);
    let strict = verdict(&world, &token, ANY().max_status_age(5 * SECOND)).await;
    assert_eq!((strict.unwrap_err(), source.asked()), (RejectionKind::InvalidToken, 2));
    source.say(Says::Active);
    world.advance(10 * SECOND).await;
    for asked in [3, 4, 5] {
        assert!(verdict(&world, &token, ANY().status_on_every_request()).await.is_ok());
        assert_eq!(source.asked(), asked);
    }
}

#[tokio::test]
async fn an_answer_does_not_outlive_the_token_threat_14() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default().max_age(3600 * SECOND).without_renewal_ahead()).await;
    let end = world.clock.now().wall().as_secs() + 10;
    // Until the token's own end, and until the end that its issuer names, whichever comes first.
    for (own, said) in [(10, None), (100, Some(json!({ "active": true, "exp": end })))] {
        source.say(said.map_or(Says::Active, Says::Describes));
        let token = world.issuer.token().expires_in(Duration::from_secs(own)).build();
        let before = source.asked();
        assert!(verdict(&world, &token, ANY()).await.is_ok());
        world.advance(9 * SECOND).await;
        assert!(verdict(&world, &token, ANY()).await.is_ok());
        assert_eq!(source.asked(), before + 1);
        source.say(Says::Inactive);
        world.advance(SECOND).await;
        // Within the leeway, the issuer has the word.
        assert_eq!(verdict(&world, &token, ANY()).await.unwrap_err(), RejectionKind::InvalidToken);
        assert_eq!(source.asked(), before + 2);
        world.clock.step_wall_to(portcullis::testing::ManualClock::START);
    }
}

#[tokio::test]
async fn an_end_that_was_heard_of_since_counts_on_every_route_threat_14() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().build();
    for _ in 0..3 {
        assert!(verdict(&world, &token, ANY()).await.is_ok());
    }
    let end = world.clock.now().wall().as_secs() + 5;
    source.say(Says::Describes(json!({ "active": true, "exp": end })));
    assert!(verdict(&world, &token, ANY().status_on_every_request()).await.is_ok());
    assert_eq!(source.asked(), 2);
    source.say(Says::Inactive);
    world.advance(4 * SECOND).await;
    assert!(verdict(&world, &token, ANY()).await.is_ok());
    world.advance(SECOND).await;
    assert_eq!(verdict(&world, &token, ANY()).await.unwrap_err(), RejectionKind::InvalidToken);
    assert_eq!(source.asked(), 3);
}

#[tokio::test]
async fn a_hot_token_never_waits() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().expires_in(Duration::from_secs(7200)).build();
    assert!(verdict(&world, &token, ANY()).await.is_ok());
    source.hold();
    for second in 0..600 {
        let waiting = request(&world, &token, ANY());
        world.clock.settle().await;
        assert!(waiting.is_finished(), "a request had to wait in second {second}");
        waiting.await.unwrap().unwrap();
        source.release();
        world.clock.settle().await;
        source.hold();
        world.advance(SECOND).await;
    }
    assert!((20..=30).contains(&source.asked()), "asked {} times in ten minutes", source.asked());
}

#[tokio::test]
async fn asking_about_a_token_is_no_crowd_around_it_threat_21() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().expires_in(Duration::from_secs(7200)).build();
    let kept = || format!("{:?}", world.authorizer).split_once("verified: ").unwrap().1.to_owned();
    assert!(verdict(&world, &token, ANY()).await.is_ok());
    let before = kept();
    for _ in 0..100 {
        source.hold();
        assert!(verdict(&world, &token, ANY()).await.is_ok());
        // Also while a question about it is under way.
        world.clock.settle().await;
        assert!(verdict(&world, &token, ANY()).await.is_ok());
        source.release();
        world.advance(SECOND).await;
    }
    assert!(source.asked() > 2, "it was asked about again");
    assert_eq!(kept(), before, "one client after the other needs no copies");
}

#[tokio::test]
async fn scopes_that_the_issuer_took_back_are_gone() {
    let source = Scripted::new(Says::Describes(json!({ "active": true, "scope": "read" })));
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().scopes(["read", "write"]).build();
    let permitted = verdict(&world, &token, Requirement::scope("read")).await.unwrap();
    assert_eq!(permitted.scopes().to_string(), "read");
    assert_eq!((*permitted.as_active()).scopes().to_string(), "read");
    assert_eq!(
        verdict(&world, &token, Requirement::scope("write")).await.unwrap_err(),
        RejectionKind::InsufficientScope
    );
    let token = world.issuer.token().scopes(["other"]).build();
    assert_eq!(
        verdict(&world, &token, Requirement::scope("read")).await.unwrap_err(),
        RejectionKind::InsufficientScope
    );
}

#[tokio::test]
async fn an_answer_is_as_old_as_its_question_threat_14() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default().without_renewal_ahead()).await;
    let token = world.issuer.token().build();
    let strict = || ANY().max_status_age(5 * SECOND);
    source.hold();
    let slow = request(&world, &token, strict());
    world.clock.settle().await;
    source.say(Says::Inactive);
    world.advance(SECOND * 9 / 10).await;
    source.release();
    assert_eq!(slow.await.unwrap(), Ok(()));
    world.advance(4 * SECOND).await;
    assert!(verdict(&world, &token, strict()).await.is_ok());
    world.advance(SECOND / 10).await;
    assert_eq!(verdict(&world, &token, strict()).await.unwrap_err(), RejectionKind::InvalidToken);
}

#[tokio::test]
async fn a_question_that_left_too_long_ago_answers_nobody_who_wants_a_younger_one_threat_15() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().build();
    source.hold();
    let first = request(&world, &token, ANY());
    world.clock.settle().await;
    source.say(Says::Inactive);
    world.advance(SECOND / 2).await;
    let joins = request(&world, &token, ANY().max_status_age(SECOND));
    let waits = request(&world, &token, ANY().max_status_age(SECOND / 4));
    world.clock.settle().await;
    assert_eq!(source.asked(), 1);
    source.release();
    let invalid = Err(RejectionKind::InvalidToken);
    assert_eq!((first.await.unwrap(), joins.await.unwrap(), waits.await.unwrap()), (Ok(()), Ok(()), invalid));
    assert_eq!(source.asked(), 2);
}

#[tokio::test]
async fn an_opaque_token_grows_too_old_while_the_word_on_it_is_young_threat_14() {
    let issued = portcullis::testing::ManualClock::START.as_secs();
    let audience = portcullis::testing::TokenBuilder::AUDIENCE;
    let source = Scripted::new(Says::Describes(json!({ "active": true, "iat": issued, "aud": audience })));
    let status = source.clone();
    let change = |issuer: portcullis::Issuer| {
        let issuer = issuer.max_token_age(10 * SECOND).leeway(Duration::ZERO);
        issuer.status_source(status).opaque_tokens(OpaqueTokens::default())
    };
    let world = crate::support::World::with(change, |builder| builder).await;
    let token = "an-opaque-token-of-ten-seconds";
    assert!(verdict(&world, token, ANY()).await.is_ok());
    world.advance(10 * SECOND).await;
    assert!(verdict(&world, token, ANY()).await.is_ok());
    world.advance(SECOND).await;
    assert_eq!(verdict(&world, token, ANY()).await.unwrap_err(), RejectionKind::InvalidToken);
    assert_eq!(source.asked(), 1);
}

#[tokio::test]
async fn an_answer_that_was_overtaken_does_not_undo_the_newer_one_threat_15() {
    let gate = watch::Sender::new(false);
    let source = Overtaken { gate: gate.clone(), asked: Arc::default() };
    let policy = StatusPolicy::default().breaks(1, SECOND / 10, SECOND).attempts(1, SECOND, SECOND);
    let world =
        crate::support::World::with(|issuer| issuer.status_source(source).status_policy(policy), |builder| builder)
            .await;
    let token = world.issuer.token().claim("jti", "token").build();
    // The question leaves while the token still stands, and its answer takes long.
    let slow = request(&world, &token, ANY());
    world.clock.settle().await;
    // Another one fails; whether the source is back is tried with the same token, which was withdrawn meanwhile.
    assert!(verdict(&world, &world.issuer.token().build(), ANY()).await.is_err());
    assert!(verdict(&world, &token, ANY()).await.is_err());
    world.advance(SECOND / 10).await;
    gate.send_replace(true);
    assert_eq!(slow.await.unwrap(), Ok(()), "it was asked before");
    assert_eq!(verdict(&world, &token, ANY()).await.unwrap_err(), RejectionKind::InvalidToken);
}

/// The first answer is slow and says active, the second fails, the third says inactive.
#[derive(Debug)]
struct Overtaken {
    gate: watch::Sender<bool>,
    asked: Arc<AtomicU64>,
}

impl StatusSource for Overtaken {
    fn identity(&self) -> String {
        "overtaken".to_owned()
    }

    fn ask(&self, _: &StatusQuestion) -> StatusAnswer {
        let mut gate = self.gate.subscribe();
        match self.asked.fetch_add(1, Ordering::SeqCst) {
            0 => Box::pin(async move {
                let _ = gate.wait_for(|open| *open).await;
                Ok(TokenStatus::active())
            }),
            1 => Box::pin(async { Err(StatusError::Panicked) }),
            _ => Box::pin(async { Ok(TokenStatus::inactive()) }),
        }
    }
}
