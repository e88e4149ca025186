//! Whoever can reach us can send anything: how much of it is looked at is bounded.

use std::time::Duration;

use portcullis::{
    RejectionKind, Requirement,
    credential::{CredentialError, DEFAULT_MAX_LEN},
    testing::{Asked, TokenBuilder},
    token::TokenError,
};
use serde_json::{Value, json};

use super::{Refusal, check, good, judge, judge_for};
use crate::support::World;

/// A token of exactly so many bytes, signed and all.
fn of_length(token: &TokenBuilder, length: usize) -> String {
    let with = |header: usize, claim: usize| {
        let token = token.clone().claim("jti", "j").claim("x", "x".repeat(claim));
        token.header("x", "x".repeat(header)).build()
    };
    // Four characters spell three bytes, and no part has every length; two parts together do.
    let near = (length - with(0, 0).len()) / 4 * 3;
    let sizes = (0..4).flat_map(|header| (near - 9..near + 9).map(move |claim| (header, claim)));
    sizes.map(|(header, claim)| with(header, claim)).find(|token| token.len() == length).unwrap()
}

#[tokio::test]
async fn a_credential_has_a_size_up_to_which_it_is_looked_at_threat_31() {
    let too_long = Err(Refusal::Credential(CredentialError::TooLong));
    let large = |world: &World| good(world).claim("x", "x".repeat(1_000_000)).build();
    let world = World::new().await;
    let rows = [
        (of_length(&good(&world), DEFAULT_MAX_LEN), Ok(())),
        (of_length(&good(&world), DEFAULT_MAX_LEN + 1), too_long),
        ("a".repeat(DEFAULT_MAX_LEN), Err(Refusal::Token(TokenError::NotCompact))),
        ("a".repeat(DEFAULT_MAX_LEN + 1), too_long),
        (large(&world), too_long),
        ("a.b.c".repeat(200_000), too_long),
        (".".repeat(1_000_000), too_long),
        ("=".repeat(1_000_000), too_long),
    ];
    for (token, expected) in rows {
        assert_eq!(judge(&world, &token).await.map(|_| ()), expected, "{} bytes", token.len());
    }
    let outcome = world.check(&large(&world)).await;
    assert_eq!((outcome.verdict.unwrap_err(), outcome.asked), (RejectionKind::InvalidRequest, Asked::default()));

    let world = World::with(|issuer| issuer, |builder| builder.max_credential_len(1000)).await;
    let rows = [(1000, Ok(())), (1001, too_long)];
    for (length, expected) in rows {
        assert_eq!(judge(&world, &of_length(&good(&world), length)).await.map(|_| ()), expected, "{length} bytes");
    }
}

/// Where the operator wants to look at more.
async fn patient() -> World {
    World::with(|issuer| issuer, |builder| builder.max_credential_len(16 * 1024 * 1024)).await
}

#[tokio::test]
async fn a_hundred_thousand_scopes_are_a_hundred_thousand_scopes_threat_31() {
    let world = World::new().await;
    let scopes: Vec<_> = (0..100_000).map(|number| format!("scope:{number}")).collect();
    let tokens = [good(&world).scopes(&scopes), good(&world).claim("scp", scopes.clone())];
    for token in tokens {
        let outcome = world.check(&token.build()).await;
        assert_eq!((outcome.verdict.unwrap_err(), outcome.asked), (RejectionKind::InvalidRequest, Asked::default()));
    }

    let world = patient().await;
    let text = good(&world).scopes(&scopes).build();
    let token = judge_for(&world, &text, Requirement::scope("scope:99999")).await.unwrap();
    assert_eq!(token.scopes().len(), scopes.len());
    let verdict = judge_for(&world, &text, Requirement::scope("scope:100000")).await.map(|_| ());
    assert_eq!(verdict, Err(Refusal::Kind(RejectionKind::InsufficientScope)));
    // What no key of ours signed is not taken apart so far.
    let forged = good(&world).claim("scp", scopes).claim("scope", "\0").tampered().build();
    check(&world, [("forged", forged, Err(TokenError::Signature))]).await;
}

