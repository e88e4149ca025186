//! One answer of an introspection endpoint → a [`TokenStatus`], or why it is none. Pure; the table is in the module above.

use std::{borrow::Cow, fmt, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

use crate::{
    issuer::is_gone,
    status::{StatusError, TokenStatus},
};

/// What an answer other than 200 means. `retry_after` is what its header says.
pub(super) fn refusal(answer: &Response<Bytes>, retry_after: impl FnOnce() -> Option<Duration>) -> Option<StatusError> {
    let status = answer.status();
    Some(match status {
        StatusCode::OK => return None,
        StatusCode::BAD_REQUEST if is_unsupported(answer.body()) => StatusError::UnsupportedTokenType,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StatusError::ClientRefused { status },
        StatusCode::TOO_MANY_REQUESTS => StatusError::RateLimited { retry_after: retry_after() },
        StatusCode::SERVICE_UNAVAILABLE => StatusError::Server { status, retry_after: retry_after() },
        StatusCode::REQUEST_TIMEOUT => StatusError::Server { status, retry_after: None },
        // No word on any token from where there is no endpoint.
        _ if status.is_server_error() || is_gone(status) => StatusError::Server { status, retry_after: None },
        _ if status.is_client_error() => StatusError::QuestionRefused { status },
        _ if status.is_redirection() => StatusError::Malformed("a redirect, which is not followed"),
        _ => StatusError::Malformed("a status other than 200"),
    })
}

/// What an answer of 200 means that is not signed.
pub(super) fn plain(answer: &Response<Bytes>) -> Result<TokenStatus, StatusError> {
    if !answer.headers().contains_key(header::CONTENT_TYPE) || has_type(answer, "application/json") {
        described(answer.body())
    } else {
        Err(StatusError::Malformed("its Content-Type is not application/json"))
    }
}

/// Whether the answer says once, and first of all, that it is of this media type.
pub(super) fn has_type(answer: &Response<Bytes>, name: &str) -> bool {
    let mut values = answer.headers().get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (values.next(), values.next()) else { return false };
    let essence = only.to_str().ok().and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(name))
}

/// What the JSON object of RFC 7662 §2.2 says.
pub(super) fn described(json: &Bytes) -> Result<TokenStatus, StatusError> {
    let Active(is_active) = serde_json::from_slice(json)
        .map_err(|_| StatusError::Malformed("not an object with a member `active`, true or false, once"))?;
    if is_active { TokenStatus::described(json) } else { Ok(TokenStatus::inactive()) }
}

/// The member `active`: there once, and a boolean. An array is no object here, unlike for serde's derive.
struct Active(bool);

impl<'de> Deserialize<'de> for Active {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ActiveVisitor;
        impl<'de> Visitor<'de> for ActiveVisitor {
            type Value = Active;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an introspection response")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Active, A::Error> {
                let mut active = None;
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if name != "active" {
                        map.next_value::<IgnoredAny>()?;
                    } else if active.replace(map.next_value::<bool>()?).is_some() {
                        return Err(A::Error::duplicate_field("active"));
                    }
                }
                active.map(Active).ok_or_else(|| A::Error::missing_field("active"))
            }
        }
        deserializer.deserialize_map(ActiveVisitor)
    }
}

/// Whether an error answer says that tokens of this kind are not introspected (npm oidc-provider says so of every JWT).
fn is_unsupported(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Failure {
        error: String,
    }
    serde_json::from_slice(body).is_ok_and(|failure: Failure| failure.error == "unsupported_token_type")
}
