//! Grantex's tokens before the layer: both generations pass, and nothing that is not whole.

use std::time::Duration;

use http::StatusCode;
use portcullis::{
    Algorithm, Authorizer, Requirement, TokenType,
    clock::UnixTime,
    providers::grantex::{self, Generation, Grantex, GrantexClaims},
    testing::{ManualClock, TestKey, TokenBuilder},
};
use serde_json::{Value, json};

use crate::{
    grantex::{AUDIENCE, BASE, FakeGrantex, ask, authorizer, grant, legacy, standard},
    support::bearer,
};

async fn world() -> (Authorizer, ManualClock) {
    let clock = ManualClock::new();
    (authorizer(&FakeGrantex::default(), &clock, |issuer| issuer).await, clock)
}

async fn status(authorizer: &Authorizer, token: &TokenBuilder) -> StatusCode {
    let (status, challenge) = ask(authorizer, Requirement::authenticated(), &token.build()).await;
    assert_eq!(status == 401, challenge.contains("error=\"invalid_token\""), "{challenge}");
    status
}

fn both() -> [TokenBuilder; 3] {
    [legacy(), standard(Algorithm::RS256), standard(Algorithm::ES256)]
}

#[tokio::test]
async fn both_generations_pass_and_a_handler_reads_the_same_of_them() {
    let (authorizer, _) = world().await;
    for (token, generation) in both().into_iter().zip([Generation::Legacy, Generation::Standard, Generation::Standard])
    {
        let headers = bearer(&token.build());
        let requirement = std::sync::Arc::new(Requirement::scope("calendar:read"));
        let permit = authorizer.authorize(&authorizer.input(&headers, &requirement)).await.unwrap();
        let token = permit.into_token().unwrap();
        assert_eq!(token.grants().next(), Some("grnt_1"));
        let of = GrantexClaims::of(&token).unwrap();
        let token = token.with_claims::<GrantexClaims>().unwrap();
        let claims = token.claims();
        assert!(*claims == of && claims.generation() == generation);
        let said =
            (claims.grant_id(), claims.agent_did(), claims.agent_id(), claims.developer_id(), claims.principal());
        assert_eq!(said, ("grnt_1", "did:grantex:ag_1", "ag_1", "dev_1", "user_1"));
    }
}

#[tokio::test]
async fn a_token_of_another_developer_passes_only_where_no_developer_was_named_threat_27() {
    let (fake, clock) = (FakeGrantex::default(), ManualClock::new());
    let anybodys = authorizer(&fake, &clock, |issuer| issuer).await;
    let ours = Grantex::at(BASE).unwrap().developer("dev_1").audience(AUDIENCE);
    let ours = authorizer(&fake, &clock, |_| ours).await;
    let mut grant = grant();
    grant["developer_id"] = json!("dev_2");
    let others = [legacy().claim("dev", "dev_2"), standard(Algorithm::ES256).claim("urn:grantex:grant", grant)];
    for token in both() {
        assert_eq!((status(&anybodys, &token).await, status(&ours, &token).await), (StatusCode::OK, StatusCode::OK));
    }
    for token in others {
        let refused = (StatusCode::OK, StatusCode::UNAUTHORIZED);
        assert_eq!((status(&anybodys, &token).await, status(&ours, &token).await), refused);
    }
}

