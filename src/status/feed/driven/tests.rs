//! What goes wrong between a feed and its follower → what becomes of them, and of those who read.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use super::*;
use crate::{
    clock::UnixTime,
    status::{
        Cursor, FeedAnswer, FeedError, FeedMessage, FeedMessages, FeedSnapshot,
        RevocationEvent::{self, Revoked},
        RevocationLog,
        feed::tests::{Hand, SECOND, Snapshot, Tail, World, follow as followed, session},
    },
    testing::{ManualClock, UnreliableFeed},
};

fn unavailable(retry_after: Option<Duration>) -> FeedError {
    FeedError::Unavailable { reason: "down".to_owned(), retry_after }
}

#[tokio::test]
async fn a_silent_connection_is_given_up_and_the_tail_goes_on_where_it_was_threat_16() {
    let world = World::new().await;
    world.event(Revoked(session(0)), 10, 11).await;
    world.asked();
    world.advance(3 * SECOND).await;
    assert_eq!(world.feed.trouble().unwrap(), "nothing heard for 3s");
    world.advance(SECOND / 2).await;
    assert_eq!(world.asked(), [Tail(11)], "nothing was missed as far as anybody knows");
    assert_eq!((world.revocations.len(), world.staleness()), (1, Some(3)), "what is known is kept, and grows old");
    world.heartbeat(11).await;
    assert_eq!((world.staleness(), world.feed.trouble()), (Some(0), None));
}

#[tokio::test]
async fn a_connection_on_which_all_is_late_is_given_up_for_a_snapshot_threat_16() {
    let world = World::new().await;
    world.asked();
    let old = world.wall();
    world.advance(5 * SECOND).await;
    world.advance(SECOND).await;
    world.asked();
    for _ in 0..3 {
        world.say(Ok(FeedMessage::heartbeat(Cursor::new(10)).as_of(old))).await;
        world.advance(SECOND).await;
    }
    assert!(world.feed.trouble().unwrap().starts_with("what it says is 9s old"), "{:?}", world.feed.trouble());
    world.advance(SECOND).await;
    assert_eq!(world.asked(), [Snapshot, Tail(10)]);
}

#[tokio::test]
async fn setting_our_clock_back_makes_nothing_fresh_and_is_healed_by_a_snapshot_threat_26() {
    let world = World::new().await;
    world.hand.with(|lines| lines.snapshot = Some(Ok(FeedSnapshot::new(Vec::new(), Cursor::new(10)))));
    world.asked();
    let old = world.wall();
    for _ in 0..10 {
        world.advance(2 * SECOND).await;
        world.heartbeat(10).await;
    }
    world.advance(2 * SECOND).await;
    world.clock.step_wall_to(old);
    world.say(Ok(FeedMessage::heartbeat(Cursor::new(10)).as_of(old))).await;
    // The message was not believed, the snapshot was.
    assert_eq!((world.asked(), world.staleness()), (vec![Snapshot, Tail(10)], Some(0)));
    world.say(Ok(FeedMessage::heartbeat(Cursor::new(10)).as_of(old))).await;
    assert_eq!(world.feed.trouble(), None);
}

#[tokio::test]
async fn a_snapshot_counts_from_when_it_was_asked_for_threat_16() {
    let clock = ManualClock::new();
    let hand = Hand::default();
    hand.with(|lines| lines.snapshot = Some(Ok(FeedSnapshot::new(Vec::new(), Cursor::new(10)))));
    let network = UnreliableFeed::new(hand);
    network.hold();
    let (_, feed) = followed(network.clone(), FeedPolicy::default(), None, &clock);
    clock.settle().await;
    clock.advance(4 * SECOND);
    clock.settle().await;
    assert_eq!(feed.state(clock.now().monotonic()), FeedState::Never);
    network.release();
    feed.synced().await;
    assert_eq!(feed.staleness(clock.now().monotonic()), Some(4 * SECOND));
}

