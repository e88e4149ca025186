//! A request that says what is revoked → events for whoever takes them in (RFC 7009 §2, and JSON for all the rest).
//!
//! ```text
//! POST, application/x-www-form-urlencoded: token=…            that token, known by its text
//! POST, application/json: {"sub":"user-1"} or [{…}, {…}]       any of them, at most a thousand
//! ```
//!
//! A batch of which anything is malformed changes nothing, and nobody speaks for another issuer than their own token's.

mod refusal;
mod request;

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use refusal::Refusal;
use request::{Caller, Form};
use tower_layer::Layer as _;
use tower_service::Service;

use super::{Authorize, AuthorizeLayer, mounted::answer};
use crate::{
    authorizer::{Authorizer, ConfigError},
    observe,
    policy::{AccessToken, Requirement},
    rejection::{JsonResponder, RejectionKind, RequestHead, Respond as _},
    status::{Cursor, RevocationEvent, RevocationSink},
};

/// A service that is told what is revoked, and takes it in: mount it where administrators, or the issuer, can reach it.
///
/// It comes behind an [`AuthorizeLayer`] of its own, and answers nobody without a token that suffices. How long a body may
/// take to arrive is the server's to bound.
///
/// ```no_run
/// use portcullis::{Authorizer, Requirement, middleware::RevocationEndpoint, status::Revocations};
///
/// # fn example(authorizer: Authorizer) -> Result<axum::Router, Box<dyn std::error::Error>> {
/// let revocations = Revocations::new();
/// let endpoint =
///     RevocationEndpoint::to(revocations.clone()).behind(&authorizer, Requirement::scope("tokens:revoke"))?;
/// let app = axum::Router::new().route_service("/revocations", endpoint);
/// # Ok(app)
/// # }
/// ```
///
/// # Requests
///
/// A form (RFC 7009 §2.1) names one `token`, which is revoked by its text; 200 also where nobody knows it. Everything
/// else in the form is ignored.
///
/// JSON names one event, or an array of at most a thousand of them, in 256 KiB:
///
/// | member | |
/// |---|---|
/// | `event` | `revoke` (the default), `suspend`, `resume` |
/// | `iss` | the issuer; the caller's own by default |
/// | `jti`, `token`, `token_sha256`, `sid`, `grant` | one token, session or grant, whenever issued |
/// | `sub`, `client_id`, `act` | all tokens of a subject, client or actor |
/// | `issuer_wide` | `true`, and no other target: all tokens of the issuer |
/// | `issued_up_to` | only those issued up to then; now by our clock by default, for a subject, client, actor or issuer |
/// | `exp` | when the last of them expires |
///
/// `token` is better than a digest that the caller took of all of it: the holder of a JWT may be able to write its
/// signature in another way ([`Revocation::token`](crate::status::Revocation::token)).
///
/// Instants are seconds since the epoch. Exactly one target is named; a member that is unknown, or there twice, is
/// refused, and with it the whole batch. Nobody can speak for another issuer than that of their own token, unless
/// [`for_issuers`](RevocationEndpointBuilder::for_issuers) says so.
///
/// # Answers
///
/// 200 without a body when everything was taken in; else `{"error","error_description"}` with 400 for what is malformed,
/// 403 for a foreign issuer, 405, 413, 415, and 503 with `Retry-After` where a sink did not take it in, or not all of it:
/// send it again, with `issued_up_to` if later tokens are to pass.
///
/// Events go to [`Revocations`](crate::status::Revocations) in the name of this service: a caller who may suspend can
/// resume what this service itself suspended of the same issuer.
#[derive(Clone)]
pub struct RevocationEndpoint {
    inner: Arc<Inner>,
}

struct Inner {
    authorizer: Authorizer,
    sinks: Vec<Arc<dyn RevocationSink>>,
    issuers: Vec<Box<str>>,
    revision_header: Option<HeaderName>,
}

/// A [`RevocationEndpoint`] being configured.
#[derive(Debug)]
#[must_use]
pub struct RevocationEndpointBuilder {
    sinks: Vec<Arc<dyn RevocationSink>>,
    issuers: Vec<Box<str>>,
    revision_header: Option<HeaderName>,
}

