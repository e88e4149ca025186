//! `POST /v1/token`, `/v1/token/refresh` and `/v1/grants/delegate`: whatever ends in a new token.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde_json::{Value, json};

use super::{
    super::{
        Generation, Service,
        answers::Refusal,
        book::{Exchange, Issued},
        claims::claims,
        request::Members,
        time::{iso, lifetime},
    },
    scopes,
};

type Answer = Result<(StatusCode, Json<Value>), Refusal>;

/// What a token can be asked for as. They all come as the first.
const FORMATS: [&str; 5] = ["jwt", "vc-jwt", "sd-jwt", "both", "agent-passport"];

pub(crate) async fn exchange(State(service): State<Service>, members: Members) -> Answer {
    let (Some(code), Some(agent)) = (members.text("code", 512), members.text("agentId", 256)) else {
        return Err(Refusal::bad_request("code and agentId are required"));
    };
    let verifier = members.optional("codeVerifier", 512, "codeVerifier must be a string")?;
    let redirect_uri = members.optional("redirectUri", 2048, "redirectUri must be a non-empty string")?;
    let format = members.optional("credentialFormat", 32, "Invalid credentialFormat")?.unwrap_or("jwt");
    if !FORMATS.contains(&format) {
        return Err(Refusal::bad_request("Invalid credentialFormat"));
    }
    let redirect_uri = (service.0.generation == Generation::Current).then_some(redirect_uri);
    let (issued, events) = service.book().exchange(&Exchange { code, agent, verifier, redirect_uri }, service.now())?;
    service.announce(events);
    answer(&service, &issued)
}

pub(crate) async fn refresh(State(service): State<Service>, headers: HeaderMap, members: Members) -> Answer {
    let (Some(refresh_token), Some(agent)) = (members.text("refreshToken", 512), members.text("agentId", 256)) else {
        return Err(Refusal::bad_request("refreshToken and agentId are required"));
    };
    let key = match headers.get("idempotency-key").map(|key| key.to_str()) {
        None => None,
        Some(Ok(key)) if (16..=256).contains(&key.len()) => Some(key),
        Some(_) => return Err(Refusal::bad_request("Idempotency-Key must contain 16 to 256 characters")),
    };
    let (issued, event) = service.book().refresh(refresh_token, agent, key, service.now())?;
    service.announce(event);
    answer(&service, &issued)
}

pub(crate) async fn delegate(State(service): State<Service>, members: Members) -> Answer {
    let (Some(parent), Some(agent), Some(list)) =
        (members.text("parentGrantToken", 16 * 1024), members.text("subAgentId", 256), members.list("scopes"))
    else {
        return Err(Refusal::bad_request("parentGrantToken, subAgentId, and scopes are required"));
    };
    let scopes = scopes(list, service.0.generation)?;
    let expires_in = "Invalid expiresIn format. Use e.g. \"1h\", \"30m\", or \"1d\".";
    let text = members.optional("expiresIn", 32, expires_in)?.unwrap_or("1h");
    let lifetime = lifetime(text).ok_or(Refusal::bad_request(expires_in))?;
    let claims = service.0.keys.claims(parent).ok_or(Refusal::bad_request("Invalid parentGrantToken"))?;
    let jti = claims["jti"].as_str().unwrap_or_default();
    let (issued, events) = service.book().delegate(jti, agent, scopes, lifetime, service.now())?;
    service.announce(events);
    answer(&service, &issued)
}

/// Signed outside the lock. Signing is deterministic, so that an answer that is given again is the same.
fn answer(service: &Service, issued: &Issued) -> Answer {
    let terms = &issued.terms;
    let claims = claims(service.0.generation, &service.0.url, terms, &issued.token);
    let token = service.0.keys.sign(&claims).map_err(|_| Refusal::internal())?;
    let answer = json!({
        "grantToken": token, "expiresAt": iso(terms.expires_at), "scopes": terms.scopes,
        "refreshToken": issued.refresh_token, "grantId": terms.id,
    });
    Ok((StatusCode::CREATED, Json(answer)))
}
