//! What the token service remembers: agents, requests, grants, tokens, and what was taken back. Time is an argument.
//!
//! `issue` makes grants and tokens, `withdraw` takes them back, `standing` says how things are.

mod issue;
mod standing;
mod withdraw;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use portcullis::clock::UnixTime;
use serde_json::{Value, json};

pub(crate) use self::issue::{Exchange, Issued, Wanted};
pub(crate) use self::standing::{PageToken, Standing};
use super::{feed::Feed, ids, time::iso};

/// What has expired is remembered for this long, so that it is called expired and not unknown.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// Between two looks for what can be forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Everything, behind one lock.
pub(crate) struct Book {
    developer: String,
    agents: HashMap<String, Agent>,
    /// By the code that they are exchanged for.
    requests: HashMap<String, issue::Request>,
    grants: BTreeMap<String, Grant>,
    /// By `jti`.
    tokens: BTreeMap<String, Token>,
    refresh_tokens: HashMap<String, issue::RefreshToken>,
    pub(crate) feed: Feed,
    swept_at: UnixTime,
}

/// Who acts for a user.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) id: String,
    developer: String,
    name: String,
    description: String,
    scopes: Vec<String>,
    created_at: UnixTime,
}

/// What was granted. It never changes.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) id: String,
    pub(crate) agent: String,
    pub(crate) developer: String,
    pub(crate) principal: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) audience: Option<String>,
    pub(crate) issued_at: UnixTime,
    pub(crate) expires_at: UnixTime,
    /// The grant that this one was delegated from.
    pub(crate) parent: Option<String>,
    /// Who delegated it, the last one first, by DID.
    pub(crate) actors: Vec<String>,
}

/// A grant and what became of it.
struct Grant {
    terms: Arc<Terms>,
    revoked_at: Option<UnixTime>,
    /// Itself, whatever its parents are.
    suspended_at: Option<UnixTime>,
    children: Vec<String>,
    /// The refresh token that has not been used.
    refresh_token: Option<String>,
}

struct Token {
    terms: Arc<Terms>,
    revoked_at: Option<UnixTime>,
}

/// Something that webhooks are told.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) data: Value,
}

impl Book {
    pub(crate) fn new(now: UnixTime) -> Self {
        Self {
            developer: ids::new("dev_", now),
            agents: HashMap::new(),
            requests: HashMap::new(),
            grants: BTreeMap::new(),
            tokens: BTreeMap::new(),
            refresh_tokens: HashMap::new(),
            feed: Feed::new(now),
            swept_at: now,
        }
    }

    /// Adds an agent.
    pub(crate) fn register(&mut self, name: &str, description: &str, scopes: Vec<String>, now: UnixTime) -> Agent {
        let agent = Agent {
            id: ids::new("ag_", now),
            developer: self.developer.clone(),
            name: name.to_owned(),
            description: description.to_owned(),
            scopes,
            created_at: now,
        };
        self.agents.insert(agent.id.clone(), agent.clone());
        agent
    }

    /// Forgets what nobody will ask about any more, once in a while.
    pub(crate) fn sweep(&mut self, now: UnixTime) {
        if now.since(self.swept_at) < HOUSEKEEPING {
            return;
        }
        self.swept_at = now;
        self.requests.retain(|_, request| request.expires_at.saturating_add(REMEMBERED) > now);
        let is_remembered = |terms: &Terms| terms.expires_at.saturating_add(REMEMBERED) > now;
        self.grants.retain(|_, grant| is_remembered(&grant.terms));
        self.tokens.retain(|_, token| is_remembered(&token.terms));
        self.refresh_tokens.retain(|_, token| is_remembered(&token.terms));
        self.feed.prune(now);
    }
}

impl Agent {
    pub(crate) fn to_json(&self) -> Value {
        let created_at = iso(self.created_at);
        json!({
            "id": self.id, "agentId": self.id, "did": did(&self.id), "developerId": self.developer,
            "name": self.name, "description": self.description, "scopes": self.scopes,
            "status": "active", "createdAt": created_at, "updatedAt": created_at,
        })
    }
}

impl Terms {
    pub(crate) fn agent_did(&self) -> String {
        did(&self.agent)
    }

    /// How often it was delegated: 0 for what a user granted.
    pub(crate) fn depth(&self) -> usize {
        self.actors.len()
    }
}

fn did(agent: &str) -> String {
    format!("did:grantex:{agent}")
}
