//! The base URL of a Grantex server and an API key of it → requests as its SDKs send them, and what its errors say.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::Value;
use url::form_urlencoded;

use crate::{
    crypto::{Sha256, base64url},
    issuer::{Connection, Endpoint, EndpointError, TransportError, retry_after},
};

/// No answer of this API that is read at once is larger.
pub(super) const MAX_ANSWER: usize = 256 * 1024;

/// A Grantex server, and the API key of a developer there. Cloning shares it.
#[derive(Clone)]
pub(super) struct Api(Arc<Inner>);

struct Inner {
    /// Without a slash at its end.
    base: String,
    /// The same, as it may be printed.
    name: String,
    authorization: HeaderValue,
    fingerprint: String,
    connection: Connection,
}

/// Why a Grantex server cannot be reached as configured; found at start-up. Never says a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantexConfigError {
    /// The base URL is none that may be asked: see [`Endpoint`].
    #[error("not the base URL of a Grantex server")]
    BaseUrl(#[source] EndpointError),
    /// The base URL has a query.
    #[error("the base URL of a Grantex server has no query: {0}")]
    Query(Endpoint),
    /// No server would take the API key: it must have 16 to 512 characters, all of them visible ASCII.
    #[error("an API key has 16 to 512 visible characters; this one {0}")]
    ApiKey(&'static str),
}

impl Api {
    /// The API at `base_url`, such as `https://api.grantex.dev`, for the developer whose key this is.
    pub(super) fn new(base_url: &str, api_key: &str, connection: Connection) -> Result<Self, GrantexConfigError> {
        let base = base(base_url)?;
        let authorization = authorization(api_key)?;
        let digest = Sha256::new().piece(base.as_str().as_bytes()).piece(api_key.as_bytes()).finish();
        Ok(Self(Arc::new(Inner {
            name: base.to_string().trim_end_matches('/').to_owned(),
            base: base.as_str().trim_end_matches('/').to_owned(),
            authorization,
            fingerprint: base64url::encode(&digest),
            connection,
        })))
    }

    /// `path` begins with a slash and stands in the URL as it is; names and values of the query are encoded. A body is sent
    /// as JSON.
    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Request<Bytes>, TransportError> {
        let mut url = format!("{}{path}", self.0.base);
        if !query.is_empty() {
            url.push('?');
            let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            // For a form a space is either; for whoever undoes percent signs only, it is not.
            url.push_str(&encoded.replace('+', "%20"));
        }
        let mut request = Request::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())));
        *request.method_mut() = method;
        // Where it is longer than any URL may be.
        *request.uri_mut() =
            url.parse().map_err(|error: http::uri::InvalidUri| TransportError::Failed(error.into()))?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.0.authorization.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let agent = HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        headers.insert(header::USER_AGENT, agent);
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(request)
    }

    /// How the server is reached, and by which clock.
    pub(super) fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The base URL, without a slash at its end.
    pub(super) fn base(&self) -> &str {
        &self.0.base
    }

    /// The base URL, as it may be printed.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// What tells this server and key from others, without saying the key.
    pub(super) fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    /// The `Retry-After` of an answer.
    pub(super) fn retry_after(&self, answer: &Response<Bytes>) -> Option<Duration> {
        retry_after(answer.headers(), self.0.connection.environment().clock.now().wall())
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Api({})", self.0.name)
    }
}

/// The base URL of a server.
pub(super) fn base(url: &str) -> Result<Endpoint, GrantexConfigError> {
    let base = Endpoint::parse(url).map_err(GrantexConfigError::BaseUrl)?;
    if base.as_str().contains('?') { Err(GrantexConfigError::Query(base)) } else { Ok(base) }
}

fn authorization(api_key: &str) -> Result<HeaderValue, GrantexConfigError> {
    let wrong = |what| Err(GrantexConfigError::ApiKey(what));
    if !api_key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("has another character");
    }
    match api_key.len() {
        0..=15 => return wrong("is shorter"),
        16..=512 => {}
        _ => return wrong("is longer"),
    }
    let Ok(mut value) = HeaderValue::try_from(format!("Bearer {api_key}")) else {
        return wrong("cannot stand in a header");
    };
    value.set_sensitive(true);
    Ok(value)
}

/// What the body of an error says, as far as it says it in the way of this API. All of it is the server's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub(super) message: Option<Box<str>>,
    pub(super) code: Option<Box<str>>,
    pub(super) request_id: Option<Box<str>>,
}

impl ErrorBody {
    /// `{"message", "code", "requestId"}`; where there are none, the message is `error` or `error.message`, and the code
    /// `error.code`, as other routes and proxies write them. Whatever else it is says nothing.
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let text = |pointer: &str, longest| {
            let text = body.pointer(pointer)?.as_str()?;
            // As much as anybody will read of it.
            (!text.is_empty()).then(|| text.chars().take(longest).collect())
        };
        Self {
            message: text("/message", 500).or_else(|| text("/error", 500)).or_else(|| text("/error/message", 500)),
            code: text("/code", 100).or_else(|| text("/error/code", 100)),
            request_id: text("/requestId", 100),
        }
    }
}

