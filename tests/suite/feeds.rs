//! Revocation feeds through their door: the log in process, and the bad network that adapters are tested with.

use std::{pin::Pin, time::Duration};

use portcullis::{
    status::{
        Cursor, FeedAnswer, FeedError, FeedMessage, FeedMessages, LogFull, Revocation, RevocationEvent, RevocationFeed,
        RevocationLog,
    },
    testing::{ManualClock, MessageFault, UnreliableFeed},
};
use tokio_stream::{Stream, StreamExt};

const SECOND: Duration = Duration::from_secs(1);

fn revoked(id: u32) -> RevocationEvent {
    RevocationEvent::Revoked(about(id))
}

/// As the log hands it on: decided when the tests begin.
fn about(id: u32) -> Revocation {
    Revocation::session(Some("https://idp.example"), &format!("s-{id}")).revoked_at(ManualClock::START)
}

fn at(position: u128) -> Cursor {
    Cursor::new(position)
}

/// The event with that number, which is also its session's.
fn event(number: u32) -> FeedMessage {
    FeedMessage::event(revoked(number), at(u128::from(number) - 1), at(number.into()))
}

fn log() -> (ManualClock, RevocationLog) {
    let clock = ManualClock::new();
    let log = RevocationLog::builder().clock(clock.clone()).kept_events(3).capacity(8).build();
    (clock, log)
}

fn publish(log: &RevocationLog, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        log.publish(revoked(id)).unwrap();
    }
}

/// A snapshot, over all its pages.
async fn read(snapshot: FeedAnswer) -> Result<(Vec<RevocationEvent>, Cursor), FeedError> {
    let snapshot = snapshot.await?;
    let (cursor, mut pages, mut events) = (snapshot.cursor(), snapshot.into_pages(), Vec::new());
    while let Some(page) = pages.next().await {
        events.extend(page?);
    }
    Ok((events, cursor))
}

/// What can be heard without waiting.
async fn heard(messages: &mut FeedMessages) -> Vec<Result<FeedMessage, FeedError>> {
    let mut heard = Vec::new();
    loop {
        let next = std::future::poll_fn(|context| {
            std::task::Poll::Ready(match Pin::new(&mut *messages).poll_next(context) {
                std::task::Poll::Ready(next) => next,
                std::task::Poll::Pending => None,
            })
        });
        match next.await {
            Some(message) => heard.push(message),
            None => return heard,
        }
    }
}

#[tokio::test]
async fn a_log_tells_what_happened_and_then_where_it_ends() {
    let (clock, log) = log();
    publish(&log, [1, 2, 3]);
    let now = clock.now().wall();
    let mut tail = log.tail(at(1));
    // Of the second it is not true that it was the last one.
    let expected = [event(2), event(3).as_of(now), FeedMessage::heartbeat(at(3)).as_of(now)].map(Ok);
    assert_eq!(heard(&mut tail).await, expected);
    clock.advance(SECOND / 2);
    assert_eq!(heard(&mut tail).await, []);
    publish(&log, [4]);
    assert_eq!(heard(&mut tail).await, [Ok(event(4).as_of(now))], "at once");
    clock.advance(SECOND / 2);
    assert_eq!(heard(&mut tail).await, [Ok(FeedMessage::heartbeat(at(4)).as_of(clock.now().wall()))]);
}

#[tokio::test]
async fn whoever_waits_is_woken() {
    let (clock, log) = log();
    let mut tail = log.tail(Cursor::START);
    assert!(tail.next().await.unwrap().unwrap().is_heartbeat());
    let (next, ()) = tokio::join!(tail.next(), async { publish(&log.clone(), [1]) });
    assert_eq!(next.unwrap().unwrap().cursor(), log.head());
    let (next, ()) = tokio::join!(tail.next(), async { clock.advance(SECOND) });
    assert!(next.unwrap().unwrap().is_heartbeat());
}

#[tokio::test]
async fn a_position_that_the_log_does_not_reach_back_to_or_does_not_know_is_a_gap_threat_16() {
    let (_, log) = log();
    publish(&log, 1..=5);
    assert_eq!(heard(&mut log.tail(at(1))).await, [Err(FeedError::Gap)]);
    assert_eq!(heard(&mut log.tail(at(6))).await, [Err(FeedError::Gap)]);
    assert_eq!(heard(&mut log.tail(at(u128::MAX))).await, [Err(FeedError::Gap)]);
    let mut tail = log.tail(at(2));
    assert_eq!(heard(&mut tail).await.len(), 4);
    // Four more while it did not listen, of which three are kept.
    publish(&log, 4..=7);
    assert_eq!(heard(&mut tail).await, [Err(FeedError::Gap)]);
}

