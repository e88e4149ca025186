//! How stale, how silent, how often: the numbers of a followed feed.

use std::time::Duration;

/// When a feed counts as stale, when its connection is given up, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPolicy {
    pub(super) max_staleness: Duration,
    pub(super) silence: Duration,
    pub(super) snapshot_timeout: Duration,
    pub(super) first_pause: Duration,
    pub(super) longest_pause: Duration,
    pub(super) max_events: usize,
}

impl Default for FeedPolicy {
    fn default() -> Self {
        Self {
            max_staleness: Duration::from_secs(5),
            silence: Duration::from_secs(3),
            snapshot_timeout: Duration::from_secs(10),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            max_events: 10_000_000,
        }
    }
}

impl FeedPolicy {
    /// What in it could not work, or would ask without pause.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.max_staleness.is_zero() {
            return Err("a feed is always older than a staleness of zero");
        }
        if self.silence.is_zero() || self.snapshot_timeout.is_zero() {
            return Err("no time to hear from a feed in");
        }
        if self.first_pause.is_zero() {
            return Err("a pause of zero between attempts");
        }
        if self.first_pause > self.longest_pause {
            return Err("the bounds of the pause between attempts are the wrong way round");
        }
        if self.max_events == 0 { Err("no room for a revocation") } else { Ok(()) }
    }

    /// What is known of a feed may be this old; beyond it, the feed is stale. Default: 5 seconds.
    ///
    /// Of a feed that tells its own time in whole seconds every message counts as up to two seconds older than it is,
    /// and the clocks of both sides have to agree that well. So below 3 seconds only feeds that tell no time stay fresh.
    #[must_use]
    pub const fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = max_staleness;
        self
    }

    /// A connection on which nothing was heard for this long is given up; likewise one on which all that is heard is
    /// older than [`max_staleness`](Self::max_staleness). Default: 3 seconds, for a heartbeat every second.
    #[must_use]
    pub const fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// A snapshot is given up when it was waited for as long as this, or one of its
    /// [pages](super::FeedSnapshot::in_pages) was. Default: 10 seconds.
    #[must_use]
    pub const fn snapshot_timeout(mut self, snapshot_timeout: Duration) -> Self {
        self.snapshot_timeout = snapshot_timeout;
        self
    }

    /// The pause before the second attempt, and how far it grows as it doubles with every further one. Both are
    /// shortened at random by up to half, so that replicas do not come back together. Default: 0.5 to 30 seconds.
    #[must_use]
    pub const fn pause_bounds(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest;
        self
    }

    /// A snapshot of more events, over all of its pages, is refused, and the feed stays as stale as it is. Default:
    /// 10 million.
    #[must_use]
    pub const fn max_events(mut self, max_events: usize) -> Self {
        self.max_events = max_events;
        self
    }

    /// Half a second, doubled with every failure, up to half a minute.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX));
        doubled.min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let policy = FeedPolicy::default();
        let pauses: Vec<_> = (0..8).map(|failures| policy.pause(failures).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(policy.pause(u32::MAX), Duration::from_secs(30));
    }

    #[test]
    fn numbers_that_cannot_work_are_refused() {
        let good = FeedPolicy::default;
        let zero = Duration::ZERO;
        let second = Duration::from_secs(1);
        assert_eq!(good().check(), Ok(()));
        let bad = [
            good().max_staleness(zero),
            good().silence(zero),
            good().snapshot_timeout(zero),
            good().pause_bounds(zero, second),
            good().pause_bounds(2 * second, second),
            good().max_events(0),
        ];
        assert!(bad.iter().all(|policy| policy.check().is_err()));
    }
}
