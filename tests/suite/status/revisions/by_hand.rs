//! The same without a header, without exactly one log, and where the log is not what it was.

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use portcullis::{
    Authorizer, AuthorizerBuilder, Decision, Issuer, Requirement, RouteTable, Unlisted,
    authorizer::Answers,
    status::{
        Cursor, FeedAnswer, FeedMessage, FeedMessages, FeedPolicy, FeedSnapshot, Revocation, RevocationEvent,
        RevocationFeed, RevocationLog,
    },
    testing::{ManualClock, TokenBuilder},
};
use serde_json::json;
use tokio::sync::watch;
use tokio_stream::{StreamExt as _, wrappers::WatchStream};

use super::{
    super::source::{Says, Scripted},
    BUDGET, Replica, Verdict, any, kind, not_reached, verdict,
};
use crate::support::{World, bearer};

async fn check(world: &World, at_least: &[u128]) -> (Verdict, Duration) {
    let (headers, begin) = (bearer(&world.issuer.token().build()), world.clock.now().monotonic());
    let (authorizer, revisions) = (world.authorizer.clone(), at_least.to_vec());
    let request = tokio::spawn(async move {
        let requirement = Arc::new(any());
        let input = authorizer.input(&headers, &requirement);
        verdict(&authorizer, &revisions.into_iter().map(Cursor::new).fold(input, portcullis::Input::at_least)).await
    });
    world.clock.settle().await;
    while !request.is_finished() {
        world.advance(Duration::from_millis(1)).await;
    }
    (request.await.unwrap(), world.clock.now().monotonic() - begin)
}

async fn world(change: impl FnOnce(AuthorizerBuilder) -> AuthorizerBuilder, source: Option<&Scripted>) -> World {
    let with_source = |issuer: Issuer| match source {
        Some(source) => issuer.status_source(source.clone()),
        None => issuer,
    };
    World::with(with_source, change).await
}

/// A log on a clock that says what the world's does, as long as nobody moves that by much.
fn log() -> RevocationLog {
    RevocationLog::builder().clock(ManualClock::new()).build()
}

fn follow(builder: AuthorizerBuilder) -> AuthorizerBuilder {
    builder.revocation_feed(log(), FeedPolicy::default())
}

#[tokio::test]
async fn a_header_wants_exactly_one_log_and_a_budget_that_can_be_kept_threat_32() {
    let of_issuer = |issuer: Issuer| issuer.revocation_feed(log(), FeedPolicy::default());
    let build = |feeds: usize, has_own: bool, budget: Option<Duration>| {
        let issuer = Issuer::discover("https://idp.example").audience(TokenBuilder::AUDIENCE);
        let builder = Authorizer::builder()
            .issuer(if has_own { of_issuer(issuer) } else { issuer })
            .routes(RouteTable::builder().otherwise(Unlisted::Deny).unwrap())
            .revision_header(HeaderName::from_static("at-least"));
        let builder = (0..feeds).fold(builder, |builder, _| follow(builder));
        let builder = budget.into_iter().fold(builder, AuthorizerBuilder::revision_budget);
        builder.build().map(drop).map_err(|error| error.to_string())
    };
    let feeds = |count| Err(format!("a revision is of one log, and {count} revocation feeds are followed"));
    let rows = [(0, false, feeds(0)), (1, false, Ok(())), (0, true, Ok(())), (1, true, feeds(2)), (2, false, feeds(2))];
    for (count, has_own, expected) in rows {
        assert_eq!(build(count, has_own, None), expected, "{count} {has_own}");
    }
    let bounds = |said| Err(format!("a revision budget of {said}; from a millisecond to ten seconds are accepted"));
    for (budget, expected) in [
        (Duration::ZERO, bounds("0ns")),
        (Duration::from_micros(999), bounds("999µs")),
        (Duration::from_millis(1), Ok(())),
        (Duration::from_secs(10), Ok(())),
        (Duration::from_millis(10_001), bounds("10.001s")),
    ] {
        assert_eq!(build(1, false, Some(budget)), expected, "{budget:?}");
    }
}

#[tokio::test]
async fn of_several_revisions_the_greatest_counts() {
    let log = log();
    let follow = |builder: AuthorizerBuilder| builder.revocation_feed(log.clone(), FeedPolicy::default());
    let world = world(|builder| follow(builder).revision_budget(Duration::from_millis(7)), None).await;
    log.publish(RevocationEvent::Revoked(Revocation::token_id(None, "other"))).unwrap();
    world.clock.settle().await;
    for (revisions, expected, waited) in [
        (&[][..], Ok(()), 0),
        (&[1], Ok(()), 0),
        (&[1, 0], Ok(()), 0),
        (&[2, 1], not_reached(), 7),
        (&[1, 2], not_reached(), 7),
        (&[u128::MAX], not_reached(), 7),
    ] {
        assert_eq!(check(&world, revisions).await, (expected, Duration::from_millis(waited)), "{revisions:?}");
    }
}

