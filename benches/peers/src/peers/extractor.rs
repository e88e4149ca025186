//! An issuer → axum-jwt-auth, which is no layer but an extractor of a handler.

use std::sync::Arc;

use axum::{body::Body, handler::Handler, http::Response};
use axum_jwt_auth::{Claims as Verified, Decoder, RemoteJwksDecoder};
use jsonwebtoken_10::{Algorithm, Validation};

use crate::{
    fixture::{AUDIENCE, Claims, Failure, Fixture, ISSUER},
    measure::Subject,
};

pub(crate) async fn subject(fixture: &Fixture) -> Result<Subject, Failure> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let decoder = RemoteJwksDecoder::builder().jwks_url(fixture.jwks_url.clone()).validation(validation).build()?;
    decoder.initialize().await?;
    let decoder: Decoder<Claims> = Arc::new(decoder);
    Ok(Subject::new(answer.with_state(decoder)))
}

async fn answer(token: Verified<Claims>) -> Response<Body> {
    std::hint::black_box(token);
    Response::new(Body::empty())
}
