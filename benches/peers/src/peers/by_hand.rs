//! A key set → what one writes without any library but `jsonwebtoken`: one function, one key.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::JwkSet};

use crate::fixture::{AUDIENCE, Claims, Failure, Fixture, ISSUER};

/// What the function needs to know.
#[derive(Clone)]
pub(crate) struct Known(Arc<(DecodingKey, Validation)>);

impl Known {
    pub(crate) fn of(fixture: &Fixture) -> Result<Self, Failure> {
        let keys: JwkSet = serde_json::from_str(&fixture.jwks)?;
        let key = keys.keys.first().ok_or("a key set without a key")?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Ok(Self(Arc::new((DecodingKey::from_jwk(key)?, validation))))
    }
}

/// For `axum::middleware::from_fn_with_state`.
pub(crate) async fn check(State(known): State<Known>, mut request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|header| header.to_str().ok());
    let Some(token) = header.and_then(|header| header.strip_prefix("Bearer ")) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let (key, validation) = &*known.0;
    match decode::<Claims>(token, key, validation) {
        Ok(token) if token.claims.suffice() => {
            request.extensions_mut().insert(token.claims);
            next.run(request).await
        }
        Ok(_) => StatusCode::FORBIDDEN.into_response(),
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}