#[tokio::test]
async fn depth_and_number_break_nothing_threat_31() {
    let members = r#""iss":"https://issuer.test","aud":"https://api.example","exp":1900000600"#;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    for (world, depth) in [(World::new().await, 4000), (patient().await, 400_000)] {
        let payload = |more: &str| good(&world).raw_payload(format!("{{{members},{more}}}"));
        let key_id = world.issuer.current_key().key_id().to_owned();
        let header = |more: &str| good(&world).raw_header(format!(r#"{{"alg":"ES256","kid":"{key_id}",{more}}}"#));
        let many: Vec<_> = (0..depth / 10).map(|number| format!(r#""c{number}":0"#)).collect();
        let rows = [
            ("lists in a claim", payload(&format!(r#""x":{}"#, nested(depth))), Ok(())),
            (
                "lists in an audience",
                payload(&format!(r#""scope":{}"#, nested(depth))),
                Err(TokenError::ClaimType("scope")),
            ),
            ("objects in a word", payload(&format!(r#""typ":{}"#, objects(depth / 10))), Err(TokenError::Claims)),
            ("open lists", payload(&format!(r#""x":{}"#, "[".repeat(depth))), Err(TokenError::Claims)),
            ("nothing but lists", good(&world).raw_payload(nested(depth)), Err(TokenError::Claims)),
            ("lists in a header", header(&format!(r#""jwk":{}"#, nested(depth))), Ok(())),
            ("lists for a kid", header(&format!(r#""typ":{}"#, nested(depth))), Err(TokenError::Header)),
            ("many claims", payload(&many.join(",")), Ok(())),
            ("many claims, the last again", payload(&format!(r#"{},"c1":0"#, many.join(","))), Err(TokenError::Claims)),
            ("a number of many digits", payload(&format!(r#""x":{}"#, "1".repeat(depth))), Ok(())),
            (
                "a date of many digits",
                payload(&format!(r#""nbf":{}"#, "1".repeat(depth))),
                Err(TokenError::ClaimType("nbf")),
            ),
        ];
        check(&world, rows.map(|(name, token, expected)| (name, token.build(), expected))).await;
    }
}

#[tokio::test]
async fn a_configured_claim_and_a_type_of_ones_own_read_no_deeper_than_is_safe_threat_31() {
    let nested: Value = serde_json::from_str(&format!("{}{}", "[".repeat(100), "]".repeat(100))).unwrap();
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let members = r#""iss":"https://issuer.test","aud":"https://api.example","exp":1900000600"#;
    let text = |world: &World| good(world).raw_payload(format!(r#"{{{members},"x":{deep}}}"#)).build();
    let token = judge(&patient().await, &text(&patient().await)).await;
    assert_eq!(token.unwrap_err(), Refusal::Token(TokenError::Signature), "another issuer's key");

    let world = patient().await;
    assert!(judge(&world, &text(&world)).await.unwrap().with_claims::<Value>().is_err());
    let token = good(&world).claim("x", nested.clone()).build();
    assert_eq!(judge(&world, &token).await.unwrap().with_claims::<Value>().unwrap().claims()["x"], nested);

    let pointed = |builder: portcullis::AuthorizerBuilder| builder.max_credential_len(1024 * 1024);
    let world = World::with(|issuer| issuer.scope_claim("/x/0"), pointed).await;
    let rows = [
        ("too deep", text(&world), Err(TokenError::Claims)),
        ("deep", good(&world).claim("x", nested).build(), Err(TokenError::Scopes)),
        ("right", good(&world).claim("x", json!(["read"])).build(), Ok(())),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn forged_tokens_cause_one_question_in_a_while_threat_31() {
    let world = World::new().await;
    world.clock.advance(Duration::from_secs(11));
    for number in 0..1000 {
        let unknown = good(&world).key_id(format!("key-{number}-of-nobody")).build();
        assert_eq!(judge(&world, &unknown).await.unwrap_err(), Refusal::Token(TokenError::UnknownKey));
        let forged = good(&world).tampered().build();
        assert_eq!(judge(&world, &forged).await.unwrap_err(), Refusal::Token(TokenError::Signature));
    }
    assert_eq!(world.issuer.asked(), Asked::default().with_jwks(2), "one for each cause");
    assert!(judge(&world, &good(&world).build()).await.is_ok());
}
