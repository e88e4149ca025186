//! Many requests at once: the issuer gets a handful of questions, and nobody's end is anybody else's trouble (threat 22).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis::{
    Issuer, RejectionKind, Requirement,
    authorizer::StatusReadiness,
    status::{OpaqueTokens, StatusAnswer, StatusError, StatusPolicy, StatusQuestion, StatusSource, TokenStatus},
};
use tokio::{sync::watch, task::JoinSet};

use super::{
    SECOND, request,
    source::{Says, Scripted},
    verdict, world,
};
use crate::support::{World, bearer};

const CROWD: usize = 10_000;
const ANY: fn() -> Requirement = Requirement::authenticated;

/// The pause before the second attempt, at most.
const PAUSE: Duration = Duration::from_millis(50);

type Verdict = Result<(), RejectionKind>;

/// Requests with one token, sent together; they hang up when this is dropped.
fn crowd(world: &World, size: usize, token: &str, requirement: Requirement) -> JoinSet<Verdict> {
    let (headers, requirement) = (Arc::new(bearer(token)), Arc::new(requirement));
    let mut crowd = JoinSet::new();
    for _ in 0..size {
        let (authorizer, headers, requirement) = (world.authorizer.clone(), headers.clone(), requirement.clone());
        crowd.spawn(async move {
            let permit = authorizer.authorize(&authorizer.input(&headers, &requirement)).await;
            permit.map(drop).map_err(|rejection| rejection.kind())
        });
    }
    crowd
}

/// Until that many have done what they can.
async fn settle(world: &World, size: usize) {
    for _ in 0..=size / 1000 {
        world.clock.settle().await;
    }
}

/// Waits for every verdict; they must all be that one.
async fn expect(crowd: JoinSet<Verdict>, expected: Verdict) {
    let size = crowd.len();
    let others = crowd.join_all().await.into_iter().filter(|verdict| *verdict != expected).count();
    assert_eq!(others, 0, "of {size}, that many were not answered {expected:?}");
}

#[tokio::test]
async fn a_crowd_with_one_cold_token_asks_once_threat_22() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().build();
    source.hold();
    let crowd = crowd(&world, CROWD, &token, ANY());
    settle(&world, CROWD).await;
    assert_eq!(source.asked(), 1);
    source.release();
    expect(crowd, Ok(())).await;
    assert_eq!(source.asked(), 1);
}

#[tokio::test]
async fn callers_that_disconnect_mid_way_change_nothing_for_the_others_threat_22() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().build();
    source.hold();
    let mut first = crowd(&world, 1000, &token, ANY());
    settle(&world, 1000).await;
    let others = crowd(&world, CROWD - 1000, &token, ANY());
    settle(&world, CROWD).await;
    first.shutdown().await;
    settle(&world, 1000).await;
    assert_eq!((source.asked(), others.len()), (1, CROWD - 1000));
    source.release();
    expect(others, Ok(())).await;
    assert_eq!(source.asked(), 1);
}

#[tokio::test]
async fn a_question_that_all_callers_gave_up_is_answered_for_the_next_one_threat_22() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().build();
    source.hold();
    let mut crowd = crowd(&world, 1000, &token, ANY());
    settle(&world, 1000).await;
    crowd.shutdown().await;
    source.release();
    settle(&world, 1000).await;
    assert_eq!(verdict(&world, &token, ANY()).await.map(drop), Ok(()));
    assert_eq!(source.asked(), 1, "the answer was there already");
}

#[tokio::test]
async fn whoever_hangs_up_before_their_question_left_costs_none_threat_22() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default().concurrency(1, 100)).await;
    let tokens: Vec<_> = (0..50).map(|_| world.issuer.token().build()).collect();
    source.hold();
    let held = request(&world, &world.issuer.token().build(), ANY());
    settle(&world, 1).await;
    let mut queue = JoinSet::new();
    for token in &tokens {
        let (authorizer, headers) = (world.authorizer.clone(), bearer(token));
        queue.spawn(async move {
            let requirement = Arc::new(ANY());
            let _ = authorizer.authorize(&authorizer.input(&headers, &requirement)).await;
        });
    }
    settle(&world, 50).await;
    let stays = request(&world, &tokens[17], ANY());
    settle(&world, 50).await;
    queue.shutdown().await;
    source.release();
    assert_eq!((held.await.unwrap(), stays.await.unwrap()), (Ok(()), Ok(())));
    assert_eq!(source.asked(), 2, "for the two who waited");
}

