//! Revocations that a log takes in → answers that say where in it they stand.

use http::HeaderName;
use portcullis::status::RevocationLog;

use super::*;

#[tokio::test]
async fn the_answer_says_where_in_the_log_it_stands() {
    let (world, _) = world().await;
    let log = RevocationLog::builder().clock(world.clock.clone()).capacity(2).build();
    let name = HeaderName::from_static("revision");
    let endpoint = RevocationEndpoint::to(Revocations::new())
        .and_to(log.clone())
        .revision_header(name.clone())
        .behind(&world.authorizer, Requirement::scope("tokens:revoke"))
        .unwrap();
    let admin = world.issuer.token().scopes(["tokens:revoke"]).build();
    let revision = async |said: &'static str| {
        let answer = send(&endpoint, post(&admin, JSON, said)).await;
        (answer.status().as_u16(), answer.headers().get(&name).map(|value| value.to_str().unwrap().to_owned()))
    };
    assert_eq!(revision(r#"{"jti":"t"}"#).await, (200, Some("0-1".to_owned())));
    assert_eq!(revision(r#"[{"jti":"t"},{"jti":"u"}]"#).await, (200, Some("0-3".to_owned())));
    // No room for it: whoever revokes is told, and of no revision.
    assert_eq!(revision(r#"{"jti":"v"}"#).await, (503, None));
    assert_eq!((log.len(), log.head().to_string()), (2, "0-3".to_owned()));
}
