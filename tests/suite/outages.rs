//! What happens while an issuer cannot be asked: 503 where its word is needed, and nothing else changes (threat 17).

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use portcullis::{
    AuthorizeLayer, Authorizer, RejectionKind,
    authorizer::KeysReadiness,
    clock::UnixTime,
    keys::RefreshPolicy,
    testing::{Fault, ManualClock, Target},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    crowd::Crowd,
    support::{World, bearer},
};

const PATIENCE: Duration = Duration::from_secs(3);
const COOLDOWN: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(1);

fn cold(prepare: impl FnOnce(&portcullis::testing::TestIssuer)) -> World {
    World::cold(prepare, |issuer| issuer, |builder| builder)
}

/// What a client is told: the status, and when to come again.
async fn answer(authorizer: &Authorizer, token: &str) -> (StatusCode, Option<u64>) {
    let inner = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    let mut request = Request::new(());
    *request.headers_mut() = bearer(token);
    let response = AuthorizeLayer::by_raw_path(authorizer.clone()).layer(inner).oneshot(request).await.unwrap();
    assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), response.status() == 401);
    let retry_after = response.headers().get(header::RETRY_AFTER);
    (response.status(), retry_after.map(|value| value.to_str().unwrap().parse().unwrap()))
}

/// Tokens that no key could make acceptable.
fn hopeless(world: &World) -> Vec<(&'static str, String)> {
    let good = || world.issuer.token();
    vec![
        ("garbage", "garbage".to_owned()),
        ("two parts", "a.b".to_owned()),
        ("unsigned", good().unsigned().build()),
        ("HMAC", good().signed_as_hmac(portcullis::Algorithm::HS256, "secret").build()),
        ("another issuer", good().claim("iss", "https://other.test").build()),
        ("a slash more", good().claim("iss", "https://issuer.test/").build()),
        ("no issuer", good().without_claim("iss").build()),
        ("another audience", good().audience("https://other.test").build()),
        ("expired", good().expires_at(UnixTime::from_secs(1_000_000_000)).build()),
        ("an ID token", good().token_type("JWT").claim("nonce", "n").build()),
        ("critical", good().header("crit", ["x"]).build()),
    ]
}

#[tokio::test]
async fn an_issuer_that_is_dead_at_the_start_means_503_until_it_is_back_threat_17() {
    let faults = [Fault::Status(500), Fault::Status(404), Fault::Reset, Fault::Garbage, Fault::Huge(1 << 20)];
    for target in [Target::Metadata, Target::Jwks, Target::All] {
        for fault in &faults {
            let world = cold(|issuer| issuer.fault(target, fault.clone()));
            let token = world.issuer.token().build();
            let mut pauses = Vec::new();
            for _ in 0..8 {
                let (status, retry_after) = answer(&world.authorizer, &token).await;
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{target:?} {fault:?}");
                let asked = world.issuer.asked();
                assert_eq!(answer(&world.authorizer, &token).await.0, status);
                assert_eq!(world.issuer.asked(), asked, "nobody is asked again at once");
                pauses.push(retry_after.unwrap());
                world.advance(Duration::from_secs(pauses[pauses.len() - 1])).await;
            }
            let backoff = [1, 2, 4, 8, 16, 32, 60, 60];
            let near = |(pause, full): (&u64, u64)| (full * 9 / 10..=full).contains(pause);
            assert!(pauses.iter().zip(backoff).all(near), "{pauses:?}");
            assert_eq!(world.authorizer.readiness().issuers[0].keys, KeysReadiness::Missing);

            world.issuer.heal();
            let (_, retry_after) = answer(&world.authorizer, &token).await;
            world.advance(Duration::from_secs(retry_after.unwrap())).await;
            let fresh = world.issuer.token().build();
            assert_eq!(answer(&world.authorizer, &fresh).await, (StatusCode::OK, None), "{target:?} {fault:?}: healed");
            assert_eq!(world.authorizer.readiness().issuers[0].keys, KeysReadiness::Loaded);
        }
    }
}

#[tokio::test]
async fn what_is_hopeless_is_refused_as_ever_while_the_keys_are_missing_threat_17() {
    for fault in [Fault::Status(500), Fault::Hang] {
        // Without metadata, with neither, and after the keys were there and grew too old.
        for (target, age) in [(Target::Metadata, 0), (Target::All, 0), (Target::All, 24)] {
            let world = if age == 0 { cold(|issuer| issuer.fault(target, fault.clone())) } else { World::new().await };
            world.issuer.fault(target, fault.clone());
            for _ in 0..age {
                world.advance(Duration::from_secs(3600)).await;
            }
            world.advance(PATIENCE).await;
            world.advance(PATIENCE).await;
            let what = format!("{target:?} {fault:?} {age} h");
            assert_eq!(world.authorizer.readiness().issuers[0].keys, KeysReadiness::Missing, "{what}");
            for (why, token) in hopeless(&world) {
                assert_eq!(
                    world.check(&token).await.verdict.unwrap_err(),
                    RejectionKind::InvalidToken,
                    "{what}: {why}"
                );
                assert_eq!(answer(&world.authorizer, &token).await, (StatusCode::UNAUTHORIZED, None), "{what}: {why}");
            }
            let crowd = Crowd::of(&world.authorizer, [world.issuer.token().build()]);
            world.clock.settle().await;
            world.advance(PATIENCE).await;
            crowd.expect(Err(RejectionKind::KeysUnavailable), &what).await;
        }
    }
}

/// Keys that are fresh for a second, and usable for a minute more.
fn short_lived() -> RefreshPolicy {
    RefreshPolicy::default()
        .interval_bounds(Duration::from_secs(1), Duration::from_secs(1))
        .max_stale(Duration::from_secs(60))
}

