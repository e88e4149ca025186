//! A token that its issuer has not withdrawn.

use std::ops::Deref;

use crate::token::VerifiedToken;

/// A verified token that its issuer has not withdrawn, as far as the route wants to know.
///
/// Only this module makes one.
#[derive(Clone, Debug)]
pub struct ActiveToken(VerifiedToken);

impl ActiveToken {
    /// The issuer stands by it, or its signature and its claims are all that the route wants to know.
    pub(super) const fn new(token: VerifiedToken) -> Self {
        Self(token)
    }
}

impl Deref for ActiveToken {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}
