//! A verified token of either generation → [`GrantexClaims`]: whose grant it is, whose agent holds it, and by whom it came.

mod predicates;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::json::object;
use crate::token::{ClaimsError, VerifiedToken};
pub use predicates::{acted_by, delegated_by, depth_at_most, never_acted_by};
use wire::Wire;

/// What an agent's DID begins with; the rest is the agent's id.
const DID: &str = "did:grantex:";

/// Previous actors that a token may name.
const MAX_ACTORS: usize = 10;

/// The grant that a token stems from, read the same of both generations of Grantex's tokens.
///
/// | | legacy | 0.6 |
/// |---|---|---|
/// | scopes | `scp`, an array | `scope`, a string |
/// | agent | `agt` | `agent_did` of `urn:grantex:grant`, and its id as `client_id` |
/// | developer, grant | `dev`, `grnt` | `developer_id`, `grant_id` |
/// | delegation | `parentAgt`, `parentGrnt`, `delegationDepth` | `act`, `parent_grant_id`, `delegation_depth` |
/// | budget | `bdg` | an entry of `authorization_details` |
///
/// A token that has `urn:grantex:grant` is one of 0.6, and must say all of its own way; any other all of the legacy one.
/// What it says in both ways must be the same. A claim that is `null`, empty, or of another type is refused and never an
/// absent one, as is an `act` of more than ten actors. `sub`, `jti` and `iat` must be there, and so must the grant: a
/// token that named none could not be told by a revoked grant.
///
/// It is read of a token with [`of`](Self::of), or by a handler as the type of its claims:
///
/// ```no_run
/// use portcullis::{AccessToken, providers::grantex::GrantexClaims};
///
/// # fn handler(token: AccessToken) -> Result<(), portcullis::token::ClaimsError> {
/// let token = token.with_claims::<GrantexClaims>()?;
/// println!("{} acts for {}", token.claims().agent_id(), token.claims().principal());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct GrantexClaims {
    generation: Generation,
    grant_id: Box<str>,
    agent_did: Box<str>,
    developer_id: Box<str>,
    principal: Box<str>,
    token_id: Box<str>,
    parent_grant_id: Option<Box<str>>,
    previous_actors: Vec<Box<str>>,
    delegation_depth: u32,
    budgets: Vec<Budget>,
}

/// Which of the two ways a token is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Generation {
    /// Up to 0.5: `scp`, `agt`, `dev`, `grnt`, and no `typ`.
    Legacy,
    /// From 0.6: `scope`, `urn:grantex:grant`, `act`, and `at+jwt`.
    Standard,
}

/// What a grant may spend, as far as a token says. The server alone keeps the account.
#[derive(Clone, PartialEq, Eq)]
pub struct Budget {
    amount: Box<str>,
    currency: Option<Box<str>>,
}

impl GrantexClaims {
    /// Reads them of a token.
    ///
    /// # Errors
    /// Where the token is not one of Grantex's, or contradicts itself.
    pub fn of(token: &VerifiedToken) -> Result<Self, ClaimsError> {
        token.claims_as()
    }

    /// In which way the token is written.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The grant, `grnt_…`.
    #[must_use]
    pub fn grant_id(&self) -> &str {
        &self.grant_id
    }

    /// The agent that holds the grant, `did:grantex:ag_…`.
    #[must_use]
    pub fn agent_did(&self) -> &str {
        &self.agent_did
    }

    /// The id of the same agent, `ag_…`.
    #[must_use]
    pub fn agent_id(&self) -> &str {
        id(&self.agent_did)
    }

    /// Whose agent it is, `dev_…`. A developer's API key verifies the tokens of that developer alone.
    #[must_use]
    pub fn developer_id(&self) -> &str {
        &self.developer_id
    }

    /// `sub`: the user who gave the grant.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// `jti`: the token, `tok_…`.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// The grant that this one was delegated from; none for one that a user gave.
    #[must_use]
    pub fn parent_grant_id(&self) -> Option<&str> {
        self.parent_grant_id.as_deref()
    }

    /// The agent that delegated the grant; none where it is not named.
    #[must_use]
    pub fn parent_agent(&self) -> Option<&str> {
        self.previous_actors.first().map(|actor| &**actor)
    }

    /// Who held the grant before, the direct parent first.
    ///
    /// For Grantex the outermost `act` is the *previous* actor; for RFC 8693 §4.1 it is the one who acts now, who here is
    /// the [agent](Self::agent_did). A legacy token names the direct parent alone: see
    /// [`knows_all_actors`](Self::knows_all_actors).
    pub fn previous_actors(&self) -> impl Iterator<Item = &str> {
        self.previous_actors.iter().map(|actor| &**actor)
    }

    /// How often the grant was passed on: 0 for one that a user gave.
    ///
    /// The greatest of what the token says, of how many previous actors it names, and of 1 where it names a parent. A chain
    /// may be shorter than the depth (an agent in it was given a legacy token); where it is longer, it is believed.
    #[must_use]
    pub const fn delegation_depth(&self) -> u32 {
        self.delegation_depth
    }

    /// Whether every previous actor is named.
    #[must_use]
    pub fn knows_all_actors(&self) -> bool {
        u32::try_from(self.previous_actors.len()).is_ok_and(|known| known >= self.delegation_depth)
    }

    /// What the grant may spend, where the token says so: not what is left of it.
    pub fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.budgets.iter()
    }

    /// Whether this agent, by its DID or its id, holds the grant or held it before.
    fn names(&self, agent: &str) -> bool {
        let actors = self.previous_actors().chain([self.agent_did()]);
        actors.map(id).any(|actor| actor == id(agent))
    }
}

/// An agent's id, of its DID or as it is.
fn id(did: &str) -> &str {
    did.strip_prefix(DID).unwrap_or(did)
}

impl Budget {
    /// The amount as the token writes it, a decimal number.
    #[must_use]
    pub fn amount(&self) -> &str {
        &self.amount
    }

    /// Its currency, which a legacy token does not say.
    #[must_use]
    pub fn currency(&self) -> Option<&str> {
        self.currency.as_deref()
    }
}

impl<'de> Deserialize<'de> for GrantexClaims {
    /// Strict, as described above. Claims that are not Grantex's are left out.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object::<Wire, D>(deserializer)?.read().map_err(D::Error::custom)
    }
}

impl fmt::Debug for GrantexClaims {
    /// No claim values: this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantexClaims").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").finish_non_exhaustive()
    }
}
