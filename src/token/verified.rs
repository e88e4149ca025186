//! A token whose signature and claims hold.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use serde::de::DeserializeOwned;

use super::{
    Audiences, Claims, ClaimsError, Compact, ScopeSet, TokenError, TokenRules,
    packed::{Packed, Packing, room_for},
};
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
    key_generation: Maybe,
    /// As of which revision of the revocations it was found among none of them; zero where nobody looked.
    unrevoked_as_of: AtomicU64,
    expires_at: Maybe,
    not_before: Maybe,
    issued_at: Maybe,
    /// Whether its audiences are among those of the rules.
    is_for_us: bool,
    scopes: ScopeSet,
    /// By the places below.
    texts: Packed,
}

// The text of the token comes first.
/// Of an opaque token; that of a JWT stands in its text.
const PAYLOAD: usize = 1;
/// Empty where it is the one of the rules.
const ISSUER: usize = 2;
const SUBJECT: usize = 3;
const CLIENT_ID: usize = 4;
const TOKEN_ID: usize = 5;
const SESSION_ID: usize = 6;
const AUDIENCES: usize = 7;
const ACTORS: usize = 8;
const GRANTS: usize = 9;

/// A number that may not be there, in the room of one. The greatest of all, a time that never comes, is told as the one
/// before it.
#[derive(Clone, Copy)]
struct Maybe(u64);

impl Maybe {
    fn of(number: Option<u64>) -> Self {
        Self(number.map_or(u64::MAX, |number| number.min(u64::MAX - 1)))
    }

    fn of_time(time: Option<UnixTime>) -> Self {
        Self::of(time.map(UnixTime::as_secs))
    }

    fn get(self) -> Option<u64> {
        (self.0 != u64::MAX).then_some(self.0)
    }

    fn time(self) -> Option<UnixTime> {
        self.get().map(UnixTime::from_secs)
    }
}

impl VerifiedToken {
    /// A JWT whose signature was proved with keys of that generation.
    pub(super) fn signed(
        rules: &Arc<TokenRules>,
        key_generation: u64,
        claims: &Claims<'_>,
        payload: &[u8],
        text: &[u8],
    ) -> Result<Self, TokenError> {
        Self::new(rules, Some(key_generation), claims, payload, text)
    }

    /// An opaque token, as the issuer itself describes it: `claims`, read from `payload`, in answer to the question after
    /// `text`. Whom it is meant for is the route's to check, at each use.
    pub(crate) fn described(
        rules: &Arc<TokenRules>,
        claims: &Claims<'_>,
        payload: &[u8],
        text: &[u8],
        now: UnixTime,
    ) -> Result<Self, TokenError> {
        rules.check_description(claims)?;
        let token = Self::new(rules, None, claims, payload, text)?;
        token.check_time(now).map(|()| token)
    }

    /// Reads what is left to read of proved claims, and asks the conditions of the issuer's configuration.
    fn new(
        rules: &Arc<TokenRules>,
        key_generation: Option<u64>,
        claims: &Claims<'_>,
        payload: &[u8],
        text: &[u8],
    ) -> Result<Self, TokenError> {
        let (scopes, grants) = (rules.scopes(claims, payload)?, rules.grants(payload)?);
        let payload = key_generation.is_none().then_some(payload);
        let texts = pack(rules, claims, &grants, payload, text).ok_or(TokenError::NotCompact)?;
        let token = Self(Arc::new(Inner {
            rules: Arc::clone(rules),
            key_generation: Maybe::of(key_generation),
            unrevoked_as_of: AtomicU64::new(0),
            expires_at: Maybe::of_time(claims.expires_at),
            not_before: Maybe::of_time(claims.not_before),
            issued_at: Maybe::of_time(claims.issued_at),
            is_for_us: rules.audiences.accept(claims.audiences()),
            scopes,
            texts,
        }));
        token.check_conditions().map(|()| token)
    }

    /// Asks the conditions of the issuer's configuration, which may know more than the token says.
    pub(crate) fn check_conditions(&self) -> Result<(), TokenError> {
        let all_hold = self.0.rules.conditions.iter().all(|condition| condition.holds(self));
        if all_hold { Ok(()) } else { Err(TokenError::Condition) }
    }

    /// The same token with no more than these scopes. Copies it where that leaves less, which is rare.
    pub(crate) fn narrowed_to(&self, scopes: &ScopeSet) -> Self {
        let inner = &*self.0;
        let left = inner.scopes.intersection(scopes);
        if left == inner.scopes { self.clone() } else { self.with_scopes(left) }
    }

    /// The same token once more, so that who holds one and who holds the other do not count in the same place.
    pub(crate) fn copy(&self) -> Self {
        self.with_scopes(self.0.scopes.clone())
    }

    fn with_scopes(&self, scopes: ScopeSet) -> Self {
        let inner = &*self.0;
        Self(Arc::new(Inner {
            rules: Arc::clone(&inner.rules),
            unrevoked_as_of: AtomicU64::new(0),
            scopes,
            texts: inner.texts.clone(),
            ..*inner
        }))
    }

