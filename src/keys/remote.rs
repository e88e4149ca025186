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

    /// Whether the refresher is gone, and it is time to start it again.
    pub(crate) fn is_neglected(&self, now: Duration) -> bool {
        self.shared.has_ended.load(Ordering::Acquire) && self.may_answer(&KeyQuestion::Neglected, now)
    }

    /// Asks for fresher keys and waits for the attempt, no longer than the policy's patience.
    pub(crate) async fn ask(&self, question: &KeyQuestion) -> KeyAnswer {
        let shared = &*self.shared;
        let mut patience = shared.clock.sleep(shared.policy.patience);
        for round in 0..2 {
            let now = shared.clock.now().monotonic();
            let before = shared.snapshot.load_full();
            // It may be answered, or have been, as things were before the question arose: then once more.
            let is_older = before.in_flight && round == 0;
            if !before.in_flight {
                if !self.may_answer(question, now) {
                    return KeyAnswer::Attempted;
                }
                match shared.demand.ask(question, now, &shared.policy) {
                    Granted::Fetch => shared.bell.notify_one(),
                    Granted::Joined => {}
                    Granted::Nothing => return KeyAnswer::Attempted,
                }
                if !self.has_refresher() || *question == KeyQuestion::Neglected {
                    return KeyAnswer::Attempted;
                }
            }
            let mut attempts = shared.attempts.subscribe();
            tokio::select! {
                biased;
                _ = attempts.wait_for(|ended| *ended > before.ended) => {}
                () = &mut patience => return KeyAnswer::TimedOut,
            }
            if !is_older {
                shared.note_if_unknown(question);
                return KeyAnswer::Attempted;
            }
            if !shared.is_still_open(question, before.generation) {
                return KeyAnswer::Attempted;
            }
        }
        KeyAnswer::Attempted
    }

    /// Waits until there are keys.
    pub(crate) async fn loaded(&self, clock: &SharedClock) {
        let mut attempts = self.shared.attempts.subscribe();
        while self.current(clock.now().monotonic()).is_none() {
            let now = clock.now().monotonic();
            let may_start =
                || self.shared.demand.ask(&KeyQuestion::NoKeys, now, &self.shared.policy) != Granted::Nothing;
            if self.shared.has_ended.load(Ordering::Acquire) && may_start() {
                self.has_refresher();
            }
            if attempts.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether there is a refresher, having started it again where the runtime that it ran on is gone: an authorizer
    /// may outlive it. Only to be asked once a fetch was granted, lest junk starts one after the other.
    fn has_refresher(&self) -> bool {
        let shared = &self.shared;
        if !shared.has_ended.load(Ordering::Acquire) {
            return true;
        }
        let mut refresher = self.refresher.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.has_ended.load(Ordering::Acquire) {
            shared.has_ended.store(false, Ordering::Release);
            shared.snapshot.store(Arc::new(shared.snapshot.load().started()));
            // Without a runtime the new refresher is dropped, and has ended as the old one.
            if let Ok(task) = TaskGuard::spawn(keep_fresh(Refresher(Arc::clone(shared)))) {
                *refresher = task;
            }
        }
        !shared.has_ended.load(Ordering::Acquire)
    }
}

/// The refresher's end of what it shares. When it is dropped, whatever the reason, nobody waits for it any longer.
struct Refresher(Arc<Shared>);

impl Drop for Refresher {
    /// Reads no clock: it may be one that panicked.
    fn drop(&mut self) {
        let after = self.0.snapshot.load().failed("the refresher has ended", Duration::ZERO, Duration::ZERO);
        self.0.publish(after);
        self.0.has_ended.store(true, Ordering::Release);
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
        self.publish(after);
    }

    /// Lets everybody see what an attempt came to, then wakes those who wait for it.
    fn publish(&self, after: Snapshot) {
        let ended = after.ended;
        self.snapshot.store(Arc::new(after));
        self.attempts.send_replace(ended);
    }

    /// Whether an attempt that began before the question has not answered it.
    fn is_still_open(&self, question: &KeyQuestion, generation: u64) -> bool {
        let snapshot = self.snapshot.load();
        match question {
            KeyQuestion::UnknownKey(Some(id)) => self.is_unknown(&snapshot, id),
            KeyQuestion::UnknownKey(None) | KeyQuestion::BadSignature => {
                snapshot.failures == 0 && snapshot.generation == generation
            }
            KeyQuestion::NoKeys | KeyQuestion::Neglected => false,
        }
    }

    /// Remembers a name that a fresh set does not have.
    fn note_if_unknown(&self, question: &KeyQuestion) {
        let KeyQuestion::UnknownKey(Some(id)) = question else { return };
        if self.is_unknown(&self.snapshot.load(), id) {
            let now = self.clock.now().monotonic();
            self.unknown.insert(id, now, now.saturating_add(self.policy.unknown_for));
        }
    }

    /// A fresh set without this key is an answer; a failed attempt is none.
    fn is_unknown(&self, snapshot: &Snapshot, key_id: &str) -> bool {
        let keys = snapshot.keys(self.clock.now().monotonic());
        snapshot.failures == 0 && keys.is_some_and(|keys| !keys.knows(key_id))
    }
}

/// One second, doubled with every failure, up to a minute.
fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(failures.min(6)).unwrap_or(64)).min(Duration::from_secs(60))
}
