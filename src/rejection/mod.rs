//! Every refusal → one HTTP or gRPC answer (RFC 6750 §3, RFC 9728 §5.1).
//!
//! | kind | HTTP | challenge | gRPC |
//! |---|---|---|---|
//! | [`NoCredential`](RejectionKind::NoCredential) | 401 | `Bearer`, no error code | `UNAUTHENTICATED` |
//! | [`InvalidRequest`](RejectionKind::InvalidRequest) | 400 | `error="invalid_request"` | `INVALID_ARGUMENT` |
//! | [`InvalidToken`](RejectionKind::InvalidToken), [`ExpiredToken`](RejectionKind::ExpiredToken) | 401 | `error="invalid_token"` | `UNAUTHENTICATED` |
//! | [`InsufficientScope`](RejectionKind::InsufficientScope) | 403 | `error="insufficient_scope"` | `PERMISSION_DENIED` |
//! | [`Forbidden`](RejectionKind::Forbidden), [`UnlistedRoute`](RejectionKind::UnlistedRoute) | 403 | none | `PERMISSION_DENIED` |
//! | [`AmbiguousPath`](RejectionKind::AmbiguousPath) | 400 | none | `INVALID_ARGUMENT` |
//! | [`KeysUnavailable`](RejectionKind::KeysUnavailable), [`StatusUnavailable`](RejectionKind::StatusUnavailable) | 503 | none, `Retry-After` | `UNAVAILABLE` |

mod challenge;
#[cfg(feature = "outbound")]
mod received;
mod respond;

use std::{error::Error, fmt, sync::Arc, time::Duration};

pub(crate) use challenge::{ProtectedResource, is_realm};
#[cfg(feature = "outbound")]
pub(crate) use received::says_invalid_token;
pub use respond::{EmptyResponder, JsonResponder, RequestHead, Respond, RespondWith};

use crate::{
    credential::CredentialError,
    policy::Requirement,
    status::{RevisionError, StatusUnavailable},
    token::TokenError,
};

/// Why a request was refused, as far as the caller may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The request carries no bearer credential, and the route needs one.
    NoCredential,
    /// The credential is malformed, repeated or too long; or so is the revision that comes with it.
    InvalidRequest,
    /// The token is not one of ours, not for us, or not to be believed.
    InvalidToken,
    /// The token was verified before and has expired since.
    ExpiredToken,
    /// The token is valid and lacks scopes that the route needs.
    InsufficientScope,
    /// The token is valid and does not meet a condition of the route.
    Forbidden,
    /// No route of the table answers to the request.
    UnlistedRoute,
    /// The request's raw path could be read in more than one way.
    AmbiguousPath,
    /// The issuer's keys are not to be had at the moment.
    KeysUnavailable,
    /// The issuer's word on the token is not to be had.
    StatusUnavailable,
}

/// What one kind of rejection says on the wire.
struct Wire {
    status: u16,
    /// The `error` of challenge and body.
    code: &'static str,
    /// Whether the challenge carries `code`, or there is no challenge at all.
    challenge: Challenge,
    description: &'static str,
    body: &'static str,
    grpc_status: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Challenge {
    None,
    /// `Bearer` without an error code, since the client has not tried anything yet.
    Bare,
    WithError,
}

/// A row of the table, its body written out so that a refusal formats nothing.
macro_rules! wire {
    ($status:literal, $code:literal, $challenge:ident, $grpc:literal, $description:literal) => {
        Wire {
            status: $status,
            code: $code,
            challenge: Challenge::$challenge,
            description: $description,
            body: concat!("{\"error\":\"", $code, "\",\"error_description\":\"", $description, "\"}"),
            grpc_status: $grpc,
        }
    };
}

impl RejectionKind {
    const ALL: [Self; 10] = [
        Self::NoCredential,
        Self::InvalidRequest,
        Self::InvalidToken,
        Self::ExpiredToken,
        Self::InsufficientScope,
        Self::Forbidden,
        Self::UnlistedRoute,
        Self::AmbiguousPath,
        Self::KeysUnavailable,
        Self::StatusUnavailable,
    ];

    /// The one mapping from a refusal to its answer.
    const fn wire(self) -> &'static Wire {
        match self {
            Self::NoCredential => &wire!(401, "unauthorized", Bare, "16", "An access token is required"),
            Self::InvalidRequest => {
                &wire!(400, "invalid_request", WithError, "3", "The request must carry one well-formed bearer token")
            }
            Self::InvalidToken => &wire!(401, "invalid_token", WithError, "16", "The access token is invalid"),
            Self::ExpiredToken => &wire!(401, "invalid_token", WithError, "16", "The access token expired"),
            Self::InsufficientScope => {
                &wire!(403, "insufficient_scope", WithError, "7", "The access token lacks a scope that is needed here")
            }
            Self::Forbidden => {
                &wire!(403, "forbidden", None, "7", "The access token does not meet a condition of this request")
            }
            Self::UnlistedRoute => &wire!(403, "forbidden", None, "7", "This request is not allowed"),
            Self::AmbiguousPath => &wire!(400, "invalid_request", None, "3", "The path of the request is ambiguous"),
            Self::KeysUnavailable | Self::StatusUnavailable => {
                &wire!(503, "temporarily_unavailable", None, "14", "Access tokens cannot be verified at the moment")
            }
        }
    }

    /// The kind as a label for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::ExpiredToken => "expired_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::Forbidden => "forbidden",
            Self::UnlistedRoute => "unlisted_route",
            Self::AmbiguousPath => "ambiguous_path",
            Self::KeysUnavailable => "keys_unavailable",
            Self::StatusUnavailable => "status_unavailable",
        }
    }
}

/// A refusal, ready to be answered. Also found in the extensions of the response that answered it.
///
/// Its `Display` and its answer say the [`kind`](Self::kind) only; [`source`](Error::source) says more, for the
/// service's own logs.
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    reason: Option<Reason>,
    requirement: Option<Arc<Requirement>>,
    resource: Arc<ProtectedResource>,
    retry_after: Option<Duration>,
}

/// What lies below a kind.
#[derive(Clone, Copy, Debug)]
enum Reason {
    Credential(CredentialError),
    Revision(RevisionError),
    Token(TokenError),
    Status(StatusUnavailable),
}

impl Rejection {
    pub(crate) const fn new(kind: RejectionKind, resource: Arc<ProtectedResource>) -> Self {
        Self { kind, reason: None, requirement: None, resource, retry_after: None }
    }

    /// The challenge will name the scopes of this requirement.
    pub(crate) fn with_requirement(mut self, requirement: &Arc<Requirement>) -> Self {
        self.requirement = Some(Arc::clone(requirement));
        self
    }

    pub(crate) const fn because_of_credential(mut self, reason: CredentialError) -> Self {
        self.reason = Some(Reason::Credential(reason));
        self
    }

    pub(crate) const fn because_of_revision(mut self, reason: RevisionError) -> Self {
        self.reason = Some(Reason::Revision(reason));
        self
    }

    pub(crate) const fn because_of_token(mut self, reason: TokenError) -> Self {
        self.reason = Some(Reason::Token(reason));
        self
    }

    pub(crate) const fn because_of_status(mut self, reason: StatusUnavailable) -> Self {
        self.reason = Some(Reason::Status(reason));
        self
    }

    pub(crate) const fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Why the request was refused.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.wire().description)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection").field("kind", &self.kind).field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.reason.as_ref()? {
            Reason::Credential(error) => Some(error),
            Reason::Revision(error) => Some(error),
            Reason::Token(error) => Some(error),
            Reason::Status(error) => Some(error),
        }
    }
}
