//! A log that is said by hand → what its follower makes of it. The numbers of the threats are in the names.

mod pages;
mod sharing;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_core::Stream;
use tokio::sync::mpsc;

use super::{
    Cursor, DrivenFeed, FeedAnswer, FeedError, FeedMessage, FeedMessages, FeedPolicy, FeedSnapshot, FeedState,
    Following, RevocationFeed, message::Events,
};
use crate::{
    Authorizer, Issuer, Requirement, RouteTable, Unlisted,
    clock::UnixTime,
    status::{Revocation, RevocationEvent, Revocations},
    testing::{ManualClock, TestIssuer, TokenBuilder},
    token::VerifiedToken,
};
use RevocationEvent::{Resumed, Revoked, Suspended};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const ISSUER: &str = "https://issuer.test";

type Said = Result<FeedMessage, FeedError>;

/// What was asked of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Snapshot,
    Tail(u128),
}
pub(super) use Asked::{Snapshot, Tail};

/// A feed that says what the test has it say. Without a word it hangs.
#[derive(Clone, Debug, Default)]
pub(super) struct Hand(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
pub(super) struct Lines {
    asked: Vec<Asked>,
    /// Given again and again; in pages, once.
    pub(super) snapshot: Option<Result<FeedSnapshot, FeedError>>,
    pub(super) panics: bool,
    line: Option<mpsc::UnboundedSender<Said>>,
}

impl Hand {
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Lines) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_connected(&self) -> bool {
        self.with(|lines| lines.line.is_some())
    }

    /// Something is heard on the connection there is.
    pub(super) fn send(&self, said: Said) {
        assert!(self.with(|lines| lines.line.as_ref().unwrap().send(said).is_ok()), "nobody listens");
    }
}

fn again(answer: &Result<FeedSnapshot, FeedError>) -> Option<Result<FeedSnapshot, FeedError>> {
    match answer {
        Ok(FeedSnapshot { events: Events::Whole(events), cursor, as_of, age }) => {
            let snapshot = FeedSnapshot::new(events.clone(), *cursor);
            Some(Ok(FeedSnapshot { as_of: *as_of, age: *age, ..snapshot }))
        }
        Ok(_) => None,
        Err(error) => Some(Err(error.clone())),
    }
}

struct Line(mpsc::UnboundedReceiver<Said>, Hand);

impl Stream for Line {
    type Item = Said;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Said>> {
        assert!(!self.1.with(|lines| lines.panics), "a bug in an adapter");
        self.0.poll_recv(context)
    }
}

impl RevocationFeed for Hand {
    fn label(&self) -> String {
        "hand".to_owned()
    }

    fn snapshot(&self, _: usize) -> FeedAnswer {
        let answer = self.with(|lines| {
            lines.asked.push(Snapshot);
            assert!(!lines.panics, "a bug in an adapter");
            let answer = lines.snapshot.take();
            lines.snapshot = answer.as_ref().and_then(again);
            answer
        });
        Box::pin(async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }

    fn tail(&self, after: Cursor) -> FeedMessages {
        let (line, heard) = mpsc::unbounded_channel();
        self.with(|lines| {
            lines.asked.push(Tail(after.position()));
            lines.line = Some(line);
        });
        Box::pin(Line(heard, self.clone()))
    }
}

/// A followed feed, on a clock of the test's.
pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) hand: Hand,
    pub(super) revocations: Revocations,
    pub(super) feed: DrivenFeed,
}

impl World {
    /// With an empty snapshot at 10.
    pub(super) async fn new() -> Self {
        Self::with(FeedPolicy::default(), None, Some(Ok(FeedSnapshot::new(Vec::new(), Cursor::new(10))))).await
    }

    pub(super) async fn with(
        policy: FeedPolicy,
        covers: Option<&str>,
        snapshot: Option<Result<FeedSnapshot, FeedError>>,
    ) -> Self {
        let (clock, hand) = (ManualClock::new(), Hand::default());
        hand.with(|lines| lines.snapshot = snapshot);
        let (revocations, feed) = follow(hand.clone(), policy, covers, &clock);
        clock.settle().await;
        Self { clock, hand, revocations, feed }
    }

    pub(super) async fn say(&self, said: Said) {
        self.hand.send(said);
        self.clock.settle().await;
    }

    pub(super) async fn event(&self, event: RevocationEvent, previous: u128, cursor: u128) {
        self.say(Ok(FeedMessage::event(event, Cursor::new(previous), Cursor::new(cursor)))).await;
    }

    pub(super) async fn heartbeat(&self, head: u128) {
        self.say(Ok(FeedMessage::heartbeat(Cursor::new(head)))).await;
    }