#[tokio::test]
async fn an_old_snapshot_is_as_old_as_it_says_threat_16() {
    let snapshot = FeedSnapshot::new(Vec::new(), Cursor::new(10));
    let minute_ago = ManualClock::START.saturating_sub(60 * SECOND);
    let world = World::with(FeedPolicy::default(), None, Some(Ok(snapshot.as_of(minute_ago)))).await;
    assert_eq!((world.staleness(), world.state()), (Some(61), FeedState::Stale));
}

#[tokio::test]
async fn a_feed_that_fails_is_tried_again_ever_more_rarely_threat_17() {
    let world = World::with(FeedPolicy::default(), None, Some(Err(unavailable(None)))).await;
    let mut tries = Vec::new();
    for _ in 0..240 {
        tries.push(world.asked().len());
        world.advance(SECOND / 2).await;
    }
    assert!(tries[..10].iter().sum::<usize>() >= 3, "{tries:?}");
    // Half a minute, shortened by up to half.
    let late: usize = tries[120..].iter().sum();
    assert!((1..=5).contains(&late), "{late} in the second minute");
    assert_eq!(
        (world.feed.trouble().unwrap(), world.state()),
        ("the log cannot be read: down".into(), FeedState::Never)
    );
    assert_eq!(world.staleness(), None);
}

#[tokio::test]
async fn a_log_that_says_when_to_come_back_is_left_alone_until_then_threat_17() {
    for (said, waited) in [(60, 60), (1_000_000, 300)] {
        let world = World::with(FeedPolicy::default(), None, Some(Err(unavailable(Some(said * SECOND))))).await;
        assert_eq!(world.asked(), [Snapshot]);
        for _ in 0..waited - 1 {
            world.advance(SECOND).await;
        }
        assert_eq!(world.asked(), []);
        world.advance(SECOND).await;
        assert_eq!(world.asked(), [Snapshot]);
    }
}

#[tokio::test]
async fn a_snapshot_beyond_the_bound_is_refused_whatever_the_feed_thinks_threat_20() {
    let events = vec![Revoked(session(0)), Revoked(session(1))];
    let snapshot = || Some(Ok(FeedSnapshot::new(events.clone(), Cursor::new(10))));
    let world = World::with(FeedPolicy::default().max_events(1), None, snapshot()).await;
    assert_eq!((world.revocations.len(), world.state()), (0, FeedState::Never));
    assert_eq!(world.feed.trouble().unwrap(), "a snapshot of more than 1 events");
    let world = World::with(FeedPolicy::default().max_events(2), None, snapshot()).await;
    assert_eq!((world.revocations.len(), world.state()), (2, FeedState::Synced));
}

#[tokio::test]
async fn an_adapter_that_panics_is_tried_again() {
    let world = World::new().await;
    world.hand.with(|lines| lines.panics = true);
    world.heartbeat(10).await;
    assert_eq!(world.feed.trouble().unwrap(), "the feed panicked");
    world.hand.with(|lines| lines.panics = false);
    world.advance(SECOND).await;
    world.heartbeat(10).await;
    assert_eq!((world.staleness(), world.feed.trouble()), (Some(0), None));

    // Likewise while it is asked for a snapshot.
    let (clock, hand) = (ManualClock::new(), Hand::default());
    hand.with(|lines| lines.panics = true);
    let (_, feed) = followed(hand.clone(), FeedPolicy::default(), None, &clock);
    clock.settle().await;
    assert_eq!(feed.trouble().unwrap(), "the feed panicked");
    let snapshot = FeedSnapshot::new(Vec::new(), Cursor::START);
    hand.with(|lines| (lines.panics, lines.snapshot) = (false, Some(Ok(snapshot))));
    clock.advance(SECOND);
    clock.settle().await;
    assert_eq!((feed.state(clock.now().monotonic()), feed.trouble()), (FeedState::Synced, None));
}

