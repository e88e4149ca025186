//! A feed and an index → an index that follows the feed, and how stale it is.
//!
//! One task per feed asks; requests only read. What it knows is kept while the feed is away, and grows old.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use serde::Serialize;
use tokio::sync::watch;

use super::{Cursor, FeedPolicy, RevocationFeed, follow::follow, position::Position, staleness::FreshAt};
use crate::{
    clock::SharedClock,
    observe,
    status::{Origin, Revocations},
    tasks::{NoRuntime, TaskGuard},
};

/// A feed that is followed, and its follower, which ends with it.
#[derive(Debug)]
pub(crate) struct DrivenFeed {
    shared: Arc<Shared>,
    keeper: Mutex<Keeper>,
}

/// The follower's task. Locked to start it, and to start it again where its runtime has ended before us.
#[derive(Debug)]
struct Keeper {
    _task: TaskGuard,
    started: Duration,
}

/// What a feed is followed by: which tokens it speaks of, and where that goes.
#[derive(Clone, Debug)]
pub(crate) struct Following {
    /// The issuer of whose tokens alone it may speak; `None`: of everybody's.
    pub(crate) covers: Option<Box<str>>,
    /// Where its events go.
    pub(crate) revocations: Revocations,
    /// By which clock it is followed.
    pub(crate) clock: SharedClock,
}

/// How a feed stands at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeedState {
    /// What is known is no older than the policy allows.
    Synced,
    /// It is older.
    Stale,
    /// There was no snapshot yet, or the last one is worth nothing any more.
    Never,
}

pub(super) struct Shared {
    pub(super) feed: Arc<dyn RevocationFeed>,
    pub(super) label: Box<str>,
    pub(super) policy: FeedPolicy,
    pub(super) to: Following,
    /// In whose name its events are applied.
    pub(super) origin: Origin,
    pub(super) fresh: FreshAt,
    /// Where we stand; written by the follower alone, and kept for the one that is started after it. Wakes those who wait
    /// until something was applied.
    position: watch::Sender<Position>,
    trouble: ArcSwapOption<Box<str>>,
    /// How many events spoke of tokens that this feed may not speak of.
    foreign: AtomicU64,
    /// Wakes those who wait for the first snapshot.
    turns: watch::Sender<()>,
    has_ended: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("label", &self.label).finish_non_exhaustive()
    }
}

impl DrivenFeed {
    /// Starts to follow at once, on the current tokio runtime. The policy was checked.
    pub(crate) fn start(feed: Arc<dyn RevocationFeed>, policy: FeedPolicy, to: Following) -> Result<Self, NoRuntime> {
        let label = feed.label();
        let shared = Arc::new(Shared {
            origin: to.revocations.follow(&format!("{label} {:?}", to.covers)),
            label: label.into(),
            feed,
            policy,
            to,
            fresh: FreshAt::never(),
            position: watch::Sender::default(),
            trouble: ArcSwapOption::empty(),
            foreign: AtomicU64::new(0),
            turns: watch::Sender::new(()),
            has_ended: AtomicBool::new(false),
        });
        let started = shared.to.clock.now().monotonic();
        let task = TaskGuard::spawn(follow(Follower(Arc::clone(&shared))))?;
        Ok(Self { shared, keeper: Mutex::new(Keeper { _task: task, started }) })
    }

    /// How old what is known of the feed is; `None`: nothing is. One atomic load.
    ///
    /// To be read before the index: what it promises was applied before.
    pub(crate) fn staleness(&self, now: Duration) -> Option<Duration> {
        self.shared.fresh.staleness(now)
    }

    /// How the feed stands by its own policy. One atomic load.
    pub(crate) fn state(&self, now: Duration) -> FeedState {
        match self.staleness(now) {
            Some(staleness) if staleness <= self.shared.policy.max_staleness => FeedState::Synced,
            Some(_) => FeedState::Stale,
            None => FeedState::Never,
        }
    }

    /// Whether everything that the log says up to there counts here; never while it is not known whether the log is still
    /// the one that was read.
    ///
    /// To be asked before the index, as [`staleness`](Self::staleness).
    pub(crate) fn has_applied(&self, revision: Cursor) -> bool {
        self.shared.position().reaches(revision)
    }

