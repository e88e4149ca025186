//! An issuer and a Redis → one replica of a protected API: what is revoked at any of them, all of them refuse.

use std::time::Duration;

use axum::{Router, routing::get};
use http::HeaderName;
use portcullis::{
    AccessToken, Authorizer, Issuer, Requirement, RouteTable, Unlisted,
    middleware::RevocationEndpoint,
    redis::{Redis, RedisRevocations},
    status::FeedPolicy,
    testing::TokenBuilder,
};

use crate::{Fallible, process};

/// The argument that makes this program a replica.
pub(crate) const ROLE: &str = "replica";

/// By this a request says which revocation it must not be behind of, and an answer which one it was.
pub(crate) const REVISION: HeaderName = HeaderName::from_static("revocation-revision");

/// Serves on any port until told to stop.
pub(crate) async fn run(issuer: &str, redis: &str) -> Fallible<()> {
    process::serve(0, |_| router(issuer, redis)).await
}

async fn router(issuer: &str, redis: &str) -> Fallible<Router> {
    // The log that all replicas follow, and append to.
    let log = RedisRevocations::new(Redis::at(redis)?.build()?);
    let routes = RouteTable::builder().get("/account", Requirement::scope("account:read")).otherwise(Unlisted::Deny)?;
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(issuer).audience(TokenBuilder::AUDIENCE))
        .routes(routes)
        .revocation_feed(log.clone(), FeedPolicy::default())
        .revision_header(REVISION)
        .build()?;
    authorizer.ready(Duration::from_secs(10)).await?;
    let endpoint = RevocationEndpoint::to(log)
        .revision_header(REVISION)
        .behind(&authorizer, Requirement::scope("tokens:revoke"))?;
    let guarded = Router::new().route("/account", get(account)).layer(portcullis::axum::layer(authorizer));
    Ok(guarded.route_service("/revocations", endpoint))
}

async fn account(token: AccessToken) -> String {
    format!("the account of {}", token.subject().unwrap_or("nobody"))
}
