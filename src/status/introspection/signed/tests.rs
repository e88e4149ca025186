//! Signed answers, good and bad → what they mean.

use serde_json::json;

use super::*;
use crate::{
    keys::{KeySet, KeySource, VerificationKey},
    status::{
        StatusSource,
        introspection::{
            Introspection,
            tests::{IDP, World, ask, basic, word},
        },
    },
    testing::{Fault, Target, TestKey, TokenBuilder},
};

/// Judges answers by the keys that the issuer publishes.
fn source_of(world: &World) -> Arc<dyn StatusSource> {
    let keys = world.keys(KeySource::discovery());
    Introspection::discover(basic()).signed_answers().start(Some(IDP), Some(keys), &world.environment).unwrap()
}

#[tokio::test]
async fn a_signed_answer_must_be_the_issuers_to_us_and_of_now() {
    let world = World::new();
    let source = source_of(&world);
    let token = world.opaque();
    assert_eq!(ask(&source, &token).await, Ok(true));
    assert_eq!(ask(&source, "another").await, Ok(false));
    let now = world.clock.now().wall();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let good = || {
        let token = world.issuer.token().token_type("token-introspection+jwt").audience("c").without_claim("exp");
        token.claim("token_introspection", json!({ "active": true, "sub": "u" }))
    };
    let (key, other) = (world.issuer.current_key(), TestKey::shared_other(Algorithm::ES256));
    let secret = key.jwk().to_string().into_bytes();
    let payload = |members: &str| {
        let claims = format!(r#"{{"iss":"{IDP}","aud":"c","iat":{},{members}}}"#, now.as_secs());
        good().raw_payload(claims)
    };
    let rows: Vec<(&str, TokenBuilder, &str)> = vec![
        ("good", good(), "active"),
        ("an array of audiences", good().audience(json!(["a", "c"])), "active"),
        ("application/", good().token_type("application/token-introspection+jwt"), "active"),
        ("a little old", good().issued_at(now.saturating_sub(minutes(1))), "active"),
        ("inactive", good().claim("token_introspection", json!({ "active": false })), "inactive"),
        ("raw", payload(r#""token_introspection":{"active":true}"#), "active"),
        ("at+jwt", good().token_type("at+jwt"), "malformed"),
        ("JWT", good().token_type("JWT"), "malformed"),
        ("no typ", good().without_header("typ"), "malformed"),
        ("another issuer", good().claim("iss", "https://other.example"), "malformed"),
        ("no issuer", good().without_claim("iss"), "malformed"),
        ("another audience", good().audience("d"), "malformed"),
        ("no audience", good().without_claim("aud"), "malformed"),
        ("old", good().issued_at(now.saturating_sub(minutes(2))), "malformed"),
        ("from the future", good().issued_at(now.saturating_add(minutes(2))), "malformed"),
        ("undated", good().without_claim("iat"), "malformed"),
        ("over", good().expires_at(now.saturating_sub(minutes(2))), "malformed"),
        ("not begun", good().claim("nbf", now.saturating_add(minutes(2)).as_secs()), "malformed"),
        ("tampered", good().tampered(), "malformed"),
        ("unsigned", good().unsigned(), "malformed"),
        ("of nobody's key", good().signed_with(&other).key_id(key.key_id()), "malformed"),
        ("by a public key as secret", good().signed_as_hmac(Algorithm::HS256, secret), "malformed"),
        ("without the claim", good().without_claim("token_introspection"), "malformed"),
        ("members at the top", good().without_claim("token_introspection").claim("active", true), "malformed"),
        ("active as text", good().claim("token_introspection", json!({ "active": "true" })), "malformed"),
        ("text", good().claim("token_introspection", r#"{"active":true}"#), "malformed"),
        (
            "repeated",
            payload(r#""token_introspection":{"active":false},"token_introspection":{"active":true}"#),
            "malformed",
        ),
        ("repeated within", payload(r#""token_introspection":{"active":false,"active":true}"#), "malformed"),
        ("repeated besides", payload(r#""aud":"c","token_introspection":{"active":true}"#), "malformed"),
        ("not JSON", good().raw_payload("active"), "malformed"),
    ];
    for (name, builder, expected) in rows {
        world.answers(200, MEDIA_TYPE, builder.build());
        assert_eq!(word(&ask(&source, &token).await), expected, "{name}");
        world.clock.settle().await;
    }
    for content_type in ["application/json", "application/jwt", "text/plain"] {
        world.answers(200, content_type, good().build());
        assert_eq!(word(&ask(&source, &token).await), "malformed", "{content_type}");
    }
    world.answers(200, "application/json", r#"{"active":true}"#);
    assert_eq!(word(&ask(&source, &token).await), "malformed", "a plain answer");
    world.answers(200, MEDIA_TYPE, r#"{"active":true}"#);
    assert_eq!(word(&ask(&source, &token).await), "malformed", "a plain answer that says it were signed");
    world.answers(401, MEDIA_TYPE, good().build());
    assert_eq!(word(&ask(&source, &token).await), "client refused");
}

#[tokio::test]
async fn signed_answers_follow_the_issuers_keys() {
    let world = World::new();
    let source = source_of(&world);
    let token = world.opaque();
    assert_eq!(ask(&source, &token).await, Ok(true), "the first keys are waited for");
    world.clock.advance(Duration::from_secs(30));
    world.issuer.reset_asked();
    world.issuer.rotate();
    assert_eq!(ask(&source, &token).await, Ok(true));
    assert_eq!(world.issuer.asked().jwks, 1);
    world.issuer.sign_with(TestKey::shared(Algorithm::ES256));
    world.clock.advance(Duration::from_secs(11));
    for _ in 0..10 {
        assert_eq!(word(&ask(&source, &token).await), "malformed");
    }
    assert_eq!(world.issuer.asked().jwks, 2, "asked once more, and not ten times");

    let cold = World::new();
    cold.issuer.fault(Target::Jwks, Fault::Status(500));
    let error = ask(&source_of(&cold), &cold.opaque()).await.unwrap_err();
    assert!(matches!(error, StatusError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn a_secret_never_signs_an_answer_threat_1() {
    let world = World::new();
    let key = TestKey::shared(Algorithm::HS256);
    let secret = VerificationKey::from_secret(Algorithm::HS256, &key.secret().unwrap()).unwrap();
    let keys = world.keys(KeySource::set(KeySet::new([secret])));
    let introspection = Introspection::discover(basic()).signed_answers();
    let source = introspection.start(Some(IDP), Some(keys), &world.environment).unwrap();
    let token = world.issuer.token().token_type("token-introspection+jwt").audience("c").without_claim("exp");
    let signed = token.claim("token_introspection", json!({ "active": true })).signed_with(&key);
    world.answers(200, MEDIA_TYPE, signed.build());
    assert_eq!(word(&ask(&source, "t").await), "malformed");
}
