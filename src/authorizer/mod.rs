//! The decision: every stage in order, written once.
//!
//! ```text
//! decide(input, answers, now) ─► permit
//!      ▲                      ├► rejection
//!      └── ask ◄──────────────┴─ need: what memory cannot answer
//! ```
//!
//! [`decide`](Authorizer::decide) waits for nothing and reads no clock. Warm and cold requests go through the same
//! function; a cold one goes through it twice.

mod builder;
mod cache;
mod decide;
mod error;
mod input;
mod issuer;
mod readiness;
mod revision;
mod start;
mod trusted;
mod verified;

use std::{fmt, sync::Arc, time::Duration};

pub use builder::AuthorizerBuilder;
use cache::TokenCache;
pub use error::{ConfigError, IssuerError, NotReady};
use http::HeaderName;
pub(crate) use input::OwnedInput;
pub use input::{Answers, Decision, Input, Need, Permit};
pub use issuer::{Issuer, IssuerWithoutAudience};
pub use readiness::{FeedReadiness, IssuerReadiness, KeysReadiness, Readiness, StatusReadiness};
use trusted::TrustedIssuers;
use verified::Verified;

use crate::{
    clock::{Now, SharedClock},
    credential::{self, CredentialSource},
    policy::{Location, Lookup, Requirement, RouteTable},
    rejection::{ProtectedResource, Rejection, RejectionKind},
    status::{DrivenFeed, Revocations},
};

/// Decides whether a request may pass.
///
/// One serves a whole process; cloning shares it, and with the last clone its background tasks end.
///
/// ```no_run
/// use std::time::Duration;
/// use portcullis::{Authorizer, Issuer, Requirement, RouteTable, Unlisted};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let authorizer = Authorizer::builder()
///     .issuer(Issuer::discover("https://idp.example.com").audience("https://api.example.com"))
///     .routes(
///         RouteTable::builder()
///             .get("/agents", Requirement::scope("agents:read"))
///             .otherwise(Unlisted::Deny)?,
///     )
///     .build()?;
/// // Wait for the first keys, or leave this out and answer 503 until they are there.
/// authorizer.ready(Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Authorizer {
    inner: Arc<Inner>,
}

struct Inner {
    issuers: TrustedIssuers,
    routes: RouteTable,
    credential: Box<dyn CredentialSource>,
    max_credential_len: usize,
    resource: Arc<ProtectedResource>,
    revocations: Option<Revocations>,
    /// Those that speak of tokens of whatever issuer.
    feeds: Vec<DrivenFeed>,
    /// Where a request says which revision it demands.
    revision_header: Option<HeaderName>,
    /// How long it may wait for that.
    revision_budget: Duration,
    /// Tokens whose signature was checked before.
    verified: TokenCache<Verified>,
    clock: SharedClock,
}

impl Authorizer {
    /// An authorizer to be configured.
    pub fn builder() -> AuthorizerBuilder {
        AuthorizerBuilder::new()
    }

    /// A snapshot of time, by the authorizer's clock.
    #[must_use]
    pub fn now(&self) -> Now {
        self.inner.clock.now()
    }

    /// What the route table says to a request.
    ///
    /// # Errors
    /// The rejection of a request that no route answers to, or whose path is ambiguous.
    pub fn requirement(&self, method: &http::Method, location: Location<'_>) -> Result<&Arc<Requirement>, Rejection> {
        match self.inner.routes.lookup(method, location) {
            Lookup::Requirement(requirement) => Ok(requirement),
            Lookup::Unlisted => Err(self.reject(RejectionKind::UnlistedRoute)),
            Lookup::Ambiguous => Err(self.reject(RejectionKind::AmbiguousPath)),
        }
    }

    /// The credential of a request with these headers, and the revision that they demand, to be judged by `requirement`.
    #[must_use]
    pub fn input<'r>(&self, headers: &'r http::HeaderMap, requirement: &'r Arc<Requirement>) -> Input<'r> {
        let Inner { credential, max_credential_len, revision_header, .. } = &*self.inner;
        let input = Input::found(credential::find(&**credential, headers, *max_credential_len), requirement);
        match revision_header {
            Some(name) => input.with_revision(revision::demanded(headers, name)),
            None => input,
        }
    }

    /// Prepares a requirement for use beside a handler: checks its scopes, and lets the table's implications count.
    ///
    /// # Errors
    /// Where a scope could never be granted, the requirement contradicts itself, or it needs a status source that is not
    /// configured.
    pub fn compile(&self, requirement: Requirement) -> Result<Arc<Requirement>, ConfigError> {
        let name = requirement.to_string();
        builder::check_sense(&name, &requirement)?;
        builder::check_freshness(&name, &requirement, &self.inner.issuers, !self.inner.feeds.is_empty())?;
        Ok(Arc::new(self.inner.routes.with_vocabulary(requirement)))
    }

    /// The route table.
    #[must_use]
    pub fn routes(&self) -> &RouteTable {
        &self.inner.routes
    }

    pub(crate) fn issuer_identifiers(&self) -> impl Iterator<Item = &str> {
        self.inner.issuers.iter().filter_map(|issuer| issuer.rules.issuer.as_deref())
    }

    pub(crate) fn resource(&self) -> &ProtectedResource {
        &self.inner.resource
    }

    pub(crate) fn reject(&self, kind: RejectionKind) -> Rejection {
        Rejection::new(kind, Arc::clone(&self.inner.resource))
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { issuers, verified, .. } = &*self.inner;
        f.debug_struct("Authorizer").field("issuers", issuers).field("verified", verified).finish_non_exhaustive()
    }
}
