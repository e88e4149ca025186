//! Client credentials → one request for a token, and what its answer is worth (RFC 6749 §4.4.2, §5.1, §5.2).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use super::{
    ClientAuthenticationError, ClientCredentials, Endpoint, EndpointError, Environment, Published, TransportError,
    authentication::is_bearer, authenticator::Method, form::Form, place::Place, retry_after::retry_after,
};

/// More than any token that fits into a header.
const MAX_ANSWER: usize = 64 * 1024;

/// How long a token lasts of which the server does not say.
const UNSTATED_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Whatever the server says, a token is fetched anew after this.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Why we could not show who we are. Says nothing of what a server wrote but its status and an error code of the RFCs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The token endpoint could not be discovered.
    #[error("no token endpoint")]
    Discovery(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The token endpoint is no URL that can be asked.
    #[error("not a token endpoint")]
    Endpoint(#[source] EndpointError),
    /// No answer, or one that is too large.
    #[error("{url} could not be read")]
    Transport {
        /// The token endpoint.
        url: String,
        /// What went wrong.
        source: TransportError,
    },
    /// No token, but a reason.
    #[error("{url} answered {status} {}", code.unwrap_or("without an error code"))]
    Refused {
        /// The token endpoint.
        url: String,
        /// Its answer.
        status: StatusCode,
        /// Its `error`, if that is one of RFC 6749 §5.2 or RFC 8707: `invalid_client`, `unauthorized_client`, and so on.
        code: Option<&'static str>,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// What says 200 and is no answer to a request for a token.
    #[error("{url} gave no usable token: {reason}")]
    Malformed {
        /// The token endpoint.
        url: String,
        /// What is wrong with its answer.
        reason: &'static str,
    },
    /// No answer in time.
    #[error("no token within {0:?}")]
    TimedOut(Duration),
    /// The token was over before it was here.
    #[error("the token lasts {0:?}, and was longer on its way")]
    Expired(Duration),
    /// A client assertion could not be signed.
    #[error("the client assertion could not be signed")]
    Signing,
    /// The request for a token ended with the runtime that it ran on, or there is none to run it on.
    #[error("the request for a token was given up: its tokio runtime is gone")]
    Abandoned,
    /// The transport panicked.
    #[error("the transport panicked")]
    Panicked,
}

impl ClientError {
    /// Whether the server may have granted a token, and counted it, nevertheless.
    pub(super) const fn may_have_cost_a_token(&self) -> bool {
        matches!(self, Self::Malformed { .. } | Self::TimedOut(_) | Self::Expired(_))
    }
}

/// A token that was granted.
pub(super) struct Granted {
    /// `Bearer`, and the token.
    pub(super) header: HeaderValue,
    pub(super) lifetime: Duration,
}

/// Asks for a token, again and again the same.
pub(super) struct TokenRequest {
    place: Place,
    client: Method,
    form: Form,
    environment: Environment,
}

impl TokenRequest {
    pub(super) fn start(
        credentials: &ClientCredentials,
        issuer: Option<&str>,
        environment: &Environment,
    ) -> Result<Self, ClientAuthenticationError> {
        credentials.check()?;
        Ok(Self {
            place: credentials.place().start(Published::Token, issuer, environment)?,
            client: Method::prepare(credentials.authentication(), issuer)?,
            form: credentials.form(),
            environment: environment.clone(),
        })
    }

    /// Where tokens come from, for whoever reads of it.
    pub(super) fn name(&self) -> &str {
        self.place.name()
    }

    /// Asks once, without bounding the time.
    pub(super) async fn send(&self) -> Result<Granted, ClientError> {
        let endpoint = self.place.locate().await.map_err(|error| ClientError::Discovery(error.into()))?;
        let Environment { transport, clock } = &self.environment;
        let (mut headers, mut form) = (HeaderMap::new(), self.form.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        self.client.apply(&mut headers, &mut form, &endpoint, clock.now().wall())?;
        let request = form.post(&endpoint, headers).map_err(ClientError::Endpoint)?;
        let sent = transport.send(request, MAX_ANSWER).await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(source) => {
                // It may have moved.
                self.place.forget();
                return Err(ClientError::Transport { url: endpoint.to_string(), source });
            }
        };
        if matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::METHOD_NOT_ALLOWED) {
            self.place.forget();
        }
        judge(&endpoint, &answer, || retry_after(answer.headers(), clock.now().wall()))
    }
}

/// RFC 6749 §5.1. Unknown members are ignored, repeated ones refused.
#[derive(Deserialize)]
struct Success {
    access_token: String,
    token_type: String,
    expires_in: Option<Value>,
}

fn judge(
    endpoint: &Endpoint,
    answer: &Response<Bytes>,
    retry_after: impl FnOnce() -> Option<Duration>,
) -> Result<Granted, ClientError> {
    let url = || endpoint.to_string();
    let malformed = |reason| ClientError::Malformed { url: url(), reason };
    let status = answer.status();
    if status != StatusCode::OK {
        let may_wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let retry_after = if may_wait { retry_after() } else { None };
        return Err(ClientError::Refused { url: url(), status, code: error_code(answer.body()), retry_after });
    }
    let success: Success = serde_json::from_slice(answer.body())
        .map_err(|_| malformed("not an object with access_token and token_type, each once"))?;
    if !success.token_type.eq_ignore_ascii_case("bearer") {
        return Err(malformed("its token_type is not Bearer"));
    }
    if !is_bearer(&success.access_token) {
        return Err(malformed("the token has characters that a Bearer cannot have"));
    }
    let lifetime = lifetime(success.expires_in.as_ref()).ok_or(malformed("its expires_in is not a time to come"))?;
    let mut header = HeaderValue::try_from(format!("Bearer {}", success.access_token))
        .map_err(|_| malformed("the token cannot stand in a header"))?;
    header.set_sensitive(true);
    Ok(Granted { header, lifetime })
}

/// Seconds, as a number or, as some servers write them, as text. Five minutes where there is nothing; `None` for what is
/// neither, and for a token that is over already.
fn lifetime(expires_in: Option<&Value>) -> Option<Duration> {
    let seconds = match expires_in {
        None => return Some(UNSTATED_LIFETIME),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(seconds) => seconds,
            None => {
                let seconds = number.as_f64()?.min(LONGEST_LIFETIME.as_secs_f64());
                return usable(Duration::try_from_secs_f64(seconds).ok()?);
            }
        },
        Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
        Some(_) => return None,
    };
    usable(Duration::from_secs(seconds))
}

