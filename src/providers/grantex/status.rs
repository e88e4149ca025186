//! A token in question → what Grantex says of it: `POST /v1/tokens/verify`, `GET /v1/revocations/status`.
//!
//! What answers mean:
//!
//! | answer | meaning |
//! |---|---|
//! | 200, an object, `valid` is `true` (`status` is `active` and `revoked` is `false`), and nothing in it is of another token | active |
//! | 200, an object, `valid` is `false` (`revoked` is `true`, or `status` another of its words) | inactive |
//! | 200, said of another grant, token, agent or principal | inactive |
//! | 200 and anything else; 1xx, 2xx, 3xx | malformed |
//! | 401, 403 | our API key was refused |
//! | 404, 405, 410, 408, 5xx | the server is in trouble, or has no such route; `Retry-After` of 503 counts |
//! | 429 | too many questions; `Retry-After` counts |
//! | 4xx otherwise | the question was refused |

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    GrantexClaims, GrantexClient, GrantexFeed, Verification,
    api::{Api, MAX_ANSWER},
    json::{Object, Word, present},
    preset::issuer_of,
};
use crate::{
    issuer::TransportError,
    observe,
    status::{StatusAnswer, StatusError, StatusQuestion, StatusSource, TokenStatus},
};

impl GrantexClient {
    /// Asks `POST /v1/tokens/verify` about each token, by way of a cache: for
    /// [`Issuer::status_source`](crate::Issuer::status_source).
    ///
    /// Grantex calls the tokens of *other developers* invalid. It is for a service whose callers are agents of the developer
    /// whose API key this is; any other agent is refused with 401. Each question counts against the key's plan: 100 a
    /// minute at first.
    ///
    /// A server that does not answer costs a request what [`StatusPolicy`](crate::status::StatusPolicy) says: by default an
    /// attempt is given up after a second, the question after 2.5, and after five such failures nobody asks for a while.
    #[must_use]
    pub fn verification(&self) -> impl StatusSource + Clone + use<> {
        Asked { api: self.api.clone(), route: Route::Verify }
    }

    /// Asks `GET /v1/revocations/status` about each token's grant and `jti`, by way of a cache. Servers have it from 0.6 on,
    /// with their revocation feed. What was revoked by a grant further up has an entry of its own.
    #[must_use]
    pub fn revocation_status(&self) -> impl StatusSource + Clone + use<> {
        Asked { api: self.api.clone(), route: Route::Revocations }
    }

    /// What the server publishes of revoked and suspended grants, from 0.6 on: for
    /// [`Issuer::revocation_feed`](crate::Issuer::revocation_feed). It speaks of tokens that name the issuer of
    /// [`Grantex::at`](super::Grantex::at); of another, see [`GrantexFeed::at`].
    #[must_use]
    pub fn revocation_feed(&self) -> GrantexFeed {
        GrantexFeed::new(self.api.clone(), issuer_of(self.api.base()))
    }
}

/// A route that is asked.
#[derive(Clone)]
struct Asked {
    api: Api,
    route: Route,
}

#[derive(Clone, Copy, Debug)]
enum Route {
    Verify,
    Revocations,
}

impl StatusSource for Asked {
    fn identity(&self) -> String {
        format!("Grantex {:?} at {} {}", self.route, self.api.name(), self.api.fingerprint())
    }

    fn ask(&self, question: &StatusQuestion) -> StatusAnswer {
        let (asked, question) = (self.clone(), question.clone());
        Box::pin(async move { asked.ask_once(&question).await })
    }
}

impl Asked {
    async fn ask_once(&self, question: &StatusQuestion) -> Result<TokenStatus, StatusError> {
        // Grantex has no opaque tokens; and of a token that it did not write it can say nothing.
        let claims = question.verified().and_then(|token| GrantexClaims::of(token).ok());
        let claims = claims.ok_or(StatusError::UnsupportedTokenType)?;
        let unreachable = |error: TransportError| match error {
            TransportError::TooLarge(_) => StatusError::Malformed("larger than any answer"),
            error => StatusError::Unreachable(observe::chain(&error)),
        };
        let request = self.request(question.token(), &claims).map_err(unreachable)?;
        let answer = self.api.connection().send(request, MAX_ANSWER).await.map_err(unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(trouble(answer.status(), || self.api.retry_after(&answer)));
        }
        match self.route {
            Route::Verify => verified(answer.body(), &claims),
            Route::Revocations => standing(answer.body(), &claims),
        }
    }