#[tokio::test]
async fn a_snapshot_is_what_counts_and_the_tail_goes_on_from_it_threat_16() {
    let (_, log) = log();
    publish(&log, [1, 1, 2]);
    log.publish(RevocationEvent::Suspended(about(3))).unwrap();
    log.publish(RevocationEvent::Suspended(about(4))).unwrap();
    log.publish(RevocationEvent::Resumed(about(3))).unwrap();
    assert_eq!((log.len(), log.head()), (3, at(6)));
    assert_eq!(read(log.snapshot(2)).await, Err(FeedError::TooLarge(2)));
    let (events, cursor) = read(log.snapshot(3)).await.unwrap();
    let count = |kind: fn(&RevocationEvent) -> bool| events.iter().filter(|event| kind(event)).count();
    assert_eq!(count(|event| matches!(event, RevocationEvent::Revoked(_))), 2);
    assert_eq!(count(|event| matches!(event, RevocationEvent::Suspended(_))), 1);
    assert_eq!((events.len(), cursor), (3, at(6)));
    assert_eq!(heard(&mut log.tail(at(6))).await.len(), 1);
}

#[test]
fn a_full_log_says_so_and_forgets_nothing_threat_28() {
    let (clock, log) = log();
    publish(&log, 1..=8);
    let refused: Result<Cursor, LogFull> = log.publish(revoked(9));
    assert_eq!(refused.unwrap_err().to_string(), "the log holds 8 revocations already, none of which has expired");
    assert_eq!((log.head(), log.len()), (at(8), 8), "nothing was published");
    assert!(log.publish(revoked(1)).is_ok() && log.publish(RevocationEvent::Resumed(about(1))).is_ok());
    drop(clock);
}

#[test]
fn nothing_of_a_feed_shows_whose_tokens_were_revoked_threat_29() {
    let (_, log) = log();
    publish(&log, [77]);
    let network = UnreliableFeed::new(log.clone());
    for text in [format!("{log:?}"), format!("{network:?}"), format!("{:?}", event(77)), network.label()] {
        assert!(!text.contains("s-77") && !text.contains("idp.example"), "{text}");
    }
}

#[tokio::test]
async fn a_bad_network_does_what_it_is_told() {
    let (clock, log) = log();
    let network = UnreliableFeed::new(log.clone());
    let mut tail = network.tail(Cursor::START);
    let cursors = async |tail: &mut FeedMessages| {
        let heard = heard(tail).await;
        heard.into_iter().map(|message| message.map(|message| message.cursor().position())).collect::<Vec<_>>()
    };
    assert_eq!(cursors(&mut tail).await, [Ok(0)]);
    network.script([MessageFault::Drop, MessageFault::Duplicate, MessageFault::Pass]);
    publish(&log, [1, 2, 3]);
    assert_eq!(cursors(&mut tail).await, [2, 2, 3].map(Ok));
    network.script([MessageFault::Swap]);
    publish(&log, [4, 5]);
    assert_eq!(cursors(&mut tail).await, [5, 4].map(Ok));

    network.hold();
    let then = clock.now().wall();
    publish(&log, [6]);
    assert_eq!(heard(&mut tail).await, []);
    clock.advance(60 * SECOND);
    network.release();
    // As old as it was when it was sent.
    assert_eq!(heard(&mut tail).await[0], Ok(event(6).as_of(then)));

    network.partition();
    publish(&log, [7]);
    assert_eq!(heard(&mut tail).await, []);
    let lost = FeedError::Unavailable { reason: "no way through".to_owned(), retry_after: None };
    assert_eq!(read(network.snapshot(9)).await, Err(lost.clone()));
    assert_eq!(heard(&mut network.tail(at(6))).await, [Err(lost)]);
    network.heal();
    publish(&log, [8]);
    assert_eq!(cursors(&mut tail).await, [Ok(8)], "the seventh is lost");

    let old = read(network.snapshot(9)).await.unwrap();
    network.repeat_snapshots(true);
    log.publish(RevocationEvent::Resumed(about(1))).unwrap();
    assert_eq!(read(network.snapshot(9)).await.unwrap(), old);
    network.restore();
    assert_ne!(read(network.snapshot(9)).await.unwrap(), old);
    network.disconnect();
    assert_eq!(heard(&mut tail).await.len(), 1, "the end");
    assert_eq!((network.snapshots_asked(), network.tails_asked()), (4, 2));
}