    /// How many hold it at the moment, this one included.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// `iss`: who issued it (RFC 7519 §4.1.1).
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        let said = self.0.texts.get(ISSUER)?;
        Some(self.0.rules.issuer.as_deref().unwrap_or(said))
    }

    /// `sub`: whom it speaks for (RFC 7519 §4.1.2).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.texts.get(SUBJECT)
    }

    /// `client_id`: the client it was issued to (RFC 8693 §4.3).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.0.texts.get(CLIENT_ID)
    }

    /// `jti`: its own identifier (RFC 7519 §4.1.7).
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.0.texts.get(TOKEN_ID)
    }

    /// `aud`: whom it is meant for; empty where it does not say (RFC 7519 §4.1.3).
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.0.texts.list(AUDIENCES)
    }

    /// Whether it is meant for one of these; of none that are given, for one of the issuer's configuration.
    pub(crate) fn is_meant_for(&self, audiences: Option<&Audiences>) -> bool {
        audiences.map_or(self.0.is_for_us, |audiences| audiences.accept(self.audiences()))
    }

    /// `exp`: from when on it is void (RFC 7519 §4.1.4). A JWT always has one; an opaque token's issuer need not say.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.0.expires_at.time()
    }

    /// `nbf`: from when on it counts (RFC 7519 §4.1.5).
    #[must_use]
    pub fn not_before(&self) -> Option<UnixTime> {
        self.0.not_before.time()
    }

    /// `iat`: when it was issued (RFC 7519 §4.1.6).
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.0.issued_at.time()
    }

    /// What it was granted (RFC 6749 §3.3).
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.0.scopes
    }

    /// `sid`: the session it was issued in (OpenID Connect Front-Channel Logout §3).
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.0.texts.get(SESSION_ID)
    }

    /// `act`: who acts with it, and then whom they act for in turn (RFC 8693 §4.1). Only the first is to be considered
    /// where something is allowed.
    pub fn actors(&self) -> impl Iterator<Item = &str> {
        self.0.texts.list(ACTORS)
    }

    /// The grants it stems from, of the claims that [`Issuer::grant_claim`](crate::Issuer::grant_claim) names.
    pub fn grants(&self) -> impl Iterator<Item = &str> {
        self.0.texts.list(GRANTS)
    }

    /// Whether it is opaque: described by its issuer, not signed.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.0.key_generation.get().is_none()
    }

    /// All claims, as a type of yours; of an opaque token, the members of its description. Parsed at each call; members that the type does not name are left out.
    ///
    /// # Errors
    /// Where the claims do not have that form.
    pub fn claims_as<C: DeserializeOwned>(&self) -> Result<C, ClaimsError> {
        serde_json::from_slice(&self.payload()).map_err(ClaimsError::new)
    }

    /// Its text, which is ASCII.
    pub(crate) fn text(&self) -> &[u8] {
        self.0.texts.first_bytes()
    }

    /// How many bytes it takes, as glibc rounds them.
    pub(crate) fn memory(&self) -> usize {
        // Beside what it shares with others, two counts.
        chunk(size_of::<Inner>() + 16) + chunk(self.0.texts.len()) + chunk(self.0.scopes.text_len())
    }

    /// As of which revision of the revocations it was found among none of them.
    pub(crate) fn unrevoked_as_of(&self) -> &AtomicU64 {
        &self.0.unrevoked_as_of
    }

    /// The generation of the key set that vouched for it; none for an opaque token.
    pub(crate) fn key_generation(&self) -> Option<u64> {
        self.0.key_generation.get()
    }

    /// The rules under which it was verified.
    pub(crate) fn rules(&self) -> &Arc<TokenRules> {
        &self.0.rules
    }

    /// The JSON text of its claims: decoded anew at each call, so that nobody has to keep it who does not ask.
    pub(crate) fn payload(&self) -> Cow<'_, [u8]> {
        if let Some(payload) = self.0.texts.get(PAYLOAD) {
            return Cow::Borrowed(payload.as_bytes());
        }
        let mut payload = Vec::new();
        // It was decoded before its signature was proved.
        let decoded = Compact::split(self.text()).and_then(|compact| compact.decode_payload(&mut payload));
        Cow::Owned(decoded.map_or_else(|_| Vec::new(), |()| payload))
    }

    /// Time goes on after the signature was proved: whether the token still is within its life.
    pub(crate) fn check_time(&self, now: UnixTime) -> Result<(), TokenError> {
        let inner = &*self.0;
        let expires_at = inner.expires_at.time();
        if expires_at.is_none() && !self.is_opaque() {
            return Err(TokenError::MissingClaim("exp"));
        }
        inner.rules.check_life(expires_at, inner.not_before.time(), inner.issued_at.time(), now)
    }
}

/// The texts of a token at their places.
fn pack(
    rules: &TokenRules,
    claims: &Claims<'_>,
    grants: &[String],
    payload: Option<&[u8]>,
    text: &[u8],
) -> Option<Packed> {
    let issuer = claims.issuer.as_deref().map(|said| if rules.issuer.is_some() { "" } else { said });
    let optional = [
        payload,
        issuer.map(str::as_bytes),
        claims.subject.as_deref().map(str::as_bytes),
        claims.client_id.as_deref().map(str::as_bytes),
        claims.token_id.as_deref().map(str::as_bytes),
        claims.session_id.as_deref().map(str::as_bytes),
    ];
    let actors = || claims.actors.iter().map(String::as_str);
    let grants = || grants.iter().map(String::as_str);
    let lists = claims.audiences().chain(actors()).chain(grants());
    let room = optional.iter().flatten().map(|part| part.len()).chain(lists.map(room_for)).sum::<usize>();

    let mut packing = Packing::with_capacity(text.len() + room);
    packing.push(Some(text));
    optional.into_iter().for_each(|part| packing.push(part));
    packing.push_list(claims.audiences());
    packing.push_list(actors());
    packing.push_list(grants());
    packing.finish()
}

/// What glibc makes of an allocation of so many bytes.
const fn chunk(bytes: usize) -> usize {
    match (bytes.saturating_add(8)).next_multiple_of(16) {
        _ if bytes == 0 => 0,
        small if small < 32 => 32,
        chunk => chunk,
    }
}

impl fmt::Debug for VerifiedToken {
    /// No claim values: this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").field("expires_at", &self.expires_at()).finish_non_exhaustive()
    }
}
