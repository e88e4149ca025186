//! Deciding by hand: what was asked for one token is no answer about another (threats 12, 13, 29).

use std::sync::Arc;

use portcullis::{
    Decision, Issuer, RejectionKind, Requirement,
    authorizer::Answers,
    status::{OpaqueTokens, TokenStatus},
};
use serde_json::json;

use super::source::ByToken;
use crate::support::{World, bearer};

const REVOKED: &str = "an-opaque-token-revoked";
const GOOD: &str = "an-opaque-token-in-use";

/// A source that stands by [`GOOD`] and by every JWT whose `sub` is `good`, and by nothing else.
async fn world() -> World {
    let source = ByToken::new(|question| {
        let is_good = match question.verified() {
            Some(token) => token.subject() == Some("good"),
            None => question.token() == GOOD,
        };
        let claims =
            json!({ "active": is_good, "aud": portcullis::testing::TokenBuilder::AUDIENCE, "scope": "secret" });
        if is_good { TokenStatus::described(&claims.to_string().into()) } else { Ok(TokenStatus::inactive()) }
    });
    let change = |issuer: Issuer| issuer.status_source(source).opaque_tokens(OpaqueTokens::default());
    World::with(change, |builder| builder).await
}

#[tokio::test]
async fn an_answer_about_one_token_lets_no_other_pass_threat_12_13() {
    let world = world().await;
    let of = |subject: &str| world.issuer.token().subject(subject).build();
    let rows = [(of("good"), of("revoked")), (GOOD.to_owned(), REVOKED.to_owned()), (of("good"), REVOKED.to_owned())];
    for requirement in [Requirement::authenticated(), Requirement::authenticated().status_on_every_request()] {
        let requirement = Arc::new(requirement);
        for (good, revoked) in &rows {
            let mut answers = Answers::default();
            let (good, revoked) = (bearer(good), bearer(revoked));
            let decide = |headers, answers: &Answers| {
                let input = world.authorizer.input(headers, &requirement);
                world.authorizer.decide(&input, answers, world.authorizer.now())
            };
            while let Decision::Need(need) = decide(&good, &answers) {
                world.authorizer.ask(need, &mut answers).await;
            }
            assert!(matches!(decide(&good, &answers), Decision::Permit(_)));
            let mut next = decide(&revoked, &answers);
            while let Decision::Need(need) = next {
                world.authorizer.ask(need, &mut answers).await;
                next = decide(&revoked, &answers);
            }
            let Decision::Reject(rejection) = next else { panic!("{next:?}") };
            assert_eq!(rejection.kind(), RejectionKind::InvalidToken);
        }
    }
}

#[tokio::test]
async fn answers_do_not_print_what_they_say_threat_29() {
    let world = world().await;
    let headers = bearer(&world.issuer.token().subject("good").scopes(["secret", "more"]).build());
    let requirement = Arc::new(Requirement::authenticated());
    let input = world.authorizer.input(&headers, &requirement);
    let mut answers = Answers::default();
    let Decision::Need(need) = world.authorizer.decide(&input, &answers, world.authorizer.now()) else { panic!() };
    world.authorizer.ask(need, &mut answers).await;
    let text = format!("{answers:?}");
    assert!(!text.contains("secret"), "{text}");
}
