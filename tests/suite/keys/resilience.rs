//! What rotation, withdrawal, panics and the end of a runtime do to keys.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use portcullis::{
    Algorithm, Authorizer, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    authorizer::KeysReadiness,
    issuer::{Exchange, Transport},
    keys::RefreshPolicy,
    testing::{Fault, ManualClock, Target, TestIssuer, TestKey, TokenBuilder},
};
use serde_json::json;

use crate::support::{World, bearer};

const SECOND: Duration = Duration::from_secs(1);

async fn kind(world: &World, token: &str) -> Result<(), RejectionKind> {
    world.check(token).await.verdict.map(|_| ())
}

#[tokio::test]
async fn a_fetch_that_was_sent_before_a_rotation_does_not_speak_against_the_new_key_threat_19() {
    let world = World::new().await;
    // A background refresh is on its way back with the old set …
    let held = world.issuer.hold_answer(Target::Jwks);
    world.clock.advance(Duration::from_secs(301));
    world.clock.settle().await;
    assert_eq!(held.waiting(), 1);
    // … when the issuer rotates, and a good token under the new key arrives.
    world.issuer.rotate();
    let token = world.issuer.token().build();
    let authorizer = world.authorizer.clone();
    let first = {
        let token = token.clone();
        tokio::spawn(async move {
            let headers = bearer(&token);
            let requirement = Arc::new(Requirement::authenticated());
            authorizer.authorize(&authorizer.input(&headers, &requirement)).await.map_err(|r| r.kind()).map(|_| ())
        })
    };
    world.clock.settle().await;
    held.release();
    let first = first.await.unwrap();
    // 11 s later every cooldown is over: nothing stands in the way of a fetch.
    world.clock.advance(11 * SECOND);
    world.clock.settle().await;
    let second = kind(&world, &token).await;
    world.clock.advance(30 * SECOND);
    world.clock.settle().await;
    let third = kind(&world, &token).await;
    assert_eq!((first, second, third), (Ok(()), Ok(()), Ok(())));
}

#[tokio::test]
async fn an_issuer_that_hangs_is_a_503_and_never_a_401() {
    let world = World::new().await;
    world.issuer.rotate();
    world.issuer.fault(Target::Jwks, Fault::Hang);
    let token = world.issuer.token().build();
    let authorizer = world.authorizer.clone();
    let asked = tokio::spawn(async move {
        let headers = bearer(&token);
        let requirement = Arc::new(Requirement::authenticated());
        authorizer.authorize(&authorizer.input(&headers, &requirement)).await.map_err(|r| r.kind()).map(|_| ())
    });
    world.clock.settle().await;
    world.clock.advance(3 * SECOND); // the request's patience; the attempt itself goes on to 5 s
    assert_eq!(asked.await.unwrap(), Err(RejectionKind::KeysUnavailable));
}

