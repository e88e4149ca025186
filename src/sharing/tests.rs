//! Replicas around one store, and what goes wrong with it → who asks, who is told, and how old that is.

use std::sync::Arc;

use super::*;
use crate::{
    crypto::Sha256,
    testing::{ManualClock, SharedMemory, StoreFault},
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const SETTINGS: SharingSettings =
    SharingSettings { lease: Duration::from_millis(500), timeout: Duration::from_millis(50) };

struct World {
    clock: ManualClock,
    store: SharedMemory,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new();
        Self { store: SharedMemory::new(clock.clone()), clock }
    }

    fn replica(&self) -> Arc<Sharing> {
        self.replica_of("a secret of the replicas, 32 byte", &self.clock)
    }

    fn replica_of(&self, secret: &str, clock: &ManualClock) -> Arc<Sharing> {
        let secret = SharedSecret::new(secret).unwrap();
        let purpose = Sha256::new().piece(b"a test");
        let (store, clock) = (Arc::new(self.store.clone()), Arc::new(clock.clone()));
        Arc::new(Sharing::new("the test", store, (&secret, purpose), clock, SETTINGS).unwrap())
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.clock.settle().await;
    }

    /// The record that is there, and its name.
    fn record(&self) -> (String, SharedRecord) {
        let mut records = self.store.records();
        assert_eq!(records.len(), 1);
        records.remove(0)
    }
}

fn within(max_age: Duration) -> Wanted {
    Wanted { max_age, unlike: None, patience: SECOND / 2 }
}

/// What somebody is told who takes anything, and how old it is; `None` where they asked themselves and shared nothing.
async fn told(world: &World, sharing: &Sharing, max_age: Duration) -> Option<(Vec<u8>, Duration)> {
    let told = match sharing.find(b"x", within(max_age), |told| told.before <= max_age).await {
        Found::Told(told) => Some((told.content, told.age)),
        Found::Ask(_) => None,
    };
    world.clock.settle().await;
    told
}

/// Asks, whoever else may know, and is told that.
async fn share(world: &World, sharing: &Sharing, content: &[u8], rank: Rank) {
    match sharing.find(b"x", within(Duration::ZERO), |_| false).await {
        Found::Ask(asking) => asking.share(content, rank, 60 * SECOND),
        Found::Told(_) => panic!("it would not do"),
    }
    world.clock.settle().await;
}

/// The same, without a look at what others were told.
async fn share_afresh(world: &World, sharing: &Sharing, content: &[u8], rank: Rank) {
    sharing.afresh(b"x").share(content, rank, 60 * SECOND);
    world.clock.settle().await;
}

#[tokio::test]
async fn what_one_was_told_the_other_is_told_with_its_age_threat_14() {
    let world = World::new();
    let [one, other] = [world.replica(), world.replica()];
    for ask_afresh in [false, true] {
        let content = [u8::from(ask_afresh)];
        if ask_afresh {
            share_afresh(&world, &one, &content, Rank::Positive).await;
        } else {
            share(&world, &one, &content, Rank::Positive).await;
        }
        for age in [0, 3, 5] {
            assert_eq!(told(&world, &other, SECOND * 5).await, Some((content.to_vec(), SECOND * age)), "{ask_afresh}");
            world.advance(if age == 0 { SECOND * 3 } else { SECOND * 2 }).await;
        }
        assert_eq!(told(&world, &other, SECOND * 5).await, None, "seven seconds old");
    }
}

#[tokio::test]
async fn an_age_counts_from_before_the_question_was_sent_threat_14() {
    let world = World::new();
    let [one, other] = [world.replica(), world.replica()];
    let Found::Ask(asking) = one.find(b"x", within(SECOND), |_| true).await else { panic!() };
    let afresh = one.afresh(b"x");
    world.advance(SECOND * 4).await;
    asking.share(b"a", Rank::Positive, SECOND * 60);
    world.clock.settle().await;
    assert_eq!(told(&world, &other, SECOND * 9).await, Some((b"a".to_vec(), SECOND * 4)));
    afresh.share(b"b", Rank::Positive, SECOND * 60);
    world.clock.settle().await;
    assert_eq!(told(&world, &other, SECOND * 9).await, Some((b"b".to_vec(), SECOND * 4)));
}