#[tokio::test]
async fn without_exactly_one_log_nobody_can_tell_and_the_issuer_is_asked_at_once() {
    let two = |builder| follow(follow(builder));
    let none = |builder| builder;
    assert_eq!(check(&world(none, None).await, &[0]).await, (not_reached(), Duration::ZERO));
    assert_eq!(check(&world(two, None).await, &[0]).await, (not_reached(), Duration::ZERO));
    let source = Scripted::new(Says::Active);
    for world in [world(none, Some(&source)).await, world(two, Some(&source)).await] {
        source.say(Says::Active);
        let before = source.asked();
        assert_eq!(check(&world, &[0]).await, (Ok(()), Duration::ZERO));
        source.say(Says::Inactive);
        assert_eq!(kind(&check(&world, &[0]).await.0), Err(portcullis::RejectionKind::InvalidToken));
        assert_eq!(source.asked() - before, 2, "what it said is not remembered for this");
    }
}

#[tokio::test]
async fn what_memory_does_not_know_is_a_need_and_asked_once_threat_13() {
    let claims = json!({ "active": true, "aud": TokenBuilder::AUDIENCE });
    let source = Scripted::new(Says::Describes(claims));
    let replica = Replica::new(Some(&source)).await;
    let authorizer = &replica.world.authorizer;
    let (headers, requirement) = (bearer("an-opaque-token-in-use"), Arc::new(any()));
    let mut answers = Answers::default();
    let decide = |revision: u128, answers: &Answers| {
        let input = authorizer.input(&headers, &requirement).at_least(Cursor::new(revision));
        let decision = authorizer.decide(&input, answers, authorizer.now());
        assert!(!authorizer.permits(&input, authorizer.now()) || matches!(decision, Decision::Permit(_)));
        decision
    };
    let ask = async |decision: Decision, expected: &str, answers: &mut Answers| {
        let Decision::Need(need) = decision else { panic!("{decision:?}") };
        assert_eq!(format!("{need:?}"), expected);
        let sleeps = replica.world.clock.clone();
        tokio::join!(authorizer.ask(need, answers), async {
            sleeps.settle().await;
            sleeps.advance(BUDGET);
        });
    };
    ask(decide(0, &answers), "Need(status)", &mut answers).await;
    assert!(matches!(decide(0, &answers), Decision::Permit(_)));
    // What was said before the wait is too old for whoever had to wait.
    ask(decide(1, &answers), "Need(revision)", &mut answers).await;
    ask(decide(1, &answers), "Need(status)", &mut answers).await;
    assert!(matches!(decide(1, &answers), Decision::Permit(_)));
    assert_eq!(source.asked(), 2);
}

/// A log that is there up to 10, and whose heartbeats say what the test wants.
#[derive(Debug)]
struct Beats(watch::Sender<u128>);

impl RevocationFeed for Beats {
    fn label(&self) -> String {
        "beats".to_owned()
    }

    fn snapshot(&self, _: usize) -> FeedAnswer {
        let end = *self.0.borrow();
        Box::pin(async move {
            // It can be read at all as long as it is the log that it was.
            if end < 10 { std::future::pending().await } else { Ok(FeedSnapshot::new(Vec::new(), Cursor::new(10))) }
        })
    }

    fn tail(&self, _: Cursor) -> FeedMessages {
        Box::pin(WatchStream::new(self.0.subscribe()).map(|head| Ok(FeedMessage::heartbeat(Cursor::new(head)))))
    }
}

#[tokio::test]
async fn a_log_that_begins_again_or_has_gone_on_without_us_satisfies_nobody_threat_16() {
    for head in [2, 12] {
        let heads = watch::Sender::new(10);
        let feed = Beats(heads.clone());
        let world = world(|builder| builder.revocation_feed(feed, FeedPolicy::default()), None).await;
        assert_eq!(check(&world, &[10]).await, (Ok(()), Duration::ZERO));
        // Whose positions these are, nobody knows any more.
        heads.send_replace(head);
        world.clock.settle().await;
        assert_eq!(check(&world, &[10]).await, (not_reached(), BUDGET), "{head}");
    }
}

#[test]
fn a_request_that_waits_has_the_log_followed_again_where_its_runtime_is_gone_threat_17() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let replica = runtime().block_on(Replica::new(None));
    replica.world.clock.advance(Duration::from_secs(4));
    let revision = replica.revoke("one");
    runtime().block_on(async {
        let verdict = replica.check(&replica.token("one"), Some(revision), any()).await;
        assert_eq!(kind(&verdict.0), Err(portcullis::RejectionKind::InvalidToken));
        assert_eq!(verdict.1, Duration::ZERO);
    });
}

#[test]
fn a_permit_that_demands_a_suspension_was_given_after_it_was_applied_threat_16() {
    const TURNS: u64 = 3000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let log = log();
    let follow = |builder: AuthorizerBuilder| builder.revocation_feed(log.clone(), FeedPolicy::default());
    let world = runtime.block_on(world(follow, None));
    let headers = bearer(&world.issuer.token().claim("jti", "one").build());
    let requirement = Arc::new(Requirement::authenticated());
    let about = || Revocation::token_id(Some(world.issuer.url()), "one");
    let decided = |revision| {
        let input = world.authorizer.input(&headers, &requirement).at_least(revision);
        loop {
            match world.authorizer.decide(&input, &Answers::default(), world.authorizer.now()) {
                Decision::Need(_) => std::hint::spin_loop(),
                decision => return matches!(decision, Decision::Permit(_)),
            }
        }
    };
    for turn in 0..TURNS {
        let suspended = log.publish(RevocationEvent::Suspended(about())).unwrap();
        assert!(!decided(suspended), "{turn}");
        let resumed = log.publish(RevocationEvent::Resumed(about())).unwrap();
        while !decided(resumed) {
            std::hint::spin_loop();
        }
    }
}
