//! Calls that a service makes itself → the access tokens they carry: got, renewed, exchanged, given back.
//!
//! ```text
//! TokenSource ─► AttachTokenLayer ─► request with `Authorization: Bearer` ─► another protected resource
//!      ▲                                    ◄── 401 invalid_token: once more, with a new one
//! client credentials, refresh token, exchange
//! ```

mod client;
mod source;

#[cfg(feature = "agent-idp")]
pub(crate) use client::{BoundedEndpoint, authenticator};
pub use client::{
    Refusal, TokenAnswer, TokenClient, TokenClientBuilder, TokenClientError, TokenEndpointError, TokenExchange,
    TokenTypeHint, token_types,
};
pub use source::{IssuedToken, Renew, Renewal, Renewed, SourceError, SourcedToken, TokenSource};
