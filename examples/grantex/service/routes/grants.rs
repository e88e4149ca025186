//! `GET /v1/grants` and what is below: what a user has granted, its end, and its suspension.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::super::{Service, answers::Refusal, request::Named};

pub(crate) async fn list(State(service): State<Service>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let is = |name: &str, value: &str| query.get(name).is_none_or(|wanted| wanted == value);
    let grants = service.book().grants(service.now(), |terms, status| {
        is("agentId", &terms.agent) && is("principalId", &terms.principal) && is("status", status)
    });
    Json(json!({ "grants": grants }))
}

pub(crate) async fn show(State(service): State<Service>, Named(id): Named) -> Result<Json<Value>, Refusal> {
    service.book().grant_json(&id, service.now()).map(Json).ok_or(Refusal::not_found("Grant not found"))
}

pub(crate) async fn revoke(State(service): State<Service>, Named(id): Named) -> Result<StatusCode, Refusal> {
    let event = service.book().revoke_grant(&id, service.now());
    let event = event.ok_or(Refusal::not_found("Grant not found or already revoked"))?;
    service.announce([event]);
    Ok(StatusCode::NO_CONTENT)
}

/// Not in the real service, whose operators suspend by other means.
pub(crate) async fn suspend(State(service): State<Service>, Named(id): Named) -> Result<StatusCode, Refusal> {
    let is_done = service.book().suspend(&id, service.now());
    is_done.then_some(StatusCode::NO_CONTENT).ok_or(Refusal::not_found("Grant not found or not active"))
}

/// The other half.
pub(crate) async fn resume(State(service): State<Service>, Named(id): Named) -> Result<StatusCode, Refusal> {
    let is_done = service.book().resume(&id, service.now());
    is_done.then_some(StatusCode::NO_CONTENT).ok_or(Refusal::not_found("Grant not found or not suspended"))
}
