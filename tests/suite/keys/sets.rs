//! JWK sets as they are found: the good keys work, the bad ones are skipped, each with its reason.

use portcullis::{
    Algorithm, KeySet,
    crypto::KeyError,
    keys::KeySetError,
    testing::{TestKey, TokenBuilder},
};
use serde_json::{Value, json};

use super::INTERVAL;
use crate::support::World;

/// The public half of a key with some members changed; `null` removes one.
fn jwk(algorithm: Algorithm, changes: &Value) -> Value {
    let mut jwk = TestKey::shared(algorithm).jwk();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => jwk.as_object_mut().unwrap().remove(name),
            value => jwk.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    jwk
}

/// A good coordinate of another point than the key's own.
fn elsewhere() -> Value {
    TestKey::shared_other(Algorithm::ES256).jwk()["y"].clone()
}

fn base64url(bytes: &[u8]) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Keys that are skipped, and why.
fn unusable() -> Vec<(&'static str, Value, KeyError)> {
    use Algorithm::{ES256, Ed25519, HS256, RS256};
    let rsa_of = |bits: usize| json!({ "n": base64url(&vec![0xff; bits / 8]) });
    let malformed = KeyError::Malformed;
    vec![
        ("Ed448", jwk(Ed25519, &json!({ "crv": "Ed448" })), KeyError::Unsupported("crv")),
        ("X25519", jwk(Ed25519, &json!({ "crv": "X25519" })), KeyError::Unsupported("crv")),
        ("secp256k1", jwk(ES256, &json!({ "crv": "secp256k1" })), KeyError::Unsupported("crv")),
        ("a kty from the future", jwk(ES256, &json!({ "kty": "PQC" })), KeyError::Unsupported("kty")),
        ("a numeric kty", jwk(ES256, &json!({ "kty": 7 })), KeyError::Unsupported("kty")),
        ("no kty", jwk(ES256, &json!({ "kty": null })), malformed("not a JWK")),
        ("no object", json!("key"), malformed("not a JWK")),
        ("a secret", jwk(HS256, &json!({})), KeyError::SymmetricInSet),
        ("a secret that says RS256", jwk(HS256, &json!({ "alg": "RS256" })), KeyError::SymmetricInSet),
        ("RSA of 1024 bits", jwk(RS256, &rsa_of(1024)), KeyError::RsaSize(1024)),
        ("RSA of 2040 bits", jwk(RS256, &rsa_of(2040)), KeyError::RsaSize(2040)),
        ("RSA of 16384 bits", jwk(RS256, &rsa_of(16384)), KeyError::RsaSize(16384)),
        ("RSA of no bits", jwk(RS256, &json!({ "n": "" })), KeyError::RsaSize(0)),
        ("RSA with exponent 1", jwk(RS256, &json!({ "e": base64url(&[1]) })), malformed("not an RSA exponent")),
        ("RSA with exponent 2", jwk(RS256, &json!({ "e": base64url(&[2]) })), malformed("not an RSA exponent")),
        ("RSA without exponent", jwk(RS256, &json!({ "e": "" })), malformed("not an RSA exponent")),
        ("a numeric modulus", jwk(RS256, &json!({ "n": 65537 })), malformed("a parameter is missing or not a string")),
        (
            "a point off the curve",
            jwk(ES256, &json!({ "y": elsewhere() })),
            malformed("not a public key for this algorithm"),
        ),
        ("a point of two halves", jwk(ES256, &json!({ "x": "AA" })), malformed("a coordinate of the wrong length")),
        ("a point with padding", jwk(ES256, &json!({ "x": "AA==" })), malformed("a parameter is not base64url")),
        ("half a point", jwk(ES256, &json!({ "y": null })), malformed("a parameter is missing or not a string")),
        (
            "Ed25519 of 31 bytes",
            jwk(Ed25519, &json!({ "x": base64url(&[9; 31]) })),
            malformed("an Ed25519 key has 32 bytes"),
        ),
        ("a numeric kid", jwk(ES256, &json!({ "kid": 7 })), malformed("`kid` is not a string")),
        ("for encryption", jwk(ES256, &json!({ "use": "enc" })), KeyError::NotForVerification("use")),
        ("for signing", jwk(ES256, &json!({ "key_ops": ["sign"] })), KeyError::NotForVerification("key_ops")),
        ("for nothing", jwk(ES256, &json!({ "key_ops": [] })), KeyError::NotForVerification("key_ops")),
        ("for a word", jwk(ES256, &json!({ "key_ops": "verify" })), KeyError::NotForVerification("key_ops")),
        ("a private key", jwk(ES256, &json!({ "d": base64url(&[1; 32]) })), KeyError::PrivateKey),
        ("an alg from the future", jwk(ES256, &json!({ "alg": "ES1024" })), KeyError::Unsupported("alg")),
        ("an alg of another curve", jwk(ES256, &json!({ "alg": "ES384" })), KeyError::WrongType(Algorithm::ES384)),
        ("an alg of another type", jwk(RS256, &json!({ "alg": "ES256" })), KeyError::WrongType(ES256)),
        ("an HMAC alg on a public key", jwk(RS256, &json!({ "alg": "HS256" })), KeyError::NotAllowed(HS256)),
        ("an alg for encryption", jwk(RS256, &json!({ "alg": "RSA-OAEP" })), KeyError::Unsupported("alg")),
    ]
}

