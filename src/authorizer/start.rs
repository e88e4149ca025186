//! An issuer as configured → in use: its keys fetched, its feed followed, its status source ready to be asked.

use std::{sync::Arc, time::Duration};

use super::{Issuer, IssuerError, issuer::StatusConfig, trusted::TrustedIssuer};
use crate::{
    issuer::{Endpoint, Environment},
    keys::Keys,
    status::{
        DrivenFeed, FeedPolicy, Following, IssuerStatus, RevocationFeed, Revocations, StatusLookup, StatusPolicy,
    },
    token::{Audiences, TokenRules},
};

/// Clocks that disagree by more need a clock, not a setting.
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);

/// What issuers need of the world.
pub(super) struct Start<'e> {
    pub(super) environment: &'e Environment,
    /// Where feeds put what they say; there, where there are feeds.
    pub(super) revocations: Option<&'e Revocations>,
}

impl Start<'_> {
    /// Follows a feed: of tokens of `covers` alone, or where that is `None`, of all.
    pub(super) fn follow(
        &self,
        feed: Arc<dyn RevocationFeed>,
        policy: FeedPolicy,
        covers: Option<Box<str>>,
    ) -> Result<DrivenFeed, IssuerError> {
        policy.check().map_err(IssuerError::FeedPolicy)?;
        let revocations = self.revocations.cloned().unwrap_or_default();
        let to = Following { covers, revocations, clock: Arc::clone(&self.environment.clock) };
        DrivenFeed::start(feed, policy, to).map_err(|_| IssuerError::NoRuntime)
    }

    /// Checks an issuer and takes it into use.
    pub(super) fn trust(&self, issuer: Issuer) -> Result<TrustedIssuer, IssuerError> {
        if let Some(identifier) = issuer.identifier.as_deref() {
            check_identifier(identifier)?;
        }
        if let Audiences::OneOf(audiences) = &issuer.audiences
            && (audiences.is_empty() || audiences.iter().any(|audience| audience.is_empty()))
        {
            return Err(IssuerError::EmptyAudience);
        }
        check_status(&issuer)?;
        let algorithms = issuer.algorithms.unwrap_or_else(|| issuer.keys.default_algorithms());
        if algorithms.is_empty() {
            return Err(IssuerError::NoAlgorithm);
        }
        if issuer.leeway > MAX_LEEWAY {
            return Err(IssuerError::Leeway(issuer.leeway));
        }
        if issuer.max_age.is_some_and(|age| age.is_zero()) {
            return Err(IssuerError::MaxTokenAge);
        }
        let environment = self.environment;
        let keys = Keys::start(issuer.keys, issuer.identifier.as_deref(), &algorithms, environment);
        let keys = Arc::new(keys.map_err(IssuerError::Keys)?);
        let rules = Arc::new(TokenRules {
            issuer: issuer.identifier,
            audiences: issuer.audiences,
            algorithms,
            token_type: issuer.token_type,
            leeway: issuer.leeway,
            max_age: issuer.max_age,
            scope_claim: issuer.scope_claim,
            grant_claims: issuer.grant_claims,
            conditions: issuer.conditions,
        });
        let feed = issuer.feed.map(|(feed, policy)| self.follow(feed, policy, rules.issuer.clone())).transpose()?;
        let policy = issuer.status_policy.unwrap_or_default();
        let on_outage = policy.outage();
        let source = match issuer.status {
            None => None,
            Some(StatusConfig::Source(source)) => Some(source),
            Some(StatusConfig::Introspection(introspection)) => {
                let keys = (!keys.is_absent()).then(|| Arc::clone(&keys));
                let started = introspection.start(rules.issuer.as_deref(), keys, environment);
                Some(started.map_err(IssuerError::Introspection)?)
            }
        };
        let label = rules.issuer.as_deref().unwrap_or("(any issuer)");
        let clock = Arc::clone(&environment.clock);
        let answers = issuer.shared_answers.as_ref();
        let source = source.map(|source| StatusLookup::new(label, source, answers, Arc::clone(&rules), policy, clock));
        let status = IssuerStatus::new(source, feed, on_outage);
        Ok(TrustedIssuer { rules, keys, status, opaque: issuer.opaque })
    }
}

/// What is said about its tokens' status must fit together.
fn check_status(issuer: &Issuer) -> Result<(), IssuerError> {
    if let Some(policy) = &issuer.status_policy {
        policy.check().map_err(IssuerError::StatusPolicy)?;
        if issuer.status.is_none() && issuer.feed.is_none() {
            return Err(IssuerError::NoStatusSource("a status policy is there"));
        }
    }
    if let Some(answers) = &issuer.shared_answers {
        answers.check().map_err(IssuerError::SharedAnswers)?;
        if issuer.status.is_none() {
            return Err(IssuerError::NoStatusSource("answers are to be shared"));
        }
    }
    match &issuer.opaque {
        Some(_) if issuer.status.is_none() => Err(IssuerError::NoStatusSource("opaque tokens are accepted")),
        Some(opaque) if !opaque.is_possible() => Err(IssuerError::OpaqueTokens),
        None if issuer.status_policy.as_ref().is_some_and(StatusPolicy::is_for_opaque_alone) => {
            Err(IssuerError::StatusPolicy("its source is asked about opaque tokens only, and none are accepted"))
        }
        _ => Ok(()),
    }
}

/// An identifier is compared, not visited; but one that says `http` says that its tokens are handed out in the clear.
fn check_identifier(identifier: &str) -> Result<(), IssuerError> {
    if identifier.trim().is_empty() {
        return Err(IssuerError::Identifier(None));
    }
    let is_url = identifier.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
    if is_url {
        Endpoint::parse(identifier).map(|_| ()).map_err(|error| IssuerError::Identifier(Some(error)))
    } else {
        Ok(())
    }
}
