//! What one token, or one client, can cost the issuer and everybody else (threats 17, 22).

use std::time::Duration;

use portcullis::{
    Issuer, RejectionKind, Requirement,
    authorizer::StatusReadiness,
    status::{OpaqueTokens, StatusError, StatusPolicy, TokenStatus},
};

use super::{
    SECOND,
    source::{ByToken, Says, Scripted},
    verdict, world,
};
use crate::support::World;

const ANY: fn() -> Requirement = Requirement::authenticated;

async fn of(source: &ByToken) -> World {
    let change = |issuer: Issuer| {
        let policy = StatusPolicy::default().attempts(1, SECOND, SECOND);
        issuer.status_source(source.clone()).status_policy(policy).opaque_tokens(OpaqueTokens::default())
    };
    World::with(change, |builder| builder).await
}

#[tokio::test]
async fn a_hot_token_that_the_issuer_no_longer_talks_about_is_asked_about_seldom_threat_22() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().build();
    assert!(verdict(&world, &token, ANY()).await.is_ok());
    source.say(Says::Fails(StatusError::UnsupportedTokenType));
    for _ in 0..600 {
        world.advance(Duration::from_millis(100)).await;
        let _ = verdict(&world, &token, ANY()).await;
    }
    // In a minute: what it does not say is remembered for nine seconds at least.
    assert!(source.asked() <= 7, "asked {} times", source.asked());
}

#[tokio::test]
async fn a_token_that_the_source_chokes_on_does_not_keep_it_from_the_others_threat_17_22() {
    let (panic, server) =
        (StatusError::Panicked, StatusError::Server { status: http::StatusCode::BAD_GATEWAY, retry_after: None });
    for trouble in [panic, server, StatusError::Malformed("no")] {
        let source = ByToken::new(move |question| {
            if question.token().starts_with("junk") { Err(trouble.clone()) } else { Ok(TokenStatus::active()) }
        });
        let world = of(&source).await;
        for number in 0..9 {
            let junk = verdict(&world, &format!("junk-that-kills-servers-{number}"), ANY()).await;
            assert_eq!(junk.unwrap_err(), RejectionKind::StatusUnavailable);
            world.advance(SECOND / 10).await;
        }
        let state = || world.authorizer.readiness().issuers[0].status.unwrap();
        assert_eq!(state(), StatusReadiness::LeftAlone, "nobody can tell yet");
        for _ in 0..3 {
            let _ = verdict(&world, "junk-that-kills-servers-again", ANY()).await;
            let _ = verdict(&world, &world.issuer.token().build(), ANY()).await;
            world.advance(SECOND).await;
        }
        assert_eq!(state(), StatusReadiness::Answering, "others are answered");
        assert!(verdict(&world, &world.issuer.token().build(), ANY()).await.is_ok());
    }
}
