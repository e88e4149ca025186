//! What each route needs, and what answers it.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::IntoResponse,
    routing::{any, get},
};
use portcullis::{
    AccessToken, AuthorizeLayer, Authorizer, Requirement, RouteTable, RouteTableError, Unlisted, clock::UnixTime,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The table that counts without a `ROUTES_FILE`. A new agent is worth a question, if there is somebody to ask.
pub(crate) fn built_in(asks_about_all: bool) -> Result<RouteTable, RouteTableError> {
    let create = Requirement::scope("agents:write");
    let create = if asks_about_all { create.status_on_every_request() } else { create };
    RouteTable::builder()
        .get("/healthz", Requirement::public())
        .get("/readyz", Requirement::public())
        .get("/whoami", Requirement::authenticated())
        .get("/agents", Requirement::scope("agents:read"))
        .post("/agents", create)
        .get("/audit/{*rest}", Requirement::any_of(["audit:read", "admin:orgs"]))
        .get("/webhooks", Requirement::scope("webhooks:read"))
        .post("/webhooks", Requirement::scope("webhooks:write"))
        .otherwise(Unlisted::Deny)
}

/// The built-in table's routes, looked up by the pattern that the router matched.
pub(crate) fn by_pattern(authorizer: &Authorizer) -> Router {
    anything(authorizer)
        .route("/whoami", get(whoami))
        .route("/agents", get(whoami).post(whoami))
        .route("/audit/{*rest}", get(whoami))
        .route("/webhooks", get(whoami).post(whoami))
        .layer(portcullis::axum::layer(authorizer.clone()))
}

/// Any table's routes, looked up by raw path: the router knows none of them.
pub(crate) fn by_raw_path(authorizer: &Authorizer) -> Router {
    anything(authorizer).layer(AuthorizeLayer::by_raw_path(authorizer.clone()))
}

/// Answers every request. Which of them get here, the layer around it decides.
fn anything(authorizer: &Authorizer) -> Router {
    Router::new()
        .route("/healthz", any(async || "ok"))
        .route("/readyz", any(readyz))
        .fallback(whoami)
        .with_state(authorizer.clone())
}

/// The last known state; a probe must not cost the issuer a request.
async fn readyz(State(authorizer): State<Authorizer>) -> impl IntoResponse {
    let readiness = authorizer.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

/// What the token says; nothing where there is none.
#[derive(Default, Serialize)]
struct Whoami {
    sub: Option<String>,
    client_id: Option<String>,
    iss: Option<String>,
    aud: Option<Value>,
    scope: Option<Vec<String>>,
    exp: Option<u64>,
    jti: Option<String>,
}

/// What is wanted of the claims beyond what the token has methods for: `aud` as it is written, a string or an array.
#[derive(Deserialize)]
struct Claims {
    aud: Option<Value>,
}

async fn whoami(token: Option<AccessToken<Claims>>) -> Json<Whoami> {
    Json(token.map_or_else(Whoami::default, |token| Whoami {
        sub: token.subject().map(str::to_owned),
        client_id: token.client_id().map(str::to_owned),
        iss: token.issuer().map(str::to_owned),
        aud: token.claims().aud.clone(),
        scope: (!token.scopes().is_empty()).then(|| token.scopes().iter().map(str::to_owned).collect()),
        exp: token.expires_at().map(UnixTime::as_secs),
        jti: token.token_id().map(str::to_owned),
    }))
}
