//! What a [`super::TestIssuer`] knows: its place, its keys, its clients, its tokens, and what it was asked.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderValue, Uri};
use serde_json::{Value, json};
use url::Url;

use super::faults::{Fault, Hold, Target};
use crate::{
    clock::{SharedClock, UnixTime},
    crypto::Algorithm,
    testing::{TestKey, TokenBuilder, token::unique},
};

/// How many requests arrived at each kind of endpoint, answered or not.
///
/// ```
/// use portcullis::testing::{Asked, TestIssuer};
///
/// let issuer = TestIssuer::in_process("https://idp.example");
/// assert_eq!(issuer.asked(), Asked::default());
/// assert_ne!(issuer.asked(), Asked::default().with_jwks(1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asked {
    /// For metadata, at either well-known place.
    pub metadata: u64,
    /// For the key set.
    pub jwks: u64,
    /// For a token.
    pub token: u64,
    /// Whether a token is active.
    pub introspection: u64,
    /// To revoke a token.
    pub revocation: u64,
}

impl Asked {
    /// These counts, with this many requests for metadata.
    #[must_use]
    pub const fn with_metadata(mut self, count: u64) -> Self {
        self.metadata = count;
        self
    }

    /// These counts, with this many requests for the key set.
    #[must_use]
    pub const fn with_jwks(mut self, count: u64) -> Self {
        self.jwks = count;
        self
    }

    /// These counts, with this many requests for a token.
    #[must_use]
    pub const fn with_token(mut self, count: u64) -> Self {
        self.token = count;
        self
    }

    /// These counts, with this many introspection requests.
    #[must_use]
    pub const fn with_introspection(mut self, count: u64) -> Self {
        self.introspection = count;
        self
    }

    /// These counts, with this many revocation requests.
    #[must_use]
    pub const fn with_revocation(mut self, count: u64) -> Self {
        self.revocation = count;
        self
    }

    pub(super) const fn count(&mut self, target: Target) {
        let count = match target {
            Target::Metadata => &mut self.metadata,
            Target::Jwks => &mut self.jwks,
            Target::Token => &mut self.token,
            Target::Introspection => &mut self.introspection,
            Target::Revocation => &mut self.revocation,
            Target::All => return,
        };
        *count += 1;
    }
}

/// An authorization server without its doors.
pub(super) struct Core {
    url: String,
    origin: Uri,
    /// Where its endpoints begin: the path of its URL, without a slash at the end.
    path: String,
    clock: SharedClock,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) current: TestKey,
    pub(super) published: Vec<TestKey>,
    pub(super) raw_keys: Option<Value>,
    /// Every key whose tokens it owns up to.
    pub(super) signers: Vec<TestKey>,
    pub(super) cache_control: Option<HeaderValue>,
    pub(super) metadata: Option<Value>,
    pub(super) clients: HashMap<String, Client>,
    /// The `jti` of every client assertion so far.
    pub(super) assertions: HashSet<String>,
    /// The scope of a Bearer that introspection wants in place of a client's secret.
    pub(super) introspection_scope: Option<String>,
    /// How long the tokens last that it grants.
    pub(super) token_lifetime: Duration,
    /// What introspection says of each opaque token.
    pub(super) opaque: HashMap<String, Value>,
    pub(super) revoked: HashSet<String>,
    pub(super) asked: Asked,
    pub(super) faults: HashMap<Target, Fault>,
    pub(super) holds: Vec<Arc<Hold>>,
    rotations: usize,
}

/// A client by what it proves to be itself with.
pub(super) enum Client {
    Secret { secret: String, scopes: Vec<String> },
    Key { key: TestKey, scopes: Vec<String> },
}

impl Client {
    /// What it may ask for.
    pub(super) fn scopes(&self) -> &[String] {
        match self {
            Self::Secret { scopes, .. } | Self::Key { scopes, .. } => scopes,
        }
    }
}

