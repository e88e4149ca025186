//! An authorization server's token and revocation endpoints → [`TokenClient`], one method for each thing to ask of them.
//!
//! | method | request | answer |
//! |---|---|---|
//! | [`client_credentials`](TokenClient::client_credentials) | RFC 6749 §4.4 | a token of our own |
//! | [`refresh`](TokenClient::refresh) | RFC 6749 §6 | a newer token, often with a new refresh token |
//! | [`exchange`](TokenClient::exchange) | RFC 8693 | a token for another token |
//! | [`revoke`](TokenClient::revoke) | RFC 7009 | that the token no longer counts |
//!
//! Each is one request, and never a second, whatever goes wrong: a server may count them, and a refresh token may be good
//! for one use. The one exception cannot have had an effect: where a Bearer that we renew ourselves
//! ([`ClientAuthentication::client_credentials`]) is refused with 401, the request is sent once more with a new one.
//!
//! Believed is status 200 alone, with a JSON object of at most 64 KiB whose members have the right types and stand there
//! once. A token must be a `Bearer`, in any case of letters, with the characters of one; `N_A` only after an exchange.

mod answer;
mod bounded;
mod error;
mod exchange;

use std::{fmt, sync::Arc};

use http::StatusCode;
use serde_json::Value;

pub use answer::TokenAnswer;
pub(crate) use bounded::{BoundedEndpoint, authenticator};
pub use error::{Refusal, TokenClientError, TokenEndpointError};
use exchange::push_scope;
pub use exchange::{TokenExchange, token_types};

use crate::issuer::{ClientAuthentication, Connection, Form, Granted, PlaceSource, Published, Ungranted};

/// Asks an authorization server for tokens, and gives them back. Cloning shares it.
///
/// ```no_run
/// use portcullis::{issuer::{ClientAuthentication, Connection}, outbound::{TokenClient, TokenTypeHint}};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = TokenClient::discover("https://idp.example.com", ClientAuthentication::basic("orders-api", "s3cret"))
///     .start(&Connection::new()?)?;
/// let answer = client.client_credentials(Some("invoices:read")).await?;
/// println!("lasts {:?}, allows {:?}", answer.expires_in(), answer.scope());
/// client.revoke(answer.access_token(), Some(TokenTypeHint::AccessToken)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenClient(Arc<Inner>);

struct Inner {
    token: BoundedEndpoint,
    revocation: Option<BoundedEndpoint>,
}

/// A [`TokenClient`] as configured; made by [`TokenClient::at`] and [`TokenClient::discover`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `start`"]
pub struct TokenClientBuilder {
    issuer: Option<String>,
    token: PlaceSource,
    revocation: Option<PlaceSource>,
    authentication: ClientAuthentication,
}

/// What kind a token is that is to be revoked, so that the server finds it sooner (RFC 7009 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenTypeHint {
    /// `access_token`
    AccessToken,
    /// `refresh_token`
    RefreshToken,
}

impl TokenTypeHint {
    const fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
        }
    }
}

impl TokenClient {
    /// The token endpoint by its URL (`https`, or `http` on loopback), and how we show there who we are. There is no
    /// revocation endpoint until [`revocation_url`](TokenClientBuilder::revocation_url) names it.
    pub fn at(token_url: impl Into<String>, authentication: ClientAuthentication) -> TokenClientBuilder {
        let token = PlaceSource::Url(token_url.into());
        TokenClientBuilder { issuer: None, token, revocation: None, authentication }
    }

    /// The endpoints that the metadata of this issuer name (RFC 8414, OpenID Connect Discovery): each is looked up with the
    /// first request to it, and again when it is gone.
    pub fn discover(issuer: impl Into<String>, authentication: ClientAuthentication) -> TokenClientBuilder {
        TokenClientBuilder {
            issuer: Some(issuer.into()),
            token: PlaceSource::Discovery,
            revocation: Some(PlaceSource::Discovery),
            authentication,
        }
    }

    /// Asks for a token of our own (RFC 6749 §4.4), with this scope or several with a space between them. Without any, the
    /// server decides: often it is all that the client may have.
    ///
    /// # Errors
    /// [`TokenEndpointError`]: no answer, a refusal, or an answer that is none.
    pub async fn client_credentials(&self, scope: Option<&str>) -> Result<TokenAnswer, TokenEndpointError> {
        let mut form = Form::default();
        form.push("grant_type", "client_credentials");
        push_scope(&mut form, scope)?;
        self.grant(&form, |granted| TokenAnswer::bearer(granted, scope)).await
    }

