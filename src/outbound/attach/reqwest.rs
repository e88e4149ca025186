//! reqwest's requests, responses and bodies → what the layer has to know of them.

use bytes::Bytes;
use http::{Extensions, HeaderMap, StatusCode};
use reqwest::{Body, Request, Response};

use super::{OutgoingRequest, ReceivedResponse, Repeat, RepeatBodies, RepeatableBody};

impl OutgoingRequest for Request {
    fn goes_to(&self, scheme: &str, host: &str, port: u16) -> bool {
        let url = self.url();
        url.scheme() == scheme && url.host_str() == Some(host) && url.port_or_known_default() == Some(port)
    }

    fn names_host(&self) -> bool {
        true
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        None
    }
}

impl ReceivedResponse for Response {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
}

impl Repeat<Request> for RepeatBodies {
    fn repeat(&self, request: &Request) -> Option<Request> {
        request.try_clone()
    }
}

/// Those in memory, by a copy. A `reqwest::Request` as a whole is repeated without.
impl RepeatableBody for Body {
    fn again(&self) -> Option<Self> {
        self.as_bytes().map(|bytes| Self::from(Bytes::copy_from_slice(bytes)))
    }
}
