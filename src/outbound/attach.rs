//! A client-side service → the same, its requests with an access token in `Authorization` (RFC 6750 §2.1).

mod future;
mod origin;
mod outgoing;
mod repeat;
mod reqwest;

use std::{
    error::Error,
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::header::AUTHORIZATION;
use tower_layer::Layer;
use tower_service::Service;

pub use future::AttachFuture;
pub use origin::OriginError;
use origin::Origins;
pub use outgoing::{OutgoingRequest, ReceivedResponse};
pub use repeat::{NeverRepeat, Repeat, RepeatBodies, RepeatableBody};

use super::{SourceError, TokenSource};

/// Attaches access tokens to the requests of a client: a hyper-util client, a `reqwest::Client`, a tonic `Channel`.
///
/// # Where tokens go
///
/// To the origins that are listed and nowhere else, since a token that reaches another host is that host's to use
/// (RFC 6750 §5.3). Requests to other origins pass as they are. So do requests that have an `Authorization` already, and
/// those whose `Host` names another place than their URI: a front end that serves many hosts goes by that. Where the
/// service is to be told another name than where it is reached by, set `Host` below this layer.
///
/// A client below that follows redirects sends the repeated request by its own rules, and this layer sees nothing of it:
/// use one that drops `Authorization` on the way to another host, as reqwest does, or that follows none.
///
/// # What is repeated
///
/// Where the answer is 401 and a Bearer challenge in it says `invalid_token` (RFC 6750 §3.1), the source is told; if it
/// has, or can get, another token, the request is sent once more with that, and whatever is answered then is handed over.
/// The first answer is handed over where the source has no other token, and where the request cannot be repeated: see
/// [`RepeatableBody`] and [`Repeat`]. No other status and no other error is met by repeating.
///
/// Requests that are not idempotent are repeated too: a protected resource that refuses a token has done nothing else with
/// the request. For one that acts first and checks tokens afterwards, say [`never_repeating`](Self::never_repeating).
///
/// A gRPC server says the same by the status `UNAUTHENTICATED` of an answer that is 200 for HTTP: that is handed over.
///
/// # When there is no token
///
/// The request is not sent: the error is [`AttachError::Source`]. The wait for a token is as long as its source takes; the
/// sources of this crate give up an attempt after the timeout of their `Connection`; a
/// [`RefreshedToken`](super::RefreshedToken), which has to store something too, after three times that and a second.
///
/// ```
/// use portcullis::outbound::{AttachTokenLayer, FixedToken};
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let token = FixedToken::new("k3y-0f-0rders").ok_or("not a token")?;
/// let layer = AttachTokenLayer::to(["https://stock.example.com"], token)?;
/// let client = reqwest::Client::new();
/// let mut service = ServiceBuilder::new().layer(layer).service(client.clone());
///
/// let request = client.get("https://stock.example.com/items").build()?;
/// let answer: reqwest::Response = service.ready().await?.call(request).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AttachTokenLayer<P = RepeatBodies> {
    source: Arc<dyn TokenSource>,
    origins: Arc<Origins>,
    repeat: P,
}

/// A client-side service whose requests get a token: see [`AttachTokenLayer`].
#[derive(Clone)]
pub struct AttachToken<S, P = RepeatBodies> {
    inner: S,
    layer: AttachTokenLayer<P>,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// There is no token for it, and it was not sent.
    #[error("no access token for the request")]
    Source(#[source] SourceError),
    /// The service below failed, with this.
    #[error("the request failed")]
    Inner(#[source] Box<dyn Error + Send + Sync>),
}

impl AttachError {
    fn inner(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Inner(error.into())
    }
}

impl AttachTokenLayer {
    /// Attaches tokens of `source` to requests that go to one of these origins: scheme, host, and port where it is not the
    /// scheme's own, as in `https://api.example.com` or `http://127.0.0.1:3000`.
    ///
    /// # Errors
    /// Where there is none, or one is not `https` (or `http` on loopback), or has more than an origin, such as a path.
    pub fn to(
        origins: impl IntoIterator<Item = impl AsRef<str>>,
        source: impl TokenSource,
    ) -> Result<Self, OriginError> {
        let origins = Arc::new(Origins::listed(origins)?);
        Ok(Self { source: Arc::new(source), origins, repeat: RepeatBodies::default() })
    }

    /// Attaches tokens of `source` to requests whose URI names no host, and to no others: for a service that goes to one
    /// place whatever it is asked, such as tonic's `Channel`. That it is the right place, and reached by TLS, is for
    /// whoever made the service to see to.
    #[must_use]
    pub fn to_one_place(source: impl TokenSource) -> Self {
        let origins = Arc::new(Origins::OfTheService);
        Self { source: Arc::new(source), origins, repeat: RepeatBodies::default() }
    }
}

impl<P> AttachTokenLayer<P> {
    /// Hands every 401 to the caller. Also what requests need whose bodies are not [`RepeatableBody`], such as tonic's.
    #[must_use]
    pub fn never_repeating(self) -> AttachTokenLayer<NeverRepeat> {
        self.repeating_by(NeverRepeat::default())
    }

    /// Repeats requests as `repeat` does.
    #[must_use]
    pub fn repeating_by<Q>(self, repeat: Q) -> AttachTokenLayer<Q> {
        AttachTokenLayer { source: self.source, origins: self.origins, repeat }
    }
}

impl<S, P: Clone> Layer<S> for AttachTokenLayer<P> {
    type Service = AttachToken<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        AttachToken { inner, layer: self.clone() }
    }
}

impl<S, P> AttachToken<S, P> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, P, Req> Service<Req> for AttachToken<S, P>
where
    S: Service<Req> + Clone,
    S::Response: ReceivedResponse,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    Req: OutgoingRequest,
    P: Repeat<Req> + Clone,
{
    type Response = S::Response;
    type Error = AttachError;
    type Future = AttachFuture<S, P, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(AttachError::inner)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let AttachTokenLayer { source, origins, repeat } = &self.layer;
        if !origins.include(&request) || request.headers().contains_key(AUTHORIZATION) {
            return AttachFuture::passed(self.inner.call(request));
        }
        // The service that was polled ready goes along; the clone that stays has to be polled itself.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        AttachFuture::attaching(Arc::clone(source), repeat.clone(), ready, request)
    }
}

impl<S: fmt::Debug, P> fmt::Debug for AttachToken<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachToken").field("source", &self.layer.source).field("inner", &self.inner).finish()
    }
}
