//! How often, how long, how stale: the numbers of a remote key set.

use std::time::Duration;

/// When keys are fetched, and how long they are used.
///
/// The server's `Cache-Control: max-age` decides between the two bounds; a server that says nothing useful gets
/// [`interval`](Self::interval).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    pub(super) interval: Duration,
    pub(super) min_interval: Duration,
    pub(super) max_interval: Duration,
    pub(super) max_stale: Duration,
    pub(super) cooldown: Duration,
    pub(super) signature_cooldown: Duration,
    pub(super) unknown_for: Duration,
    pub(super) fetch_timeout: Duration,
    pub(super) patience: Duration,
    pub(super) max_body: usize,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5 * 60),
            min_interval: Duration::from_secs(60),
            max_interval: Duration::from_secs(60 * 60),
            max_stale: Duration::from_secs(60 * 60),
            cooldown: Duration::from_secs(10),
            signature_cooldown: Duration::from_secs(60),
            unknown_for: Duration::from_secs(30),
            fetch_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(3),
            max_body: 512 * 1024,
        }
    }
}

impl RefreshPolicy {
    /// What in it could not work, or would ask without pause.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let is_zero = |duration: Duration| duration.is_zero();
        if self.min_interval > self.max_interval {
            return Err("the bounds of the interval are the wrong way round");
        }
        if is_zero(self.interval) || is_zero(self.min_interval) {
            return Err("an interval of zero");
        }
        if is_zero(self.cooldown) || is_zero(self.signature_cooldown) {
            return Err("a cooldown of zero");
        }
        if is_zero(self.fetch_timeout) || is_zero(self.patience) {
            return Err("no time to fetch in");
        }
        if self.max_body == 0 { Err("no room for a key set") } else { Ok(()) }
    }

    /// Refresh after this time where the server names none. Default: 5 minutes.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The server's `max-age` counts within these bounds. Default: 1 minute to 1 hour.
    #[must_use]
    pub const fn interval_bounds(mut self, min: Duration, max: Duration) -> Self {
        self.min_interval = min;
        self.max_interval = max;
        self
    }

    /// While the server is unreachable, its last keys are used for this much longer. Default: 1 hour, after which
    /// requests are answered 503.
    #[must_use]
    pub const fn max_stale(mut self, max_stale: Duration) -> Self {
        self.max_stale = max_stale;
        self
    }

    /// A token with an unknown `kid` causes no fetch sooner than this after the last one so caused. Default: 10 seconds.
    #[must_use]
    pub const fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// A bad signature under a known `kid` causes no fetch sooner than this after the last one so caused: it is rarely
    /// a new key under an old name, and mostly junk. Default: 1 minute.
    #[must_use]
    pub const fn signature_cooldown(mut self, cooldown: Duration) -> Self {
        self.signature_cooldown = cooldown;
        self
    }

    /// A `kid` that a fresh set did not know causes no further fetch for this long. Default: 30 seconds.
    #[must_use]
    pub const fn unknown_for(mut self, unknown_for: Duration) -> Self {
        self.unknown_for = unknown_for;
        self
    }

    /// An attempt is given up after this. Default: 5 seconds.
    #[must_use]
    pub const fn fetch_timeout(mut self, fetch_timeout: Duration) -> Self {
        self.fetch_timeout = fetch_timeout;
        self
    }

    /// No request waits longer than this for keys; the attempt goes on without it. Default: 3 seconds.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A larger key set is refused. Default: 512 KiB.
    #[must_use]
    pub const fn max_body(mut self, max_body: usize) -> Self {
        self.max_body = max_body;
        self
    }
}
