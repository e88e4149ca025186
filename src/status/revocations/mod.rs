//! What was revoked → whether a token is among it.
//!
//! ```text
//! revocation ─► entry (12 bytes) ─┐
//!           └─► fingerprint ──────┴─► index ◄── fingerprints of a token
//!                                      ▲
//!                                     room: what is over is forgotten, what is too much becomes an epoch
//! ```
//!
//! Exact up to its capacity. Beyond, it refuses more than it was told to, and never less.

mod builder;
mod entry;
mod event;
mod fingerprint;
mod index;
mod issuers;
mod origins;
mod revocation;
mod room;
mod sink;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod wire;

use std::{
    collections::{
        HashMap,
        hash_map::Entry::{Occupied, Vacant},
    },
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use builder::{RevocationsBuilder, RevocationsError};
use entry::Entry;
pub(crate) use event::Origin;
pub use event::RevocationEvent;
use fingerprint::Fingerprints;
use index::{Index, Prepared};
use origins::Origins;
pub use revocation::{Revocation, RevocationTarget};
use room::Plan;
pub use sink::{RevocationSink, SinkAnswer, SinkError};
use table::SHARDS;
use times::{Moment, Times};
pub(crate) use wire::{Happened, RevocationMembers};

use crate::{clock::SharedClock, token::VerifiedToken};

/// How many entries of a snapshot go in at once, before requests get their turn.
const CHUNK: usize = 1024;

/// The tokens that are not to be accepted although their signature and their claims hold. Cloning shares it.
///
/// A token is found by its `jti`, the digest of its text, its session, subject or client, a grant it stems from, somebody
/// who acts with it at whatever depth, or its issuer. Whose it is, the configuration says: its issuer is the one whose
/// rules it was verified under, by the identifier configured there. Where that issuer has no identifier, its tokens are
/// found both under `None` and under the `iss` that they carry.
///
/// # Bounds
///
/// Entries whose [`expires_at`](Revocation::expires_at) is five minutes past (the largest leeway there is) may be
/// forgotten. Those without stay, unless [`max_token_lifetime`](RevocationsBuilder::max_token_lifetime) is said: then a
/// revocation may be forgotten when every token has expired that was there when it was decided. A suspension stays until
/// it is lifted.
///
/// When there are more entries than the [`capacity`](RevocationsBuilder::capacity), none is dropped. The issuer with the
/// most of them gives up the oldest, and all its tokens that were issued up to then are refused in their place: whatever
/// was refused before still is, and their holders need new tokens. [`coarsened`](Self::coarsened) says how often. Single
/// tokens and dated entries go first; then what has no end (sessions and grants that are revoked whenever issued), in
/// whose place all tokens are refused that can be there by now, but not those that are issued later; at last, suspensions,
/// which then can no longer be lifted. Tokens that are revoked by their text alone have no issuer: in their place,
/// everybody's are refused.
///
/// ```
/// use portcullis::status::{Revocation, Revocations};
///
/// let revocations = Revocations::new();
/// // Takes effect on the very next request, also for tokens that were verified before.
/// revocations.revoke(Revocation::token_id(Some("https://idp.example"), "tok-1"));
/// assert_eq!(revocations.len(), 1);
/// ```
#[derive(Clone)]
pub struct Revocations {
    inner: Arc<Inner>,
}

struct Inner {
    index: RwLock<Index>,
    /// Whoever changes the index holds this all the while; readers are only kept out for moments.
    writer: Mutex<Times>,
    /// Who may suspend. Locked before the writer.
    origins: Mutex<Origins>,
    fingerprints: Fingerprints,
    generation: AtomicU64,
    coarsened: AtomicU64,
    capacity: usize,
    max_token_lifetime: Option<Duration>,
    clock: SharedClock,
}

impl Revocations {
    /// An empty index by the machine's clock, with room for a million entries.
    #[must_use]
    pub fn new() -> Self {
        Self::from(Self::builder())
    }

    /// An index to be configured.
    pub fn builder() -> RevocationsBuilder {
        RevocationsBuilder::new()
    }

    /// These tokens are no longer accepted, from the very next request on, and for good.
    ///
    /// Waits for nobody but others who revoke. Where there is no room left, making some takes as long as looking at every
    /// entry a few times; once for a quarter of the capacity.
    pub fn revoke(&self, revocation: Revocation) {
        self.apply(Origin::LOCAL, RevocationEvent::Revoked(revocation));
    }

    /// These tokens are not accepted until [`resume`](Self::resume) says otherwise.
    pub fn suspend(&self, revocation: Revocation) {
        self.apply(Origin::LOCAL, RevocationEvent::Suspended(revocation));
    }

    /// Lifts what [`suspend`](Self::suspend) said of the same issuer and target. A revocation cannot be lifted, nor can
    /// what a feed suspended.
    pub fn resume(&self, revocation: &Revocation) {
        self.apply(Origin::LOCAL, RevocationEvent::Resumed(revocation.clone()));
    }

    /// Whether the token is among what was revoked or suspended, or lives longer than any should.
    #[must_use]
    pub fn is_revoked(&self, token: &VerifiedToken) -> bool {
        self.outlives_all(token) || self.read().contains(token, &self.inner.fingerprints)
    }

    /// Whether it may still be alive when its revocation has been forgotten.
    fn outlives_all(&self, token: &VerifiedToken) -> bool {
        self.inner.max_token_lifetime.is_some_and(|most| match (token.issued_at(), token.expires_at()) {
            (Some(issued), Some(expires)) => expires.since(issued) > most,
            _ => true,
        })
    }

    /// Whether the token is still to be accepted; at once where nothing has changed since it was last found to be.
    pub(crate) fn stands(&self, token: &VerifiedToken) -> bool {
        // Read before the check: what changes meanwhile has the token checked again.
        self.stands_as_of(token, self.generation())
    }

    fn stands_as_of(&self, token: &VerifiedToken, generation: u64) -> bool {
        if token.unrevoked_as_of().load(Ordering::Relaxed) == generation {
            return true;
        }
        let stands = !self.is_revoked(token);
        if stands {
            token.unrevoked_as_of().store(generation, Ordering::Relaxed);
        }
        stands
    }

    /// Changes with every change by which a token might no longer be accepted. Starts at 1.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Acquire)
    }

    /// How many entries there are, suspensions and epochs included.
    #[must_use]
    pub fn len(&self) -> usize {
        let index = self.read();
        index.len() + index.epochs()
    }

    /// Whether nothing is revoked or suspended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries were merged into coarser ones so far, for want of room.
    #[must_use]
    pub fn coarsened(&self) -> u64 {
        self.inner.coarsened.load(Ordering::Relaxed)
    }

    /// What somebody says happened.
    pub(crate) fn apply(&self, origin: Origin, event: RevocationEvent) {
        let mut writer = self.writer();
        let moment = writer.moment(self.inner.clock.now());
        match event {
            RevocationEvent::Revoked(revocation) => {
                let lifetime = self.inner.max_token_lifetime;
                self.change(self.prepare(&revocation, moment, lifetime), |index, one| {
                    index.revoke(one, moment.earliest)
                });
            }
            RevocationEvent::Suspended(revocation) => {
                self.change(self.prepare(&revocation, moment, None), |index, one| {
                    index.suspend(origin, one, moment.earliest)
                });
            }
            RevocationEvent::Resumed(revocation) => {
                let fingerprint = self.inner.fingerprints.of_target(&revocation);
                self.write().resume(origin, &fingerprint);
            }
        }
        self.make_room(moment);
    }

    /// [`revoke`](Self::revoke) of all of these in one step: every token is looked at again once, not once for each. They
    /// are few enough that readers may wait for all of them.
    pub(crate) fn revoke_all(&self, revocations: &[Revocation]) {
        let mut writer = self.writer();
        let moment = writer.moment(self.inner.clock.now());
        self.revoke_at(revocations, moment);
    }

    fn revoke_at(&self, revocations: &[Revocation], moment: Moment) {
        let prepare = |revocation| self.prepare(revocation, moment, self.inner.max_token_lifetime);
        let prepared: Vec<_> = revocations.iter().filter_map(prepare).collect();
        self.change(prepared, |index, one| index.revoke(one, moment.earliest));
        self.make_room(moment);
    }

    /// The whole of what somebody has to say. Its revocations are united with ours: what was revoked stays revoked. Its
    /// suspensions are replaced in one step, and after that, so that what was suspended and is now revoked is refused
    /// throughout.
    pub(crate) fn replace(&self, origin: Origin, state: Vec<RevocationEvent>) {
        let mut writer = self.writer();
        let moment = writer.moment(self.inner.clock.now());
        let (mut revoked, mut suspended) = (Vec::new(), HashMap::<_, Prepared>::new());
        for event in state {
            match event {
                RevocationEvent::Revoked(revocation) => revoked.push(revocation),
                RevocationEvent::Suspended(revocation) => {
                    if let Some(one) = self.prepare(&revocation, moment, None) {
                        match suspended.entry(one.fingerprint) {
                            Occupied(mut known) => known.get_mut().merge(&one),
                            Vacant(vacant) => {
                                vacant.insert(one);
                            }
                        }
                    }
                }
                RevocationEvent::Resumed(revocation) => {
                    suspended.remove(&self.inner.fingerprints.of_target(&revocation));
                }
            }
        }
        revoked.chunks(CHUNK).for_each(|chunk| self.revoke_at(chunk, moment));
        self.change([suspended], |index, suspended| index.replace(origin, suspended.into_values(), moment.earliest));
        self.make_room(moment);
    }

    /// In whose name a feed speaks that is followed from now on. Several may have one name, as when one authorizer takes the
    /// place of another; each has an origin of its own until it is [left](Self::leave).
    pub(crate) fn follow(&self, name: &str) -> Origin {
        self.origins().begin(name.into())
    }

    /// All that a feed has to say besides its revocations: its suspensions, in place of those before, and of those by
    /// feeds of its name that nobody follows any more.
    pub(crate) fn replace_suspensions(&self, origin: Origin, state: Vec<RevocationEvent>) {
        self.replace(origin, state);
        let mut origins = self.origins();
        origins.spoke(origin).into_iter().for_each(|left| self.replace(left, Vec::new()));
    }

    /// Nobody follows the feed of this origin any more.
    pub(crate) fn leave(&self, origin: Origin) {
        let mut origins = self.origins();
        if origins.end(origin) {
            self.replace(origin, Vec::new());
        }
    }

    /// `None` where no token is left that could be refused. What is suspended is so for as long as nobody lifts it, and has
    /// no `lifetime`.
    fn prepare(&self, revocation: &Revocation, moment: Moment, lifetime: Option<Duration>) -> Option<Prepared> {
        let entry = Entry::new(revocation, moment.latest, lifetime);
        (!entry.is_over(moment.earliest)).then(|| Prepared::new(revocation, entry, &self.inner.fingerprints))
    }

    /// Puts in one thing after another, in one step. Where `put` says that more is refused than before, every token is
    /// looked at again.
    fn change<T>(&self, what: impl IntoIterator<Item = T>, mut put: impl FnMut(&mut Index, T) -> bool) {
        let mut index = self.write();
        let refuses_more = what.into_iter().fold(false, |more, one| put(&mut index, one) | more);
        if refuses_more {
            // Only now: whoever finds a token to be clean before has to look again.
            self.inner.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Sees to it that there are no more entries than there is room for.
    fn make_room(&self, moment: Moment) {
        let index = self.read();
        if index.len() <= self.inner.capacity {
            return;
        }
        let plan = Plan::new(&index, self.inner.capacity, moment);
        drop(index);
        self.inner.coarsened.fetch_add(plan.merged, Ordering::Relaxed);
        self.change(plan.epochs(), |index, (issuer, epoch)| index.issuers.raise(issuer, epoch));
        for shard in 0..SHARDS {
            self.write().retain_revoked(shard, |fingerprint, entry| plan.stays(fingerprint, entry, false));
        }
        let mut index = self.write();
        index.retain_suspended(|fingerprint, entry| plan.stays(fingerprint, entry, true));
        index.issuers.tidy(|epoch| plan.is_over(epoch));
    }

    fn origins(&self) -> MutexGuard<'_, Origins> {
        self.inner.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Times> {
        self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.inner.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.inner.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<RevocationsBuilder> for Revocations {
    fn from(builder: RevocationsBuilder) -> Self {
        let RevocationsBuilder { capacity, max_token_lifetime, clock } = builder;
        let inner = Inner {
            index: RwLock::new(Index::new()),
            writer: Mutex::new(Times::new(clock.now())),
            origins: Mutex::default(),
            fingerprints: Fingerprints::new(),
            generation: AtomicU64::new(1),
            coarsened: AtomicU64::new(0),
            capacity,
            max_token_lifetime,
            clock,
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Default for Revocations {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("len", &self.len()).field("coarsened", &self.coarsened()).finish()
    }
}
