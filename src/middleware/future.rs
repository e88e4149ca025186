//! The response future, written by hand: boxed only while a network wait is on.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{AuthorizeLayer, service::admit};
use crate::{
    authorizer::Permit,
    rejection::{Rejection, RequestHead, Respond},
};

/// A decision that is waiting for an answer from the network. It borrows nothing of the request.
type Asking = Pin<Box<dyn Future<Output = Result<Permit, Rejection>> + Send>>;

pin_project! {
    /// The future of [`Authorize`](super::Authorize).
    pub struct ResponseFuture<S, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, R, ReqBody, ResBody, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R, ReqBody, ResBody, F> {
        /// The inner service answers.
        Called { #[pin] future: F },
        /// The answer is a refusal.
        Refused { response: Option<Response<ResBody>> },
        /// Waiting, with the service that was polled ready and the request that it may get.
        Asking { asking: Asking, held: Option<Box<Held<S, R, ReqBody>>> },
    }
}

/// Boxed, as the wait is, so that a warm request's future carries no room for it.
struct Held<S, R, ReqBody> {
    service: S,
    request: Request<ReqBody>,
    layer: AuthorizeLayer<R>,
}

impl<S, R, ReqBody, ResBody> ResponseFuture<S, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) const fn called(future: S::Future) -> Self {
        Self { state: State::Called { future } }
    }

    pub(super) const fn refused(response: Response<ResBody>) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    pub(super) fn asking(asking: Asking, service: S, request: Request<ReqBody>, layer: AuthorizeLayer<R>) -> Self {
        Self { state: State::Asking { asking, held: Some(Box::new(Held { service, request, layer })) } }
    }
}

impl<S, R, ReqBody, ResBody> Future for ResponseFuture<S, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    #[expect(clippy::panic, reason = "polled after it was ready: a caller's mistake, as for every future")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Called { future } => return future.poll(cx),
                StateProjection::Refused { response } => match response.take() {
                    Some(response) => return Poll::Ready(Ok(response)),
                    None => panic!("polled after completion"),
                },
                StateProjection::Asking { asking, held } => {
                    let outcome = ready!(asking.as_mut().poll(cx));
                    let Some(held) = held.take() else { panic!("polled after completion") };
                    let Held { mut service, mut request, layer } = *held;
                    match outcome {
                        Ok(permit) => {
                            admit(&mut request, permit, None);
                            State::Called { future: service.call(request) }
                        }
                        Err(rejection) => {
                            let response = layer.responder.respond(&rejection, &RequestHead::of(&request));
                            State::Refused { response: Some(response) }
                        }
                    }
                }
            };
            state.set(next);
        }
    }
}

impl<S, R, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
