//! A rejection → the whole answer, in the response body of whatever service is behind.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};

use super::Rejection;

/// Writes the answer to a refused request.
pub trait Respond<B>: Clone {
    /// The answer to `rejection` of this request.
    fn respond(&self, rejection: &Rejection, request: &RequestHead<'_>) -> Response<B>;
}

/// What a responder may know of the request that it answers.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'r> {
    /// Its method.
    pub method: &'r Method,
    /// Its target.
    pub uri: &'r Uri,
    /// Its headers.
    pub headers: &'r HeaderMap,
}

impl<'r> RequestHead<'r> {
    /// The head of `request`.
    #[must_use]
    pub fn of<B>(request: &'r Request<B>) -> Self {
        Self { method: request.method(), uri: request.uri(), headers: request.headers() }
    }
}

/// The default: a small JSON body `{"error","error_description"}`, or gRPC status in trailers-only form where the
/// request was gRPC. For every body that can be made from [`Bytes`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct JsonResponder;

/// No body: gRPC status where the request was gRPC, status and challenge otherwise. For tonic, whose body cannot be
/// made from bytes.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct EmptyResponder;

/// A closure that is handed the rejection and the finished head, and adds the body.
#[derive(Clone, Copy, Debug)]
pub struct RespondWith<F>(pub(crate) F);

impl<B: From<Bytes> + Default> Respond<B> for JsonResponder {
    fn respond(&self, rejection: &Rejection, request: &RequestHead<'_>) -> Response<B> {
        if is_grpc(request.headers) {
            return rejection.grpc_head().map(|()| B::default());
        }
        let mut response =
            rejection.http_head().map(|()| B::from(Bytes::from_static(rejection.kind.wire().body.as_bytes())));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl<B: Default> Respond<B> for EmptyResponder {
    fn respond(&self, rejection: &Rejection, request: &RequestHead<'_>) -> Response<B> {
        rejection.head(request).map(|()| B::default())
    }
}

impl<F, B> Respond<B> for RespondWith<F>
where
    F: Fn(&Rejection, Response<()>) -> Response<B> + Clone,
{
    fn respond(&self, rejection: &Rejection, request: &RequestHead<'_>) -> Response<B> {
        let mut response = (self.0)(rejection, rejection.head(request));
        // Whatever the closure kept of the head, outer layers can see why.
        response.extensions_mut().insert(rejection.clone());
        response
    }
}

impl Rejection {
    /// The head in the client's terms.
    fn head(&self, request: &RequestHead<'_>) -> Response<()> {
        if is_grpc(request.headers) { self.grpc_head() } else { self.http_head() }
    }

    /// Status, challenge, `Retry-After`, and the rejection itself among the extensions.
    fn http_head(&self) -> Response<()> {
        let wire = self.kind.wire();
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(wire.status).unwrap_or(StatusCode::FORBIDDEN);
        self.add_headers(response.headers_mut());
        response.extensions_mut().insert(self.clone());
        response
    }

    /// Trailers-only (gRPC over HTTP/2, "Responses"): the status travels in the headers of an empty 200.
    fn grpc_head(&self) -> Response<()> {
        let wire = self.kind.wire();
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(wire.grpc_status));
        // Plain ASCII without a percent sign, so that it stands for itself.
        headers.insert("grpc-message", HeaderValue::from_static(wire.description));
        self.add_headers(headers);
        response.extensions_mut().insert(self.clone());
        response
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(delay) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(delay)));
        }
    }
}

/// At least one second, rounded up.
fn whole_seconds(delay: Duration) -> u64 {
    (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1)
}

/// `application/grpc`, `application/grpc+proto`, …; not `application/grpc-web`, which reads HTTP statuses, nor any
/// other type that only begins like it.
fn is_grpc(request: &HeaderMap) -> bool {
    let content_type = request.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    match content_type.split_at_checked("application/grpc".len()) {
        Some((start, rest)) => {
            start.eq_ignore_ascii_case(b"application/grpc") && matches!(rest, [] | [b'+' | b';' | b' ' | b'\t', ..])
        }
        None => false,
    }
}
