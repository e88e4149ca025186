//! Configured origins, and a request → whether a token may go where the request goes (RFC 6454 §4, RFC 6750 §5.3).

use http::{HeaderMap, header::HOST};
use url::Url;

use super::OutgoingRequest;
use crate::issuer::{Endpoint, EndpointError};

/// Why no token could be sent anywhere as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// None is listed.
    #[error("no origin is listed that tokens may be sent to")]
    None,
    /// Not a URL, or not one that a token may be sent to.
    #[error("not an origin that tokens may be sent to")]
    Url(#[source] EndpointError),
    /// A path or a query, neither of which would be looked at.
    #[error("{0:?} is more than an origin: scheme, host and port alone say where tokens go")]
    MoreThanAnOrigin(String),
}

/// Where tokens may go.
#[derive(Debug)]
pub(super) enum Origins {
    Listed(Vec<Origin>),
    /// Wherever the service goes by itself.
    OfTheService,
}

/// Scheme, host and port, as `Url` writes them.
#[derive(Debug)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    port: u16,
    /// What `Host` says of it: with its port, and without where that is the scheme's own.
    names: Vec<String>,
}

impl Origins {
    pub(super) fn listed(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, OriginError> {
        let origins: Vec<_> = texts.into_iter().map(|text| Origin::parse(text.as_ref())).collect::<Result<_, _>>()?;
        if origins.is_empty() { Err(OriginError::None) } else { Ok(Self::Listed(origins)) }
    }

    pub(super) fn include(&self, request: &impl OutgoingRequest) -> bool {
        match self {
            Self::Listed(origins) => origins.iter().any(|origin| {
                request.goes_to(&origin.scheme, &origin.host, origin.port) && origin.is_named_by(request.headers())
            }),
            Self::OfTheService => !request.names_host(),
        }
    }
}

impl Origin {
    fn parse(text: &str) -> Result<Self, OriginError> {
        let endpoint = Endpoint::parse(text).map_err(OriginError::Url)?;
        let not_an_origin = || OriginError::MoreThanAnOrigin(endpoint.to_string());
        let url = Url::parse(endpoint.as_str()).map_err(|_| not_an_origin())?;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(not_an_origin());
        };
        if url.path() != "/" || url.query().is_some() {
            return Err(not_an_origin());
        }
        let mut names = vec![format!("{host}:{port}")];
        if url.port().is_none() {
            names.push(host.to_owned());
        }
        Ok(Self { scheme: url.scheme().to_owned(), host: host.to_owned(), port, names })
    }

    /// A server takes a request for one to the host of its `Host` (RFC 9110 §7.1), wherever it was sent: a front end that
    /// serves many hands it on to that one, with the token.
    fn is_named_by(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (None, _) => true,
            (Some(host), None) => self.names.iter().any(|name| host.as_bytes().eq_ignore_ascii_case(name.as_bytes())),
            (Some(_), Some(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port_and_no_place_on_the_way_can_read_it() {
        for good in ["https://api.example", "https://api.example/", "http://127.0.0.1:3000", "http://[::1]:80"] {
            assert!(Origin::parse(good).is_ok(), "{good}");
        }
        let more = |text: &str| OriginError::MoreThanAnOrigin(text.to_owned());
        assert_eq!(Origin::parse("https://api.example/v1").unwrap_err(), more("https://api.example/v1"));
        assert_eq!(Origin::parse("https://api.example?key=s3cret").unwrap_err(), more("https://api.example/…"));
        for bad in ["http://api.example", "api.example", "https://u:p@api.example", "https://a.example#x", "*", ""] {
            assert!(matches!(Origin::parse(bad), Err(OriginError::Url(_))), "{bad}");
        }
        assert_eq!(Origins::listed([""; 0]).unwrap_err(), OriginError::None);
    }

    #[test]
    fn only_the_very_origin_is_meant_threat_29() {
        let origins = Origins::listed(["https://api.example", "http://127.0.0.1:3000"]).unwrap();
        let one_place = Origins::OfTheService;
        let rows = [
            ("https://api.example/x?y", true),
            ("https://api.example:443", true),
            ("HTTPS://API.Example/", true),
            ("http://127.0.0.1:3000/x", true),
            ("http://api.example/x", false),
            ("http://api.example:443/x", false),
            ("https://api.example:444/x", false),
            ("https://api.example./x", false),
            ("https://evil.example/api.example", false),
            ("https://api.example@evil.example/", false),
            ("https://api.example.evil.example/", false),
            ("https://127.0.0.1:3000/x", false),
            ("http://127.0.0.1/x", false),
            ("http://127.0.0.1:3001/x", false),
            ("api.example:443", false),
            ("/x", false),
            ("*", false),
        ];
        for (uri, is_included) in rows {
            let request = Request::builder().uri(uri).body(()).unwrap();
            assert_eq!(origins.include(&request), is_included, "{uri}");
            assert_eq!(one_place.include(&request), uri == "/x" || uri == "*", "{uri}");
            let Ok(url) = uri.parse() else { continue };
            if uri == "api.example:443" {
                continue;
            }
            let request = reqwest::Request::new(http::Method::GET, url);
            assert_eq!(origins.include(&request), is_included, "{uri}");
            assert!(!one_place.include(&request), "{uri}");
        }
    }
}
