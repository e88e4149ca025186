//! What was revoked → whether a token is among it.

mod builder;
mod event;
mod revocation;
mod wire;

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use builder::{RevocationsBuilder, RevocationsError};
pub(crate) use event::Origin;
pub use event::RevocationEvent;
pub use revocation::{Revocation, RevocationTarget};

use crate::token::VerifiedToken;

/// The tokens that are not to be accepted although their signature and their claims hold. Cloning shares it.
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
    state: RwLock<State>,
    generation: AtomicU64,
    max_token_lifetime: Option<Duration>,
}

#[derive(Default)]
struct State {
    revoked: Vec<Revocation>,
    suspended: Vec<(Origin, Revocation)>,
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

    /// Whether the token is among what was revoked or suspended.
    #[must_use]
    pub fn is_revoked(&self, token: &VerifiedToken) -> bool {
        if self.inner.max_token_lifetime.is_some_and(|most| match (token.issued_at(), token.expires_at()) {
            (Some(issued), Some(expires)) => expires.since(issued) > most,
            _ => true,
        }) {
            return true;
        }
        let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
        state.revoked.iter().chain(state.suspended.iter().map(|(_, one)| one)).any(|one| covers(one, token))
    }

    /// Whether the token is still to be accepted; at once where nothing has changed since it was last found to be.
    pub(crate) fn stands(&self, token: &VerifiedToken) -> bool {
        // Read before the check: what changes meanwhile has it checked again.
        let generation = self.generation();
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

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
        state.revoked.len() + state.suspended.len()
    }

    /// Whether nothing is revoked or suspended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries were merged into coarser ones so far.
    #[must_use]
    pub fn coarsened(&self) -> u64 {
        0
    }

    /// What somebody says happened.
    pub(crate) fn apply(&self, origin: Origin, event: RevocationEvent) {
        let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        state.apply(origin, event);
        self.inner.generation.fetch_add(1, Ordering::Release);
    }

    /// The whole of what somebody has to say: its revocations are united with ours, its suspensions replaced, in one step.
    pub(crate) fn replace(&self, origin: Origin, state: Vec<RevocationEvent>) {
        let mut ours = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        ours.suspended.retain(|(other, _)| *other != origin);
        for event in state {
            ours.apply(origin, event);
        }
        self.inner.generation.fetch_add(1, Ordering::Release);
    }
}

impl State {
    fn apply(&mut self, origin: Origin, event: RevocationEvent) {
        match event {
            RevocationEvent::Revoked(one) => self.revoked.push(one),
            RevocationEvent::Suspended(one) => self.suspended.push((origin, one)),
            RevocationEvent::Resumed(one) => self.suspended.retain(|(other, known)| {
                *other != origin
                    || known.target() != one.target()
                    || known.issuer_identifier() != one.issuer_identifier()
            }),
        }
    }
}

fn covers(one: &Revocation, token: &VerifiedToken) -> bool {
    let is = |claim: Option<&str>, name: &str| claim == Some(name);
    let ours = token.rules().issuer.as_deref();
    let is_theirs = one.issuer_identifier() == ours || (ours.is_none() && one.issuer_identifier() == token.issuer());
    let has = match one.target() {
        RevocationTarget::TokenId(id) => is_theirs && is(token.token_id(), id),
        RevocationTarget::TokenDigest(digest) => {
            (one.issuer_identifier().is_none() || is_theirs) && Revocation::digest(token.text()) == *digest
        }
        RevocationTarget::Session(id) => is_theirs && is(token.session_id(), id),
        RevocationTarget::Subject(id) => is_theirs && is(token.subject(), id),
        RevocationTarget::Client(id) => is_theirs && is(token.client_id(), id),
        RevocationTarget::Grant(id) => is_theirs && token.grants().any(|grant| *grant == **id),
        RevocationTarget::Actor(id) => is_theirs && token.actors().any(|actor| *actor == **id),
        RevocationTarget::Issuer => is_theirs,
    };
    has && match (one.latest_issue(), token.issued_at()) {
        (Some(latest), Some(issued)) => issued <= latest,
        _ => true,
    }
}

impl From<RevocationsBuilder> for Revocations {
    fn from(builder: RevocationsBuilder) -> Self {
        let RevocationsBuilder { max_token_lifetime, .. } = builder;
        Self { inner: Arc::new(Inner { state: RwLock::default(), generation: AtomicU64::new(1), max_token_lifetime }) }
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
