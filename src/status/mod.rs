//! [`VerifiedToken`](crate::token::VerifiedToken) → [`ActiveToken`]: does the issuer still stand by it?
//!
//! With no status source configured, a locally verified token is an active one until it expires.

mod active;
mod freshness;
mod revocations;
mod source;

pub use active::ActiveToken;
pub use freshness::{Freshness, InvalidOnOutage, OnOutage};
pub use revocations::{Revocation, RevocationTarget};
pub use source::{StatusAnswer, StatusError, StatusQuestion, StatusSource, TokenStatus};