/// Whether an answer of this status may be another one a moment later, whatever its body says.
pub(super) const fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "gx_live_0123456789";

    fn api(url: &str, key: &str) -> Result<Api, GrantexConfigError> {
        Api::new(url, key, Connection::new().unwrap())
    }

    #[test]
    fn a_request_is_what_the_sdks_send() {
        let api = api("https://api.grantex.dev/", KEY).unwrap();
        let body = json!({ "token": "a.b.c" });
        let request = api.request(Method::POST, "/v1/tokens/verify", &[], Some(&body)).unwrap();
        assert_eq!(request.uri(), "https://api.grantex.dev/v1/tokens/verify");
        assert_eq!(request.body(), r#"{"token":"a.b.c"}"#);
        let headers: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let agent = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            headers,
            [
                ("authorization", format!("Bearer {KEY}").as_bytes()),
                ("accept", b"application/json"),
                ("user-agent", agent.as_bytes()),
                ("content-type", b"application/json"),
            ]
        );
        let query = [("grantId", "a&b=c d+e%f\u{e9}/#?"), ("jti", "")];
        let request = api.request(Method::GET, "/v1/revocations/status", &query, None).unwrap();
        let expected =
            "https://api.grantex.dev/v1/revocations/status?grantId=a%26b%3Dc%20d%2Be%25f%C3%A9%2F%23%3F&jti=";
        assert_eq!(request.uri(), expected);
        assert!(request.body().is_empty() && !request.headers().contains_key(header::CONTENT_TYPE));
        let below = Api::new("http://127.0.0.1:3001/grantex/", KEY, Connection::new().unwrap()).unwrap();
        let request = below.request(Method::GET, "/x", &[], None).unwrap();
        assert_eq!(request.uri(), "http://127.0.0.1:3001/grantex/x");
        assert!(below.request(Method::GET, &format!("/{}", "x".repeat(70_000)), &[], None).is_err(), "too long");
    }

    #[test]
    fn what_could_not_work_is_refused_and_no_key_is_told_threat_29() {
        let long = "k".repeat(513);
        for (url, key, expected) in [
            ("http://grantex.example", KEY, "not the base URL of a Grantex server"),
            ("api.grantex.dev", KEY, "not the base URL of a Grantex server"),
            ("https://api.grantex.dev?key=s3cret", KEY, "the base URL of a Grantex server has no query"),
            ("https://api.grantex.dev?", KEY, "the base URL of a Grantex server has no query"),
            ("https://api.grantex.dev", "s3cret", "an API key has 16 to 512 visible characters; this one is shorter"),
            (
                "https://api.grantex.dev",
                "s3cret-s3cret-s",
                "an API key has 16 to 512 visible characters; this one is sh",
            ),
            ("https://api.grantex.dev", &long, "an API key has 16 to 512 visible characters; this one is longer"),
            (
                "https://api.grantex.dev",
                "s3cret s3cret s3cret",
                "an API key has 16 to 512 visible characters; this one has",
            ),
            (
                "https://api.grantex.dev",
                "s3cret-s3cret-s3cret\n",
                "an API key has 16 to 512 visible characters; this one has",
            ),
        ] {
            let error = api(url, key).expect_err(expected).to_string();
            assert!(error.starts_with(expected) && !error.contains("s3cret"), "{error}");
        }
        for length in [16, 512] {
            assert!(api("https://api.grantex.dev", &"k".repeat(length)).is_ok(), "{length}");
        }
        let (one, other) =
            (api("https://a.example", KEY).unwrap(), api("https://a.example", "another-key-of-mine").unwrap());
        let elsewhere = api("https://b.example", KEY).unwrap();
        assert!(one.fingerprint() != other.fingerprint() && one.fingerprint() != elsewhere.fingerprint());
        let request = one.request(Method::GET, "/", &[], None).unwrap();
        let shown = format!("{one:?} {} {} {request:?}", one.name(), one.fingerprint());
        assert!(shown.contains("https://a.example") && !shown.contains(KEY), "{shown}");
    }

    #[test]
    fn an_error_says_what_it_says_in_any_of_its_shapes() {
        for (body, message, code, request_id) in [
            (r#"{"message":"m","code":"C","requestId":"r"}"#, Some("m"), Some("C"), Some("r")),
            (
                r#"{"message":"Route GET:/x not found","error":"Not Found","statusCode":404}"#,
                Some("Route GET:/x not found"),
                None,
                None,
            ),
            (r#"{"error":"e"}"#, Some("e"), None, None),
            (r#"{"error":{"message":"m","code":"C"}}"#, Some("m"), Some("C"), None),
            (r#"{"code":"A","error":{"code":"B"}}"#, None, Some("A"), None),
            (r#"{"message":"","error":"e"}"#, Some("e"), None, None),
            (r#"{"message":7,"code":null,"requestId":[]}"#, None, None, None),
            ("<html>", None, None, None),
            ("", None, None, None),
        ] {
            let read = ErrorBody::read(body.as_bytes());
            assert_eq!(
                (read.message.as_deref(), read.code.as_deref(), read.request_id.as_deref()),
                (message, code, request_id),
                "{body}"
            );
        }
        let endless = ErrorBody::read(format!(r#"{{"message":"{}"}}"#, "é".repeat(9000)).as_bytes());
        assert_eq!(endless.message.unwrap().chars().count(), 500);
    }
}
