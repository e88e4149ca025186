//! axum: the layer that shares the router's reading of a request, extractors, and rejections as responses.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use portcullis::{AccessToken, Authorizer};
//!
//! async fn agents(token: AccessToken) -> String {
//!     format!("hello, {}", token.subject().unwrap_or("whoever you are"))
//! }
//!
//! # fn example(authorizer: Authorizer) {
//! let app: Router = Router::new().route("/agents", get(agents)).layer(portcullis::axum::layer(authorizer));
//! # }
//! ```

use axum::extract::{MatchedPath, OriginalUri};
use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use serde::de::DeserializeOwned;

use crate::{
    authorizer::{Authorizer, ConfigError},
    middleware::{AuthorizeLayer, Unauthenticated},
    policy::{AccessToken, Location, Requirement},
    rejection::{JsonResponder, Rejection, RequestHead, Respond},
    token::ClaimsError,
};

/// The layer for [`Router::layer`](axum::Router::layer): requests are looked up by the pattern that the router matched,
/// so that router and policy read every request alike.
///
/// Where the router tells no pattern (a fallback, a nested service, a layer around the router), the word on unlisted
/// routes applies; never a guess from the raw path. With [`Unlisted::Authenticated`](crate::Unlisted) such requests
/// need no more than a valid token, whatever the table says of paths like theirs. A router mounted as a service inside
/// of another keeps the outer pattern in its own fallback.
#[must_use]
pub fn layer(authorizer: Authorizer) -> AuthorizeLayer {
    AuthorizeLayer::located_by(authorizer, |_, extensions| match extensions.get::<MatchedPath>() {
        Some(matched) => Location::Pattern(matched.as_str()),
        None => Location::Nowhere,
    })
}

/// The layer for a table on raw paths: the path as the client sent it, also inside a nested router.
#[must_use]
pub fn raw_path_layer(authorizer: Authorizer) -> AuthorizeLayer {
    AuthorizeLayer::located_by(authorizer, |uri, extensions| {
        Location::Path(extensions.get::<OriginalUri>().map_or(uri, |original| &original.0).path())
    })
}

/// The layer for one route, beside its handler: [`AuthorizeLayer::require`].
///
/// ```no_run
/// # use axum::{Router, routing::post};
/// # use portcullis::{Authorizer, ConfigError, Requirement};
/// # fn example(authorizer: Authorizer) -> Result<Router, ConfigError> {
/// let pay = post(|| async { "paid" }).layer(portcullis::axum::require(&authorizer, Requirement::scope("pay"))?);
/// Ok(Router::new().route("/payments", pay).layer(portcullis::axum::layer(authorizer)))
/// # }
/// ```
///
/// # Errors
/// As for [`AuthorizeLayer::require`].
pub fn require(authorizer: &Authorizer, requirement: Requirement) -> Result<AuthorizeLayer, ConfigError> {
    AuthorizeLayer::require(authorizer.clone(), requirement)
}

/// Why a handler did not get its token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// No layer of this crate is around the route: the service is misconfigured, and answers 500.
    #[error("no AuthorizeLayer is around the route of this handler")]
    NoLayer,
    /// The route lets requests through without a token, and this handler needs one.
    #[error("the route lets requests through without a token, and this handler needs one")]
    Rejected(#[source] Rejection),
    /// The claims do not have the form that the handler asked for; answered 403.
    #[error("this handler needs other claims")]
    Claims(#[source] ClaimsError),
}

impl IntoResponse for ExtractError {
    fn into_response(self) -> Response {
        match self {
            Self::NoLayer => {
                let complaint =
                    "portcullis: this handler takes an access token, and no AuthorizeLayer is around its route";
                (StatusCode::INTERNAL_SERVER_ERROR, complaint).into_response()
            }
            Self::Rejected(rejection) => rejection.into_response(),
            Self::Claims(_) => {
                let body =
                    r#"{"error":"forbidden","error_description":"The access token lacks claims that are needed here"}"#;
                let json =
                    [(http::header::CONTENT_TYPE, "application/json"), (http::header::CACHE_CONTROL, "no-store")];
                (StatusCode::FORBIDDEN, json, body).into_response()
            }
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let request = http::Request::new(());
        let response: http::Response<Body> = JsonResponder::default().respond(&self, &RequestHead::of(&request));
        response
    }
}

impl<S, C> FromRequestParts<S> for AccessToken<C>
where
    S: Sync,
    C: DeserializeOwned,
{
    type Rejection = ExtractError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ExtractError> {
        match parts.extensions.get::<AccessToken>() {
            Some(token) => token.clone().with_claims().map_err(ExtractError::Claims),
            None => Err(match parts.extensions.get::<Unauthenticated>() {
                Some(Unauthenticated(rejection)) => ExtractError::Rejected(rejection.clone()),
                None => ExtractError::NoLayer,
            }),
        }
    }
}

impl<S, C> OptionalFromRequestParts<S> for AccessToken<C>
where
    S: Sync,
    C: DeserializeOwned,
{
    type Rejection = ExtractError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, ExtractError> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(token) => Ok(Some(token)),
            Err(ExtractError::Rejected(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