    pub(super) async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.clock.settle().await;
    }

    pub(super) fn next_snapshot(&self, events: Vec<RevocationEvent>, cursor: u128) {
        self.hand.with(|lines| lines.snapshot = Some(Ok(FeedSnapshot::new(events, Cursor::new(cursor)))));
    }

    /// What was asked since the last time.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.hand.with(|lines| std::mem::take(&mut lines.asked))
    }

    pub(super) fn staleness(&self) -> Option<u64> {
        self.feed.staleness(self.clock.now().monotonic()).map(|staleness| staleness.as_secs())
    }

    pub(super) fn state(&self) -> FeedState {
        self.feed.state(self.clock.now().monotonic())
    }

    pub(super) fn wall(&self) -> UnixTime {
        self.clock.now().wall()
    }
}

/// An index that follows a feed.
pub(super) fn follow(
    feed: impl RevocationFeed,
    policy: FeedPolicy,
    covers: Option<&str>,
    clock: &ManualClock,
) -> (Revocations, DrivenFeed) {
    let revocations = Revocations::builder().clock(clock.clone()).build().unwrap();
    let feed = follow_into(&revocations, feed, policy, covers, clock);
    (revocations, feed)
}

/// One more feed that an index follows.
pub(super) fn follow_into(
    revocations: &Revocations,
    feed: impl RevocationFeed,
    policy: FeedPolicy,
    covers: Option<&str>,
    clock: &ManualClock,
) -> DrivenFeed {
    let (revocations, clock) = (revocations.clone(), Arc::new(clock.clone()));
    let following = Following { covers: covers.map(Into::into), revocations, clock };
    DrivenFeed::start(Arc::new(feed), policy, following).unwrap()
}

pub(super) fn session(id: usize) -> Revocation {
    Revocation::session(Some(ISSUER), &format!("s-{id}"))
}

/// Verified tokens of the sessions 0, 1, 2 and so on.
pub(super) async fn tokens(count: usize) -> Vec<VerifiedToken> {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process(ISSUER);
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(ISSUER).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
        .shared_transport(issuer.transport())
        .clock(clock)
        .build()
        .unwrap();
    authorizer.ready(SECOND).await.unwrap();
    let requirement = Arc::new(Requirement::authenticated());
    let mut verified = Vec::new();
    for id in 0..count {
        let value = format!("Bearer {}", issuer.token().claim("sid", format!("s-{id}")).build());
        let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, value.parse().unwrap())]);
        let permit = authorizer.authorize(&authorizer.input(&headers, &requirement)).await.unwrap();
        verified.push(VerifiedToken::clone(&permit.into_token().unwrap()));
    }
    verified
}

#[tokio::test]
async fn a_snapshot_comes_first_and_the_tail_goes_on_from_it() {
    let world = World::with(FeedPolicy::default(), None, None).await;
    assert_eq!((world.state(), world.asked()), (FeedState::Never, vec![Snapshot]));
    world.next_snapshot(vec![Revoked(session(0)), Suspended(session(1))], 10);
    // The first one hangs, and is given up.
    world.advance(10 * SECOND).await;
    assert_eq!(world.feed.trouble().unwrap(), "no snapshot within 10s");
    world.advance(SECOND).await;
    world.feed.synced().await;
    assert_eq!((world.state(), world.staleness()), (FeedState::Synced, Some(0)));
    assert_eq!(world.asked(), [Snapshot, Tail(10)]);
    assert_eq!((world.revocations.len(), world.feed.trouble(), world.feed.label()), (2, None, "hand"));
    world.event(Revoked(session(2)), 10, 11).await;
    world.event(Resumed(session(1)), 11, 15).await;
    assert_eq!(world.revocations.len(), 2);
}

#[tokio::test]
async fn a_repeated_or_late_event_changes_nothing_threat_16() {
    let token = &tokens(1).await[0];
    let world = World::new().await;
    world.event(Suspended(session(0)), 10, 11).await;
    world.event(Resumed(session(0)), 11, 12).await;
    assert!(!world.revocations.is_revoked(token));
    world.event(Suspended(session(0)), 12, 13).await;
    world.event(Resumed(session(0)), 11, 12).await;
    world.event(Resumed(session(0)), 12, 13).await;
    assert!(world.revocations.is_revoked(token), "what is older lifts nothing");
    assert_eq!(world.asked(), [Snapshot, Tail(10)]);
}

#[tokio::test]
async fn what_is_missing_is_fetched_by_a_snapshot_threat_16() {
    for is_heartbeat in [false, true] {
        let world = World::new().await;
        world.next_snapshot(vec![Revoked(session(0)), Revoked(session(1))], 13);
        world.asked();
        if is_heartbeat {
            world.heartbeat(12).await;
        } else {
            world.event(Revoked(session(1)), 11, 12).await;
        }
        assert_eq!(world.asked(), [Snapshot, Tail(13)]);
        assert_eq!(world.revocations.len(), 2);
    }
}

#[tokio::test]
async fn a_log_that_says_that_we_are_too_far_back_or_nonsense_is_read_anew_threat_16() {
    for error in [FeedError::Gap, FeedError::Malformed("a message")] {
        let world = World::new().await;
        world.asked();
        world.say(Err(error)).await;
        assert_eq!(world.asked(), [Snapshot, Tail(10)]);
    }
}

