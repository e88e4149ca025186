//! Requests by hand, and answers as text: status, headers in alphabetical order, body.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, request::Builder};
use http_body_util::{BodyExt as _, Full};
use tower::{Service, ServiceExt as _};

/// The plainest of bodies.
pub type Plain = Full<Bytes>;

/// `GET /agents`, with this token where there is one.
pub fn request(line: &str, token: Option<&str>) -> Builder {
    let (method, uri) = line.split_once(' ').unwrap();
    let builder = Request::builder().method(method).uri(uri);
    match token {
        Some(token) => builder.header("authorization", format!("Bearer {token}")),
        None => builder,
    }
}

/// Sends a request to a service that was polled ready.
pub async fn send<S, B>(service: &S, request: Request<Plain>) -> Response<B>
where
    S: Service<Request<Plain>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
{
    service.clone().oneshot(request).await.unwrap()
}

/// `send` for a request without a body, as text.
pub async fn ask<S, B>(service: &S, line: &str, token: Option<&str>) -> String
where
    S: Service<Request<Plain>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    text(send(service, request(line, token).body(Plain::default()).unwrap()).await).await
}

/// The whole answer.
pub async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let (head, body) = response.into_parts();
    let mut lines: Vec<String> =
        head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines.insert(0, head.status.as_u16().to_string());
    let body = body.collect().await.unwrap().to_bytes();
    if !body.is_empty() {
        lines.push(String::new());
        lines.push(String::from_utf8(body.to_vec()).unwrap());
    }
    lines.join("\n")
}

/// How often a handler ran.
#[derive(Clone, Default)]
pub struct Hits(Arc<AtomicUsize>);

impl Hits {
    /// One more.
    pub fn hit(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count, which then begins anew.
    pub fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }

    /// A service that counts and answers `ok`.
    pub fn service(
        &self,
    ) -> impl Service<
        Request<Plain>,
        Response = Response<Plain>,
        Error = Infallible,
        Future = std::future::Ready<Result<Response<Plain>, Infallible>>,
    > + Clone
    + Send
    + use<> {
        let hits = self.clone();
        tower::service_fn(move |_| {
            hits.hit();
            std::future::ready(Ok(Response::new(Plain::from("ok"))))
        })
    }
}