#[derive(Debug)]
struct PanicsOnce {
    inner: Arc<dyn Transport>,
    armed: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl Transport for PanicsOnce {
    fn send(&self, request: Request<Bytes>, max_body: usize) -> Exchange {
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(!self.armed.swap(false, Ordering::SeqCst), "a bug in a user's transport");
        self.inner.send(request, max_body)
    }
}

#[tokio::test]
async fn a_transport_that_panics_once_does_not_end_the_refresher_for_good() {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
    let armed = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
        .transport(PanicsOnce { inner: issuer.transport(), armed: armed.clone(), calls: calls.clone() })
        .clock(clock.clone())
        .build()
        .unwrap();
    authorizer.ready(SECOND).await.unwrap();
    armed.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_secs(301));
    clock.settle().await; // the background refresh panics
    let before = calls.load(Ordering::SeqCst);
    for _ in 0..10 {
        clock.advance(Duration::from_secs(60));
        clock.settle().await;
    }
    let world = World { clock: clock.clone(), issuer, authorizer };
    let readiness = world.authorizer.readiness();
    eprintln!("10 minutes after: {readiness:?}, calls since {}", calls.load(Ordering::SeqCst) - before);
    // A token with an unknown kid: does it wait for nothing?
    let token = world.issuer.token().key_id("other").build();
    let authorizer = world.authorizer.clone();
    let task = tokio::spawn(async move {
        let headers = bearer(&token);
        let requirement = Arc::new(Requirement::authenticated());
        authorizer.authorize(&authorizer.input(&headers, &requirement)).await.map_err(|r| r.kind()).map(|_| ())
    });
    world.clock.settle().await;
    eprintln!("waits for its whole patience: {}", !task.is_finished());
    world.clock.advance(Duration::from_secs(2 * 3600));
    world.clock.settle().await;
    let good = world.issuer.token().build();
    let authorizer = world.authorizer.clone();
    let task = tokio::spawn(async move {
        let headers = bearer(&good);
        let requirement = Arc::new(Requirement::authenticated());
        authorizer.authorize(&authorizer.input(&headers, &requirement)).await.map_err(|r| r.kind()).map(|_| ())
    });
    world.clock.settle().await;
    world.clock.advance(3 * SECOND);
    eprintln!("good token, two hours later: {:?}", task.await.unwrap());
    assert!(calls.load(Ordering::SeqCst) > before, "never asked again");
    assert_eq!(readiness.issuers[0].keys, KeysReadiness::Loaded);
}

#[tokio::test]
async fn an_issuer_that_withdraws_its_last_key_is_believed_threat_19() {
    let world = World::new().await;
    let stolen = world.issuer.token().build();
    assert_eq!(kind(&world, &stolen).await, Ok(()));
    world.issuer.publish(&[]); // {"keys":[]}: compromised, all withdrawn
    for _ in 0..10 {
        world.clock.advance(Duration::from_secs(301));
        world.clock.settle().await;
    }
    assert!(world.issuer.asked().jwks > 0);
    assert!(kind(&world, &stolen).await.is_err(), "accepted 50 minutes after the key was withdrawn");
}

#[tokio::test]
async fn a_key_without_kid_of_another_algorithm_does_not_hide_an_unknown_kid() {
    let world = World::new().await;
    let mut unnamed = TestKey::shared(Algorithm::RS256).jwk();
    unnamed.as_object_mut().unwrap().remove("kid");
    let old = TestKey::generate(Algorithm::ES256, "old");
    let new = TestKey::generate(Algorithm::ES256, "new");
    // The set: one RSA key that has no kid, and the old ES256 key.
    world.issuer.publish_raw(json!({ "keys": [unnamed, old.jwk()] }));
    world.clock.advance(Duration::from_secs(301));
    world.clock.settle().await;
    world.clock.advance(Duration::from_secs(11));
    assert_eq!(kind(&world, &world.issuer.token().signed_with(&old).build()).await, Ok(()));
    // All keys rotate to another family; the RSA key stays: still found?
    world.issuer.publish_raw(json!({ "keys": [unnamed, new.jwk()] }));
    let outcome = world.check(&world.issuer.token().signed_with(&new).build()).await;
    eprintln!("{:?}", outcome);
    // ES256 "old" is not named "new"; only the kid-less RSA key "answers" to it.
    assert_eq!(outcome.asked.jwks, 1);
    assert!(outcome.verdict.is_ok());
}

#[tokio::test]
async fn a_token_without_kid_of_a_new_algorithm_asks_for_fresh_keys() {
    // AgentIdP: no kid. It moves from RS256 to ES256.
    let world = World::new().await;
    let (old, new) = (TestKey::shared(Algorithm::RS256), TestKey::shared(Algorithm::ES256));
    world.issuer.publish(std::slice::from_ref(&old));
    world.clock.advance(Duration::from_secs(301));
    world.clock.settle().await;
    world.issuer.publish(std::slice::from_ref(&new));
    let outcome = world.check(&world.issuer.token().signed_with(&new).without_header("kid").build()).await;
    assert_eq!(outcome.asked.jwks, 1, "{outcome:?}");
}

