//! What an issuer's tokens must satisfy: header, kind, claims (RFC 9068 §4, RFC 8725bis §3, RFC 7519 §4.1).

use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value;

use super::{
    Claims, Condition, ScopeSet, TokenError,
    header::{Header, without_application},
    json::TextOrTexts,
};
use crate::{clock::UnixTime, crypto::Algorithm};

/// Which `typ` a token must have (RFC 8725bis §3.11: explicit typing).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenType {
    /// `at+jwt` and every claim that RFC 9068 §2.2 requires; the choice for servers that follow it.
    AccessTokenJwt,
    /// `at+jwt`, `JWT` or none, as servers write them; ID tokens, logout tokens, security events and DPoP proofs are
    /// refused wherever they can be told apart.
    Any,
    /// Exactly this media type, for a server with a `typ` of its own.
    Named(Box<str>),
}

/// One issuer's rules, in effect for every token that names it.
#[derive(Debug)]
pub(crate) struct TokenRules {
    /// `None` where the issuer's tokens are not told by their `iss`.
    pub(crate) issuer: Option<Box<str>>,
    pub(crate) audiences: Audiences,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) token_type: TokenType,
    pub(crate) leeway: Duration,
    pub(crate) max_age: Option<Duration>,
    pub(crate) scope_claim: Option<Box<str>>,
    /// The claims that name the grants a token stems from.
    pub(crate) grant_claims: Vec<Box<str>>,
    pub(crate) conditions: Vec<Condition>,
}

/// Whom a token must be meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Audiences {
    /// At least one of these, byte for byte.
    OneOf(Box<[Box<str>]>),
    /// Anyone. Configured by a word that spells the danger.
    Any,
}

impl Audiences {
    /// Whether a token for `claimed` is meant for us.
    pub(crate) fn accept<'a>(&self, mut claimed: impl Iterator<Item = &'a str>) -> bool {
        match self {
            Self::OneOf(ours) => claimed.any(|audience| ours.iter().any(|one| **one == *audience)),
            Self::Any => true,
        }
    }
}

impl TokenRules {
    /// Access tokens only, told by `typ` and by what else they carry.
    pub(super) fn check_kind(&self, header: &Header<'_>, claims: &Claims<'_>) -> Result<(), TokenError> {
        let kind = header.token_type.as_deref().map(without_application);
        let is = |name: &str| kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name));
        let typed = match &self.token_type {
            TokenType::AccessTokenJwt => is("at+jwt"),
            TokenType::Any => kind.is_none() || is("jwt") || is("at+jwt"),
            TokenType::Named(name) => is(without_application(name)),
        };
        let marks = &claims.marks;
        let told_apart = match marks.says_access_token {
            Some(says) => says,
            // An access token that says so in its `typ` may carry a nonce of its own.
            None => is("at+jwt") || !(marks.id_token || (marks.nonce && claims.scp.is_none())),
        };
        if !typed || !told_apart || marks.other_token {
            return Err(TokenError::Kind);
        }
        // RFC 9449 §7.2, RFC 8705 §3: a bound token must not pass as a plain bearer token.
        if marks.confirmation {
            return Err(TokenError::SenderConstrained);
        }
        Ok(())
    }

    pub(super) fn check_claims(
        &self,
        claims: &Claims<'_>,
        audiences: &Audiences,
        now: UnixTime,
    ) -> Result<(), TokenError> {
        if let Some(ours) = &self.issuer {
            let issuer = claims.issuer.as_deref().ok_or(TokenError::MissingClaim("iss"))?;
            if issuer != &**ours {
                return Err(TokenError::Issuer);
            }
        }
        if !audiences.accept(claims.audiences()) {
            return Err(TokenError::Audience);
        }
        if self.token_type == TokenType::AccessTokenJwt {
            require_rfc9068(claims)?;
        }
        if claims.expires_at.is_none() {
            return Err(TokenError::MissingClaim("exp"));
        }
        self.check_life(claims.expires_at, claims.not_before, claims.issued_at, now)
    }

    /// What an issuer says of an opaque token (RFC 7662 §2.2). Many of its members are optional; none may speak of another
    /// issuer, another kind of token, or one that is bound to a key.
    pub(crate) fn check_description(&self, claims: &Claims<'_>) -> Result<(), TokenError> {
        if claims.issuer.is_some() && claims.issuer.as_deref() != self.issuer.as_deref() && self.issuer.is_some() {
            return Err(TokenError::Issuer);
        }
        if claims.marks.confirmation {
            return Err(TokenError::SenderConstrained);
        }
        // RFC 6749 §7.1: case-insensitive. Another type than Bearer wants a proof, or is no access token.
        let is_bearer = |name: &str| ["bearer", "access_token"].iter().any(|known| name.eq_ignore_ascii_case(known));
        let is_other = claims.token_type.as_deref().is_some_and(|name| !is_bearer(name));
        if is_other || claims.marks.says_access_token == Some(false) {
            return Err(TokenError::Kind);
        }
        Ok(())
    }

    /// Whether `now` lies within a token's life, as far as the token says when that is.
    pub(crate) fn check_life(
        &self,
        expires_at: Option<UnixTime>,
        not_before: Option<UnixTime>,
        issued_at: Option<UnixTime>,
        now: UnixTime,
    ) -> Result<(), TokenError> {
        self.check_window(expires_at, not_before, now)?;
        if issued_at.is_some_and(|issued| issued > now.saturating_add(self.leeway)) {
            return Err(TokenError::IssuedInFuture);
        }
        if let Some(max_age) = self.max_age {
            let issued_at = issued_at.ok_or(TokenError::MissingClaim("iat"))?;
            if now.since(issued_at) > max_age.saturating_add(self.leeway) {
                return Err(TokenError::TooOld);
            }
        }
        Ok(())
    }

    /// Whether `now` lies between the two, as far as they are said.
    pub(crate) fn check_window(
        &self,
        expires_at: Option<UnixTime>,
        not_before: Option<UnixTime>,
        now: UnixTime,
    ) -> Result<(), TokenError> {
        // RFC 7519 §4.1.4: "on or after which" it must not be accepted.
        if expires_at.is_some_and(|end| now >= end.saturating_add(self.leeway)) {
            return Err(TokenError::Expired);
        }
        if not_before.is_some_and(|start| start > now.saturating_add(self.leeway)) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }

    /// The scopes a token was granted: of `scope` or `scp`, which must agree where both are there, or of the claim
    /// that the configuration names.
    pub(crate) fn scopes(&self, claims: &Claims<'_>, payload: &[u8]) -> Result<ScopeSet, TokenError> {
        let (first, second) = match self.scope_claim.as_deref() {
            None => (claims.scope.as_ref(), claims.scp.as_ref()),
            Some("scope") => (claims.scope.as_ref(), None),
            Some("scp") => (claims.scp.as_ref(), None),
            Some(name) => {
                return find_claim(payload, name, |found| found.map_or_else(ScopeSet::default, usable_scopes));
            }
        };
        match (first, second) {
            (Some(first), Some(second)) => {
                let (first, second) = (scope_set(first)?, scope_set(second)?);
                if first == second { Ok(first) } else { Err(TokenError::Scopes) }
            }
            (Some(one), None) | (None, Some(one)) => scope_set(one),
            (None, None) => Ok(ScopeSet::default()),
        }
    }

    /// Whether a description says anything about scopes.
    pub(crate) fn says_scopes(&self, claims: &Claims<'_>, payload: &[u8]) -> bool {
        match self.scope_claim.as_deref() {
            None => claims.scope.is_some() || claims.scp.is_some(),
            Some("scope") => claims.scope.is_some(),
            Some("scp") => claims.scp.is_some(),
            // What has the wrong type has been said, and badly.
            Some(name) => find_claim(payload, name, |found| found.is_some()).unwrap_or(true),
        }
    }

    /// The grants a token stems from, of the claims that the configuration names.
    pub(super) fn grants(&self, payload: &[u8]) -> Result<Vec<String>, TokenError> {
        if self.grant_claims.is_empty() {
            return Ok(Vec::new());
        }
        let claims: Value = serde_json::from_slice(payload).map_err(|_| TokenError::Claims)?;
        let named = self.grant_claims.iter().filter_map(|name| named(&claims, name)?.as_str());
        Ok(named.map(str::to_owned).collect())
    }
}

