//! What can go wrong with an authorization server's endpoints → errors that repeat nothing a stranger wrote.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::StatusCode;

use crate::issuer::{ClientAuthenticationError, ClientError, EndpointError, ErrorAnswer, TransportError};

/// Why a client cannot work as configured; found at start-up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenClientError {
    /// An endpoint, or the issuer to discover it from, is not a URL that may be asked.
    #[error("not a URL to find the {of} at")]
    Endpoint {
        /// Its name in metadata (RFC 8414 §2), such as `token_endpoint`.
        of: &'static str,
        /// What is wrong with the URL.
        source: EndpointError,
    },
    /// An endpoint is to be discovered, and there is no issuer.
    #[error("discovery needs an issuer")]
    NoIssuer,
    /// How we show who we are.
    #[error("client authentication")]
    Client(#[source] ClientAuthenticationError),
}

/// Why a request came to nothing. Says nothing of what a server wrote but its status and an error code of the RFCs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenEndpointError {
    /// The endpoint could not be discovered, or is not one that can be asked.
    #[error("no endpoint")]
    Endpoint(#[source] Box<dyn Error + Send + Sync>),
    /// There is no revocation endpoint to ask: none was configured.
    #[error("no revocation endpoint is configured")]
    NoRevocationEndpoint,
    /// The Bearer that this endpoint wants could not be had.
    #[error("no token of our own to show")]
    Credentials(#[source] Arc<ClientError>),
    /// No answer, or one of more than 64 KiB. The request may have been heard, and counted.
    #[error("the endpoint could not be read")]
    Transport(#[source] TransportError),
    /// No answer in time. The request may have been heard, and counted.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// Not what was asked for, but a reason.
    #[error("{0}")]
    Refused(Refusal),
    /// What says 200 and is no answer to the request.
    #[error("the answer is of no use: {0}")]
    Malformed(&'static str),
    /// Not a list of scopes (RFC 6749 §3.3); nobody was asked.
    #[error("{0:?} is not a scope to ask for")]
    Scope(String),
    /// A parameter that the protocol itself sends, that is there twice, or has no name; nobody was asked.
    #[error("the extra parameter {0:?} is one that the protocol sends, is there twice, or has no name")]
    Parameter(String),
}

/// An authorization server's refusal (RFC 6749 §5.2, RFC 7009 §2.2.1).
#[derive(Clone)]
pub struct Refusal(pub(super) ErrorAnswer);

impl Refusal {
    /// The status it answered.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Its `error`, if that is one of RFC 6749 §5.2, RFC 6750 §3.1, RFC 7009 §2.2.1 or RFC 8707 §2: `invalid_grant`,
    /// `unsupported_token_type`, and so on.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        self.0.code
    }

    /// How long it wants to be left alone, at most five minutes: `Retry-After` of 429 and 503.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Its `error_description`, as it was sent: **untrusted text** that may repeat what we sent, secrets included. In no
    /// `Display` and no `Debug`; keep it out of logs and of your own answers.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.0.description.untrusted()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the endpoint answered {} {}", self.status(), self.code().unwrap_or("without an error code"))
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("status", &self.status())
            .field("code", &self.code())
            .field("retry_after", &self.retry_after())
            .finish_non_exhaustive()
    }
}
