//! A refresh token → access tokens, and each new refresh token in its store before any of them is used (RFC 6749 §6).

mod rotation;

use std::{fmt, future::Future, pin::Pin, time::Duration};

use http::Extensions;

use self::rotation::Rotation;
use super::{
    IssuedToken, Renewed, RenewedToken, SourceError, SourcedToken, TokenSource,
    grants::{is_invalid_grant, retry_after},
};
use crate::issuer::Connection;

/// What [`RefreshGrant::refresh`] returns.
pub type Refreshing = Pin<Box<dyn Future<Output = Result<Refreshed, SourceError>> + Send>>;

/// What [`RefreshTokenStore::store`] returns.
pub type Storing = Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>>;

/// Whoever turns a refresh token into an access token.
pub trait RefreshGrant: Send + Sync + fmt::Debug + 'static {
    /// Asks once. Given up after the connection's timeout.
    fn refresh(&self, refresh_token: &str) -> Refreshing;

    /// Whether the refresh token is no good any more, so that it would be wrong to send it again: it was revoked, is over, or
    /// was used by somebody else. By default a [`TokenEndpointError`](super::TokenEndpointError) or
    /// [`ClientError`](crate::issuer::ClientError) whose code is `invalid_grant`.
    fn is_over(&self, error: &SourceError) -> bool {
        is_invalid_grant(error)
    }

    /// For how long the server wants to be left alone: as [`Renew::retry_after`](super::Renew::retry_after).
    fn retry_after(&self, error: &SourceError) -> Option<Duration> {
        retry_after(error)
    }

    /// What its tokens are counted and logged under. No secret.
    fn name(&self) -> &str {
        "refresh token"
    }
}

/// What a refresh token was turned into.
pub struct Refreshed {
    renewed: Result<Renewed, SourceError>,
    refresh_token: Option<String>,
}

impl Refreshed {
    /// An access token that lasts so long from when it was asked for.
    #[must_use]
    pub fn new(access_token: impl Into<String>, lifetime: Duration) -> Self {
        Self { renewed: Ok(Renewed::new(access_token, lifetime)), refresh_token: None }
    }

    /// An answer with no access token that could be used, and why. A refresh token that came along counts nevertheless,
    /// since the one that was sent may be worth nothing any more.
    #[must_use]
    pub fn unusable(error: SourceError) -> Self {
        Self { renewed: Err(error), refresh_token: None }
    }

    /// The refresh token that came along, in the place of the one that was used.
    #[must_use]
    pub fn refresh_token(mut self, refresh_token: impl Into<String>) -> Self {
        self.refresh_token = Some(refresh_token.into());
        self
    }
}

impl fmt::Debug for Refreshed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshed").field("renewed", &self.renewed).finish_non_exhaustive()
    }
}

/// Where refresh tokens outlive the process: a file, a row, a secret manager.
pub trait RefreshTokenStore: Send + Sync + fmt::Debug + 'static {
    /// Keeps this one in the place of the one before, which is worth nothing any more. Done when it would survive a crash.
    ///
    /// Never called while a call before is under way. A call that takes longer than the connection's timeout is dropped
    /// and made again, by then perhaps with a newer token: work that goes on after that, such as that of
    /// `spawn_blocking`, has to see to it by itself that the newest remains.
    fn store(&self, refresh_token: &str) -> Storing;
}

/// An access token from a refresh token (RFC 6749 §6), renewed as a [`RenewedToken`] is.
///
/// # Refresh tokens that rotate
///
/// Servers replace a refresh token with each use and take the use of an old one for theft, upon which they revoke what
/// there is (RFC 9700 §4.14.2). So a new refresh token that comes along takes the place of the old one at once, the old one
/// is never sent again, and the [`RefreshTokenStore`] has the new one before anybody gets the access token.
///
/// A store that fails does not cost the access token: it is handed out, the new refresh token is used from memory, and
/// storing it is tried again, with pauses from a second up to a minute, until it is stored or replaced. Each failure is
/// logged and counted as `not_stored`: a process that ends before would lose the token.
///
/// A refresh that has begun goes on to its end, and to an attempt to store what came of it, also where nobody waits for it
/// any longer and the last clone of this is gone. An answer that is lost on its way, or with its tokio runtime, takes the
/// new refresh token with it, which nobody can help on this side. Nor does one refresh token do for two: give each replica
/// its own, and have one `RefreshedToken` for it at a time.
///
/// Once the server says that the refresh token is no good ([`RefreshGrant::is_over`]), it is not sent any more: the same
/// error is the answer until there is another `RefreshedToken`. The access token is used for as long as it lives.
#[derive(Clone)]
pub struct RefreshedToken(RenewedToken);

impl RefreshedToken {
    /// Access tokens that `grant` makes of `refresh_token`, as it was read from `store`. Nobody is asked yet.
    #[must_use]
    pub fn new(
        refresh_token: impl Into<String>,
        grant: impl RefreshGrant,
        store: impl RefreshTokenStore,
        connection: &Connection,
    ) -> Self {
        // Time to ask, to wait for a store that is being tried again, and to store, each of which has its own bound.
        let limit = connection.limit().saturating_mul(3).saturating_add(Duration::from_secs(1));
        Self(RenewedToken::within(limit, Rotation::new(refresh_token.into(), grant, store, connection), connection))
    }
}

impl TokenSource for RefreshedToken {
    fn token(&self, request: &Extensions) -> SourcedToken {
        self.0.token(request)
    }

    fn refused(&self, token: &IssuedToken) -> bool {
        self.0.refused(token)
    }
}

impl fmt::Debug for RefreshedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RefreshedToken").field(&self.0).finish()
    }
}
