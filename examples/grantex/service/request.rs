//! A request → who sent it, and the members of its JSON body.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::{Service, answers::Refusal};

/// The developer's secret. It does not print itself.
#[derive(Clone)]
pub(crate) struct ApiKey(Arc<str>);

impl ApiKey {
    /// `None` unless it is 16 to 512 visible characters: no other could be sent, or would be believed.
    pub(crate) fn new(text: String) -> Option<Self> {
        let is_sound = (16..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_sound.then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn is(&self, presented: &str) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), presented.as_bytes()).is_ok()
    }
}

/// Lets only the developer through.
pub(crate) async fn developer_only(State(service): State<Service>, request: Request, next: Next) -> Response {
    let Some(key) = bearer(request.headers()) else {
        return Refusal::unauthorized("Missing or invalid Authorization header").into_response();
    };
    if !service.api_key().is(key) {
        return Refusal::unauthorized("Invalid API key").into_response();
    }
    next.run(request).await
}

/// `Bearer`, in any case, then spaces or tabs, then one word.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once([' ', '\t'])?;
    let key = key.trim_start_matches([' ', '\t']);
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty() && !key.contains([' ', '\t'])).then_some(key)
}

/// The grant or webhook that a path names.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|_| Refusal::bad_request("The path is not UTF-8"))
    }
}

/// The members of the body; none where there is no body.
pub(crate) struct Members(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Members {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|refused| Refusal::new(refused.status(), "BAD_REQUEST", "The request body cannot be read"))?;
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        let essence = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = essence.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let message = "The request body has to be application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "BAD_REQUEST", message));
        }
        let value = serde_json::from_slice(&bytes).map_err(|_| Refusal::bad_request("Body is not valid JSON"))?;
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(Refusal::bad_request("Request body must be a JSON object")),
        }
    }
}

impl Members {
    /// A string that is not empty and has at most `longest` bytes.
    pub(crate) fn text(&self, name: &str, longest: usize) -> Option<&str> {
        let text = self.0.get(name)?.as_str()?;
        (!text.is_empty() && text.len() <= longest).then_some(text)
    }

    /// The same, and `None` only where the member is absent.
    ///
    /// # Errors
    /// `message`, where it is there and something else.
    pub(crate) fn optional(&self, name: &str, longest: usize, message: &'static str) -> Result<Option<&str>, Refusal> {
        if !self.has(name) {
            return Ok(None);
        }
        self.text(name, longest).map(Some).ok_or(Refusal::bad_request(message))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A list that is not empty.
    pub(crate) fn list(&self, name: &str) -> Option<&[Value]> {
        self.0.get(name)?.as_array().filter(|list| !list.is_empty()).map(Vec::as_slice)
    }
}