/// The cases of the SDK's own tests, and ours.
#[tokio::test]
async fn what_is_no_whole_token_of_a_generation_is_refused_with_401() {
    let (authorizer, _) = world().await;
    let new = || standard(Algorithm::ES256);
    let with = |name: &str, value: Value| {
        let mut grant = grant();
        grant[name] = value;
        new().claim("urn:grantex:grant", grant)
    };
    let actors = (0..11).fold(json!(null), |act, number| match act {
        Value::Null => json!({ "sub": "did:grantex:ag_0" }),
        act => json!({ "sub": format!("did:grantex:ag_{number}"), "act": act }),
    });
    let now = ManualClock::START;
    let rows: Vec<(&str, TokenBuilder)> = vec![
        ("scope disagrees with scp", new().claim("scp", json!(["calendar:read"]))),
        ("agent disagrees with agt", new().claim("agt", "did:grantex:ag_2")),
        ("agent disagrees with client_id", new().client_id("ag_2")),
        ("developer disagrees with dev", new().claim("dev", "dev_2")),
        ("grant disagrees with grnt", new().claim("grnt", "grnt_2")),
        ("parent disagrees with parentGrnt", with("parent_grant_id", json!("a")).claim("parentGrnt", "b")),
        ("depth disagrees with delegationDepth", with("delegation_depth", json!(1)).claim("delegationDepth", 2)),
        ("scope null", new().claim("scope", json!(null))),
        ("scp null", new().claim("scp", json!(null))),
        ("act null", new().claim("act", json!(null))),
        ("cnf null", new().claim("cnf", json!(null))),
        ("client_id null", new().claim("client_id", json!(null))),
        ("client_id a number", new().claim("client_id", 7)),
        ("aud null", new().claim("aud", json!(null))),
        ("authorization_details null", new().claim("authorization_details", json!(null))),
        ("grant null", new().claim("urn:grantex:grant", json!(null))),
        ("grant a string", new().claim("urn:grantex:grant", "grnt_1")),
        ("grant_id null", with("grant_id", json!(null))),
        ("delegation_depth null", with("delegation_depth", json!(null))),
        ("delegation_depth negative", with("delegation_depth", json!(-1))),
        ("scope an array", new().claim("scope", json!(["calendar:read"]))),
        ("scope with a scope that is none", new().claim("scope", "a \"b\"")),
        ("scp with a space in it", legacy().claim("scp", json!(["read case files"]))),
        ("act without sub", new().claim("act", json!({ "iss": "x" }))),
        ("eleven actors", new().claim("act", actors)),
        ("bound to a key", new().claim("cnf", json!({ "jkt": "x" }))),
        ("legacy claims, typed at+jwt", legacy().token_type("at+jwt")),
        ("0.6 without a type", new().without_header("typ")),
        ("0.6 typed JWT", new().token_type("JWT")),
        ("no jti", new().without_claim("jti")),
        ("no sub", new().without_claim("sub")),
        ("no iat", new().without_claim("iat")),
        ("no exp", new().without_claim("exp")),
        ("no scope", new().without_claim("scope")),
        ("no scp", legacy().without_claim("scp")),
        ("no agent", legacy().without_claim("agt")),
        ("no developer", legacy().without_claim("dev")),
        ("no grant", legacy().without_claim("grnt")),
        ("no claim of Grantex's", new().without_claim("urn:grantex:grant")),
        ("no issuer", legacy().without_claim("iss")),
        ("another issuer", legacy().claim("iss", "https://grantex.dev")),
        ("a slash more", legacy().claim("iss", "http://127.0.0.1:3001/")),
        ("another audience", new().audience("https://other.example")),
        ("no audience, as a delegated legacy token", legacy().without_claim("aud")),
        ("issued in the future", new().issued_at(now.saturating_add(Duration::from_secs(31)))),
        ("not valid yet", new().claim("nbf", now.as_secs() + 31)),
        ("expired", new().expires_at(UnixTime::from_secs(now.as_secs() - 31))),
        ("unsigned", new().unsigned()),
        ("tampered", new().tampered()),
        ("HS256 with the public key", new().signed_as_hmac(Algorithm::HS256, "grantex-es256-thumb")),
        ("unknown kid", new().key_id("grantex-2030-01")),
        ("a kid of another kind of key", legacy().key_id("grantex-es256-thumb")),
        (
            "a key of another kind",
            new().signed_with(&TestKey::shared(Algorithm::Ed25519).with_key_id("grantex-ed25519-2026-11")),
        ),
        (
            "RS512 with a published key",
            legacy().signed_with(&TestKey::shared(Algorithm::RS512).with_key_id("grantex-2026-11")),
        ),
        (
            "PS256 with a published key",
            legacy().signed_with(&TestKey::shared(Algorithm::PS256).with_key_id("grantex-2026-11")),
        ),
        (
            "a key that is not published",
            new().signed_with(&TestKey::shared_other(Algorithm::RS256).with_key_id("grantex-2026-11")),
        ),
    ];
    for (why, token) in rows {
        assert_eq!(status(&authorizer, &token).await, 401, "{why}");
    }
}

