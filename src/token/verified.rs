//! A token whose signature and claims hold.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use serde::de::DeserializeOwned;

use super::{Claims, ClaimsError, ScopeSet, TokenError, TokenRules};
use crate::clock::UnixTime;

/// An access token that is its issuer's, for us, and that has not expired as of its verification.
///
/// Only this module makes one: from a proved signature, or of an opaque token from the issuer's own description
/// (RFC 7662). Whether the issuer still stands by it is [`ActiveToken`](crate::status::ActiveToken)'s to say. Cloning
/// shares it.
#[derive(Clone)]
pub struct VerifiedToken(Arc<Inner>);

struct Inner {
    rules: Arc<TokenRules>,
    /// The generation of the key set that vouched for it; none for an opaque token.
    key_generation: Option<u64>,
    issuer: Option<Box<str>>,
    subject: Option<Box<str>>,
    client_id: Option<Box<str>>,
    token_id: Option<Box<str>>,
    audiences: Box<[Box<str>]>,
    expires_at: Option<UnixTime>,
    not_before: Option<UnixTime>,
    issued_at: Option<UnixTime>,
    scopes: ScopeSet,
    session_id: Option<Box<str>>,
    actors: Box<[Box<str>]>,
    grants: Box<[Box<str>]>,
    payload: Box<[u8]>,
    text: Box<[u8]>,
    /// The same token with all the scopes that it says, where its issuer left it fewer.
    whole: Option<VerifiedToken>,
    /// As of which revision of the revocations it was found among none of them; zero where nobody looked.
    unrevoked_as_of: AtomicU64,
}

impl VerifiedToken {
    /// Reads what is left to read of proved claims, and asks the conditions of the issuer's configuration.
    pub(super) fn new(
        rules: &Arc<TokenRules>,
        key_generation: Option<u64>,
        claims: Claims,
        payload: Vec<u8>,
        text: &[u8],
    ) -> Result<Self, TokenError> {
        let (scopes, grants) = (rules.scopes(&claims, &payload)?, rules.grants(&payload)?);
        let token = Self(Arc::new(Inner {
            rules: Arc::clone(rules),
            key_generation,
            issuer: claims.issuer,
            subject: claims.subject,
            client_id: claims.client_id,
            token_id: claims.token_id,
            audiences: claims.audiences.unwrap_or_default().into_boxed_slice(),
            expires_at: claims.expires_at,
            not_before: claims.not_before,
            issued_at: claims.issued_at,
            scopes,
            session_id: claims.session_id,
            actors: claims.actors.into(),
            grants,
            payload: payload.into(),
            text: text.into(),
            whole: None,
            unrevoked_as_of: AtomicU64::new(0),
        }));
        match rules.conditions.iter().all(|condition| condition.holds(&token)) {
            true => Ok(token),
            false => Err(TokenError::Condition),
        }
    }

    /// An opaque token, as the issuer itself describes it: `claims`, read from `payload`, in answer to the question after
    /// `text`. Whom it is meant for is the route's to check, at each use.
    pub(crate) fn described(
        rules: &Arc<TokenRules>,
        claims: Claims,
        payload: Vec<u8>,
        text: &[u8],
        now: UnixTime,
    ) -> Result<Self, TokenError> {
        rules.check_description(&claims)?;
        let token = Self::new(rules, None, claims, payload, text)?;
        token.check_time(now).map(|()| token)
    }

    /// The same token with no more than these scopes. Copies it where that leaves less, which is rare.
    pub(crate) fn narrowed_to(&self, scopes: &ScopeSet) -> Self {
        let inner = &*self.0;
        let left = inner.scopes.intersection(scopes);
        if left == inner.scopes {
            return self.clone();
        }
        Self(Arc::new(Inner {
            rules: Arc::clone(&inner.rules),
            key_generation: inner.key_generation,
            issuer: inner.issuer.clone(),
            subject: inner.subject.clone(),
            client_id: inner.client_id.clone(),
            token_id: inner.token_id.clone(),
            audiences: inner.audiences.clone(),
            expires_at: inner.expires_at,
            not_before: inner.not_before,
            issued_at: inner.issued_at,
            scopes: left,
            session_id: inner.session_id.clone(),
            actors: inner.actors.clone(),
            grants: inner.grants.clone(),
            payload: inner.payload.clone(),
            text: inner.text.clone(),
            whole: Some(self.whole()),
            unrevoked_as_of: AtomicU64::new(0),
        }))
    }

