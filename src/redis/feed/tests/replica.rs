//! A replica of a service that follows the log, as an authorizer has it → whether it permits a token.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    truth::{Fate, TOKENS, Truth},
    wire::{Network, Own, SharedWorld},
};
use crate::{
    redis::{Redis, RedisRevocations},
    status::{DrivenFeed, FeedPolicy, Following, Revocations},
    token::VerifiedToken,
};

pub(super) struct Replica {
    line: usize,
    world: SharedWorld,
    pub(super) clock: Own,
    pub(super) bound: Duration,
    revocations: Revocations,
    feed: DrivenFeed,
    /// Until when it refuses whatever happens.
    stuck: [Option<Duration>; TOKENS],
}

/// How often what happened, over all schedules: a simulation in which nothing goes wrong proves nothing.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) refused: u64,
    pub(super) too_young: u64,
    pub(super) stale: u64,
    pub(super) never: u64,
    pub(super) stuck: u64,
    /// How long it took until all agreed.
    pub(super) longest: Duration,
}

pub(super) const HEARTBEAT: Duration = Duration::from_millis(250);

impl Replica {
    pub(super) fn start(redis: &Redis, world: &SharedWorld, line: usize, min_replicas: u32, clock: Own) -> Self {
        let seconds = [3, 5, 8][line % 3];
        let bound = Duration::from_secs(seconds);
        let network = Network { world: world.clone(), line, clock: clock.clone() };
        let log = RedisRevocations::builder(redis.clone())
            .heartbeat(HEARTBEAT)
            .min_replicas(min_replicas)
            .clock(clock.clone())
            .build()
            .unwrap()
            .read_over(network);
        let policy = FeedPolicy::default()
            .max_staleness(bound)
            .snapshot_timeout(Duration::from_secs(4))
            .pause_bounds(Duration::from_millis(200), Duration::from_secs(3));
        let revocations = Revocations::builder().clock(clock.clone()).build().unwrap();
        let following = Following { covers: None, revocations: revocations.clone(), clock: Arc::new(clock.clone()) };
        let feed = DrivenFeed::start(Arc::new(log), policy, following).unwrap();
        Self { line, world: world.clone(), clock, bound, revocations, feed, stuck: [None; TOKENS] }
    }

    pub(super) fn staleness(&self, now: Duration) -> Option<Duration> {
        self.feed.staleness(now)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.feed.trouble()
    }

    pub(super) fn is_synced(&self, now: Duration) -> bool {
        self.staleness(now).is_some_and(|staleness| staleness <= self.bound)
    }

    /// The invariants that hold at any time.
    pub(super) fn check(
        &mut self,
        tokens: &[VerifiedToken],
        truth: &Truth,
        demands: &[(usize, Duration, Duration)],
        seen: &mut Seen,
    ) -> Result<(), String> {
        let (now, proved) = {
            let world = self.world.lock();
            (world.now(), world.lines[self.line].proved)
        };
        let staleness = self.staleness(now);
        // Up to when everything is known, as it says. What is older than the clock is as good as nothing.
        let known = staleness.and_then(|staleness| now.checked_sub(staleness));
        if let Some(known) = known
            && proved.is_none_or(|proved| known > proved)
        {
            return Err(format!("everything is known up to {known:?}, it says; no log was seen after {proved:?}"));
        }
        // Looked up only where it matters: that is what costs time here.
        let mut looked = [None; TOKENS];
        let mut refused =
            |token: usize| *looked[token].get_or_insert_with(|| self.revocations.is_revoked(&tokens[token]));
        for (token, since, until) in demands.iter().filter(|(_, _, until)| *until >= now) {
            if known.is_none_or(|known| known <= *since) {
                let is_permitted = staleness.is_some_and(|staleness| staleness <= self.bound);
                seen.too_young += u64::from(is_permitted);
                seen.stale += u64::from(!is_permitted);
                seen.never += u64::from(staleness.is_none());
                if is_permitted && now - *since > self.bound && !refused(*token) {
                    return Err(format!("token {token} is to be refused since {since:?}, and is permitted at {now:?}"));
                }
            } else if refused(*token) {
                seen.refused += 1;
            } else {
                return Err(format!(
                    "token {token} is to be refused since {since:?} until {until:?}, and is not at {now:?}, though \
                     everything is known up to {known:?}"
                ));
            }
        }
        for (token, stuck) in self.stuck.iter().enumerate() {
            if let Some(until) = stuck.filter(|until| *until >= now) {
                seen.stuck += 1;
                if !refused(token) {
                    return Err(format!("token {token} was refused until {until:?}, and is not at {now:?}"));
                }
            }
        }
        for (token, looked) in looked.into_iter().enumerate() {
            if looked == Some(true) && self.stuck[token].is_none_or(|until| until < now) {
                self.stuck[token] = truth.sticks_until(token);
            }
        }
        Ok(())
    }

    /// Once it is in step with the log that counts.
    pub(super) fn agrees(
        &self,
        tokens: &[VerifiedToken],
        truth: &Truth,
        log: &[usize],
        is_new: bool,
    ) -> Result<(), String> {
        let now = self.world.lock().now();
        for (number, token) in tokens.iter().enumerate() {
            let fate = truth.fate(number, log, now, is_new);
            let is_refused = self.revocations.is_revoked(token);
            if fate == if is_refused { Fate::Permitted } else { Fate::Refused } {
                return Err(format!("token {number} is refused: {is_refused}, and should be {fate:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn freeze(&self, is_frozen: bool) {
        self.clock.is_frozen.store(is_frozen, Ordering::Relaxed);
    }

    pub(super) fn set_clock(&self, ahead: i64) {
        self.clock.ahead.store(ahead, Ordering::Relaxed);
    }
}