#[tokio::test]
async fn what_a_server_may_write_passes() {
    let (authorizer, _) = world().await;
    let now = ManualClock::START;
    let rows: Vec<(&str, TokenBuilder)> = vec![
        (
            "aliases that agree",
            standard(Algorithm::RS256)
                .claim("scp", json!(["payments:initiate:max_500", "calendar:read"]))
                .claim("agt", "did:grantex:ag_1")
                .claim("dev", "dev_1")
                .claim("grnt", "grnt_1"),
        ),
        ("legacy typed JWT", legacy().token_type("JWT")),
        ("0.6 typed as a media type", standard(Algorithm::ES256).token_type("application/at+jwt")),
        ("no kid, one EC key that signed", standard(Algorithm::ES256).without_header("kid")),
        ("another month's name of the same key", legacy().key_id("grantex-2024-01")),
        ("aud an array with ours", legacy().audience(json!(["https://other.example", AUDIENCE]))),
        (
            "scopes with more spaces",
            standard(Algorithm::ES256).claim("scope", " calendar:read  payments:initiate:max_500 "),
        ),
        ("no scopes", legacy().claim("scp", json!([]))),
        ("issued by a clock ahead", legacy().issued_at(now.saturating_add(Duration::from_secs(30)))),
        ("of an unknown claim", legacy().claim("x", json!(null))),
    ];
    for (why, token) in rows {
        assert_eq!(status(&authorizer, &token).await, 200, "{why}");
    }
}

#[tokio::test]
async fn an_issuer_can_be_tightened_to_the_newer_generation() {
    let clock = ManualClock::new();
    let strict = |issuer: portcullis::Issuer| issuer.token_type(TokenType::AccessTokenJwt);
    let authorizer = authorizer(&FakeGrantex::default(), &clock, strict).await;
    assert_eq!(status(&authorizer, &standard(Algorithm::RS256)).await, 200);
    for token in [legacy(), legacy().token_type("at+jwt").client_id("ag_1")] {
        assert_eq!(status(&authorizer, &token).await, 401);
    }
}

#[tokio::test]
async fn scopes_match_to_the_letter_threat_8() {
    let (authorizer, _) = world().await;
    let held = |scope: &str| [legacy().claim("scp", json!([scope])), standard(Algorithm::ES256).claim("scope", scope)];
    for (has, wanted, expected) in [
        ("payments:initiate:max_500", "payments:initiate:max_500", 200),
        ("payments:initiate:max_500", "payments:initiate", 403),
        ("payments:initiate", "payments:initiate:max_500", 403),
        ("payments:initiate:max_500", "payments:initiate:max_50", 403),
        ("payments:initiate:max_500", "payments:initiate:max_5000", 403),
        ("payments:initiate:max_500", "payments:initiate:MAX_500", 403),
        ("payments:*", "payments:initiate", 403),
    ] {
        for token in held(has) {
            let (status, challenge) = ask(&authorizer, Requirement::scope(wanted), &token.build()).await;
            assert_eq!(status, expected, "{has} for {wanted}");
            let is_told = challenge.contains(&format!("scope=\"{wanted}\""));
            assert_eq!(is_told, expected == 403, "{challenge}");
        }
    }
}

fn delegated(depth: u32, actors: &[&str]) -> [TokenBuilder; 2] {
    let act = actors.iter().rev().fold(None, |inner: Option<Value>, actor| {
        let mut act = json!({ "sub": format!("did:grantex:{actor}") });
        if let Some(inner) = inner {
            act["act"] = inner;
        }
        Some(act)
    });
    let mut grant = grant();
    grant["parent_grant_id"] = "grnt_0".into();
    grant["delegation_depth"] = depth.into();
    let old = legacy().claim("parentGrnt", "grnt_0").claim("delegationDepth", depth);
    [
        old.claim("parentAgt", format!("did:grantex:{}", actors[0])),
        standard(Algorithm::ES256).claim("urn:grantex:grant", grant).claim("act", act.unwrap()),
    ]
}

