//! A name → what another replica was told, or the turn to ask: looks, waits, and leaves for others what came of it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{Lease, Look, Rank, SharedRecord, SharedSecret, SharedStore, StoreAnswer, StoreError};
use crate::{
    clock::{SharedClock, UnixTime},
    crypto::{SealingKey, Sha256, unique_id},
    observe,
    tasks::{TaskSet, caught, jittered},
};

/// A store that failed is left alone for this long.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two looks for what somebody else is asking, at first and at last.
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// By so much the clock of a replica may be ahead of another's, seconds counted whole.
const LEEWAY: Duration = Duration::from_secs(1);

/// No more than this is shared, in bytes.
const LARGEST: usize = 16 * 1024;

/// Nothing is kept longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A store in use for one purpose. What it does in the background ends with it.
pub(crate) struct Sharing {
    inner: Arc<Inner>,
    tasks: TaskSet,
}

struct Inner {
    /// What is shared, for whoever reads of it.
    of: Box<str>,
    store: Arc<dyn SharedStore>,
    key: SealingKey,
    clock: SharedClock,
    settings: SharingSettings,
    /// Until when the store is left alone, since it failed.
    away_until: Mutex<Duration>,
    is_away: AtomicBool,
    was_unreadable: AtomicBool,
}

/// How a store is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharingSettings {
    /// The time in which one may ask while others wait.
    pub(crate) lease: Duration,
    /// A use of the store is given up after this.
    pub(crate) timeout: Duration,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// How long before now it may have been asked for.
    pub(crate) max_age: Duration,
    /// When a record was asked for that is known to be of no use.
    pub(crate) unlike: Option<Duration>,
    /// How long to wait for somebody else who asks.
    pub(crate) patience: Duration,
}

/// What another replica was told. Has no `Debug`: it may be a token.
pub(crate) struct Told {
    pub(crate) content: Vec<u8>,
    /// By the store's clock.
    pub(crate) asked_at: Duration,
    /// How long ago that was, at least as long as it was.
    pub(crate) age: Duration,
    /// How long that was before it was looked for; zero where it was not.
    pub(crate) before: Duration,
}

/// What came of a look.
pub(crate) enum Found<'s> {
    Told(Told),
    Ask(Asking<'s>),
}

/// The turn to ask. When it is dropped without having shared anything, it is the next one's.
pub(crate) struct Asking<'s> {
    sharing: &'s Sharing,
    name: String,
    since: Since,
    /// What our clock shows before the question is sent.
    wall: UnixTime,
    holder: Option<String>,
}

/// When the question is sent.
#[derive(Clone, Copy, Debug)]
enum Since {
    /// Not before this, by the store's clock.
    Store(Duration),
    /// Not before this, by our own.
    Own(Duration),
    /// It does not matter: there is no store.
    Nowhere,
}

impl Sharing {
    /// `None` does not happen: no key could be derived.
    pub(crate) fn new(
        of: &str,
        store: Arc<dyn SharedStore>,
        (secret, purpose): (&SharedSecret, Sha256),
        clock: SharedClock,
        settings: SharingSettings,
    ) -> Option<Self> {
        let inner = Inner {
            of: of.into(),
            store,
            key: SealingKey::derive(secret.as_bytes(), purpose)?,
            clock,
            settings,
            away_until: Mutex::default(),
            is_away: AtomicBool::new(false),
            was_unreadable: AtomicBool::new(false),
        };
        Some(Self { inner: Arc::new(inner), tasks: TaskSet::default() })
    }

    /// What another replica was told about this, if it will do; or the turn to ask. Waits no longer than its patience,
    /// and one use of the store.
    pub(crate) async fn find(&self, what: &[u8], wanted: Wanted, will_do: impl Fn(&Told) -> bool) -> Found<'_> {
        let inner = &self.inner;
        let Some(name) = inner.key.name(what) else { return Found::Ask(self.alone()) };
        let Some(holder) = unique_id() else { return Found::Ask(self.alone()) };
        let lease = Lease { holder, length: inner.settings.lease };
        let started = inner.clock.now().monotonic();
        let (mut unlike, mut wait, mut may_hurry) = (wanted.unlike, FIRST_WAIT, true);
        loop {
            let sent = inner.clock.now();
            let waited = sent.monotonic().saturating_sub(started);
            let look = Look { max_age: wanted.max_age.saturating_add(waited), unlike, lease: Some(lease.clone()) };
            let Some(seen) = inner.used(|store| store.look(&name, look)).await else { return Found::Ask(self.alone()) };
            let is_there = seen.record.is_some();
            if let Some(record) = seen.record {
                unlike = Some(record.asked_at);
                if let Some((content, age)) = inner.open(&name, &record, seen.now, sent.wall()) {
                    let since = inner.clock.now().monotonic().saturating_sub(sent.monotonic());
                    let before = age.saturating_sub(waited);
                    let told = Told { content, asked_at: record.asked_at, age: age.saturating_add(since), before };
                    if will_do(&told) {
                        observe::shared(&inner.of, "found");
                        return Found::Told(told);
                    }
                }
            }
            if seen.is_leased || waited >= wanted.patience {
                observe::shared(&inner.of, "asked");
                let holder = seen.is_leased.then_some(lease.holder);
                return Found::Ask(Asking {
                    sharing: self,
                    name,
                    since: Since::Store(seen.now),
                    wall: sent.wall(),
                    holder,
                });
            }
            if is_there && may_hurry {
                // There may be a lease to be had, now that the record is known to be of no use.
                may_hurry = false;
                continue;
            }
            inner.clock.sleep(jittered(wait)).await;
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }

