//! What an application mounts: a tower layer around a service, and the documents that go with it.

mod future;
mod layer;
mod metadata;
mod service;

pub use future::ResponseFuture;
pub use layer::{AuthorizeLayer, Locate};
pub use metadata::ProtectedResourceMetadata;
pub use service::Authorize;
#[cfg(feature = "axum")]
pub(crate) use service::Unauthenticated;
