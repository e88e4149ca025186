//! `POST /v1/agents` and `POST /v1/authorize`: an agent, and what it asks a user for.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::{
    super::{
        Service,
        answers::Refusal,
        book::Wanted,
        request::Members,
        time::{iso, lifetime},
    },
    scopes,
};

pub(crate) async fn register(
    State(service): State<Service>,
    members: Members,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let name = members.text("name", 256).ok_or(Refusal::bad_request("name is required"))?;
    let description = members.text("description", 4096).unwrap_or_default();
    let scopes = members.list("scopes").map(|list| scopes(list, service.0.generation)).transpose()?;
    let agent = service.book().register(name, description, scopes.unwrap_or_default(), service.now());
    Ok((StatusCode::CREATED, Json(agent.to_json())))
}

pub(crate) async fn authorize(
    State(service): State<Service>,
    members: Members,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let wanted = wanted(&service, &members)?;
    let asked = service.book().authorize(wanted, service.now())?;
    let answer = json!({
        "authRequestId": asked.id,
        "consentUrl": format!("{}/consent?req={}", service.0.url, asked.id),
        "expiresAt": iso(asked.expires_at),
        "sandbox": true,
        "code": asked.code,
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

fn wanted(service: &Service, members: &Members) -> Result<Wanted, Refusal> {
    let (Some(agent), Some(principal), Some(list)) =
        (members.text("agentId", 256), members.text("principalId", 256), members.list("scopes"))
    else {
        return Err(Refusal::bad_request("agentId, principalId, and scopes are required"));
    };
    let scopes = scopes(list, service.0.generation)?;
    let redirect_uri = members.optional("redirectUri", 2048, "Invalid redirectUri")?;
    if members.has("state") && members.text("state", 1024).is_none() {
        return Err(Refusal::bad_request("state must be 1024 characters or fewer"));
    }
    let message = "audience must be a non-empty string of at most 1024 characters";
    let audience = members.optional("audience", 1024, message)?;
    let expires_in = "Invalid expiresIn format. Use e.g. \"1h\", \"30m\", \"24h\".";
    let text = members.optional("expiresIn", 32, expires_in)?.unwrap_or("24h");
    Ok(Wanted {
        agent: agent.to_owned(),
        principal: principal.to_owned(),
        scopes,
        lifetime: lifetime(text).ok_or(Refusal::bad_request(expires_in))?,
        audience: audience.map(str::to_owned),
        redirect_uri: redirect_uri.map(str::to_owned),
        challenge: challenge(members)?,
    })
}

/// Both parameters of PKCE or none (RFC 7636 §4.3); `plain` is no method here.
fn challenge(members: &Members) -> Result<Option<String>, Refusal> {
    if members.has("codeChallenge") != members.has("codeChallengeMethod") {
        return Err(Refusal::bad_request("codeChallenge and codeChallengeMethod must be provided together"));
    }
    if !members.has("codeChallenge") {
        return Ok(None);
    }
    let is_digest = |text: &&str| {
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        text.len() == 43 && text.bytes().all(is_base64url)
    };
    match (members.text("codeChallengeMethod", 16), members.text("codeChallenge", 43).filter(is_digest)) {
        (Some("S256"), Some(challenge)) => Ok(Some(challenge.to_owned())),
        _ => {
            Err(Refusal::bad_request("codeChallengeMethod must be S256 and codeChallenge must be a valid S256 digest"))
        }
    }
}
