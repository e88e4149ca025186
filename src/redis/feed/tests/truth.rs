//! What was told to the log, and what came of that → which tokens have to be refused, and since when.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    clock::UnixTime,
    status::{Revocation, RevocationEvent},
    testing::ManualClock,
};

pub(super) const ISSUER: &str = "https://issuer.test";

/// So many tokens: each of a session, two of a subject each. Those of the last subject may be suspended.
pub(super) const TOKENS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Token(usize),
    Session(usize),
    Subject(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Revoke,
    Suspend,
    Resume,
}

/// Something that was told to the log, perhaps more than once.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) what: What,
    pub(super) target: Target,
    /// Whether it is about tokens that were issued before any of ours.
    is_vain: bool,
    /// In true time.
    until: Duration,
    pub(super) event: RevocationEvent,
    /// When it was told last, in the order of all.
    order: usize,
    /// Since when it has to be known, and when in the order of all it was told so that it had to.
    acknowledged: Option<(Duration, usize)>,
}

/// What a replica that is in step makes of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Refused,
    Either,
    Permitted,
}

#[derive(Default)]
pub(super) struct Truth {
    pub(super) told: Vec<Told>,
    order: usize,
    /// What was acknowledged before counts from now on only.
    pub(super) trusted_since: Duration,
}

/// Tokens that are over may be accepted for as long as this.
const GRACE: Duration = Duration::from_secs(60);

impl Told {
    fn covers(&self, token: usize) -> bool {
        !self.is_vain
            && match self.target {
                Target::Token(number) | Target::Session(number) => number == token,
                Target::Subject(number) => number == token / 2,
            }
    }

    fn is_over(&self, now: Duration) -> bool {
        now > self.until
    }
}

impl Truth {
    /// One more event, decided at `now`, which is over after `lifetime`. Returned is its number.
    pub(super) fn event(
        &mut self,
        what: What,
        target: Target,
        is_vain: bool,
        now: Duration,
        lifetime: Option<Duration>,
        texts: &[String],
    ) -> usize {
        let wall = |time: Duration| ManualClock::START.saturating_add(time);
        let issuer = Some(ISSUER);
        let mut about = match target {
            Target::Token(number) => Revocation::token(&texts[number]),
            Target::Session(number) => Revocation::session(issuer, &format!("s-{number}")),
            Target::Subject(number) => {
                let latest = if is_vain { UnixTime::from_secs(ManualClock::START.as_secs() - 10) } else { wall(now) };
                Revocation::subject(issuer, &format!("u-{number}"), latest)
            }
        };
        if let Some(lifetime) = lifetime {
            about = about.expires_at(wall(now + lifetime));
        }
        let event = match what {
            What::Revoke => RevocationEvent::Revoked(about),
            What::Suspend => RevocationEvent::Suspended(about),
            What::Resume => RevocationEvent::Resumed(about),
        };
        let until = lifetime.map_or(Duration::MAX, |lifetime| now + lifetime + GRACE);
        self.told.push(Told { what, target, is_vain, until, event, order: 0, acknowledged: None });
        self.told.len() - 1
    }

    /// It is told to somebody now.
    pub(super) fn tried(&mut self, number: usize) {
        self.order += 1;
        self.told[number].order = self.order;
    }

    /// It was acknowledged by the log that counts.
    pub(super) fn acknowledged(&mut self, number: usize, now: Duration, was_required: bool) {
        let told = &mut self.told[number];
        let since = told.acknowledged.filter(|_| was_required).map_or(now, |(since, _)| since);
        told.acknowledged = Some((since, told.order));
    }

    /// This is all that the log that counts knows. Returned is what was acknowledged beside that.
    pub(super) fn known(&mut self, known: &[usize]) -> Vec<usize> {
        let lost = |(number, told): (usize, &mut Told)| {
            let is_lost = !known.contains(&number) && told.acknowledged.take().is_some();
            is_lost.then_some(number)
        };
        self.told.iter_mut().enumerate().filter_map(lost).collect()
    }

    /// Whether everything that was acknowledged is among these.
    pub(super) fn is_whole(&self, known: &[usize]) -> bool {
        let is_kept = |(number, told): (usize, &Told)| told.acknowledged.is_none() || known.contains(&number);
        self.told.iter().enumerate().all(is_kept)
    }

    /// Since when it has to be known.
    pub(super) fn required(&self, number: usize) -> Option<Duration> {
        let told = &self.told[number];
        let (since, order) = told.acknowledged?;
        let lifts = |other: &Told| other.what == What::Resume && other.target == told.target && other.order > order;
        let is_lifted = told.what == What::Suspend && self.told.iter().any(lifts);
        (told.what != What::Resume && !is_lifted).then_some(since.max(self.trusted_since))
    }

    /// Of each token, since when it has to be refused, and until when.
    pub(super) fn demands(&self) -> Vec<(usize, Duration, Duration)> {
        let mut demands = Vec::new();
        for (number, told) in self.told.iter().enumerate() {
            let Some(since) = self.required(number) else { continue };
            demands.extend((0..TOKENS).filter(|token| told.covers(*token)).map(|token| (token, since, told.until)));
        }
        demands
    }

    /// Until when a replica that refuses the token has to refuse it whatever happens: what it knows of is no suspension.
    pub(super) fn sticks_until(&self, token: usize) -> Option<Duration> {
        let about: Vec<_> = self.told.iter().filter(|told| told.covers(token) && told.order > 0).collect();
        let is_suspended = about.iter().any(|told| told.what == What::Suspend);
        about.iter().map(|told| told.until).min().filter(|_| !is_suspended)
    }

    /// What a replica that follows a log of these events, in their order, makes of a token, having known others or not.
    pub(super) fn fate(&self, token: usize, log: &[usize], now: Duration, is_new: bool) -> Fate {
        let mut suspended: BTreeMap<Target, Vec<&Told>> = BTreeMap::new();
        let mut about = Vec::new();
        for told in log.iter().map(|number| &self.told[*number]).filter(|told| told.covers(token)) {
            match told.what {
                What::Revoke => about.push(told),
                What::Suspend => suspended.entry(told.target).or_default().push(told),
                What::Resume => drop(suspended.remove(&told.target)),
            }
        }
        about.extend(suspended.into_values().flatten());
        let was_told = |told: &Told| told.what == What::Revoke && told.covers(token) && told.order > 0;
        if about.iter().any(|told| !told.is_over(now)) {
            Fate::Refused
        } else if !about.is_empty() || (!is_new && self.told.iter().any(was_told)) {
            Fate::Either
        } else {
            Fate::Permitted
        }
    }
}
