//! How we speak to an authorization server: its URLs, its metadata, who we are to it, and the HTTP that carries it all.
//!
//! ```text
//! ClientAuthentication (configured) ─► Authenticator ─► headers and form of a request ─► ClientEndpoint ─► its answer
//!                                           ▲
//!          ClientCredentials ─► TokenRequest ─► OwnToken: fetched once, kept, renewed
//! ```
//!
//! The only module that names an HTTP client. Whatever comes back is bounded before anybody reads it.

mod assertion;
mod authentication;
mod authenticator;
mod client_credentials;
mod client_endpoint;
#[cfg(feature = "outbound")]
mod connection;
mod endpoint;
mod environment;
mod form;
mod metadata;
mod own_token;
mod place;
mod retry_after;
mod shared_token;
mod token_answer;
mod token_request;
mod transport;

pub use assertion::PrivateKey;
#[cfg(feature = "outbound")]
pub(crate) use authentication::bearer;
pub use authentication::{ClientAuthentication, ClientAuthenticationError};
pub(crate) use authenticator::{Authenticator, Shown};
pub use client_credentials::ClientCredentials;
pub(crate) use client_endpoint::{Answered, ClientEndpoint, NoAnswer, is_gone};
#[cfg(feature = "outbound")]
#[cfg_attr(docsrs, doc(cfg(feature = "outbound")))]
pub use connection::Connection;
pub use endpoint::{Endpoint, EndpointError};
pub(crate) use environment::Environment;
pub(crate) use form::{ExtraParameters, Form};
pub(crate) use metadata::{DiscoveryError, Published, discover};
#[cfg(feature = "outbound")]
pub(crate) use own_token::{Ask, Asking, OwnBearer, OwnToken};
pub(crate) use place::{InvalidPlace, Place, PlaceSource};
pub(crate) use retry_after::retry_after;
pub use token_answer::ErrorDescription;
#[cfg(feature = "agent-idp")]
pub(crate) use token_answer::json_object;
pub use token_request::ClientError;
#[cfg(feature = "outbound")]
pub(crate) use token_request::{GrantedBearer, SharedError, TokenRequest};
pub(crate) use transport::NoTransport;
pub use transport::{Arriving, Exchange, HttpTransport, Opening, Transport, TransportError};
#[cfg(feature = "outbound")]
pub(crate) use {
    client_credentials::is_scope,
    token_answer::{ErrorAnswer, Granted, UNSTATED_LIFETIME, Ungranted},
};