    /// The turn to ask, whatever others were told or are asking.
    pub(crate) fn afresh(&self, what: &[u8]) -> Asking<'_> {
        let Some(name) = self.inner.key.name(what) else { return self.alone() };
        let now = self.inner.clock.now();
        Asking { sharing: self, name, since: Since::Own(now.monotonic()), wall: now.wall(), holder: None }
    }

    /// Removes what was asked for exactly then: it is of no use to anybody.
    pub(crate) async fn forget(&self, what: &[u8], asked_at: Duration) {
        if let Some(name) = self.inner.key.name(what) {
            self.inner.used(|store| store.forget(&name, Some(asked_at), None)).await;
        }
    }

    /// The turn to ask where there is nobody to share with.
    const fn alone(&self) -> Asking<'_> {
        Asking { sharing: self, name: String::new(), since: Since::Nowhere, wall: UnixTime::from_secs(0), holder: None }
    }
}

impl Asking<'_> {
    /// When the question was sent, by the store's clock, where that is known already.
    pub(crate) const fn asked_at(&self) -> Option<Duration> {
        match self.since {
            Since::Store(asked_at) => Some(asked_at),
            Since::Own(_) | Since::Nowhere => None,
        }
    }

    /// Leaves for others what came of it, in the background.
    pub(crate) fn share(mut self, content: &[u8], rank: Rank, kept_for: Duration) {
        if content.len() > LARGEST || kept_for.is_zero() || matches!(self.since, Since::Nowhere) {
            return;
        }
        let (inner, name) = (Arc::clone(&self.sharing.inner), std::mem::take(&mut self.name));
        let (since, wall, holder) = (self.since, self.wall, self.holder.take());
        let content = content.to_vec();
        let kept_for = kept_for.min(LONGEST);
        let put = async move {
            let asked_at = match since {
                Since::Store(asked_at) => asked_at,
                Since::Own(started) => {
                    let look = Look::new(Duration::ZERO);
                    let Some(seen) = inner.used(|store| store.look(&name, look)).await else { return };
                    // It was read before now: so much earlier than that, the question had not been sent.
                    seen.now.saturating_sub(inner.clock.now().monotonic().saturating_sub(started))
                }
                Since::Nowhere => return,
            };
            let Some(sealed) = inner.seal(&name, (asked_at, rank), wall, &content) else { return };
            let record = SharedRecord::new(asked_at, rank, sealed.into()).keep_for(kept_for);
            inner.used(|store| store.put(&name, record, holder.as_deref())).await;
        };
        // Without a runtime it is not shared.
        let _ = self.sharing.tasks.start(put);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Some(holder) = self.holder.take() else { return };
        let (inner, name) = (Arc::clone(&self.sharing.inner), std::mem::take(&mut self.name));
        let _ = self.sharing.tasks.start(async move {
            inner.used(|store| store.forget(&name, None, Some(&holder))).await;
        });
    }
}

impl Inner {
    /// What the store answers; `None` where it does not in time, or did not a moment ago.
    async fn used<T>(&self, ask: impl FnOnce(&dyn SharedStore) -> StoreAnswer<T>) -> Option<T> {
        if self.clock.now().monotonic() < *self.away() {
            return None;
        }
        let timeout = self.settings.timeout;
        let answer = tokio::select! {
            biased;
            answer = caught(async { ask(&*self.store).await }) => answer.unwrap_or_else(|| Err(StoreError::Failed("it panicked".to_owned()))),
            () = self.clock.sleep(timeout) => Err(StoreError::TimedOut(timeout)),
        };
        match answer {
            Ok(answer) => {
                if self.is_away.swap(false, Ordering::Relaxed) {
                    observe::shared_store_is_back(&self.of);
                }
                Some(answer)
            }
            Err(error) => {
                *self.away() = self.clock.now().monotonic().saturating_add(PAUSE);
                observe::shared(&self.of, "unavailable");
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    observe::shared_store_unavailable(&self.of, &error);
                }
                None
            }
        }
    }

    /// A record's box: what our clock showed, and the content.
    fn seal(&self, name: &str, (asked_at, rank): (Duration, Rank), wall: UnixTime, content: &[u8]) -> Option<Vec<u8>> {
        self.key.seal(name, &label(asked_at, rank)?, [&wall.as_secs().to_be_bytes()[..], content].concat())
    }

    /// What is in a record, and how old it is, at least as old as it is; `None` where it is not ours.
    fn open(&self, name: &str, record: &SharedRecord, now: Duration, wall: UnixTime) -> Option<(Vec<u8>, Duration)> {
        let opened = label(record.asked_at, record.rank).and_then(|label| self.key.open(name, &label, &record.sealed));
        let Some((written, content)) = opened.as_deref().and_then(|opened| opened.split_first_chunk()) else {
            observe::shared(&self.of, "unreadable");
            if !self.was_unreadable.swap(true, Ordering::Relaxed) {
                observe::shared_record_unreadable(&self.of);
            }
            return None;
        };
        let by_our_clocks = wall.since(UnixTime::from_secs(u64::from_be_bytes(*written))).saturating_sub(LEEWAY);
        let age = now.checked_sub(record.asked_at)?.max(by_our_clocks);
        Some((content.to_vec(), age))
    }

    fn away(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands on the box; `None` for a time that no clock shows.
fn label(asked_at: Duration, rank: Rank) -> Option<[u8; 9]> {
    let mut label = [0; 9];
    let (time, of_rank) = label.split_first_chunk_mut::<8>()?;
    *time = u64::try_from(asked_at.as_micros()).ok()?.to_be_bytes();
    of_rank.fill(u8::from(rank == Rank::Negative));
    Some(label)
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharing").field("of", &self.inner.of).field("store", &self.inner.store).finish_non_exhaustive()
    }
}
