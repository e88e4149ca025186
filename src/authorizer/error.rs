//! What stops a service from starting; each error carries the offending text.

use std::time::Duration;

use crate::{
    issuer::{EndpointError, TransportError},
    keys::KeySourceError,
    status::IntrospectionError,
    token::InvalidScope,
};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is nobody whose tokens would be accepted.
    #[error("no issuer is configured")]
    NoIssuer,
    /// The same issuer twice.
    #[error("the issuer {0:?} is configured twice")]
    DuplicateIssuer(String),
    /// An issuer without identifier beside others: their tokens could not be told apart.
    #[error("an issuer without identifier must be the only one")]
    UnidentifiedIssuerNotAlone,
    /// One issuer's configuration.
    #[error("issuer {issuer:?}")]
    Issuer {
        /// Its identifier; empty where it has none.
        issuer: String,
        /// What is wrong.
        source: IssuerError,
    },
    /// No route table.
    #[error("no routes are configured: a RouteTable is needed, if only to say what happens to unlisted routes")]
    NoRoutes,
    /// Fresh status is demanded, and nobody could be asked.
    #[error("{route} demands fresh token status, and nobody can be asked about tokens of {issuer:?}")]
    NoStatusSource {
        /// The route as configured.
        route: String,
        /// The issuer without a status source; empty where it has no identifier.
        issuer: String,
    },
    /// Two issuers whose opaque tokens could be each other's.
    #[error(
        "the opaque tokens of {first:?} and {second:?} cannot be told apart: prefixes are needed that do not overlap"
    )]
    OpaqueTokensOverlap {
        /// The issuer that was named first.
        first: String,
        /// The one that came later.
        second: String,
    },
    /// A scope that could never be granted.
    #[error("{requirement}: {source}")]
    Scope {
        /// The requirement as configured.
        requirement: String,
        /// The text that is no scope.
        source: InvalidScope,
    },
    /// Demands that exclude or undo each other.
    #[error("{requirement}: {reason}")]
    Contradiction {
        /// The requirement as configured.
        requirement: String,
        /// What contradicts what.
        reason: &'static str,
    },
    /// Not an absolute `https` URL without a fragment (RFC 9728 §1.2); `http` is accepted on loopback.
    #[error("{0:?} is not a resource identifier: an https URL without a fragment is needed")]
    ResourceIdentifier(String),
    /// A realm that cannot stand in a header.
    #[error("{0:?} is not a realm: printable ASCII is needed")]
    Realm(String),
    /// A size that no credential could meet.
    #[error("a maximum credential length of {0} bytes")]
    CredentialLength(usize),
    /// A feed for all issuers that cannot be followed.
    #[error("a revocation feed")]
    RevocationFeed(#[source] IssuerError),
    /// A feed that speaks of tokens which are not accepted, and of none that are.
    #[error("the revocation feed {feed:?} speaks of tokens of {issuer:?}, which it is not followed for")]
    ForeignFeed {
        /// How it is called.
        feed: String,
        /// The issuer of whose tokens it speaks.
        issuer: String,
    },
    /// More feeds than can be told apart.
    #[error("{0} revocation feeds; at most 200 can be followed")]
    TooManyFeeds(usize),
    /// A header for revisions, and not exactly one log that they could be of.
    #[error("a revision is of one log, and {0} revocation feeds are followed")]
    RevisionFeeds(usize),
    /// A wait for revisions that is none, or too long.
    #[error("a revision budget of {0:?}; from a millisecond to ten seconds are accepted")]
    RevisionBudget(Duration),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    HttpClient(#[source] TransportError),
}

/// What is wrong with one issuer's configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// Its identifier is empty, or an `http` URL that is not on loopback.
    #[error("not an issuer identifier")]
    Identifier(#[source] Option<EndpointError>),
    /// An empty list of audiences, or an empty audience.
    #[error("an empty audience")]
    EmptyAudience,
    /// An empty list of algorithms.
    #[error("no algorithm is allowed")]
    NoAlgorithm,
    /// A leeway beyond five minutes.
    #[error("a leeway of {0:?}; at most five minutes are accepted")]
    Leeway(Duration),
    /// A maximum token age of zero.
    #[error("a maximum token age of zero")]
    MaxTokenAge,
    /// Its keys cannot be used.
    #[error("its keys cannot be used")]
    Keys(#[source] KeySourceError),
    /// A status policy, or opaque tokens, and nobody who could be asked about them.
    #[error("{0}, and no status source is configured")]
    NoStatusSource(&'static str),
    /// Its introspection endpoint cannot be asked.
    #[error("introspection")]
    Introspection(#[source] IntrospectionError),
    /// Numbers by which a status source could not be asked.
    #[error("status policy: {0}")]
    StatusPolicy(&'static str),
    /// Numbers by which answers could not be shared.
    #[error("shared answers: {0}")]
    SharedAnswers(&'static str),
    /// Numbers by which a feed could not be followed.
    #[error("feed policy: {0}")]
    FeedPolicy(&'static str),
    /// A feed is followed in the background, which needs a tokio runtime.
    #[error("a revocation feed needs a tokio runtime")]
    NoRuntime,
    /// Opaque tokens of no possible length.
    #[error("opaque tokens that no text could look like")]
    OpaqueTokens,
}

/// Not everything was there in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not ready within {waited:?}: {}", missing.join(", "))]
pub struct NotReady {
    pub(super) missing: Vec<String>,
    pub(super) waited: Duration,
}
