//! What the tests share: an issuer, an authorizer that trusts it, and `check`, which tells what a request came to.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use portcullis::{
    AccessToken, Authorizer, AuthorizerBuilder, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    testing::{Asked, ManualClock, TestIssuer, TokenBuilder},
};

/// An issuer in process, and an authorizer on the same clock.
pub struct World {
    pub clock: ManualClock,
    pub issuer: TestIssuer,
    pub authorizer: Authorizer,
}

/// What a request came to: the token that passed, or why none did; and what the issuer was asked for it.
#[derive(Debug)]
pub struct Outcome {
    pub verdict: Result<AccessToken, RejectionKind>,
    pub asked: Asked,
}

impl World {
    /// Discovery, the audience of [`TokenBuilder`], everything else by default; the first keys are there.
    pub async fn new() -> Self {
        Self::with(|issuer| issuer, |builder| builder).await
    }

    /// The same with changes to the issuer's and the authorizer's configuration.
    pub async fn with(
        change_issuer: impl FnOnce(Issuer) -> Issuer,
        change: impl FnOnce(AuthorizerBuilder) -> AuthorizerBuilder,
    ) -> Self {
        let world = Self::cold(|_| {}, change_issuer, change);
        world.authorizer.ready(Duration::from_secs(1)).await.unwrap();
        world.issuer.reset_asked();
        world
    }

    /// The same before anything was fetched; `prepare` is what happened to the issuer until then.
    pub fn cold(
        prepare: impl FnOnce(&TestIssuer),
        change_issuer: impl FnOnce(Issuer) -> Issuer,
        change: impl FnOnce(AuthorizerBuilder) -> AuthorizerBuilder,
    ) -> Self {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
        prepare(&issuer);
        let builder = Authorizer::builder()
            .issuer(change_issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE)))
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(issuer.transport())
            .clock(clock.clone());
        let authorizer = change(builder).build().unwrap();
        Self { clock, issuer, authorizer }
    }

    /// Lets time pass, and everybody act on it.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.clock.settle().await;
    }

    /// Presents a token where any valid one will do.
    pub async fn check(&self, token: &str) -> Outcome {
        self.check_for(token, Requirement::authenticated()).await
    }

    /// Presents a token where `requirement` counts.
    pub async fn check_for(&self, token: &str, requirement: Requirement) -> Outcome {
        let before = self.issuer.asked();
        let headers = bearer(token);
        let requirement = Arc::new(requirement);
        let permit = self.authorizer.authorize(&self.authorizer.input(&headers, &requirement)).await;
        let verdict = permit.map(|permit| permit.into_token().unwrap()).map_err(|rejection| rejection.kind());
        let after = self.issuer.asked();
        let asked =
            Asked::default().with_metadata(after.metadata - before.metadata).with_jwks(after.jwks - before.jwks);
        Outcome { verdict, asked }
    }
}

/// The headers of a request with that token.
pub fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}
