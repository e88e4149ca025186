//! What strangers can make us ask the issuer for (threat 18).

use std::{cell::OnceCell, time::Duration};

use portcullis::{
    Algorithm, RejectionKind,
    testing::{Fault, Target, TestKey},
};

use super::{COOLDOWN, SIGNATURE_COOLDOWN, UNKNOWN_FOR};
use crate::support::World;

const WINDOWS: usize = 10;
const PER_WINDOW: usize = 2_000;

/// The forgeries of one window, and a good token in between. What the issuer was asked for them.
async fn flood(world: &World, window: usize, forge: impl Fn(usize) -> String) -> u64 {
    let before = world.issuer.asked().jwks;
    let good = world.issuer.token().build();
    for number in 0..PER_WINDOW {
        let forged = world.check(&forge(window * PER_WINDOW + number)).await;
        assert_eq!(forged.verdict.unwrap_err(), RejectionKind::InvalidToken);
        if number % (PER_WINDOW / 4) == 0 {
            assert!(world.check(&good).await.verdict.is_ok(), "the key in use is kept");
        }
    }
    world.issuer.asked().jwks - before
}

/// Windows of forgeries, one after the other.
async fn check_windows(what: &str, cooldown: Duration, forge: impl Fn(&World, usize) -> String) {
    let world = World::new().await;
    for window in 0..WINDOWS {
        assert_eq!(flood(&world, window, |number| forge(&world, number)).await, 1, "{what}, window {window}");
        world.advance(cooldown).await;
    }
    assert_eq!(world.issuer.asked().metadata, 0, "{what}");
}

#[tokio::test]
async fn twenty_thousand_kids_cause_one_fetch_per_cooldown_threat_18() {
    let stranger = TestKey::generate(Algorithm::ES256, "stranger");
    let named = |world: &World, number: usize| {
        world.issuer.token().signed_with(&stranger).signature([0x5a; 64]).key_id(format!("kid {number}")).build()
    };
    check_windows("random kids", COOLDOWN, named).await;
}

#[tokio::test]
async fn twenty_thousand_bad_signatures_cause_one_fetch_per_cooldown_threat_18() {
    let forged = OnceCell::new();
    let tampered = |world: &World, _| forged.get_or_init(|| world.issuer.token().tampered().build()).clone();
    check_windows("bad signatures under a known kid", SIGNATURE_COOLDOWN, tampered).await;
}

#[tokio::test]
async fn bad_signatures_without_a_kid_cause_one_fetch_per_cooldown_threat_18() {
    let forged = OnceCell::new();
    let unnamed =
        |world: &World, _| forged.get_or_init(|| world.issuer.token().without_header("kid").tampered().build()).clone();
    check_windows("bad signatures without a kid", SIGNATURE_COOLDOWN, unnamed).await;
}

#[tokio::test]
async fn a_kid_that_a_fresh_set_did_not_have_causes_no_fetch_until_it_is_forgotten_threat_18() {
    let world = World::new().await;
    world.advance(COOLDOWN).await;
    let (first, second) = (world.issuer.token().key_id("first"), world.issuer.token().key_id("second"));
    let rows = [
        (&first, 0, 1, "the cooldown is over"),
        (&first, 0, 0, "remembered, and cooling down"),
        (&second, 0, 0, "cooling down: nobody was asked"),
        (&first, 10, 0, "remembered"),
        (&second, 10, 1, "never heard an answer"),
        (&second, 20, 0, "remembered"),
        (&first, 29, 0, "almost forgotten"),
        (&first, 30, 1, "forgotten"),
        (&second, 39, 0, "remembered for its own time"),
        (&second, 40, 1, "forgotten"),
    ];
    assert_eq!(UNKNOWN_FOR.as_secs(), 30);
    let start = world.clock.now().monotonic();
    for (token, second, fetches, why) in rows {
        let elapsed = world.clock.now().monotonic() - start;
        world.advance(Duration::from_secs(second) - elapsed).await;
        let outcome = world.check(&token.build()).await;
        assert_eq!(outcome.verdict.unwrap_err(), RejectionKind::InvalidToken, "{second} s: {why}");
        assert_eq!(outcome.asked.jwks, fetches, "{second} s: {why}");
    }
}

#[tokio::test]
async fn a_kid_that_was_remembered_as_unknown_works_once_any_fetch_has_brought_it_threat_18() {
    let world = World::new().await;
    world.advance(COOLDOWN).await;
    let early = world.issuer.token().key_id("key-2").build();
    let never = world.issuer.token().key_id("never").build();
    for guess in [&early, &never] {
        assert_eq!(world.check(guess).await.asked.jwks, 1, "guessed ahead of time");
        world.advance(COOLDOWN).await;
    }
    assert_eq!(world.issuer.rotate().key_id(), "key-2");
    let late = world.issuer.token().build();
    assert_eq!(world.check(&late).await.verdict.unwrap_err(), RejectionKind::InvalidToken, "remembered");
    let stranger = world.issuer.token().key_id("stranger").build();
    assert_eq!(world.check(&stranger).await.asked.jwks, 1);
    assert!(world.check(&late).await.verdict.is_ok(), "brought by a fetch for another");
    world.advance(COOLDOWN).await;
    assert_eq!(world.check(&never).await.asked.jwks, 1, "a changed set forgets what its predecessor did not know");
}

#[tokio::test]
async fn forgeries_during_an_outage_add_no_more_than_one_attempt_per_cooldown_threat_18() {
    let world = World::new().await;
    world.issuer.fault(Target::All, Fault::Status(500));
    world.advance(COOLDOWN).await;
    for second in 0..100 {
        for number in 0..20 {
            let stranger = world.issuer.token().signature([1; 64]).key_id(format!("{second} {number}")).build();
            assert_eq!(world.check(&stranger).await.verdict.unwrap_err(), RejectionKind::KeysUnavailable);
        }
        world.advance(Duration::from_secs(1)).await;
    }
    // One per ten seconds, and those of the first, short steps of the backoff: after 1, 2, 4 and 8 seconds.
    let attempts = world.issuer.asked().jwks.max(world.issuer.asked().metadata / 2);
    assert!((4..=14).contains(&attempts), "{attempts} attempts");
}
