//! Names and values → the body of a request, `application/x-www-form-urlencoded` (RFC 6749 appendix B).

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use url::form_urlencoded;

use super::{Endpoint, EndpointError};
use crate::crypto::Sha256;

/// The parameters of a request to an endpoint of OAuth, in their order. Has no `Debug`: some are secrets.
#[derive(Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Adds every name and value.
    pub(crate) fn add_to(&self, digest: Sha256) -> Sha256 {
        self.0.iter().fold(digest, |digest, (name, value)| digest.piece(name.as_bytes()).piece(value.as_bytes()))
    }

    /// The request that carries the form.
    pub(crate) fn post(self, endpoint: &Endpoint, headers: HeaderMap) -> Result<Request<Bytes>, EndpointError> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(&self.0);
        let mut request = Request::new(Bytes::from(body.finish()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.to_uri()?;
        *request.headers_mut() = headers;
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        Ok(request)
    }
}

/// A text as it stands in such a form, but that a space is `%20`: for a form it is the same, and servers that undo
/// percent signs only (Authlib, in Basic credentials) read it too.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Extra parameters as configured, none of them one that the protocol itself sends.
#[derive(Clone, Default)]
pub(crate) struct ExtraParameters(Vec<(String, String)>);

impl ExtraParameters {
    pub(crate) fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// The first name that cannot be used: empty, `reserved`, one of client authentication, or there twice
    /// (RFC 6749 §3.2).
    pub(crate) fn misused(&self, reserved: &[&str]) -> Option<&str> {
        const AUTHENTICATION: [&str; 4] = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];
        let mut names = self.0.iter().map(|(name, _)| name.as_str()).enumerate();
        let is_misused = |(at, name): &(usize, &str)| {
            let is_repeated = || self.0.iter().take(*at).any(|(earlier, _)| earlier == name);
            name.is_empty() || reserved.contains(name) || AUTHENTICATION.contains(name) || is_repeated()
        };
        names.find(is_misused).map(|(_, name)| name)
    }

    pub(crate) fn add_to(&self, form: &mut Form) {
        form.0.extend_from_slice(&self.0);
    }
}

impl fmt::Debug for ExtraParameters {
    /// The names alone: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_syntax_is_encoded() {
        let mut form = Form::default();
        form.push("token", "a&b=c d+e%f\u{e9}");
        let endpoint = Endpoint::parse("https://idp.example/introspect").unwrap();
        let request = form.post(&endpoint, HeaderMap::new()).unwrap();
        assert_eq!(request.body(), "token=a%26b%3Dc+d%2Be%25f%C3%A9");
        assert_eq!(request.headers()[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
    }

    #[test]
    fn a_parameter_cannot_be_smuggled_in() {
        let misused = |names: &[&str]| {
            let mut extra = ExtraParameters::default();
            names.iter().for_each(|name| extra.push((*name).to_owned(), String::new()));
            extra.misused(&["token"]).map(str::to_owned)
        };
        assert_eq!(misused(&["resource", "tenant"]), None);
        for names in [&["token"][..], &["a", "client_secret"], &[""], &["a", "b", "a"], &["client_assertion"]] {
            assert_eq!(misused(names).as_deref(), names.last().copied(), "{names:?}");
        }
    }
}
