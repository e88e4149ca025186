//! Where an issuer's keys come from, as configured → [`Keys`] in use.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use super::{
    KeyAnswer, KeyQuestion, KeySet, KeySetError, RefreshPolicy, fetch::Place, jwk::JwkRules, remote::RemoteKeys,
};
use crate::{
    clock::SharedClock,
    crypto::Algorithm,
    issuer::{Endpoint, EndpointError, Environment},
    tasks::NoRuntime,
};

/// Where an issuer's keys come from.
#[derive(Clone)]
pub struct KeySource {
    kind: Kind,
    policy: RefreshPolicy,
}

#[derive(Clone)]
enum Kind {
    Set(KeySet),
    Json(Vec<u8>),
    File(PathBuf),
    Url(String),
    Discovery,
    Absent,
}

impl fmt::Debug for Kind {
    /// Text given for a public key may hold a private one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(set) => f.debug_tuple("Set").field(set).finish(),
            Self::Json(_) => f.write_str("Json(<redacted>)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(url).finish(),
            Self::Discovery => f.write_str("Discovery"),
            Self::Absent => f.write_str("Absent"),
        }
    }
}

/// Why a source of keys cannot be used; found at start-up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySourceError {
    /// The JWKS URL, or the issuer to discover, is not a URL that may be asked.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The keys given are not usable.
    #[error("unusable keys")]
    Keys(#[from] KeySetError),
    /// None of the keys given is of an algorithm that the issuer's configuration allows.
    #[error("no key of an allowed algorithm ({})", .0.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(", "))]
    NoAllowedKey(Vec<Algorithm>),
    /// A symmetric algorithm with keys that are published.
    #[error("{0} cannot be used with published keys: whoever reads them could sign")]
    Symmetric(Algorithm),
    /// Keys are discovered by the issuer's URL, and there is none.
    #[error("discovery needs an issuer")]
    NoIssuer,
    /// Numbers by which keys could not be kept fresh.
    #[error("refresh policy: {0}")]
    RefreshPolicy(&'static str),
    /// Keys are fetched in the background, which needs a tokio runtime.
    #[error("remote keys need a tokio runtime")]
    NoRuntime,
}

impl KeySource {
    fn of(kind: Kind) -> Self {
        Self { kind, policy: RefreshPolicy::default() }
    }

    /// Keys given by hand.
    #[must_use]
    pub fn set(keys: KeySet) -> Self {
        Self::of(Kind::Set(keys))
    }

    /// A JWK set, or a single JWK, as text.
    #[must_use]
    pub fn json(text: impl Into<Vec<u8>>) -> Self {
        Self::of(Kind::Json(text.into()))
    }

    /// A JWK set in a file, read once at start-up.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::of(Kind::File(path.into()))
    }

    /// A JWK set at this URL, kept fresh in the background.
    #[must_use]
    pub fn url(url: impl Into<String>) -> Self {
        Self::of(Kind::Url(url.into()))
    }

    /// The JWK set that the issuer's metadata names (RFC 8414, OpenID Connect Discovery), kept fresh in the background.
    #[must_use]
    pub fn discovery() -> Self {
        Self::of(Kind::Discovery)
    }

    /// No keys at all: for an issuer who is asked about each of its tokens.
    pub(crate) fn absent() -> Self {
        Self::of(Kind::Absent)
    }

    /// Whether there are no keys at all.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.kind, Kind::Absent)
    }

    /// When and how remote keys are fetched; without effect on others.
    #[must_use]
    pub fn with_refresh_policy(mut self, policy: RefreshPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Keys that are published somewhere, as opposed to given by hand.
    fn is_published(&self) -> bool {
        !matches!(self.kind, Kind::Set(_))
    }

    /// Keys that are asked for over the network.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.kind, Kind::Url(_) | Kind::Discovery)
    }

    /// The algorithms to allow where the configuration names none: those of keys given by hand, else the asymmetric.
    pub(crate) fn default_algorithms(&self) -> Vec<Algorithm> {
        match &self.kind {
            Kind::Set(set) => {
                let mut algorithms: Vec<_> = set.keys().iter().map(super::VerificationKey::algorithm).collect();
                algorithms.sort_unstable();
                algorithms.dedup();
                algorithms
            }
            _ => Algorithm::ASYMMETRIC.to_vec(),
        }
    }
}

impl fmt::Debug for KeySource {
    /// Not the keys: somebody will paste a private one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Set(set) => write!(f, "KeySource({} keys)", set.keys().len()),
            Kind::Json(_) => f.write_str("KeySource(JSON)"),
            Kind::File(path) => write!(f, "KeySource({})", path.display()),
            Kind::Url(_) => f.write_str("KeySource(URL)"),
            Kind::Discovery => f.write_str("KeySource(discovery)"),
            Kind::Absent => f.write_str("KeySource(none)"),
        }
    }
}

