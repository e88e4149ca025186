//! `POST /v1/tokens/verify`, `/v1/grants/verify` and `/v1/tokens/revoke`: whether a token stands, and its end.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::super::{Service, answers::Refusal, book::Standing, request::Members, time::iso};

/// Always 200 for what could be a token. Why one is not valid, nobody is told.
pub(crate) async fn token(State(service): State<Service>, members: Members) -> Result<Json<Value>, Refusal> {
    let token = members.text("token", usize::MAX).ok_or(Refusal::bad_request("token is required"))?;
    let claims = service.0.keys.claims(token);
    let jti = claims.as_ref().and_then(|claims| claims["jti"].as_str()).unwrap_or_default();
    let Standing::Active(terms) = service.book().standing(jti, service.now()) else {
        return Ok(Json(json!({ "valid": false })));
    };
    Ok(Json(json!({
        "valid": true, "grantId": terms.id, "scopes": terms.scopes, "principal": terms.principal,
        "agent": terms.agent_did(), "expiresAt": iso(terms.expires_at),
    })))
}

/// The same with all claims, or with a reason.
pub(crate) async fn grant(State(service): State<Service>, members: Members) -> Result<Json<Value>, Refusal> {
    let token = members.text("token", usize::MAX).ok_or(Refusal::bad_request("token is required"))?;
    let claims = service.0.keys.claims(token).ok_or(Refusal::bad_request("Invalid token"))?;
    let jti = claims["jti"].as_str().unwrap_or_default();
    let reason = match service.book().standing(jti, service.now()) {
        Standing::Active(_) => return Ok(Json(json!({ "active": true, "claims": claims }))),
        Standing::Withdrawn => "revoked",
        Standing::Expired => "expired",
        Standing::Unknown => "not_found",
    };
    Ok(Json(json!({ "active": false, "reason": reason })))
}

/// Not idempotent, unlike RFC 7009: a second call finds nothing to revoke.
pub(crate) async fn revoke(State(service): State<Service>, members: Members) -> Result<StatusCode, Refusal> {
    let jti = members.text("jti", 512).ok_or(Refusal::bad_request("jti is required"))?;
    if !service.book().revoke_token(jti, service.now()) {
        return Err(Refusal::not_found("Token not found or already revoked"));
    }
    Ok(StatusCode::NO_CONTENT)
}
