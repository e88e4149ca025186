//! A request → what the book makes of it, in the words of the wire.

pub(crate) mod authorize;
pub(crate) mod grants;
pub(crate) mod revocations;
pub(crate) mod token;
pub(crate) mod verify;

use axum::http::StatusCode;
use serde_json::Value;

use super::{Generation, answers::Refusal};

/// The scopes of a request: 1 to 100 strings. Whether there are any, the caller has seen.
fn scopes(list: &[Value], generation: Generation) -> Result<Vec<String>, Refusal> {
    let sound = |scope: &&str| scope.len() <= 256 && !scope.trim().is_empty();
    let scopes: Option<Vec<_>> = list.iter().map(|scope| scope.as_str().filter(sound).map(str::to_owned)).collect();
    let scopes = scopes.ok_or(Refusal::bad_request("Invalid scope format"))?;
    // The newer generation joins them with blanks.
    if generation == Generation::Current && scopes.iter().any(|scope| scope.contains(char::is_whitespace)) {
        let message = "Scopes must not contain whitespace";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "INVALID_SCOPE", message));
    }
    if scopes.len() > 100 {
        return Err(Refusal::bad_request("Too many scopes (max 100)"));
    }
    Ok(scopes)
}
