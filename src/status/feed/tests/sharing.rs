//! One index that several authorizers share, each with feeds of its own.

use super::{FeedMessage, FeedPolicy, FeedSnapshot, Hand, SECOND, follow, follow_into, session, tokens};
use crate::{
    status::{Cursor, RevocationEvent, RevocationEvent::Suspended},
    testing::ManualClock,
};

/// A feed with these suspensions.
fn suspending(ids: impl IntoIterator<Item = usize>) -> Hand {
    let (hand, events) = (Hand::default(), ids.into_iter().map(|id| Suspended(session(id))).collect());
    hand.with(|lines| lines.snapshot = Some(Ok(FeedSnapshot::new(events, Cursor::new(10)))));
    hand
}

#[tokio::test]
async fn a_snapshot_lifts_nothing_that_a_feed_of_another_authorizer_suspended_threat_16() {
    let (clock, tokens) = (ManualClock::new(), <[_; 2]>::try_from(tokens(2).await).unwrap());
    let (index, _first) = follow(suspending([0]), FeedPolicy::default(), None, &clock);
    clock.settle().await;
    let resumed = suspending([1]);
    let _second = follow_into(&index, resumed.clone(), FeedPolicy::default(), None, &clock);
    clock.settle().await;
    let found = || tokens.each_ref().map(|token| !index.stands(token));
    assert_eq!(found(), [true, true], "another feed, if of the same name");
    let resume = |id| FeedMessage::event(RevocationEvent::Resumed(session(id)), Cursor::new(10), Cursor::new(11));
    resumed.send(Ok(resume(0)));
    clock.settle().await;
    assert_eq!(found(), [true, true], "not its to lift");
}

#[tokio::test]
async fn what_a_feed_suspended_stays_so_until_somebody_hears_it_again_threat_16() {
    let (clock, tokens) = (ManualClock::new(), <[_; 2]>::try_from(tokens(2).await).unwrap());
    let (index, first) = follow(suspending([0]), FeedPolicy::default(), None, &clock);
    clock.settle().await;
    let found = || tokens.each_ref().map(|token| !index.stands(token));
    // An authorizer ends, and later another takes its place.
    drop(first);
    clock.settle().await;
    let hand = Hand::default();
    let second = follow_into(&index, hand.clone(), FeedPolicy::default(), None, &clock);
    clock.settle().await;
    assert_eq!(found(), [true, false], "nothing was heard yet");
    hand.with(|lines| lines.snapshot = Some(Ok(FeedSnapshot::new(vec![Suspended(session(1))], Cursor::new(11)))));
    clock.advance(11 * SECOND);
    clock.settle().await;
    clock.advance(SECOND);
    clock.settle().await;
    assert_eq!(found(), [false, true], "lifted meanwhile");
    // The next one begins before the last one ends.
    let third = follow_into(&index, suspending([0]), FeedPolicy::default(), None, &clock);
    clock.settle().await;
    assert_eq!(found(), [true, true], "the second still says so");
    drop(second);
    clock.settle().await;
    assert_eq!((found(), index.len()), ([true, false], 1));
    // And one begins, the last one ends, and only then the new one is heard.
    let hand = Hand::default();
    let _fourth = follow_into(&index, hand.clone(), FeedPolicy::default(), None, &clock);
    drop(third);
    clock.settle().await;
    assert_eq!(found(), [true, false]);
    hand.with(|lines| lines.snapshot = Some(Ok(FeedSnapshot::new(Vec::new(), Cursor::new(12)))));
    clock.advance(11 * SECOND);
    clock.settle().await;
    clock.advance(SECOND);
    clock.settle().await;
    assert_eq!((found(), index.len()), ([false, false], 0));
}
