//! Thousands of random schedules of a bad network, and of clocks that are set → what was revoked longer ago than the
//! feed is stale is refused, always (threat 16); and once the network is good again, everybody agrees.

use std::{fmt::Write, time::Duration};

use futures_util::{StreamExt, stream::iter};

use crate::{
    clock::{Clock, Now, Sleep, UnixTime},
    status::{
        Cursor, DrivenFeed, FeedAnswer, FeedError, FeedMessages, FeedPolicy, FeedSnapshot, Revocation, RevocationEvent,
        RevocationFeed, RevocationLog, Revocations,
        feed::tests::{SECOND, follow, session, tokens},
    },
    testing::{ManualClock, MessageFault, UnreliableFeed},
    token::VerifiedToken,
};

const SCHEDULES: u64 = 2000;
const STEPS: usize = 60;
const SESSIONS: usize = 4;
const BOUND: Duration = Duration::from_secs(5);

/// The log's own clock: the same time, and nobody sets it.
#[derive(Debug)]
struct Steady(ManualClock);

impl Clock for Steady {
    fn now(&self) -> Now {
        let monotonic = self.0.now().monotonic();
        Now::new(ManualClock::START.saturating_add(monotonic), monotonic)
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Clock::sleep(&self.0, duration)
    }
}

/// A log whose snapshots have a page for each event.
#[derive(Debug)]
struct Paged(RevocationLog);

impl RevocationFeed for Paged {
    fn label(&self) -> String {
        self.0.label()
    }

    fn snapshot(&self, max_events: usize) -> FeedAnswer {
        let answer = self.0.snapshot(max_events);
        Box::pin(async move {
            let snapshot = answer.await?;
            let (cursor, as_of) = (snapshot.cursor(), snapshot.as_of.unwrap());
            let events: Vec<_> = snapshot.into_pages().flat_map(|page| iter(page.unwrap())).collect().await;
            let pages = iter(events).map(|event| Ok::<_, FeedError>(vec![event]));
            Ok(FeedSnapshot::in_pages(Box::pin(pages), cursor).as_of(as_of))
        })
    }

    fn tail(&self, after: Cursor) -> FeedMessages {
        self.0.tail(after)
    }
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// What the log has said of a session, and since when its tokens are to be refused.
#[derive(Clone, Copy, Default)]
struct Truth {
    is_revoked: bool,
    is_suspended: bool,
    refused_since: Option<Duration>,
}

struct Simulation<'a> {
    random: Random,
    clock: ManualClock,
    log: RevocationLog,
    network: UnreliableFeed,
    revocations: Revocations,
    feed: DrivenFeed,
    tokens: &'a [VerifiedToken],
    truth: [Truth; SESSIONS],
    /// Either our clock is set now and then, or snapshots may come from a copy that lags. Who is fooled by both at once
    /// is fooled.
    sets_clock: bool,
    story: String,
}

/// How often what happened, over all schedules: a simulation in which nothing goes wrong proves nothing.
#[derive(Debug, Default)]
struct Seen {
    refused: u64,
    too_young: u64,
    stale: u64,
    never: u64,
    resyncs: u64,
}

impl<'a> Simulation<'a> {
    fn new(seed: u64, tokens: &'a [VerifiedToken]) -> Self {
        let clock = ManualClock::new();
        let log = RevocationLog::builder().clock(Steady(clock.clone())).kept_events(6).build();
        let network = match seed % 3 {
            0 => UnreliableFeed::new(Paged(log.clone())),
            _ => UnreliableFeed::new(log.clone()),
        };
        let policy = FeedPolicy::default().max_staleness(BOUND);
        let (revocations, feed) = follow(network.clone(), policy, None, &clock);
        Self {
            random: Random(seed),
            clock,
            log,
            network,
            revocations,
            feed,
            tokens,
            truth: [Truth::default(); SESSIONS],
            sets_clock: seed.is_multiple_of(2),
            story: format!("seed {seed}"),
        }
    }

    fn step(&mut self) {
        let roll = self.random.below(20);
        write!(self.story, "\n{:?}: ", self.clock.now().monotonic()).unwrap();
        match roll {
            0..=5 => self.publish(),
            6..=9 => {
                let faults: Vec<_> = (0..=self.random.below(3)).map(|_| self.fault()).collect();
                write!(self.story, "{faults:?}").unwrap();
                self.network.script(faults);
            }
            10 => self.act("hold", UnreliableFeed::hold),
            11 | 12 => self.act("release", UnreliableFeed::release),
            13 => self.act("disconnect", UnreliableFeed::disconnect),
            14 => self.act("partition", UnreliableFeed::partition),
            15 | 16 => self.act("heal", UnreliableFeed::heal),
            17 if self.sets_clock => {
                let offset = UnixTime::from_secs(u64::try_from(self.random.below(120)).unwrap());
                let truth = Steady(self.clock.clone()).now().wall();
                let wall = truth.saturating_sub(60 * SECOND).saturating_add(Duration::from_secs(offset.as_secs()));
                write!(self.story, "our clock says {wall}, theirs {truth}").unwrap();
                self.clock.step_wall_to(wall);
            }
            17 => {
                let repeats = self.random.below(2) == 0;
                self.act("old snapshots", |network| network.repeat_snapshots(repeats));
            }
            _ => {}
        }
    }

