//! [`Bearer`] + keys + now → [`VerifiedToken`] (RFC 7515, 7519, 8725bis, 9068).
//!
//! ```text
//! text ─► compact ─► header ─► claims ─► rules (may refuse early) ─► signature ─► VerifiedToken
//! ```
//!
//! Claims are parsed once, before the signature, so that an expired or foreign token costs no cryptography. They may
//! refuse then; nothing they say is believed until the signature holds.

mod claims;
mod compact;
mod condition;
mod error;
mod header;
mod json;
mod jws;
mod packed;
mod rules;
mod scope;
mod verified;

use std::sync::Arc;

use crate::{clock::UnixTime, credential::Bearer, keys::KeySet};

pub(crate) use claims::Claims;
use compact::Compact;
pub(crate) use condition::Condition;
pub use error::{ClaimsError, TokenError};
use header::Header;
pub(crate) use jws::Jws;
pub use rules::TokenType;
pub(crate) use rules::{Audiences, TokenRules};
pub use scope::{InvalidScope, Scope, ScopeSet};
pub use verified::VerifiedToken;

/// A token whose text has been read and whose word has been proved in nothing.
pub(crate) struct UnverifiedToken<'t> {
    jws: Jws<'t>,
    payload: &'t [u8],
    claims: Claims<'t>,
}

impl<'t> UnverifiedToken<'t> {
    /// Reads header and claims; `room` is where their bytes are put, all of them at once.
    pub(crate) fn parse(bearer: Bearer<'t>, room: &'t mut Vec<u8>) -> Result<Self, TokenError> {
        let compact = Compact::split(bearer.as_bytes())?;
        let (end_of_header, is_payload) = compact.decode(room)?;
        let (header, payload) = room.split_at_checked(end_of_header).ok_or(TokenError::NotCompact)?;
        // A header that is none, or asks for more than we do, says more about what this is than a payload that is none.
        let jws = Jws::read(compact, header)?;
        is_payload?;
        Ok(Self { jws, payload, claims: Claims::parse(payload)? })
    }

    /// The issuer it claims to be from.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.issuer.as_deref()
    }

    /// Refuses what no signature could make acceptable.
    pub(crate) fn check(&self, rules: &TokenRules, audiences: &Audiences, now: UnixTime) -> Result<(), TokenError> {
        self.jws.check_algorithm(&rules.algorithms)?;
        rules.check_kind(&self.jws.header, &self.claims)?;
        rules.check_claims(&self.claims, audiences, now)
    }

    /// Refuses what its issuer could not stand by, where nobody but the issuer can verify it: a foreign or expired token.
    pub(crate) fn check_hopes(&self, rules: &TokenRules, now: UnixTime) -> Result<(), TokenError> {
        let claims = &self.claims;
        rules.check_description(claims)?;
        rules.check_life(claims.expires_at, claims.not_before, claims.issued_at, now)
    }

    /// Proves the signature with a key of `keys` and hands out the token that now may be believed.
    ///
    /// Call [`check`](Self::check) first; this repeats none of it.
    pub(crate) fn verify(
        self,
        rules: &Arc<TokenRules>,
        keys: &KeySet,
        generation: u64,
    ) -> Result<VerifiedToken, SignatureError> {
        self.jws.check_signature(keys)?;
        VerifiedToken::signed(rules, generation, &self.claims, self.payload, self.jws.text())
            .map_err(SignatureError::Token)
    }
}

/// Why the keys at hand do not vouch for a token; all but the last may change with fresher keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// No key answers to the token's `kid`, which is this.
    UnknownKey(Option<Box<str>>),
    /// A key was there and the signature is not its.
    BadSignature,
    /// A key was there, of another algorithm.
    OtherAlgorithm,
    /// No key could help.
    Token(TokenError),
}

#[cfg(test)]
mod tests;
