//! A token whose signature and claims hold.

use std::{fmt, sync::Arc};

use serde::de::DeserializeOwned;

use super::{Claims, ClaimsError, ScopeSet, TokenError, TokenRules};
use crate::clock::UnixTime;

/// An access token that its issuer signed, for us, and that has not expired as of its verification.
///
/// Only this module makes one, and only from a proved signature. Whether the issuer still stands by it is
/// [`ActiveToken`](crate::status::ActiveToken)'s to say. Cloning shares it.
#[derive(Clone)]
pub struct VerifiedToken(Arc<Inner>);

struct Inner {
    rules: Arc<TokenRules>,
    key_generation: u64,
    issuer: Option<Box<str>>,
    subject: Option<Box<str>>,
    client_id: Option<Box<str>>,
    token_id: Option<Box<str>>,
    audiences: Box<[Box<str>]>,
    expires_at: UnixTime,
    not_before: Option<UnixTime>,
    issued_at: Option<UnixTime>,
    scopes: ScopeSet,
    payload: Box<[u8]>,
    text: Box<[u8]>,
}

impl VerifiedToken {
    pub(super) fn new(
        rules: Arc<TokenRules>,
        key_generation: u64,
        claims: Claims,
        scopes: ScopeSet,
        payload: Box<[u8]>,
        text: Box<[u8]>,
    ) -> Self {
        Self(Arc::new(Inner {
            rules,
            key_generation,
            issuer: claims.issuer,
            subject: claims.subject,
            client_id: claims.client_id,
            token_id: claims.token_id,
            audiences: claims.audiences.unwrap_or_default().into_boxed_slice(),
            expires_at: claims.expires_at.unwrap_or_default(),
            not_before: claims.not_before,
            issued_at: claims.issued_at,
            scopes,
            payload,
            text,
        }))
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

    /// `exp`: from when on it is void (RFC 7519 §4.1.4).
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
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

    /// All claims, as a type of yours. Parsed at each call; members that the type does not name are left out.
    ///
    /// # Errors
    /// Where the claims do not have that form.
    pub fn claims_as<C: DeserializeOwned>(&self) -> Result<C, ClaimsError> {
        serde_json::from_slice(&self.0.payload).map_err(ClaimsError::new)
    }

    /// Whether this is the verified form of exactly that text.
    pub(crate) fn is_of(&self, text: &[u8]) -> bool {
        *self.0.text == *text
    }

    /// The generation of the key set that vouched for it.
    pub(crate) fn key_generation(&self) -> u64 {
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
        inner.rules.check_time(Some(inner.expires_at), inner.not_before, inner.issued_at, now)
    }
}

impl fmt::Debug for VerifiedToken {
    /// No claim values: this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").field("expires_at", &self.0.expires_at).finish_non_exhaustive()
    }
}
