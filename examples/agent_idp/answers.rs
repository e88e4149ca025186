//! What a request came to → an answer in JSON, to be kept by nobody (RFC 6749 §5).

use aws_lc_rs::error::Unspecified;
use axum::{
    Json,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use portcullis::Rejection;
use serde::Serialize;

use super::store::NotKept;

/// Why a request is not answered as its sender wished.
#[derive(Debug)]
pub(crate) enum Problem {
    /// What is wrong with the request, in words of ours.
    InvalidRequest(String),
    TooLarge,
    UnsupportedGrantType,
    /// The same for a client that does not exist and for one whose secret is another.
    InvalidClient {
        by_basic: bool,
    },
    Suspended,
    MonthlyLimit(u64),
    InvalidScope,
    UnknownAgent,
    /// What the layer would have said.
    Rejected(Rejection),
    /// It could not be written down, and so it must not be promised.
    NotKept,
    Busy,
}

impl Problem {
    pub(crate) fn request(what: &str) -> Self {
        Self::InvalidRequest(what.to_owned())
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<NotKept> for Problem {
    fn from(NotKept: NotKept) -> Self {
        Self::NotKept
    }
}

/// No randomness, no token: perhaps the next moment has some.
impl From<Unspecified> for Problem {
    fn from(_: Unspecified) -> Self {
        Self::Busy
    }
}

#[derive(Serialize)]
struct Body<'p> {
    error: &'p str,
    error_description: &'p str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let limit;
        let (status, error, description) = match &self {
            Self::Rejected(rejection) => return rejection.clone().into_response(),
            Self::InvalidRequest(what) => (StatusCode::BAD_REQUEST, "invalid_request", what.as_str()),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "The request body is too large."),
            Self::UnsupportedGrantType => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "Only 'client_credentials' grant type is supported.",
            ),
            Self::InvalidClient { .. } => (
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "Client authentication failed. Invalid client_id or client_secret.",
            ),
            Self::Suspended => {
                (StatusCode::FORBIDDEN, "unauthorized_client", "Agent is currently suspended and cannot obtain tokens.")
            }
            Self::MonthlyLimit(most) => {
                limit =
                    format!("Free tier monthly token limit of {} requests has been reached.", with_thousands(*most));
                (StatusCode::FORBIDDEN, "unauthorized_client", limit.as_str())
            }
            Self::InvalidScope => {
                (StatusCode::BAD_REQUEST, "invalid_scope", "A scope is unknown, or was not granted to this agent.")
            }
            Self::UnknownAgent => (StatusCode::NOT_FOUND, "not_found", "There is no such agent."),
            Self::NotKept => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "The change could not be written down; what it came to is not certain.",
            ),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "Too much to do; try again."),
        };
        let mut response = json(status, &Body { error, error_description: description });
        let extra: Option<(HeaderName, &str)> = match self {
            // RFC 6749 §5.2: whoever tried HTTP authentication is answered in its terms.
            Self::InvalidClient { by_basic: true } => Some((header::WWW_AUTHENTICATE, "Basic realm=\"AgentIdP\"")),
            Self::Busy => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, header::HeaderValue::from_static(value));
        }
        response
    }
}

/// An answer that may hold a secret or a token.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], Json(body)).into_response()
}

/// 10,000 rather than 10000.
fn with_thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::with_thousands;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let rows = [(0, "0"), (3, "3"), (999, "999"), (1000, "1,000"), (10_000, "10,000"), (1_234_567, "1,234,567")];
        for (number, text) in rows {
            assert_eq!(with_thousands(number), text);
        }
    }
}
