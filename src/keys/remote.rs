//! A JWKS URL or an issuer to discover → keys that stay fresh.
//!
//! One task per issuer fetches; requests only read, ask and wait. So a fetch is single flight, no request's end can
//! cancel it, no issuer can hold up another, and a token's word costs at most one fetch per cooldown.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::{
    FetchError, KeyQuestion, KeySet, RefreshPolicy,
    demand::{Demand, Granted},
    fetch::{Fetched, Memory, Place, fetch},
    jwk::JwkRules,
    snapshot::Snapshot,
    unknown::UnknownKeys,
};
use crate::{
    clock::SharedClock,
    issuer::Transport,
    observe,
    tasks::{NoRuntime, TaskGuard, jittered},
};

/// What became of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyAnswer {
    /// An attempt ended since; whether it brought anything, the snapshot tells.
    Attempted,
    /// The request's patience ended first.
    TimedOut,
}

/// A remote key set and its refresher, which ends with it.
#[derive(Debug)]
pub(crate) struct RemoteKeys {
    shared: Arc<Shared>,
    _refresher: TaskGuard,
}

struct Shared {
    label: Box<str>,
    place: Place,
    rules: JwkRules,
    policy: RefreshPolicy,
    transport: Arc<dyn Transport>,
    clock: SharedClock,
    snapshot: ArcSwap<Snapshot>,
    unknown: UnknownKeys,
    demand: Demand,
    /// Wakes the refresher.
    bell: Notify,
    /// How many attempts have ended.
    attempts: watch::Sender<u64>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("label", &self.label).field("place", &self.place).finish_non_exhaustive()
    }
}

impl RemoteKeys {
    /// Starts to fetch at once, on the current tokio runtime.
    pub(super) fn start(
        label: &str,
        place: Place,
        rules: JwkRules,
        policy: RefreshPolicy,
        transport: Arc<dyn Transport>,
        clock: SharedClock,
    ) -> Result<Self, NoRuntime> {
        let shared = Arc::new(Shared {
            label: label.into(),
            place,
            rules,
            policy,
            transport,
            clock,
            snapshot: ArcSwap::from_pointee(Snapshot::first()),
            unknown: UnknownKeys::default(),
            demand: Demand::default(),
            bell: Notify::new(),
            attempts: watch::Sender::new(0),
        });
        let refresher = TaskGuard::spawn(Arc::clone(&shared).keep_fresh())?;
        Ok(Self { shared, _refresher: refresher })
    }

    /// The keys that may be used now, with the generation of the set.
    pub(crate) fn current(&self, now: Duration) -> Option<(KeySet, u64)> {
        let snapshot = self.shared.snapshot.load();
        snapshot.keys(now).map(|keys| (keys.clone(), snapshot.generation))
    }

    /// The generation of the keys that may be used now.
    pub(crate) fn generation(&self, now: Duration) -> Option<u64> {
        let snapshot = self.shared.snapshot.load();
        snapshot.keys(now).map(|_| snapshot.generation)
    }

    /// Whether asking is worth while: pure, from memory.
    pub(crate) fn may_answer(&self, question: &KeyQuestion, now: Duration) -> bool {
        let remembered = match question {
            KeyQuestion::UnknownKey(Some(id)) => self.shared.unknown.contains(id, now),
            _ => false,
        };
        let shared = &*self.shared;
        let is_coming = shared.snapshot.load().in_flight;
        !remembered && (is_coming || shared.demand.would_grant(question, now, &shared.policy))
    }

    /// Whether the last attempt failed, so that what we know may be out of date.
    pub(crate) fn in_trouble(&self) -> bool {
        let snapshot = self.shared.snapshot.load();
        snapshot.failures > 0 || snapshot.generation == 0
    }

    /// How long until the next attempt by itself.
    pub(crate) fn next_attempt_in(&self, now: Duration) -> Duration {
        self.shared.snapshot.load().next_attempt.saturating_sub(now)
    }

