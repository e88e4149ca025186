//! Client credentials → one request for a token, and what its answer is worth as a token of our own (RFC 6749 §4.4).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{
    ClientAuthenticationError, ClientCredentials, Endpoint, EndpointError, Environment, Published, TransportError,
    authentication::bearer,
    authenticator::Method,
    client_endpoint::{MAX_ANSWER, is_gone},
    form::Form,
    own_token::{Ask, Asking},
    place::Place,
    shared_token::{SharedToken, WAIT},
    token_answer::{self, ErrorAnswer, ErrorDescription, UNSTATED_LIFETIME, Ungranted},
};
use crate::{clock::UnixTime, crypto::Sha256};

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
        /// Its words on that.
        description: ErrorDescription,
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
    /// A way of getting tokens that is not ours gave none.
    #[error("no token could be had")]
    Source(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl ClientError {
    /// Whether the server may have granted a token, and counted it, nevertheless.
    pub(crate) const fn may_have_cost_a_token(&self) -> bool {
        matches!(self, Self::Malformed { .. } | Self::TimedOut(_) | Self::Expired(_))
    }

    /// For how long the server wants to be left alone.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// A token that was granted.
pub(crate) struct GrantedBearer {
    /// `Bearer`, and the token.
    pub(crate) header: HeaderValue,
    pub(crate) lifetime: Duration,
    /// Whether a newer one would last no longer, so that it is not renewed before its end.
    pub(crate) is_last: bool,
    /// Whether it was granted to another replica, and not asked for here.
    pub(crate) is_shared: bool,
}

/// Asks for a token, again and again the same.
pub(crate) struct TokenRequest {
    place: Place,
    client: Method,
    form: Form,
    environment: Environment,
    /// Where the token is shared with other replicas.
    shared: Option<SharedToken>,
}

/// A request is given up after this.
const TIMEOUT: Duration = Duration::from_secs(5);

impl TokenRequest {
    pub(crate) fn start(
        credentials: &ClientCredentials,
        issuer: Option<&str>,
        environment: &Environment,
    ) -> Result<Self, ClientAuthenticationError> {
        credentials.check()?;
        let place = credentials.place().start(Published::Token, issuer, environment)?;
        let shared = credentials.shared()?.and_then(|through| {
            // Another client, endpoint, scope or parameter: another token, under another name, sealed with another key.
            let purpose = credentials.add_to(place.add_to(Sha256::new()));
            SharedToken::start(through, (place.name(), purpose), &environment.clock)
        });
        Ok(Self {
            place,
            shared,
            client: Method::prepare(credentials.authentication(), issuer)?,
            form: credentials.form(),
            environment: environment.clone(),
        })
    }

    /// Asks once, without bounding the time.
    async fn send(&self) -> Result<GrantedBearer, ClientError> {
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
        if is_gone(answer.status()) {
            self.place.forget();
        }
        judge(&endpoint, &answer, clock.now().wall())
    }
}

impl Ask for TokenRequest {
    fn name(&self) -> &str {
        self.place.name()
    }

    fn ask(&self) -> Asking<'_> {
        let Some(shared) = &self.shared else { return Box::pin(self.send()) };
        Box::pin(shared.get(async || {
            tokio::select! {
                biased;
                sent = self.send() => sent,
                () = self.environment.clock.sleep(TIMEOUT) => Err(ClientError::TimedOut(TIMEOUT)),
            }
        }))
    }

    fn refused(&self, bearer: &HeaderValue) {
        if let Some(shared) = &self.shared {
            shared.refused(bearer);
        }
    }

    /// Who waits for others has as much time left to ask.
    fn timeout(&self) -> Duration {
        if self.shared.is_some() {
            TIMEOUT.saturating_add(WAIT).saturating_add(Duration::from_secs(1))
        } else {
            TIMEOUT
        }
    }
}

fn judge(endpoint: &Endpoint, answer: &Response<Bytes>, now: UnixTime) -> Result<GrantedBearer, ClientError> {
    let url = || endpoint.to_string();
    let malformed = |reason| ClientError::Malformed { url: url(), reason };
    let granted = token_answer::Granted::read(answer, now).map_err(|why| match why {
        Ungranted::Malformed(reason) => malformed(reason),
        Ungranted::Refused(ErrorAnswer { status, code, description, retry_after }) => {
            ClientError::Refused { url: url(), status, code, description, retry_after }
        }
    })?;
    let token = granted.bearer().map_err(malformed)?;
    let lifetime = granted.lifetime().map_err(malformed)?.unwrap_or(UNSTATED_LIFETIME);
    if lifetime < Duration::from_secs(1) {
        return Err(malformed("the token is over already"));
    }
    let header = bearer(token).ok_or_else(|| malformed("the token cannot stand in a header"))?;
    Ok(GrantedBearer { header, lifetime, is_last: false, is_shared: false })
}

/// What is remembered of a failure, by all who want to know.
pub(crate) type SharedError = Arc<ClientError>;

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<GrantedBearer, ClientError> {
        let endpoint = Endpoint::parse("https://idp.example/token?code=s3cret").unwrap();
        let answer = Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap();
        judge(&endpoint, &answer, UnixTime::from_secs(0))
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
            (r#","expires_in":31536000"#, 31_536_000),
            (r#","expires_in":1e300"#, 3_153_600_000),
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
            r#"["a","Bearer",3600,null,null,null]"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":0}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":0.9}"#,
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
        for body in [
            r#"{"error":"s3cret"}"#,
            "s3cret",
            r#"{"error":{"s3cret":1}}"#,
            r#"["unauthorized_client"]"#,
            r#"{"error":"invalid_client","error":"unauthorized_client"}"#,
        ] {
            assert_eq!(said(body), "https://idp.example/token… answered 403 Forbidden without an error code");
        }
        assert_eq!(
            said(r#" {"error":"invalid\u005fclient","error_description":7}"#).rsplit_once(' ').unwrap().1,
            "invalid_client"
        );
        let error = judged(403, body).err().unwrap();
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        let ClientError::Refused { description, .. } = error else { panic!("{error}") };
        assert_eq!(description.untrusted(), Some("the secret s3cret"));
    }
}
