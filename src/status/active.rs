//! A token that its issuer has not withdrawn.

use std::ops::Deref;

use super::Freshness;
use crate::token::VerifiedToken;

/// A verified token that its issuer has not withdrawn, as far as the route wants to know.
///
/// Only this module makes one.
#[derive(Clone, Debug)]
pub struct ActiveToken(VerifiedToken);

impl ActiveToken {
    /// No status source is configured: the signature and the claims are all there is to know. Nothing, where the route
    /// wants to know more; start-up refuses such routes, and requirements made up later end here.
    pub(crate) fn by_local_verification(token: VerifiedToken, freshness: Freshness) -> Option<Self> {
        (freshness == Freshness::Cached).then_some(Self(token))
    }
}

impl Deref for ActiveToken {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}
