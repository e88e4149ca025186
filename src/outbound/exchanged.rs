//! The token that a caller showed, put along with a request → a token in exchange for it (RFC 8693).

use std::{fmt, future, sync::Arc, time::Duration};

use http::Extensions;
use moka::{policy::EvictionPolicy, sync::Cache};

use super::{
    IssuedToken, Renewal, SourceError, SourcedToken, TokenSource,
    grants::retry_after,
    renewed::{granted, take},
};
use crate::{
    clock::{SharedClock, UnixTime},
    crypto::Sha256,
    issuer::{Ask, Asking, ClientError, Connection, OwnToken},
};

/// A failure is the answer to others for so long.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The access token of a caller on whose behalf a request is sent.
///
/// Put it into the extensions of the request, and [`ExchangedToken`] finds it there:
///
/// ```
/// use portcullis::outbound::SubjectToken;
///
/// # let shown = "eyJ0…";
/// let mut request = http::Request::get("https://billing.example.com/invoices").body(())?;
/// request.extensions_mut().insert(SubjectToken::new(shown));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone)]
pub struct SubjectToken {
    token: Arc<str>,
    expires_at: Option<UnixTime>,
}

impl SubjectToken {
    /// The token as the caller showed it, without `Bearer`.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self { token: token.into(), expires_at: None }
    }

    /// When it is over: then nothing is asked for it, and nothing that was exchanged for it is used.
    #[must_use]
    pub const fn expires_at(mut self, time: UnixTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What it is known by; its end with it, for what is exchanged may not outlive that.
    fn digest(&self) -> [u8; 32] {
        let digest = Sha256::new().piece(self.token.as_bytes());
        match self.expires_at {
            Some(time) => digest.piece(&time.as_secs().to_be_bytes()),
            None => digest,
        }
        .finish()
    }
}

impl fmt::Debug for SubjectToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectToken(<redacted>)")
    }
}

/// Whoever exchanges tokens: always for the same audience and scope, so that what comes of it depends on the subject alone.
pub trait ExchangeGrant: Send + Sync + fmt::Debug + 'static {
    /// Asks once. Given up after the connection's timeout.
    fn exchange(&self, subject: &SubjectToken) -> Renewal;

    /// For how long the server wants to be left alone: as [`Renew::retry_after`](super::Renew::retry_after).
    fn retry_after(&self, error: &SourceError) -> Option<Duration> {
        retry_after(error)
    }

    /// What its tokens are counted and logged under. No secret.
    fn name(&self) -> &str {
        "token exchange"
    }
}

/// Why nothing was exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The request carries no [`SubjectToken`].
    #[error("the request says not on whose behalf it is sent: no subject token in its extensions")]
    NoSubject,
    /// The subject token is over.
    #[error("the subject token is over")]
    SubjectExpired,
}

/// A token in exchange for the one that is in the extensions of a request, as a [`SubjectToken`].
///
/// What is exchanged is kept for each subject token by its digest, and is renewed while it is used, as a
/// [`RenewedToken`](super::RenewedToken) is, but never lasts longer than the subject token where that
/// [says when it is over](SubjectToken::expires_at), and is not renewed where it lasts as long. Whoever asks for the same
/// subject waits for the same request. A failure is the answer to others for a second at most, or for as long as the server
/// says by `Retry-After`.
///
/// What was exchanged does not end with the revocation of the subject token: guard the service that got it by
/// [`status`](crate::status), which sees to it that the next request is not answered at all.
///
/// A request without a subject token gets none, and is not sent: [`ExchangeError::NoSubject`]. So it is with every
/// `reqwest::Request`, into whose extensions nothing can be put: attach tokens to an [`http::Request`], and make it one of
/// reqwest's below.
#[derive(Clone)]
pub struct ExchangedToken {
    grant: Arc<dyn ExchangeGrant>,
    subjects: Cache<[u8; 32], Arc<OwnToken>>,
    clock: SharedClock,
    timeout: Duration,
}

impl ExchangedToken {
    /// Tokens that `grant` gives for others; those of at most `capacity` subject tokens are kept, the ones that were used
    /// last.
    #[must_use]
    pub fn new(grant: impl ExchangeGrant, capacity: u32, connection: &Connection) -> Self {
        let subjects = Cache::builder().max_capacity(capacity.into()).eviction_policy(EvictionPolicy::lru()).build();
        let clock = connection.environment().clock.clone();
        Self { grant: Arc::new(grant), subjects, clock, timeout: connection.limit() }
    }
}

impl TokenSource for ExchangedToken {
    fn token(&self, request: &Extensions) -> SourcedToken {
        let Some(subject) = request.get::<SubjectToken>() else {
            let none: SourceError = Arc::new(ExchangeError::NoSubject);
            return Box::pin(future::ready(Err(none)));
        };
        let digest = subject.digest();
        let own = self.subjects.get_with(digest, || {
            let (grant, clock) = (Arc::clone(&self.grant), self.clock.clone());
            let exchange = OneSubject { grant, subject: subject.clone(), clock, timeout: self.timeout };
            Arc::new(OwnToken::new(exchange, self.clock.clone()))
        });
        take(&own, Some(digest))
    }

    fn refused(&self, token: &IssuedToken) -> bool {
        let own = token.subject().and_then(|digest| self.subjects.get(digest));
        own.is_none_or(|own| own.refused(token.bearer()))
    }
}

impl fmt::Debug for ExchangedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangedToken").field("grant", &self.grant).finish_non_exhaustive()
    }
}

/// The exchange of one token.
struct OneSubject {
    grant: Arc<dyn ExchangeGrant>,
    subject: SubjectToken,
    clock: SharedClock,
    timeout: Duration,
}

impl Ask for OneSubject {
    fn name(&self) -> &str {
        self.grant.name()
    }

    fn ask(&self) -> Asking<'_> {
        Box::pin(async {
            let now = self.clock.now().wall();
            let left = self.subject.expires_at.map_or(Duration::MAX, |end| end.since(now));
            if left.is_zero() {
                return Err(ClientError::Source(Arc::new(ExchangeError::SubjectExpired)));
            }
            let mut granted = granted(self.grant.name(), self.grant.exchange(&self.subject)).await?;
            granted.is_last = granted.lifetime >= left;
            granted.lifetime = granted.lifetime.min(left);
            Ok(granted)
        })
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn retry_after(&self, error: &ClientError) -> Option<Duration> {
        match error {
            ClientError::Source(source) => self.grant.retry_after(source),
            _ => error.retry_after(),
        }
    }

    fn longest_pause(&self, _: &ClientError) -> Duration {
        LONGEST_PAUSE
    }
}
