//! A way to get a new token → a token at hand whenever it is needed, got as rarely as can be.

use std::{fmt, sync::Arc, time::Duration};

use http::Extensions;

use super::{IssuedToken, Renew, Renewal, SourceError, SourcedToken, TokenSource};
use crate::issuer::{
    Ask, Asking, ClientAuthenticationError, ClientCredentials, ClientError, Connection, GrantedBearer, OwnToken,
    SharedError, TokenRequest, bearer,
};

/// A token that is got by client credentials (RFC 6749 §4.4) when it is first needed, kept, and renewed before it is over.
///
/// How often a token is asked for, and what happens when that fails, is told at [`ClientCredentials`].
///
/// ```
/// use portcullis::{
///     issuer::{ClientAuthentication, ClientCredentials, Connection},
///     outbound::ClientCredentialsToken,
/// };
///
/// let credentials = ClientCredentials::discover(ClientAuthentication::basic("orders-api", "s3cret"))
///     .scope("stock:read")
///     .resource("https://stock.example.com");
/// let token = ClientCredentialsToken::start(&credentials, Some("https://idp.example.com"), &Connection::new()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClientCredentialsToken(Arc<OwnToken>);

impl ClientCredentialsToken {
    /// A token by these credentials; nobody is asked yet. `issuer` is whose metadata name the token endpoint where that is to
    /// be discovered, and whom client assertions are meant for.
    ///
    /// # Errors
    /// Where the credentials cannot be used as configured: see [`ClientAuthenticationError`].
    pub fn start(
        credentials: &ClientCredentials,
        issuer: Option<&str>,
        connection: &Connection,
    ) -> Result<Self, ClientAuthenticationError> {
        let request = TokenRequest::start(credentials, issuer, connection.environment())?;
        let request = Timed { request, timeout: connection.limit() };
        Ok(Self(Arc::new(OwnToken::new(request, connection.environment().clock.clone()))))
    }
}

impl TokenSource for ClientCredentialsToken {
    fn token(&self, _: &Extensions) -> SourcedToken {
        take(&self.0, None)
    }

    fn refused(&self, token: &IssuedToken) -> bool {
        self.0.refused(token.bearer())
    }
}

impl fmt::Debug for ClientCredentialsToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCredentialsToken").field(&self.0).finish()
    }
}

/// A token that is got by a [`Renew`] when it is first needed, kept, and renewed before it is over.
///
/// One attempt at a time, in a task of its own: however many wait, they wait for the same one, and whoever stops waiting
/// stops nothing. While the token is used, it is renewed when a tenth of its life is left, at least 5 seconds and at most a
/// minute before its end (never more than half of its life), a little earlier by chance; at the latest after a day. One
/// that nobody used since it was got is not renewed.
///
/// After a failure nobody asks for a second, doubling up to a minute, or for as long as [`Renew::retry_after`] says; who
/// has no token meanwhile gets the error at once, and a token that is not over yet is used. One that was refused is
/// dropped for a new one, but if that is refused too, not again for a minute, doubling up to an hour.
#[derive(Clone)]
pub struct RenewedToken(Arc<OwnToken>);

impl RenewedToken {
    /// A token that `renew` gets. An attempt is given up after the connection's
    /// [`timeout`](Connection::timeout), by its clock.
    #[must_use]
    pub fn new(renew: impl Renew, connection: &Connection) -> Self {
        Self::within(connection.limit(), renew, connection)
    }

    /// The same with more or less time for an attempt.
    pub(super) fn within(timeout: Duration, renew: impl Renew, connection: &Connection) -> Self {
        let request = Renewing { renew, timeout };
        Self(Arc::new(OwnToken::new(request, connection.environment().clock.clone())))
    }
}

impl TokenSource for RenewedToken {
    fn token(&self, _: &Extensions) -> SourcedToken {
        take(&self.0, None)
    }

    fn refused(&self, token: &IssuedToken) -> bool {
        self.0.refused(token.bearer())
    }
}

impl fmt::Debug for RenewedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RenewedToken").field(&self.0).finish()
    }
}

/// The token that is kept, as its source hands it out.
pub(super) fn take(own: &Arc<OwnToken>, subject: Option<[u8; 32]>) -> SourcedToken {
    let own = Arc::clone(own);
    Box::pin(async move {
        match own.get().await {
            Ok(bearer) => Ok(IssuedToken::own(bearer, subject)),
            Err(error) => Err(told(error)),
        }
    })
}

/// Whoever wrote the way to a token gets their own error back.
fn told(error: SharedError) -> SourceError {
    match &*error {
        ClientError::Source(source) => Arc::clone(source),
        _ => error,
    }
}

/// What a renewal came to, as those who keep tokens want it. `name` is whose token it is.
pub(super) async fn granted(name: &str, renewal: Renewal) -> Result<GrantedBearer, ClientError> {
    let renewed = renewal.await.map_err(ClientError::Source)?;
    let header = bearer(renewed.token()).ok_or_else(|| ClientError::Malformed {
        url: name.to_owned(),
        reason: "the token has characters that a Bearer cannot have",
    })?;
    Ok(GrantedBearer { header, lifetime: renewed.lifetime(), is_last: false, is_shared: false })
}

/// Our own request, within the time that was configured.
struct Timed {
    request: TokenRequest,
    timeout: Duration,
}

impl Ask for Timed {
    fn name(&self) -> &str {
        self.request.name()
    }

    fn ask(&self) -> Asking<'_> {
        self.request.ask()
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Somebody else's.
struct Renewing<R> {
    renew: R,
    timeout: Duration,
}

impl<R: Renew> Ask for Renewing<R> {
    fn name(&self) -> &str {
        self.renew.name()
    }

    fn ask(&self) -> Asking<'_> {
        Box::pin(granted(self.renew.name(), self.renew.renew()))
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn retry_after(&self, error: &ClientError) -> Option<Duration> {
        match error {
            ClientError::Source(source) => self.renew.retry_after(source),
            _ => error.retry_after(),
        }
    }
}
