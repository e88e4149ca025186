//! Claims as either generation writes them → [`GrantexClaims`], or what in them is missing or contradicts the rest.

use serde::Deserialize;
use serde_json::Number;

use super::{Budget, DID, Generation, GrantexClaims, MAX_ACTORS};
use crate::providers::grantex::json::{Object, Word, present};

/// What the type of a budget's entry in `authorization_details` is (RFC 9396 §2).
const BUDGET: &str = "urn:grantex:params:oauth:authorization-details:budget";

/// The claims of both generations. One that is there is never `null`.
#[derive(Deserialize)]
pub(super) struct Wire {
    sub: Word,
    jti: Word,
    #[serde(rename = "iat")]
    _iat: Number,
    #[serde(default, deserialize_with = "present")]
    scope: Option<Box<str>>,
    #[serde(default, deserialize_with = "present")]
    scp: Option<Vec<Box<str>>>,
    #[serde(default, deserialize_with = "present")]
    client_id: Option<Word>,
    #[serde(default, deserialize_with = "present")]
    agt: Option<Word>,
    #[serde(default, deserialize_with = "present")]
    dev: Option<Word>,
    #[serde(default, deserialize_with = "present")]
    grnt: Option<Word>,
    #[serde(default, deserialize_with = "present", rename = "parentAgt")]
    parent_agt: Option<Word>,
    #[serde(default, deserialize_with = "present", rename = "parentGrnt")]
    parent_grnt: Option<Word>,
    #[serde(default, deserialize_with = "present", rename = "delegationDepth")]
    delegation_depth: Option<u32>,
    #[serde(default, deserialize_with = "present")]
    bdg: Option<Number>,
    #[serde(default, deserialize_with = "present", rename = "urn:grantex:grant")]
    grant: Option<Object<Grant>>,
    #[serde(default, deserialize_with = "present")]
    act: Option<Object<Act>>,
    #[serde(default, deserialize_with = "present")]
    authorization_details: Option<Vec<Object<Detail>>>,
}

/// `urn:grantex:grant`.
#[derive(Default, Deserialize)]
struct Grant {
    #[serde(default, deserialize_with = "present")]
    grant_id: Option<Word>,
    #[serde(default, deserialize_with = "present")]
    agent_did: Option<Word>,
    #[serde(default, deserialize_with = "present")]
    developer_id: Option<Word>,
    #[serde(default, deserialize_with = "present")]
    parent_grant_id: Option<Word>,
    #[serde(default, deserialize_with = "present")]
    delegation_depth: Option<u32>,
}

/// `act`: the previous actor, and the one before.
#[derive(Deserialize)]
struct Act {
    sub: Word,
    #[serde(default, deserialize_with = "present")]
    act: Option<Box<Object<Self>>>,
}

/// An entry of `authorization_details`.
#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "type")]
    kind: Box<str>,
    #[serde(default, deserialize_with = "present")]
    amount: Option<Amount>,
    #[serde(default, deserialize_with = "present")]
    currency: Option<Word>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Number(Number),
    Text(Word),
}

impl Wire {
    pub(super) fn read(self) -> Result<GrantexClaims, &'static str> {
        let generation = if self.grant.is_some() { Generation::Standard } else { Generation::Legacy };
        let (said, missing) = match (generation, &self.grant) {
            (Generation::Standard, Some(Object(grant))) => {
                let whole = grant.agent_did.is_some() && grant.developer_id.is_some() && grant.grant_id.is_some();
                (whole && self.scope.is_some(), "scope, or a member of urn:grantex:grant, is missing")
            }
            _ => {
                let whole = self.agt.is_some() && self.dev.is_some() && self.grnt.is_some();
                (whole && self.scp.is_some(), "scp, agt, dev or grnt is missing")
            }
        };
        if !said {
            return Err(missing);
        }
        let Object(grant) = self.grant.unwrap_or_default();
        let agent_did = one(grant.agent_did, self.agt, "two agents")?.ok_or(missing)?.0;
        let agent_id = agent_did.strip_prefix(DID).filter(|id| !id.is_empty());
        let agent_id = agent_id.ok_or("the agent is none of Grantex's")?;
        if self.client_id.is_some_and(|Word(client)| *client != *agent_id) {
            return Err("the client is another agent");
        }
        let previous_actors = actors(self.act, self.parent_agt)?;
        let parent_grant_id = one(grant.parent_grant_id, self.parent_grnt, "two parent grants")?;
        let claimed = one(grant.delegation_depth, self.delegation_depth, "two delegation depths")?;
        let named = u32::try_from(previous_actors.len()).unwrap_or(u32::MAX);
        Ok(GrantexClaims {
            generation,
            grant_id: one(grant.grant_id, self.grnt, "two grants")?.ok_or(missing)?.0,
            developer_id: one(grant.developer_id, self.dev, "two developers")?.ok_or(missing)?.0,
            agent_did,
            principal: self.sub.0,
            token_id: self.jti.0,
            delegation_depth: claimed.unwrap_or(0).max(named).max(u32::from(parent_grant_id.is_some())),
            parent_grant_id: parent_grant_id.map(|Word(grant)| grant),
            previous_actors,
            budgets: budgets(self.bdg.as_ref(), self.authorization_details.unwrap_or_default())?,
        })
    }
}

/// What a claim and its alias say, which is the same where both are there.
fn one<T: PartialEq>(claim: Option<T>, alias: Option<T>, both: &'static str) -> Result<Option<T>, &'static str> {
    match (claim, alias) {
        (Some(claim), Some(alias)) if claim != alias => Err(both),
        (claim, alias) => Ok(claim.or(alias)),
    }
}

/// The previous actors, the last one first.
fn actors(act: Option<Object<Act>>, parent: Option<Word>) -> Result<Vec<Box<str>>, &'static str> {
    let mut actors = Vec::new();
    let mut next = act.map(|Object(act)| act);
    while let Some(Act { sub: Word(actor), act }) = next {
        if actors.len() == MAX_ACTORS {
            return Err("more than ten actors");
        }
        actors.push(actor);
        next = act.map(|inner| inner.0);
    }
    match (actors.first(), parent) {
        (Some(first), Some(Word(parent))) if *first != parent => Err("two parent agents"),
        (None, Some(Word(parent))) => Ok(vec![parent]),
        _ => Ok(actors),
    }
}

/// The budgets of `authorization_details`, of which `bdg` is one without its currency; else `bdg` alone.
fn budgets(bdg: Option<&Number>, details: Vec<Object<Detail>>) -> Result<Vec<Budget>, &'static str> {
    let mut budgets = Vec::new();
    for Object(detail) in details.into_iter().filter(|Object(detail)| *detail.kind == *BUDGET) {
        let amount = match detail.amount {
            Some(Amount::Number(amount)) => amount.to_string().into(),
            Some(Amount::Text(Word(amount))) => amount,
            None => return Err("a budget without an amount"),
        };
        budgets.push(Budget { amount, currency: detail.currency.map(|Word(currency)| currency) });
    }
    match bdg {
        Some(amount) if budgets.is_empty() => {
            budgets.push(Budget { amount: amount.to_string().into(), currency: None })
        }
        Some(amount) if !budgets.iter().any(|budget| budget.amount.parse().ok() == amount.as_f64()) => {
            return Err("two budgets");
        }
        _ => {}
    }
    Ok(budgets)
}