#[tokio::test]
async fn bounds_of_zero_are_refused_or_survived() {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
    issuer.set_cache_control(Some("no-store"));
    let authorizer = Authorizer::builder()
        .issuer(
            Issuer::discover(issuer.url())
                .audience(TokenBuilder::AUDIENCE)
                .refresh_policy(RefreshPolicy::default().interval_bounds(Duration::ZERO, Duration::from_secs(60))),
        )
        .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
        .shared_transport(issuer.transport())
        .clock(clock.clone())
        .build();
    let Ok(_authorizer) = authorizer else { return };
    // A task that never yields would hang this runtime: look from another thread, and end the process of it.
    let watch = issuer.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        let asked = watch.asked().jwks;
        eprintln!("k8: {asked} fetches in two seconds in which the clock stood still");
        if asked > 2 {
            std::process::exit(101);
        }
    });
    clock.settle().await;
    tokio::task::yield_now().await;
    assert!(issuer.asked().jwks <= 2);
}

#[tokio::test]
async fn an_old_jwks_uri_that_answers_html_or_hangs_is_looked_up_again() {
    for fault in [Fault::Garbage, Fault::Hang] {
        let world = World::new().await;
        world.issuer.fault(Target::Jwks, fault.clone());
        for _ in 0..30 {
            world.clock.advance(Duration::from_secs(61));
            world.clock.settle().await;
        }
        assert!(world.issuer.asked().metadata > 0, "{fault:?}: 30 minutes of failures, {:?}", world.issuer.asked());
    }
}

#[tokio::test]
async fn metadata_without_jwks_uri_in_the_first_place_lead_to_the_second() {
    #[derive(Debug)]
    struct TwoDocuments(Arc<dyn Transport>);
    impl Transport for TwoDocuments {
        fn send(&self, request: Request<Bytes>, max_body: usize) -> Exchange {
            if request.uri().path().contains("oauth-authorization-server") {
                // RFC 8414 §2: jwks_uri is OPTIONAL.
                let body = br#"{"issuer":"https://issuer.test","response_types_supported":["code"]}"#;
                return Box::pin(async move { Ok(http::Response::new(Bytes::from_static(body))) });
            }
            self.0.send(request, max_body)
        }
    }
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
        .transport(TwoDocuments(issuer.transport()))
        .clock(clock.clone())
        .build()
        .unwrap();
    clock.settle().await;
    assert!(authorizer.readiness().ready);
}

#[test]
fn an_authorizer_outlives_the_runtime_it_was_built_on() {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
    let build = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = build();
    let authorizer = first.block_on(async {
        let authorizer = Authorizer::builder()
            .issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE))
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(issuer.transport())
            .clock(clock.clone())
            .build()
            .unwrap();
        authorizer.ready(SECOND).await.unwrap();
        authorizer
    });
    drop(first); // as between two #[tokio::test] that share a static
    issuer.rotate();
    let verdict = build().block_on(async {
        let task = {
            let authorizer = authorizer.clone();
            let token = issuer.token().build();
            tokio::spawn(async move {
                let headers = bearer(&token);
                let requirement = Arc::new(Requirement::authenticated());
                authorizer.authorize(&authorizer.input(&headers, &requirement)).await.map_err(|r| r.kind()).map(|_| ())
            })
        };
        clock.settle().await;
        eprintln!("k11: still waiting: {}", !task.is_finished());
        clock.advance(3 * SECOND);
        task.await.unwrap()
    });
    assert_ne!(verdict, Err(RejectionKind::InvalidToken), "readiness says {:?}", authorizer.readiness());
}

// --- tokens ------------------------------------------------------------------------------------------------------
