//! Why a delivery had no effect → the answer that says so.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::middleware::json;

/// Why a delivery had no effect.
#[derive(Debug)]
pub(super) enum Refusal {
    Method,
    Unsigned,
    TooSlow,
    TooLong,
    Malformed,
    Again,
    NotTakenIn,
}

impl Refusal {
    /// Nothing of the request is repeated.
    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let (status, message) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "POST is needed"),
            // Not what is wrong with it: whoever tries learns nothing.
            Self::Unsigned => (StatusCode::UNAUTHORIZED, "not signed, or not lately"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive"),
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"),
            Self::Malformed => (StatusCode::BAD_REQUEST, "not an event"),
            Self::Again => (StatusCode::CONFLICT, "delivered before"),
            Self::NotTakenIn => (StatusCode::SERVICE_UNAVAILABLE, "not taken in; deliver it again"),
        };
        let mut response = json(status, &serde_json::json!({ "message": message }));
        let headers = response.headers_mut();
        match self {
            Self::Method => headers.insert(header::ALLOW, HeaderValue::from_static("POST")),
            // A 401 says what is needed (RFC 9110 §15.5.2).
            Self::Unsigned => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("X-Grantex-Signature-V2"))
            }
            Self::NotTakenIn => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
            _ => None,
        };
        response
    }
}
