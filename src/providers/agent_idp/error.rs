//! What AgentIdP answers instead of what was asked → [`AgentIdpError`].

use std::time::Duration;

use http::StatusCode;

use super::month::next_month;
use crate::{
    clock::UnixTime,
    issuer::ClientError,
    outbound::{Refusal, TokenEndpointError},
};

/// Why AgentIdP did not do what it was asked to. Says nothing of what it wrote but a status and a known error code.
///
/// [`introspect`](super::AgentIdpClient::introspect) and [`revoke`](super::AgentIdpClient::revoke) show a Bearer; where
/// that could not be had, the error is that of the request for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentIdpError {
    /// `invalid_client` (401): there is no such agent, or the secret is not its current one.
    #[error("the client id or the client secret is wrong")]
    InvalidClient,
    /// `unauthorized_client` (403): the agent is suspended, until it is reactivated.
    #[error("the agent is suspended")]
    Suspended,
    /// `unauthorized_client` (403): the tokens of this month are used up.
    #[error("the monthly limit of tokens is reached, until {resets_at} seconds after the epoch")]
    MonthlyLimitReached {
        /// The first of the next calendar month in UTC, by our clock.
        resets_at: UnixTime,
    },
    /// `unauthorized_client` for another reason.
    #[error("the agent may not get tokens")]
    UnauthorizedClient,
    /// `unsupported_grant_type` (400): there are no client credentials at what should be the token endpoint.
    #[error("the token endpoint does not support client credentials")]
    UnsupportedGrantType,
    /// `invalid_scope` (400), or no scope at all in a list of scopes: not one of the agent's.
    #[error("a scope that the agent may not have")]
    InvalidScope,
    /// 429: too many requests.
    #[error("too many requests")]
    RateLimited {
        /// Its `Retry-After`, at most five minutes.
        retry_after: Option<Duration>,
    },
    /// 401 without `invalid_client`: the Bearer was refused, and so was a new one or there was none.
    #[error("the Bearer was refused")]
    Unauthorized,
    /// 403 without `unauthorized_client`: the Bearer does not suffice. Introspection wants `tokens:read`, and to revoke a
    /// token of another agent takes an admin's.
    #[error("the Bearer does not suffice")]
    Forbidden,
    /// 5xx, or 408: the server is in trouble.
    #[error("the server answered {status}")]
    Server {
        /// Its answer.
        status: StatusCode,
        /// Its `Retry-After` with 503, at most five minutes.
        retry_after: Option<Duration>,
    },
    /// Any other answer.
    #[error("refused: {status} {}", code.unwrap_or("without an error code"))]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its `error`, if that is one of the RFCs.
        code: Option<&'static str>,
    },
    /// What says 200 and is no answer to the request.
    #[error("the answer is of no use: {0}")]
    Malformed(&'static str),
    /// No answer. The request may have been heard, and counted, unless nobody could be asked.
    #[error("no answer")]
    NoAnswer(#[source] TokenEndpointError),
}

/// What is known of a refusal.
struct Refused<'r> {
    status: StatusCode,
    code: Option<&'static str>,
    description: Option<&'r str>,
    retry_after: Option<Duration>,
}

impl AgentIdpError {
    pub(super) fn of(error: TokenEndpointError, now: UnixTime) -> Self {
        match error {
            TokenEndpointError::Refused(refusal) => Self::refused(&Refused::from(&refusal), now),
            TokenEndpointError::Malformed(reason) => Self::Malformed(reason),
            TokenEndpointError::Scope(_) => Self::InvalidScope,
            TokenEndpointError::Credentials(error) => match &*error {
                ClientError::Refused { status, code, description, retry_after, .. } => {
                    let (description, retry_after) = (description.untrusted(), *retry_after);
                    Self::refused(&Refused { status: *status, code: *code, description, retry_after }, now)
                }
                ClientError::Malformed { reason, .. } => Self::Malformed(reason),
                _ => Self::NoAnswer(TokenEndpointError::Credentials(error)),
            },
            other => Self::NoAnswer(other),
        }
    }

    /// The status first: a busy server or one in trouble may write any code.
    fn refused(refused: &Refused<'_>, now: UnixTime) -> Self {
        let &Refused { status, code, retry_after, .. } = refused;
        match (status, code) {
            (StatusCode::TOO_MANY_REQUESTS, _) => Self::RateLimited { retry_after },
            _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                Self::Server { status, retry_after }
            }
            _ if !status.is_client_error() => Self::Refused { status, code },
            (_, Some("invalid_client")) => Self::InvalidClient,
            (_, Some("unauthorized_client")) => Self::unauthorized(refused.description.unwrap_or_default(), now),
            (_, Some("unsupported_grant_type")) => Self::UnsupportedGrantType,
            (_, Some("invalid_scope")) => Self::InvalidScope,
            (StatusCode::UNAUTHORIZED, _) => Self::Unauthorized,
            (StatusCode::FORBIDDEN, _) => Self::Forbidden,
            _ => Self::Refused { status, code },
        }
    }

    /// One code for several reasons, which the description alone tells apart.
    fn unauthorized(description: &str, now: UnixTime) -> Self {
        let description = description.to_ascii_lowercase();
        if description.contains("suspended") {
            Self::Suspended
        } else if description.contains("limit") {
            Self::MonthlyLimitReached { resets_at: next_month(now) }
        } else {
            Self::UnauthorizedClient
        }
    }
}

impl<'r> From<&'r Refusal> for Refused<'r> {
    fn from(refusal: &'r Refusal) -> Self {
        Self {
            status: refusal.status(),
            code: refusal.code(),
            description: refusal.description(),
            retry_after: refusal.retry_after(),
        }
    }
}