    /// Asks for a newer token (RFC 6749 §6), with the scope of the old one or less.
    ///
    /// Where the answer brings a new refresh token, keep that and forget the old: it may be good for one use only, and to
    /// show it again may cost the user all of them (RFC 9700 §4.14.2). When there was no answer, or one of no use
    /// ([`Transport`](TokenEndpointError::Transport), [`TimedOut`](TokenEndpointError::TimedOut),
    /// [`Malformed`](TokenEndpointError::Malformed)), it may have been used. So may it when the future is dropped:
    /// [`RefreshedToken`](super::RefreshedToken) sees to all of that.
    ///
    /// # Errors
    /// [`TokenEndpointError`]: no answer, a refusal (`invalid_grant`: the refresh token no longer counts), or an answer
    /// that is none.
    pub async fn refresh(&self, refresh_token: &str, scope: Option<&str>) -> Result<TokenAnswer, TokenEndpointError> {
        self.grant(&refresh(refresh_token, scope)?, |granted| TokenAnswer::bearer(granted, scope)).await
    }

    /// The same, with the new refresh token apart: it counts also where the rest of the answer is of no use.
    pub(super) async fn rotate(
        &self,
        refresh_token: &str,
    ) -> Result<(Result<TokenAnswer, &'static str>, Option<String>), TokenEndpointError> {
        let read = |granted: Granted| {
            let new = granted.refresh_token.as_ref().and_then(Value::as_str).map(str::to_owned);
            Ok((TokenAnswer::bearer(granted, None), new))
        };
        self.grant(&refresh(refresh_token, None)?, read).await
    }

    /// Asks for a token in exchange for another (RFC 8693).
    ///
    /// # Errors
    /// [`TokenEndpointError`]: no answer, a refusal (`invalid_target`: not for there), an answer that is none, or an
    /// exchange with a scope or parameter that cannot be sent.
    pub async fn exchange(&self, exchange: &TokenExchange) -> Result<TokenAnswer, TokenEndpointError> {
        let form = exchange.form()?;
        self.grant(&form, |granted| TokenAnswer::exchanged(granted, exchange.asked_scope())).await
    }

    /// Asks that a token be revoked (RFC 7009). Done as well where the server never knew it: that is not told.
    ///
    /// # Errors
    /// [`TokenEndpointError`]: the token may count on. On [`Refused`](TokenEndpointError::Refused) with 503, ask again
    /// after [`retry_after`](Refusal::retry_after); with `unsupported_token_type` the server revokes none of that kind.
    pub async fn revoke(&self, token: &str, hint: Option<TokenTypeHint>) -> Result<(), TokenEndpointError> {
        let revocation = self.0.revocation.as_ref().ok_or(TokenEndpointError::NoRevocationEndpoint)?;
        let mut form = Form::default();
        form.push("token", token);
        if let Some(hint) = hint {
            form.push("token_type_hint", hint.name());
        }
        let answer = revocation.ask(&form).await?;
        if answer.status() == StatusCode::OK { Ok(()) } else { Err(revocation.refusal(&answer)) }
    }

    async fn grant<T>(
        &self,
        form: &Form,
        read: impl FnOnce(Granted) -> Result<T, &'static str>,
    ) -> Result<T, TokenEndpointError> {
        let endpoint = &self.0.token;
        let answer = endpoint.ask(form).await?;
        match Granted::read(&answer, endpoint.now()) {
            Ok(granted) => read(granted).map_err(TokenEndpointError::Malformed),
            Err(Ungranted::Malformed(reason)) => Err(TokenEndpointError::Malformed(reason)),
            Err(Ungranted::Refused(answer)) => Err(TokenEndpointError::Refused(Refusal(answer))),
        }
    }
}

fn refresh(refresh_token: &str, scope: Option<&str>) -> Result<Form, TokenEndpointError> {
    let mut form = Form::default();
    form.push("grant_type", "refresh_token");
    form.push("refresh_token", refresh_token);
    push_scope(&mut form, scope)?;
    Ok(form)
}

impl TokenClientBuilder {
    /// The revocation endpoint by its URL (`https`, or `http` on loopback).
    pub fn revocation_url(mut self, url: impl Into<String>) -> Self {
        self.revocation = Some(PlaceSource::Url(url.into()));
        self
    }

    /// Reads the configuration; nobody is asked yet.
    ///
    /// # Errors
    /// [`TokenClientError`]: a URL that may not be asked, or credentials that could not work.
    pub fn start(self, connection: &Connection) -> Result<TokenClient, TokenClientError> {
        let issuer = self.issuer.as_deref();
        let authenticator = authenticator(&self.authentication, issuer, connection)?;
        let endpoint =
            |place: &PlaceSource, wanted| BoundedEndpoint::start(place, wanted, issuer, &authenticator, connection);
        let token = endpoint(&self.token, Published::Token)?;
        let revocation = self.revocation.map(|place| endpoint(&place, Published::Revocation)).transpose()?;
        Ok(TokenClient(Arc::new(Inner { token, revocation })))
    }
}

impl fmt::Debug for TokenClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { token, revocation } = &*self.0;
        f.debug_struct("TokenClient").field("token", token).field("revocation", revocation).finish()
    }
}