#[tokio::test]
async fn an_issuer_that_dies_is_missed_when_its_keys_are_too_old_and_not_before_threat_17() {
    let world = World::with(|issuer| issuer.refresh_policy(short_lived()), |builder| builder).await;
    let readiness = || world.authorizer.readiness().issuers[0].keys;
    let token = world.issuer.token().build();
    world.advance(Duration::from_secs(1)).await;
    assert_eq!((world.issuer.asked().jwks, readiness()), (1, KeysReadiness::Loaded));
    // Fresh for up to a second, less the jitter: tick by tick, to see when that ends.
    world.issuer.fault(Target::All, Fault::Status(500));
    let asked = world.issuer.asked();
    while world.issuer.asked() == asked {
        assert_eq!(readiness(), KeysReadiness::Loaded);
        world.advance(TICK).await;
    }
    assert_eq!(readiness(), KeysReadiness::Stale);
    for second in 0..59 {
        assert_eq!(answer(&world.authorizer, &token).await, (StatusCode::OK, None), "stale for {second} s");
        world.advance(Duration::from_secs(1)).await;
    }
    // Now within a tick of the end of a minute.
    world.advance(Duration::from_secs(1) - TICK).await;
    assert_eq!(answer(&world.authorizer, &token).await, (StatusCode::OK, None), "the last moment");
    assert_eq!(readiness(), KeysReadiness::Stale);
    world.advance(TICK).await;
    assert_eq!(readiness(), KeysReadiness::Missing);
    assert_eq!(answer(&world.authorizer, &token).await.0, StatusCode::SERVICE_UNAVAILABLE);

    world.issuer.heal();
    world.advance(Duration::from_secs(60)).await;
    assert_eq!((answer(&world.authorizer, &token).await.0, readiness()), (StatusCode::OK, KeysReadiness::Loaded));
}

#[tokio::test]
async fn a_request_held_up_by_its_issuer_is_answered_when_its_patience_ends_threat_17() {
    for target in [Target::Metadata, Target::Jwks] {
        let mut held = None;
        let world = cold(|issuer| held = Some(issuer.hold(target)));
        let crowd = Crowd::of(&world.authorizer, (0..10).map(|_| world.issuer.token().build()));
        world.clock.settle().await;
        world.advance(PATIENCE - TICK).await;
        assert_eq!((held.as_ref().unwrap().waiting(), crowd.waiting()), (1, 10), "{target:?}");
        world.advance(TICK).await;
        assert_eq!(crowd.waiting(), 0, "{target:?}");
        crowd.expect(Err(RejectionKind::KeysUnavailable), "held up").await;
        drop(held);
        assert!(world.check(&world.issuer.token().build()).await.verdict.is_ok(), "{target:?}: it came after all");
    }
}

#[tokio::test]
async fn whether_an_unknown_key_exists_nobody_can_say_during_an_outage_threat_17() {
    let (unavailable, invalid) = (RejectionKind::KeysUnavailable, RejectionKind::InvalidToken);
    for fault in [Fault::Status(500), Fault::Reset, Fault::Garbage] {
        let world = World::new().await;
        let stranger = world.issuer.token().key_id("stranger").build();
        let forged = world.issuer.token().tampered().build();
        let check = async |token: &str| world.check(token).await.verdict.map(drop);
        world.advance(COOLDOWN).await;
        assert_eq!(check(&stranger).await, Err(invalid), "asked, and answered");
        world.advance(COOLDOWN).await;
        world.issuer.fault(Target::All, fault.clone());
        assert_eq!(check(&stranger).await, Err(invalid), "an answer is remembered");
        let newer = world.issuer.token().key_id("newer").build();
        for when in ["asked in vain", "cooling down"] {
            assert_eq!(check(&newer).await, Err(unavailable), "{fault:?}, {when}");
        }
        assert_eq!(check(&forged).await, Err(unavailable), "it may be another key by now: asked in vain");
        assert_eq!(
            check(&forged).await,
            Err(invalid),
            "nobody is asked again so soon: the key at hand did not make this"
        );
        assert_eq!(check(&world.issuer.token().build()).await, Ok(()));
        for (why, token) in hopeless(&world) {
            assert_eq!(check(&token).await, Err(invalid), "{why}");
        }
        world.issuer.heal();
        world.issuer.rotate();
        world.advance(COOLDOWN).await;
        assert_eq!(check(&world.issuer.token().build()).await, Ok(()), "{fault:?}, healed");
        world.advance(COOLDOWN).await;
        assert_eq!(check(&newer).await, Err(invalid), "{fault:?}, healed: asked, and answered");
    }
}

#[tokio::test]
async fn a_wall_clock_set_back_makes_no_keys_younger_threat_26() {
    let world = World::with(|issuer| issuer.refresh_policy(short_lived()), |builder| builder).await;
    world.issuer.fault(Target::All, Fault::Status(500));
    let token = world.issuer.token().expires_in(Duration::from_secs(1 << 30)).build();
    // An operator sets the wall clock back while the monotonic one goes on.
    world.advance(Duration::from_secs(61)).await;
    world.clock.step_wall_to(ManualClock::START);
    assert_eq!(answer(&world.authorizer, &token).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn whoever_gave_up_waiting_is_told_to_come_again_soon_threat_17() {
    let world = World::new().await;
    world.issuer.rotate();
    let held = world.issuer.hold(Target::Jwks);
    let token = world.issuer.token().build();
    let waiting = answer(&world.authorizer, &token);
    let patience = async {
        held.arrived().await;
        world.advance(PATIENCE).await;
    };
    let (told, ()) = tokio::join!(waiting, patience);
    // The next attempt by the clock is minutes away; the one that is under way counts.
    assert_eq!(told, (StatusCode::SERVICE_UNAVAILABLE, Some(1)));
}