    fn act(&mut self, name: &str, act: impl FnOnce(&UnreliableFeed)) {
        self.story.push_str(name);
        act(&self.network);
    }

    fn fault(&mut self) -> MessageFault {
        let faults = [MessageFault::Pass, MessageFault::Drop, MessageFault::Duplicate, MessageFault::Swap];
        faults[self.random.below(4)]
    }

    fn publish(&mut self) {
        let id = self.random.below(SESSIONS);
        let truth = &mut self.truth[id];
        let event: fn(Revocation) -> RevocationEvent = match self.random.below(9) {
            0 => {
                truth.is_revoked = true;
                RevocationEvent::Revoked
            }
            1..=4 => {
                truth.is_suspended = true;
                RevocationEvent::Suspended
            }
            _ => {
                truth.is_suspended = false;
                RevocationEvent::Resumed
            }
        };
        let now = self.clock.now().monotonic();
        let is_refused = truth.is_revoked || truth.is_suspended;
        truth.refused_since = is_refused.then(|| truth.refused_since.unwrap_or(now));
        let event = event(session(id));
        write!(self.story, "{event:?} {id}").unwrap();
        self.log.publish(event).unwrap();
    }

    /// The invariant.
    fn check(&self, seen: &mut Seen) {
        let now = self.clock.now().monotonic();
        for (id, truth) in self.truth.iter().enumerate() {
            let Some(since) = truth.refused_since else { continue };
            let staleness = self.feed.staleness(now);
            if self.revocations.is_revoked(&self.tokens[id]) {
                seen.refused += 1;
            } else if staleness.is_none_or(|staleness| staleness > BOUND) {
                seen.stale += 1;
                seen.never += u64::from(staleness.is_none());
            } else {
                assert!(
                    staleness.is_some_and(|staleness| now - since <= staleness),
                    "session {id} was to be refused since {since:?}, and now, at {now:?}, with a staleness of \
                     {staleness:?}, is not: {}",
                    self.story
                );
                seen.too_young += 1;
            }
        }
    }

    /// Once everything works again, so does the feed.
    async fn heal(&mut self) {
        self.network.restore();
        self.clock.step_wall_to(Steady(self.clock.clone()).now().wall());
        for _ in 0..140 {
            if self.is_synced() && self.is_agreed() {
                return;
            }
            self.clock.advance(SECOND / 2);
            self.settle().await;
        }
        panic!("{:?} {}", self.feed.trouble(), self.story);
    }

    /// Less thorough than the clock's own, and four times as fast: not every step needs to be finished.
    async fn settle(&self) {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }

    fn is_synced(&self) -> bool {
        self.feed.staleness(self.clock.now().monotonic()).is_some_and(|staleness| staleness <= BOUND)
    }

    fn is_agreed(&self) -> bool {
        let refused = self.truth.iter().map(|truth| truth.refused_since.is_some());
        refused.eq(self.tokens.iter().map(|token| self.revocations.is_revoked(token)))
    }
}

#[tokio::test]
async fn whatever_the_network_does_what_is_revoked_is_refused_or_the_feed_is_stale_threat_16() {
    let tokens = tokens(SESSIONS).await;
    let mut seen = Seen::default();
    for seed in 0..SCHEDULES {
        let mut simulation = Simulation::new(seed, &tokens);
        for _ in 0..STEPS {
            simulation.step();
            if simulation.random.below(3) > 0 {
                let milliseconds = simulation.random.below(1500);
                simulation.clock.advance(Duration::from_millis(u64::try_from(milliseconds).unwrap()));
            }
            simulation.check(&mut seen);
            simulation.settle().await;
            simulation.check(&mut seen);
        }
        simulation.heal().await;
        seen.resyncs += u64::try_from(simulation.network.snapshots_asked()).unwrap();
    }
    eprintln!("{seen:?}");
    assert!(seen.refused > SCHEDULES && seen.too_young > SCHEDULES && seen.stale > SCHEDULES, "{seen:?}");
    assert!(seen.never > SCHEDULES / 10 && seen.resyncs > SCHEDULES * 2, "{seen:?}");
}
