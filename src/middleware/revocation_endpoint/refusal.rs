//! Why nothing was taken in → the answer that says so (RFC 6749 §5.2, RFC 7009 §2.2.1).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::middleware::mounted::json;

/// Why nothing was taken in.
pub(super) enum Refusal {
    Method,
    MediaType,
    TooLong,
    Malformed(String),
    Foreign,
    NotTakenIn,
}

impl Refusal {
    /// The same, of this event of a batch.
    pub(super) fn of_event(self, number: usize) -> Self {
        match self {
            Self::Malformed(what) => Self::Malformed(format!("event {number}: {what}")),
            other => other,
        }
    }

    /// Nothing of the request is repeated.
    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let (status, code, description) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "POST is needed"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", "a form or JSON is needed"),
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body is too long"),
            Self::Malformed(what) => (StatusCode::BAD_REQUEST, "invalid_request", what.as_str()),
            Self::Foreign => (StatusCode::FORBIDDEN, "forbidden", "the tokens of another issuer"),
            Self::NotTakenIn => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "not taken in; send it again")
            }
        };
        let mut response = json(status, &serde_json::json!({ "error": code, "error_description": description }));
        let headers = response.headers_mut();
        match self {
            Self::Method => headers.insert(header::ALLOW, HeaderValue::from_static("POST")),
            Self::NotTakenIn => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
            _ => None,
        };
        response
    }
}