impl Core {
    pub(super) fn new(url: &str, clock: SharedClock, algorithm: Algorithm, key: Option<TestKey>) -> Self {
        let current = key.unwrap_or_else(|| TestKey::of_its_own(algorithm, "key-1"));
        // By way of `Url`, which spells hosts and default ports as our requests do.
        let parsed = Url::parse(url).ok().and_then(|parsed| parsed.as_str().parse::<Uri>().ok());
        #[expect(clippy::expect_used, reason = "a slip in a test shows at once")]
        let origin = parsed.expect("the URL of an issuer is absolute");
        Self {
            url: url.to_owned(),
            path: origin.path().trim_end_matches('/').to_owned(),
            origin,
            clock,
            state: Mutex::new(State {
                published: vec![current.clone()],
                raw_keys: None,
                signers: vec![current.clone()],
                current,
                cache_control: None,
                metadata: None,
                clients: HashMap::new(),
                assertions: HashSet::new(),
                introspection_scope: None,
                token_lifetime: Duration::from_secs(3600),
                opaque: HashMap::new(),
                revoked: HashSet::new(),
                asked: Asked::default(),
                faults: HashMap::new(),
                holds: Vec::new(),
                rotations: 0,
            }),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn place(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(super) fn now(&self) -> UnixTime {
        self.clock.now().wall()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request with this URI is for us. The longer URL takes precedence where several say so.
    pub(super) fn serves(&self, uri: &Uri) -> bool {
        let below =
            || uri.path().strip_prefix(self.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        uri.scheme() == self.origin.scheme()
            && uri.authority() == self.origin.authority()
            && (self.target(uri.path()).is_some() || below())
    }

    /// Which endpoint is at this path.
    pub(super) fn target(&self, path: &str) -> Option<Target> {
        // RFC 8414 §3.1 inserts its well-known part before the issuer's path; the other one is appended.
        if path.strip_prefix("/.well-known/oauth-authorization-server") == Some(&self.path) {
            return Some(Target::Metadata);
        }
        Some(match path.strip_prefix(self.path.as_str())? {
            "/.well-known/openid-configuration" => Target::Metadata,
            "/jwks" => Target::Jwks,
            "/token" => Target::Token,
            "/introspect" => Target::Introspection,
            "/revoke" => Target::Revocation,
            _ => return None,
        })
    }

    pub(super) fn token(&self) -> TokenBuilder {
        let key = self.state().current.clone();
        TokenBuilder::new(self.url.as_str(), &key, self.now())
    }

    pub(super) fn issue_opaque(&self, scope: &str, lifetime: Duration) -> String {
        // As long as those that `OpaqueTokens` takes to be worth a question.
        let (token, now) = (unique("opaque-access-token"), self.now());
        let claims = json!({
            "iss": self.url, "sub": "user-1", "client_id": "client-1", "aud": TokenBuilder::AUDIENCE, "scope": scope,
            "iat": now.as_secs(), "exp": now.saturating_add(lifetime).as_secs(), "jti": token,
        });
        self.state().opaque.insert(token.clone(), claims);
        token
    }
}

impl State {
    pub(super) fn rotate(&mut self) -> TestKey {
        self.rotations += 1;
        let key_id = format!("key-{}", self.rotations + 1);
        let key = TestKey::of_its_own(self.current.algorithm(), key_id);
        self.raw_keys = None;
        self.published.push(key.clone());
        self.sign_with(key.clone());
        key
    }

    pub(super) fn sign_with(&mut self, key: TestKey) {
        self.signers.push(key.clone());
        self.current = key;
    }

    pub(super) fn publish(&mut self, keys: &[TestKey]) {
        self.raw_keys = None;
        self.published = keys.to_vec();
        self.signers.extend_from_slice(keys);
    }

    pub(super) fn retire(&mut self, key_id: &str) {
        self.published.retain(|key| key.key_id() != key_id);
        self.signers.retain(|key| key.key_id() != key_id);
    }

    pub(super) fn jwks(&self) -> Value {
        let published = || json!({ "keys": self.published.iter().map(TestKey::jwk).collect::<Vec<_>>() });
        self.raw_keys.clone().unwrap_or_else(published)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Core").field(&self.url).finish()
    }
}
