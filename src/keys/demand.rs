//! What requests may cause: at most one fetch per cause and cooldown, shared by all who ask meanwhile.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::RefreshPolicy;

/// What a request would like fresher keys for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyQuestion {
    /// There are none at all.
    NoKeys,
    /// None answers to this `kid`, or to none.
    UnknownKey(Option<Box<str>>),
    /// The one that answers did not make the signature, or could not have; it may have been replaced under the same name.
    BadSignature,
    /// Those at hand do, and nobody keeps them fresh any more.
    Neglected,
}

/// The fetches that requests have caused. A flood of bad signatures must not use up what a new `kid` needs, so that
/// each cause has its own cooldown.
#[derive(Debug, Default)]
pub(super) struct Demand(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Granted, and not begun yet.
    is_pending: bool,
    /// When any fetch began last, also by the clock: while there are no keys, nobody adds to those attempts.
    last_begun: Option<Duration>,
    last_unknown: Option<Duration>,
    last_bad_signature: Option<Duration>,
}

impl State {
    fn is_cool(&self, question: &KeyQuestion, now: Duration, policy: &RefreshPolicy) -> bool {
        let (last, cooldown) = match question {
            KeyQuestion::NoKeys | KeyQuestion::Neglected => (self.last_begun, policy.cooldown),
            KeyQuestion::UnknownKey(_) => (self.last_unknown, policy.cooldown),
            KeyQuestion::BadSignature => (self.last_bad_signature, policy.signature_cooldown),
        };
        last.is_none_or(|last| now >= last.saturating_add(cooldown))
    }
}

/// What became of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    /// A fetch of one's own; the refresher must be told.
    Fetch,
    /// The fetch that somebody else was granted.
    Joined,
    /// It is too soon.
    Nothing,
}

impl Demand {
    /// Whether a fetch is about to begin, or would be granted.
    pub(super) fn would_grant(&self, question: &KeyQuestion, now: Duration, policy: &RefreshPolicy) -> bool {
        let state = self.lock();
        state.is_pending || state.is_cool(question, now, policy)
    }

    /// Grants a fetch, or joins the one that is about to begin.
    pub(super) fn ask(&self, question: &KeyQuestion, now: Duration, policy: &RefreshPolicy) -> Granted {
        let mut state = self.lock();
        if state.is_pending {
            return Granted::Joined;
        }
        if !state.is_cool(question, now, policy) {
            return Granted::Nothing;
        }
        state.is_pending = true;
        match question {
            KeyQuestion::NoKeys | KeyQuestion::Neglected => {}
            KeyQuestion::UnknownKey(_) => state.last_unknown = Some(now),
            KeyQuestion::BadSignature => state.last_bad_signature = Some(now),
        }
        Granted::Fetch
    }

    /// Whether a fetch was granted that has not begun.
    pub(super) fn is_pending(&self) -> bool {
        self.lock().is_pending
    }

    /// A fetch has begun, granted or by the clock.
    pub(super) fn begun(&self, now: Duration) {
        let mut state = self.lock();
        state.is_pending = false;
        state.last_begun = Some(now);
    }

    /// Held for a comparison at a time, and only where the keys at hand do not answer.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_cooldown_threat_18() {
        let (demand, policy) = (Demand::default(), RefreshPolicy::default());
        let unknown = KeyQuestion::UnknownKey(Some("a".into()));
        let at = Duration::from_secs;
        // (second, question, granted); a granted fetch begins at once.
        let rows = [
            (0, &KeyQuestion::BadSignature, true),
            (1, &KeyQuestion::BadSignature, false),
            (1, &unknown, true),
            (10, &unknown, false),
            (11, &unknown, true),
            (59, &KeyQuestion::BadSignature, false),
            (60, &KeyQuestion::BadSignature, true),
        ];
        for (second, question, granted) in rows {
            assert_eq!(demand.would_grant(question, at(second), &policy), granted, "{second} {question:?}");
            let expected = if granted { Granted::Fetch } else { Granted::Nothing };
            assert_eq!(demand.ask(question, at(second), &policy), expected, "{second} {question:?}");
            demand.begun(at(second));
        }
    }

    #[test]
    fn whoever_asks_before_it_begins_joins() {
        let (demand, policy) = (Demand::default(), RefreshPolicy::default());
        let ask = || demand.ask(&KeyQuestion::NoKeys, Duration::ZERO, &policy);
        assert_eq!((ask(), ask()), (Granted::Fetch, Granted::Joined));
        demand.begun(Duration::ZERO);
        assert_eq!(ask(), Granted::Nothing);
    }
}
