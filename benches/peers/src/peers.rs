//! An issuer → the layers that are compared, each set up as its documentation wants it for that issuer.
//!
//! Where a peer takes a JWKS URL it gets ours, and is asked only when it has the keys.

pub(crate) mod by_hand;
pub(crate) mod extractor;
pub(crate) mod others;
pub(crate) mod ours;
