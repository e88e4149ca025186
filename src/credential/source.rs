//! Where in a request's headers a credential stands.

use std::fmt;

use http::{
    HeaderMap,
    header::{AUTHORIZATION, COOKIE, HeaderName, SEC_WEBSOCKET_PROTOCOL},
};

use super::CredentialError;

/// A proof of possession (RFC 9449 §4.1).
static DPOP: HeaderName = HeaderName::from_static("dpop");

/// Finds the credential of a request. Size and grammar are checked afterwards, whatever the source.
///
/// ```
/// use http::HeaderMap;
/// use portcullis::credential::{CredentialError, CredentialSource};
///
/// /// `X-Api-Token: …`, and nothing else.
/// #[derive(Debug)]
/// struct ApiToken;
///
/// impl CredentialSource for ApiToken {
///     fn find<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r [u8]>, CredentialError> {
///         Ok(headers.get("x-api-token").map(|value| value.as_bytes()))
///     }
/// }
/// ```
pub trait CredentialSource: Send + Sync + fmt::Debug + 'static {
    /// The raw credential, or `None` where the request carries none.
    ///
    /// # Errors
    /// Where there is more than one, or it is not of the source's form.
    fn find<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r [u8]>, CredentialError>;
}

/// `Authorization: Bearer …`, the default: the scheme in any case, exactly one header, one credential.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AuthorizationHeader;

impl CredentialSource for AuthorizationHeader {
    fn find<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r [u8]>, CredentialError> {
        let Some(value) = only(headers, &AUTHORIZATION)? else { return Ok(None) };
        match after_scheme(value) {
            // One mechanism per request: a proof that nobody here checks must not be dropped silently.
            Some(_) if headers.contains_key(&DPOP) => Err(CredentialError::Mixed),
            found => Ok(found),
        }
    }
}

/// A cookie of that name. Mind that browsers send cookies unasked: guard against cross-site requests.
#[derive(Clone, Debug)]
pub struct Cookie {
    name: Box<str>,
}

impl Cookie {
    /// The cookie called `name`, to the letter.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.into() }
    }
}

impl CredentialSource for Cookie {
    fn find<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r [u8]>, CredentialError> {
        let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
        let values = pairs.filter_map(|pair| {
            let (name, value) = split_at_byte(pair.trim_ascii(), b'=')?;
            (name == self.name.as_bytes()).then_some(value)
        });
        alone(at_most_one(values)?, headers)
    }
}

/// A header that holds the bare token, without a scheme.
#[derive(Clone, Debug)]
pub struct Header {
    name: HeaderName,
}

impl Header {
    /// The header called `name`; exactly one may be there.
    #[must_use]
    pub const fn named(name: HeaderName) -> Self {
        Self { name }
    }
}

impl CredentialSource for Header {
    fn find<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r [u8]>, CredentialError> {
        alone(only(headers, &self.name)?, headers)
    }
}

/// `Sec-WebSocket-Protocol: <marker>, <token>`: the only header that a browser lets a page set on a WebSocket.
#[derive(Clone, Debug)]
pub struct WebSocketProtocol {
    marker: Box<str>,
}

impl WebSocketProtocol {
    /// The token is the protocol named right after `marker`.
    #[must_use]
    pub fn after(marker: &str) -> Self {
        Self { marker: marker.into() }
    }
}

impl CredentialSource for WebSocketProtocol {
    fn find<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r [u8]>, CredentialError> {
        let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let mut names = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
        let is_marker = |name: &&[u8]| *name == self.marker.as_bytes();
        if !names.any(|name| is_marker(&name)) {
            return Ok(None);
        }
        let token = names.next().ok_or(CredentialError::Malformed)?;
        if names.any(|name| is_marker(&name)) { Err(CredentialError::Repeated) } else { alone(Some(token), headers) }
    }
}

/// The value of a header that may stand once.
fn only<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Result<Option<&'r [u8]>, CredentialError> {
    at_most_one(headers.get_all(name).iter().map(http::HeaderValue::as_bytes))
}

fn at_most_one<'r>(mut values: impl Iterator<Item = &'r [u8]>) -> Result<Option<&'r [u8]>, CredentialError> {
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(CredentialError::Repeated),
        (found, None) => Ok(found),
    }
}

/// A credential found elsewhere, unless there is a bearer token in its usual place or a proof of possession too
/// (RFC 6750 §2: one method per request).
fn alone<'r>(found: Option<&'r [u8]>, headers: &HeaderMap) -> Result<Option<&'r [u8]>, CredentialError> {
    let has_bearer = || headers.get_all(AUTHORIZATION).iter().any(|value| after_scheme(value.as_bytes()).is_some());
    match found {
        Some(_) if headers.contains_key(&DPOP) => Err(CredentialError::Mixed),
        Some(_) if has_bearer() => Err(CredentialError::Repeated),
        found => Ok(found),
    }
}

/// What follows `Bearer` and its spaces (RFC 9110 §11.4: the scheme in any case, then `1*SP`); `None` for another scheme.
fn after_scheme(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    match rest {
        // The scheme without a token is Bearer all the same: malformed, not absent.
        [] | [b' ', ..] => {
            let start = rest.iter().position(|&byte| byte != b' ').unwrap_or(rest.len());
            rest.get(start..)
        }
        // `BearerX` is some other scheme.
        [b'\t' | b',' | b'=', ..] => Some(rest),
        _ => None,
    }
}

