//! Configuration and a clock → the service, with everything loaded that it was told not to forget.

use std::{error::Error, io, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use portcullis::{
    Authorizer, Input, Requirement,
    authorizer::{Answers, Decision},
    clock::Clock,
    credential::{Bearer, DEFAULT_MAX_LEN},
    status::{Revocation, Revocations},
};
use uuid::Uuid;

use super::{
    agent_routes,
    agents::{Agent, Agents, SCOPES, Status},
    bench::Bench,
    config::Config,
    guard, introspection, revocation,
    secret::Secret,
    secret_check::SecretCheck,
    signing_key::{Claims, SigningKey},
    store::{Change, Store},
    token_endpoint,
};

/// What the endpoints share.
pub(crate) struct Service {
    pub(crate) agents: Agents,
    pub(crate) secrets: SecretCheck,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) signing: Bench,
    pub(crate) guard: Authorizer,
    pub(crate) signed_by_us: Authorizer,
    pub(crate) revocations: Revocations,
    pub(crate) store: Arc<Store>,
    /// Any token that is not taken back.
    any: Arc<Requirement>,
    /// One whose holder may do to others' tokens what they may do themselves.
    pub(crate) admin: Arc<Requirement>,
}

/// The agent that comes with the service.
pub(crate) struct FirstAdmin {
    pub(crate) client_id: String,
    /// `None`: its owner chose one.
    pub(crate) made_up_secret: Option<Secret>,
}

/// Reads what is kept, makes what is missing, and shows a new admin with `show` before anything relies on it.
pub(crate) async fn start(
    config: Config,
    clock: impl Clock + Clone,
    show: impl FnOnce(&FirstAdmin) -> io::Result<()>,
) -> Result<Router, Box<dyn Error>> {
    let (store, mut kept) = Store::open(config.data_dir.as_deref())?;
    let store = Arc::new(store);
    let key = match kept.signing_key {
        Some(der) => SigningKey::from_pkcs8(&der).map_err(|_| "the signing key that is kept is none")?,
        None => {
            let der = SigningKey::generate()?;
            let key = SigningKey::from_pkcs8(&der).map_err(|_| "no signing key could be made")?;
            store.put(Change::SigningKey(der)).kept().await.map_err(|_| "the signing key could not be kept")?;
            key
        }
    };

    let revocations = Revocations::builder().clock(clock.clone()).build()?;
    for (token_id, expires_at) in kept.revoked {
        revocations.revoke(Revocation::token_id(None, &token_id).expires_at(expires_at));
    }

    if let Some((agent, admin)) = missing_admin(&config, &kept.agents, clock.now().wall().as_secs())? {
        // Shown first: an admin that is kept and that nobody has seen would be lost for good.
        show(&admin)?;
        store.put(Change::Agent(Box::new(agent.clone()))).kept().await.map_err(|_| "the admin could not be kept")?;
        kept.agents.push((agent, Default::default()));
    }

    let secrets = SecretCheck::new(kept.agents.iter().map(|(agent, _)| &agent.secret))?;
    let guard = guard::guard(&key.jwk_set(), revocations.clone(), clock.clone())?;
    let service = Service {
        agents: Agents::new(kept.agents, revocations.clone(), Arc::clone(&store), config.monthly_limit),
        secrets,
        signed_by_us: guard::signed_by_us(&key.jwk_set(), clock)?,
        any: guard.compile(Requirement::authenticated())?,
        admin: guard.compile(Requirement::scope("admin:orgs"))?,
        key: Arc::new(key),
        signing: Bench::whole(),
        guard: guard.clone(),
        revocations,
        store,
    };
    Ok(router(Arc::new(service), guard))
}

/// The admin that the configuration asks for, where it is not there yet.
fn missing_admin<I>(
    config: &Config,
    agents: &[(Agent, I)],
    now: u64,
) -> Result<Option<(Agent, FirstAdmin)>, Box<dyn Error>> {
    let named = config.admin_client_id.as_ref();
    let is_there = named.and_then(|id| agents.iter().map(|(agent, _)| agent).find(|agent| agent.id == *id));
    let chosen = config.admin_client_secret.as_ref();
    if let Some(admin) = is_there {
        if chosen.is_some_and(|secret| !admin.secret.is_of(secret.expose())) {
            tracing::warn!("the agent of ADMIN_CLIENT_ID is there already, and its secret is not ADMIN_CLIENT_SECRET");
        }
        return Ok(None);
    }
    let client_id = match named {
        Some(id) => id.clone(),
        None if agents.is_empty() => Uuid::new_v4().to_string(),
        None => return Ok(None),
    };
    let (secret, made_up_secret) = match chosen {
        Some(chosen) => (chosen.clone(), None),
        None => {
            let made_up = Secret::random()?;
            (made_up.clone(), Some(made_up))
        }
    };
    let agent = Agent {
        id: client_id.clone(),
        name: Some("admin".to_owned()),
        scopes: SCOPES.map(str::to_owned).into(),
        status: Status::Active,
        created_at: now,
        secret: secret.hash()?,
    };
    Ok(Some((agent, FirstAdmin { client_id, made_up_secret })))
}

fn router(service: Arc<Service>, guard: Authorizer) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/.well-known/jwks.json", get(jwk_set))
        .route("/api/v1/token", post(token_endpoint::issue))
        .route("/api/v1/token/introspect", post(introspection::introspect))
        .route("/api/v1/token/revoke", post(revocation::revoke))
        .route("/api/v1/agents", get(agent_routes::list).post(agent_routes::create))
        .route("/api/v1/agents/{id}/credentials", post(agent_routes::rotate))
        .route("/api/v1/agents/{id}/suspend", post(agent_routes::suspend))
        .route("/api/v1/agents/{id}/reactivate", post(agent_routes::reactivate))
        .with_state(service)
        .layer(portcullis::axum::layer(guard))
}

async fn healthz(State(service): State<Arc<Service>>) -> impl IntoResponse {
    match service.store.is_well() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "nothing can be written down"),
    }
}

async fn jwk_set(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "max-age=300")];
    (headers, service.key.jwk_set())
}

impl Service {
    /// What a token says, if `judge` would let it pass now.
    pub(crate) fn claims(&self, judge: &Authorizer, token: &str) -> Option<Claims> {
        let bearer = Bearer::parse(token.as_bytes(), DEFAULT_MAX_LEN).ok()?;
        let input = Input::new(Ok(Some(bearer)), &self.any);
        let Decision::Permit(permit) = judge.decide(&input, &Answers::default(), judge.now()) else { return None };
        Some(permit.into_token()?.with_claims::<Claims>().ok()?.claims().clone())
    }
}