#[tokio::test]
async fn routes_ask_how_a_grant_came_to_its_agent() {
    let (authorizer, _) = world().await;
    let route = |name: &str| match name {
        "root" => Requirement::authenticated().that(name, grantex::depth_at_most(0)),
        "depth 1" => Requirement::authenticated().that(name, grantex::depth_at_most(1)),
        "by ag_1" => Requirement::authenticated().that(name, grantex::acted_by("did:grantex:ag_1")),
        "by ag_A" => Requirement::authenticated().that(name, grantex::acted_by("ag_A")),
        "from ag_A" => Requirement::authenticated().that(name, grantex::delegated_by("did:grantex:ag_A")),
        "from ag_B" => Requirement::authenticated().that(name, grantex::delegated_by("ag_B")),
        "never ag_1" => Requirement::authenticated().that(name, grantex::never_acted_by("ag_1")),
        "never ag_A" => Requirement::authenticated().that(name, grantex::never_acted_by("ag_A")),
        "never ag_B" => Requirement::authenticated().that(name, grantex::never_acted_by("did:grantex:ag_B")),
        "never ag_C" => Requirement::authenticated().that(name, grantex::never_acted_by("ag_C")),
        _ => unreachable!(),
    };
    let [old_once, once] = delegated(1, &["ag_A"]);
    let [old_twice, twice] = delegated(2, &["ag_A", "ag_B"]);
    let [_, lying] = delegated(0, &["ag_A", "ag_B"]);
    let rows: [(&str, TokenBuilder, &[&str]); 7] = [
        (
            "a legacy grant of the user",
            legacy(),
            &["root", "depth 1", "by ag_1", "never ag_A", "never ag_B", "never ag_C"],
        ),
        (
            "a grant of the user",
            standard(Algorithm::RS256),
            &["root", "depth 1", "by ag_1", "never ag_A", "never ag_B", "never ag_C"],
        ),
        ("legacy, once", old_once, &["depth 1", "by ag_1", "from ag_A", "never ag_B", "never ag_C"]),
        ("once", once, &["depth 1", "by ag_1", "from ag_A", "never ag_B", "never ag_C"]),
        // Who was in between is not said, and so nothing is certain.
        ("legacy, twice", old_twice, &["by ag_1", "from ag_A"]),
        ("twice", twice, &["by ag_1", "from ag_A", "never ag_C"]),
        ("twice, and says it was not", lying, &["by ag_1", "from ag_A", "never ag_C"]),
    ];
    let names = [
        "root",
        "depth 1",
        "by ag_1",
        "by ag_A",
        "from ag_A",
        "from ag_B",
        "never ag_1",
        "never ag_A",
        "never ag_B",
        "never ag_C",
    ];
    for (what, token, holds) in rows {
        let token = token.build();
        for name in names {
            let (status, _) = ask(&authorizer, route(name), &token).await;
            assert_eq!(status, if holds.contains(&name) { 200 } else { 403 }, "{what}: {name}");
        }
    }
}

#[test]
fn the_issuer_of_a_server_is_that_of_the_sdks() {
    for (base, issuer, keys) in [
        ("https://api.grantex.dev", "\"https://grantex.dev\"", "https://api.grantex.dev/.well-known/jwks.json"),
        ("https://api.grantex.dev/", "\"https://grantex.dev\"", "https://api.grantex.dev/.well-known/jwks.json"),
        ("https://grantex.example", "\"https://grantex.example\"", "https://grantex.example/.well-known/jwks.json"),
        (
            "https://a.example/grantex/",
            "\"https://a.example/grantex\"",
            "https://a.example/grantex/.well-known/jwks.json",
        ),
        ("http://127.0.0.1:3001", "\"http://127.0.0.1:3001\"", "http://127.0.0.1:3001/.well-known/jwks.json"),
    ] {
        let shown = format!("{:?}", Grantex::at(base).unwrap());
        assert!(shown.contains(issuer) && shown.contains(keys), "{base}: {shown}");
    }
    let shown = format!("{:?}", Grantex::at("https://grantex.example").unwrap().issuer("urn:x"));
    assert!(shown.contains("urn:x"), "{shown}");
    for bad in ["http://grantex.example", "grantex.example", "https://grantex.example?x", "https://u:p@grantex.example"]
    {
        assert!(Grantex::at(bad).is_err(), "{bad}");
    }
}
