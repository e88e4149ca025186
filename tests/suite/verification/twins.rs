//! Two authorizers, alike but that one keeps verified tokens → the same answer from both, whatever happens (threats 12, 13,
//! 14, 19). Time moves in steps at which no jitter shows, so that they are to agree to the letter.

mod stage;

use std::{cell::Cell, time::Duration};

use portcullis::status::OnOutage;
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use stage::{Counts, Stage};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a source says of a token.
#[derive(Clone, Copy, Debug)]
enum Say {
    Active,
    Scopes(&'static str),
    /// Active, for so many seconds from when it is first said.
    Ends(u64),
    Inactive,
    Refused,
}

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    /// So many requests, one after the other.
    Requests {
        token: usize,
        route: usize,
        count: usize,
    },
    Advance(Duration),
    Say(usize, Say),
    /// The set of keys, long enough ago that everybody has read it.
    Publishes(&'static [usize]),
    Quiet(bool),
    Tenant(bool),
    Weather(bool),
    Revoke(usize),
    Suspend(usize),
    Resume(usize),
}

/// What is configured.
#[derive(Clone, Debug)]
struct Settings {
    has_feed: bool,
    is_only_opaque: bool,
    renews_ahead: bool,
    on_outage: OnOutage,
    routes: Vec<Route>,
}

/// What a route demands.
#[derive(Clone, Copy, Debug)]
struct Route {
    /// `None`: asked for every request; zero: as the source's configuration says.
    max_age: Option<u64>,
    scopes: &'static [&'static str],
    is_elsewhere: bool,
    has_condition: bool,
    on_outage: Option<OnOutage>,
    prepared: Prepared,
}

impl Route {
    /// Any token will do.
    const fn any(max_age: Option<u64>) -> Self {
        let prepared = Prepared::ByUs;
        Self { max_age, scopes: &[], is_elsewhere: false, has_condition: false, on_outage: None, prepared }
    }
}

/// Who prepared a requirement.
#[derive(Clone, Copy, Debug)]
enum Prepared {
    ByUs,
    ByOthers,
    Changed,
    ByNobody,
}

fn settings() -> impl Strategy<Value = Settings> {
    let on_outage = || select(vec![OnOutage::Deny, OnOutage::AcceptStale(secs(130))]);
    let scopes: [&'static [&'static str]; 8] =
        [&[], &[], &[], &["read"], &["read"], &["read", "write"], &["admin"], &["none"]];
    let route = (
        select(vec![Some(0), Some(0), Some(0), Some(30), Some(70), None]),
        select(scopes.to_vec()),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.3, on_outage()),
        select(vec![Prepared::ByUs, Prepared::ByUs, Prepared::ByOthers, Prepared::Changed, Prepared::ByNobody]),
    );
    let route = route.prop_map(|(max_age, scopes, is_elsewhere, has_condition, on_outage, prepared)| Route {
        max_age,
        scopes,
        is_elsewhere,
        has_condition,
        on_outage,
        prepared,
    });
    let flags = (any::<bool>(), prop::bool::weighted(0.05), any::<bool>());
    (flags, on_outage(), prop::collection::vec(route, 3)).prop_map(|(flags, on_outage, mut routes)| {
        routes.extend([Route::any(Some(0)), Route::any(None)]);
        let (has_feed, is_only_opaque, renews_ahead) = flags;
        Settings { has_feed, is_only_opaque, renews_ahead, on_outage, routes }
    })
}

fn event() -> impl Strategy<Value = Event> {
    let token = || select(vec![0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 3, 4, 5, 6]);
    let say = select(vec![
        Say::Active,
        Say::Active,
        Say::Active,
        Say::Active,
        Say::Active,
        Say::Scopes("read"),
        Say::Scopes("write other"),
        Say::Scopes("read write admin"),
        Say::Ends(20),
        Say::Ends(40),
        Say::Ends(200),
        Say::Inactive,
        Say::Refused,
    ]);
    let keys: [&'static [usize]; 5] = [&[0, 1], &[0], &[0, 1], &[1], &[]];
    prop_oneof![
        80 => (token(), 0_usize..5, 1_usize..4).prop_map(|(token, route, count)| Event::Requests { token, route, count }),
        20 => select(vec![20, 20, 20, 20, 40, 60, 100]).prop_map(|seconds| Event::Advance(secs(seconds))),
        12 => (token(), say).prop_map(|(token, say)| Event::Say(token, say)),
        1 => select(keys.to_vec()).prop_map(Event::Publishes),
        5 => any::<bool>().prop_map(Event::Quiet),
        2 => prop::bool::weighted(0.8).prop_map(Event::Tenant),
        3 => any::<bool>().prop_map(Event::Weather),
        1 => (1_usize..4).prop_map(Event::Revoke),
        1 => (0_usize..4).prop_map(Event::Suspend),
        5 => (0_usize..4).prop_map(Event::Resume),
    ]
}

#[test]
fn whoever_keeps_verified_tokens_answers_as_whoever_keeps_none_threat_12_13_14_19() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut config = Config { failure_persistence: None, max_shrink_iters: 2048, ..Config::default() };
    config.cases = config.cases.max(256);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, b"twins: one of them has a memory.");
    let counts = Cell::new(Counts::default());
    let cases = (settings(), prop::collection::vec(event(), 0..80));
    let outcome = TestRunner::new_with_rng(config, rng).run(&cases, |(settings, events)| {
        let play = async {
            let mut stage = Stage::new(&settings).await;
            for event in &events {
                stage.play(event).await?;
            }
            Ok(stage.counts)
        };
        let played = runtime.block_on(play).map_err(|reason: String| TestCaseError::fail(reason))?;
        counts.set(counts.get() + played);
        Ok(())
    });
    if let Err(TestError::Fail(reason, case)) = outcome {
        panic!("{reason}\n{case:#?}");
    }
    let Counts { permitted, invalid, lacking, unavailable, quiet } = counts.get();
    let few = [permitted, invalid, lacking, unavailable, quiet].into_iter().min();
    assert!(few >= Some(100), "too few of some kind: {:?}", counts.get());
}