impl RevocationEndpoint {
    /// What is revoked goes to `sink`: [`Revocations`](crate::status::Revocations), or a log that they are fed from.
    pub fn to(sink: impl RevocationSink) -> RevocationEndpointBuilder {
        RevocationEndpointBuilder { sinks: Vec::new(), issuers: Vec::new(), revision_header: None }.and_to(sink)
    }
}

impl RevocationEndpointBuilder {
    /// And to this one too, after the others have taken it in.
    pub fn and_to(mut self, sink: impl RevocationSink) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    /// Whoever is let in may speak for these issuers too, whatever their own: only where one body administers all.
    pub fn for_issuers<'i>(mut self, identifiers: impl IntoIterator<Item = &'i str>) -> Self {
        self.issuers.extend(identifiers.into_iter().map(Into::into));
        self
    }

    /// Says in this header of its answer where in the log the revocation stands, where a sink is a log: the first that
    /// says so. Whoever demands that revision of a replica is not served by
    /// one that has not heard of the revocation.
    pub fn revision_header(mut self, name: HeaderName) -> Self {
        self.revision_header = Some(name);
        self
    }

    /// The service, which lets in whose token meets `requirement`.
    ///
    /// # Errors
    /// Where no token or any valid token would be enough, or the requirement cannot be met.
    pub fn behind(
        self,
        authorizer: &Authorizer,
        requirement: Requirement,
    ) -> Result<Authorize<RevocationEndpoint>, ConfigError> {
        let (name, is_open) = (requirement.to_string(), requirement.is_met_by_any_token());
        // First what is wrong with the requirement itself.
        let layer = AuthorizeLayer::require(authorizer.clone(), requirement)?;
        if is_open {
            let reason = "not enough to revoke the tokens of others";
            return Err(ConfigError::Contradiction { requirement: name, reason });
        }
        let Self { sinks, issuers, revision_header } = self;
        let inner = Inner { authorizer: authorizer.clone(), sinks, issuers, revision_header };
        Ok(layer.layer(RevocationEndpoint { inner: Arc::new(inner) }))
    }
}

impl<B> Service<Request<B>> for RevocationEndpoint
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = self.clone();
        Box::pin(async move { Ok(endpoint.answer(request).await) })
    }
}

impl RevocationEndpoint {
    async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // The layer puts it there. Without the layer there is none, and nobody is let in.
        let Some(token) = request.extensions().get::<AccessToken>().cloned() else {
            let rejection = self.inner.authorizer.reject(RejectionKind::NoCredential);
            self.inner.authorizer.refused(&rejection);
            return JsonResponder::default().respond(&rejection, &RequestHead::of(&request));
        };
        let taken_in = async {
            let form = Form::of(request.method(), request.headers())?;
            let body = request::read(request.into_body()).await?;
            let caller = Caller { endpoint: &self.inner, token: &token };
            self.inner
                .take_in(match form {
                    Form::Json => caller.events(&body)?,
                    Form::Urlencoded => caller.token(&body)?,
                })
                .await
        };
        match taken_in.await {
            Ok(revision) => self.taken_in(revision),
            Err(refusal) => refusal.answer(),
        }
    }

    fn taken_in(&self, revision: Option<Cursor>) -> Response<Full<Bytes>> {
        let mut response = answer(StatusCode::OK, Full::default());
        if let (Some(name), Some(revision)) = (&self.inner.revision_header, revision)
            && let Ok(value) = HeaderValue::try_from(revision.to_string())
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl Inner {
    async fn take_in(&self, events: Vec<RevocationEvent>) -> Result<Option<Cursor>, Refusal> {
        let mut revision = None;
        for sink in &self.sinks {
            let position = sink.accept(events.clone()).await.map_err(|error| {
                observe::revocations_not_accepted(&error.to_string());
                Refusal::NotTakenIn
            })?;
            revision = revision.or(position);
        }
        Ok(revision)
    }
}

impl fmt::Debug for RevocationEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { sinks, issuers, .. } = &*self.inner;
        f.debug_struct("RevocationEndpoint").field("sinks", sinks).field("issuers", issuers).finish_non_exhaustive()
    }
}