#[tokio::test]
async fn what_an_answer_of_the_store_takes_to_arrive_is_part_of_the_age_threat_14() {
    /// Whose answers are long on their way.
    #[derive(Debug)]
    struct Far(SharedMemory, ManualClock);
    impl SharedStore for Far {
        fn look(&self, name: &str, look: Look) -> StoreAnswer<Seen> {
            let (looked, arrival) = (self.0.look(name, look), crate::clock::Clock::sleep(&self.1, MILLISECOND * 40));
            Box::pin(async {
                arrival.await;
                looked.await
            })
        }
        fn put(&self, name: &str, record: SharedRecord, holder: Option<&str>) -> StoreAnswer<()> {
            self.0.put(name, record, holder)
        }
        fn forget(&self, name: &str, asked_at: Option<Duration>, holder: Option<&str>) -> StoreAnswer<()> {
            self.0.forget(name, asked_at, holder)
        }
    }
    let world = World::new();
    share(&world, &world.replica(), b"a", Rank::Positive).await;
    let (secret, clock) = (SharedSecret::new("a secret of the replicas, 32 byte").unwrap(), world.clock.clone());
    let far = Arc::new(Far(world.store.clone(), clock.clone()));
    let purpose = Sha256::new().piece(b"a test");
    let sharing = Sharing::new("x", far, (&secret, purpose), Arc::new(clock), SETTINGS).unwrap();
    world.advance(SECOND).await;
    let (told, ()) = tokio::join!(told(&world, &sharing, SECOND), async {
        world.clock.settle().await;
        world.advance(MILLISECOND * 40).await;
    });
    // It was young enough when somebody wanted to know.
    assert_eq!(told, Some((b"a".to_vec(), MILLISECOND * 1040)));
}

#[tokio::test]
async fn one_asks_and_the_others_are_told_threat_22() {
    let world = World::new();
    let world = &world;
    let replicas: Vec<_> = (0..50).map(|_| world.replica()).collect();
    let Found::Ask(asking) = replicas[0].find(b"x", within(SECOND), |_| true).await else { panic!() };
    let others = replicas[1..].iter().map(|replica| told(world, replica, SECOND));
    let (answers, ()) = tokio::join!(futures_util::future::join_all(others), async {
        world.clock.settle().await;
        asking.share(b"told", Rank::Positive, SECOND * 60);
        for _ in 0..20 {
            world.advance(MILLISECOND * 10).await;
        }
    });
    assert!(answers.iter().all(|answer| answer.as_ref().is_some_and(|(content, _)| content == b"told")), "{answers:?}");
    // As long as they waited, it may have been asked for before they came.
    assert!(answers.iter().flatten().all(|(_, age)| *age <= MILLISECOND * 200));
}

/// How long somebody waits who finds that another one asks.
async fn waits(world: &World, replica: &Arc<Sharing>, patience: Duration) -> Duration {
    let (replica, since) = (Arc::clone(replica), world.clock.now().monotonic());
    let wanted = Wanted { patience, ..within(SECOND) };
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move {
        drop(replica.find(b"x", wanted, |_| true).await);
    });
    while waiting.try_join_next().is_none() {
        world.clock.settle().await;
        world.clock.advance(MILLISECOND * 5);
        assert!(world.clock.now().monotonic() - since < SECOND * 5, "for ever");
        world.clock.settle().await;
    }
    world.clock.now().monotonic() - since
}

#[tokio::test]
async fn the_end_of_whoever_asks_costs_the_lease_and_its_failure_nothing_threat_17() {
    let world = World::new();
    let [replica, other] = [world.replica(), world.replica()];
    let Found::Ask(asking) = replica.find(b"x", within(SECOND), |_| true).await else { panic!() };
    // The process is gone.
    std::mem::forget(asking);
    let waited = waits(&world, &other, SECOND * 2).await;
    assert!((SETTINGS.lease..SETTINGS.lease + MILLISECOND * 60).contains(&waited), "{waited:?}");
    world.clock.settle().await;
    let Found::Ask(asking) = replica.find(b"x", within(SECOND), |_| true).await else { panic!() };
    drop(asking);
    world.clock.settle().await;
    assert!(waits(&world, &other, SECOND * 2).await <= MILLISECOND * 10, "it was the next one's turn");
}

