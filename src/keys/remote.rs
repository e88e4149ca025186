//! A JWKS URL or an issuer to discover → keys that stay fresh.
//!
//! One task per issuer fetches; requests only read, ask and wait. So a fetch is single flight, no request's end can
//! cancel it, no issuer can hold up another, and a token's word costs at most one fetch per cooldown.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

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
    tasks::{NoRuntime, TaskGuard, caught, jittered},
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
    /// Locked to start it, and to start it again where its runtime has ended before us.
    refresher: Mutex<TaskGuard>,
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
    /// Whether the refresher's task has ended.
    has_ended: AtomicBool,
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
            has_ended: AtomicBool::new(false),
        });
        let refresher = TaskGuard::spawn(keep_fresh(Refresher(Arc::clone(&shared))))?;
        Ok(Self { shared, refresher: Mutex::new(refresher) })
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

    /// How long until the next attempt by itself; nothing, while one is under way.
    pub(crate) fn next_attempt_in(&self, now: Duration) -> Duration {
        let snapshot = self.shared.snapshot.load();
        if snapshot.in_flight { Duration::ZERO } else { snapshot.next_attempt.saturating_sub(now) }
    }

    /// What is wrong with the keys, if anything.
    pub(crate) fn trouble(&self) -> Option<Arc<str>> {
        self.shared.snapshot.load().trouble.clone()
    }

    /// Asks for fresher keys and waits for the attempt, no longer than the policy's patience.
    pub(crate) async fn ask(&self, question: &KeyQuestion) -> KeyAnswer {
        self.see_to_refresher();
        let shared = &*self.shared;
        let mut patience = shared.clock.sleep(shared.policy.patience);
        // An attempt that was under way may have been answered before the key was published: then once more.
        for _ in 0..2 {
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
            tokio::select! {
                biased;
                _ = attempts.changed() => {}
                () = &mut patience => return KeyAnswer::TimedOut,
            }
            match question {
                KeyQuestion::UnknownKey(Some(id)) if began_before && shared.is_unknown(id) => {}
                KeyQuestion::UnknownKey(Some(id)) if shared.is_unknown(id) => {
                    let now = shared.clock.now().monotonic();
                    shared.unknown.insert(id, now, now.saturating_add(shared.policy.unknown_for));
                    return KeyAnswer::Attempted;
                }
                _ => return KeyAnswer::Attempted,
            }
        }
        KeyAnswer::Attempted
    }

    /// Waits until there are keys.
    pub(crate) async fn loaded(&self, clock: &SharedClock) {
        self.see_to_refresher();
        let mut attempts = self.shared.attempts.subscribe();
        while self.current(clock.now().monotonic()).is_none() && attempts.changed().await.is_ok() {}
    }

    /// Starts the refresher again where the runtime that it ran on is gone: an authorizer may outlive it.
    fn see_to_refresher(&self) {
        if !self.shared.has_ended.load(Ordering::Acquire) {
            return;
        }
        let mut refresher = self.refresher.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.has_ended.load(Ordering::Acquire) {
            let again = Refresher(Arc::clone(&self.shared));
            self.shared.has_ended.store(false, Ordering::Release);
            self.shared.snapshot.store(Arc::new(self.shared.snapshot.load().started()));
            // Without a runtime the new refresher is dropped, and has ended as the old one.
            if let Ok(task) = TaskGuard::spawn(keep_fresh(again)) {
                *refresher = task;
            }
        }
    }
}

/// The refresher's end of what it shares. When it is dropped, whatever the reason, nobody waits for it any longer.
struct Refresher(Arc<Shared>);

impl Drop for Refresher {
    fn drop(&mut self) {
        let now = self.0.clock.now().monotonic();
        let after = self.0.snapshot.load().failed("the refresher has ended", Duration::ZERO, now);
        self.0.snapshot.store(Arc::new(after));
        self.0.has_ended.store(true, Ordering::Release);
        self.0.attempts.send_modify(|attempts| *attempts += 1);
    }
}

async fn keep_fresh(refresher: Refresher) {
    let shared = &*refresher.0;
    let mut memory = Memory::default();
    loop {
        shared.attempt(&mut memory).await;
        shared.wait_until_due().await;
    }
}

impl Shared {
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
        self.demand.begun(started);
        let outcome = {
            let fetching = caught(fetch(&self.place, &self.rules, &self.policy, &*self.transport, memory, started));
            tokio::select! {
                outcome = fetching => outcome.unwrap_or(Err(FetchError::Panicked)),
                () = self.clock.sleep(self.policy.fetch_timeout) => Err(FetchError::TimedOut(self.policy.fetch_timeout)),
            }
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
                // What was remembered may be half of something.
                if matches!(error, FetchError::Panicked) {
                    *memory = Memory::default();
                }
                let trouble = observe::chain(&error);
                observe::keys_unavailable(&self.label, &trouble);
                before.failed(&trouble, jittered(backoff(before.failures)), now)
            }
        };
        self.snapshot.store(Arc::new(after));
        self.attempts.send_modify(|attempts| *attempts += 1);
    }

    /// A fresh set without this key is an answer; a failed attempt is none.
    fn is_unknown(&self, key_id: &str) -> bool {
        let snapshot = self.snapshot.load();
        let keys = snapshot.keys(self.clock.now().monotonic());
        !snapshot.in_flight && snapshot.failures == 0 && keys.is_some_and(|keys| !keys.knows(key_id))
    }
}

/// One second, doubled with every failure, up to a minute.
fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(failures.min(6)).unwrap_or(64)).min(Duration::from_secs(60))
}
