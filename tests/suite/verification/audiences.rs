//! A token is for whom it says, byte for byte.

use portcullis::{Issuer, Requirement, token::TokenError};
use serde_json::{Value, json};

use super::{Refusal, check, good, judge_for};
use crate::support::World;

/// Values of `aud` that are not for `https://api.example`.
fn foreign() -> Vec<Value> {
    let texts = [
        "https://other.example",
        "https://api.example/",
        "https://api.exampl",
        "ttps://api.example",
        "https://api.example.evil.example",
        "https://API.example",
        "HTTPS://api.example",
        "https://api.example:443",
        "http://api.example",
        "https://api.example https://other.example",
        "https://api.example,https://other.example",
        " https://api.example",
        "https://api.example\0",
        "api.example",
        "*",
        "",
    ];
    let texts = texts.into_iter().flat_map(|text| [json!(text), json!([text]), json!(["", text, text])]);
    texts.chain([json!([]), json!(["https://", "api.example"])]).collect()
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused_threat_7() {
    let world = World::new().await;
    for audience in foreign() {
        let name = audience.to_string();
        check(&world, [(name.as_str(), good(&world).audience(audience).build(), Err(TokenError::Audience))]).await;
    }
    let wrong = Err(TokenError::ClaimType("aud"));
    let rows = [
        ("for us", good(&world).build(), Ok(())),
        ("for us alone, in a list", good(&world).audience(["https://api.example"]).build(), Ok(())),
        ("for us too", good(&world).audience(["https://other.example", "https://api.example"]).build(), Ok(())),
        ("for nobody", good(&world).without_claim("aud").build(), Err(TokenError::Audience)),
        ("null", good(&world).audience(Value::Null).build(), wrong),
        ("a list with a number", good(&world).audience(json!(["https://api.example", 1])).build(), wrong),
        ("a list with null", good(&world).audience(json!(["https://api.example", null])).build(), wrong),
        ("a list in a list", good(&world).audience(json!([["https://api.example"]])).build(), wrong),
        ("an object", good(&world).audience(json!({ "https://api.example": true })).build(), wrong),
        ("true", good(&world).audience(true).build(), wrong),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn one_of_several_audiences_suffices_threat_7() {
    let ours = ["https://api.example", "urn:api:2"];
    let world = World::with(|_| Issuer::discover("https://issuer.test").audiences(ours), |builder| builder).await;
    let rows = [
        ("the one", good(&world).build(), Ok(())),
        ("the other", good(&world).audience("urn:api:2").build(), Ok(())),
        ("neither", good(&world).audience("urn:api:3").build(), Err(TokenError::Audience)),
        ("in other letters", good(&world).audience("URN:api:2").build(), Err(TokenError::Audience)),
        ("none", good(&world).without_claim("aud").build(), Err(TokenError::Audience)),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn a_route_may_have_an_audience_of_its_own_threat_7() {
    let issuers: [fn(Issuer) -> Issuer; 2] =
        [|issuer| issuer, |_| Issuer::discover("https://issuer.test").dangerous_any_audience()];
    for issuer in issuers {
        let world = World::with(issuer, |builder| builder).await;
        let refused = Err(Refusal::Token(TokenError::Audience));
        let rows = [
            (json!("urn:payments"), Ok(())),
            (json!(["https://api.example", "urn:payments"]), Ok(())),
            (json!("urn:ledger"), Ok(())),
            (json!("https://api.example"), refused),
            (json!("urn:payments/"), refused),
            (json!("URN:payments"), refused),
            (json!([]), refused),
        ];
        for (audience, expected) in rows {
            let requirement = Requirement::scope("pay").audience("urn:payments").audience("urn:ledger");
            let token = good(&world).scopes(["pay"]).audience(audience.clone()).build();
            let verdict = judge_for(&world, &token, requirement).await.map(|_| ());
            assert_eq!(verdict, expected, "{audience}");
        }
        let requirement = Requirement::authenticated().audience("urn:payments");
        let token = good(&world).without_claim("aud").build();
        assert_eq!(judge_for(&world, &token, requirement).await.map(|_| ()), refused);
    }
}

#[tokio::test]
async fn a_token_seen_on_one_route_is_not_for_the_other_threat_7() {
    let world = World::new().await;
    let text = good(&world).build();
    super::judge(&world, &text).await.unwrap();
    let headers = crate::support::bearer(&text);
    for (audience, accepted) in [("https://api.example", true), ("urn:payments", false)] {
        let requirement = std::sync::Arc::new(Requirement::authenticated().audience(audience));
        let input = world.authorizer.input(&headers, &requirement);
        assert_eq!(world.authorizer.authorize(&input).await.is_ok(), accepted, "{audience}");
    }
}
