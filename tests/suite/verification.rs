//! Which tokens are believed: one good token, changed in one thing at a time.

mod algorithms;
mod audiences;
mod claims;
mod form;
mod issuers;
mod kinds;
mod limits;
mod scopes;
mod seen;
mod time;
mod twins;

use std::{error::Error, sync::Arc};

use portcullis::{
    AccessToken, RejectionKind, Requirement, credential::CredentialError, testing::TokenBuilder, token::TokenError,
};

use crate::support::{World, bearer};

/// Why a token was refused: the reason that the service's own logs get, or where there is none, the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Credential(CredentialError),
    Token(TokenError),
    Kind(RejectionKind),
}

/// Presents a token where any valid one will do.
pub async fn judge(world: &World, token: &str) -> Result<AccessToken, Refusal> {
    judge_for(world, token, Requirement::authenticated()).await
}

/// Presents a token where `requirement` counts.
pub async fn judge_for(world: &World, token: &str, requirement: Requirement) -> Result<AccessToken, Refusal> {
    let (headers, requirement) = (bearer(token), Arc::new(requirement));
    let permit = world.authorizer.authorize(&world.authorizer.input(&headers, &requirement)).await;
    permit.map(|permit| permit.into_token().unwrap()).map_err(|rejection| {
        let reason = rejection.source();
        let token = || reason?.downcast_ref().copied().map(Refusal::Token);
        let credential = || reason?.downcast_ref().copied().map(Refusal::Credential);
        token().or_else(credential).unwrap_or(Refusal::Kind(rejection.kind()))
    })
}

/// A row: what it is, the token, and why it is refused, if it is.
type Row<'r> = (&'r str, String, Result<(), TokenError>);

/// Every row comes to what it says. The issuer is asked at most once for all unknown keys, once for all bad
/// signatures, and for nothing else.
async fn check(world: &World, rows: impl IntoIterator<Item = Row<'_>>) {
    let before = world.issuer.asked();
    let (mut unknown_key, mut bad_signature) = (false, false);
    for (name, token, expected) in rows {
        unknown_key |= expected == Err(TokenError::UnknownKey);
        bad_signature |= matches!(expected, Err(TokenError::Signature | TokenError::Algorithm));
        let verdict = judge(world, &token).await.map(|_| ());
        assert_eq!(verdict, expected.map_err(Refusal::Token), "{name}");
    }
    let causes = u64::from(unknown_key) + u64::from(bad_signature);
    let after = world.issuer.asked();
    assert!(after.jwks <= before.jwks + causes, "{after:?}");
    assert_eq!(after.with_jwks(0), before.with_jwks(0));
}

/// A token that is right in everything that is not changed.
fn good(world: &World) -> TokenBuilder {
    world.issuer.token()
}

#[tokio::test]
async fn a_good_token_passes_and_a_tampered_one_does_not() {
    let world = World::new().await;
    let token = world.check(&good(&world).scopes(["a", "b"]).build()).await.verdict.unwrap();
    assert_eq!(token.subject(), Some("user-1"));
    assert_eq!(token.scopes().to_string(), "a b");
    let bad = world.check(&good(&world).tampered().build()).await;
    assert_eq!(bad.verdict.unwrap_err(), RejectionKind::InvalidToken);
}
