//! One authorization server, as configured: its identifier, its keys, and the rules for its tokens.

use std::{sync::Arc, time::Duration};

use crate::{
    credential::DEFAULT_MAX_LEN,
    crypto::Algorithm,
    keys::{KeySource, RefreshPolicy},
    status::{FeedPolicy, Introspection, OpaqueTokens, RevocationFeed, SharedAnswers, StatusPolicy, StatusSource},
    token::{Audiences, Condition, TokenType, VerifiedToken},
};

/// An authorization server whose tokens are accepted, and under which rules.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use portcullis::{Algorithm, Issuer, TokenType};
///
/// let issuer = Issuer::discover("https://idp.example.com")
///     .audience("https://api.example.com")
///     .token_type(TokenType::AccessTokenJwt)
///     .algorithms([Algorithm::ES256])
///     .leeway(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug)]
pub struct Issuer {
    pub(super) identifier: Option<Box<str>>,
    pub(super) keys: KeySource,
    pub(super) audiences: Audiences,
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) token_type: TokenType,
    pub(super) leeway: Duration,
    pub(super) max_age: Option<Duration>,
    pub(super) scope_claim: Option<Box<str>>,
    pub(super) grant_claims: Vec<Box<str>>,
    pub(super) conditions: Vec<Condition>,
    pub(super) status: Option<StatusConfig>,
    pub(super) status_policy: Option<StatusPolicy>,
    pub(super) shared_answers: Option<SharedAnswers>,
    pub(super) opaque: Option<OpaqueTokens>,
    pub(super) feed: Option<(Arc<dyn RevocationFeed>, FeedPolicy)>,
}

/// Who is asked whether a token still stands, as configured.
#[derive(Clone, Debug)]
pub(super) enum StatusConfig {
    Introspection(Introspection),
    Source(Arc<dyn StatusSource>),
}

/// An issuer of which it has not been said whom its tokens must be meant for.
///
/// A token for somebody else is a valid token too; RFC 9700 §2.3 obliges a resource server to look.
#[derive(Clone, Debug)]
#[must_use = "say whom tokens must be meant for"]
pub struct IssuerWithoutAudience {
    identifier: Option<Box<str>>,
    keys: KeySource,
    status: Option<StatusConfig>,
}

impl Issuer {
    /// Whether there is anybody to be asked over HTTP.
    pub(super) fn needs_http(&self) -> bool {
        self.keys.is_remote() || matches!(self.status, Some(StatusConfig::Introspection(_)))
    }

    /// The issuer at this URL, its keys by discovery (RFC 8414, OpenID Connect Discovery).
    pub fn discover(identifier: &str) -> IssuerWithoutAudience {
        Self::with_keys(identifier, KeySource::discovery())
    }

    /// The issuer of this identifier (`iss`, byte for byte), its keys from `keys`.
    pub fn with_keys(identifier: &str, keys: KeySource) -> IssuerWithoutAudience {
        IssuerWithoutAudience { identifier: Some(identifier.into()), keys, status: None }
    }

    /// The issuer of this identifier, none of whose tokens is verified here: its introspection endpoint is asked about each,
    /// be it a JWT or opaque, of 16 to 16,384 characters. What they look like can be said with
    /// [`opaque_tokens`](Self::opaque_tokens).
    pub fn introspected(identifier: &str, introspection: Introspection) -> IssuerWithoutAudience {
        IssuerWithoutAudience {
            identifier: Some(identifier.into()),
            keys: KeySource::absent(),
            status: Some(StatusConfig::Introspection(introspection)),
        }
    }

    /// The only issuer there is, whose tokens carry no `iss`, or one that is not looked at: whatever these keys signed.
    pub fn without_identifier(keys: KeySource) -> IssuerWithoutAudience {
        IssuerWithoutAudience { identifier: None, keys, status: None }
    }

    /// The only algorithms that are accepted. Default: the asymmetric ones, or those of keys given by hand.
    ///
    /// A published RSA key that names no algorithm is used with the first RSA algorithm of this list, by default RS256.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Which `typ` tokens must have. Default: [`TokenType::Any`].
    #[must_use]
    pub fn token_type(mut self, token_type: TokenType) -> Self {
        self.token_type = token_type;
        self
    }

    /// How far clocks may disagree, at most five minutes. Default: 30 seconds.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Tokens issued longer ago than this (`iat`) are refused, whatever their `exp`. Default: no bound.
    #[must_use]
    pub const fn max_token_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// The claim that holds the scopes, a string or an array; with a leading slash a JSON pointer into the claims
    /// (`/realm_access/roles`). Default: `scope` or `scp`, which must agree where both are there.
    #[must_use]
    pub fn scope_claim(mut self, name: &str) -> Self {
        self.scope_claim = Some(name.into());
        self
    }

