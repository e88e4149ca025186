//! A snapshot that comes page by page → what of it counts, and since when.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use tokio::sync::mpsc;

use super::{FeedPolicy, FeedSnapshot, Hand, SECOND, Snapshot, Tail, World, follow, session, tokens};
use crate::{
    status::{
        Cursor, FeedError, FeedMessage, FeedState,
        RevocationEvent::{self, Revoked, Suspended},
    },
    testing::{ManualClock, UnreliableFeed},
};

type Page = Result<Vec<RevocationEvent>, FeedError>;

struct Pages(mpsc::UnboundedReceiver<Page>);

impl Stream for Pages {
    type Item = Page;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Page>> {
        self.0.poll_recv(context)
    }
}

/// Whoever sends the pages, and a snapshot of them at that position.
fn pages(cursor: u128) -> (mpsc::UnboundedSender<Page>, FeedSnapshot) {
    let (sender, pages) = mpsc::unbounded_channel();
    (sender, FeedSnapshot::in_pages(Box::pin(Pages(pages)), Cursor::new(cursor)))
}

async fn world(policy: FeedPolicy) -> (World, mpsc::UnboundedSender<Page>) {
    let (sender, snapshot) = pages(10);
    (World::with(policy, None, Some(Ok(snapshot))).await, sender)
}

#[tokio::test]
async fn pages_are_applied_as_they_come_and_count_with_the_last_of_them_threat_16() {
    let token = &tokens(1).await[0];
    let (world, sender) = world(FeedPolicy::default()).await;
    sender.send(Ok(vec![Suspended(session(0)), Revoked(session(1))])).unwrap();
    world.advance(SECOND).await;
    assert_eq!((world.revocations.len(), world.state()), (1, FeedState::Never), "suspensions in one step, at the end");
    sender.send(Ok(vec![Revoked(session(2))])).unwrap();
    world.advance(SECOND).await;
    assert_eq!((world.revocations.len(), world.asked()), (2, vec![Snapshot]));
    drop(sender);
    world.clock.settle().await;
    assert!(world.revocations.is_revoked(token));
    // It is as old as the question.
    assert_eq!((world.revocations.len(), world.staleness(), world.asked()), (3, Some(2), vec![Tail(10)]));
}

#[tokio::test]
async fn a_snapshot_is_as_much_older_than_the_question_as_it_says_threat_16() {
    // Of the two ages the greater; a time is cut off, and so it may be a second more.
    for (age, as_of, expected) in [(1, None, 1), (4, None, 4), (4, Some(2), 4), (4, Some(6), 7)] {
        let snapshot = FeedSnapshot::new(Vec::new(), Cursor::new(10)).age(age * SECOND);
        let as_of = as_of.map(|ago| ManualClock::START.saturating_sub(ago * SECOND));
        let snapshot = as_of.into_iter().fold(snapshot, FeedSnapshot::as_of);
        let world = World::with(FeedPolicy::default(), None, Some(Ok(snapshot))).await;
        assert_eq!(world.staleness(), Some(expected), "{age} {as_of:?}");
    }
}

#[tokio::test]
async fn each_page_is_waited_for_and_an_empty_one_is_none_threat_17() {
    let (world, sender) = world(FeedPolicy::default()).await;
    for id in 0..3 {
        world.advance(9 * SECOND).await;
        sender.send(Ok(vec![Revoked(session(id))])).unwrap();
        world.clock.settle().await;
    }
    world.advance(9 * SECOND).await;
    sender.send(Ok(Vec::new())).unwrap();
    world.clock.settle().await;
    assert_eq!(world.feed.trouble(), None);
    world.advance(SECOND).await;
    assert_eq!(world.feed.trouble().unwrap(), "no snapshot within 10s");
    assert_eq!((world.revocations.len(), world.state()), (3, FeedState::Never));
}

/// Always has a page that says nothing.
struct Empty;

impl Stream for Empty {
    type Item = Page;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Page>> {
        Poll::Ready(Some(Ok(Vec::new())))
    }
}

#[tokio::test]
async fn empty_pages_without_end_starve_nobody_and_are_given_up_threat_17() {
    let snapshot = FeedSnapshot::in_pages(Box::pin(Empty), Cursor::new(10));
    let world = World::with(FeedPolicy::default(), None, Some(Ok(snapshot))).await;
    world.advance(10 * SECOND).await;
    assert_eq!(world.feed.trouble().unwrap(), "no snapshot within 10s");
}

#[tokio::test]
async fn the_bound_on_events_is_one_for_all_pages_threat_20() {
    let (world, sender) = world(FeedPolicy::default().max_events(3)).await;
    sender.send(Ok(vec![Revoked(session(0)), Suspended(session(1))])).unwrap();
    sender.send(Ok(vec![Revoked(session(2)), Revoked(session(3))])).unwrap();
    world.clock.settle().await;
    assert_eq!(world.feed.trouble().unwrap(), "a snapshot of more than 3 events");
    assert_eq!((world.revocations.len(), world.state()), (1, FeedState::Never));
}

