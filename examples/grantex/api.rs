//! A calendar and a till that agents use: what each route needs, who says whether a token stands, and what answers.
//!
//! It knows the token service by its URL alone, and could as well run elsewhere.

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{get, post},
};
use portcullis::{
    AccessToken, Authorizer, Requirement, RouteTable, Unlisted,
    issuer::{Connection, HttpTransport},
    providers::grantex::{Grantex, GrantexClaims, GrantexClient},
    status::FeedPolicy,
};
use reqwest::{Client, redirect::Policy};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The token service begins together with this API: who asks that early waits this long for keys and feed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The routes, guarded. `url` is the token service's, and this API's own.
pub(crate) fn router(url: &str, api_key: &str) -> Result<Router, Box<dyn Error>> {
    // No redirects: tokens and the key go nowhere else. No proxy: none leads to loopback.
    let http = Client::builder().redirect(Policy::none()).no_proxy().build()?;
    let client = GrantexClient::new(url, api_key, Connection::over(HttpTransport::from(http.clone())))?;
    let own = url.to_owned();
    let issuer = Grantex::at(url)?
        // Grantex binds a token to an audience only where the agent asked for it, and no delegated token at all.
        .dangerous_any_audience()
        .that("is meant for this API, or for nobody in particular", move |token| {
            token.audiences().next().is_none() || token.audiences().any(|audience| audience == own)
        })
        .revocation_feed(client.revocation_feed(), FeedPolicy::default())
        // While the feed is not heard, and before each payment, the service is asked.
        .status_source(client.verification());
    let routes = RouteTable::builder()
        .get("/calendar/events", Requirement::scope("calendar:read"))
        .post("/payments", Requirement::scope("payments:initiate:max_500").status_on_every_request())
        .otherwise(Unlisted::Deny)?;
    let authorizer = Authorizer::builder().issuer(issuer).routes(routes).http_client(http).build()?;
    let beginning = (authorizer.clone(), Arc::new(OnceCell::new()));
    Ok(Router::new()
        .route("/calendar/events", get(events))
        .route("/payments", post(pay))
        .layer(portcullis::axum::layer(authorizer))
        .layer(from_fn_with_state(beginning, once_ready)))
}

async fn events(token: AccessToken<GrantexClaims>) -> Json<Value> {
    let events = json!([{ "title": "Dentist", "start": "2026-11-23T09:00:00Z", "end": "2026-11-23T09:30:00Z" }]);
    Json(json!({ "events": events, "principal": token.claims().principal(), "actor": actor(&token) }))
}

/// What `max_500` means is for the till to say; this one has nothing to pay with.
async fn pay(token: AccessToken<GrantexClaims>) -> Json<Value> {
    Json(json!({ "status": "accepted", "principal": token.claims().principal(), "actor": actor(&token) }))
}

/// Who acts, by which grant, and how often it was delegated.
fn actor(token: &AccessToken<GrantexClaims>) -> Value {
    let claims = token.claims();
    json!({
        "agent": claims.agent_did(), "grant": claims.grant_id(), "developer": claims.developer_id(),
        "delegationDepth": claims.delegation_depth(), "parentGrant": claims.parent_grant_id(),
    })
}

/// Lets the first requests wait for keys and feed, instead of answering 503 while the process begins.
async fn once_ready(
    State((authorizer, is_ready)): State<(Authorizer, Arc<OnceCell<()>>)>,
    request: Request,
    next: Next,
) -> Response {
    is_ready
        .get_or_init(async || {
            if let Err(missing) = authorizer.ready(PATIENCE).await {
                tracing::warn!("{missing}; answering 503 until they are there");
            }
        })
        .await;
    next.run(request).await
}
