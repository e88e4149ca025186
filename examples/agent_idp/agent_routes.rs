//! Requests about agents → changes of them; a secret is shown once, by the answer that made it.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{FromRequestParts, Path, Request, State},
    http::{StatusCode, request::Parts},
    response::Response,
};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::{
    agents::{Agent, SCOPES, Status},
    answers::{self, Problem},
    form::{body, is_of_type},
    secret::Secret,
    service::Service,
};

/// The longest name, in bytes.
const MAX_NAME: usize = 200;

/// An agent as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    agent_id: String,
    name: Option<String>,
    scopes: Vec<String>,
    status: Status,
    created_at: String,
}

#[derive(Serialize)]
struct All {
    agents: Vec<Shown>,
}

/// An agent as it is asked for. What else is said of it is ignored, as RFC 7591 §2 wants it of clients.
#[derive(Deserialize)]
struct Wanted {
    name: Option<String>,
    scopes: BTreeSet<String>,
}

/// A new agent, or a new secret of one.
#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    agent: Option<Shown>,
    client_id: String,
    client_secret: String,
}

/// The agent that a path names.
pub(crate) struct AgentId(String);

impl<S: Send + Sync> FromRequestParts<S> for AgentId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        // One that is not UTF-8 is nobody's.
        path.map(|Path(id)| Self(id)).map_err(|_| Problem::UnknownAgent)
    }
}

impl From<Agent> for Shown {
    fn from(agent: Agent) -> Self {
        let Agent { id, name, scopes, status, created_at, secret: _ } = agent;
        let created_at = i64::try_from(created_at).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        let created_at = created_at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
        Self { agent_id: id, name, scopes, status, created_at }
    }
}

pub(crate) async fn list(State(service): State<Arc<Service>>) -> Response {
    let agents = service.agents.list().into_iter().map(Shown::from).collect();
    answers::json(StatusCode::OK, &All { agents })
}

pub(crate) async fn create(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Problem> {
    let Wanted { name, scopes } = wanted(request).await?;
    let secret = Secret::random()?;
    let agent = Agent {
        id: Uuid::new_v4().to_string(),
        name,
        scopes: SCOPES.into_iter().filter(|scope| scopes.contains(*scope)).map(str::to_owned).collect(),
        status: Status::Active,
        created_at: service.guard.now().wall().as_secs(),
        secret: secret.hash()?,
    };
    service.agents.add(agent.clone()).await?;
    let client_id = agent.id.clone();
    let made = Made { agent: Some(agent.into()), client_id, client_secret: secret.expose().to_owned() };
    Ok(answers::json(StatusCode::CREATED, &made))
}

pub(crate) async fn rotate(
    State(service): State<Arc<Service>>,
    AgentId(client_id): AgentId,
) -> Result<Response, Problem> {
    let secret = Secret::random()?;
    service.agents.rotate(&client_id, secret.hash()?).await?;
    let made = Made { agent: None, client_id, client_secret: secret.expose().to_owned() };
    Ok(answers::json(StatusCode::CREATED, &made))
}

pub(crate) async fn suspend(State(service): State<Arc<Service>>, AgentId(id): AgentId) -> Result<Response, Problem> {
    let agent = service.agents.set_status(&id, Status::Suspended).await?;
    Ok(answers::json(StatusCode::OK, &Shown::from(agent)))
}

pub(crate) async fn reactivate(State(service): State<Arc<Service>>, AgentId(id): AgentId) -> Result<Response, Problem> {
    let agent = service.agents.set_status(&id, Status::Active).await?;
    Ok(answers::json(StatusCode::OK, &Shown::from(agent)))
}

async fn wanted(request: Request) -> Result<Wanted, Problem> {
    if !is_of_type(request.headers(), "application/json") {
        return Err(Problem::request("The request body must be application/json."));
    }
    let wanted: Wanted = serde_json::from_slice(&body(request).await?)
        .map_err(|error| Problem::InvalidRequest(format!("The request body is not an agent: {error}")))?;
    if wanted.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_NAME) {
        return Err(Problem::InvalidRequest(format!("A name must have between 1 and {MAX_NAME} bytes.")));
    }
    if wanted.scopes.is_empty() {
        return Err(Problem::request("An agent needs at least one scope."));
    }
    if let Some(unknown) = wanted.scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(Problem::InvalidRequest(format!("There is no scope {unknown:?}.")));
    }
    Ok(wanted)
}
