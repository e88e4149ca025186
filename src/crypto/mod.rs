//! Key material → prepared keys, a signature's yes or no, and our own signatures. The only module that names a crypto
//! crate.
//!
//! A key is parsed once, for one algorithm (RFC 8725bis §3.1: the key decides the algorithm, never the token).

mod algorithm;
pub(crate) mod base64url;
mod der;
mod digest;
#[cfg(feature = "testing")]
pub(crate) mod generate;
mod key;
#[cfg(feature = "grantex")]
mod mac;
mod seal;
mod signing;

pub(crate) use algorithm::KeyKind;
pub use algorithm::{Algorithm, UnknownAlgorithm};
pub(crate) use digest::Sha256;
pub use key::KeyError;
pub(crate) use key::{Curve, PreparedKey};
#[cfg(feature = "grantex")]
pub(crate) use mac::HmacKey;
pub(crate) use seal::SealingKey;
pub(crate) use signing::{SigningKey, unique_id};
