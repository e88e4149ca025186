//! Scopes are whole tokens, in the one claim that holds them.

use portcullis::{RejectionKind, Requirement, testing::TokenBuilder, token::TokenError};
use serde_json::{Value, json};

use super::{Refusal, good, judge_for};
use crate::support::World;

const INSUFFICIENT: Result<(), Refusal> = Err(Refusal::Kind(RejectionKind::InsufficientScope));
const MALFORMED: Result<(), Refusal> = Err(Refusal::Token(TokenError::Scopes));
const fn wrong(name: &'static str) -> Result<(), Refusal> {
    Err(Refusal::Token(TokenError::ClaimType(name)))
}

/// Every token comes to what it says where `read` is required.
async fn check(world: &World, rows: impl IntoIterator<Item = (Value, TokenBuilder, Result<(), Refusal>)>) {
    for (name, token, expected) in rows {
        let verdict = judge_for(world, &token.build(), Requirement::scope("read")).await.map(|_| ());
        assert_eq!(verdict, expected, "{name}");
    }
}

#[tokio::test]
async fn a_scope_is_a_whole_token_threat_8() {
    let world = World::new().await;
    let texts = [
        ("read", Ok(())),
        ("write read", Ok(())),
        ("read write", Ok(())),
        ("read  write", Ok(())),
        (" read ", Ok(())),
        ("read read", Ok(())),
        ("readonly", INSUFFICIENT),
        ("pread", INSUFFICIENT),
        ("read:all", INSUFFICIENT),
        ("a:read", INSUFFICIENT),
        ("read,write", INSUFFICIENT),
        ("Read", INSUFFICIENT),
        ("READ", INSUFFICIENT),
        ("rea d", INSUFFICIENT),
        ("*", INSUFFICIENT),
        ("", INSUFFICIENT),
        (" ", INSUFFICIENT),
        ("read\twrite", MALFORMED),
        ("read\nwrite", MALFORMED),
        ("write\0read", MALFORMED),
        ("read\0", MALFORMED),
        ("read\u{a0}write", MALFORMED),
        ("read\u{200b}", MALFORMED),
        ("re\u{e4}d read", MALFORMED),
        ("\"read\"", MALFORMED),
        ("read \\", MALFORMED),
    ];
    for claim in ["scope", "scp"] {
        let rows = texts.map(|(text, expected)| (json!(text), good(&world).claim(claim, text), expected));
        check(&world, rows).await;
    }
}

#[tokio::test]
async fn an_element_of_a_list_is_one_scope_threat_8() {
    let world = World::new().await;
    for claim in ["scope", "scp"] {
        let rows = [
            (json!(["read"]), Ok(())),
            (json!(["write", "read"]), Ok(())),
            (json!(["read", "read"]), Ok(())),
            (json!([]), INSUFFICIENT),
            (json!(["readonly"]), INSUFFICIENT),
            (json!(["re", "ad"]), INSUFFICIENT),
            (json!(["read write"]), MALFORMED),
            (json!(["write", "x read"]), MALFORMED),
            (json!(["read", ""]), MALFORMED),
            (json!(["read", " "]), MALFORMED),
            (json!([" read"]), MALFORMED),
            (json!(["read\t"]), MALFORMED),
            (json!(["read", "a\0"]), MALFORMED),
            (json!(["read", 1]), wrong(claim)),
            (json!(["read", null]), wrong(claim)),
            (json!([["read"]]), wrong(claim)),
            (json!({ "read": true }), wrong(claim)),
            (json!(1), wrong(claim)),
            (json!(true), wrong(claim)),
            (Value::Null, wrong(claim)),
        ];
        check(&world, rows.map(|(list, expected)| (list.clone(), good(&world).claim(claim, list), expected))).await;
    }
    check(&world, [(json!("no claim at all"), good(&world), INSUFFICIENT)]).await;
}

