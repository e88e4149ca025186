//! The `iss` of a token → the one issuer that may judge it (RFC 8725bis §3.8).

use std::sync::Arc;

use crate::{keys::Keys, token::TokenRules};

/// An issuer in use: its rules and its keys, which are nobody else's.
#[derive(Debug)]
pub(super) struct TrustedIssuer {
    pub(super) rules: Arc<TokenRules>,
    pub(super) keys: Keys,
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

    pub(super) fn get(&self, position: usize) -> Option<&TrustedIssuer> {
        self.0.get(position)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TrustedIssuer> {
        self.0.iter()
    }
}
