//! A token is judged by the issuer that it names, with that issuer's keys, under that issuer's rules.

use std::time::Duration;

use portcullis::{
    Algorithm, Authorizer, Issuer, KeySource, RejectionKind, RouteTable, TokenType, Unlisted,
    testing::{Asked, ManualClock, TestIssuer, TestKey, TokenBuilder},
    token::TokenError,
};
use serde_json::{Value, json};

use super::{Refusal, check, good, judge};
use crate::support::World;

/// The world with a second issuer that is trusted too, for another audience, and of which the keys go by equal names.
async fn two() -> (World, TestIssuer) {
    let (first, clock) = ("https://issuer.test", ManualClock::new());
    let [first, second] =
        [first, "https://second.test"].map(|url| TestIssuer::builder().clock(clock.clone()).in_process(url));
    assert_eq!(first.current_key().key_id(), second.current_key().key_id());
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(first.url()).audience(TokenBuilder::AUDIENCE).token_type(TokenType::AccessTokenJwt))
        .issuer(Issuer::discover(second.url()).audience("https://second.example").leeway(Duration::ZERO))
        .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
        .shared_transport(TestIssuer::transport_of(&[&first, &second]))
        .clock(clock.clone())
        .build()
        .unwrap();
    authorizer.ready(Duration::from_secs(1)).await.unwrap();
    first.reset_asked();
    second.reset_asked();
    (World { clock, issuer: first, authorizer }, second)
}

#[tokio::test]
async fn an_issuer_signs_for_itself_alone_threat_6() {
    let (world, second) = two().await;
    let ours = || second.token().audience("https://second.example");
    let claim_first = || ours().claim("iss", "https://issuer.test").audience(TokenBuilder::AUDIENCE);
    let rows = [
        ("the first's own", good(&world).build(), Ok(())),
        ("the second's own", ours().build(), Ok(())),
        ("the second, in the name of the first", claim_first().build(), Err(TokenError::Signature)),
        ("the same without kid", claim_first().without_header("kid").build(), Err(TokenError::Signature)),
        (
            "the first, in the name of the second",
            good(&world).claim("iss", second.url()).audience("https://second.example").build(),
            Err(TokenError::Signature),
        ),
        ("the second, for the audience of the first", second.token().build(), Err(TokenError::Audience)),
        ("the second need not be strict", ours().token_type("JWT").build(), Ok(())),
        ("the first must", good(&world).token_type("JWT").build(), Err(TokenError::Kind)),
        (
            "both names",
            good(&world).claim("iss", json!([world.issuer.url(), second.url()])).build(),
            Err(TokenError::ClaimType("iss")),
        ),
    ];
    check(&world, rows).await;
    assert_eq!(second.asked(), Asked::default().with_jwks(1), "for the signature in its name");
}

#[tokio::test]
async fn an_issuer_that_is_not_configured_is_nobody_threat_6() {
    let (world, second) = two().await;
    let named = |name: &str| good(&world).claim("iss", name).build();
    let refused = Err(TokenError::Issuer);
    let rows = [
        ("unknown", named("https://evil.test"), refused),
        ("a slash more", named("https://issuer.test/"), refused),
        ("capitals", named("https://ISSUER.test"), refused),
        ("a port", named("https://issuer.test:443"), refused),
        ("another scheme", named("http://issuer.test"), refused),
        ("a part", named("https://issuer"), refused),
        ("more", named("https://issuer.test.evil.test"), refused),
        ("user information", named("https://issuer.test@evil.test"), refused),
        ("a space", named("https://issuer.test "), refused),
        ("a NUL", named("https://issuer.test\0"), refused),
        ("empty", named(""), refused),
        ("none", good(&world).without_claim("iss").build(), refused),
        ("null", good(&world).claim("iss", Value::Null).build(), Err(TokenError::ClaimType("iss"))),
        ("a number", good(&world).claim("iss", 1).build(), Err(TokenError::ClaimType("iss"))),
        ("escaped, and the same", good(&world).raw_payload(r#"{"iss":"https:\/\/issuer.t\u0065st","aud":"https://api.example","exp":1900000600,"sub":"s","client_id":"c","iat":1900000000,"jti":"j"}"#).build(), Ok(())),
    ];
    check(&world, rows).await;
    assert_eq!(second.asked(), Asked::default());
}

#[tokio::test]
async fn metadata_of_somebody_else_give_no_keys_threat_6() {
    let jwks_uri = "https://issuer.test/jwks";
    let foreign = [
        json!({ "issuer": "https://evil.test", "jwks_uri": jwks_uri }),
        json!({ "issuer": "https://issuer.test/", "jwks_uri": jwks_uri }),
        json!({ "issuer": "https://ISSUER.test", "jwks_uri": jwks_uri }),
        json!({ "issuer": "", "jwks_uri": jwks_uri }),
        json!({ "issuer": null, "jwks_uri": jwks_uri }),
        json!({ "issuer": ["https://issuer.test"], "jwks_uri": jwks_uri }),
        json!({ "jwks_uri": jwks_uri }),
        json!({ "issuer": "https://issuer.test" }),
        json!([]),
    ];
    for metadata in foreign {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
        issuer.set_metadata(metadata.clone());
        let authorizer = Authorizer::builder()
            .issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE))
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(issuer.transport())
            .clock(clock.clone())
            .build()
            .unwrap();
        let world = World { clock, issuer, authorizer };
        for token in [good(&world).build(), good(&world).tampered().build()] {
            let verdict = judge(&world, &token).await;
            assert_eq!(verdict.unwrap_err(), Refusal::Kind(RejectionKind::KeysUnavailable), "{metadata}");
        }
        assert_eq!(world.issuer.asked().jwks, 0, "{metadata}");

        // Who it is has been said at last.
        world.issuer.set_metadata(json!({ "issuer": "https://issuer.test", "jwks_uri": jwks_uri }));
        world.clock.advance(Duration::from_secs(60));
        world.clock.settle().await;
        assert!(judge(&world, &good(&world).build()).await.is_ok(), "{metadata}");
    }
}

#[tokio::test]
async fn an_issuer_without_identifier_takes_what_its_keys_signed_and_nothing_else_threat_6() {
    let key = TestKey::shared(Algorithm::ES256);
    let source = KeySource::json(key.jwk().to_string());
    let configured = |_| Issuer::without_identifier(source).audience(TokenBuilder::AUDIENCE);
    let world = World::with(configured, |builder| builder).await;
    let signed = || good(&world).signed_with(&key);
    let rows = [
        ("no iss", signed().without_claim("iss").build(), Ok(())),
        ("any iss", signed().claim("iss", "https://whoever.test").build(), Ok(())),
        ("iss of the wrong type", signed().claim("iss", 1).build(), Err(TokenError::ClaimType("iss"))),
        ("another key of that name", good(&world).key_id(key.key_id()).build(), Err(TokenError::Signature)),
        ("another audience", signed().audience("https://other.example").build(), Err(TokenError::Audience)),
        ("no audience", signed().without_claim("aud").build(), Err(TokenError::Audience)),
    ];
    check(&world, rows).await;
}
