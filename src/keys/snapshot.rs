//! What memory knows of a remote key set at one moment, and what may be asked. Pure.

use std::{sync::Arc, time::Duration};

use super::{KeySet, RefreshPolicy};

/// The state of a remote key set: replaced as a whole by its refresher, read by every request.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    keys: Option<KeySet>,
    /// Grows with every change of the set.
    pub(super) generation: u64,
    /// When the keys end to be fresh and are due to be fetched again, attempts permitting.
    pub(super) next_attempt: Duration,
    /// From when on the keys must not be used any more.
    usable_until: Duration,
    pub(super) in_flight: bool,
    /// How many attempts have ended.
    pub(super) ended: u64,
    /// Attempts that failed since the last one that did not.
    pub(super) failures: u32,
    /// What is wrong, as the last attempt found it.
    pub(super) trouble: Option<Arc<str>>,
}

impl Snapshot {
    /// Before the first attempt, which is under way from the first moment: early requests wait for it.
    pub(super) fn first() -> Self {
        Self { in_flight: true, ..Self::default() }
    }

    /// The keys, while they may be used.
    pub(super) fn keys(&self, now: Duration) -> Option<&KeySet> {
        self.keys.as_ref().filter(|keys| now < self.usable_until && !keys.keys().is_empty())
    }

    pub(super) fn started(&self) -> Self {
        Self { in_flight: true, ..self.clone() }
    }

    /// The keys were read, or the server said that they have not changed (`changed` is `None`).
    pub(super) fn succeeded(
        &self,
        changed: Option<KeySet>,
        fresh_for: Duration,
        now: Duration,
        policy: &RefreshPolicy,
    ) -> Self {
        let generation = self.generation + u64::from(changed.is_some());
        let keys = changed.or_else(|| self.keys.clone());
        // An issuer that publishes nothing usable has withdrawn what it published before.
        let is_empty = keys.as_ref().is_some_and(|keys| keys.keys().is_empty());
        let next_attempt = now.saturating_add(fresh_for);
        Self {
            generation,
            keys,
            trouble: is_empty.then(|| "the published key set holds no usable key".into()),
            next_attempt,
            usable_until: next_attempt.saturating_add(policy.max_stale),
            in_flight: false,
            ended: self.ended + 1,
            failures: 0,
        }
    }

    pub(super) fn failed(&self, trouble: &str, retry_in: Duration, now: Duration) -> Self {
        Self {
            trouble: Some(trouble.into()),
            next_attempt: now.saturating_add(retry_in),
            in_flight: false,
            ended: self.ended + 1,
            failures: self.failures.saturating_add(1),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_changed_set_is_a_new_generation() {
        let (policy, minute) = (RefreshPolicy::default(), Duration::from_secs(60));
        let loaded = Snapshot::first().succeeded(Some(KeySet::default()), minute, Duration::ZERO, &policy);
        assert_eq!(loaded.generation, 1);
        let same = loaded.started().succeeded(None, minute, minute, &policy);
        assert_eq!((same.generation, same.next_attempt), (1, 2 * minute));
        assert_eq!(same.started().failed("down", minute, minute).generation, 1);
        assert_eq!(same.succeeded(Some(KeySet::default()), minute, minute, &policy).generation, 2);
    }
}