#[tokio::test]
async fn a_revision_is_applied_with_its_event_and_not_while_the_log_is_in_doubt_threat_16() {
    let at = Cursor::new;
    let reached = |world: &World| [9, 10, 11, 12].map(|revision| world.feed.has_applied(at(revision)));
    let hung = World::with(FeedPolicy::default(), None, None).await;
    assert!(!hung.feed.has_applied(Cursor::START), "nothing is known, not even that nothing happened");
    let world = World::new().await;
    assert_eq!(reached(&world), [true, true, false, false]);
    world.event(Revoked(session(0)), 10, 11).await;
    assert_eq!(reached(&world), [true, true, true, false]);
    world.heartbeat(11).await;
    world.advance(3 * SECOND).await;
    assert_eq!(reached(&world), [true, true, true, false], "what was applied stays so while the connection is away");
    world.advance(SECOND).await;
    // What follows is missing, and cannot be fetched.
    world.hand.with(|lines| lines.snapshot = None);
    world.event(Revoked(session(2)), 12, 13).await;
    assert_eq!(reached(&world), [false; 4]);

    // The log ends before us, and then says that it holds less.
    let world = World::new().await;
    world.hand.with(|lines| lines.snapshot = None);
    world.heartbeat(9).await;
    assert_eq!(reached(&world), [false; 4]);
    world.next_snapshot(Vec::new(), 9);
    world.advance(10 * SECOND).await;
    world.advance(SECOND).await;
    assert_eq!(reached(&world), [true, false, false, false]);
}

#[tokio::test]
async fn who_waits_for_a_revision_is_woken_by_it_however_it_arrives() {
    let world = World::new().await;
    let woken = async |revision| {
        tokio::select! {
            biased;
            () = world.feed.applied(Cursor::new(revision)) => true,
            () = world.clock.settle() => false,
        }
    };
    assert_eq!((woken(10).await, woken(11).await), (true, false));
    let (reached, beyond, ()) = tokio::join!(woken(11), woken(13), async {
        world.hand.send(Ok(FeedMessage::event(Revoked(session(0)), Cursor::new(10), Cursor::new(11))));
    });
    assert_eq!((reached, beyond), (true, false));
    world.next_snapshot(Vec::new(), 13);
    let (reached, ()) = tokio::join!(woken(13), async {
        world.hand.send(Ok(FeedMessage::heartbeat(Cursor::new(13))));
    });
    assert!(reached, "by a snapshot");
}

#[tokio::test]
async fn a_follower_ends_with_its_owner() {
    let world = World::new().await;
    let World { clock, feed, .. } = world;
    assert!(clock.sleepers() > 0);
    drop(feed);
    clock.settle().await;
    assert_eq!(clock.sleepers(), 0);
}

#[test]
fn a_feed_outlives_its_runtime_and_is_followed_again_threat_17() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime().block_on(World::new());
    assert_eq!(world.feed.trouble().unwrap(), "nobody follows the feed any more");
    world.asked();
    world.feed.tend();
    world.clock.advance(3 * SECOND);
    assert_eq!((world.staleness(), world.asked()), (Some(3), vec![]), "without a runtime nobody asks");
    runtime().block_on(async {
        world.feed.tend();
        world.clock.settle().await;
        assert_eq!(world.asked(), [Tail(10)]);
        world.heartbeat(10).await;
        assert_eq!((world.staleness(), world.feed.trouble()), (Some(0), None));
    });
    // A runtime for each request.
    for _ in 0..5 {
        runtime().block_on(async {
            world.feed.tend();
            world.clock.settle().await;
        });
    }
    assert_eq!(world.asked(), [], "too soon");
}

#[tokio::test]
async fn nothing_counts_as_known_before_all_of_a_snapshot_was_applied_threat_16() {
    const EVENTS: usize = 2000;
    let clock = ManualClock::new();
    let log = RevocationLog::builder().clock(clock.clone()).build();
    for id in 0..EVENTS {
        log.publish(Revoked(session(id))).unwrap();
    }
    let (revocations, feed) = followed(log, FeedPolicy::default(), None, &clock);
    let mut partly = 0;
    while feed.staleness(clock.now().monotonic()).is_none() {
        partly += usize::from((1..EVENTS).contains(&revocations.len()));
        tokio::task::yield_now().await;
    }
    assert_eq!(revocations.len(), EVENTS);
    assert!(partly > 1, "others have their turn meanwhile");
}

