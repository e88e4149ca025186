//! A configured or published URL → [`Endpoint`]: `https`, or `http` on loopback only.

use std::fmt;

use url::{Host, Url};

/// The URL of an authorization server or of one of its endpoints.
///
/// `https` anywhere; `http` on loopback alone, where nobody is in between. No user name, password or fragment. What it
/// shows of itself, by `Display` and `Debug`, has no query: some services want their key there.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

/// Why a URL is not an [`Endpoint`]; the offending text is in the message, less what could be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not an absolute URL with a host.
    #[error("{0:?} is not an absolute http(s) URL")]
    NotAUrl(String),
    /// `http` to somewhere else than this machine.
    #[error("{0:?} must be https; http is accepted on loopback only")]
    NotHttps(String),
    /// A user name, a password or a fragment.
    #[error("{0:?} must not carry a user name, a password or a fragment")]
    Decorated(String),
    /// A query, where paths are to be added.
    #[error("{0:?} must not carry a query: paths are added to it")]
    Query(String),
    /// An authorization server elsewhere that names this machine or its link as an endpoint.
    #[error("{0:?} points at a loopback or link-local address, which its issuer does not")]
    PointsInward(String),
}

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// Where the text is not an absolute URL, is not `https` (or `http` on loopback), or carries credentials.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let not_a_url = || EndpointError::NotAUrl(shown(text));
        let url = Url::parse(text).map_err(|_| not_a_url())?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Decorated(shown(url.as_str())));
        }
        let endpoint = Self { url };
        match endpoint.url.scheme() {
            _ if endpoint.url.host().is_none() => Err(not_a_url()),
            "https" => Ok(endpoint),
            "http" if endpoint.is_loopback() => Ok(endpoint),
            "http" => Err(EndpointError::NotHttps(shown(text))),
            _ => Err(not_a_url()),
        }
    }

    /// Reads a URL that `self` published in its metadata: one that points inward is refused unless `self` does too.
    pub(crate) fn parse_published(&self, text: &str) -> Result<Self, EndpointError> {
        let endpoint = Self::parse(text)?;
        if endpoint.points_inward() && !self.points_inward() {
            return Err(EndpointError::PointsInward(shown(text)));
        }
        Ok(endpoint)
    }

    /// The well-known document `name` of the authorization server at this URL (RFC 8414 §3.1: inserted before the path).
    pub(crate) fn well_known_inserted(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(&format!("/.well-known/{name}{}", self.url.path().trim_end_matches('/')));
        Self { url }
    }

    /// The well-known document `name` of the authorization server at this URL (OpenID Connect Discovery §4: appended).
    pub(crate) fn well_known_appended(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/.well-known/{name}", self.url.path().trim_end_matches('/')));
        Self { url }
    }

    /// The whole URL, with its query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The URL as the `http` crate holds it.
    pub(crate) fn to_uri(&self) -> Result<http::Uri, EndpointError> {
        self.as_str().parse().map_err(|_| EndpointError::NotAUrl(self.to_string()))
    }

    fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Domain(name)) => {
                // Names below it are resolved by whatever resolver there is.
                name == "localhost"
            }
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    fn points_inward(&self) -> bool {
        let inward = match self.url.host() {
            Some(Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name == "localhost" || name.ends_with(".localhost")
            }
            Some(Host::Ipv4(address)) => address.is_link_local() || address.is_unspecified(),
            Some(Host::Ipv6(address)) => {
                let mapped = address.to_ipv4_mapped();
                address.is_unicast_link_local()
                    || address.is_unspecified()
                    || mapped.is_some_and(|v4| v4.is_link_local() || v4.is_loopback() || v4.is_unspecified())
            }
            _ => false,
        };
        inward || self.is_loopback()
    }
}

/// As much of a URL, or of a text that should have been one, as may be in logs: neither user name nor password, neither
/// query nor fragment, and no more than a line of what a stranger may have written.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    // A password may hold what ends a path.
    let text = match text.rsplit_once('@') {
        Some((before, rest)) => format!("{}…@{rest}", before.split_once("//").map_or("", |(scheme, _)| scheme)),
        None => text.to_owned(),
    };
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let mut shown: String = path.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.as_str()))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_only_threat_32() {
        for good in [
            "https://idp.example",
            "https://idp.example/tenant/a",
            "http://127.0.0.1:3000",
            "http://127.8.9.1/x",
            "http://[::1]:9/x",
            "http://localhost:1",
        ] {
            assert!(Endpoint::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://idp.example",
            "http://169.254.169.254/latest",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "ftp://idp.example",
            "idp.example",
            "/jwks",
            "",
            "https://",
            "https://user:secret@idp.example",
            "https://user:secret@idp.example:99999",
            "user:secret@idp.example",
            "https://user:secret@",
            "https://secret@idp.example",
            "https://secret:@idp.example",
            "https://user:se?secret#/cret@idp.example:99999",
            "http://idp.example/introspect?code=secret",
            "ftp://idp.example/?secret",
            "https://idp.example#x",
        ] {
            let error = Endpoint::parse(bad).expect_err(bad).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_shown_of_an_endpoint_has_no_query_and_is_no_longer_than_a_line_threat_29() {
        let keyed = Endpoint::parse("https://idp.example/introspect?code=secret").unwrap();
        assert_eq!(keyed.as_str(), "https://idp.example/introspect?code=secret");
        assert_eq!(keyed.to_string(), "https://idp.example/introspect…");
        assert_eq!(format!("{keyed:?}"), "Endpoint(https://idp.example/introspect…)");
        let plain = Endpoint::parse("https://idp.example/introspect").unwrap();
        assert_eq!(plain.to_string(), plain.as_str());
        let long = "x".repeat(100_000);
        for text in [long.clone(), format!("http://{long}"), format!("https://[::1]/{long}"), format!("ftp://a@{long}")]
        {
            let error = keyed.parse_published(&text).expect_err("not one to ask").to_string();
            assert!(error.len() < 400, "{}", error.len());
        }
    }

    #[test]
    fn an_outside_issuer_cannot_send_us_inside_threat_20() {
        let outside = Endpoint::parse("https://idp.example").unwrap();
        let inside = Endpoint::parse("http://127.0.0.1:3000").unwrap();
        for target in [
            "http://127.0.0.1/jwks",
            "https://127.0.0.1/jwks",
            "https://localhost/jwks",
            "https://localhost./jwks",
            "https://a.localhost/jwks",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/jwks",
            "https://[fe80::1]/jwks",
            "https://[::ffff:169.254.169.254]/jwks",
            "https://0.0.0.0/jwks",
        ] {
            assert!(outside.parse_published(target).is_err(), "{target}");
        }
        assert!(outside.parse_published("https://keys.example/jwks").is_ok());
        assert!(inside.parse_published("http://127.0.0.1:3000/jwks").is_ok());
    }

    #[test]
    fn well_known_documents_stand_where_each_standard_puts_them() {
        let rows = [
            ("https://idp.example", "https://idp.example/.well-known/x", "https://idp.example/.well-known/x"),
            ("https://idp.example/", "https://idp.example/.well-known/x", "https://idp.example/.well-known/x"),
            (
                "https://idp.example/a/b",
                "https://idp.example/.well-known/x/a/b",
                "https://idp.example/a/b/.well-known/x",
            ),
        ];
        for (issuer, inserted, appended) in rows {
            let issuer = Endpoint::parse(issuer).unwrap();
            assert_eq!(issuer.well_known_inserted("x").as_str(), inserted);
            assert_eq!(issuer.well_known_appended("x").as_str(), appended);
        }
    }
}
