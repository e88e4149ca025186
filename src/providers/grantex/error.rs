//! An answer that was not the one hoped for, or none → [`GrantexError`].

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::api::ErrorBody;
use crate::issuer::TransportError;

/// Why a call to Grantex did not do what was asked. Shows nothing of what was sent, and of the server's words no more than
/// an error code.
///
/// Which it is follows from the status alone: the same rate limit has other codes on other routes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantexError {
    /// No answer, or one that is too large. The server may have done what was asked nevertheless.
    #[error("no answer from Grantex")]
    Transport(#[source] TransportError),
    /// 429: too many calls.
    #[error("{0}")]
    RateLimited(Refusal),
    /// 401 or 403: the API key was refused, or what it may do.
    #[error("{0}")]
    Unauthorized(Refusal),
    /// 404 to a revocation: there is no such token, or it was revoked before.
    #[error("{0}")]
    UnknownToken(Refusal),
    /// Any other status than that of success. A code or refresh token that is unknown, expired or used is 400.
    #[error("{0}")]
    Refused(Refusal),
    /// An answer of success that is not what Grantex answers.
    #[error("Grantex gave no usable answer: {0}")]
    InvalidJson(&'static str),
    /// The system's random source failed.
    #[error("no randomness")]
    NoRandomness,
}

/// What a server said that refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    body: ErrorBody,
    retry_after: Option<Duration>,
}

impl GrantexError {
    /// What a refusal means by its status, whatever was called.
    pub(super) fn refused(refusal: Refusal) -> Self {
        match refusal.status {
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited(refusal),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Unauthorized(refusal),
            _ => Self::Refused(refusal),
        }
    }

    /// What the server said, where it did.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::RateLimited(refusal)
            | Self::Unauthorized(refusal)
            | Self::UnknownToken(refusal)
            | Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl Refusal {
    pub(super) fn of(answer: &Response<Bytes>, retry_after: Option<Duration>) -> Self {
        Self { status: answer.status(), body: ErrorBody::read(answer.body()), retry_after }
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// `Retry-After`: how long the server wants to be left alone, at most five minutes.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// `code`, such as `NOT_FOUND`, or `error.code`: the server's word, not to be relied on.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.body.code.as_deref()
    }

    /// `message`, or `error`, or `error.message`: the server's words, up to 500 characters, for a person to read. They may
    /// quote what was sent.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.body.message.as_deref()
    }

    /// `requestId`, by which Grantex finds the call.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.body.request_id.as_deref()
    }

    /// The code, if it looks like one: anything else could be what we sent.
    fn shown_code(&self) -> Option<&str> {
        let is_code = |code: &&str| code.len() <= 40 && code.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'_'));
        self.code().filter(is_code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.shown_code().unwrap_or("without an error code");
        write!(f, "Grantex answered {} {code}", self.status)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("status", &self.status)
            .field("code", &self.shown_code())
            .finish_non_exhaustive()
    }
}