#[test]
fn what_is_proved_was_applied_before_threat_16() {
    const EVENTS: u32 = 20_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let start = ManualClock::START;
    let clock = ManualClock::new();
    // Event n was the last one n seconds after the snapshot, and it is late: all of them come at once.
    let snapshot = Ok(FeedSnapshot::new(Vec::new(), Cursor::START).as_of(start));
    clock.advance(EVENTS * SECOND);
    let hand = Hand::default();
    hand.with(|lines| lines.snapshot = Some(snapshot));
    let policy = FeedPolicy::default().max_staleness(2 * EVENTS * SECOND);
    let _entered = runtime.enter();
    let (revocations, feed) = followed(hand.clone(), policy, None, &clock);
    let now = clock.now().monotonic();
    let proved = || {
        let staleness = feed.staleness(now).map_or(u64::MAX, |staleness| staleness.as_secs());
        u64::from(EVENTS + 1).saturating_sub(staleness)
    };
    while !hand.is_connected() {
        std::hint::spin_loop();
    }
    let mut sent = 0;
    while proved() < u64::from(EVENTS) {
        if sent < EVENTS {
            sent += 1;
            let as_of = start.saturating_add(sent * SECOND);
            let (previous, cursor) = (Cursor::new(u128::from(sent - 1)), Cursor::new(u128::from(sent)));
            let event = FeedMessage::event(Revoked(session(usize::try_from(sent).unwrap())), previous, cursor);
            hand.send(Ok(event.as_of(as_of)));
        }
        for _ in 0..8 {
            let proved = proved();
            let applied = revocations.len();
            assert!(u64::try_from(applied).unwrap() >= proved, "{proved} proved, {applied} applied");
        }
    }
}

#[test]
fn a_snapshots_revision_is_reached_with_the_last_of_its_suspensions_threat_16() {
    const SUSPENSIONS: usize = 500;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let _entered = runtime.enter();
    for round in 0..30 {
        let (clock, hand) = (ManualClock::new(), Hand::default());
        let suspended = (0..SUSPENSIONS).map(|id| RevocationEvent::Suspended(session(id))).collect();
        hand.with(|lines| lines.snapshot = Some(Ok(FeedSnapshot::new(suspended, Cursor::new(10)))));
        let (revocations, feed) = followed(hand, FeedPolicy::default(), None, &clock);
        while !feed.has_applied(Cursor::new(10)) {
            std::hint::spin_loop();
        }
        assert_eq!(revocations.len(), SUSPENSIONS, "{round}");
    }
}

/// Always has a word that says nothing.
#[derive(Debug)]
struct Flood;

struct Endless;

impl futures_core::Stream for Endless {
    type Item = Result<FeedMessage, FeedError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = FeedMessage::event(Revoked(session(0)), Cursor::START, Cursor::START);
        Poll::Ready(Some(Ok(event.as_of(UnixTime::from_secs(1)))))
    }
}

impl RevocationFeed for Flood {
    fn label(&self) -> String {
        "flood".to_owned()
    }

    fn snapshot(&self, _: usize) -> FeedAnswer {
        Box::pin(async { Ok(FeedSnapshot::new(Vec::new(), Cursor::START)) })
    }

    fn tail(&self, _: Cursor) -> FeedMessages {
        Box::pin(Endless)
    }
}

#[tokio::test]
async fn a_flood_without_a_word_starves_nobody_and_counts_as_silence_threat_16() {
    let clock = ManualClock::new();
    let (_, feed) = followed(Flood, FeedPolicy::default(), None, &clock);
    clock.settle().await;
    clock.advance(3 * SECOND);
    clock.settle().await;
    assert_eq!(feed.trouble().unwrap(), "nothing heard for 3s");
}
