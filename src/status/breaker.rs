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
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: State,
    /// How often it was opened: a prober is the prober of one opening.
    openings: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
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

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// Which opening of a breaker somebody is the prober of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening(u64);

impl Breaker {
    /// Whether a request may ask, or in how long it is worth coming back.
    pub(super) fn may_ask(&self, now: Duration, policy: &StatusPolicy) -> Result<(), Duration> {
        match self.state {
            State::Closed { .. } => Ok(()),
            // Its prober died with its runtime, or nobody drives that: somebody else has to.
            State::Open { until, .. } if now >= until && !self.is_tended(now, policy) => Ok(()),
            // The prober is about to ask, or is waiting for the answer.
            State::Open { until, .. } if now >= until => Err(policy.attempt_timeout),
            State::Open { until, .. } => Err(until.saturating_sub(now)),
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// There was an answer to a question of that time. One that left before the break was over left before it began, and
    /// does not end it: whoever said "come back later" said so since. Whether this closed it.
    pub(super) fn succeeded(&mut self, asked_at: Duration) -> bool {
        let is_open = match self.state {
            State::Open { until, .. } if asked_at < until => return false,
            State::Open { .. } => true,
            State::Closed { .. } => false,
        };
        self.state = State::default();
        is_open
    }

    /// There was none. Where this opens it, the caller is to be its prober.
    pub(super) fn failed(
        &mut self,
        now: Duration,
        retry_after: Option<Duration>,
        policy: &StatusPolicy,
    ) -> Option<Opening> {
        let wanted = retry_after.map(|wanted| wanted.min(MAX_RETRY_AFTER));
        match self.state {
            State::Closed { failures } => {
                let failures = failures.saturating_add(1);
                if failures < policy.failures && wanted.is_none() {
                    self.state = State::Closed { failures };
                    return None;
                }
                self.open(now, policy.min_break, wanted);
            }
            // Of others, whose questions were under way.
            State::Open { .. } if self.is_tended(now, policy) => return None,
            State::Open { length, .. } => self.open(now, length.saturating_mul(2).min(policy.max_break), wanted),
        }
        self.openings += 1;
        Some(Opening(self.openings))
    }

    /// The prober's attempt failed.
    pub(super) fn probe_failed(
        &mut self,
        opening: Opening,
        now: Duration,
        retry_after: Option<Duration>,
        policy: &StatusPolicy,
    ) {
        if let State::Open { length, .. } = self.state
            && self.is(opening)
        {
            let wanted = retry_after.map(|wanted| wanted.min(MAX_RETRY_AFTER));
            self.open(now, length.saturating_mul(2).min(policy.max_break), wanted);
        }
    }

    /// The prober is gone.
    pub(super) fn abandoned(&mut self, opening: Opening) {
        let is_current = self.is(opening);
        if let State::Open { has_prober, .. } = &mut self.state
            && is_current
        {
            *has_prober = false;
        }
    }

    /// When its prober is to try; `None` where it was closed since.
    pub(super) fn probe_at(&self, opening: Opening) -> Option<Duration> {
        match self.state {
            State::Open { until, .. } if self.is(opening) => Some(until),
            _ => None,
        }
    }

    /// Whether somebody tries again, and in time: one attempt after the break is over.
    fn is_tended(&self, now: Duration, policy: &StatusPolicy) -> bool {
        match self.state {
            State::Open { until, has_prober, .. } => {
                has_prober && now < until.saturating_add(policy.attempt_timeout.saturating_mul(2))
            }
            State::Closed { .. } => false,
        }
    }

    const fn is(&self, Opening(number): Opening) -> bool {
        self.openings == number
    }

    fn open(&mut self, now: Duration, length: Duration, wanted: Option<Duration>) {
        let pause = wanted.map_or_else(|| jittered(length), |wanted| wanted.max(length));
        self.state = State::Open { until: now.saturating_add(pause), length, has_prober: true };
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
        let fail = |breaker: &mut Breaker| breaker.failed(SECOND, None, &policy).is_some();
        assert!(!fail(&mut breaker) && !fail(&mut breaker));
        breaker.succeeded(SECOND);
        assert!(!fail(&mut breaker) && !fail(&mut breaker) && breaker.may_ask(SECOND, &policy).is_ok());
        assert!(fail(&mut breaker), "the one that opens it is to probe");
        assert!(!fail(&mut breaker), "and nobody else");
        let left = breaker.may_ask(SECOND, &policy).unwrap_err();
        assert!((SECOND * 9 / 10..=SECOND).contains(&left), "{left:?}");
    }

    #[test]
    fn it_stays_open_twice_as_long_each_time_up_to_a_bound() {
        let (mut breaker, policy) = (Breaker::default(), policy());
        let opening = breaker.failed(Duration::ZERO, Some(SECOND), &policy).unwrap();
        for seconds in [2, 4, 4] {
            breaker.probe_failed(opening, Duration::ZERO, None, &policy);
            let left = breaker.may_ask(Duration::ZERO, &policy).unwrap_err();
            assert!((SECOND * seconds * 9 / 10..=SECOND * seconds).contains(&left), "{left:?}");
        }
    }

    #[test]
    fn a_server_that_says_when_is_left_alone_until_then_within_reason() {
        for (wanted, kept) in [(47, 47), (86_400, 300), (0, 1)] {
            let (mut breaker, policy) = (Breaker::default(), policy());
            assert!(breaker.failed(Duration::ZERO, Some(SECOND * wanted), &policy).is_some(), "at once");
            assert_eq!(breaker.may_ask(Duration::ZERO, &policy), Err(SECOND * kept), "{wanted}");
        }
    }

    #[test]
    fn without_its_prober_the_next_request_takes_over() {
        let (mut breaker, policy) = (Breaker::default(), policy());
        let opening = breaker.failed(Duration::ZERO, Some(SECOND), &policy).unwrap();
        assert_eq!(breaker.may_ask(2 * SECOND, &policy), Err(policy.attempt_timeout), "the prober is at it");
        breaker.abandoned(opening);
        assert!(breaker.may_ask(SECOND / 2, &policy).is_err(), "not before its time");
        assert!(breaker.may_ask(2 * SECOND, &policy).is_ok());
        assert!(breaker.failed(2 * SECOND, None, &policy).is_some(), "and is the prober now");
        assert!(breaker.may_ask(3 * SECOND, &policy).is_err());
    }

    #[test]
    fn a_prober_that_does_not_come_is_not_waited_for_threat_17() {
        let (mut breaker, policy) = (Breaker::default(), policy().attempt_timeout(SECOND));
        let lost = breaker.failed(Duration::ZERO, Some(SECOND), &policy).unwrap();
        let late = 3 * SECOND;
        assert!(breaker.may_ask(late - SECOND / 10, &policy).is_err(), "it may be at it");
        assert!(breaker.may_ask(late, &policy).is_ok());
        let next = breaker.failed(late, None, &policy).unwrap();
        assert_eq!((breaker.probe_at(lost), breaker.probe_at(next).is_some()), (None, true));
        assert!(breaker.may_ask(late, &policy).is_err());
    }

    #[test]
    fn a_prober_has_no_say_once_it_was_closed_and_opened_again() {
        let (mut breaker, policy) = (Breaker::default(), policy());
        let first = breaker.failed(Duration::ZERO, Some(SECOND), &policy).unwrap();
        assert_eq!(breaker.probe_at(first), Some(SECOND));
        assert!(!breaker.succeeded(SECOND / 2), "it was on its way");
        assert!(breaker.succeeded(SECOND));
        assert_eq!(breaker.probe_at(first), None);
        let second = breaker.failed(SECOND, Some(2 * SECOND), &policy).unwrap();
        breaker.probe_failed(first, SECOND, Some(9 * SECOND), &policy);
        breaker.abandoned(first);
        assert_eq!((breaker.probe_at(first), breaker.probe_at(second)), (None, Some(3 * SECOND)));
        assert!(breaker.may_ask(3 * SECOND, &policy).is_err(), "the second one is at it");
    }
}
