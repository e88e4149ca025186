//! A token → what it says, or that it is not active (RFC 7662).

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Serialize;
use serde_json::json;

use super::{
    answers::{self, Problem},
    form::Form,
    service::Service,
};

#[derive(Serialize)]
struct Active {
    active: bool,
    sub: String,
    client_id: String,
    scope: String,
    token_type: &'static str,
    iat: u64,
    exp: u64,
}

/// Whether a token is active is decided by what guards this service: so the answer is what we would do ourselves.
pub(crate) async fn introspect(State(service): State<Arc<Service>>, form: Form) -> Result<Response, Problem> {
    Ok(match service.claims(&service.guard, form.token()?) {
        None => answers::json(StatusCode::OK, &json!({ "active": false })),
        Some(claims) => answers::json(
            StatusCode::OK,
            &Active {
                active: true,
                sub: claims.sub,
                client_id: claims.client_id,
                scope: claims.scope,
                token_type: "Bearer",
                iat: claims.iat,
                exp: claims.exp,
            },
        ),
    })
}
