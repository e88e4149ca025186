//! Whatever happens in whatever order: a verdict from caches is one that could have been had without them, within the
//! freshness that was declared, and never about another token, route or issuer (threats 12, 13).
//!
//! `model` says what may be answered, from what the sources would have said when; `theatre` plays events to an authorizer.

mod model;
mod theatre;

use std::{cell::Cell, time::Duration};

use model::{IssuerSettings, Route, Say, Settings, TOKENS, Trouble};
use portcullis::status::{Freshness, OnOutage};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use theatre::{Counts, Event, Theatre};

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

fn event() -> impl Strategy<Value = Event> {
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
    prop_oneof![
        60 => (token(), 0_usize..4).prop_map(|(token, route)| Event::Request { token, route }),
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

/// The same cases each time; `PROPTEST_CASES` asks for more.
fn runner() -> TestRunner {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    config.cases = config.cases.max(512);
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, b"a verdict with caches and wi/out"))
}

#[test]
fn a_verdict_from_caches_is_one_that_could_have_been_had_without_them_threat_12_13() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let counts = Cell::new(Counts::default());
    let outcome = runner().run(&(settings(), prop::collection::vec(event(), 0..120)), |(settings, events)| {
        let play = async {
            let mut theatre = Theatre::new(settings);
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
    let Counts { permitted, invalid, lacking, unavailable, questions } = counts;
    let few = [permitted, invalid, lacking, unavailable].into_iter().min();
    assert!(few >= Some(100) && questions < permitted + invalid + lacking, "too few of some kind: {counts:?}");
}
