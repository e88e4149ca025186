//! The tower layer: an [`Authorizer`], where requests are looked up, and how refusals are written.

use std::sync::Arc;

use http::{Extensions, Response, Uri};
use tower_layer::Layer;

use super::Authorize;
use crate::{
    authorizer::{Authorizer, ConfigError},
    policy::{Location, Requirement},
    rejection::{EmptyResponder, JsonResponder, Rejection, RespondWith},
};

/// Finds out where in the route table a request is looked up.
pub type Locate = for<'r> fn(&'r Uri, &'r Extensions) -> Location<'r>;

/// Lets requests reach a service only with a valid access token that suffices for the route.
///
/// On axum, use [`portcullis::axum::layer`](crate::axum::layer), which looks routes up by the pattern that the router
/// matched. A CORS layer belongs outside of this one.
///
/// ```no_run
/// use portcullis::{Authorizer, middleware::AuthorizeLayer};
/// use tower::ServiceBuilder;
///
/// # fn example<S>(authorizer: Authorizer, service: S) {
/// let service = ServiceBuilder::new().layer(AuthorizeLayer::by_raw_path(authorizer)).service(service);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AuthorizeLayer<R = JsonResponder> {
    pub(super) authorizer: Authorizer,
    pub(super) gate: Gate,
    pub(super) responder: R,
}

/// What decides on the requirement of a request.
#[derive(Clone, Debug)]
pub(super) enum Gate {
    Table(Locate),
    Fixed(Arc<Requirement>),
}

impl AuthorizeLayer {
    /// Looks requests up in the route table by their raw path: for hyper, or around a whole router.
    ///
    /// A path that could be read in more than one way is refused with 400.
    #[must_use]
    pub fn by_raw_path(authorizer: Authorizer) -> Self {
        Self::located_by(authorizer, |uri, _| Location::Path(uri.path()))
    }

    /// Looks requests up where `locate` says: for a router that tells what it matched.
    #[must_use]
    pub fn located_by(authorizer: Authorizer, locate: Locate) -> Self {
        Self { authorizer, gate: Gate::Table(locate), responder: JsonResponder::default() }
    }

    /// Demands `requirement` of every request, whatever the table says: for a layer beside a handler.
    ///
    /// Under a layer of the same authorizer it can only tighten what that one has let through, and checks no signature
    /// a second time.
    ///
    /// # Errors
    /// Where a scope could never be granted, or the requirement needs a status source that is not configured.
    pub fn require(authorizer: Authorizer, requirement: Requirement) -> Result<Self, ConfigError> {
        let gate = Gate::Fixed(authorizer.compile(requirement)?);
        Ok(Self { authorizer, gate, responder: JsonResponder::default() })
    }
}

impl<R> AuthorizeLayer<R> {
    /// Has a closure write the body of refusals: it is handed the rejection and the finished head, whose status and
    /// challenge it had better keep.
    #[must_use]
    pub fn respond_with<F, B>(self, respond: F) -> AuthorizeLayer<RespondWith<F>>
    where
        F: Fn(&Rejection, Response<()>) -> Response<B> + Clone,
    {
        self.with_responder(RespondWith(respond))
    }

    /// Answers refusals without a body: for tonic, and for bodies that cannot be made from bytes.
    #[must_use]
    pub fn respond_empty(self) -> AuthorizeLayer<EmptyResponder> {
        self.with_responder(EmptyResponder::default())
    }

    /// Answers refusals with a [`Respond`](crate::rejection::Respond) of your own.
    #[must_use]
    pub fn with_responder<T>(self, responder: T) -> AuthorizeLayer<T> {
        AuthorizeLayer { authorizer: self.authorizer, gate: self.gate, responder }
    }
}

impl<S, R: Clone> Layer<S> for AuthorizeLayer<R> {
    type Service = Authorize<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Authorize::new(inner, self.clone())
    }
}
