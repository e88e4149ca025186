//! Fetches belong to the issuer, not to a request: nobody's end, and nobody's trouble, is somebody else's.

use std::time::Duration;

use portcullis::{
    Authorizer, Issuer, RejectionKind, RouteTable, Unlisted,
    testing::{Fault, ManualClock, Target, TestIssuer, TokenBuilder},
};

use super::{COOLDOWN, FETCH_TIMEOUT, PATIENCE, TICK};
use crate::{crowd::Crowd, support::World};

#[tokio::test]
async fn a_client_that_disconnects_mid_refresh_changes_nothing_threat_18() {
    for (leaders, followers) in [(1, 1), (1, 50), (50, 1), (50, 50)] {
        let world = World::new().await;
        world.advance(COOLDOWN).await;
        world.issuer.rotate();
        let held = world.issuer.hold(Target::Jwks);
        let token = world.issuer.token().build();
        let first = Crowd::of(&world.authorizer, vec![token.clone(); leaders]);
        held.arrived().await;
        first.disconnect().await;
        world.clock.settle().await;
        assert_eq!(held.waiting(), 1, "the fetch goes on");
        let second = Crowd::of(&world.authorizer, vec![token; followers]);
        world.clock.settle().await;
        assert_eq!(second.waiting(), followers, "the others wait for it");
        held.release();
        second.expect(Ok(()), "after the first client left").await;
        assert_eq!(world.issuer.asked().jwks, 1, "{leaders} and {followers}");
    }
}

#[tokio::test]
async fn a_fetch_that_all_clients_gave_up_still_brings_the_keys_threat_18() {
    let world = World::new().await;
    world.advance(COOLDOWN).await;
    world.issuer.rotate();
    let held = world.issuer.hold(Target::Jwks);
    let token = world.issuer.token().build();
    let crowd = Crowd::of(&world.authorizer, vec![token.clone(); 5]);
    held.arrived().await;
    crowd.disconnect().await;
    held.release();
    world.clock.settle().await;
    let outcome = world.check(&token).await;
    assert!(outcome.verdict.is_ok() && outcome.asked.jwks == 0, "{outcome:?}");
}

