//! A token, and whose request it is → the token is refused from the next request on (RFC 7009).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use portcullis::{AccessToken, clock::UnixTime, status::Revocation};
use serde_json::Map;

use super::{
    answers::{Problem, json},
    form::Form,
    service::Service,
    store::Change,
};

pub(crate) async fn revoke(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    caller: AccessToken,
    form: Form,
) -> Result<Response, Problem> {
    let done = || Ok(json(StatusCode::OK, &Map::new()));
    let token = form.token()?;
    // Also a token whose agent is suspended: it must not come back with the agent. What we did not sign, or what has
    // expired, is refused as it is.
    let Some(claims) = service.claims(&service.signed_by_us, token) else { return done() };
    if caller.client_id() != Some(&claims.client_id) {
        let input = service.guard.input(&headers, &service.admin);
        service.guard.authorize(&input).await?;
    }
    let (expires_at, now) = (UnixTime::from_secs(claims.exp), service.guard.now().wall());
    service.revocations.revoke(Revocation::token_id(None, &claims.jti).expires_at(expires_at));
    service.store.put(Change::Revoked { token_id: claims.jti, expires_at, now }).kept().await?;
    done()
}
