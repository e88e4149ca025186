//! How long an issuer's word counts, and how it is asked for: the numbers of a status source.

use std::time::Duration;

use super::{OnOutage, memory::PER_WORD};

/// How long answers are reused, and how a source is asked: in what time, how often, and when it is left alone.
///
/// An answer is reused until it is [`max_age`](Self::max_age) old or the token expires, whichever comes first; a route may
/// want a younger one. Ages count from the moment at which the question was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusPolicy {
    pub(super) max_age: Duration,
    pub(super) negative_max_age: Duration,
    pub(super) on_outage: OnOutage,
    pub(super) renew_ahead: bool,
    pub(super) only_opaque: bool,
    pub(super) attempt_timeout: Duration,
    pub(super) budget: Duration,
    pub(super) attempts: u32,
    pub(super) pause: Duration,
    pub(super) failures: u32,
    pub(super) min_break: Duration,
    pub(super) max_break: Duration,
    pub(super) concurrency: usize,
    pub(super) waiting: usize,
    pub(super) max_bytes: u64,
}

impl Default for StatusPolicy {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(30),
            negative_max_age: Duration::from_secs(10),
            on_outage: OnOutage::Deny,
            renew_ahead: true,
            only_opaque: false,
            attempt_timeout: Duration::from_secs(1),
            budget: Duration::from_millis(2500),
            attempts: 3,
            pause: Duration::from_millis(50),
            failures: 5,
            min_break: Duration::from_secs(1),
            max_break: Duration::from_secs(30),
            concurrency: 64,
            waiting: 16 * 1024,
            max_bytes: 32 * 1024 * 1024,
        }
    }
}

/// A server may ask to be left alone for this long, and no longer.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

impl StatusPolicy {
    /// What in it could not work, or would ask without pause.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.attempt_timeout.is_zero() || self.budget.is_zero() || self.attempts == 0 {
            return Err("no time to ask in");
        }
        if self.failures == 0 || self.min_break.is_zero() {
            return Err("no failure is allowed, or a break of no length");
        }
        if self.min_break > self.max_break {
            return Err("the bounds of the break are the wrong way round");
        }
        if self.concurrency == 0 || self.waiting < self.concurrency {
            return Err("no question may be under way");
        }
        if self.max_bytes < u64::from(PER_WORD) { Err("no room for an answer") } else { Ok(()) }
    }

    /// Whether nobody is asked about JWTs.
    pub(crate) const fn is_for_opaque_alone(&self) -> bool {
        self.only_opaque
    }

    /// What counts while nobody answers, on routes that do not say.
    pub(crate) const fn outage(&self) -> OnOutage {
        self.on_outage
    }

    /// A good answer is reused for this long; zero: for no other request. Default: 30 seconds.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// That a token is inactive is believed for this long, on every route, also where the issuer is to be asked on every
    /// request: otherwise a withdrawn token would be worth a question each time. Default: 10 seconds.
    #[must_use]
    pub const fn negative_max_age(mut self, max_age: Duration) -> Self {
        self.negative_max_age = max_age;
        self
    }

    /// What counts while the issuer cannot be asked, on routes that do not say. Default: [`OnOutage::Deny`].
    #[must_use]
    pub const fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.on_outage = on_outage;
        self
    }

    /// Answers that are still in use are not renewed before they are too old; the next request then waits.
    #[must_use]
    pub const fn without_renewal_ahead(mut self) -> Self {
        self.renew_ahead = false;
        self
    }

    /// The source is asked about opaque tokens only, and JWTs stand until they expire: for servers that do not introspect
    /// their own JWTs.
    #[must_use]
    pub const fn only_opaque(mut self) -> Self {
        self.only_opaque = true;
        self
    }

    /// An attempt is given up after this. Default: 1 second.
    #[must_use]
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// A question that failed in a way that may pass is asked again, up to `attempts` times in all, with a pause between
    /// them that doubles; no request waits longer than `budget` for the whole. Default: 3 attempts, 50 ms, 2.5 seconds.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32, pause: Duration, budget: Duration) -> Self {
        self.attempts = attempts;
        self.pause = pause;
        self.budget = budget;
        self
    }

    /// After so many failures in a row nobody asks for a while, and requests are answered as in an outage at once. One
    /// question is then tried again in the background, after `min`, at first, and up to `max` at last. Default: 5 failures,
    /// 1 to 30 seconds.
    #[must_use]
    pub const fn breaks(mut self, failures: u32, min: Duration, max: Duration) -> Self {
        self.failures = failures;
        self.min_break = min;
        self.max_break = max;
        self
    }

    /// So many questions are under way at once, half of them about opaque tokens at most, and `waiting` in all: beyond
    /// that, requests are answered 503. Default: 64, and 16,384.
    #[must_use]
    pub const fn concurrency(mut self, under_way: usize, waiting: usize) -> Self {
        self.concurrency = under_way;
        self.waiting = waiting;
        self
    }

    /// Room for good answers, in bytes; for bad ones there is an eighth of it beside. Default: 32 MiB.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }
}