fn usable(lifetime: Duration) -> Option<Duration> {
    (lifetime >= Duration::from_secs(1)).then_some(lifetime.min(LONGEST_LIFETIME))
}

/// The `error` of an answer, if it is one that the RFCs know: anything else could be what we sent.
fn error_code(body: &[u8]) -> Option<&'static str> {
    const KNOWN: [&str; 9] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
        "server_error",
        "temporarily_unavailable",
    ];
    #[derive(Deserialize)]
    struct Failure<'b> {
        error: &'b str,
    }
    let failure: Failure<'_> = serde_json::from_slice(body).ok()?;
    KNOWN.into_iter().find(|known| *known == failure.error)
}

/// What is remembered of a failure, by all who want to know.
pub(super) type SharedError = Arc<ClientError>;

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<Granted, ClientError> {
        let endpoint = Endpoint::parse("https://idp.example/token?code=s3cret").unwrap();
        let answer = Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap();
        judge(&endpoint, &answer, || None)
    }

    #[test]
    fn only_a_usable_bearer_is_a_token() {
        let good = r#""access_token":"a.b-c_d~e+f/g==","token_type":"bEaReR""#;
        for (rest, seconds) in [
            ("", 300),
            (r#","expires_in":3600,"scope":"x","unknown":null"#, 3600),
            (r#","expires_in":"3600""#, 3600),
            (r#","expires_in":3600.5"#, 3600),
            (r#","expires_in":null"#, 300),
            (r#","expires_in":1"#, 1),
            (r#","expires_in":31536000"#, 86400),
            (r#","expires_in":1e300"#, 86400),
            (r#","expires_in":0"#, 0),
            (r#","expires_in":-5"#, 0),
            (r#","expires_in":true"#, 0),
            (r#","expires_in":"soon""#, 0),
            (r#","expires_in":"""#, 0),
            (r#","expires_in":0.5"#, 0),
            (r#","expires_in":[]"#, 0),
        ] {
            let granted = judged(200, &format!("{{{good}{rest}}}"));
            assert_eq!(granted.map_or(0, |granted| granted.lifetime.as_secs()), seconds, "{rest}");
        }
        for bad in [
            "",
            "[]",
            "null",
            "{}",
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"a","token_type":"DPoP"}"#,
            r#"{"access_token":"a","token_type":"N_A"}"#,
            r#"{"access_token":"","token_type":"Bearer"}"#,
            r#"{"access_token":"=","token_type":"Bearer"}"#,
            r#"{"access_token":"a b","token_type":"Bearer"}"#,
            r#"{"access_token":"a\r\nX-Evil: 1","token_type":"Bearer"}"#,
            r#"{"access_token":"é","token_type":"Bearer"}"#,
            r#"{"access_token":["a"],"token_type":"Bearer"}"#,
            r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
        ] {
            assert!(matches!(judged(200, bad), Err(ClientError::Malformed { .. })), "{bad}");
        }
        for status in [201, 202, 204, 206, 301, 302, 400, 401, 403, 500, 503] {
            assert!(matches!(judged(status, &format!("{{{good}}}")), Err(ClientError::Refused { .. })), "{status}");
        }
    }

    #[test]
    fn an_error_shows_a_code_that_is_known_and_nothing_else_threat_29() {
        let said = |body: &str| judged(403, body).err().unwrap().to_string();
        let body = r#"{"error":"unauthorized_client","error_description":"the secret s3cret"}"#;
        assert_eq!(said(body), "https://idp.example/token… answered 403 Forbidden unauthorized_client");
        for body in [r#"{"error":"s3cret"}"#, "s3cret", r#"{"error":{"s3cret":1}}"#] {
            assert_eq!(said(body), "https://idp.example/token… answered 403 Forbidden without an error code");
        }
    }
}
