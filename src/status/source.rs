//! A [`StatusQuestion`] → a [`TokenStatus`], or why there is none: whoever can be asked whether a token still stands.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;

use crate::token::{Claims, VerifiedToken};

/// What [`StatusSource::ask`] returns.
pub type StatusAnswer = Pin<Box<dyn Future<Output = Result<TokenStatus, StatusError>> + Send>>;

/// Whoever can say whether a token still stands: its issuer, or somebody who asks it.
///
/// [`Introspection`](super::Introspection) asks by RFC 7662. A source answers one question at a time and keeps nothing:
/// answers are cached, questions joined, repeated and given up by whoever calls it, in a background task.
///
/// ```
/// use portcullis::status::{StatusAnswer, StatusQuestion, StatusSource, TokenStatus};
///
/// /// A table of our own, of tokens that were withdrawn.
/// #[derive(Debug)]
/// struct Withdrawn(Vec<String>);
///
/// impl StatusSource for Withdrawn {
///     fn identity(&self) -> String {
///         "the table of withdrawn tokens".to_owned()
///     }
///
///     fn ask(&self, question: &StatusQuestion) -> StatusAnswer {
///         let stands = !self.0.iter().any(|token| token == question.token());
///         Box::pin(async move { Ok(if stands { TokenStatus::active() } else { TokenStatus::inactive() }) })
///     }
/// }
/// ```
pub trait StatusSource: Send + Sync + fmt::Debug + 'static {
    /// What makes its answers different from those of another: endpoint and client, never a secret. It goes into the
    /// keys of caches, so that nobody is given the answer that somebody else got.
    fn identity(&self) -> String;

    /// Sends one question, once. The future may be dropped at any time; that is how its time is bounded.
    fn ask(&self, question: &StatusQuestion) -> StatusAnswer;
}

/// A token whose status is in question; cloning shares it.
#[derive(Clone)]
pub struct StatusQuestion {
    text: Arc<str>,
    verified: Option<VerifiedToken>,
}

impl StatusQuestion {
    /// About a JWT whose signature and claims hold. It has its own, so that whoever asks does not count among those in
    /// whose hands the token is.
    pub(crate) fn about(token: &VerifiedToken) -> Self {
        Self { text: ascii(token.text()), verified: Some(token.copy()) }
    }

    /// About an opaque token, of which nothing is known.
    pub(crate) fn about_opaque(text: &[u8]) -> Self {
        Self { text: ascii(text), verified: None }
    }

    /// The token's text, as it was presented.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.text
    }

    /// The token, where it is a JWT: its signature and its claims hold. None for an opaque one.
    #[must_use]
    pub const fn verified(&self) -> Option<&VerifiedToken> {
        self.verified.as_ref()
    }

    /// Whether it is opaque, so that nothing at all is known of it.
    #[must_use]
    pub const fn is_opaque(&self) -> bool {
        self.verified.is_none()
    }
}

/// A credential is ASCII; nothing else gets this far.
fn ascii(text: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(text).into()
}

impl fmt::Debug for StatusQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatusQuestion(<redacted>)")
    }
}

/// What a source says of a token.
pub struct TokenStatus(pub(super) Standing);

pub(super) enum Standing {
    Inactive,
    Active(Option<Description>),
}

/// What an issuer tells about an active token (RFC 7662 §2.2): a claims set, as it was written.
pub(super) struct Description(Bytes);

impl Description {
    pub(super) fn payload(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn claims(&self) -> Result<Claims<'_>, StatusError> {
        Claims::parse(&self.0).map_err(|_| StatusError::Malformed("the members of an active token"))
    }
}

impl TokenStatus {
    /// The issuer no longer stands by the token, or never did; why, nobody is told.
    #[must_use]
    pub const fn inactive() -> Self {
        Self(Standing::Inactive)
    }

    /// The issuer stands by the token, and says nothing else about it. Enough for a JWT; of an opaque token one has to
    /// know more.
    #[must_use]
    pub const fn active() -> Self {
        Self(Standing::Active(None))
    }

    /// The issuer stands by the token and describes it: a JSON object with the members of RFC 7662 §2.2, all optional.
    ///
    /// # Errors
    /// Where it is no such object: a member stands twice or has another type than its claim.
    pub fn described(claims: &Bytes) -> Result<Self, StatusError> {
        let description = Description(claims.clone());
        description.claims()?;
        Ok(Self(Standing::Active(Some(description))))
    }

    /// Whether the issuer stands by the token.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.0, Standing::Active(_))
    }
}

impl fmt::Debug for TokenStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_active() { "TokenStatus(active)" } else { "TokenStatus(inactive)" })
    }
}

/// Why a source gave no word on a token. Whatever it is, the token counts as neither active nor inactive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// No answer: connection, TLS or protocol trouble.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// No answer within this time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The server is in trouble (5xx), and may have said when it will be better.
    #[error("the server answered {status}")]
    Server {
        /// Its answer.
        status: StatusCode,
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Too many questions (429).
    #[error("too many questions")]
    RateLimited {
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Our own credentials were refused (401, 403).
    #[error("our own credentials were refused with {status}")]
    ClientRefused {
        /// Its answer.
        status: StatusCode,
    },
    /// We have no credentials to ask with at the moment.
    #[error("no credentials to ask with: {0}")]
    NoCredentials(String),
    /// The server cannot say anything about tokens of this kind (400 `unsupported_token_type`).
    #[error("the server does not introspect tokens of this kind")]
    UnsupportedTokenType,
    /// The server would not answer this question (another 4xx).
    #[error("the question was refused with {status}")]
    QuestionRefused {
        /// Its answer.
        status: StatusCode,
    },
    /// An answer that is none.
    #[error("a malformed answer: {0}")]
    Malformed(&'static str),
    /// The source panicked.
    #[error("the source panicked")]
    Panicked,
}

impl StatusError {
    /// Whether the same question may be answered a moment later.
    pub(super) const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Panicked => true,
            Self::Server { retry_after, .. } => retry_after.is_none(),
            _ => false,
        }
    }

    /// Whether this is about the one token in question: others may well be answered.
    pub(super) const fn is_about_the_token(&self) -> bool {
        matches!(self, Self::UnsupportedTokenType | Self::QuestionRefused { .. })
    }

    /// When to come back, where the server said so.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Server { retry_after, .. } | Self::RateLimited { retry_after } => *retry_after,
            _ => None,
        }
    }
}
