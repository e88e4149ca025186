//! Names of keys that a fresh set did not have.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// More are not remembered: the cooldown bounds what they can cause.
const CAPACITY: usize = 1024;

/// Remembers for a while which `kid`s are not worth another fetch. Bounded; holds keyed hashes, not what callers sent.
#[derive(Debug, Default)]
pub(super) struct UnknownKeys {
    hasher: RandomState,
    until: Mutex<HashMap<u64, Duration>>,
}

impl UnknownKeys {
    pub(super) fn contains(&self, key_id: &str, now: Duration) -> bool {
        self.lock().get(&self.hasher.hash_one(key_id)).is_some_and(|&until| now < until)
    }

    pub(super) fn insert(&self, key_id: &str, now: Duration, until: Duration) {
        let mut known = self.lock();
        if known.len() >= CAPACITY {
            known.retain(|_, &mut until| now < until);
        }
        if known.len() < CAPACITY {
            known.insert(self.hasher.hash_one(key_id), until);
        }
    }

    /// A changed set may know what its predecessor did not.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Held for a map operation at a time, and only where a token names no known key.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Duration>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_threat_18() {
        let unknown = UnknownKeys::default();
        let minute = Duration::from_secs(60);
        for number in 0..10 * CAPACITY {
            unknown.insert(&number.to_string(), Duration::ZERO, minute);
        }
        assert_eq!(unknown.lock().len(), CAPACITY);
        assert!(unknown.contains("0", Duration::ZERO));
        assert!(!unknown.contains("0", minute));
        unknown.insert("late", minute, 2 * minute);
        assert!(unknown.contains("late", minute));
        assert_eq!(unknown.lock().len(), 1);
    }
}
