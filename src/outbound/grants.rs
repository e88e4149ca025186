//! A client of a token endpoint → what refreshes and exchanges tokens for the sources.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    ExchangeGrant, RefreshGrant, Refreshed, Refreshing, Renewal, Renewed, SourceError, SubjectToken, TokenAnswer,
    TokenClient, TokenEndpointError, TokenExchange,
};
use crate::issuer::{ClientError, UNSTATED_LIFETIME};

/// For how long the server wants to be left alone, where the error is one of ours that says so.
pub(super) fn retry_after(error: &SourceError) -> Option<Duration> {
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return error.retry_after();
    }
    match error.downcast_ref()? {
        TokenEndpointError::Refused(refusal) => refusal.retry_after(),
        TokenEndpointError::Credentials(error) => error.retry_after(),
        _ => None,
    }
}

/// Whether the error is one of ours that says that what was to be turned into a token is no good (RFC 6749 §5.2).
pub(super) fn is_invalid_grant(error: &SourceError) -> bool {
    match (error.downcast_ref(), error.downcast_ref()) {
        (Some(ClientError::Refused { code, .. }), _) => *code == Some("invalid_grant"),
        (_, Some(TokenEndpointError::Refused(refusal))) => refusal.code() == Some("invalid_grant"),
        _ => false,
    }
}

/// Refreshes with the scope that the refresh token has.
impl RefreshGrant for TokenClient {
    fn refresh(&self, refresh_token: &str) -> Refreshing {
        let (client, refresh_token) = (self.clone(), refresh_token.to_owned());
        Box::pin(async move {
            let (answer, new) = client.rotate(&refresh_token).await.map_err(shared)?;
            let refreshed = match answer {
                Ok(answer) => Refreshed::new(answer.access_token(), lifetime(&answer)),
                Err(reason) => Refreshed::unusable(shared(TokenEndpointError::Malformed(reason))),
            };
            Ok(match new {
                Some(new) => refreshed.refresh_token(new),
                None => refreshed,
            })
        })
    }
}

/// Exchanges tokens at a token endpoint: see [`ExchangedToken`](super::ExchangedToken).
///
/// ```
/// use portcullis::{
///     issuer::{ClientAuthentication, Connection},
///     outbound::{ExchangeAt, ExchangedToken, TokenClient, TokenExchange, token_types},
/// };
///
/// let connection = Connection::new()?;
/// let client = TokenClient::discover("https://idp.example.com", ClientAuthentication::basic("orders-api", "s3cret"))
///     .start(&connection)?;
/// let exchange = ExchangeAt::new(client, |subject| {
///     TokenExchange::new(subject.token(), token_types::ACCESS_TOKEN).audience("https://billing.example.com")
/// });
/// let token = ExchangedToken::new(exchange, 10_000, &connection);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ExchangeAt<F> {
    client: TokenClient,
    exchange: F,
}

impl<F> ExchangeAt<F>
where
    F: Fn(&SubjectToken) -> TokenExchange + Send + Sync + 'static,
{
    /// `exchange` says what is to be asked for a token: always the same, since what comes of it is kept for the next one
    /// who shows that token.
    #[must_use]
    pub const fn new(client: TokenClient, exchange: F) -> Self {
        Self { client, exchange }
    }
}

impl<F> ExchangeGrant for ExchangeAt<F>
where
    F: Fn(&SubjectToken) -> TokenExchange + Send + Sync + 'static,
{
    fn exchange(&self, subject: &SubjectToken) -> Renewal {
        let (client, exchange) = (self.client.clone(), (self.exchange)(subject));
        Box::pin(async move {
            let answer = client.exchange(&exchange).await.map_err(shared)?;
            if answer.token_type() != "Bearer" {
                return Err(shared(TokenEndpointError::Malformed("its token is none to show to a resource")));
            }
            Ok(Renewed::new(answer.access_token(), lifetime(&answer)))
        })
    }
}

impl<F> fmt::Debug for ExchangeAt<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeAt").field("client", &self.client).finish_non_exhaustive()
    }
}

fn shared(error: TokenEndpointError) -> SourceError {
    Arc::new(error)
}

fn lifetime(answer: &TokenAnswer) -> Duration {
    answer.expires_in().unwrap_or(UNSTATED_LIFETIME)
}
