//! Calls that a service makes itself → the access tokens they carry: got, renewed, exchanged, given back.
//!
//! ```text
//! TokenSource ─► AttachTokenLayer ─► request with `Authorization: Bearer` ─► another protected resource
//!      ▲                                    ◄── 401 invalid_token: once more, with a new one
//! client credentials, refresh token, exchange, or a way of your own
//! ```
//!
//! | source | its tokens |
//! |---|---|
//! | [`ClientCredentialsToken`] | the service's own, by its client credentials (RFC 6749 §4.4) |
//! | [`RefreshedToken`] | a user's, by a refresh token that is stored whenever it changes (RFC 6749 §6) |
//! | [`ExchangedToken`] | the caller's, each in exchange for the one that was shown (RFC 8693) |
//! | [`RenewedToken`] | whatever a [`Renew`] gets |
//! | [`FixedToken`] | one from configuration |
//!
//! A source has a token at hand nearly always: it is got once for all who wait, renewed before it is over, used while it
//! lives although the server is down, and replaced when it is refused. [`TokenClient`] is for whoever wants to ask for tokens
//! by hand, or to revoke them.
//!
//! ```
//! use portcullis::{
//!     issuer::{ClientAuthentication, ClientCredentials, Connection},
//!     outbound::{AttachTokenLayer, ClientCredentialsToken},
//! };
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // Once for the process: whatever asks an authorization server shares it.
//! let connection = Connection::new()?;
//! let credentials = ClientCredentials::discover(ClientAuthentication::basic("orders-api", "s3cret"))
//!     .scope("stock:read");
//! let token = ClientCredentialsToken::start(&credentials, Some("https://idp.example.com"), &connection)?;
//!
//! // Tokens go to the stock service, and nowhere else.
//! let layer = AttachTokenLayer::to(["https://stock.example.com"], token)?;
//! let client = reqwest::Client::new();
//! let mut stock = ServiceBuilder::new().layer(layer).service(client.clone());
//!
//! let request = client.get("https://stock.example.com/items/7").build()?;
//! let answer: reqwest::Response = stock.ready().await?.call(request).await?;
//! # Ok(())
//! # }
//! ```

mod attach;
mod client;
mod exchanged;
mod fixed;
mod grants;
mod refreshed;
mod renewed;
mod source;

pub use attach::{
    AttachError, AttachFuture, AttachToken, AttachTokenLayer, NeverRepeat, OriginError, OutgoingRequest,
    ReceivedResponse, Repeat, RepeatBodies, RepeatableBody,
};
#[cfg(feature = "agent-idp")]
pub(crate) use client::{BoundedEndpoint, authenticator};
pub use client::{
    Refusal, TokenAnswer, TokenClient, TokenClientBuilder, TokenClientError, TokenEndpointError, TokenExchange,
    TokenTypeHint, token_types,
};
pub use exchanged::{ExchangeError, ExchangeGrant, ExchangedToken, SubjectToken};
pub use fixed::FixedToken;
pub use grants::ExchangeAt;
pub use refreshed::{RefreshGrant, RefreshTokenStore, Refreshed, RefreshedToken, Refreshing, Storing};
pub use renewed::{ClientCredentialsToken, RenewedToken};
pub use source::{IssuedToken, Renew, Renewal, Renewed, SourceError, SourcedToken, TokenSource};
