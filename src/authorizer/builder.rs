//! Configuration → [`Authorizer`], or the error that names what is wrong with it.

use std::{sync::Arc, time::Duration};

use http::HeaderName;

use super::{
    Authorizer, ConfigError, Inner, Issuer, cache::TokenCache, revision, start::Start, trusted::TrustedIssuers,
};
use crate::{
    clock::{Clock, SharedClock, SystemClock},
    credential::{AuthorizationHeader, CredentialSource, DEFAULT_MAX_LEN},
    issuer::{Endpoint, Environment, HttpTransport, NoTransport, Transport},
    policy::{Requirement, RouteTable},
    rejection::{ProtectedResource, is_realm},
    status::{FeedPolicy, RevocationFeed, Revocations, RevocationsBuilder},
};

/// Room for verified tokens unless configured otherwise.
const TOKEN_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// An [`Authorizer`] being configured.
#[derive(Debug)]
#[must_use]
pub struct AuthorizerBuilder {
    issuers: Vec<Issuer>,
    routes: Option<RouteTable>,
    credential: Box<dyn CredentialSource>,
    max_credential_len: usize,
    resource: Option<String>,
    realm: Option<String>,
    transport: Option<Arc<dyn Transport>>,
    revocations: Option<Revocations>,
    feeds: Vec<(Arc<dyn RevocationFeed>, FeedPolicy)>,
    revision_header: Option<HeaderName>,
    revision_budget: Duration,
    token_cache_bytes: usize,
    clock: SharedClock,
}

