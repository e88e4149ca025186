//! One answer of a token endpoint → what it grants, or why it grants nothing (RFC 6749 §5).

use std::{borrow::Cow, fmt, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::retry_after::retry_after;
use crate::clock::UnixTime;

/// How long a token lasts of which the server does not say.
pub(crate) const UNSTATED_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// No token lasts longer, so that its end can be reckoned on any clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The members of RFC 6749 §5.1 and RFC 8693 §2.2.1, each at most once; others are ignored. Has no `Debug`: it is a token.
#[derive(Deserialize)]
#[cfg_attr(not(feature = "outbound"), allow(dead_code, reason = "a token of our own needs no more than three"))]
pub(crate) struct Granted {
    pub(crate) access_token: String,
    pub(crate) token_type: String,
    expires_in: Option<Value>,
    pub(crate) scope: Option<Value>,
    pub(crate) refresh_token: Option<Value>,
    pub(crate) issued_token_type: Option<Value>,
}

/// Why an answer grants nothing.
#[derive(Debug)]
pub(crate) enum Ungranted {
    Refused(ErrorAnswer),
    Malformed(&'static str),
}

/// What an authorization server answered instead of what it was asked for (RFC 6749 §5.2).
#[derive(Clone, Debug)]
pub(crate) struct ErrorAnswer {
    pub(crate) status: StatusCode,
    pub(crate) code: Option<&'static str>,
    pub(crate) description: ErrorDescription,
    pub(crate) retry_after: Option<Duration>,
}

/// What an authorization server wrote into `error_description`, for people to read.
///
/// Nothing vouches for it: it may be what we sent, a secret included. So it is in no error's text, and its `Debug` says
/// only whether there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorDescription(Option<Box<str>>);

impl Granted {
    /// RFC 6749 §5.1: 200, and a JSON object.
    pub(crate) fn read(answer: &Response<Bytes>, now: UnixTime) -> Result<Self, Ungranted> {
        if answer.status() != StatusCode::OK {
            return Err(Ungranted::Refused(ErrorAnswer::read(answer, now)));
        }
        json_object(answer.body())
            .ok_or(Ungranted::Malformed("not an object with access_token and token_type, each member once"))
    }

    /// The token, if it is one that `Authorization: Bearer` can carry (RFC 6750 §2.1).
    pub(crate) fn bearer(&self) -> Result<&str, &'static str> {
        if !self.token_type.eq_ignore_ascii_case("bearer") {
            return Err("its token_type is not Bearer");
        }
        let is_bearer = super::authentication::is_bearer(&self.access_token);
        is_bearer.then_some(&*self.access_token).ok_or("the token has characters that a Bearer cannot have")
    }

    /// How long it lasts, where that is said: in seconds, as a number or, as some servers write them, as text.
    pub(crate) fn lifetime(&self) -> Result<Option<Duration>, &'static str> {
        const NO_TIME: &str = "its expires_in is not a time to come";
        let lifetime = match &self.expires_in {
            None => return Ok(None),
            Some(Value::Number(number)) => match number.as_u64() {
                Some(seconds) => Duration::from_secs(seconds),
                None => {
                    let seconds = number.as_f64().ok_or(NO_TIME)?.min(LONGEST.as_secs_f64());
                    Duration::try_from_secs_f64(seconds).map_err(|_| NO_TIME)?
                }
            },
            Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Duration::from_secs(text.parse().map_err(|_| NO_TIME)?)
            }
            Some(_) => return Err(NO_TIME),
        };
        Ok(Some(lifetime.min(LONGEST)))
    }
}

impl ErrorAnswer {
    /// Whatever an answer says that is not the one that was hoped for.
    pub(crate) fn read(answer: &Response<Bytes>, now: UnixTime) -> Self {
        #[derive(Deserialize)]
        struct Failure<'b> {
            #[serde(borrow)]
            error: Cow<'b, str>,
            error_description: Option<Value>,
        }
        let failure: Option<Failure<'_>> = json_object(answer.body());
        let description = match failure.as_ref().and_then(|failure| failure.error_description.as_ref()) {
            Some(Value::String(text)) => Some(text.as_str().into()),
            _ => None,
        };
        let status = answer.status();
        let may_wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        Self {
            status,
            code: failure.and_then(|failure| known(&failure.error)),
            description: ErrorDescription(description),
            retry_after: if may_wait { retry_after(answer.headers(), now) } else { None },
        }
    }
}

/// A JSON object, and not an array, which serde would read as one.
pub(crate) fn json_object<'b, T: Deserialize<'b>>(json: &'b [u8]) -> Option<T> {
    let is_object = json.trim_ascii_start().first() == Some(&b'{');
    if is_object { serde_json::from_slice(json).ok() } else { None }
}

/// The error code, if it is one that the RFCs know: anything else could be what we sent.
fn known(code: &str) -> Option<&'static str> {
    const KNOWN: [&str; 12] = [
        // RFC 6749 §5.2, and §4.1.2.1 for those that servers write elsewhere too.
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        // RFC 8707 §2, RFC 7009 §2.2.1.
        "invalid_target",
        "unsupported_token_type",
        // RFC 6750 §3.1, where the endpoint wants a Bearer.
        "invalid_token",
        "insufficient_scope",
    ];
    KNOWN.into_iter().find(|known| *known == code)
}

impl ErrorDescription {
    /// The text as it was sent, unproved, of whatever length fits into an answer.
    #[must_use]
    pub fn untrusted(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Debug for ErrorDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "<redacted>" } else { "none" })
    }
}
