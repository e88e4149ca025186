//! How we speak to an authorization server: its URLs, its metadata, and the HTTP that carries both.
//!
//! The only module that names an HTTP client. Whatever comes back is bounded before anybody reads it.

mod endpoint;
mod metadata;
mod transport;

pub use endpoint::{Endpoint, EndpointError};
pub(crate) use metadata::{DiscoveryError, Metadata, discover};
pub(crate) use transport::NoTransport;
pub use transport::{Exchange, HttpTransport, Transport, TransportError};
