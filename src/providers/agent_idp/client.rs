//! An agent's credentials → [`AgentIdpClient`]: tokens issued, introspected, revoked.

use std::{fmt, sync::Arc};

use http::StatusCode;

use super::{AgentIdp, AgentIdpError, Introspected, scopes};
use crate::{
    clock::UnixTime,
    issuer::{ClientAuthentication, ClientCredentials, Connection, Form, PlaceSource, Published},
    outbound::{BoundedEndpoint, TokenAnswer, TokenClient, TokenClientError, TokenEndpointError, authenticator},
};

/// Asks AgentIdP as one agent. Cloning shares it.
///
/// ```no_run
/// use portcullis::{issuer::Connection, providers::agent_idp::{AgentIdp, AgentIdpError, scopes}};
///
/// # async fn example(id: &str, secret: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let client = AgentIdp::at("http://localhost:3000")?.client(id, secret, &Connection::new()?)?;
/// let issued = match client.issue(Some(&[scopes::AGENTS_READ, scopes::AGENTS_WRITE])).await {
///     Err(AgentIdpError::MonthlyLimitReached { resets_at }) => panic!("come back at {resets_at}"),
///     answer => answer?,
/// };
/// assert!(client.introspect(issued.access_token()).await?.active().is_some());
/// client.revoke(issued.access_token()).await?;
/// assert!(client.introspect(issued.access_token()).await?.active().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AgentIdpClient(Arc<Inner>);

struct Inner {
    tokens: TokenClient,
    introspection: BoundedEndpoint,
    revocation: BoundedEndpoint,
    connection: Connection,
}

impl AgentIdp {
    /// A client of the token service, as the agent of this id and secret; nobody is asked yet.
    ///
    /// # Errors
    /// [`TokenClientError`]: credentials that could not work.
    pub fn client(
        &self,
        client_id: &str,
        client_secret: &str,
        connection: &Connection,
    ) -> Result<AgentIdpClient, TokenClientError> {
        let credentials = self.client_credentials(client_id, client_secret);
        let protected = |url: String, wanted, credentials: ClientCredentials| {
            let shown = authenticator(&ClientAuthentication::client_credentials(credentials), None, connection)?;
            BoundedEndpoint::start(&PlaceSource::Url(url), wanted, None, &shown, connection)
        };
        let to_read = credentials.clone().scope(scopes::TOKENS_READ);
        Ok(AgentIdpClient(Arc::new(Inner {
            tokens: TokenClient::at(self.token_url(), ClientAuthentication::post(client_id, client_secret))
                .start(connection)?,
            introspection: protected(self.introspection_url(), Published::Introspection, to_read)?,
            revocation: protected(self.revocation_url(), Published::Revocation, credentials)?,
            connection: connection.clone(),
        })))
    }
}

impl AgentIdpClient {
    /// Has a token issued to the agent, with these of its scopes; `None` grants **all** of them.
    ///
    /// One request, which counts towards the month's: it is never repeated, whatever goes wrong, and nothing is kept. For
    /// calls of your own, keep a token for its life instead: [`AgentIdp::client_credentials`].
    ///
    /// # Errors
    /// [`AgentIdpError`]. After [`NoAnswer`](AgentIdpError::NoAnswer) or [`Malformed`](AgentIdpError::Malformed) a token
    /// may have been counted nevertheless.
    pub async fn issue(&self, scopes: Option<&[&str]>) -> Result<TokenAnswer, AgentIdpError> {
        let scope = scopes.map(|scopes| scopes.join(" "));
        self.0.tokens.client_credentials(scope.as_deref()).await.map_err(|error| self.error(error))
    }

    /// Asks whether a token still counts, by a Bearer of the agent's own with [`scopes::TOKENS_READ`], which is issued when
    /// it is first needed, kept, and renewed; see [`ClientCredentials`] for how many that makes in a month. If it is
    /// refused with 401, the question is asked once more with a new one.
    ///
    /// # Errors
    /// [`AgentIdpError`]: nothing is known of the token.
    pub async fn introspect(&self, token: &str) -> Result<Introspected, AgentIdpError> {
        let endpoint = &self.0.introspection;
        let answer = endpoint.ask(&about(token)).await.map_err(|error| self.error(error))?;
        match answer.status() {
            StatusCode::OK => Introspected::read(answer.body()),
            _ => Err(self.error(endpoint.refusal(&answer))),
        }
    }

    /// Revokes a token, at once and for good; done as well where it was revoked or over already (RFC 7009 §2.2).
    ///
    /// It may be the agent's own token, or any where the agent is an admin: the Bearer that is shown has all of the agent's
    /// scopes. It is kept and renewed like that of [`introspect`](Self::introspect), and is another.
    ///
    /// # Errors
    /// [`AgentIdpError`]: the token may count on. [`Forbidden`](AgentIdpError::Forbidden): it is another agent's.
    pub async fn revoke(&self, token: &str) -> Result<(), AgentIdpError> {
        let endpoint = &self.0.revocation;
        let answer = endpoint.ask(&about(token)).await.map_err(|error| self.error(error))?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            _ => Err(self.error(endpoint.refusal(&answer))),
        }
    }

    fn error(&self, error: TokenEndpointError) -> AgentIdpError {
        AgentIdpError::of(error, self.now())
    }

    fn now(&self) -> UnixTime {
        self.0.connection.environment().clock.now().wall()
    }
}

fn about(token: &str) -> Form {
    let mut form = Form::default();
    form.push("token", token);
    form
}

impl fmt::Debug for AgentIdpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AgentIdpClient").field(&self.0.tokens).finish()
    }
}
