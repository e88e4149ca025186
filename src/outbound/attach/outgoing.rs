//! Requests and responses of HTTP clients → what the layer has to know of them.

use http::{Extensions, HeaderMap, Request, Response, StatusCode, uri::Scheme};

/// A request to be sent: an [`http::Request`], reqwest's own, or that of another client.
pub trait OutgoingRequest {
    /// Whether it goes to this scheme, host and port, and nowhere else. Scheme and host are in small letters, an IPv6 address in
    /// brackets.
    fn goes_to(&self, scheme: &str, host: &str, port: u16) -> bool;

    /// Whether it says which host it goes to.
    fn names_host(&self) -> bool;

    /// Its headers.
    fn headers(&self) -> &HeaderMap;

    /// Its headers.
    fn headers_mut(&mut self) -> &mut HeaderMap;

    /// What was put along with it; `None` where that cannot be seen.
    fn extensions(&self) -> Option<&Extensions>;
}

/// An answer to it: an [`http::Response`], reqwest's own, or that of another client.
pub trait ReceivedResponse {
    /// Its status.
    fn status(&self) -> StatusCode;

    /// Its headers.
    fn headers(&self) -> &HeaderMap;
}

impl<B> OutgoingRequest for Request<B> {
    fn goes_to(&self, scheme: &str, host: &str, port: u16) -> bool {
        let uri = self.uri();
        let own_port = match uri.scheme() {
            Some(own) if *own == Scheme::HTTPS => 443,
            Some(own) if *own == Scheme::HTTP => 80,
            _ => return false,
        };
        uri.scheme_str().is_some_and(|own| own.eq_ignore_ascii_case(scheme))
            && uri.host().is_some_and(|own| own.eq_ignore_ascii_case(host))
            && uri.port_u16().unwrap_or(own_port) == port
    }

    fn names_host(&self) -> bool {
        self.uri().authority().is_some()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions())
    }
}

impl<B> ReceivedResponse for Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
}
