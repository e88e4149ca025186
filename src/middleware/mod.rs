//! What an application mounts: a tower layer around a service, and the services that go with it.

mod future;
mod layer;
mod metadata;
mod mounted;
mod revocation_endpoint;
mod service;

pub use future::ResponseFuture;
pub use layer::{AuthorizeLayer, Locate};
pub use metadata::ProtectedResourceMetadata;
#[cfg(feature = "grantex")]
pub(crate) use mounted::{Unread, answer, json, read};
pub use revocation_endpoint::{RevocationEndpoint, RevocationEndpointBuilder};
pub use service::Authorize;
#[cfg(feature = "axum")]
pub(crate) use service::Unauthenticated;
