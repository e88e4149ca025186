//! Calls that a service makes itself → the access tokens they carry: got, renewed, exchanged, given back.
//!
//! ```text
//! TokenSource ─► AttachTokenLayer ─► request with `Authorization: Bearer` ─► another protected resource
//!      ▲                                    ◄── 401 invalid_token: once more, with a new one
//! client credentials, refresh token, exchange
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
