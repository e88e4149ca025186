//! Which way to hear of revocations → a calendar API before Grantex's tokens that hears of them in that way alone.

use axum::{Router, routing::get};
use portcullis::{
    Authorizer, Requirement, RouteTable, Unlisted,
    issuer::Connection,
    providers::grantex::{Grantex, GrantexClient, GrantexFeed, GrantexWebhook},
    status::{FeedPolicy, Revocations},
};
use reqwest::Client;
use serde_json::{Value, json};
use std::time::Duration;

use crate::{Fallible, process};

/// The argument that makes this program the API.
pub(crate) const ROLE: &str = "api";

/// What agents ask for when they want to use it.
pub(crate) const AUDIENCE: &str = "https://calendar.example";

/// Serves on any port until told to stop.
pub(crate) async fn run(told_by: &str, service: &str, api_key: &str) -> Fallible<()> {
    process::serve(0, |url| router(told_by, service, api_key, url)).await
}

async fn router(told_by: &str, service: &str, api_key: &str, url: String) -> Fallible<Router> {
    let (issuer, connection) = (Grantex::at(service)?.audience(AUDIENCE), Connection::new()?);
    let (mut needed, revocations) = (Requirement::scope("calendar:read"), Revocations::new());
    let mut webhook = None;
    let issuer = match told_by {
        "verification" => {
            needed = needed.status_on_every_request();
            issuer.status_source(GrantexClient::new(service, api_key, connection)?.verification())
        }
        "feed" => {
            let feed = GrantexFeed::at(service, api_key, service, connection)?;
            issuer.revocation_feed(feed, FeedPolicy::default())
        }
        "webhooks" => {
            let secret = register(service, api_key, &url).await?;
            webhook = Some(GrantexWebhook::from_issuer(service).secret(&secret).to(revocations.clone())?);
            issuer
        }
        _ => return Err(format!("nobody tells of revocations by {told_by:?}").into()),
    };
    let routes = RouteTable::builder().get("/calendar/events", needed).otherwise(Unlisted::Deny)?;
    let authorizer = Authorizer::builder().issuer(issuer).routes(routes).revocations(revocations).build()?;
    authorizer.ready(Duration::from_secs(10)).await?;
    let guarded = Router::new().route("/calendar/events", get(|| async { "[]" }));
    let router = guarded.layer(portcullis::axum::layer(authorizer));
    // Its deliveries carry a signature, and no access token.
    Ok(match webhook {
        Some(webhook) => router.route_service("/webhooks", webhook),
        None => router,
    })
}

/// Has Grantex tell us of revoked grants; returns what it signs with.
async fn register(service: &str, api_key: &str, url: &str) -> Fallible<String> {
    let wanted = json!({"url": format!("{url}/webhooks"), "events": ["grant.revoked"]});
    let request = Client::builder().no_proxy().build()?.post(format!("{service}/v1/webhooks"));
    let answer: Value = request.bearer_auth(api_key).json(&wanted).send().await?.error_for_status()?.json().await?;
    Ok(answer.get("secret").and_then(Value::as_str).ok_or("a webhook without a secret")?.to_owned())
}
