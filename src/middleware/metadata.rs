//! The protected resource's own metadata document (RFC 9728 §2, §3).

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use tower_service::Service;

use crate::authorizer::Authorizer;

/// A service that answers with the metadata of this resource: its identifier, its issuers, its scopes.
///
/// Mount it at [`path`](Self::path), outside of the layer or as a public route of its table.
#[derive(Clone, Debug)]
pub struct ProtectedResourceMetadata {
    path: String,
    document: Bytes,
}

#[derive(Serialize)]
struct Document<'a> {
    resource: &'a str,
    authorization_servers: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
}

impl ProtectedResourceMetadata {
    /// The document of this authorizer; `None` where no resource identifier is configured.
    #[must_use]
    pub fn of(authorizer: &Authorizer) -> Option<Self> {
        let resource = authorizer.resource();
        let document = Document {
            resource: resource.identifier.as_deref()?,
            authorization_servers: authorizer.issuer_identifiers().collect(),
            scopes_supported: authorizer.routes().scopes(),
            bearer_methods_supported: ["header"],
        };
        Some(Self { path: resource.metadata_path()?, document: serde_json::to_vec(&document).ok()?.into() })
    }

    /// Where clients look for it: `/.well-known/oauth-protected-resource`, followed by the path of the identifier.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl<ReqBody> Service<Request<ReqBody>> for ProtectedResourceMetadata {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let mut response = Response::new(Full::default());
        let headers = response.headers_mut();
        // Public, and read by browsers of other origins.
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        match *request.method() {
            Method::GET | Method::HEAD => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
                if request.method() == Method::GET {
                    *response.body_mut() = Full::from(self.document.clone());
                }
            }
            _ => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            }
        }
        ready(Ok(response))
    }
}
