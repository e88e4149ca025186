//! Whatever is done to records in whatever order: Redis does what a store in memory does.

use std::{cell::Cell, time::Duration};

use portcullis::{
    redis::{Redis, SharedRecords},
    sharing::{Look, Rank, SharedRecord, SharedStore},
    testing::{ManualClock, SharedMemory},
};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};

use super::server::RedisServer;

#[derive(Clone, Debug)]
enum Step {
    Advance(Duration),
    Put { name: u8, asked_at: i64, rank: Rank, holder: Option<&'static str>, says: u8 },
    Look { name: u8, max_age: Duration, but_not: Option<i64>, lease: Option<&'static str> },
    Forget { name: u8, asked_at: Option<i64>, holder: Option<&'static str> },
}

/// How far the clock of the store in memory is ahead.
const AHEAD: Duration = Duration::from_secs(1_000_000);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let millis = |all: &[u64]| select(all.to_vec()).prop_map(Duration::from_millis);
    // Milliseconds before and after now: some are of a time to come.
    let at = || select(vec![-3000_i64, -2000, -1000, -1, 0, 0, 1000]);
    let holder = || select(vec!["one", "other"]);
    let rank = select(vec![Rank::Positive, Rank::Negative]);
    let step = prop_oneof![
        3 => millis(&[1, 400, 1000, 2000]).prop_map(Step::Advance),
        6 => (0_u8..2, at(), rank, prop::option::of(holder()), any::<u8>())
            .prop_map(|(name, asked_at, rank, holder, says)| Step::Put { name, asked_at, rank, holder, says }),
        8 => (0_u8..2, millis(&[0, 1000, 2000, 60_000]), prop::option::weighted(0.3, at()), prop::option::of(holder()))
            .prop_map(|(name, max_age, but_not, lease)| Step::Look { name, max_age, but_not, lease }),
        2 => (0_u8..2, prop::option::of(at()), prop::option::of(holder()))
            .prop_map(|(name, asked_at, holder)| Step::Forget { name, asked_at, holder }),
    ];
    prop::collection::vec(step, 0..40)
}

/// What a look came to, by the clock of whoever looks.
type Looked = (Duration, Option<(Duration, Rank, Vec<u8>)>, bool);

async fn played(store: &impl SharedStore, names: &str, step: &Step, now: Duration, ahead: Duration) -> Option<Looked> {
    let name = |name: &u8| format!("{names} {name}");
    let at = |millis: &i64| {
        let by = Duration::from_millis(millis.unsigned_abs());
        if *millis < 0 { now + ahead - by } else { now + ahead + by }
    };
    match step {
        Step::Advance(_) => None,
        Step::Put { name: of, asked_at, rank, holder, says } => {
            let record = SharedRecord::new(at(asked_at), *rank, vec![*says, b'\r', 0, 0xff].into());
            store.put(&name(of), record.keep_for(Duration::from_secs(600)), *holder).await.unwrap();
            None
        }
        Step::Look { name: of, max_age, but_not, lease } => {
            let mut look = Look::new(*max_age);
            if let Some(but_not) = but_not {
                look = look.but_not(at(but_not));
            }
            if let Some(holder) = lease {
                look = look.or_lease(holder, Duration::from_millis(900));
            }
            let seen = store.look(&name(of), look).await.unwrap();
            let record =
                seen.record().map(|record| (record.asked_at() - ahead, record.rank(), record.sealed().to_vec()));
            Some((seen.now() - ahead, record, seen.is_leased()))
        }
        Step::Forget { name: of, asked_at, holder } => {
            store.forget(&name(of), asked_at.as_ref().map(at), *holder).await.unwrap();
            None
        }
    }
}

#[test]
fn redis_does_what_a_store_in_memory_does_threat_15() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(server) = runtime.block_on(RedisServer::start()) else { return };
    let records = SharedRecords::new(&Redis::at(&server.url()).unwrap().build().unwrap());
    let cases = Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 256, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&steps(), |steps| {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(60));
        let (memory, redis) = (SharedMemory::new(clock.clone()), records.clone().timed_by(clock.clone()));
        cases.set(cases.get() + 1);
        let names = format!("case {}", cases.get());
        for step in &steps {
            if let Step::Advance(by) = step {
                clock.advance(*by);
            }
            let now = clock.now().monotonic();
            let (expected, found) = runtime.block_on(async {
                let expected = played(&memory, &names, step, now, AHEAD).await;
                (expected, played(&redis, &names, step, now, Duration::ZERO).await)
            });
            prop_assert_eq!(expected, found, "{:?}", step);
        }
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn by_its_own_clock_redis_tells_the_time_and_ends_a_lease() {
    let Some(server) = RedisServer::start().await else { return };
    let records = SharedRecords::new(&Redis::at(&server.url()).unwrap().build().unwrap());
    let second = Duration::from_secs(1);
    let look = |holder: &str, length| records.look("a", Look::new(second).or_lease(holder, length));
    let seen = look("one", second / 50).await.unwrap();
    let shown: Vec<u64> = server.cli(&["TIME"]).lines().map(|number| number.parse().unwrap()).collect();
    let shown = Duration::from_secs(shown[0]) + Duration::from_micros(shown[1]);
    assert!(seen.is_leased() && seen.now() <= shown && shown - seen.now() < 30 * second, "{seen:?}");
    crate::process::within("the end of the lease", async {
        while !look("other", 60 * second).await.unwrap().is_leased() {}
    })
    .await;
    assert!(!look("third", 60 * second).await.unwrap().is_leased());
    let record = SharedRecord::new(seen.now(), Rank::Positive, vec![7].into()).keep_for(60 * second);
    records.put("a", record.clone(), Some("other")).await.unwrap();
    let found = records.look("a", Look::new(60 * second)).await.unwrap();
    assert_eq!(found.record(), Some(&record.keep_for(Duration::ZERO)));
}
