//! The service's own key → the layer's rules for the service's own endpoints.

use portcullis::{
    Algorithm, Authorizer, Issuer, KeySource, Requirement, RouteTable, Unlisted, clock::Clock, status::Revocations,
};
use std::{error::Error, time::Duration};

/// What each route needs.
fn routes() -> Result<RouteTable, portcullis::RouteTableError> {
    RouteTable::builder()
        .get("/healthz", Requirement::public())
        .get("/.well-known/jwks.json", Requirement::public())
        // Clients authenticate there by their secrets.
        .post("/api/v1/token", Requirement::public())
        .post("/api/v1/token/introspect", Requirement::scope("tokens:read"))
        .post("/api/v1/token/revoke", Requirement::authenticated())
        .get("/api/v1/agents", Requirement::scope("agents:read"))
        .post("/api/v1/agents", Requirement::scope("agents:write"))
        .post("/api/v1/agents/{id}/credentials", Requirement::scope("agents:write"))
        .post("/api/v1/agents/{id}/suspend", Requirement::scope("agents:write"))
        .post("/api/v1/agents/{id}/reactivate", Requirement::scope("agents:write"))
        .otherwise(Unlisted::Deny)
}

/// Lets in whoever has a token of ours that suffices and that nobody took back.
pub(crate) fn guard(jwk_set: &str, revocations: Revocations, clock: impl Clock) -> Result<Authorizer, Box<dyn Error>> {
    let builder = Authorizer::builder().issuer(ourselves(jwk_set)).routes(routes()?).revocations(revocations);
    Ok(builder.clock(clock).build()?)
}

/// Knows any token of ours, be it revoked or its agent suspended.
pub(crate) fn signed_by_us(jwk_set: &str, clock: impl Clock) -> Result<Authorizer, Box<dyn Error>> {
    let nothing = RouteTable::builder().otherwise(Unlisted::Deny)?;
    Ok(Authorizer::builder().issuer(ourselves(jwk_set)).routes(nothing).clock(clock).build()?)
}

/// Our tokens say neither who issued them nor whom they are for. They are dated and judged by one clock.
fn ourselves(jwk_set: &str) -> Issuer {
    Issuer::without_identifier(KeySource::json(jwk_set))
        .dangerous_any_audience()
        .algorithms([Algorithm::RS256])
        .leeway(Duration::ZERO)
}
