//! Which tokens are believed.

use portcullis::RejectionKind;

use crate::support::World;

#[tokio::test]
async fn a_good_token_passes_and_a_tampered_one_does_not() {
    let world = World::new().await;
    let good = world.check(&world.issuer.token().scopes(["a", "b"]).build()).await;
    let token = good.verdict.unwrap();
    assert_eq!(token.subject(), Some("user-1"));
    assert_eq!(token.scopes().to_string(), "a b");
    let bad = world.check(&world.issuer.token().tampered().build()).await;
    assert_eq!(bad.verdict.unwrap_err(), RejectionKind::InvalidToken);
}
