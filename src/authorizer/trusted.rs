//! The `iss` of a token → the one issuer that may judge it (RFC 8725bis §3.8).

use std::sync::Arc;

use crate::{
    credential::Bearer,
    keys::Keys,
    status::{Freshness, IssuerStatus, OpaqueTokens},
    token::TokenRules,
};

/// An issuer in use: its rules, its keys, and who can say of its tokens whether they stand; none of it is anybody else's.
#[derive(Debug)]
pub(super) struct TrustedIssuer {
    pub(super) rules: Arc<TokenRules>,
    pub(super) keys: Arc<Keys>,
    pub(super) status: IssuerStatus,
    /// What its opaque tokens look like, where it has any.
    pub(super) opaque: Option<OpaqueTokens>,
}

impl TrustedIssuer {
    /// Whether its word on its tokens can be as fresh as that.
    pub(super) fn can_be(&self, freshness: Freshness, has_feeds: bool) -> bool {
        self.keys.is_absent() || self.status.can_be(freshness, has_feeds)
    }

    /// Whether this could be an opaque token of its. What begins as JWTs do is one only where it has no keys: junk that
    /// looks like a JWT is junk.
    pub(super) fn could_have_issued(&self, bearer: Bearer<'_>) -> bool {
        let text = bearer.as_str();
        let is_jose = text.starts_with("ey") && text.contains('.');
        self.opaque.as_ref().is_some_and(|opaque| opaque.could_be(text)) && (!is_jose || self.keys.is_absent())
    }
}

/// Several issuers told apart by their identifiers, or one whose tokens are not told by theirs.
#[derive(Debug)]
pub(super) struct TrustedIssuers(Vec<TrustedIssuer>);

impl TrustedIssuers {
    /// The builder has seen to it that an issuer without identifier is alone.
    pub(super) const fn new(issuers: Vec<TrustedIssuer>) -> Self {
        Self(issuers)
    }

    /// The issuer of that identifier, byte for byte. Services trust a handful, so that a search is cheaper than a hash.
    pub(super) fn of(&self, identifier: Option<&str>) -> Option<(usize, &TrustedIssuer)> {
        let judges = |issuer: &TrustedIssuer| match issuer.rules.issuer.as_deref() {
            Some(ours) => identifier == Some(ours),
            None => true,
        };
        self.0.iter().enumerate().find(|(_, issuer)| judges(issuer))
    }

    /// The issuer that this could be an opaque token of. The builder has seen to it that there is one at most.
    pub(super) fn of_opaque(&self, bearer: Bearer<'_>) -> Option<(usize, &TrustedIssuer)> {
        self.0.iter().enumerate().find(|(_, issuer)| issuer.could_have_issued(bearer))
    }

    pub(super) fn get(&self, position: usize) -> Option<&TrustedIssuer> {
        self.0.get(position)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TrustedIssuer> {
        self.0.iter()
    }
}