#[tokio::test]
async fn two_claims_must_say_the_same_threat_8() {
    let world = World::new().await;
    let rows = [
        (json!("read"), json!("read"), Ok(())),
        (json!("read write"), json!(["write", "read"]), Ok(())),
        (json!(["read"]), json!("read  read"), Ok(())),
        (json!("write"), json!(["write"]), INSUFFICIENT),
        (json!("read"), json!("write"), MALFORMED),
        (json!("read"), json!(["read", "admin"]), MALFORMED),
        (json!("read admin"), json!("read"), MALFORMED),
        (json!("read"), json!(""), MALFORMED),
        (json!([]), json!("read"), MALFORMED),
        (json!("read"), json!("read\t"), MALFORMED),
        (json!("read"), Value::Null, wrong("scp")),
        (Value::Null, json!("read"), wrong("scope")),
    ];
    let rows = rows.map(|(scope, scp, expected)| {
        (json!([scope, scp]), good(&world).claim("scope", scope).claim("scp", scp), expected)
    });
    check(&world, rows).await;
}

#[tokio::test]
async fn the_claim_that_is_configured_is_the_only_one_threat_8() {
    let both = |world: &World, scope, scp| good(world).claim("scope", scope).claim("scp", scp);
    for (claim, other) in [("scope", "scp"), ("scp", "scope")] {
        let world = World::with(|issuer| issuer.scope_claim(claim), |builder| builder).await;
        let rows = [
            (json!("both"), both(&world, "read", "read"), Ok(())),
            (json!("the one"), good(&world).claim(claim, "read").claim(other, "write"), Ok(())),
            (json!("the other"), good(&world).claim(claim, "write").claim(other, "read"), INSUFFICIENT),
            (json!("the other alone"), good(&world).claim(other, "read"), INSUFFICIENT),
        ];
        check(&world, rows).await;
    }
    let world = World::with(|issuer| issuer.scope_claim("https://acme.example/scopes"), |builder| builder).await;
    let named = |value: Value| good(&world).claim("https://acme.example/scopes", value);
    let rows = [
        (json!("text"), named(json!("write read")), Ok(())),
        (json!("a list"), named(json!(["read"])), Ok(())),
        (json!("a delimiter in a list"), named(json!(["write read"])), INSUFFICIENT),
        (json!("a role that is no scope"), named(json!(["default roles", "Büro", "read"])), Ok(())),
        (json!("null"), named(Value::Null), MALFORMED),
        (json!("an object"), named(json!({ "read": true })), MALFORMED),
        (json!("a list with a number"), named(json!(["read", 1])), MALFORMED),
        (json!("none"), good(&world), INSUFFICIENT),
        (json!("scope alone"), good(&world).scopes(["read"]), INSUFFICIENT),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn a_pointer_leads_to_scopes_within_a_claim_threat_8() {
    let world = World::with(|issuer| issuer.scope_claim("/realm_access/roles"), |builder| builder).await;
    let roles = |value: Value| good(&world).claim("realm_access", json!({ "roles": value }));
    let rows = [
        (json!("a list"), roles(json!(["write", "read"])), Ok(())),
        (json!("text"), roles(json!("write read")), Ok(())),
        (json!("others"), roles(json!(["readonly"])), INSUFFICIENT),
        (json!("null"), roles(Value::Null), MALFORMED),
        (json!("deeper"), roles(json!({ "roles": ["read"] })), MALFORMED),
        (json!("nothing there"), good(&world).claim("realm_access", json!({})), INSUFFICIENT),
        (json!("not an object"), good(&world).claim("realm_access", "roles"), INSUFFICIENT),
        (json!("a claim of that very name"), good(&world).claim("/realm_access/roles", "read"), INSUFFICIENT),
        (json!("at the top"), good(&world).claim("roles", json!(["read"])).scopes(["read"]), INSUFFICIENT),
        (json!("another client's"), good(&world).claim("resource_access", json!({ "roles": ["read"] })), INSUFFICIENT),
    ];
    check(&world, rows).await;

    let world = World::with(|issuer| issuer.scope_claim("/https:~1~1acme.example~1a~0b/0"), |builder| builder).await;
    let named = |value: Value| good(&world).claim("https://acme.example/a~b", value);
    let rows = [
        (json!("an element"), named(json!(["read", "write"])), Ok(())),
        (json!("another element"), named(json!(["write", "read"])), INSUFFICIENT),
    ];
    check(&world, rows).await;
}
