//! A request's body → the parameters of a form (RFC 6749 appendix B), each at most once.

use std::collections::BTreeMap;

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use url::form_urlencoded;

use super::answers::Problem;

/// The longest body that is read, in bytes: a token may be 16 KiB.
const MAX_BODY: usize = 32 * 1024;

/// The parameters of a form.
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Problem::request("A parameter must not stand twice."));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter, even if it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter; one without a value counts as left out (RFC 6749 §3.2).
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The token to be looked at. One that is empty is no token, and not a bad request.
    pub(crate) fn token(&self) -> Result<&str, Problem> {
        self.get("token").ok_or_else(|| Problem::request("The parameter token is missing."))
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_of_type(request.headers(), "application/x-www-form-urlencoded") {
            return Err(Problem::request("The request body must be application/x-www-form-urlencoded."));
        }
        Self::parse(&body(request).await?)
    }
}

/// Whether the body is of that type, whatever its parameters.
pub(crate) fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(media_type)
}

/// The body, if it is of a size that a good request could have.
pub(crate) async fn body(request: Request) -> Result<Bytes, Problem> {
    // What fails before that is a sender who went away, and reads no answer.
    to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| Problem::TooLarge)
}
