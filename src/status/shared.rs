//! Answers of a status source ⇄ records that other replicas understand: one question per token for all of them.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{StatusError, StatusPolicy, TokenStatus, memory::StatusKey, source::Standing};
use crate::{
    clock::SharedClock,
    crypto::Sha256,
    sharing::{Found, Rank, SharedSecret, SharedStore, Sharing, SharingSettings, Told, Wanted},
};

/// Answers of a status source, shared by the replicas of a service through a store that all of them reach.
///
/// A second level below each replica's own cache. Whoever has no answer that is young enough looks there first; where
/// there is none either, one replica asks and the others wait for what it is told. An answer's age counts from when the
/// issuer was asked, wherever that was: no replica takes a token for longer than its [`StatusPolicy::max_age`] after that,
/// nor on a route that wants a younger answer. Nothing is taken from others where the issuer is to be asked for this very
/// request; what it says then is shared.
///
/// What was revoked here is asked of [`Revocations`](super::Revocations) after every answer, so that no answer of others
/// can undo it. Of two answers the one counts whose question was sent later.
///
/// The store need not be trusted, and may fail: see [`sharing`](crate::sharing). All replicas need the same secret; those
/// whose issuer, endpoint or client differ share nothing.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use portcullis::{
///     Issuer, issuer::ClientAuthentication, sharing::SharedSecret, status::{Introspection, SharedAnswers},
/// };
/// # use portcullis::testing::{ManualClock, SharedMemory};
///
/// # let store = SharedMemory::new(ManualClock::new());
/// let secret = SharedSecret::new(std::fs::read("/run/secrets/replicas")?)?;
/// let issuer = Issuer::discover("https://idp.example.com")
///     .audience("https://api.example.com")
///     .introspection(Introspection::discover(ClientAuthentication::basic("orders-api", "s3cret")))
///     .shared_answers(SharedAnswers::through(store, secret));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SharedAnswers {
    store: Arc<dyn SharedStore>,
    secret: SharedSecret,
    settings: SharingSettings,
}

impl SharedAnswers {
    /// Through this store, sealed with keys of this secret.
    pub fn through(store: impl SharedStore, secret: SharedSecret) -> Self {
        let settings = SharingSettings { lease: Duration::from_millis(500), timeout: Duration::from_millis(50) };
        Self { store: Arc::new(store), secret, settings }
    }

    /// While one replica asks about a token, the others wait for this long, and then the next one asks; but none waits for
    /// longer than half of [`StatusPolicy::attempt_timeout`], after which it asks too, and has the whole of that for it.
    /// It is what the end of a replica costs that had the turn to ask. Default: 500 ms.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// A use of the store is given up after this, but at most a quarter of [`StatusPolicy::attempt_timeout`], and for a
    /// second none is tried. Default: 50 ms.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// What in it could not work.
    pub(crate) const fn check(&self) -> Result<(), &'static str> {
        if self.settings.lease.is_zero() || self.settings.timeout.is_zero() {
            return Err("a lease or a timeout of no length");
        }
        Ok(())
    }

    pub(super) fn start(&self, of: &str, policy: &StatusPolicy, clock: &SharedClock) -> Option<Exchanged> {
        let purpose = Sha256::new().piece(b"answers of a status source");
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(clock));
        // Whoever waits in vain must have the time to ask.
        let timeout = self.settings.timeout.min(policy.attempt_timeout / 4);
        let settings = SharingSettings { timeout, ..self.settings };
        let sharing = Sharing::new(of, store, (&self.secret, purpose), clock, settings)?;
        Some(Exchanged {
            sharing,
            negative_age: policy.negative_max_age / 4 * 3,
            // One that says no is kept as long, lest an older one that says yes take its place.
            kept_for: policy.max_age.max(policy.negative_max_age),
        })
    }
}

/// Answers in exchange with other replicas.
#[derive(Debug)]
pub(super) struct Exchanged {
    sharing: Sharing,
    /// How old an answer may be that says no.
    negative_age: Duration,
    kept_for: Duration,
}

/// On which terms an answer of others will do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<J> {
    /// How old it may be, if the token stands by it. Where this is zero, none will do.
    pub(super) max_age: Duration,
    /// How old the last one is that was heard here; it must be younger.
    pub(super) known: Option<Duration>,
    /// How long to wait for it.
    pub(super) patience: Duration,
    /// What it means here; `None` where it may not be reused.
    pub(super) judge: J,
}

/// What an answer means for the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Stands,
    Withdrawn,
}

impl Exchanged {
    /// What others were told, and how long ago that was; or what the source says now.
    pub(super) async fn ask<A>(
        &self,
        key: &StatusKey,
        ask: impl FnOnce() -> A,
        Terms { max_age, known, patience, judge }: Terms<impl Fn(&TokenStatus) -> Option<Meaning>>,
    ) -> Result<(TokenStatus, Option<Duration>), StatusError>
    where
        A: Future<Output = Result<TokenStatus, StatusError>>,
    {
        let found = if max_age.is_zero() {
            Found::Ask(self.sharing.afresh(key.as_bytes()))
        } else {
            let wanted = Wanted { max_age: max_age.max(self.negative_age), unlike: None, patience };
            let will_do = |told: &Told| {
                let meaning = read(&told.content).and_then(|status| judge(&status));
                let is_young = meaning.is_some_and(|meaning| match meaning {
                    Meaning::Stands => told.before <= max_age,
                    Meaning::Withdrawn => told.before <= self.negative_age,
                });
                is_young && known.is_none_or(|known| told.before < known)
            };
            self.sharing.find(key.as_bytes(), wanted, will_do).await
        };
        match found {
            Found::Told(told) => {
                let status = read(&told.content).ok_or(StatusError::Malformed("what another replica was told"))?;
                Ok((status, Some(told.age)))
            }
            Found::Ask(asking) => {
                let status = ask().await?;
                let rank = if judge(&status) == Some(Meaning::Stands) { Rank::Positive } else { Rank::Negative };
                asking.share(&written(&status), rank, self.kept_for);
                Ok((status, None))
            }
        }
    }
}

const INACTIVE: u8 = 0;
const ACTIVE: u8 = 1;
const DESCRIBED: u8 = 2;

fn written(status: &TokenStatus) -> Vec<u8> {
    match &status.0 {
        Standing::Inactive => vec![INACTIVE],
        Standing::Active(None) => vec![ACTIVE],
        Standing::Active(Some(description)) => [&[DESCRIBED], description.payload()].concat(),
    }
}

/// `None` where this version does not know what it says.
fn read(content: &[u8]) -> Option<TokenStatus> {
    match content {
        [INACTIVE] => Some(TokenStatus::inactive()),
        [ACTIVE] => Some(TokenStatus::active()),
        [DESCRIBED, description @ ..] => TokenStatus::described(&Bytes::copy_from_slice(description)).ok(),
        _ => None,
    }
}
