//! Client credentials → an access token (RFC 6749 §4.4).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Serialize;

use super::{
    answers::{Problem, json},
    client_authentication::Claimed,
    form::Form,
    service::Service,
    signing_key::{Claims, LIFETIME},
};

#[derive(Serialize)]
struct Issued {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
}

pub(crate) async fn issue(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    match form.filled("grant_type") {
        Some("client_credentials") => {}
        Some(_) => return Err(Problem::UnsupportedGrantType),
        None => return Err(Problem::request("The parameter grant_type is missing.")),
    }
    let Claimed { client_id, client_secret, by_basic } = Claimed::find(&headers, &form)?;
    let invalid = || Problem::InvalidClient { by_basic };
    let kept = service.agents.secret_of(&client_id);
    if !service.secrets.is_right(&client_id, &client_secret, kept.as_ref()).await? {
        return Err(invalid());
    }
    let shown = kept.ok_or_else(invalid)?;

    let now = service.guard.now().wall();
    // Counted before it is made: a token that nobody received is on the safe side of the limit.
    let scope = service.agents.count_token(&client_id, (&shown, by_basic), form.filled("scope"), now).await?;
    let claims = Claims::new(&client_id, scope.clone(), now);
    let key = Arc::clone(&service.key);
    let access_token = service.signing.work(move || key.sign(&claims)).await??;
    Ok(json(StatusCode::OK, &Issued { access_token, token_type: "Bearer", expires_in: LIFETIME, scope }))
}
