//! The tower service: decide, then call the inner service or answer.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{AuthorizeLayer, ResponseFuture, layer::Gate};
use crate::{
    authorizer::{Answers, Decision, Input, Permit},
    observe,
    policy::AccessToken,
    rejection::{JsonResponder, Rejection, RejectionKind, RequestHead, Respond},
};

/// A service behind an [`AuthorizeLayer`].
///
/// The [`AccessToken`] of a permitted request is in its extensions. On a public route, and where an optional token was
/// left out, there is none, whoever may have put one there before.
#[derive(Clone, Debug)]
pub struct Authorize<S, R = JsonResponder> {
    inner: S,
    layer: AuthorizeLayer<R>,
}

/// Stands in a request's extensions where the layer let it through without a token: what a handler that needs one after
/// all can answer.
#[derive(Clone)]
#[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "read by the extractors"))]
pub(crate) struct Unauthenticated(pub(crate) Rejection);

impl<S, R> Authorize<S, R> {
    pub(super) const fn new(inner: S, layer: AuthorizeLayer<R>) -> Self {
        Self { inner, layer }
    }

    /// The service behind it.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service behind it.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service behind it.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for Authorize<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    R: Respond<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, R, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let AuthorizeLayer { authorizer, gate, responder } = &self.layer;
        let found = match gate {
            Gate::Fixed(requirement) => Ok(requirement),
            Gate::Table(locate) => {
                authorizer.requirement(request.method(), locate(request.uri(), request.extensions()))
            }
        };
        let requirement = match found {
            Ok(requirement) => requirement,
            Err(rejection) => {
                authorizer.refused(&rejection);
                return ResponseFuture::refused(responder.respond(&rejection, &RequestHead::of(&request)));
            }
        };
        let input: Input<'_> = authorizer.input(request.headers(), requirement);
        match authorizer.decide(&input, &Answers::default(), authorizer.now()) {
            Decision::Permit(permit) => {
                observe::permitted();
                authorizer.renew(&permit);
                let absent = permit.token().is_none().then(|| {
                    Unauthenticated(authorizer.reject(RejectionKind::NoCredential).with_requirement(requirement))
                });
                admit(&mut request, permit, absent);
                ResponseFuture::called(self.inner.call(request))
            }
            Decision::Reject(rejection) => {
                authorizer.refused(&rejection);
                ResponseFuture::refused(responder.respond(&rejection, &RequestHead::of(&request)))
            }
            Decision::Need(need) => {
                let (authorizer, input) = (authorizer.clone(), input.to_owned());
                let asking = Box::pin(async move { authorizer.authorize_owned(&input, need).await });
                // The service that was polled ready goes along; the clone that stays has to be polled itself.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::asking(asking, ready, request, self.layer.clone())
            }
        }
    }
}

/// Hands the token to the inner service, and sees to it that it is ours.
pub(super) fn admit<B>(request: &mut Request<B>, permit: Permit, absent: Option<Unauthenticated>) {
    let extensions = request.extensions_mut();
    match (permit.into_token(), absent) {
        (Some(token), _) => {
            extensions.remove::<Unauthenticated>();
            extensions.insert(token);
        }
        (None, absent) => {
            extensions.remove::<AccessToken>();
            if let Some(absent) = absent {
                extensions.insert(absent);
            }
        }
    }
}
