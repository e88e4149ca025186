//! Who may get tokens, with which scopes and how many more: every change in memory first, then in the store, then answered.
//!
//! The lock is held while a change takes its place in the store's order, and never while it is written: so memory and disk
//! change in the same order, and whoever is answered is answered about what is kept.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use portcullis::{
    clock::UnixTime,
    status::{Revocation, RevocationTarget, Revocations},
};
use serde::{Deserialize, Serialize};

use super::{
    answers::Problem,
    month::{Issued, Month},
    secret::HashedSecret,
    store::{Change, Store},
};

/// All that an agent can be granted, in the order in which they are listed.
pub(crate) const SCOPES: [&str; 7] =
    ["agents:read", "agents:write", "tokens:read", "audit:read", "webhooks:read", "webhooks:write", "admin:orgs"];

/// Somebody who may get tokens.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) status: Status,
    /// Seconds since the epoch.
    pub(crate) created_at: u64,
    pub(crate) secret: HashedSecret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Active,
    Suspended,
}

/// All agents.
pub(crate) struct Agents {
    known: Mutex<HashMap<String, (Agent, Issued)>>,
    revocations: Revocations,
    store: Arc<Store>,
    monthly_limit: u64,
}

impl Agents {
    /// These agents, and what their status means for their tokens.
    pub(crate) fn new(
        agents: Vec<(Agent, Issued)>,
        revocations: Revocations,
        store: Arc<Store>,
        monthly_limit: u64,
    ) -> Self {
        for (agent, _) in agents.iter().filter(|(agent, _)| agent.status == Status::Suspended) {
            revocations.suspend(tokens_of(&agent.id));
        }
        let known = agents.into_iter().map(|one| (one.0.id.clone(), one)).collect();
        Self { known: Mutex::new(known), revocations, store, monthly_limit }
    }

    /// What is kept of its secret.
    pub(crate) fn secret_of(&self, id: &str) -> Option<HashedSecret> {
        self.known().get(id).map(|(agent, _)| agent.secret.clone())
    }

    /// The oldest first, to the second.
    pub(crate) fn list(&self) -> Vec<Agent> {
        let mut agents: Vec<Agent> = self.known().values().map(|(agent, _)| agent.clone()).collect();
        agents.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        agents
    }

    /// One more.
    pub(crate) async fn add(&self, agent: Agent) -> Result<(), Problem> {
        let writing = {
            let mut known = self.known();
            known.insert(agent.id.clone(), (agent.clone(), Issued::default()));
            self.store.put(Change::Agent(Box::new(agent)))
        };
        Ok(writing.kept().await?)
    }

    /// Another secret in place of the one before.
    pub(crate) async fn rotate(&self, id: &str, secret: HashedSecret) -> Result<(), Problem> {
        self.change(id, |agent| agent.secret = secret).await.map(drop)
    }

    /// Suspends an agent or reactivates it, and with it the tokens that it has.
    pub(crate) async fn set_status(&self, id: &str, status: Status) -> Result<Agent, Problem> {
        self.change(id, |agent| {
            agent.status = status;
            match status {
                Status::Suspended => self.revocations.suspend(tokens_of(id)),
                Status::Active => self.revocations.resume(&tokens_of(id)),
            }
        })
        .await
    }

    async fn change(&self, id: &str, change: impl FnOnce(&mut Agent)) -> Result<Agent, Problem> {
        let (agent, writing) = {
            let mut known = self.known();
            let (agent, _) = known.get_mut(id).ok_or(Problem::UnknownAgent)?;
            change(agent);
            (agent.clone(), self.store.put(Change::Agent(Box::new(agent.clone()))))
        };
        writing.kept().await?;
        Ok(agent)
    }

    /// Counts one more token for an agent that has shown the secret `shown`; returns its scopes. `requested` is
    /// space-delimited, `None` for all.
    pub(crate) async fn count_token(
        &self,
        id: &str,
        (shown, by_basic): (&HashedSecret, bool),
        requested: Option<&str>,
        now: UnixTime,
    ) -> Result<String, Problem> {
        let (scope, writing) = {
            let mut known = self.known();
            let (agent, issued) = known.get_mut(id).ok_or(Problem::UnknownAgent)?;
            // It may have been rotated while it was checked.
            if agent.secret != *shown {
                return Err(Problem::InvalidClient { by_basic });
            }
            if agent.status == Status::Suspended {
                return Err(Problem::Suspended);
            }
            let scope = granted(agent, requested).ok_or(Problem::InvalidScope)?;
            let more = issued.one_more(Month::of(now), self.monthly_limit);
            *issued = more.ok_or(Problem::MonthlyLimit(self.monthly_limit))?;
            (scope, self.store.put(Change::Issued { client_id: id.to_owned(), issued: *issued }))
        };
        writing.kept().await?;
        Ok(scope)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (Agent, Issued)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whatever tokens an agent has or will have.
fn tokens_of(id: &str) -> Revocation {
    Revocation::new(None, RevocationTarget::Client(id.into()))
}

/// What is asked for, each scope once, if all of it is the agent's; without a request, all that the agent has.
fn granted(agent: &Agent, requested: Option<&str>) -> Option<String> {
    let Some(requested) = requested else { return Some(agent.scopes.join(" ")) };
    let mut granted: Vec<&str> = Vec::new();
    for scope in requested.split(' ').filter(|scope| !scope.is_empty()) {
        if !agent.scopes.iter().any(|held| held == scope) {
            return None;
        }
        if !granted.contains(&scope) {
            granted.push(scope);
        }
    }
    (!granted.is_empty()).then(|| granted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::{super::secret::Secret, *};

    fn agents(monthly_limit: u64) -> (Agents, HashedSecret) {
        let secret = Secret::random().unwrap().hash().unwrap();
        let agent = Agent {
            id: "agent".to_owned(),
            name: None,
            scopes: vec!["agents:read".to_owned()],
            status: Status::Active,
            created_at: 0,
            secret: secret.clone(),
        };
        let known = vec![(agent, Issued::default())];
        (Agents::new(known, Revocations::new(), Arc::new(Store::Memory), monthly_limit), secret)
    }

    #[tokio::test]
    async fn a_secret_that_was_rotated_while_it_was_checked_is_worth_nothing() {
        let (agents, shown) = agents(10);
        let now = UnixTime::from_secs(1_900_000_000);
        assert_eq!(agents.count_token("agent", (&shown, true), None, now).await.unwrap(), "agents:read");
        let new = Secret::random().unwrap().hash().unwrap();
        agents.rotate("agent", new.clone()).await.unwrap();
        let refused = agents.count_token("agent", (&shown, true), None, now).await;
        assert!(matches!(refused, Err(Problem::InvalidClient { by_basic: true })), "{refused:?}");
        assert!(agents.count_token("agent", (&new, true), None, now).await.is_ok());
    }

    #[tokio::test]
    async fn the_ten_thousandth_token_is_the_last_of_its_month() {
        let (agents, shown) = agents(10_000);
        let now = UnixTime::from_secs(1_900_000_000);
        for _ in 0..10_000 {
            agents.count_token("agent", (&shown, false), None, now).await.unwrap();
        }
        let refused = agents.count_token("agent", (&shown, false), None, now).await;
        assert!(matches!(refused, Err(Problem::MonthlyLimit(10_000))), "{refused:?}");
    }
}