fn scope_set(claim: &TextOrTexts<'_>) -> Result<ScopeSet, TokenError> {
    let set = match claim {
        TextOrTexts::Text(text) => ScopeSet::from_delimited(text),
        TextOrTexts::Texts(_) => ScopeSet::from_list(claim.iter()),
    };
    set.map_err(|_| TokenError::Scopes)
}

/// Of a claim that was not made for scopes (roles, permissions), those that can be scopes; others could never be
/// demanded.
fn usable_scopes(claim: &TextOrTexts<'_>) -> ScopeSet {
    match claim {
        TextOrTexts::Text(text) => ScopeSet::of_usable(text.split(' ')),
        TextOrTexts::Texts(_) => ScopeSet::of_usable(claim.iter()),
    }
}

/// A claim by its name, or where that begins with a slash by JSON pointer (RFC 6901): `/realm_access/roles`.
fn find_claim<T>(
    payload: &[u8],
    name: &str,
    read: impl FnOnce(Option<&TextOrTexts<'_>>) -> T,
) -> Result<T, TokenError> {
    let claims: Value = serde_json::from_slice(payload).map_err(|_| TokenError::Claims)?;
    let found = named(&claims, name).map(TextOrTexts::deserialize).transpose().map_err(|_| TokenError::Scopes)?;
    Ok(read(found.as_ref()))
}

fn named<'c>(claims: &'c Value, name: &str) -> Option<&'c Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

/// RFC 9068 §2.2: what every JWT access token carries.
fn require_rfc9068(claims: &Claims<'_>) -> Result<(), TokenError> {
    let required = [
        ("iss", claims.issuer.is_some()),
        ("exp", claims.expires_at.is_some()),
        ("aud", claims.audiences.is_some()),
        ("sub", claims.subject.is_some()),
        ("client_id", claims.client_id.is_some()),
        ("iat", claims.issued_at.is_some()),
        ("jti", claims.token_id.is_some()),
    ];
    match required.into_iter().find(|(_, there)| !there) {
        Some((name, _)) => Err(TokenError::MissingClaim(name)),
        None => Ok(()),
    }
}
