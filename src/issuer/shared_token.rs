//! A request for a token of our own → one for all replicas: taken from another that was granted it, or asked for and shared.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;

use super::{
    authentication::bearer,
    own_token::lead,
    token_request::{ClientError, GrantedBearer},
};
use crate::{
    clock::SharedClock,
    crypto::Sha256,
    sharing::{Found, Rank, SharedSecret, SharedStore, Sharing, SharingSettings, Told, Wanted},
};

/// While one replica asks, the others wait for this long, and then the next one asks.
pub(super) const WAIT: Duration = Duration::from_secs(3);

const SETTINGS: SharingSettings = SharingSettings { lease: WAIT, timeout: Duration::from_millis(250) };

/// Nothing is kept longer than a token of our own.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where it is shared, and the secret that it is sealed with.
pub(super) type Through = (Arc<dyn SharedStore>, SharedSecret);

/// A token in exchange with other replicas.
pub(super) struct SharedToken {
    sharing: Sharing,
    last: Mutex<Last>,
}

/// The token that was last taken or granted here. Has no `Debug`: it is one.
#[derive(Default)]
struct Last {
    header: Option<HeaderValue>,
    /// When it was asked for, by the store's clock; where that is not known, because the store was away, the one before:
    /// that may still be there.
    asked_at: Option<Duration>,
    is_refused: bool,
}

impl SharedToken {
    /// `of` is whose token it is, for whoever reads of it; `purpose` tells it from all others. `None` does not happen.
    pub(super) fn start((store, secret): Through, (of, purpose): (&str, Sha256), clock: &SharedClock) -> Option<Self> {
        let purpose = purpose.piece(b"a token of our own");
        let sharing = Sharing::new(of, store, (&secret, purpose), Arc::clone(clock), SETTINGS)?;
        Some(Self { sharing, last: Mutex::default() })
    }

    /// The token of another replica, where it is another than the last one here; or what `ask` brings, which is shared.
    pub(super) async fn get<A>(&self, ask: impl FnOnce() -> A) -> Result<GrantedBearer, ClientError>
    where
        A: Future<Output = Result<GrantedBearer, ClientError>>,
    {
        let (known, is_refused) = {
            let mut last = self.last();
            (last.asked_at, std::mem::take(&mut last.is_refused))
        };
        if let Some(known) = known.filter(|_| is_refused) {
            self.sharing.forget(WHAT, known).await;
        }
        let wanted = Wanted { max_age: DAY, unlike: known, patience: WAIT };
        let will_do = |told: &Told| known != Some(told.asked_at) && left(told).is_some();
        let found = self.sharing.find(WHAT, wanted, will_do).await;
        match found {
            Found::Told(told) => {
                let (header, lifetime) = left(&told).ok_or(ClientError::Expired(Duration::ZERO))?;
                self.last().is_now(&header, Some(told.asked_at));
                Ok(GrantedBearer { header, lifetime, is_last: false, is_shared: true })
            }
            Found::Ask(asking) => {
                let granted = ask().await?;
                let lifetime = granted.lifetime.min(DAY);
                let millis = u64::try_from(lifetime.as_millis()).unwrap_or_default().to_be_bytes();
                self.last().is_now(&granted.header, asking.asked_at());
                asking.share(&[&millis, granted.header.as_bytes()].concat(), Rank::Positive, lifetime);
                Ok(granted)
            }
        }
    }

    /// An endpoint refused that token: it is not taken again, and nobody else is to take it.
    pub(super) fn refused(&self, header: &HeaderValue) {
        let mut last = self.last();
        last.is_refused |= last.header.as_ref() == Some(header);
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    fn is_now(&mut self, header: &HeaderValue, asked_at: Option<Duration>) {
        *self = Self { header: Some(header.clone()), asked_at: asked_at.or(self.asked_at), is_refused: false };
    }
}

/// There is one for each purpose.
const WHAT: &[u8] = b"";

/// What another replica was granted, and for how long it still lasts; `None` where it is about to be renewed.
fn left(told: &Told) -> Option<(HeaderValue, Duration)> {
    let (lifetime, header) = told.content.split_first_chunk()?;
    let lifetime = Duration::from_millis(u64::from_be_bytes(*lifetime));
    let token = str::from_utf8(header).ok()?.strip_prefix("Bearer ")?;
    let left = lifetime.checked_sub(told.age).filter(|left| *left > lead(lifetime))?;
    Some((bearer(token)?, left))
}
