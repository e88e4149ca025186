//! Whatever happens in whatever order: a verdict from caches is one that could have been had without them, within the
//! freshness that was declared, and never about another token, route or issuer (threats 12, 13).
//!
//! `model` says what may be answered, from what the sources would have said when; `theatre` plays events to an authorizer.

mod model;
mod sources;
mod store;
mod theatre;

use std::{cell::Cell, time::Duration};

use model::{IssuerSettings, Route, Say, Settings, TOKENS, Trouble};
use portcullis::{
    redis::{Redis, SharedRecords},
    status::{Freshness, OnOutage},
    testing::{ManualClock, SharedMemory, StoreFault},
};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use theatre::{Counts, Event, Theatre};

use crate::redis::server::RedisServer;

fn secs(all: &[u64]) -> impl Strategy<Value = Duration> + use<> {
    select(all.to_vec()).prop_map(Duration::from_secs)
}

fn on_outage() -> impl Strategy<Value = OnOutage> {
    prop_oneof![Just(OnOutage::Deny), secs(&[3, 60]).prop_map(OnOutage::AcceptStale)]
}

fn settings() -> impl Strategy<Value = Settings> {
    let issuer =
        (secs(&[0, 5, 60]), secs(&[0, 2, 10]), any::<bool>(), on_outage(), secs(&[0, 20]), select(vec![1, 64]));
    let issuer = issuer.prop_map(|(max_age, negative_max_age, renews_ahead, on_outage, leeway, concurrency)| {
        IssuerSettings { max_age, negative_max_age, renews_ahead, on_outage, leeway, concurrency }
    });
    let freshness = prop_oneof![
        2 => Just(Freshness::Cached),
        1 => secs(&[1, 10]).prop_map(Freshness::MaxAge),
        1 => Just(Freshness::EveryRequest)
    ];
    let scope = select(vec![None, Some("read"), Some("write")]);
    let route = (freshness, scope, prop::bool::weighted(0.25), prop::option::weighted(0.25, on_outage()));
    let route = route.prop_map(|(freshness, scope, is_elsewhere, on_outage)| Route {
        freshness,
        scope,
        is_elsewhere,
        on_outage,
    });
    let token_cache = select(vec![0, 1024 * 1024]);
    (prop::collection::vec(issuer, 2), prop::collection::vec(route, 4), token_cache)
        .prop_map(|(issuers, routes, token_cache)| Settings { issuers, routes, token_cache })
}

fn event(replicas: usize) -> impl Strategy<Value = Event> {
    // Some tokens are hotter than others, so that much happens to them.
    let token = || select(vec![0, 0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 7]);
    let issuer = || 0_usize..2;
    let say = prop_oneof![
        3 => Just(Say::Inactive),
        3 => Just(Say::Active),
        4 => (0_u8..8).prop_map(Say::Scopes),
        1 => select(vec![10, 40]).prop_map(Say::Ends),
        1 => Just(Say::Other),
        1 => Just(Say::Refused),
    ];
    let trouble = select(vec![Trouble::Unreachable, Trouble::Later, Trouble::Malformed]);
    let replica = move || 0..replicas;
    let request = (replica(), token(), 0_usize..4);
    prop_oneof![
        60 => request.prop_map(|(replica, token, route)| Event::Request { replica, token, route }),
        25 => select(vec![10, 60, 500, 1000, 2000, 4000, 15_000])
            .prop_map(|millis| Event::Advance(Duration::from_millis(millis))),
        25 => (token(), say).prop_map(|(token, say)| Event::Say(token, say)),
        2 => (issuer(), trouble).prop_map(|(issuer, trouble)| Event::Fails(issuer, trouble)),
        5 => issuer().prop_map(Event::Heals),
        8 => issuer().prop_map(Event::Holds),
        10 => issuer().prop_map(Event::Releases),
        1 => token().prop_map(Event::Revoke),
        1 => token().prop_map(Event::RevokeSubject),
        2 => token().prop_map(Event::Suspend),
        4 => token().prop_map(Event::Resume),
    ]
}

/// The same at two replicas, and what happens to them and between them.
fn event_of_two() -> impl Strategy<Value = Event> {
    let fault = select(vec![StoreFault::Fails, StoreFault::Hangs, StoreFault::HangsAfterwards]);
    prop_oneof![
        60 => event(2),
        1 => (0_usize..2, 0_usize..8).prop_map(|(replica, token)| Event::RevokeAt(replica, token)),
        2 => (0_usize..2).prop_map(Event::Restart),
        1 => fault.prop_map(Event::StoreFails),
        3 => Just(Event::StoreHeals),
    ]
}

/// The same cases each time; `PROPTEST_CASES` asks for more.
fn runner(least: u32) -> TestRunner {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    config.cases = config.cases.max(least);
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, b"a verdict with caches and wi/out"))
}

/// Plays random events, and adds up what came of them.
fn play(
    runtime: &tokio::runtime::Runtime,
    least: u32,
    events: impl Strategy<Value = Event>,
    theatre: impl Fn(Settings) -> Theatre,
) -> Counts {
    let counts = Cell::new(Counts::default());
    let outcome = runner(least).run(&(settings(), prop::collection::vec(events, 0..120)), |(settings, events)| {
        let play = async {
            let mut theatre = theatre(settings);
            for event in events {
                theatre.play(event).await?;
            }
            theatre.end().await
        };
        let played = runtime.block_on(play).map_err(TestCaseError::fail)?;
        counts.set(counts.get() + played);
        Ok(())
    });
    if let Err(TestError::Fail(reason, case)) = outcome {
        panic!("{reason}\n{case:#?}");
    }
    let counts = counts.get();
    println!("{counts:?} for {} tokens", TOKENS.len());
    counts
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Whether every kind of answer was given often enough, and not each by asking.
#[track_caller]
fn assert_many(counts: Counts) {
    let Counts { permitted, invalid, lacking, unavailable, questions } = counts;
    let few = [permitted, invalid, lacking, unavailable].into_iter().min();
    let answers = permitted + invalid + lacking + unavailable;
    assert!(few >= Some(50) && questions < answers, "too few of some kind: {counts:?}");
}

#[test]
fn a_verdict_from_caches_is_one_that_could_have_been_had_without_them_threat_12_13() {
    assert_many(play(&runtime(), 512, event(1), Theatre::new));
}

#[test]
fn a_verdict_with_a_shared_level_is_one_that_could_have_been_had_without_it_threat_12_13() {
    assert_many(play(&runtime(), 256, event_of_two(), |settings| {
        let clock = ManualClock::new();
        Theatre::shared(settings, clock.clone(), SharedMemory::new(clock), 0)
    }));
}

#[test]
fn a_verdict_with_redis_in_between_is_one_that_could_have_been_had_without_it_threat_12_13() {
    let runtime = runtime();
    let Some(server) = runtime.block_on(RedisServer::start()) else { return };
    let (redis, cases) = (Redis::at(&server.url()).unwrap().build().unwrap(), Cell::new(0_u64));
    let records = SharedRecords::new(&redis);
    assert_many(play(&runtime, 256, event_of_two(), |settings| {
        let clock = ManualClock::new();
        // A secret for each case: what another one left there is not there.
        cases.set(cases.get() + 1);
        Theatre::shared(settings, clock.clone(), records.clone().timed_by(clock), cases.get())
    }));
}