    /// The same token with all that it says: what its issuer took from it, its issuer may have given back.
    pub(crate) fn whole(&self) -> Self {
        self.0.whole.clone().unwrap_or_else(|| self.clone())
    }

    /// `iss`: who issued it (RFC 7519 §4.1.1).
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// `sub`: whom it speaks for (RFC 7519 §4.1.2).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// `client_id`: the client it was issued to (RFC 8693 §4.3).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.0.client_id.as_deref()
    }

    /// `jti`: its own identifier (RFC 7519 §4.1.7).
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.0.token_id.as_deref()
    }

    /// `aud`: whom it is meant for; empty where it does not say (RFC 7519 §4.1.3).
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.0.audiences.iter().map(|audience| &**audience)
    }

    /// `exp`: from when on it is void (RFC 7519 §4.1.4). A JWT always has one; an opaque token's issuer need not say.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.0.expires_at
    }

    /// `nbf`: from when on it counts (RFC 7519 §4.1.5).
    #[must_use]
    pub fn not_before(&self) -> Option<UnixTime> {
        self.0.not_before
    }

    /// `iat`: when it was issued (RFC 7519 §4.1.6).
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.0.issued_at
    }

    /// What it was granted (RFC 6749 §3.3).
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.0.scopes
    }

    /// `sid`: the session it was issued in (OpenID Connect Front-Channel Logout §3).
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.0.session_id.as_deref()
    }

    /// `act`: who acts with it, and then whom they act for in turn (RFC 8693 §4.1). Only the first is to be considered
    /// where something is allowed.
    pub fn actors(&self) -> impl Iterator<Item = &str> {
        self.0.actors.iter().map(|actor| &**actor)
    }

    /// The grants it stems from, of the claims that [`Issuer::grant_claim`](crate::Issuer::grant_claim) names.
    pub fn grants(&self) -> impl Iterator<Item = &str> {
        self.0.grants.iter().map(|grant| &**grant)
    }

    /// Whether it is opaque: described by its issuer, not signed.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.0.key_generation.is_none()
    }

    /// All claims, as a type of yours; of an opaque token, the members of its description. Parsed at each call; members that the type does not name are left out.
    ///
    /// # Errors
    /// Where the claims do not have that form.
    pub fn claims_as<C: DeserializeOwned>(&self) -> Result<C, ClaimsError> {
        serde_json::from_slice(&self.0.payload).map_err(ClaimsError::new)
    }

    /// Its text, which is ASCII.
    pub(crate) fn text(&self) -> &[u8] {
        &self.0.text
    }

    /// About how many bytes it takes.
    pub(crate) fn memory(&self) -> usize {
        // Its claims are there once as text and once taken apart.
        size_of::<Inner>() + 2 * self.0.payload.len() + self.0.text.len() + 64 * self.scopes().len()
    }

    /// As of which revision of the revocations it was found among none of them.
    pub(crate) fn unrevoked_as_of(&self) -> &AtomicU64 {
        &self.0.unrevoked_as_of
    }

    /// The generation of the key set that vouched for it; none for an opaque token.
    pub(crate) fn key_generation(&self) -> Option<u64> {
        self.0.key_generation
    }

    /// The rules under which it was verified.
    pub(crate) fn rules(&self) -> &Arc<TokenRules> {
        &self.0.rules
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    pub(crate) fn claimed_audiences(&self) -> &[Box<str>] {
        &self.0.audiences
    }

    /// Time goes on after the signature was proved: whether the token still is within its life.
    pub(crate) fn check_time(&self, now: UnixTime) -> Result<(), TokenError> {
        let inner = &*self.0;
        if inner.expires_at.is_none() && !self.is_opaque() {
            return Err(TokenError::MissingClaim("exp"));
        }
        inner.rules.check_life(inner.expires_at, inner.not_before, inner.issued_at, now)
    }
}

impl fmt::Debug for VerifiedToken {
    /// No claim values: this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").field("expires_at", &self.0.expires_at).finish_non_exhaustive()
    }
}