    fn request(&self, token: &str, claims: &GrantexClaims) -> Result<Request<Bytes>, TransportError> {
        match self.route {
            Route::Verify => self.api.request(Method::POST, "/v1/tokens/verify", &[], Some(&json!({ "token": token }))),
            Route::Revocations => {
                let query = [("grantId", claims.grant_id()), ("jti", claims.token_id())];
                self.api.request(Method::GET, "/v1/revocations/status", &query, None)
            }
        }
    }
}

/// What any answer but 200 means.
fn trouble(status: StatusCode, retry_after: impl FnOnce() -> Option<Duration>) -> StatusError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StatusError::ClientRefused { status },
        StatusCode::TOO_MANY_REQUESTS => StatusError::RateLimited { retry_after: retry_after() },
        StatusCode::SERVICE_UNAVAILABLE => StatusError::Server { status, retry_after: retry_after() },
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE | StatusCode::REQUEST_TIMEOUT => {
            StatusError::Server { status, retry_after: None }
        }
        _ if status.is_server_error() => StatusError::Server { status, retry_after: None },
        _ if status.is_client_error() => StatusError::QuestionRefused { status },
        _ => StatusError::Malformed("a status other than 200"),
    }
}

/// What `/v1/tokens/verify` says. Of what it says of the token, all must be true of this one: an answer that was mixed up in
/// between must not let another through. The scopes that it leaves are those that both name, and the end is the earlier.
fn verified(body: &[u8], claims: &GrantexClaims) -> Result<TokenStatus, StatusError> {
    let Verification::Valid { grant_id, scopes, principal, agent, expires_at } =
        Verification::read(body).map_err(StatusError::Malformed)?
    else {
        return Ok(TokenStatus::inactive());
    };
    let is_of = |said: Option<Box<str>>, known: &str| said.is_none_or(|said| *said == *known);
    if !is_of(grant_id, claims.grant_id()) || !is_of(agent, claims.agent_did()) || !is_of(principal, claims.principal())
    {
        return Ok(TokenStatus::inactive());
    }
    let mut description = Map::new();
    description.extend(scopes.map(|scopes| ("scp".to_owned(), json!(scopes))));
    description.extend(expires_at.map(|time| ("exp".to_owned(), json!(time.as_secs()))));
    TokenStatus::described(&Value::Object(description).to_string().into())
}

/// What `/v1/revocations/status` says.
fn standing(body: &[u8], claims: &GrantexClaims) -> Result<TokenStatus, StatusError> {
    #[derive(Deserialize)]
    struct Wire<'b> {
        status: &'b str,
        revoked: bool,
        #[serde(default, deserialize_with = "present", rename = "grantId")]
        grant_id: Option<Word>,
        #[serde(default, deserialize_with = "present")]
        jti: Option<Word>,
    }
    let read: Result<Object<Wire<'_>>, _> = serde_json::from_slice(body);
    let Object(wire) = read.map_err(|_| StatusError::Malformed("not an object with `status` and `revoked`"))?;
    let is_of = |said: Option<Word>, known: &str| said.is_none_or(|Word(said)| *said == *known);
    let is_same = is_of(wire.grant_id, claims.grant_id()) && is_of(wire.jti, claims.token_id());
    match wire.status {
        "active" if is_same && !wire.revoked => Ok(TokenStatus::active()),
        "active" | "revoked" | "suspended" | "expired" | "unknown" => Ok(TokenStatus::inactive()),
        _ => Err(StatusError::Malformed("an unknown word in `status`")),
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grantex({:?} at {})", self.route, self.api.name())
    }
}