#[tokio::test]
async fn pages_that_end_in_an_error_revoke_and_prove_nothing_threat_16() {
    let tokens = <[_; 3]>::try_from(tokens(3).await).unwrap();
    let world = World::new().await;
    world.event(Suspended(session(0)), 10, 11).await;
    world.advance(2 * SECOND).await;
    // A gap: the log has been seen to reach up to 13, and the copy that answers is behind that.
    let (sender, snapshot) = pages(12);
    world.hand.with(|lines| lines.snapshot = Some(Ok(snapshot)));
    world.event(Revoked(session(2)), 12, 13).await;
    world.asked();
    sender.send(Ok(vec![Revoked(session(1)), Suspended(session(2))])).unwrap();
    sender.send(Err(FeedError::Unavailable { reason: "gone".to_owned(), retry_after: None })).unwrap();
    world.clock.settle().await;
    assert_eq!(tokens.each_ref().map(|token| world.revocations.is_revoked(token)), [true, true, false]);
    assert_eq!((world.staleness(), world.feed.trouble().unwrap()), (Some(2), "the log cannot be read: gone".into()));
    // Nobody goes on from a position that was not reached.
    world.next_snapshot(vec![Suspended(session(2))], 13);
    world.advance(SECOND).await;
    assert_eq!((world.asked(), world.staleness()), (vec![Snapshot, Tail(13)], Some(0)));
    assert_eq!(tokens.each_ref().map(|token| world.revocations.is_revoked(token)), [false, true, true]);
}

#[tokio::test]
async fn a_page_goes_in_by_batches_each_of_which_has_tokens_looked_at_again_once() {
    const EVENTS: usize = 2000;
    let clock = ManualClock::new();
    let (sender, snapshot) = pages(10);
    let hand = Hand::default();
    hand.with(|lines| lines.snapshot = Some(Ok(snapshot)));
    let (revocations, feed) = follow(hand, FeedPolicy::default(), None, &clock);
    let before = revocations.generation();
    sender.send(Ok((0..EVENTS).map(|id| Revoked(session(id))).collect())).unwrap();
    drop(sender);
    let mut seen = Vec::new();
    while feed.staleness(clock.now().monotonic()).is_none() {
        seen.push(revocations.len());
        tokio::task::yield_now().await;
    }
    seen.dedup();
    assert_eq!(seen, [0, 256, 512, 768, 1024, 1280, 1536, 1792, 2000]);
    assert_eq!(revocations.generation() - before, 8);
    // Said again, it changes nothing, and nobody looks again.
    let again: Vec<_> = (0..EVENTS).map(session).collect();
    revocations.revoke_all(&again);
    assert_eq!(revocations.generation() - before, 8);
}

#[tokio::test]
async fn pages_cross_a_bad_network_and_are_lost_with_their_connection_threat_16() {
    let clock = ManualClock::new();
    let (sender, snapshot) = pages(10);
    let hand = Hand::default();
    hand.with(|lines| lines.snapshot = Some(Ok(snapshot)));
    for id in 0..2 {
        sender.send(Ok(vec![Revoked(session(id))])).unwrap();
    }
    drop(sender);
    let network = UnreliableFeed::new(hand);
    let (revocations, feed) = follow(network.clone(), FeedPolicy::default(), None, &clock);
    while revocations.is_empty() {
        tokio::task::yield_now().await;
    }
    network.hold();
    clock.settle().await;
    assert_eq!(revocations.len(), 1);
    network.disconnect();
    network.release();
    clock.settle().await;
    assert_eq!(feed.trouble().unwrap(), "the log cannot be read: connection lost");
    assert_eq!((revocations.len(), feed.state(clock.now().monotonic())), (1, FeedState::Never));
    network.repeat_snapshots(true);
    clock.advance(SECOND);
    feed.synced().await;
    assert_eq!(revocations.len(), 2);
}

#[tokio::test]
async fn a_message_is_as_old_as_the_adapter_says_or_its_time_threat_16() {
    const MILLISECOND: Duration = Duration::from_millis(1);
    let world = World::new().await;
    let staleness = || world.feed.staleness(world.clock.now().monotonic());
    let heartbeat = || FeedMessage::heartbeat(Cursor::new(10));
    world.advance(3 * SECOND / 2).await;
    world.say(Ok(heartbeat().age(7 * MILLISECOND))).await;
    assert_eq!(staleness(), Some(7 * MILLISECOND), "nothing is rounded");
    world.advance(SECOND).await;
    world.say(Ok(FeedMessage::event(Revoked(session(0)), Cursor::new(10), Cursor::new(11)).age(MILLISECOND))).await;
    assert_eq!(staleness(), Some(MILLISECOND));
    let heartbeat = || FeedMessage::heartbeat(Cursor::new(11));
    world.advance(2 * SECOND).await;
    // By the second that its time is cut off from, it may be one second old.
    world.say(Ok(heartbeat().as_of(world.wall()).age(2 * MILLISECOND))).await;
    assert!(staleness().unwrap() >= SECOND, "{:?}", staleness());
    world.advance(SECOND).await;
    world.say(Ok(heartbeat().as_of(world.wall()).age(2 * SECOND))).await;
    assert_eq!(staleness(), Some(2 * SECOND));
}

#[tokio::test]
async fn messages_that_say_themselves_that_they_are_late_are_no_clock_that_was_set_threat_16() {
    let world = World::new().await;
    world.asked();
    for _ in 0..2 {
        world.advance(SECOND).await;
        world.say(Ok(FeedMessage::heartbeat(Cursor::new(10)).as_of(world.wall()).age(9 * SECOND))).await;
        assert_eq!((world.asked(), world.feed.trouble()), (vec![], None), "a snapshot would tell nothing new");
    }
    world.advance(SECOND).await;
    assert_eq!(world.asked(), [Snapshot, Tail(10)], "given up as silence is");
}
