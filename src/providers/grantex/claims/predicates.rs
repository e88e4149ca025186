//! What a route may want of a grant → conditions for [`Requirement::that`](crate::Requirement::that).

use super::{GrantexClaims, id};
use crate::token::VerifiedToken;

/// A grant that was passed on at most so often; 0: one that the user gave to this very agent.
///
/// ```
/// use portcullis::{Requirement, providers::grantex};
///
/// let payments = Requirement::scope("payments:initiate:max_500")
///     .that("is at most one step from the user", grantex::depth_at_most(1))
///     .that("never was with the intern's agent", grantex::never_acted_by("did:grantex:ag_01INTERN"));
/// ```
pub fn depth_at_most(depth: u32) -> impl Fn(&VerifiedToken) -> bool + Send + Sync + 'static {
    of_claims(move |claims| claims.delegation_depth() <= depth)
}

/// A token of this agent, by its DID or its id: the one that acts now.
pub fn acted_by(agent: &str) -> impl Fn(&VerifiedToken) -> bool + Send + Sync + 'static {
    let agent = id(agent).to_owned();
    of_claims(move |claims| claims.agent_id() == agent)
}

/// A grant that this agent, by its DID or its id, passed on to the one that acts now.
pub fn delegated_by(agent: &str) -> impl Fn(&VerifiedToken) -> bool + Send + Sync + 'static {
    let agent = id(agent).to_owned();
    of_claims(move |claims| claims.parent_agent().is_some_and(|parent| id(parent) == agent))
}

/// A grant that this agent, by its DID or its id, neither holds nor ever held. Does not hold where not all who did are named,
/// as in a legacy token that was passed on twice.
pub fn never_acted_by(agent: &str) -> impl Fn(&VerifiedToken) -> bool + Send + Sync + 'static {
    let agent = agent.to_owned();
    of_claims(move |claims| claims.knows_all_actors() && !claims.names(&agent))
}

/// A token that is not Grantex's meets no condition on a grant.
fn of_claims(
    holds: impl Fn(&GrantexClaims) -> bool + Send + Sync + 'static,
) -> impl Fn(&VerifiedToken) -> bool + Send + Sync + 'static {
    move |token| GrantexClaims::of(token).is_ok_and(|claims| holds(&claims))
}