    /// Asks for fresher keys and waits for the attempt, no longer than the policy's patience.
    pub(crate) async fn ask(&self, question: &KeyQuestion) -> KeyAnswer {
        let shared = &*self.shared;
        // Subscribed before the question is put: an attempt that ends in between counts.
        let mut attempts = shared.attempts.subscribe();
        let now = shared.clock.now().monotonic();
        let began_before = shared.snapshot.load().in_flight;
        if !began_before {
            if !self.may_answer(question, now) {
                return KeyAnswer::Attempted;
            }
            match shared.demand.ask(question, now, &shared.policy) {
                Granted::Fetch => shared.bell.notify_one(),
                Granted::Joined => {}
                Granted::Nothing => return KeyAnswer::Attempted,
            }
        }
        let answer = tokio::select! {
            biased;
            // An error means that the refresher is gone: nothing more will come.
            _ = attempts.changed() => KeyAnswer::Attempted,
            () = shared.clock.sleep(shared.policy.patience) => KeyAnswer::TimedOut,
        };
        // An attempt that was under way may have been answered before the key was published.
        if let (KeyQuestion::UnknownKey(Some(id)), false) = (question, began_before) {
            shared.note_if_unknown(id);
        }
        answer
    }

    /// Waits until there are keys.
    pub(crate) async fn loaded(&self, clock: &SharedClock) {
        let mut attempts = self.shared.attempts.subscribe();
        while self.current(clock.now().monotonic()).is_none() && attempts.changed().await.is_ok() {}
    }
}

impl Shared {
    async fn keep_fresh(self: Arc<Self>) {
        let mut memory = Memory::default();
        loop {
            self.attempt(&mut memory).await;
            self.wait_until_due().await;
        }
    }

    /// Until the keys are due, or a request was granted a fetch.
    async fn wait_until_due(&self) {
        loop {
            let now = self.clock.now().monotonic();
            let due = self.snapshot.load().next_attempt;
            if now >= due {
                return;
            }
            tokio::select! {
                () = self.clock.sleep(due.saturating_sub(now)) => {}
                () = self.bell.notified() => if self.demand.is_pending() { return },
            }
        }
    }

    async fn attempt(&self, memory: &mut Memory) {
        let started = self.clock.now().monotonic();
        self.snapshot.store(Arc::new(self.snapshot.load().started()));
        self.demand.begun();
        let fetching = fetch(&self.place, &self.rules, &self.policy, &*self.transport, memory, started);
        let outcome = tokio::select! {
            outcome = fetching => outcome,
            () = self.clock.sleep(self.policy.fetch_timeout) => Err(FetchError::TimedOut(self.policy.fetch_timeout)),
        };
        let now = self.clock.now().monotonic();
        let before = self.snapshot.load_full();
        let after = match outcome {
            Ok(Fetched { changed, fresh_for }) => {
                if let Some(keys) = &changed {
                    observe::keys_changed(&self.label, keys.keys().len(), keys.skipped().len());
                    self.unknown.clear();
                }
                before.succeeded(changed, jittered(fresh_for), now, &self.policy)
            }
            Err(error) => {
                observe::keys_unavailable(&self.label, &error);
                before.failed(jittered(backoff(before.failures)), now)
            }
        };
        self.snapshot.store(Arc::new(after));
        self.attempts.send_modify(|attempts| *attempts += 1);
    }

    /// A fresh set without this key is an answer; a failed attempt is none.
    fn note_if_unknown(&self, key_id: &str) {
        let now = self.clock.now().monotonic();
        let snapshot = self.snapshot.load();
        let is_unknown = snapshot.keys(now).is_some_and(|keys| !keys.knows(key_id));
        if is_unknown && !snapshot.in_flight && snapshot.failures == 0 {
            self.unknown.insert(key_id, now, now.saturating_add(self.policy.unknown_for));
        }
    }
}

/// One second, doubled with every failure, up to a minute.
fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(failures.min(6)).unwrap_or(64)).min(Duration::from_secs(60))
}
