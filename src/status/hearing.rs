//! The feeds that speak of an issuer's tokens → how old what they said is, against what a route wants.

use std::time::Duration;

use super::DrivenFeed;

/// Some feeds at one moment. To be taken before the index is asked: what a feed promises was applied before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hearing {
    /// The age of the oldest word among them; `None`: one of them has not said anything yet.
    age: Option<Duration>,
    /// Whether each is as fresh as its policy and the route want.
    is_fresh: bool,
    /// The least that the policies of those want which are not.
    missed: Option<Duration>,
}

impl Hearing {
    /// `max_age` is what the route wants of each, whatever its policy.
    pub(crate) fn of<'f>(
        feeds: impl IntoIterator<Item = &'f DrivenFeed>,
        max_age: Duration,
        now: Duration,
    ) -> Option<Self> {
        let mut heard: Option<Self> = None;
        for feed in feeds {
            let age = feed.staleness(now);
            let wanted = feed.max_staleness().min(max_age);
            let is_fresh = age.is_some_and(|age| age <= wanted);
            let missed = (!is_fresh).then_some(wanted);
            heard = Some(match heard {
                None => Self { age, is_fresh, missed },
                Some(before) => Self {
                    age: before.age.zip(age).map(|(one, other)| one.max(other)),
                    is_fresh: before.is_fresh && is_fresh,
                    missed: before.missed.into_iter().chain(missed).min(),
                },
            });
        }
        heard
    }

    /// Whether nothing could have been revoked for longer than is accepted.
    pub(crate) const fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// How old the issuer's word may be to stand in for a feed that is too old; `None`: none is.
    pub(crate) const fn missed(&self) -> Option<Duration> {
        self.missed
    }

    /// Whether all of them said something less than this ago.
    pub(crate) fn is_younger_than(&self, age: Duration) -> bool {
        self.age.is_some_and(|of_oldest| of_oldest < age)
    }
}