    /// Waits until it does.
    pub(crate) async fn applied(&self, revision: Cursor) {
        let mut positions = self.shared.position.subscribe();
        // The sender is ours.
        let _ = positions.wait_for(|position| position.reaches(revision)).await;
    }

    /// How stale it may become by its own policy.
    pub(crate) fn max_staleness(&self) -> Duration {
        self.shared.policy.max_staleness
    }

    /// How logs and readiness call it.
    pub(crate) fn label(&self) -> &str {
        &self.shared.label
    }

    /// What is wrong with the feed, if anything.
    pub(crate) fn trouble(&self) -> Option<String> {
        let foreign = || match self.shared.foreign.load(Ordering::Relaxed) {
            0 => None,
            events => Some(format!("{events} events about tokens of others were ignored")),
        };
        self.shared.trouble.load().as_ref().map(|trouble| trouble.to_string()).or_else(foreign)
    }

    /// Waits until the first snapshot was applied, or until one counts again.
    pub(crate) async fn synced(&self) {
        let clock = &self.shared.to.clock;
        let mut turns = self.shared.turns.subscribe();
        while self.staleness(clock.now().monotonic()).is_none() {
            self.tend();
            tokio::select! {
                _ = turns.changed() => {}
                () = clock.sleep(self.shared.policy.silence) => {}
            }
        }
    }

    /// Starts the follower again where the runtime that it ran on is gone: an authorizer may outlive it. One atomic load
    /// as long as it lives; to be called where the feed is found to be stale. A runtime for each call does not start one
    /// after the other: the next not before [`FeedPolicy::silence`].
    pub(crate) fn tend(&self) {
        let shared = &self.shared;
        if !shared.has_ended.load(Ordering::Acquire) {
            return;
        }
        let now = shared.to.clock.now().monotonic();
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let is_cool = now >= keeper.started.saturating_add(shared.policy.silence);
        if is_cool && shared.has_ended.load(Ordering::Acquire) {
            shared.has_ended.store(false, Ordering::Release);
            // Without a runtime the new follower is dropped, and has ended as the old one.
            if let Ok(task) = TaskGuard::spawn(follow(Follower(Arc::clone(shared)))) {
                *keeper = Keeper { _task: task, started: now };
            }
        }
    }
}

impl Drop for Shared {
    /// Neither the authorizer nor its follower is left.
    fn drop(&mut self) {
        self.to.revocations.leave(self.origin);
    }
}

impl Shared {
    /// Held for a comparison at a time.
    pub(super) fn position(&self) -> watch::Ref<'_, Position> {
        self.position.borrow()
    }

    /// What becomes of our position. What it says to be applied was applied before.
    pub(super) fn stand(&self, change: impl FnOnce(&mut Position)) {
        self.position.send_modify(change);
    }

    /// Everything is known up to `age` before `now`. What that takes was applied before.
    pub(super) fn prove(&self, now: Duration, age: Duration) {
        let is_first = self.fresh.staleness(now).is_none();
        self.fresh.prove(now, age);
        self.observe_staleness(now);
        if age <= self.policy.max_staleness && self.trouble.load().is_some() {
            self.trouble.store(None);
        }
        if is_first {
            self.turns.send_replace(());
        }
    }

    /// An event was ignored, since it is about tokens of others.
    pub(super) fn ignored(&self) {
        self.foreign.fetch_add(1, Ordering::Relaxed);
        observe::feed_event_ignored(&self.label);
    }

    pub(super) fn is_in_trouble(&self, kind: &'static str, trouble: &str) {
        observe::feed_trouble(&self.label, kind, trouble);
        self.trouble.store(Some(Arc::new(trouble.into())));
    }

    pub(super) fn observe_staleness(&self, now: Duration) {
        if let Some(staleness) = self.fresh.staleness(now) {
            observe::feed_staleness(&self.label, staleness);
        }
    }
}

/// The follower's end of what it shares. When it is dropped, whatever the reason, that is known.
pub(super) struct Follower(pub(super) Arc<Shared>);

impl Drop for Follower {
    /// Reads no clock: it may be one that panicked.
    fn drop(&mut self) {
        self.0.trouble.store(Some(Arc::new("nobody follows the feed any more".into())));
        self.0.has_ended.store(true, Ordering::Release);
        self.0.turns.send_replace(());
    }
}

#[cfg(test)]
mod tests;