#[tokio::test]
async fn a_source_that_panics_or_hangs_once_is_asked_again_for_all_threat_22() {
    for (trouble, patience) in [(Says::Panics, Duration::ZERO), (Says::Hangs, SECOND)] {
        let source = Scripted::new(trouble.clone());
        let world = world(&source, StatusPolicy::default()).await;
        let token = world.issuer.token().build();
        source.hold();
        let crowd = crowd(&world, 1000, &token, ANY());
        settle(&world, 1000).await;
        assert_eq!(source.asked(), 1, "{trouble:?}");
        source.say(Says::Active);
        source.release();
        for pause in [patience, PAUSE] {
            world.advance(pause).await;
            settle(&world, 1000).await;
        }
        expect(crowd, Ok(())).await;
        assert_eq!(source.asked(), 2, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_crowd_that_wants_to_know_afresh_is_answered_by_the_next_question_threat_15_22() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().build();
    let fresh = || ANY().status_on_every_request();
    source.hold();
    let first = request(&world, &token, fresh());
    settle(&world, 1).await;
    // The first question is in the air, with the answer it will bring.
    source.say(Says::Inactive);
    let crowd = crowd(&world, CROWD, &token, fresh());
    settle(&world, CROWD).await;
    assert_eq!(source.asked(), 1);
    source.release();
    assert_eq!(first.await.unwrap(), Ok(()));
    expect(crowd, Err(RejectionKind::InvalidToken)).await;
    assert_eq!(source.asked(), 2);
}

#[tokio::test]
async fn those_who_wait_for_the_next_question_may_hang_up_threat_22() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default()).await;
    let token = world.issuer.token().build();
    let fresh = || ANY().status_on_every_request();
    source.hold();
    let first = request(&world, &token, fresh());
    settle(&world, 1).await;
    let mut all = crowd(&world, 100, &token, fresh());
    settle(&world, 100).await;
    all.shutdown().await;
    source.release();
    assert_eq!(first.await.unwrap(), Ok(()));
    settle(&world, 1).await;
    assert_eq!(source.asked(), 1, "nobody wants to know any more");
    assert_eq!(verdict(&world, &token, fresh()).await.map(drop), Ok(()));
    assert_eq!(source.asked(), 2);
}

#[tokio::test]
async fn what_was_learned_together_does_not_grow_old_together_threat_22() {
    let source = Scripted::new(Says::Active);
    let world = world(&source, StatusPolicy::default().without_renewal_ahead()).await;
    let tokens: Vec<_> = (0..1000).map(|_| world.issuer.token().build()).collect();
    let asked = async |after: Duration| {
        world.advance(after).await;
        let before = source.asked();
        for token in &tokens {
            assert_eq!(verdict(&world, token, ANY()).await.map(drop), Ok(()));
        }
        source.asked() - before
    };
    assert_eq!(asked(Duration::ZERO).await, 1000);
    assert_eq!(asked(27 * SECOND - PAUSE).await, 0, "for at least nine tenths of the time");
    let half = asked(SECOND * 3 / 2 + PAUSE).await;
    assert!((300..700).contains(&half), "{half} of 1000 in the first half of the last tenth");
    assert_eq!(asked(SECOND * 3 / 2).await, 1000 - half);
}

/// Answers about JWTs at once, as it is told to, and about opaque tokens when it is told to; counts the latter.
#[derive(Clone, Debug)]
struct SlowOnOpaque {
    asked: Arc<AtomicUsize>,
    gate: watch::Sender<bool>,
    of_jwts: fn() -> Result<TokenStatus, StatusError>,
}

impl StatusSource for SlowOnOpaque {
    fn identity(&self) -> String {
        "slow on opaque tokens".to_owned()
    }

