//! Proofs of freshness → how stale we are, by the monotonic clock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::{Now, UnixTime};

/// Added to instants, since what proves something may be older than the origin of our clock: a century.
const OFFSET: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// No proof yet, or none any more.
const NEVER: u64 = 0;

/// The instant up to which everything is known. Read by every request: one load.
#[derive(Debug)]
pub(super) struct FreshAt(AtomicU64);

impl FreshAt {
    pub(super) const fn never() -> Self {
        Self(AtomicU64::new(NEVER))
    }

    /// At `now`, everything is known up to `age` ago. An older proof changes nothing. Whoever sees it sees what was
    /// applied before.
    pub(super) fn prove(&self, now: Duration, age: Duration) {
        let instant = now.saturating_add(OFFSET).saturating_sub(age);
        let nanoseconds = u64::try_from(instant.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanoseconds.max(NEVER + 1), Ordering::AcqRel);
    }

    /// What was proved does not hold any more.
    pub(super) fn forget(&self) {
        self.0.store(NEVER, Ordering::Release);
    }

    /// How long ago everything was known.
    pub(super) fn staleness(&self, now: Duration) -> Option<Duration> {
        match self.0.load(Ordering::Acquire) {
            NEVER => None,
            instant => Some(now.saturating_add(OFFSET).saturating_sub(Duration::from_nanos(instant))),
        }
    }
}

/// What the log's clock said at an instant of our monotonic one: how the age of a message is known when somebody sets
/// a clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timescale {
    reference: UnixTime,
    at: Duration,
}

/// How old something is: the greatest age that a clock allows for. Times are whole seconds, cut off, so that it may be
/// one more than they say; a time that lies ahead is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age {
    /// By our wall clock.
    pub(super) by_wall: Duration,
    /// By how much the log's time should have moved on since the snapshot.
    pub(super) by_scale: Duration,
}

impl Age {
    /// Of both ages the greater: setting a clock back makes nothing younger.
    pub(super) fn greatest(self) -> Duration {
        self.by_wall.max(self.by_scale)
    }
}

impl Timescale {
    /// A snapshot was asked for at that moment, and said what the log's clock said after it, so that what comes later
    /// seems rather older than it is; or else the log's clock says what ours does.
    pub(super) fn new(asked: Now, as_of: Option<UnixTime>) -> Self {
        Self { reference: as_of.unwrap_or(asked.wall()), at: asked.monotonic() }
    }

    /// The age at `now` of what was true at `as_of`.
    pub(super) fn age(self, as_of: UnixTime, now: Now) -> Age {
        const ROUNDED: Duration = Duration::from_secs(1);
        let moved_on = now.monotonic().saturating_sub(self.at).saturating_add(ROUNDED);
        let expected = Duration::from_secs(self.reference.as_secs()).saturating_add(moved_on);
        Age {
            by_wall: now.wall().saturating_add(ROUNDED).since(as_of),
            by_scale: expected.saturating_sub(Duration::from_secs(as_of.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(wall: u64, monotonic: Duration) -> Now {
        Now::new(UnixTime::from_secs(wall), monotonic)
    }

    #[test]
    fn freshness_is_never_taken_back_by_an_older_proof() {
        let fresh = FreshAt::never();
        assert_eq!(fresh.staleness(SECOND), None);
        // Older than the origin of the clock.
        fresh.prove(SECOND, 600 * SECOND);
        assert_eq!(fresh.staleness(SECOND), Some(600 * SECOND));
        fresh.prove(3 * SECOND, SECOND);
        fresh.prove(4 * SECOND, 3 * SECOND);
        assert_eq!(fresh.staleness(5 * SECOND), Some(3 * SECOND));
        fresh.forget();
        assert_eq!(fresh.staleness(SECOND), None);
    }

    #[test]
    fn setting_a_clock_makes_nothing_younger_threat_26() {
        let scale = Timescale::new(at(1000, SECOND), Some(UnixTime::from_secs(1000)));
        let age = |as_of, now| scale.age(UnixTime::from_secs(as_of), now).greatest().as_secs();
        // (as of, our wall clock, our monotonic clock, age)
        let rows = [
            (1000, 1000, 1, 1),
            (1060, 1060, 61, 1),
            (1000, 1060, 61, 61),
            // Ours was set back by ten minutes, and the message is ten minutes late.
            (1000, 1000, 601, 601),
            // Ours was set ahead.
            (1060, 1660, 61, 601),
            // Theirs is ahead of ours.
            (1060, 1000, 61, 1),
            (5000, 1060, 61, 0),
        ];
        for (as_of, wall, monotonic, expected) in rows {
            assert_eq!(age(as_of, at(wall, monotonic * SECOND)), expected, "{as_of} {wall} {monotonic}");
        }
        let without = Timescale::new(at(1000, SECOND), None);
        assert_eq!(without.age(UnixTime::from_secs(1000), at(400, 601 * SECOND)).greatest(), 601 * SECOND);
        let end = Timescale::new(at(u64::MAX, Duration::MAX), Some(UnixTime::from_secs(u64::MAX)));
        assert_eq!(end.age(UnixTime::from_secs(0), at(0, Duration::MAX)).by_scale, Duration::MAX);
    }
}
