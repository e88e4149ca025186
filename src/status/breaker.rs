//! Failures in a row → nobody asks for a while. Pure: time is an argument.
//!
//! ```text
//! closed ── so many failures, or "come back later" ──► open until …, one prober asks then ──► closed
//!                                                        ▲                │ failed
//!                                                        └── twice as long ┘
//! ```

use std::time::Duration;

use super::{StatusPolicy, policy::MAX_RETRY_AFTER};
use crate::tasks::jittered;

/// Whether a source is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    Closed {
        /// How many failures there were since something went well.
        failures: u32,
    },
    Open {
        until: Duration,
        /// How long it was opened for.
        length: Duration,
        /// Whether somebody will try again then.
        has_prober: bool,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether a request may ask, or in how long it is worth coming back.
    pub(super) fn may_ask(&self, now: Duration, policy: &StatusPolicy) -> Result<(), Duration> {
        match *self {
            Self::Closed { .. } => Ok(()),
            // Its prober died with its runtime: somebody else has to.
            Self::Open { until, has_prober: false, .. } if now >= until => Ok(()),
            // The prober is about to ask, or is waiting for the answer.
            Self::Open { until, .. } if now >= until => Err(policy.attempt_timeout),
            Self::Open { until, .. } => Err(until.saturating_sub(now)),
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// There was an answer.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// There was none. True where this opens it, and the caller is to be its prober.
    pub(super) fn failed(&mut self, now: Duration, retry_after: Option<Duration>, policy: &StatusPolicy) -> bool {
        let wanted = retry_after.map(|wanted| wanted.min(MAX_RETRY_AFTER));
        match *self {
            Self::Closed { failures } => {
                let failures = failures.saturating_add(1);
                if failures < policy.failures && wanted.is_none() {
                    *self = Self::Closed { failures };
                    return false;
                }
                self.open(now, policy.min_break, wanted);
                true
            }
            // Of others, whose questions were under way.
            Self::Open { has_prober: true, .. } => false,
            Self::Open { length, .. } => {
                self.open(now, length.saturating_mul(2).min(policy.max_break), wanted);
                true
            }
        }
    }

    /// The prober's attempt failed.
    pub(super) fn probe_failed(&mut self, now: Duration, retry_after: Option<Duration>, policy: &StatusPolicy) {
        let length = match *self {
            Self::Open { length, .. } => length.saturating_mul(2).min(policy.max_break),
            Self::Closed { .. } => policy.min_break,
        };
        self.open(now, length, retry_after.map(|wanted| wanted.min(MAX_RETRY_AFTER)));
    }

    /// The prober is gone.
    pub(super) fn abandoned(&mut self) {
        if let Self::Open { has_prober, .. } = self {
            *has_prober = false;
        }
    }

    /// When the prober is to try.
    pub(super) const fn opens_at(&self) -> Option<Duration> {
        match *self {
            Self::Open { until, .. } => Some(until),
            Self::Closed { .. } => None,
        }
    }

    fn open(&mut self, now: Duration, length: Duration, wanted: Option<Duration>) {
        let pause = wanted.map_or_else(|| jittered(length), |wanted| wanted.max(length));
        *self = Self::Open { until: now.saturating_add(pause), length, has_prober: true };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> StatusPolicy {
        StatusPolicy::default().breaks(3, SECOND, 4 * SECOND)
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row_and_not_before() {
        let (mut breaker, policy) = (Breaker::default(), policy());
        let fail = |breaker: &mut Breaker| breaker.failed(SECOND, None, &policy);
        assert!(!fail(&mut breaker) && !fail(&mut breaker));
        breaker.succeeded();
        assert!(!fail(&mut breaker) && !fail(&mut breaker) && breaker.may_ask(SECOND, &policy).is_ok());
        assert!(fail(&mut breaker), "the one that opens it is to probe");
        assert!(!fail(&mut breaker), "and nobody else");
        let left = breaker.may_ask(SECOND, &policy).unwrap_err();
        assert!((SECOND * 9 / 10..=SECOND).contains(&left), "{left:?}");
    }

    #[test]
    fn it_stays_open_twice_as_long_each_time_up_to_a_bound() {
        let (mut breaker, policy) = (Breaker::default(), policy());
        breaker.failed(Duration::ZERO, Some(SECOND), &policy);
        for seconds in [2, 4, 4] {
            breaker.probe_failed(Duration::ZERO, None, &policy);
            let left = breaker.may_ask(Duration::ZERO, &policy).unwrap_err();
            assert!((SECOND * seconds * 9 / 10..=SECOND * seconds).contains(&left), "{left:?}");
        }
    }

    #[test]
    fn a_server_that_says_when_is_left_alone_until_then_within_reason() {
        for (wanted, kept) in [(47, 47), (86_400, 300), (0, 1)] {
            let (mut breaker, policy) = (Breaker::default(), policy());
            assert!(breaker.failed(Duration::ZERO, Some(SECOND * wanted), &policy), "at once");
            assert_eq!(breaker.may_ask(Duration::ZERO, &policy), Err(SECOND * kept), "{wanted}");
        }
    }

    #[test]
    fn without_its_prober_the_next_request_takes_over() {
        let (mut breaker, policy) = (Breaker::default(), policy());
        breaker.failed(Duration::ZERO, Some(SECOND), &policy);
        assert_eq!(breaker.may_ask(2 * SECOND, &policy), Err(policy.attempt_timeout), "the prober is at it");
        breaker.abandoned();
        assert!(breaker.may_ask(SECOND / 2, &policy).is_err(), "not before its time");
        assert!(breaker.may_ask(2 * SECOND, &policy).is_ok());
        assert!(breaker.failed(2 * SECOND, None, &policy), "and is the prober now");
        assert!(breaker.may_ask(3 * SECOND, &policy).is_err());
    }
}
