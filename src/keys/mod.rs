//! Which keys an issuer's tokens are verified with, and how they stay fresh (RFC 7517).
//!
//! ```text
//! PEM, DER, JWK, JWK set, file ─► KeySet (immutable) ◄─ one swap ─ refresher ◄─ JWKS URL, discovery
//!                                    ▲                                 ▲
//!                              every request reads         unknown kid, bad signature, time
//! ```

mod demand;
mod fetch;
mod jwk;
mod key;
mod policy;
mod remote;
mod set;
mod snapshot;
mod source;
mod unknown;

pub(crate) use demand::KeyQuestion;
pub use fetch::FetchError;
pub use key::VerificationKey;
pub use policy::RefreshPolicy;
pub(crate) use remote::KeyAnswer;
pub(crate) use set::KeyMatch;
pub use set::{KeySet, KeySetError, SkippedKey};
pub(crate) use source::Keys;
pub use source::{KeySource, KeySourceError};
