//! Events → what they come to, as short as it can be said.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use crate::{
    clock::{Now, UnixTime},
    status::{Revocation, RevocationEvent, RevocationTarget},
};

/// Tokens may be accepted this much later than they expire: the greatest leeway there is, and as much for clocks that
/// disagree.
const GRACE: Duration = Duration::from_secs(10 * 60);

/// Whose tokens, and what they have in common.
type Key = (Option<Box<str>>, RevocationTarget);

/// All that counts at the end of a log.
#[derive(Debug, Default)]
pub(super) struct State {
    revoked: HashMap<Key, Known>,
    suspended: HashMap<Key, Known>,
    /// Expired ones are looked for when there are twice as many entries as the last search left, and when there is no
    /// room; then once a second.
    search_at: usize,
    searched: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    issued_up_to: Option<UnixTime>,
    expires_at: Option<UnixTime>,
    revoked_at: Option<UnixTime>,
    /// Not forgotten earlier than this by the monotonic clock: setting the wall clock ahead forgets nothing.
    kept_until: Duration,
}

impl Known {
    fn new(about: &Revocation, now: Now) -> Self {
        let expires_at = about.expiry();
        let left = expires_at.map_or(Duration::MAX, |expiry| expiry.since(now.wall()));
        let kept_until = now.monotonic().saturating_add(left).saturating_add(GRACE);
        Self { issued_up_to: about.latest_issue(), expires_at, revoked_at: about.decision(), kept_until }
    }

    /// Everything that is in one or the other.
    fn united(self, other: Self) -> Self {
        let later = |one: Option<UnixTime>, other: Option<UnixTime>| one.zip(other).map(|(one, other)| one.max(other));
        Self {
            issued_up_to: later(self.issued_up_to, other.issued_up_to),
            expires_at: later(self.expires_at, other.expires_at),
            // No decision is older than one of unknown age.
            revoked_at: later(self.revoked_at, other.revoked_at),
            kept_until: self.kept_until.max(other.kept_until),
        }
    }

    /// Whether no such token can be accepted any more, by both clocks.
    fn is_over(self, now: Now) -> bool {
        let is_over = self.expires_at.is_some_and(|expiry| now.wall() >= expiry.saturating_add(GRACE));
        is_over && now.monotonic() >= self.kept_until
    }

    fn told(self, (issuer, target): &Key) -> Revocation {
        let mut revocation = Revocation::new(issuer.as_deref(), target.clone());
        if let Some(instant) = self.issued_up_to {
            revocation = revocation.issued_up_to(instant);
        }
        if let Some(instant) = self.expires_at {
            revocation = revocation.expires_at(instant);
        }
        if let Some(instant) = self.revoked_at {
            revocation = revocation.revoked_at(instant);
        }
        revocation
    }
}

impl State {
    pub(super) fn len(&self) -> usize {
        self.revoked.len() + self.suspended.len()
    }

    /// Takes an event in, unless that would make more entries than `capacity`.
    pub(super) fn apply(&mut self, event: &RevocationEvent, now: Now, capacity: usize) -> Result<(), ()> {
        let is_again = now.monotonic() >= self.searched.saturating_add(Duration::from_secs(1));
        if self.len() >= self.search_at.max(64) || (self.len() >= capacity && is_again) {
            self.forget_expired(now);
        }
        let is_full = self.len() >= capacity;
        let (map, about) = match event {
            RevocationEvent::Resumed(about) => {
                self.suspended.remove(&key(about));
                return Ok(());
            }
            RevocationEvent::Revoked(about) => (&mut self.revoked, about),
            RevocationEvent::Suspended(about) => (&mut self.suspended, about),
        };
        let new = Known::new(about, now);
        match map.entry(key(about)) {
            Entry::Occupied(mut known) => {
                known.insert(known.get().united(new));
            }
            Entry::Vacant(_) if is_full => return Err(()),
            Entry::Vacant(place) => {
                place.insert(new);
            }
        }
        Ok(())
    }

