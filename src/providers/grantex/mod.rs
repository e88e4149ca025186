//! Grantex: grants that users give to agents, and the tokens that stem from them.

#[allow(dead_code, reason = "until its users are there")]
mod api;

pub use api::GrantexConfigError;
