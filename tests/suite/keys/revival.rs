//! A refresher that ends, a fetch that began too early, a clock that panics: what becomes of the keys.

use crate::support::{World, bearer};
use portcullis::{
    Algorithm, Authorizer, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    clock::{Clock, Now, Sleep, UnixTime},
    keys::RefreshPolicy,
    testing::{Fault, ManualClock, Target, TestIssuer, TestKey, TokenBuilder},
};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

async fn ask(authorizer: Authorizer, token: String) -> Result<(), RejectionKind> {
    let headers = bearer(&token);
    let requirement = Arc::new(Requirement::authenticated());
    authorizer.authorize(&authorizer.input(&headers, &requirement)).await.map_err(|r| r.kind()).map(|_| ())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// An authorizer with keys, whose refresher has ended with the runtime that it was built on.
fn outliving_its_runtime() -> (ManualClock, TestIssuer, Authorizer) {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
    let authorizer = runtime().block_on(async {
        let authorizer = Authorizer::builder()
            .issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE))
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(issuer.transport())
            .clock(clock.clone())
            .build()
            .unwrap();
        authorizer.ready(Duration::from_secs(1)).await.unwrap();
        authorizer
    });
    (clock, issuer, authorizer)
}

/// Lets the other threads get on until that many wait by the clock.
async fn until_waiting(world: &World, sleepers: usize) {
    while world.clock.sleepers() < sleepers {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_joined_an_older_fetch_gets_the_answer_of_the_next_threat_19() {
    let mut bad = 0;
    for _ in 0..5 {
        let world = World::new().await;
        let held = world.issuer.hold_answer(Target::Jwks);
        world.clock.advance(Duration::from_secs(301));
        held.arrived().await;
        world.issuer.rotate();
        let tasks: Vec<_> =
            (0..20).map(|_| tokio::spawn(ask(world.authorizer.clone(), world.issuer.token().build()))).collect();
        // Each waits with its patience, the refresher with its own.
        until_waiting(&world, tasks.len() + 1).await;
        held.release();
        for task in tasks {
            bad += usize::from(task.await.unwrap().is_err());
        }
    }
    assert_eq!(bad, 0, "of 100 good tokens");
}

#[test]
fn a_runtime_for_each_call_does_not_lift_the_cooldown_threat_18() {
    let (_, issuer, authorizer) = outliving_its_runtime();
    issuer.reset_asked();
    for _ in 0..50 {
        let good = issuer.token().build();
        let (head, signature) = good.rsplit_once('.').unwrap();
        let flipped: String = signature
            .chars()
            .enumerate()
            .map(|(i, c)| if i == 10 { if c == 'A' { 'B' } else { 'A' } } else { c })
            .collect();
        let verdict = runtime().block_on(ask(authorizer.clone(), format!("{head}.{flipped}")));
        assert!(verdict.is_err());
    }
    assert!(issuer.asked().jwks <= 2, "{} fetches for 50 forged tokens in one instant", issuer.asked().jwks);
}

#[test]
fn a_refresher_that_ended_is_started_again_by_tokens_that_pass_threat_19() {
    let (clock, issuer, authorizer) = outliving_its_runtime();
    let stolen = issuer.token().build();
    // Seen before, so that its signature need not be checked again.
    assert_eq!(runtime().block_on(ask(authorizer.clone(), stolen.clone())), Ok(()));
    let old = issuer.current_key();
    issuer.rotate();
    issuer.retire(old.key_id());
    runtime().block_on(async {
        for _ in 0..5 {
            clock.advance(Duration::from_secs(600));
            clock.settle().await;
            let _ = ask(authorizer.clone(), stolen.clone()).await;
        }
        assert!(
            ask(authorizer.clone(), stolen.clone()).await.is_err(),
            "50 minutes after its key was removed, issuer reachable"
        );
    });
}

#[tokio::test]
async fn an_empty_set_is_not_asked_for_without_pause_threat_18() {
    let policy = RefreshPolicy::default().interval_bounds(Duration::from_millis(1), Duration::from_secs(60));
    let world = World::with(|issuer| issuer.refresh_policy(policy), |b| b).await;
    world.issuer.publish(&[]);
    world.advance(Duration::from_secs(61)).await;
    world.issuer.reset_asked();
    for _ in 0..100 {
        world.advance(Duration::from_millis(1)).await;
    }
    assert!(world.issuer.asked().jwks <= 1, "{} fetches in 100 ms", world.issuer.asked().jwks);
}

#[tokio::test]
async fn a_key_without_a_name_hides_no_unknown_kid_threat_17() {
    let world = World::new().await;
    let mut unnamed = TestKey::shared(Algorithm::ES256).jwk();
    unnamed.as_object_mut().unwrap().remove("kid");
    let new = TestKey::generate(Algorithm::ES256, "new");
    world.issuer.publish_raw(json!({ "keys": [unnamed] }));
    world.advance(Duration::from_secs(301)).await;
    world.issuer.publish_raw(json!({ "keys": [unnamed, new.jwk()] }));
    world.issuer.fault(Target::Jwks, Fault::Status(500));
    let outcome = world.check(&world.issuer.token().signed_with(&new).build()).await;
    assert_eq!(outcome.verdict.map(|_| ()), Err(RejectionKind::KeysUnavailable));
}

#[tokio::test]
async fn a_key_replaced_under_its_name_during_an_outage_is_503_threat_17() {
    let world = World::new().await;
    let id = world.issuer.current_key().key_id().to_owned();
    let new = TestKey::shared_other(Algorithm::RS256).with_key_id(&id);
    world.issuer.publish(std::slice::from_ref(&new));
    world.issuer.fault(Target::Jwks, Fault::Hang);
    let task = tokio::spawn(ask(world.authorizer.clone(), world.issuer.token().signed_with(&new).build()));
    world.clock.settle().await;
    world.clock.advance(Duration::from_secs(3));
    assert_eq!(task.await.unwrap(), Err(RejectionKind::KeysUnavailable));
}

#[derive(Debug)]
struct Bomb(Arc<AtomicBool>, ManualClock);
impl Clock for Bomb {
    fn now(&self) -> Now {
        assert!(!self.0.load(Ordering::SeqCst), "a bug in a user's clock");
        self.1.now()
    }
    fn sleep(&self, duration: Duration) -> Sleep {
        Clock::sleep(&self.1, duration)
    }
}

#[tokio::test]
async fn a_clock_that_panics_ends_the_refresher_and_not_the_process() {
    let armed = Arc::new(AtomicBool::new(false));
    let manual = ManualClock::new();
    let world = World::with(|i| i, |b| b).await;
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(world.issuer.url()).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
        .shared_transport(world.issuer.transport())
        .clock(Bomb(armed.clone(), manual.clone()))
        .build()
        .unwrap();
    authorizer.ready(Duration::from_secs(1)).await.unwrap();
    armed.store(true, Ordering::SeqCst);
    manual.advance(Duration::from_secs(301));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let _ = UnixTime::from_secs(0);
    eprintln!("survived");
}

#[tokio::test]
async fn junk_beside_a_key_without_a_name_does_not_use_up_what_a_new_kid_needs_threat_18() {
    let world = World::new().await;
    let publish = |keys: &[&TestKey], named: bool| {
        let jwk = |key: &&TestKey| {
            let mut jwk = key.jwk();
            if !named {
                jwk.as_object_mut().unwrap().remove("kid");
            }
            jwk
        };
        world.issuer.publish_raw(json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() }));
    };
    publish(&[&world.issuer.current_key()], false);
    world.advance(Duration::from_secs(301)).await;
    let forged = world.issuer.token().without_header("kid").tampered().build();
    assert_eq!(world.check(&forged).await.asked.jwks, 1, "a bad signature, once");

    let new = TestKey::generate(Algorithm::ES256, "new");
    publish(&[&new], true);
    world.issuer.sign_with(new);
    let outcome = world.check(&world.issuer.token().build()).await;
    assert!(outcome.verdict.is_ok(), "an unknown kid has its own cooldown: {outcome:?}");
}
