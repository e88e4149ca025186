//! What a route demands of the token presented at it.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    PolicyRefusal,
    vocabulary::{ScopeBits, Vocabulary},
};
use crate::{
    status::{Active, Freshness, OnOutage},
    token::{Audiences, Condition, InvalidScope, Scope, ScopeSet, VerifiedToken},
};

/// What a route demands.
///
/// Start with one of [`public`](Self::public), [`optional`](Self::optional), [`authenticated`](Self::authenticated),
/// [`scope`](Self::scope), [`all_of`](Self::all_of) or [`any_of`](Self::any_of), and tighten it from there.
///
/// ```
/// use portcullis::Requirement;
///
/// let payments = Requirement::all_of(["payments:write", "mfa"])
///     .or_all_of(["admin"])
///     .audience("https://payments.example")
///     .that("is a person", |token| token.client_id() != token.subject());
/// assert_eq!(payments.to_string(), "payments:write & mfa | admin, audience https://payments.example, is a person");
/// ```
#[derive(Clone)]
pub struct Requirement {
    pub(super) access: Access,
    /// Alternatives, each a list of scopes that must all be there. Kept as written: what is no scope is never held.
    pub(super) any_of: Vec<Vec<Box<str>>>,
    pub(super) audiences: Option<Vec<Box<str>>>,
    pub(super) conditions: Vec<Condition>,
    pub(super) freshness: Freshness,
    pub(super) on_outage: Option<OnOutage>,
    /// An alternative of no scopes was added by hand: an empty list from elsewhere, which must not open the route.
    is_spoilt: bool,
    accepted: Option<Audiences>,
    vocabulary: Arc<Vocabulary>,
    /// The alternatives in the bits of the vocabulary, where it has one for each scope.
    masks: Option<Box<[u64]>>,
}

/// Whether a credential must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Public,
    Optional,
    Required,
}

impl Requirement {
    fn new(access: Access, any_of: Vec<Vec<Box<str>>>) -> Self {
        Self {
            access,
            any_of,
            audiences: None,
            conditions: Vec::new(),
            freshness: Freshness::Cached,
            on_outage: None,
            is_spoilt: false,
            accepted: None,
            vocabulary: Arc::default(),
            masks: None,
        }
    }

    /// Nothing: no credential is looked at, and the handler gets none.
    #[must_use]
    pub fn public() -> Self {
        Self::new(Access::Public, vec![vec![]])
    }

    /// A token may be left out; if one is there, it must be valid.
    #[must_use]
    pub fn optional() -> Self {
        Self::new(Access::Optional, vec![vec![]])
    }

    /// Any valid token.
    #[must_use]
    pub fn authenticated() -> Self {
        Self::new(Access::Required, vec![vec![]])
    }

    /// A token with this scope.
    #[must_use]
    pub fn scope(scope: &str) -> Self {
        Self::all_of([scope])
    }