#[tokio::test]
async fn nobody_waits_longer_than_their_patience_threat_17() {
    let world = World::new();
    let [replica, other] = [world.replica(), world.replica()];
    let Found::Ask(_asking) = replica.find(b"x", within(SECOND), |_| true).await else { panic!() };
    let waited = waits(&world, &other, MILLISECOND * 100).await;
    assert!((MILLISECOND * 100..MILLISECOND * 160).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_store_in_trouble_costs_one_use_of_it_a_second_and_no_answer_threat_17() {
    for fault in [StoreFault::Fails, StoreFault::Hangs, StoreFault::HangsAfterwards, StoreFault::Panics] {
        let world = World::new();
        let [one, other] = [world.replica(), world.replica()];
        share(&world, &one, b"a", Rank::Positive).await;
        world.store.fault(Some(fault));
        let used = world.store.used();
        let (asked, ()) = tokio::join!(told(&world, &other, SECOND * 9), async {
            world.clock.settle().await;
            world.advance(SETTINGS.timeout).await;
        });
        assert_eq!(asked, None, "{fault:?}");
        for _ in 0..9 {
            assert!(told(&world, &other, SECOND * 9).await.is_none());
            share_afresh(&world, &other, b"b", Rank::Positive).await;
            world.advance(SECOND / 10).await;
        }
        assert_eq!(world.store.used(), used + 1, "{fault:?}");
        world.store.fault(None);
        world.advance(SECOND / 5).await;
        assert!(told(&world, &other, SECOND * 9).await.is_some(), "{fault:?}");
    }
}

#[tokio::test]
async fn the_later_question_counts_whichever_answer_comes_last_threat_15() {
    let world = World::new();
    let [one, other] = [world.replica(), world.replica()];
    let early = [one.afresh(b"x"), one.afresh(b"x")];
    let Found::Ask(leased) = one.find(b"x", within(SECOND), |_| true).await else { panic!() };
    world.advance(MILLISECOND).await;
    share_afresh(&world, &other, b"withdrawn", Rank::Negative).await;
    for late in early.into_iter().chain([leased]) {
        late.share(b"stands", Rank::Positive, SECOND * 60);
        world.clock.settle().await;
        assert_eq!(told(&world, &one, SECOND).await.unwrap().0, b"withdrawn");
    }
    world.advance(MILLISECOND).await;
    share_afresh(&world, &one, b"stands again", Rank::Positive).await;
    assert_eq!(told(&world, &other, SECOND).await.unwrap().0, b"stands again");
}

#[tokio::test]
async fn whoever_writes_to_the_store_can_make_nobody_believe_anything_threat_12() {
    let world = World::new();
    let [one, other] = [world.replica(), world.replica()];
    share(&world, &one, b"stands", Rank::Positive).await;
    let (name, record) = world.record();
    world.advance(SECOND * 3).await;
    let forged = |asked_at, rank, sealed: Vec<u8>| SharedRecord::new(asked_at, rank, sealed.into());
    let sealed = record.sealed().to_vec();
    let mut flipped = sealed.clone();
    flipped[20] ^= 1;
    for (what, forged) in [
        ("younger", forged(record.asked_at() + SECOND, record.rank(), sealed.clone())),
        ("of another rank", forged(record.asked_at(), Rank::Negative, sealed.clone())),
        ("flipped", forged(record.asked_at(), record.rank(), flipped)),
        ("short", forged(record.asked_at(), record.rank(), sealed[..10].to_vec())),
        ("empty", forged(record.asked_at(), record.rank(), Vec::new())),
    ] {
        world.store.overwrite(&name, forged);
        assert_eq!(told(&world, &other, SECOND * 9).await, None, "{what}");
        world.clock.settle().await;
    }
    world.store.overwrite(&name, record.clone());
    assert_eq!(told(&world, &other, SECOND * 9).await, Some((b"stands".to_vec(), SECOND * 3)));
    let stranger = world.replica_of("another secret of others, 32 byte", &world.clock);
    assert_eq!(told(&world, &stranger, SECOND * 9).await, None);
    world.clock.settle().await;
    // What is of one name, shown under another.
    let Found::Ask(asking) = one.find(b"y", within(SECOND), |_| true).await else { panic!() };
    asking.share(b"of y", Rank::Positive, SECOND * 60);
    world.clock.settle().await;
    let of_y = world.store.records().into_iter().find(|(of, _)| *of != name).unwrap().1;
    world.store.overwrite(&name, of_y);
    assert_eq!(told(&world, &other, SECOND * 9).await, None);
}

#[tokio::test]
async fn a_store_whose_clock_is_set_makes_nothing_much_younger_threat_26() {
    for (back, shown) in [(3, 10), (10, 10), (12, 10), (0, 11), (1, 10)] {
        let world = World::new();
        let [one, other] = [world.replica(), world.replica()];
        share(&world, &one, b"a", Rank::Positive).await;
        world.advance(SECOND * 11).await;
        world.store.step(SECOND * back, Duration::ZERO);
        // One that would be of tomorrow is of no use to anybody, and goes.
        let expected = (back < 12).then(|| (b"a".to_vec(), SECOND * shown));
        assert_eq!(told(&world, &other, SECOND * 20).await, expected, "{back}");
        assert_eq!(told(&world, &other, SECOND * 9).await, None, "{back}");
        world.clock.settle().await;
        share(&world, &one, b"b", Rank::Positive).await;
        assert_eq!(told(&world, &other, SECOND).await, Some((b"b".to_vec(), Duration::ZERO)), "{back}");
        world.store.step(Duration::ZERO, SECOND * 5);
        assert_eq!(told(&world, &other, SECOND * 4).await, None, "it looks older: that costs a question");
    }
}

#[tokio::test]
async fn a_replica_whose_clock_is_ahead_asks_more_and_one_behind_believes_no_more_threat_26() {
    let world = World::new();
    let one = world.replica();
    share(&world, &one, b"a", Rank::Positive).await;
    world.advance(SECOND * 5).await;
    for (ahead, age) in [(20, 24), (1, 5), (-20, 5)] {
        let clock = ManualClock::new();
        clock.advance(SECOND * 5);
        let start = ManualClock::START.as_secs() + 5;
        clock.step_wall_to(crate::clock::UnixTime::from_secs(start.saturating_add_signed(ahead)));
        let other = world.replica_of("a secret of the replicas, 32 byte", &clock);
        assert_eq!(told(&world, &other, SECOND * 60).await, Some((b"a".to_vec(), SECOND * age)), "{ahead}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_shared_and_keeps_nobody_waiting_threat_21() {
    let world = World::new();
    let [one, other] = [world.replica(), world.replica()];
    share(&world, &one, &[7; 16 * 1024 + 1], Rank::Positive).await;
    share_afresh(&world, &one, &[7; 16 * 1024 + 1], Rank::Positive).await;
    assert!(world.store.records().is_empty());
    let Found::Ask(_) = other.find(b"x", Wanted { patience: SECOND * 9, ..within(SECOND) }, |_| true).await else {
        panic!()
    };
    world.clock.settle().await;
    share(&world, &one, &[7; 16 * 1024], Rank::Positive).await;
    assert_eq!(world.store.records().len(), 1);
    assert_eq!(world.record().1.kept_for(), SECOND * 60);
}

#[tokio::test]
async fn a_store_that_shows_what_nobody_wants_is_not_asked_without_pause_threat_17() {
    /// Shows the same whatever is looked for.
    #[derive(Debug)]
    struct Stubborn(SharedMemory, SharedRecord);
    impl SharedStore for Stubborn {
        fn look(&self, name: &str, look: Look) -> StoreAnswer<Seen> {
            let (looked, record) = (self.0.look(name, look), self.1.clone());
            Box::pin(async { looked.await.map(|seen| Seen::new(seen.now, Some(record), false)) })
        }
        fn put(&self, _: &str, _: SharedRecord, _: Option<&str>) -> StoreAnswer<()> {
            Box::pin(async { Ok(()) })
        }
        fn forget(&self, _: &str, _: Option<Duration>, _: Option<&str>) -> StoreAnswer<()> {
            Box::pin(async { Ok(()) })
        }
    }
    let world = World::new();
    share(&world, &world.replica(), b"a", Rank::Positive).await;
    let store = Arc::new(Stubborn(world.store.clone(), world.record().1));
    let secret = SharedSecret::new([1; 32]).unwrap();
    let sharing = Sharing::new("x", store, (&secret, Sha256::new()), Arc::new(world.clock.clone()), SETTINGS).unwrap();
    let used = world.store.used();
    let (asked, ()) = tokio::join!(told(&world, &sharing, SECOND), async {
        world.clock.settle().await;
        assert_eq!(world.store.used(), used + 2);
        for _ in 0..120 {
            world.advance(MILLISECOND * 5).await;
        }
    });
    assert_eq!(asked, None);
    assert!(world.store.used() < used + 30, "{}", world.store.used());
}