    fn ask(&self, question: &StatusQuestion) -> StatusAnswer {
        let mut gate = self.gate.subscribe();
        let (is_opaque, of_jwts) = (question.is_opaque(), self.of_jwts);
        if is_opaque {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        Box::pin(async move {
            if is_opaque {
                let _ = gate.wait_for(|open| *open).await;
                return Ok(TokenStatus::inactive());
            }
            of_jwts()
        })
    }
}

#[tokio::test]
async fn junk_that_must_be_asked_about_does_not_crowd_out_verified_tokens_threat_22() {
    let active = || Ok(TokenStatus::active());
    let source = SlowOnOpaque { asked: Arc::default(), gate: watch::Sender::new(false), of_jwts: active };
    let status = source.clone();
    let world = World::with(
        |issuer| {
            let policy = StatusPolicy::default().concurrency(8, 40).attempts(1, PAUSE, SECOND);
            issuer.status_source(status).status_policy(policy).opaque_tokens(OpaqueTokens::default())
        },
        |builder| builder,
    )
    .await;
    let mut junk = JoinSet::new();
    for number in 0..1000 {
        let (authorizer, headers) = (world.authorizer.clone(), bearer(&format!("junk-of-any-kind-{number}")));
        junk.spawn(async move {
            let requirement = Arc::new(ANY());
            let permit = authorizer.authorize(&authorizer.input(&headers, &requirement)).await;
            permit.map(drop).map_err(|rejection| rejection.kind())
        });
    }
    settle(&world, 1000).await;
    assert_eq!(source.asked.load(Ordering::SeqCst), 4, "half of the places");
    let mut refused = 0;
    while let Some(verdict) = junk.try_join_next() {
        assert_eq!(verdict.unwrap(), Err(RejectionKind::StatusUnavailable));
        refused += 1;
    }
    assert_eq!(refused, 980, "half of those who may wait, wait");
    let crowd: Vec<_> = (0..20).map(|_| request(&world, &world.issuer.token().build(), ANY())).collect();
    settle(&world, 20).await;
    for verified in crowd {
        assert!(verified.is_finished(), "held up by junk");
        assert_eq!(verified.await.unwrap(), Ok(()));
    }
    source.gate.send_replace(true);
    expect(junk, Err(RejectionKind::InvalidToken)).await;
    assert_eq!(source.asked.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn nobody_in_the_queue_waits_longer_than_their_patience_threat_17_22() {
    let source = Scripted::new(Says::Hangs);
    let world = world(&source, StatusPolicy::default().concurrency(1, 100)).await;
    let tick = Duration::from_millis(1);
    let mut queue: Vec<_> = (0..10).map(|_| request(&world, &world.issuer.token().build(), ANY())).collect();
    settle(&world, 10).await;
    world.advance(SECOND).await;
    let later = request(&world, &world.issuer.token().build(), ANY());
    settle(&world, 1).await;
    for pause in [PAUSE, SECOND - tick, SECOND / 2 - PAUSE] {
        world.advance(pause).await;
    }
    assert!(queue.iter().all(|waiting| !waiting.is_finished()), "they had patience left");
    world.advance(tick).await;
    for waited in queue.drain(..) {
        assert!(waited.is_finished(), "held up by who came before");
        assert_eq!(waited.await.unwrap(), Err(RejectionKind::StatusUnavailable));
    }
    assert!(!later.is_finished(), "each has its own");
    world.advance(SECOND).await;
    assert!(later.is_finished());
}

#[tokio::test]
async fn a_source_that_says_come_back_later_is_not_asked_by_those_who_queue_threat_17_22() {
    let later = StatusError::RateLimited { retry_after: Some(20 * SECOND) };
    for (says, most) in [(later, 4), (StatusError::Unreachable("refused".to_owned()), 8)] {
        let source = Scripted::new(Says::Fails(says.clone()));
        let world = world(&source, StatusPolicy::default().concurrency(4, 1000)).await;
        source.hold();
        let queue: Vec<_> = (0..200).map(|_| request(&world, &world.issuer.token().build(), ANY())).collect();
        settle(&world, 200).await;
        assert_eq!(source.asked(), 4, "{says}");
        source.release();
        settle(&world, 200).await;
        world.advance(PAUSE).await;
        settle(&world, 200).await;
        for one in queue {
            assert!(one.is_finished(), "{says}: held up");
            assert_eq!(one.await.unwrap(), Err(RejectionKind::StatusUnavailable), "{says}");
        }
        assert!(source.asked() <= most, "{says}: {} questions", source.asked());
    }
}

#[tokio::test]
async fn a_condition_of_ours_that_panics_holds_nobody_up_threat_22() {
    let source = Scripted::new(Says::Describes(serde_json::json!({ "active": true })));
    let status = source.clone();
    let world = World::with(
        |issuer| {
            let issuer = issuer.status_source(status).opaque_tokens(OpaqueTokens::default());
            issuer.that("is reasonable", |token| token.token_id().is_some() || panic!("as told"))
        },
        |builder| builder,
    )
    .await;
    let token = "an-opaque-token-that-nobody-likes";
    for _ in 0..3 {
        source.hold();
        let crowd = crowd(&world, 100, token, ANY());
        settle(&world, 100).await;
        source.release();
        settle(&world, 100).await;
        expect(crowd, Err(RejectionKind::StatusUnavailable)).await;
    }
    assert_eq!(source.asked(), 3);
}

#[tokio::test]
async fn answers_that_were_on_their_way_do_not_undo_come_back_later_threat_17_22() {
    let later = || Err(StatusError::RateLimited { retry_after: Some(20 * SECOND) });
    let source = SlowOnOpaque { asked: Arc::default(), gate: watch::Sender::new(false), of_jwts: later };
    let status = source.clone();
    let change = |issuer: Issuer| issuer.status_source(status).opaque_tokens(OpaqueTokens::default());
    let world = World::with(change, |builder| builder).await;
    let on_its_way = request(&world, "an-opaque-token-of-nobody", ANY());
    settle(&world, 1).await;
    assert_eq!(source.asked.load(Ordering::SeqCst), 1);
    let told = verdict(&world, &world.issuer.token().build(), ANY()).await.map(drop);
    assert_eq!(told, Err(RejectionKind::StatusUnavailable));
    source.gate.send_replace(true);
    assert_eq!(on_its_way.await.unwrap(), Err(RejectionKind::InvalidToken));
    for second in 0..19 {
        let state = world.authorizer.readiness().issuers[0].status.unwrap();
        assert_eq!(state, StatusReadiness::LeftAlone, "second {second}");
        world.advance(SECOND).await;
    }
}