/// An issuer's keys in use.
#[derive(Debug)]
pub(crate) enum Keys {
    Fixed(KeySet),
    Remote(RemoteKeys),
    /// Its tokens are not ours to verify.
    Absent,
}

impl Keys {
    /// Reads what can be read, and starts to fetch what must be fetched.
    pub(crate) fn start(
        source: KeySource,
        issuer: Option<&str>,
        algorithms: &[Algorithm],
        environment: &Environment,
    ) -> Result<Self, KeySourceError> {
        if let Some(symmetric) = algorithms.iter().find(|algorithm| algorithm.is_symmetric() && source.is_published()) {
            return Err(KeySourceError::Symmetric(*symmetric));
        }
        source.policy.check().map_err(KeySourceError::RefreshPolicy)?;
        let rules = JwkRules { algorithms: algorithms.to_vec() };
        let place = match source.kind {
            Kind::Set(set) => {
                let usable = set.keys().iter().any(|key| algorithms.contains(&key.algorithm()));
                return if usable {
                    Ok(Self::Fixed(set))
                } else {
                    Err(KeySourceError::NoAllowedKey(algorithms.to_vec()))
                };
            }
            Kind::Json(json) => return Ok(Self::Fixed(KeySet::read_usable(&json, &rules)?)),
            Kind::File(path) => return Ok(Self::Fixed(KeySet::read_file(&path, &rules)?)),
            Kind::Absent => return Ok(Self::Absent),
            Kind::Url(url) => Place::Url(Endpoint::parse(&url)?),
            Kind::Discovery => {
                let issuer = issuer.ok_or(KeySourceError::NoIssuer)?;
                Endpoint::parse(issuer)?;
                Place::Discovery(issuer.into())
            }
        };
        let Environment { transport, clock } = environment.clone();
        let label = issuer.unwrap_or("(any issuer)");
        RemoteKeys::start(label, place, rules, source.policy, transport, clock)
            .map(Self::Remote)
            .map_err(|NoRuntime| KeySourceError::NoRuntime)
    }

    /// Whether there are none, and are to be none.
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The keys that may be used now, with the generation of the set.
    pub(crate) fn current(&self, now: Duration) -> Option<(KeySet, u64)> {
        match self {
            Self::Fixed(set) => Some((set.clone(), 1)),
            Self::Absent => None,
            Self::Remote(remote) => remote.current(now),
        }
    }

    /// The generation of the keys that may be used now.
    pub(crate) fn generation(&self, now: Duration) -> Option<u64> {
        match self {
            Self::Fixed(_) => Some(1),
            Self::Absent => None,
            Self::Remote(remote) => remote.generation(now),
        }
    }

    /// Whether fresher keys might be had for that question.
    pub(crate) fn may_answer(&self, question: &KeyQuestion, now: Duration) -> bool {
        match self {
            Self::Fixed(_) | Self::Absent => false,
            Self::Remote(remote) => remote.may_answer(question, now),
        }
    }

    /// Whether what we know of the keys may be out of date, by no fault of the caller's.
    pub(crate) fn in_trouble(&self) -> bool {
        match self {
            Self::Fixed(_) | Self::Absent => false,
            Self::Remote(remote) => remote.in_trouble(),
        }
    }

    /// Whether nobody keeps the keys fresh, and it is time that somebody does.
    pub(crate) fn is_neglected(&self, now: Duration) -> bool {
        match self {
            Self::Fixed(_) | Self::Absent => false,
            Self::Remote(remote) => remote.is_neglected(now),
        }
    }

    /// What is wrong with the keys, if anything.
    pub(crate) fn trouble(&self) -> Option<Arc<str>> {
        match self {
            Self::Fixed(_) | Self::Absent => None,
            Self::Remote(remote) => remote.trouble(),
        }
    }

    /// How long until fresher keys may be expected.
    pub(crate) fn next_attempt_in(&self, now: Duration) -> Duration {
        match self {
            Self::Fixed(_) | Self::Absent => Duration::ZERO,
            Self::Remote(remote) => remote.next_attempt_in(now),
        }
    }

    /// Asks for fresher keys.
    pub(crate) async fn ask(&self, question: &KeyQuestion) -> KeyAnswer {
        match self {
            Self::Fixed(_) | Self::Absent => KeyAnswer::Attempted,
            Self::Remote(remote) => remote.ask(question).await,
        }
    }

    /// Waits until there are keys, however long that takes.
    pub(crate) async fn loaded(&self, clock: &SharedClock) {
        if let Self::Remote(remote) = self {
            remote.loaded(clock).await;
        }
    }
}
