//! The only reader of time: nothing goes in, one [`Now`] comes out.
//!
//! A request takes one snapshot and every stage judges by it. Claims are compared with the wall clock (RFC 7519
//! speaks of seconds since the epoch); ages and cooldowns with the monotonic one, which no operator can step back.
//! Waiting is here too, so that a fake clock moves both the instants and the sleepers.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// Whole seconds since 1970-01-01T00:00:00Z: the NumericDate of RFC 7519 §2, without its fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The instant that many seconds after the epoch.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// This instant, later by whole seconds; the end of time where that would overflow.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// This instant, earlier by whole seconds; the epoch where that would underflow.
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// How long ago `earlier` was, zero if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One reading of both clocks, taken once per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    wall: UnixTime,
    monotonic: Duration,
}

impl Now {
    /// A snapshot from its two readings; `monotonic` counts from an origin of the clock's own choosing.
    #[must_use]
    pub const fn new(wall: UnixTime, monotonic: Duration) -> Self {
        Self { wall, monotonic }
    }

    /// What claims are compared with.
    #[must_use]
    pub const fn wall(self) -> UnixTime {
        self.wall
    }

    /// What ages and cooldowns are measured by.
    #[must_use]
    pub const fn monotonic(self) -> Duration {
        self.monotonic
    }
}

/// A future that is ready when a clock's sleep is over.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time, and waits for it.
///
/// [`SystemClock`] is the real one; `testing::ManualClock` moves only when told to.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Both clocks, read at once.
    fn now(&self) -> Now;

    /// Ready once `duration` has passed by this clock.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// A clock that can be handed around.
pub(crate) type SharedClock = Arc<dyn Clock>;

/// The machine's clocks; sleeping needs a tokio runtime with its timer enabled.
#[derive(Clone, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic reading starts at zero now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one reader of time")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one reader of time")]
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now::new(UnixTime::from_secs(wall.as_secs()), self.origin.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}
