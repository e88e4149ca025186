//! Grantex: grants that users give to agents, and the tokens that stem from them.

#[allow(dead_code, reason = "until its users are there")]
mod api;
mod claims;
mod feed;
mod json;
mod preset;
mod webhook;

pub use api::GrantexConfigError;
pub use claims::{Budget, Generation, GrantexClaims, acted_by, delegated_by, depth_at_most, never_acted_by};
pub use feed::GrantexFeed;
pub use preset::Grantex;
pub use webhook::{GrantexWebhook, GrantexWebhookBuilder, GrantexWebhookError};
