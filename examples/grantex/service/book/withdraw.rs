//! A token or a grant → taken back, for a while or for good, and one entry in the feed for each that changes.

use portcullis::clock::UnixTime;
use serde_json::json;

use super::{
    super::feed::{Action, Entry},
    Book, Event,
};

impl Book {
    /// Ends one token. `false` where there is none that could be ended.
    pub(crate) fn revoke_token(&mut self, jti: &str, now: UnixTime) -> bool {
        let Some(token) = self.tokens.get_mut(jti).filter(|token| token.revoked_at.is_none()) else {
            return false;
        };
        token.revoked_at = Some(now);
        let until = token.terms.expires_at;
        let entry = Entry::new(Action::TokenRevoked, &token.terms.id, Some(jti), until, now);
        self.feed.append(entry, until);
        true
    }

    /// Ends a grant and everything that was delegated from it. `None` where there is none that could be ended.
    pub(crate) fn revoke_grant(&mut self, id: &str, now: UnixTime) -> Option<Event> {
        if !self.grants.contains_key(id) || self.is_revoked(id) {
            return None;
        }
        let mut ended = 0;
        for id in self.family(id) {
            if let Some(grant) = self.grants.get_mut(&id).filter(|grant| grant.revoked_at.is_none()) {
                grant.revoked_at = Some(now);
                let until = grant.terms.expires_at;
                self.feed.append(Entry::new(Action::Revoked, &id, None, until, now), until);
                ended += 1;
            }
        }
        Some(Event { kind: "grant.revoked", data: json!({ "grantId": id, "cascade": ended > 1 }) })
    }

    /// Suspends a grant, and with it what was delegated from it. `false` unless it was active.
    pub(crate) fn suspend(&mut self, id: &str, now: UnixTime) -> bool {
        self.change_suspension(id, Some(now), now)
    }

    /// Lifts a suspension, never a revocation. What was delegated goes on too, unless it was suspended by itself.
    pub(crate) fn resume(&mut self, id: &str, now: UnixTime) -> bool {
        self.change_suspension(id, None, now)
    }

    fn change_suspension(&mut self, id: &str, suspended_at: Option<UnixTime>, now: UnixTime) -> bool {
        let before: Vec<_> = self.family(id).into_iter().map(|id| (self.is_usable(&id), id)).collect();
        let Some(grant) = self.grants.get_mut(id) else { return false };
        if grant.revoked_at.is_some() || grant.suspended_at.is_some() == suspended_at.is_some() {
            return false;
        }
        grant.suspended_at = suspended_at;
        let action = if suspended_at.is_some() { Action::Suspended } else { Action::Resumed };
        for (was_usable, id) in before {
            if self.is_usable(&id) != was_usable
                && let Some(grant) = self.grants.get(&id)
            {
                let until = grant.terms.expires_at;
                self.feed.append(Entry::new(action, &id, None, until, now), until);
            }
        }
        true
    }

    fn is_usable(&self, id: &str) -> bool {
        self.grants.get(id).is_some_and(|grant| self.withdrawn(grant).is_none())
    }

    /// A grant and all that was delegated from it, parents first.
    fn family(&self, id: &str) -> Vec<String> {
        let mut family = vec![id.to_owned()];
        let mut next = 0;
        while let Some(grant) = family.get(next).map(|id| self.grants.get(id)) {
            family.extend(grant.into_iter().flat_map(|grant| grant.children.iter().cloned()));
            next += 1;
        }
        family
    }
}