/// Keys that are used, as they may be written.
fn usable() -> Vec<(&'static str, Value)> {
    use Algorithm::{ES256, ES384, ES512, Ed25519, PS256, RS256, RS512};
    vec![
        ("RSA", jwk(RS256, &json!({}))),
        ("RSA for PSS", jwk(PS256, &json!({}))),
        ("RSA without alg", jwk(RS512, &json!({ "alg": null }))),
        ("EC", jwk(ES256, &json!({}))),
        ("EC without alg and use", jwk(ES384, &json!({ "alg": null, "use": null }))),
        ("EC on P-521", jwk(ES512, &json!({}))),
        ("Ed25519 by its old name", jwk(Ed25519, &json!({}))),
        ("Ed25519 by its new name", jwk(Ed25519, &json!({ "alg": "Ed25519" }))),
        ("nameless", jwk(ES256, &json!({ "kid": null }))),
        ("for verifying, too", jwk(ES256, &json!({ "key_ops": ["sign", "verify"] }))),
        ("with members nobody knows", jwk(ES256, &json!({ "x5t#S256": 7, "exp": [] }))),
    ]
}

#[test]
fn every_unusable_key_is_skipped_with_its_reason_threat_20() {
    for (what, jwk, reason) in unusable() {
        let good = TestKey::shared_other(Algorithm::ES256).jwk();
        let set = KeySet::from_json(json!({ "keys": [good, jwk] }).to_string().as_bytes()).unwrap();
        let skipped: Vec<_> = set.skipped().iter().map(|key| (key.position, key.reason.clone())).collect();
        assert_eq!(skipped, [(1, reason)], "{what}");
        assert_eq!(set.keys().len(), 1, "{what}");
    }
}

#[test]
fn every_usable_key_is_used() {
    for (what, jwk) in usable() {
        let set = KeySet::from_json(json!({ "keys": [jwk] }).to_string().as_bytes());
        assert!(set.is_ok_and(|set| set.keys().len() == 1 && set.skipped().is_empty()), "{what}");
    }
}

#[tokio::test]
async fn in_a_mixed_set_the_good_keys_work_and_the_bad_ones_do_not_matter_threat_20() {
    let world = World::new().await;
    let bad: Vec<Value> = unusable().into_iter().map(|(_, jwk, _)| jwk).collect();
    let good = [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::ES512, Algorithm::Ed25519];
    let good: Vec<TestKey> = good.into_iter().map(TestKey::shared_other).collect();
    let jwks: Vec<Value> =
        bad.iter().cloned().chain(good.iter().map(TestKey::jwk)).chain(bad.iter().cloned()).collect();
    world.issuer.publish_raw(json!({ "keys": jwks, "extra": 1 }));
    world.advance(INTERVAL).await;
    for key in &good {
        for token in
            [world.issuer.token().signed_with(key), world.issuer.token().signed_with(key).without_header("kid")]
        {
            let verdict = world.check(&TokenBuilder::build(&token)).await.verdict;
            assert!(verdict.is_ok(), "{key:?}: {verdict:?}");
        }
    }
}

#[test]
fn what_is_no_key_set_is_refused_as_a_whole_threat_20() {
    let key = TestKey::shared(Algorithm::ES256).jwk();
    let too_many = vec![key.clone(); 257];
    let rows: [(Vec<u8>, &str); 11] = [
        (b"".to_vec(), "not a JWK set"),
        (b"garbage".to_vec(), "not a JWK set"),
        (b"[]".to_vec(), "not a JWK set"),
        (b"null".to_vec(), "not a JWK set"),
        (br#"{"keys":{}}"#.to_vec(), "not a JWK set"),
        (br#"{"keys":null}"#.to_vec(), "not a JWK set"),
        (b"{\"keys\":[]}\xff".to_vec(), "not a JWK set"),
        (["[".repeat(100_000), "]".repeat(100_000)].concat().into_bytes(), "not a JWK set"),
        (br#"{"keys":[]}"#.to_vec(), "none of the 0 keys can be used"),
        (json!({ "keys": [{ "kty": "oct", "k": "AAAA" }] }).to_string().into_bytes(), "a symmetric key in a key set"),
        (json!({ "keys": too_many }).to_string().into_bytes(), "257 keys; at most 256 are read"),
    ];
    for (text, complaint) in rows {
        let error: KeySetError = KeySet::from_json(&text).unwrap_err();
        assert!(error.to_string().contains(complaint), "{error}");
    }
    assert_eq!(KeySet::from_json(json!({ "keys": vec![key; 256] }).to_string().as_bytes()).unwrap().keys().len(), 256);
}
