//! An issuer → our layer: by itself, with everything switched on, and without its memory.

use std::time::Duration;

use portcullis::{
    Authorizer, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    middleware::AuthorizeLayer,
    status::{Revocation, Revocations, StatusAnswer, StatusQuestion, StatusSource, TokenStatus},
};

use crate::fixture::{AUDIENCE, Failure, Fixture, ISSUER, SCOPE};

/// Says of every token that it still stands: what is measured is the word remembered, not the network.
#[derive(Debug)]
struct Stands;

impl StatusSource for Stands {
    fn identity(&self) -> String {
        "stands".to_owned()
    }

    fn ask(&self, _: &StatusQuestion) -> StatusAnswer {
        Box::pin(async { Ok(TokenStatus::active()) })
    }
}

/// How much of it is on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As it comes.
    Warm,
    /// And the issuer is asked whether the token still stands, and it is looked for among a thousand revocations.
    Watched,
    /// Without the memory of verified tokens: each request is verified as if it were the first.
    Cold,
}

/// Ready, with the keys.
pub(crate) async fn authorizer(fixture: &Fixture, mode: Mode) -> Result<Authorizer, Failure> {
    let mut issuer = Issuer::with_keys(ISSUER, KeySource::url(&fixture.jwks_url)).audience(AUDIENCE);
    if mode == Mode::Watched {
        issuer = issuer.status_source(Stands);
    }
    let routes = RouteTable::builder().get("/agents", Requirement::scope(SCOPE)).otherwise(Unlisted::Deny)?;
    let mut builder = Authorizer::builder().issuer(issuer).routes(routes);
    if mode == Mode::Watched {
        let revocations = Revocations::new();
        for number in 0..1000 {
            revocations.revoke(Revocation::token_id(Some(ISSUER), &format!("0198c9a2-{number:04}")));
        }
        builder = builder.revocations(revocations);
    }
    if mode == Mode::Cold {
        builder = builder.token_cache_bytes(0);
    }
    let authorizer = builder.build()?;
    authorizer.ready(Duration::from_secs(10)).await?;
    Ok(authorizer)
}

/// The layer with a fixed requirement, as the others have it.
pub(crate) async fn layer(fixture: &Fixture, mode: Mode) -> Result<AuthorizeLayer, Failure> {
    Ok(AuthorizeLayer::require(authorizer(fixture, mode).await?, Requirement::scope(SCOPE))?)
}
