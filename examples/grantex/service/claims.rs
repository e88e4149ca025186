//! A grant and one of its tokens → the claims of that token, in either generation.

use portcullis::clock::UnixTime;
use serde_json::{Map, Value, json};

use super::{Generation, book::Terms};

/// One token of a grant.
#[derive(Clone, Debug)]
pub(crate) struct Minted {
    pub(crate) jti: String,
    pub(crate) at: UnixTime,
}

/// The claims of a token by `issuer`. The newer generation says everything under the older names too, as Grantex 0.6 does.
pub(crate) fn claims(generation: Generation, issuer: &str, terms: &Terms, token: &Minted) -> Value {
    let mut claims = legacy(terms);
    if generation == Generation::Current {
        claims.extend(current(terms));
    }
    claims.insert("iss".into(), issuer.into());
    claims.insert("sub".into(), terms.principal.as_str().into());
    claims.insert("jti".into(), token.jti.as_str().into());
    claims.insert("iat".into(), token.at.as_secs().into());
    claims.insert("exp".into(), terms.expires_at.as_secs().into());
    if let Some(audience) = &terms.audience {
        claims.insert("aud".into(), audience.as_str().into());
    }
    claims.into()
}

fn legacy(terms: &Terms) -> Map<String, Value> {
    let mut claims = Map::from_iter([
        ("agt".to_owned(), Value::from(terms.agent_did())),
        ("dev".to_owned(), terms.developer.as_str().into()),
        ("scp".to_owned(), terms.scopes.clone().into()),
        ("grnt".to_owned(), terms.id.as_str().into()),
    ]);
    if let (Some(parent), Some(actor)) = (&terms.parent, terms.actors.first()) {
        claims.insert("parentAgt".into(), actor.as_str().into());
        claims.insert("parentGrnt".into(), parent.as_str().into());
        claims.insert("delegationDepth".into(), terms.depth().into());
    }
    claims
}

fn current(terms: &Terms) -> Map<String, Value> {
    let mut grant = json!({
        "grant_id": terms.id, "agent_did": terms.agent_did(), "developer_id": terms.developer,
    });
    if let Some(parent) = &terms.parent {
        grant["parent_grant_id"] = parent.as_str().into();
        grant["delegation_depth"] = terms.depth().into();
    }
    let mut claims = Map::from_iter([
        ("client_id".to_owned(), Value::from(terms.agent.as_str())),
        ("scope".to_owned(), terms.scopes.join(" ").into()),
        ("urn:grantex:grant".to_owned(), grant),
    ]);
    // Outermost is who delegated to this token's agent. RFC 8693 §4.1 would put the agent itself there.
    let chain = terms.actors.iter().rev().fold(None, |earlier: Option<Value>, actor| {
        let mut act = json!({ "sub": actor });
        if let Some(earlier) = earlier {
            act["act"] = earlier;
        }
        Some(act)
    });
    claims.extend(chain.map(|chain| ("act".to_owned(), chain)));
    claims
}
