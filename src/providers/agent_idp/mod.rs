//! AgentIdP → what its tokens take, who says whether they stand, and a client of its token service.
//!
//! AgentIdP issues JWTs to agents, which are clients with a secret (RFC 6749 §4.4): RS256, with `sub`, `client_id`, `scope`,
//! `jti`, `iat` and `exp`, and with neither `iss` nor `aud` nor `kid`. A service that protects itself with them:
//!
//! ```no_run
//! use portcullis::{Authorizer, AuthorizeLayer, Requirement, RouteTable, Unlisted};
//! use portcullis::providers::agent_idp::{AgentIdp, scopes};
//!
//! # fn example(id: &str, secret: &str) -> Result<AuthorizeLayer, Box<dyn std::error::Error>> {
//! let idp = AgentIdp::at("http://localhost:3000")?;
//! let authorizer = Authorizer::builder()
//!     .issuer(idp.issuer(id, secret))
//!     .routes(
//!         RouteTable::builder()
//!             .get("/agents", Requirement::scope(scopes::AGENTS_READ))
//!             .post("/agents", Requirement::scope(scopes::AGENTS_WRITE).status_on_every_request())
//!             .otherwise(Unlisted::Deny)?,
//!     )
//!     .build()?;
//! let layer = AuthorizeLayer::by_raw_path(authorizer);
//! # Ok(layer)
//! # }
//! ```
//!
//! `id` and `secret` are those of the service itself: an agent that has [`scopes::TOKENS_READ`], since it asks whether
//! tokens still stand. For having tokens issued, introspected and revoked, see [`AgentIdpClient`]; for a token to show on
//! calls of your own, [`AgentIdp::client_credentials`].

mod client;
mod error;
mod introspected;
mod month;
pub mod scopes;

pub use client::AgentIdpClient;
pub use error::AgentIdpError;
pub use introspected::{Introspected, IntrospectedToken};

use crate::{
    authorizer::Issuer,
    crypto::Algorithm,
    issuer::{ClientAuthentication, ClientCredentials, Endpoint, EndpointError},
    keys::KeySource,
    status::Introspection,
    token::TokenType,
};

/// An AgentIdP, by where it is.
#[derive(Clone, Debug)]
pub struct AgentIdp {
    base: String,
    keys: KeySource,
}

impl AgentIdp {
    /// The AgentIdP at this URL, such as `https://idp.example.com` or `http://localhost:3000`: without a query, and with or
    /// without the `/api/v1` that all its endpoints are below.
    ///
    /// # Errors
    /// Where it is not an absolute URL, has a query, or is neither `https` nor on loopback.
    pub fn at(base_url: &str) -> Result<Self, EndpointError> {
        let endpoint = Endpoint::parse(base_url)?;
        if endpoint.as_str().contains('?') {
            return Err(EndpointError::Query(endpoint.to_string()));
        }
        let base = endpoint.as_str().trim_end_matches('/');
        let base = base.strip_suffix("/api/v1").unwrap_or(base).trim_end_matches('/').to_owned();
        let keys = KeySource::url(format!("{base}/.well-known/jwks.json"));
        Ok(Self { base, keys })
    }

    /// Other keys than those that are published at `/.well-known/jwks.json`.
    #[must_use]
    pub fn keys(mut self, keys: KeySource) -> Self {
        self.keys = keys;
        self
    }

    /// What its tokens take, and that its introspection endpoint is asked whether they still stand, as the agent of this id
    /// and secret, which must have [`scopes::TOKENS_READ`]. The Bearer that this takes is issued when it is first needed,
    /// kept, and renewed ([`ClientCredentials`] says how often). Answers are kept as
    /// [`StatusPolicy`](crate::status::StatusPolicy) says; a route can want a fresh one.
    ///
    /// Beside what [`issuer_without_status`](Self::issuer_without_status) says. Whatever else [`Issuer`] has can be added.
    #[must_use]
    pub fn issuer(&self, client_id: &str, client_secret: &str) -> Issuer {
        let credentials = self.client_credentials(client_id, client_secret).scope(scopes::TOKENS_READ);
        let bearer = ClientAuthentication::client_credentials(credentials);
        let introspection = Introspection::at(self.introspection_url(), bearer).without_type_hint();
        self.issuer_without_status().introspection(introspection)
    }

    /// What its tokens take, and nobody to ask whether they still stand. **A token that AgentIdP has revoked is then
    /// accepted until its `exp`**, an hour at most, unless the service hears of it in another way
    /// ([`Revocations`](crate::status::Revocations)).
    ///
    /// RS256 and no other algorithm, `typ` `JWT`, a signature by any of the published keys. Since tokens name neither issuer
    /// nor audience, nothing in them says which service they are for, and this must be the only issuer. That is why `sub`
    /// and `client_id` must both be there, and be the same: it is what tells these tokens from others that the same keys
    /// may sign, such as one on behalf of a user.
    #[must_use]
    pub fn issuer_without_status(&self) -> Issuer {
        Issuer::without_identifier(self.keys.clone())
            .dangerous_any_audience()
            .algorithms([Algorithm::RS256])
            .token_type(TokenType::Named("JWT".into()))
            .that("is an agent's own", |token| token.subject().is_some() && token.subject() == token.client_id())
    }

    /// A token of the agent's own for calls to others, fetched when it is first needed, kept, and renewed. Without a
    /// [`scope`](ClientCredentials::scope) it has **all** of the agent's.
    #[must_use]
    pub fn client_credentials(&self, client_id: &str, client_secret: &str) -> ClientCredentials {
        ClientCredentials::at(self.token_url(), ClientAuthentication::post(client_id, client_secret))
    }

    fn token_url(&self) -> String {
        format!("{}/api/v1/token", self.base)
    }

    fn introspection_url(&self) -> String {
        format!("{}/api/v1/token/introspect", self.base)
    }

    fn revocation_url(&self) -> String {
        format!("{}/api/v1/token/revoke", self.base)
    }
}
