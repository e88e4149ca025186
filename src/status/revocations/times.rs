//! Readings of the clock → how late it is at least, and at most, whatever an operator did to the wall clock.

use std::time::Duration;

use crate::clock::{Now, UnixTime};

/// After this long, by the clock that nobody can step, what the wall clock says is believed.
const DOUBT: Duration = Duration::from_secs(60 * 60);

/// Where the two clocks have stood to each other of late.
///
/// A wall clock that was stepped ahead and back again must not have had everything forgotten meanwhile.
pub(super) struct Times {
    current: Offsets,
    previous: Offsets,
    since: Duration,
}

/// How late it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Not earlier than this: what is over by then is over.
    pub(super) earliest: UnixTime,
    /// Not later than this: what happens now has happened by then.
    pub(super) latest: UnixTime,
}

/// The earliest and the latest instant at which the monotonic clock stood at zero, as it seemed.
#[derive(Clone, Copy)]
struct Offsets {
    earliest: UnixTime,
    latest: UnixTime,
}

impl Offsets {
    fn seen(now: Now) -> Self {
        let zero = now.wall().saturating_sub(now.monotonic());
        Self { earliest: zero, latest: zero }
    }

    fn with(self, other: Self) -> Self {
        Self { earliest: self.earliest.min(other.earliest), latest: self.latest.max(other.latest) }
    }
}

impl Times {
    pub(super) fn new(now: Now) -> Self {
        Self { current: Offsets::seen(now), previous: Offsets::seen(now), since: now.monotonic() }
    }

    pub(super) fn moment(&mut self, now: Now) -> Moment {
        if now.monotonic().saturating_sub(self.since) >= DOUBT {
            (self.previous, self.current, self.since) = (self.current, Offsets::seen(now), now.monotonic());
        }
        self.current = self.current.with(Offsets::seen(now));
        let Offsets { earliest, latest } = self.current.with(self.previous);
        Moment {
            // Whole seconds of two clocks do not add up to the second.
            earliest: earliest.saturating_add(now.monotonic()).min(now.wall()),
            latest: latest.saturating_add(now.monotonic()).max(now.wall()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stepped_wall_clock_is_believed_only_after_a_while() {
        let at = |wall, monotonic| Now::new(UnixTime::from_secs(wall), Duration::from_secs(monotonic));
        let between =
            |earliest, latest| Moment { earliest: UnixTime::from_secs(earliest), latest: UnixTime::from_secs(latest) };
        let mut times = Times::new(at(1_000_000, 0));
        assert_eq!(times.moment(at(1_000_100, 100)), between(1_000_100, 1_000_100));
        // A day ahead, and back.
        assert_eq!(times.moment(at(1_086_600, 200)), between(1_000_200, 1_086_600));
        assert_eq!(times.moment(at(1_086_650, 250)), between(1_000_250, 1_086_650));
        assert_eq!(times.moment(at(1_000_300, 300)), between(1_000_300, 1_086_700));
        // After a long time without a reading, a new one is still doubted, and the old one forgotten only then.
        assert_eq!(times.moment(at(2_100_000, 20_000)), between(1_020_000, 2_100_000));
        assert_eq!(times.moment(at(2_103_600, 23_600)), between(2_103_600, 2_103_600));
        // A day back.
        assert_eq!(times.moment(at(2_017_300, 23_700)), between(2_017_300, 2_103_700));
    }
}