    /// What somebody who knows nothing has to be told, or how much that would be where it is more than `max`.
    pub(super) fn told(&self, now: Now, max: usize) -> Option<Vec<RevocationEvent>> {
        let counts = |(_, known): &(&Key, &Known)| !known.is_over(now);
        let revoked = self.revoked.iter().filter(counts).map(|(key, known)| RevocationEvent::Revoked(known.told(key)));
        let suspended =
            self.suspended.iter().filter(counts).map(|(key, known)| RevocationEvent::Suspended(known.told(key)));
        let mut events: Vec<_> = revoked.chain(suspended).take(max.saturating_add(1)).collect();
        events.shrink_to_fit();
        (events.len() <= max).then_some(events)
    }

    fn forget_expired(&mut self, now: Now) {
        self.revoked.retain(|_, known| !known.is_over(now));
        self.suspended.retain(|_, known| !known.is_over(now));
        self.search_at = self.len().saturating_mul(2);
        self.searched = now.monotonic();
    }
}

fn key(about: &Revocation) -> Key {
    (about.issuer_identifier().map(Into::into), about.target().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use RevocationEvent::{Resumed, Revoked, Suspended};

    fn at(second: u64) -> Now {
        Now::new(UnixTime::from_secs(1_000_000 + second), Duration::from_secs(second))
    }

    fn session(id: u64) -> Revocation {
        Revocation::session(Some("a"), &id.to_string())
    }

    #[test]
    fn what_was_said_twice_is_told_once_and_covers_both() {
        let mut state = State::default();
        let about = |up_to, end| {
            Revoked(
                Revocation::subject(Some("a"), "u", UnixTime::from_secs(up_to)).expires_at(UnixTime::from_secs(end)),
            )
        };
        for event in [about(5, 2_000_000), about(9, 1_500_000), about(7, 1_900_000)] {
            state.apply(&event, at(0), 1).unwrap();
        }
        assert_eq!(state.told(at(0), 1), Some(vec![about(9, 2_000_000)]));
        // Once it had no end, it has none.
        state.apply(&Revoked(Revocation::new(Some("a"), RevocationTarget::Subject("u".into()))), at(0), 1).unwrap();
        state.apply(&about(9, 2_000_000), at(0), 1).unwrap();
        let all = Revoked(Revocation::new(Some("a"), RevocationTarget::Subject("u".into())));
        assert_eq!(state.told(at(0), 1), Some(vec![all]));
        assert_eq!(state.told(at(0), 0), None, "more than was asked for");
    }

    #[test]
    fn resuming_lifts_suspensions_and_no_revocation() {
        let mut state = State::default();
        for event in [Revoked(session(1)), Suspended(session(1)), Suspended(session(2)), Resumed(session(1))] {
            state.apply(&event, at(0), 9).unwrap();
        }
        assert_eq!(state.told(at(0), 9), Some(vec![Revoked(session(1)), Suspended(session(2))]));
    }

    #[test]
    fn a_full_state_forgets_the_expired_and_nothing_else_threat_28() {
        let mut state = State::default();
        let end = UnixTime::from_secs(1_000_100);
        for id in 0..10 {
            state.apply(&Revoked(session(id).expires_at(end)), at(0), 10).unwrap();
        }
        assert!(state.apply(&Revoked(session(10)), at(699), 10).is_err(), "tokens with leeway may still be accepted");
        assert!(state.apply(&Revoked(session(9)), at(699), 10).is_ok(), "it is known already");
        assert!(state.apply(&Resumed(session(9)), at(699), 10).is_ok());
        assert_eq!(state.told(at(699), 10).unwrap().len(), 10);
        assert!(state.apply(&Revoked(session(10)), at(700), 10).is_ok());
        // The ninth was said again, with no end.
        assert_eq!(state.len(), 2);
    }

    #[test]
    fn a_step_of_the_wall_clock_forgets_nothing_threat_26() {
        let mut state = State::default();
        let end = UnixTime::from_secs(1_000_100);
        state.apply(&Revoked(session(1).expires_at(end)), at(0), 1).unwrap();
        let stepped = Now::new(UnixTime::from_secs(9_000_000), Duration::from_secs(1));
        assert_eq!(state.told(stepped, 1).unwrap().len(), 1);
        assert!(state.apply(&Revoked(session(2)), stepped, 1).is_err());
        assert_eq!(state.told(at(700), 1).unwrap().len(), 0);
    }
}