    /// A token with all of these scopes.
    #[must_use]
    pub fn all_of<'s>(scopes: impl IntoIterator<Item = &'s str>) -> Self {
        // All of nothing would be everybody: an empty list from elsewhere must not open a route.
        let scopes = owned(scopes);
        Self::new(Access::Required, if scopes.is_empty() { Vec::new() } else { vec![scopes] })
    }

    /// A token with at least one of these scopes.
    #[must_use]
    pub fn any_of<'s>(scopes: impl IntoIterator<Item = &'s str>) -> Self {
        Self::new(Access::Required, scopes.into_iter().map(|scope| vec![scope.into()]).collect())
    }

    /// An alternative: what stood before, or all of these scopes.
    #[must_use]
    pub fn or_all_of<'s>(mut self, scopes: impl IntoIterator<Item = &'s str>) -> Self {
        let scopes = owned(scopes);
        self.is_spoilt |= scopes.is_empty();
        self.any_of.push(scopes);
        self.masks = None;
        self
    }

    /// The same, but the token may be left out; if one is there, it must be valid and sufficient.
    #[must_use]
    pub const fn or_no_token(mut self) -> Self {
        if matches!(self.access, Access::Required) {
            self.access = Access::Optional;
        }
        self
    }

    /// A token meant for this audience, which then counts instead of the issuer's.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audiences.get_or_insert_default().push(audience.into());
        self.accepted = self.audiences.clone().map(|all| Audiences::OneOf(all.into()));
        self
    }

    /// A condition on the claims; a token that does not meet it is answered 403. `name` is printed with the table.
    #[must_use]
    pub fn that(mut self, name: &str, holds: impl Fn(&VerifiedToken) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Condition::new(name, holds));
        self
    }

    /// The issuer's word on the token is asked afresh for every request; without a status source, an error at start-up.
    #[must_use]
    pub const fn status_on_every_request(mut self) -> Self {
        self.freshness = Freshness::EveryRequest;
        self
    }

    /// The issuer's word on the token is at most this old; zero means every request. It only ever becomes younger: what was
    /// said before counts too.
    #[must_use]
    pub const fn max_status_age(mut self, age: Duration) -> Self {
        self.freshness = match self.freshness {
            Freshness::EveryRequest => Freshness::EveryRequest,
            Freshness::MaxAge(known) if known.as_nanos() < age.as_nanos() => Freshness::MaxAge(known),
            _ if age.is_zero() => Freshness::EveryRequest,
            _ => Freshness::MaxAge(age),
        };
        self
    }

    /// What to do while the issuer cannot be asked, where this differs from the issuer's configuration.
    #[must_use]
    pub const fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.on_outage = Some(on_outage);
        self
    }

    /// How old the issuer's word may be here.
    #[must_use]
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// What counts here while the issuer cannot be asked, where the route says.
    pub(crate) const fn outage_policy(&self) -> Option<OnOutage> {
        self.on_outage
    }

    pub(crate) const fn access(&self) -> Access {
        self.access
    }

    /// The audiences that count here, where the route names its own.
    pub(crate) const fn accepted_audiences(&self) -> Option<&Audiences> {
        self.accepted.as_ref()
    }

    /// What a token is told that it lacks: the first alternative, whole (RFC 6750 §3).
    pub(crate) fn challenge_scopes(&self) -> &[Box<str>] {
        self.any_of.first().map_or(&[], Vec::as_slice)
    }

    /// Every scope that any alternative names.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.any_of.iter().flatten().map(|scope| &**scope)
    }

    /// The first of its scopes that is none.
    pub(crate) fn check_scopes(&self) -> Result<(), InvalidScope> {
        self.scopes().try_for_each(|scope| scope.parse::<Scope>().map(|_| ()))
    }

    /// What in it excludes or undoes the rest.
    pub(crate) fn check_sense(&self) -> Result<(), &'static str> {
        if self.any_of.is_empty() {
            return Err("no scopes and no alternative: nobody could pass");
        }
        if self.access == Access::Public && self.demands_something() {
            return Err("public, and yet demands something of a token");
        }
        if self.is_spoilt || self.any_of.len() > 1 && self.any_of.iter().any(Vec::is_empty) {
            return Err("an alternative without scopes beside others: any valid token would pass");
        }
        if self.audiences.iter().flatten().any(|audience| audience.is_empty()) {
            return Err("an empty audience");
        }
        Ok(())
    }

    /// Whether it asks something of a credential, which a public route does not look at.
    fn demands_something(&self) -> bool {
        self.any_of.iter().any(|alternative| !alternative.is_empty())
            || self.audiences.is_some()
            || !self.conditions.is_empty()
            || self.freshness != Freshness::Cached
            || self.on_outage.is_some()
    }

    /// Whether everybody passes who has a valid token, or even none.
    pub(crate) fn is_met_by_any_token(&self) -> bool {
        let asks_nothing = self.conditions.is_empty() && self.any_of.iter().any(Vec::is_empty);
        self.access != Access::Required || asks_nothing
    }

    /// The same among others of a table.
    pub(super) fn with_vocabulary(mut self, vocabulary: &Arc<Vocabulary>) -> Self {
        self.masks = self.any_of.iter().map(|alternative| vocabulary.mask(alternative)).collect();
        self.vocabulary = Arc::clone(vocabulary);
        self
    }

    pub(super) fn is_of(&self, vocabulary: &Arc<Vocabulary>) -> bool {
        Arc::ptr_eq(&self.vocabulary, vocabulary)
    }

    /// Whether a valid token is sufficient here. `scopes` are its own, where somebody has them as bits.
    pub(super) fn check(&self, token: &Active<'_>, scopes: Option<ScopeBits>) -> Result<(), PolicyRefusal> {
        if !token.is_meant_for(self.accepted.as_ref()) {
            return Err(PolicyRefusal::Audience);
        }
        let by_bits = || scopes?.cover_any(self.masks.as_deref()?);
        if self.is_spoilt || !by_bits().unwrap_or_else(|| self.is_satisfied_by(token.scopes())) {
            return Err(PolicyRefusal::Scope);
        }
        if !self.conditions.iter().all(|condition| condition.holds(token)) {
            return Err(PolicyRefusal::Condition);
        }
        Ok(())
    }

    fn is_satisfied_by(&self, held: &ScopeSet) -> bool {
        let is_satisfied =
            |alternative: &Vec<Box<str>>| alternative.iter().all(|scope| self.vocabulary.satisfied(scope, held));
        self.any_of.iter().any(is_satisfied)
    }
}

fn owned<'s>(scopes: impl IntoIterator<Item = &'s str>) -> Vec<Box<str>> {
    scopes.into_iter().map(Into::into).collect()
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requirement({self})")
    }
}
