//! Whoever can be asked for a token to attach → an [`IssuedToken`].

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use http::{Extensions, HeaderValue};

use super::grants::retry_after;
use crate::issuer::{OwnBearer, bearer};

/// What [`TokenSource::token`] returns.
pub type SourcedToken = Pin<Box<dyn Future<Output = Result<IssuedToken, SourceError>> + Send>>;

/// Why there is no token; shared by all who waited for it. What it says, and what its sources say, is logged: nothing secret.
pub type SourceError = Arc<dyn Error + Send + Sync>;

/// Whoever can be asked for a token to attach.
///
/// It is asked for every request, and is expected to have a token at hand nearly always.
pub trait TokenSource: Send + Sync + fmt::Debug + 'static {
    /// The token for a request with these extensions. The future may be dropped at any time.
    fn token(&self, request: &Extensions) -> SourcedToken;

    /// A resource answered 401 `invalid_token` to this one. Whether asking again may bring another.
    fn refused(&self, token: &IssuedToken) -> bool;
}

impl<T: TokenSource + ?Sized> TokenSource for Arc<T> {
    fn token(&self, request: &Extensions) -> SourcedToken {
        (**self).token(request)
    }

    fn refused(&self, token: &IssuedToken) -> bool {
        (**self).refused(token)
    }
}

/// An access token that was issued to us, as a header.
#[derive(Clone)]
pub struct IssuedToken {
    bearer: OwnBearer,
    /// On whose behalf, where its source has tokens for many.
    subject: Option<[u8; 32]>,
}

impl IssuedToken {
    /// This token; `None` where it has characters that no Bearer has (RFC 6750 §2.1). Its source tells its tokens apart by
    /// `number`.
    #[must_use]
    pub fn new(token: &str, number: u64) -> Option<Self> {
        Some(Self::own(OwnBearer::new(bearer(token)?, number), None))
    }

    pub(super) const fn own(bearer: OwnBearer, subject: Option<[u8; 32]>) -> Self {
        Self { bearer, subject }
    }

    pub(super) const fn bearer(&self) -> &OwnBearer {
        &self.bearer
    }

    pub(super) const fn subject(&self) -> Option<&[u8; 32]> {
        self.subject.as_ref()
    }

    /// `Bearer` and the token, for `Authorization`; marked as sensitive.
    #[must_use]
    pub const fn header(&self) -> &HeaderValue {
        self.bearer.header()
    }

    /// By what its source tells it from others.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.bearer.number()
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuedToken(<redacted>)")
    }
}

/// What [`Renew::renew`] returns.
pub type Renewal = Pin<Box<dyn Future<Output = Result<Renewed, SourceError>> + Send>>;

/// How a new token is got: one attempt each time it is called, and not again before that is over or was given up.
pub trait Renew: Send + Sync + fmt::Debug + 'static {
    /// Asks once. Runs in a task of its own, which nobody who waits for the token can cut short.
    fn renew(&self) -> Renewal;

    /// For how long the server wants to be left alone, if it said so with this failure: by `Retry-After` on 429 or 503.
    /// Nobody asks before. By default that is read from a
    /// [`TokenEndpointError`](super::TokenEndpointError) or a [`ClientError`](crate::issuer::ClientError); other errors know
    /// nothing of it.
    fn retry_after(&self, error: &SourceError) -> Option<Duration> {
        retry_after(error)
    }

    /// What its tokens are counted and logged under, such as the host of the token service. No secret.
    fn name(&self) -> &str {
        "renewed token"
    }
}

/// A token that was granted, and how long it lasts from when it was asked for.
pub struct Renewed {
    token: String,
    lifetime: Duration,
}

impl Renewed {
    /// This token, for so long.
    #[must_use]
    pub fn new(token: impl Into<String>, lifetime: Duration) -> Self {
        Self { token: token.into(), lifetime }
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// How long it lasts.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}