#[tokio::test]
async fn one_hanging_issuer_leaves_the_requests_of_another_untouched_threat_17() {
    let clock = ManualClock::new();
    let make = |url: &str| TestIssuer::builder().clock(clock.clone()).in_process(url);
    let (good, bad) = (make("https://good.test"), make("https://bad.test"));
    for fault in [Fault::Hang, Fault::Reset, Fault::Status(500), Fault::Slow(Duration::from_secs(3600))] {
        bad.fault(Target::All, fault.clone());
        let of = |issuer: &TestIssuer| Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE);
        let authorizer = Authorizer::builder()
            .issuer(of(&bad))
            .issuer(of(&good))
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(TestIssuer::transport_of(&[&good, &bad]))
            .clock(clock.clone())
            .build()
            .unwrap();
        clock.settle().await;
        let stuck = Crowd::of(&authorizer, vec![bad.token().build(); 100]);
        clock.settle().await;
        let served = Crowd::of(&authorizer, (0..100).map(|_| good.token().build()));
        clock.settle().await;
        assert_eq!(served.waiting(), 0, "{fault:?}: not one tick of waiting");
        served.expect(Ok(()), "tokens of the other issuer").await;

        clock.advance(COOLDOWN);
        clock.settle().await;
        good.reset_asked();
        good.rotate();
        let rotated = Crowd::of(&authorizer, vec![good.token().build(); 10]);
        clock.settle().await;
        assert_eq!(rotated.waiting(), 0, "{fault:?}: the other issuer's refresh does not wait either");
        rotated.expect(Ok(()), "new keys of the other issuer").await;
        assert_eq!(good.asked().jwks, 1, "{fault:?}");
        stuck.expect(Err(RejectionKind::KeysUnavailable), "tokens of the issuer in trouble").await;
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_their_patience_threat_17() {
    let world = World::new().await;
    world.advance(COOLDOWN).await;
    world.issuer.rotate();
    let held = world.issuer.hold(Target::Jwks);
    let token = world.issuer.token().build();
    let first = Crowd::of(&world.authorizer, vec![token.clone(); 10]);
    held.arrived().await;
    world.advance(PATIENCE - TICK).await;
    let second = Crowd::of(&world.authorizer, vec![token.clone(); 10]);
    world.clock.settle().await;
    assert_eq!((first.waiting(), second.waiting()), (10, 10));
    world.advance(TICK).await;
    assert_eq!((first.waiting(), second.waiting()), (0, 10), "each has its own");
    first.expect(Err(RejectionKind::KeysUnavailable), "whether the key exists, nobody could say").await;
    held.release();
    second.expect(Ok(()), "those with patience left").await;
    assert_eq!(world.issuer.asked().jwks, 1);
}

#[tokio::test]
async fn a_slow_answer_counts_for_those_who_come_later_threat_20() {
    let world = World::new().await;
    world.advance(COOLDOWN).await;
    world.issuer.rotate();
    world.issuer.fault(Target::Jwks, Fault::Slow(PATIENCE + TICK));
    let token = world.issuer.token().build();
    let early = Crowd::of(&world.authorizer, [token.clone()]);
    world.clock.settle().await;
    world.advance(PATIENCE).await;
    early.expect(Err(RejectionKind::KeysUnavailable), "too early").await;
    world.advance(TICK).await;
    let outcome = world.check(&token).await;
    assert!(outcome.verdict.is_ok() && outcome.asked.jwks == 0, "{outcome:?}");
}

#[tokio::test]
async fn an_answer_from_before_the_question_is_not_taken_for_one_threat_19() {
    let world = World::new().await;
    world.advance(COOLDOWN).await;
    // The set is on its way to us when the issuer rotates its keys.
    let held = world.issuer.hold_answer(Target::Jwks);
    let stranger = Crowd::of(&world.authorizer, [world.issuer.token().key_id("stranger").build()]);
    held.arrived().await;
    world.issuer.rotate();
    let token = world.issuer.token().build();
    let crowd = Crowd::of(&world.authorizer, vec![token.clone(); 10]);
    world.clock.settle().await;
    held.release();
    stranger.expect(Err(RejectionKind::InvalidToken), "unknown then and now").await;
    crowd.expect(Err(RejectionKind::InvalidToken), "unknown then").await;
    world.advance(COOLDOWN).await;
    let outcome = world.check(&token).await;
    assert!(outcome.verdict.is_ok() && outcome.asked.jwks == 1, "not remembered as unknown: {outcome:?}");
}

#[tokio::test]
async fn with_the_last_clone_the_background_ends() {
    let rows = [("idle", None), ("hanging", Some(Fault::Hang)), ("failing", Some(Fault::Status(500)))];
    for (state, fault) in rows {
        let world = World::new().await;
        if let Some(fault) = fault {
            world.issuer.fault(Target::All, fault);
        }
        world.advance(Duration::from_secs(300)).await;
        let World { clock, issuer, authorizer } = world;
        let clone = authorizer.clone();
        drop(authorizer);
        clock.settle().await;
        assert_eq!(clock.sleepers(), 1, "{state}: one clone is left");
        drop(clone);
        clock.settle().await;
        assert_eq!(clock.sleepers(), 0, "{state}");
        issuer.heal();
        issuer.reset_asked();
        for _ in 0..48 {
            clock.advance(Duration::from_secs(3600));
            clock.settle().await;
        }
        assert_eq!(issuer.asked(), portcullis::testing::Asked::default(), "{state}");
    }
}

#[tokio::test]
async fn a_request_under_way_keeps_its_authorizer_alive_to_its_end() {
    let world = World::new().await;
    world.advance(COOLDOWN).await;
    world.issuer.rotate();
    let held = world.issuer.hold(Target::Jwks);
    let crowd = Crowd::of(&world.authorizer, vec![world.issuer.token().build(); 3]);
    held.arrived().await;
    let World { clock, authorizer, .. } = world;
    drop(authorizer);
    clock.advance(FETCH_TIMEOUT - PATIENCE);
    held.release();
    crowd.expect(Ok(()), "the last handle but theirs is gone").await;
    clock.settle().await;
    assert_eq!(clock.sleepers(), 0);
}