fn split_at_byte(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&candidate| candidate == byte)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::credential::{Bearer, DEFAULT_MAX_LEN, Found, find};

    fn headers(rows: &[(&'static str, &str)]) -> HeaderMap {
        rows.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn found(source: &dyn CredentialSource, rows: &[(&'static str, &str)]) -> Result<Option<String>, CredentialError> {
        let headers = headers(rows);
        let found = find(source, &headers, DEFAULT_MAX_LEN)?;
        let bearer = found.map(Found::bearer).transpose()?;
        Ok(bearer.map(|token| String::from_utf8(token.as_bytes().to_vec()).unwrap()))
    }

    #[test]
    fn a_bearer_credential_is_one_header_one_scheme_one_token_threat_10() {
        use CredentialError::{Malformed, Mixed, Repeated};
        type Row<'a> = (&'a [(&'static str, &'a str)], Result<Option<&'a str>, CredentialError>);
        let rows: &[Row<'_>] = &[
            (&[], Ok(None)),
            (&[("authorization", "Bearer abc.def.ghi")], Ok(Some("abc.def.ghi"))),
            (&[("authorization", "bearer abc")], Ok(Some("abc"))),
            (&[("authorization", "BEARER   abc==")], Ok(Some("abc=="))),
            (&[("authorization", "Basic dXNlcjpwYXNz")], Ok(None)),
            (&[("authorization", "DPoP abc")], Ok(None)),
            (&[("authorization", "BearerToken abc")], Ok(None)),
            (&[("authorization", "")], Ok(None)),
            (&[("authorization", "Bearer")], Err(Malformed)),
            (&[("authorization", "Bearer ")], Err(Malformed)),
            (&[("authorization", "Bearer\tabc")], Err(Malformed)),
            (&[("authorization", "Bearer abc def")], Err(Malformed)),
            (&[("authorization", "Bearer abc, Bearer def")], Err(Malformed)),
            (&[("authorization", "Bearer abc,def")], Err(Malformed)),
            (&[("authorization", "Bearer \"abc\"")], Err(Malformed)),
            (&[("authorization", "Bearer {\"payload\":1}")], Err(Malformed)),
            (&[("authorization", "Bearer ==")], Err(Malformed)),
            (&[("authorization", "Bearer a=b")], Err(Malformed)),
            (&[("authorization", "Bearer abc "), ("x", "y")], Err(Malformed)),
            (&[("authorization", "Bearer abc"), ("authorization", "Bearer abc")], Err(Repeated)),
            (&[("authorization", "Basic abc"), ("authorization", "Bearer abc")], Err(Repeated)),
            (&[("authorization", "Bearer abc"), ("dpop", "proof")], Err(Mixed)),
            (&[("proxy-authorization", "Bearer abc")], Ok(None)),
        ];
        for (request, expected) in rows {
            let expected = expected.map(|token| token.map(str::to_owned));
            assert_eq!(found(&AuthorizationHeader, request), expected, "{request:?}");
        }
    }

    #[test]
    fn other_sources_are_as_strict() {
        use CredentialError::{Malformed, Repeated};
        let cookie = Cookie::named("token");
        assert_eq!(found(&cookie, &[("cookie", "a=b; token=abc")]), Ok(Some("abc".into())));
        assert_eq!(found(&cookie, &[("cookie", "Token=abc; xtoken=abc")]), Ok(None));
        assert_eq!(found(&cookie, &[("cookie", "token=abc; token=def")]), Err(Repeated));
        assert_eq!(found(&cookie, &[("cookie", "token=abc"), ("cookie", "token=abc")]), Err(Repeated));
        assert_eq!(found(&cookie, &[("cookie", "token=\"abc\"")]), Err(Malformed));

        let header = Header::named(HeaderName::from_static("x-token"));
        assert_eq!(found(&header, &[("x-token", "abc")]), Ok(Some("abc".into())));
        assert_eq!(found(&header, &[("x-token", "abc"), ("x-token", "abc")]), Err(Repeated));
        assert_eq!(found(&header, &[("authorization", "Bearer abc")]), Ok(None));

        let socket = WebSocketProtocol::after("bearer");
        assert_eq!(found(&socket, &[("sec-websocket-protocol", "chat, bearer, abc")]), Ok(Some("abc".into())));
        assert_eq!(found(&socket, &[("sec-websocket-protocol", "chat")]), Ok(None));
        assert_eq!(found(&socket, &[("sec-websocket-protocol", "bearer")]), Err(Malformed));
        assert_eq!(found(&socket, &[("sec-websocket-protocol", "bearer, a, bearer, b")]), Err(Repeated));
    }

    #[test]
    fn a_credential_over_the_bound_is_not_looked_at_threat_31() {
        let long = "a".repeat(DEFAULT_MAX_LEN + 1);
        assert_eq!(
            found(&AuthorizationHeader, &[("authorization", &format!("Bearer {long}"))]),
            Err(CredentialError::TooLong)
        );
        assert!(Bearer::parse(&long.as_bytes()[1..], DEFAULT_MAX_LEN).is_ok());
    }

    #[test]
    fn a_bearer_is_never_printed_threat_29() {
        assert_eq!(format!("{:?}", Bearer::parse(b"secret", 10).unwrap()), "Bearer(<redacted>)");
    }
}