impl AuthorizerBuilder {
    pub(super) fn new() -> Self {
        Self {
            issuers: Vec::new(),
            routes: None,
            credential: Box::new(AuthorizationHeader::default()),
            max_credential_len: DEFAULT_MAX_LEN,
            resource: None,
            realm: None,
            transport: None,
            revocations: None,
            feeds: Vec::new(),
            revision_header: None,
            revision_budget: revision::BUDGET,
            token_cache_bytes: TOKEN_CACHE_BYTES,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Accepts tokens of this issuer; more than one can be named, and each token is judged by its own alone.
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// What each route requires.
    pub fn routes(mut self, routes: RouteTable) -> Self {
        self.routes = Some(routes);
        self
    }

    /// Where a request's credential stands. Default: the `Authorization` header.
    pub fn credential_source(mut self, source: impl CredentialSource) -> Self {
        self.credential = Box::new(source);
        self
    }

    /// Larger credentials are refused unread, in bytes. Default: 16 KiB.
    pub const fn max_credential_len(mut self, bytes: usize) -> Self {
        self.max_credential_len = bytes;
        self
    }

    /// This service's resource identifier (RFC 9728 §1.2): challenges then say where its metadata is, and
    /// [`ProtectedResourceMetadata`](crate::middleware::ProtectedResourceMetadata) can serve it.
    pub fn resource(mut self, identifier: &str) -> Self {
        self.resource = Some(identifier.to_owned());
        self
    }

    /// The `realm` of challenges (RFC 9110 §11.5). Default: none.
    pub fn realm(mut self, realm: &str) -> Self {
        self.realm = Some(realm.to_owned());
        self
    }

    /// Your own HTTP client, for a private CA or a proxy. Its redirect policy counts: give it
    /// `reqwest::redirect::Policy::none()`, as ours has. One that follows redirects, as reqwest's do by default, repeats
    /// tokens and client secrets wherever the answer says.
    pub fn http_client(self, client: reqwest::Client) -> Self {
        self.transport(HttpTransport::from(client))
    }

    /// Another way to reach authorization servers.
    pub fn transport(self, transport: impl Transport) -> Self {
        self.shared_transport(Arc::new(transport))
    }

    /// Another way to reach authorization servers, shared with others.
    pub fn shared_transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Refuses the tokens that are among these, from the moment at which they are. Keep a clone, and
    /// [`revoke`](Revocations::revoke) through it.
    pub fn revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Follows a log of what was revoked, of whatever issuer: the one that the replicas of a service share, say. While it is
    /// too old, tokens are accepted only where their issuer was asked since, or the route accepts that.
    pub fn revocation_feed(mut self, feed: impl RevocationFeed, policy: FeedPolicy) -> Self {
        self.feeds.push((Arc::new(feed), policy));
        self
    }

    /// Lets a request demand what must be known of the revocation log before it may pass, in this header: a
    /// [`Cursor`](crate::status::Cursor) as a text, such as publishing a revocation returned. See
    /// [`Input::at_least`](super::Input::at_least) for what that means. Default: none is read.
    ///
    /// A revision is of one log: exactly one feed must be followed. A demand can only make the answer stricter: malformed or
    /// repeated it is refused with 400, as a credential is, and where no token is judged nobody looks at it.
    ///
    /// Whoever has a token may demand a revision that there is not, and so hold each of its requests for the
    /// [budget](Self::revision_budget), and have the issuer asked about the token once for each: in calls that requests
    /// share, within the [bounds](crate::status::StatusPolicy) on those. That costs a task that sleeps and a comparison for
    /// each event of the log meanwhile. Where opaque tokens are accepted, what only looks like one suffices. Where
    /// clients are strangers, let a proxy take the header away.
    ///
    /// ```
    /// use http::HeaderName;
    /// use portcullis::{Authorizer, status::{FeedPolicy, RevocationLog}};
    ///
    /// let log = RevocationLog::new();
    /// let builder = Authorizer::builder()
    ///     .revocation_feed(log.clone(), FeedPolicy::default())
    ///     .revision_header(HeaderName::from_static("revocations-at-least"));
    /// ```
    pub fn revision_header(mut self, name: HeaderName) -> Self {
        self.revision_header = Some(name);
        self
    }

    /// How long a request may wait until the revision is known that it demands; from a millisecond to ten seconds. Default:
    /// 100 milliseconds.
    pub const fn revision_budget(mut self, budget: Duration) -> Self {
        self.revision_budget = budget;
        self
    }

    /// How many bytes verified tokens may take that are kept, so that their signature is not checked with every request;
    /// everything else is. Zero keeps none. Default: 32 MiB, some 25,000 tokens of a kilobyte; those in use outlast the
    /// others. A token is forgotten with the keys that vouched for it.
    pub const fn token_cache_bytes(mut self, bytes: usize) -> Self {
        self.token_cache_bytes = bytes;
        self
    }

    /// Another clock than the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks everything and starts to fetch remote keys. Requests are answered 503 until they are there;
    /// [`ready`](Authorizer::ready) waits for them.
    ///
    /// # Errors
    /// Where the configuration could not work, or would be unsafe.
    pub fn build(self) -> Result<Authorizer, ConfigError> {
        if self.issuers.is_empty() {
            return Err(ConfigError::NoIssuer);
        }
        check_identities(&self.issuers)?;
        let routes = self.routes.ok_or(ConfigError::NoRoutes)?;
        check_opaque_tokens(&self.issuers)?;
        check_feeds(&self.issuers, &self.feeds)?;
        for (name, requirement) in routes.requirements() {
            check_sense(&name, requirement)?;
        }
        if let Some(realm) = self.realm.as_deref().filter(|realm| !is_realm(realm)) {
            return Err(ConfigError::Realm(realm.to_owned()));
        }
        if let Some(identifier) = self.resource.as_deref()
            && Endpoint::parse(identifier).is_err()
        {
            return Err(ConfigError::ResourceIdentifier(identifier.to_owned()));
        }
        let resource = ProtectedResource::new(self.resource.as_deref(), self.realm.as_deref())
            .ok_or_else(|| ConfigError::ResourceIdentifier(self.resource.clone().unwrap_or_default()))?;
        if self.max_credential_len == 0 {
            return Err(ConfigError::CredentialLength(0));
        }
        let transport = match self.transport {
            Some(transport) => transport,
            None if self.issuers.iter().any(|issuer| issuer.needs_http()) => {
                Arc::new(HttpTransport::new().map_err(ConfigError::HttpClient)?)
            }
            // A client wants root certificates. Where nobody is asked, a machine without any will do.
            None => Arc::new(NoTransport),
        };
        let environment = Environment { transport, clock: Arc::clone(&self.clock) };
        let feeds = self.feeds.len() + self.issuers.iter().filter(|issuer| issuer.feed.is_some()).count();
        if feeds > MAX_FEEDS {
            return Err(ConfigError::TooManyFeeds(feeds));
        }
        if self.revision_header.is_some() && feeds != 1 {
            return Err(ConfigError::RevisionFeeds(feeds));
        }
        if !revision::BUDGETS.contains(&self.revision_budget) {
            return Err(ConfigError::RevisionBudget(self.revision_budget));
        }
        // Feeds need an index to put into what they say.
        let revocations = match self.revocations {
            None if feeds > 0 => Some(RevocationsBuilder::by_clock(Arc::clone(&self.clock))),
            given => given,
        };
        let start = Start { environment: &environment, revocations: revocations.as_ref() };
        let follow = |(feed, policy)| start.follow(feed, policy, None).map_err(ConfigError::RevocationFeed);
        let feeds = self.feeds.into_iter().map(follow).collect::<Result<Vec<_>, _>>()?;
        let trust = |issuer: Issuer| {
            let name = issuer.identifier.as_deref().unwrap_or_default().to_owned();
            start.trust(issuer).map_err(|source| ConfigError::Issuer { issuer: name, source })
        };
        let issuers = TrustedIssuers::new(self.issuers.into_iter().map(trust).collect::<Result<_, _>>()?);
        for (name, requirement) in routes.requirements() {
            check_freshness(&name, requirement, &issuers, !feeds.is_empty())?;
        }
        Ok(Authorizer {
            inner: Arc::new(Inner {
                issuers,
                routes,
                credential: self.credential,
                max_credential_len: self.max_credential_len,
                resource: Arc::new(resource),
                revocations,
                feeds,
                revision_header: self.revision_header,
                revision_budget: self.revision_budget,
                verified: TokenCache::new(self.token_cache_bytes),
                clock: self.clock,
            }),
        })
    }
}

/// Each request asks every one of them how old it is.
const MAX_FEEDS: usize = 200;

/// A token must find exactly one judge.
fn check_identities(issuers: &[Issuer]) -> Result<(), ConfigError> {
    for (position, issuer) in issuers.iter().enumerate() {
        match &issuer.identifier {
            None if issuers.len() > 1 => return Err(ConfigError::UnidentifiedIssuerNotAlone),
            None => {}
            Some(identifier) => {
                let is_same = |other: &Issuer| other.identifier.as_ref() == Some(identifier);
                if issuers.iter().skip(position + 1).any(is_same) {
                    return Err(ConfigError::DuplicateIssuer(identifier.to_string()));
                }
            }
        }
    }
    Ok(())
}

/// What a feed says must be able to count: its issuer is the one that it is followed for, byte for byte.
fn check_feeds(issuers: &[Issuer], of_all: &[(Arc<dyn RevocationFeed>, FeedPolicy)]) -> Result<(), ConfigError> {
    let of_one =
        issuers.iter().filter_map(|issuer| issuer.feed.as_ref().map(|feed| (feed, std::slice::from_ref(issuer))));
    for ((feed, _), heard_for) in of_one.chain(of_all.iter().map(|feed| (feed, issuers))) {
        let is_theirs =
            |issuer: &Issuer, of: &str| issuer.identifier.as_deref().is_none_or(|identifier| identifier == of);
        if let Some(of) = feed.issuer()
            && !heard_for.iter().any(|issuer| is_theirs(issuer, of))
        {
            return Err(ConfigError::ForeignFeed { feed: feed.label(), issuer: of.to_owned() });
        }
    }
    Ok(())
}

/// An opaque token must find exactly one issuer to be asked.
fn check_opaque_tokens(issuers: &[Issuer]) -> Result<(), ConfigError> {
    let name = |issuer: &Issuer| issuer.identifier.as_deref().unwrap_or_default().to_owned();
    for (position, first) in issuers.iter().enumerate() {
        for second in issuers.iter().skip(position + 1) {
            if let (Some(ours), Some(theirs)) = (&first.opaque, &second.opaque)
                && ours.overlaps(theirs)
            {
                return Err(ConfigError::OpaqueTokensOverlap { first: name(first), second: name(second) });
            }
        }
    }
    Ok(())
}

/// A requirement must be one that a token could meet.
pub(super) fn check_sense(name: &str, requirement: &Requirement) -> Result<(), ConfigError> {
    requirement.check_scopes().map_err(|source| ConfigError::Scope { requirement: name.to_owned(), source })?;
    requirement.check_sense().map_err(|reason| ConfigError::Contradiction { requirement: name.to_owned(), reason })
}

/// What it wants to know of a token must be there to be had, whoever issued it.
pub(super) fn check_freshness(
    name: &str,
    requirement: &Requirement,
    issuers: &TrustedIssuers,
    has_feeds: bool,
) -> Result<(), ConfigError> {
    match issuers.iter().find(|issuer| !issuer.can_be(requirement.freshness(), has_feeds)) {
        None => Ok(()),
        Some(issuer) => Err(ConfigError::NoStatusSource {
            route: name.to_owned(),
            issuer: issuer.rules.issuer.as_deref().unwrap_or_default().to_owned(),
        }),
    }
}