#[tokio::test]
async fn while_something_is_missing_nothing_proves_freshness_threat_16() {
    let world = World::new().await;
    world.advance(2 * SECOND).await;
    world.hand.with(|lines| lines.snapshot = None);
    world.event(Revoked(session(1)), 11, 12).await;
    assert_eq!(world.staleness(), Some(2));
    world.advance(4 * SECOND).await;
    assert_eq!((world.staleness(), world.state()), (Some(6), FeedState::Stale));
}

#[tokio::test]
async fn a_log_that_begins_again_is_believed_once_it_is_seen_to_end_where_we_are_threat_16() {
    let token = &tokens(1).await[0];
    let world = World::new().await;
    world.event(Suspended(session(0)), 10, 11).await;
    world.next_snapshot(Vec::new(), 2);
    world.asked();
    world.heartbeat(2).await;
    assert_eq!(world.asked(), [Snapshot, Tail(2)]);
    // An older copy of the log would look the same, and lacks a suspension that we knew of.
    assert!(!world.revocations.is_revoked(token));
    assert_eq!((world.staleness(), world.state()), (None, FeedState::Never));
    world.heartbeat(2).await;
    assert_eq!(world.staleness(), Some(0));
}

#[tokio::test]
async fn an_older_copy_of_the_log_is_caught_up_with_before_it_counts_threat_16() {
    let world = World::new().await;
    world.next_snapshot(Vec::new(), 11);
    // The log has been seen to reach up to 12.
    world.event(Revoked(session(1)), 11, 12).await;
    assert_eq!(world.staleness(), None);
    world.event(Revoked(session(1)), 11, 12).await;
    assert_eq!((world.revocations.len(), world.staleness()), (1, None), "an event alone proves nothing");
    world.heartbeat(12).await;
    assert_eq!(world.staleness(), Some(0));
}

#[tokio::test]
async fn a_message_is_as_old_as_it_says_threat_16() {
    let world = World::new().await;
    world.advance(SECOND).await;
    let as_of = world.wall();
    world.advance(SECOND).await;
    world.say(Ok(FeedMessage::heartbeat(Cursor::new(10)).as_of(as_of))).await;
    world.advance(SECOND).await;
    // One second old when it came, one since, and one for what was cut off.
    assert_eq!(world.staleness(), Some(3));
    world.say(Ok(FeedMessage::heartbeat(Cursor::new(10)).as_of(UnixTime::from_secs(1)))).await;
    assert_eq!(world.staleness(), Some(3), "an older proof changes nothing");
    world.say(Ok(FeedMessage::heartbeat(Cursor::new(10)).as_of(UnixTime::from_secs(u64::MAX)))).await;
    assert_eq!(world.staleness(), Some(0), "what lies ahead is now");
}

#[tokio::test]
async fn an_event_proves_only_what_it_says_threat_16() {
    let world = World::new().await;
    world.advance(2 * SECOND).await;
    world.event(Revoked(session(0)), 10, 11).await;
    assert_eq!(world.staleness(), Some(2));
    let event = |cursor| FeedMessage::event(Revoked(session(1)), Cursor::new(11), Cursor::new(cursor));
    world.say(Ok(event(11).as_of(world.wall()))).await;
    assert_eq!(world.staleness(), Some(2), "a repeated one may be of another log");
    world.say(Ok(event(12).as_of(world.wall()))).await;
    assert_eq!(world.staleness(), Some(1));
}

#[tokio::test]
async fn one_issuers_feed_revokes_nobody_elses_tokens_threat_27() {
    let foreign = || Revoked(Revocation::session(Some("https://other.test"), "s-0"));
    let nameless = Revoked(Revocation::new(None, session(0).target().clone()));
    let snapshot = FeedSnapshot::new(vec![foreign(), Revoked(session(2))], Cursor::new(10));
    let world = World::with(FeedPolicy::default(), Some(ISSUER), Some(Ok(snapshot))).await;
    assert_eq!(world.revocations.len(), 1);
    world.event(foreign(), 10, 11).await;
    assert_eq!(world.revocations.len(), 1);
    assert_eq!(world.feed.trouble().unwrap(), "2 events about tokens of others were ignored");
    let [first, second, ..] = &*tokens(3).await else { panic!("three tokens") };
    world.event(nameless, 11, 12).await;
    assert!(world.revocations.is_revoked(first), "it can only be about theirs");
    assert!(!world.revocations.is_revoked(second));
    let text = std::str::from_utf8(second.text()).unwrap();
    world.event(Revoked(Revocation::token(text)), 12, 13).await;
    assert!(world.revocations.is_revoked(second), "known by its text, and theirs");
    assert_eq!(world.asked(), [Snapshot, Tail(10)], "what is ignored is not missing");
}
