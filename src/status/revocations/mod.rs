//! What was revoked → whether a token is among it.

mod revocation;

pub use revocation::{Revocation, RevocationTarget};