    /// A claim that names a grant the token stems from; with a leading slash a JSON pointer. Tokens can then be revoked
    /// by it. May be said more than once, as for a grant and the one it was delegated from.
    #[must_use]
    pub fn grant_claim(mut self, name: &str) -> Self {
        self.grant_claims.push(name.into());
        self
    }

    /// A condition on the claims of every token, where the standard ones do not tell its tokens apart: a tenant, a
    /// client. A token that does not meet it is refused with 401. `name` is printed, the claims are not.
    ///
    /// ```
    /// # use portcullis::{Issuer, KeySource};
    /// // Amazon Cognito's access tokens carry no `aud`.
    /// let pool = Issuer::discover("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example")
    ///     .dangerous_any_audience()
    ///     .that("is for our client", |token| token.client_id() == Some("1example23456789"));
    /// ```
    #[must_use]
    pub fn that(mut self, name: &str, holds: impl Fn(&VerifiedToken) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Condition::new(name, holds));
        self
    }

    /// Asks the issuer's introspection endpoint whether each token still stands (RFC 7662), by way of a cache: see
    /// [`StatusPolicy`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use portcullis::{Issuer, issuer::ClientAuthentication, status::{Introspection, OpaqueTokens, StatusPolicy}};
    ///
    /// let issuer = Issuer::discover("https://idp.example.com")
    ///     .audience("https://api.example.com")
    ///     .introspection(Introspection::discover(ClientAuthentication::basic("orders-api", "s3cret")))
    ///     .status_policy(StatusPolicy::default().max_age(Duration::from_secs(10)))
    ///     .opaque_tokens(OpaqueTokens::default());
    /// ```
    #[must_use]
    pub fn introspection(mut self, introspection: Introspection) -> Self {
        self.status = Some(StatusConfig::Introspection(introspection));
        self
    }

    /// Asks this source whether each token still stands, by way of a cache: see [`StatusPolicy`].
    #[must_use]
    pub fn status_source(mut self, source: impl StatusSource) -> Self {
        self.status = Some(StatusConfig::Source(Arc::new(source)));
        self
    }

    /// How long the status source's word counts, and how it is asked; for a feed, what counts while it is not heard.
    #[must_use]
    pub fn status_policy(mut self, policy: StatusPolicy) -> Self {
        self.status_policy = Some(policy);
        self
    }

    /// Shares what the status source says with the other replicas of this service. By default each asks for itself.
    #[must_use]
    pub fn shared_answers(mut self, answers: SharedAnswers) -> Self {
        self.shared_answers = Some(answers);
        self
    }

    /// Follows what the issuer itself publishes about its tokens. As long as the feed is fresh, nobody is asked about a JWT,
    /// except where a route wants that on every request; a status source, where there is one, stands in for a feed that
    /// is not, and is asked about opaque tokens. The feed may not speak of tokens of others.
    #[must_use]
    pub fn revocation_feed(mut self, feed: impl RevocationFeed, policy: FeedPolicy) -> Self {
        self.feed = Some((Arc::new(feed), policy));
        self
    }

    /// Accepts opaque tokens too: those that look like this, and that the status source describes as active.
    #[must_use]
    pub fn opaque_tokens(mut self, tokens: OpaqueTokens) -> Self {
        self.opaque = Some(tokens);
        self
    }

    /// When and how remote keys are fetched.
    #[must_use]
    pub fn refresh_policy(mut self, policy: RefreshPolicy) -> Self {
        self.keys = self.keys.with_refresh_policy(policy);
        self
    }
}

impl IssuerWithoutAudience {
    /// Tokens must be meant for this audience (`aud`, byte for byte).
    #[must_use]
    pub fn audience(self, audience: &str) -> Issuer {
        self.audiences([audience])
    }

    /// Tokens must be meant for one of these audiences.
    #[must_use]
    pub fn audiences<'a>(self, audiences: impl IntoIterator<Item = &'a str>) -> Issuer {
        self.with(Audiences::OneOf(audiences.into_iter().map(Into::into).collect()))
    }

    /// Tokens that are meant for anyone, or for nobody in particular. A token that another service was sent can then be
    /// replayed here; for issuers whose tokens carry no `aud`.
    #[must_use]
    pub fn dangerous_any_audience(self) -> Issuer {
        self.with(Audiences::Any)
    }

    fn with(self, audiences: Audiences) -> Issuer {
        // Whoever is asked about each token is asked about opaque ones too. JWTs among them are long.
        let opaque = self.keys.is_absent().then(|| OpaqueTokens::default().lengths(16..=DEFAULT_MAX_LEN));
        Issuer {
            identifier: self.identifier,
            keys: self.keys,
            audiences,
            algorithms: None,
            token_type: TokenType::Any,
            leeway: Duration::from_secs(30),
            max_age: None,
            scope_claim: None,
            grant_claims: Vec::new(),
            conditions: Vec::new(),
            status: self.status,
            status_policy: None,
            shared_answers: None,
            opaque,
            feed: None,
        }
    }
}
