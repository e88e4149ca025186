//! The key decides the algorithm, and only configured keys are keys.

use portcullis::{
    Algorithm, Issuer, KeySet, KeySource, VerificationKey,
    crypto::KeyError,
    keys::KeySetError,
    testing::{TestKey, TokenBuilder},
    token::TokenError,
};
use serde_json::{Value, json};

use super::{Row, check, good};
use crate::support::World;

/// Names that a header's `alg` might have, ours and others'.
const NAMES: [&str; 24] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "HS256",
    "HS384", "HS512", "none", "nOnE", "None", "NONE", "", "es256", "ES256K", "Ed448", "RSA-OAEP", "dir",
];

/// An issuer whose keys are these, read as a published set is.
async fn publishing(jwks: Value) -> World {
    let source = KeySource::json(jwks.to_string());
    World::with(|issuer| trusting(&issuer, source), |builder| builder).await
}

/// The same issuer with other keys.
fn trusting(_: &Issuer, keys: KeySource) -> Issuer {
    Issuer::with_keys("https://issuer.test", keys).audience(TokenBuilder::AUDIENCE)
}

#[tokio::test]
async fn a_header_may_name_the_algorithm_of_the_key_and_no_other_threat_1() {
    let rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].as_slice();
    let keys = [
        (Algorithm::RS256, rsa),
        (Algorithm::ES256, &["ES256"]),
        (Algorithm::ES384, &["ES384"]),
        (Algorithm::ES512, &["ES512"]),
        (Algorithm::Ed25519, &["EdDSA", "Ed25519"]),
    ];
    for (implied, names) in keys {
        let key = TestKey::shared(implied);
        for stated in names.iter().copied().map(Some).chain([None]) {
            let world = publishing(with_member(&key.jwk(), "alg", stated)).await;
            let of_key = stated.map_or(implied, |name| name.parse().unwrap());
            check(&world, NAMES.map(|name| row(&world, &key, of_key, name))).await;
        }
    }
}

/// A token under the `alg` of that name, as well signed as its algorithm and the key allow.
fn row<'r>(world: &World, key: &TestKey, of_key: Algorithm, name: &'r str) -> Row<'r> {
    let token = good(world).signed_with(key).algorithm_name(name);
    let is_rsa = |algorithm: Algorithm| algorithm.name().starts_with(['R', 'P']);
    let token = match name.parse::<Algorithm>() {
        Ok(hmac) if hmac.is_symmetric() => token.signed_as_hmac(hmac, key.jwk().to_string()),
        Ok(rsa) if is_rsa(rsa) && is_rsa(key.algorithm()) => token.signed_with(&key.clone().with_algorithm(rsa)),
        _ => token,
    };
    // Its `kid` is that of the key, whatever it is used with.
    let token = token.key_id(key.key_id()).build();
    let accepted = name.parse() == Ok(of_key);
    (name, token, if accepted { Ok(()) } else { Err(TokenError::Algorithm) })
}

fn with_member(jwk: &Value, name: &str, value: Option<&str>) -> Value {
    let mut jwk = jwk.clone();
    match value {
        Some(text) => jwk[name] = text.into(),
        None => _ = jwk.as_object_mut().unwrap().remove(name),
    }
    jwk
}

#[tokio::test]
async fn every_asymmetric_algorithm_is_verified_from_one_mixed_set() {
    let keys = Algorithm::ASYMMETRIC.map(TestKey::shared);
    let mut jwks: Vec<_> = keys.iter().map(TestKey::jwk).collect();
    jwks.insert(0, json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "of tomorrow" }));
    jwks.insert(3, json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak" }));
    jwks.insert(5, json!("no key at all"));
    let world = publishing(json!({ "keys": jwks })).await;
    for key in &keys {
        let token = good(&world).signed_with(key);
        let rows = [
            ("signed", token.build(), Ok(())),
            ("without kid", token.clone().without_header("kid").build(), Ok(())),
            ("tampered", token.clone().tampered().build(), Err(TokenError::Signature)),
        ];
        check(&world, rows).await;
    }
    let key = TestKey::shared(Algorithm::Ed25519);
    let named = |name: &str| good(&world).signed_with(&key).algorithm_name(name).build();
    check(&world, [("EdDSA", named("EdDSA"), Ok(())), ("Ed25519", named("Ed25519"), Ok(()))]).await;
}

#[test]
fn a_key_that_contradicts_itself_is_no_key_threat_1() {
    let (rsa, elliptic, edwards) = (Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519);
    let unsupported = |member| KeyError::Unsupported(member);
    let rows = [
        (elliptic, "alg", json!("ES384"), KeyError::WrongType(Algorithm::ES384)),
        (elliptic, "alg", json!("RS256"), KeyError::WrongType(Algorithm::RS256)),
        (elliptic, "alg", json!("HS256"), KeyError::WrongType(Algorithm::HS256)),
        (edwards, "alg", json!("ES256"), KeyError::WrongType(Algorithm::ES256)),
        (rsa, "alg", json!("ES256"), KeyError::WrongType(Algorithm::ES256)),
        (rsa, "alg", json!("HS256"), KeyError::NotAllowed(Algorithm::HS256)),
        (rsa, "alg", json!("none"), unsupported("alg")),
        (rsa, "alg", json!("RSA-OAEP"), unsupported("alg")),
        (rsa, "alg", json!(["RS256"]), KeyError::Malformed("`alg` is not a string")),
        (elliptic, "kty", json!("oct"), KeyError::SymmetricInSet),
        (elliptic, "kty", json!("RSA"), KeyError::WrongType(Algorithm::ES256)),
        (elliptic, "crv", json!("P-384"), KeyError::WrongType(Algorithm::ES256)),
        (edwards, "crv", json!("X25519"), unsupported("crv")),
        (rsa, "d", json!("AQAB"), KeyError::PrivateKey),
        (rsa, "use", json!("enc"), KeyError::NotForVerification("use")),
        (rsa, "key_ops", json!(["sign"]), KeyError::NotForVerification("key_ops")),
    ];
    for (algorithm, member, value, expected) in rows {
        let mut jwk = TestKey::shared(algorithm).jwk();
        jwk[member] = value.clone();
        let read = KeySet::from_json(jwk.to_string().as_bytes());
        let Err(KeySetError::NoUsableKey(skipped)) = read else {
            panic!("{algorithm} with {member} {value}: {read:?}")
        };
        assert_eq!(skipped[0].reason, expected, "{algorithm} with {member} {value}");
    }
}

#[tokio::test]
async fn only_allowed_algorithms_are_verified_threat_1() {
    let (elliptic, rsa) = (TestKey::shared(Algorithm::ES256), TestKey::shared(Algorithm::RS256));
    let unnamed = with_member(&rsa.jwk(), "alg", None);
    let source = KeySource::json(json!({ "keys": [elliptic.jwk(), unnamed] }).to_string());
    let allowed = [Algorithm::PS384, Algorithm::RS256];
    let world = World::with(|issuer| trusting(&issuer, source).algorithms(allowed), |builder| builder).await;
    let signed = |key: &TestKey, algorithm| {
        good(&world).signed_with(&key.clone().with_algorithm(algorithm)).key_id(key.key_id()).build()
    };
    let rows = [
        ("the first allowed one of an RSA key that names none", signed(&rsa, Algorithm::PS384), Ok(())),
        ("another allowed one", signed(&rsa, Algorithm::RS256), Err(TokenError::Algorithm)),
        ("a key of an algorithm that is not allowed", signed(&elliptic, Algorithm::ES256), Err(TokenError::Algorithm)),
    ];
    check(&world, rows).await;

    // Given by hand, a key is in the set whatever is allowed.
    let by_hand = [spki(&elliptic), spki(&rsa)];
    let keys = KeySet::new([
        VerificationKey::from_der(Algorithm::ES256, &by_hand[0]).unwrap(),
        VerificationKey::from_der(Algorithm::RS256, &by_hand[1]).unwrap(),
    ]);
    let configured = |issuer| trusting(&issuer, KeySource::set(keys)).algorithms([Algorithm::ES256]);
    let world = World::with(configured, |builder| builder).await;
    let signed = |key| good(&world).signed_with(key).build();
    let rows =
        [("the allowed one", signed(&elliptic), Ok(())), ("the other", signed(&rsa), Err(TokenError::Algorithm))];
    check(&world, rows).await;
}

#[tokio::test]
async fn no_algorithm_and_no_signature_are_nothing_threat_1() {
    let world = World::new().await;
    let rows = ["none", "nOnE", "None", "NONE", "none ", " none", "null"].into_iter().flat_map(|name| {
        let token = good(&world).algorithm_name(name);
        let refused = Err(TokenError::Algorithm);
        [
            (name, token.clone().signature([]).build(), refused),
            (name, token.clone().signature(*b"signature").build(), refused),
            (name, token.build(), refused),
        ]
    });
    check(&world, rows).await;
    let zeros = vec![0; 64];
    let rows = [
        ("none, as RFC 7519 §6.1 has it", good(&world).unsigned().build(), Err(TokenError::Algorithm)),
        ("no alg", good(&world).without_header("alg").build(), Err(TokenError::Algorithm)),
        ("alg null", good(&world).header("alg", Value::Null).build(), Err(TokenError::Header)),
        ("alg a list", good(&world).header("alg", json!(["ES256", "none"])).build(), Err(TokenError::Header)),
        ("an empty signature", good(&world).signature([]).build(), Err(TokenError::NotCompact)),
        ("a signature of zeros", good(&world).signature(zeros).build(), Err(TokenError::Signature)),
        ("half a signature", good(&world).signature([1; 32]).build(), Err(TokenError::Signature)),
        (
            "a DER signature",
            good(&world).signature(*b"\x30\x06\x02\x01\x01\x02\x01\x01").build(),
            Err(TokenError::Signature),
        ),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn the_text_of_a_public_key_is_no_secret_threat_1() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::Ed25519] {
        let key = TestKey::shared(algorithm);
        let published = publishing(key.jwk()).await;
        // The worst case for us: this service does take HS256, from a secret of its own.
        let own = TestKey::shared(Algorithm::HS256);
        let keys = KeySet::new([
            VerificationKey::from_der(algorithm, &spki(&key)).unwrap().with_key_id(key.key_id()),
            VerificationKey::from_secret(Algorithm::HS256, &own.secret().unwrap()).unwrap().with_key_id("own"),
        ]);
        let mixed = World::with(|issuer| trusting(&issuer, KeySource::set(keys)), |builder| builder).await;
        for (name, text) in texts(&key) {
            let forged = |world| good(world).signed_with(&key).signed_as_hmac(Algorithm::HS256, text.clone());
            check(&published, [(name, forged(&published).build(), Err(TokenError::Algorithm))]).await;
            let rows = [
                (name, forged(&mixed).build(), Err(TokenError::Algorithm)),
                (name, forged(&mixed).key_id("own").build(), Err(TokenError::Signature)),
                (name, forged(&mixed).without_header("kid").build(), Err(TokenError::Signature)),
            ];
            check(&mixed, rows).await;
            let configured = VerificationKey::from_secret(Algorithm::HS256, &text).map(|_| ());
            assert_eq!(configured, Err(KeyError::SecretIsKeyText), "{algorithm} {name}");
        }
        let rows = [
            ("the key pair's", good(&mixed).signed_with(&key).build(), Ok(())),
            ("the secret's", good(&mixed).signed_with(&own).key_id("own").build(), Ok(())),
            ("crossed", good(&mixed).signed_with(&key).key_id("own").build(), Err(TokenError::Algorithm)),
        ];
        check(&mixed, rows).await;
    }
}

#[tokio::test]
async fn a_configured_secret_verifies_its_own_algorithm() {
    // One that merely begins like a key.
    assert!(VerificationKey::from_secret(Algorithm::HS256, &[[0x30, 30, 0x02], [0; 3]].concat().repeat(6)).is_ok());
    assert!(VerificationKey::from_secret(Algorithm::HS256, &[0x30; 32]).is_ok());
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let key = TestKey::shared(algorithm);
        let secret = VerificationKey::from_secret(algorithm, &key.secret().unwrap()).unwrap();
        let source = KeySource::set(KeySet::new([secret]));
        let world = World::with(|issuer| trusting(&issuer, source), |builder| builder).await;
        let other = if algorithm == Algorithm::HS512 { Algorithm::HS256 } else { Algorithm::HS512 };
        let forged = TestKey::shared_other(algorithm);
        let rows = [
            ("signed", good(&world).signed_with(&key).build(), Ok(())),
            ("another secret", good(&world).signed_with(&forged).build(), Err(TokenError::UnknownKey)),
            ("another hash", good(&world).signed_with(&key.with_algorithm(other)).build(), Err(TokenError::Algorithm)),
            ("a key pair", good(&world).build(), Err(TokenError::Algorithm)),
        ];
        check(&world, rows).await;
    }
}

#[tokio::test]
async fn a_token_brings_no_key_of_its_own_threat_1() {
    let world = World::new().await;
    let own = TestKey::generate(Algorithm::ES256, "evil");
    let signed = || good(&world).signed_with(&own);
    let known = world.issuer.current_key().key_id().to_owned();
    let rows = [
        ("jwk", signed().header("jwk", own.jwk()).build(), Err(TokenError::UnknownKey)),
        ("jwk, no kid", signed().header("jwk", own.jwk()).without_header("kid").build(), Err(TokenError::Signature)),
        ("jwk, known kid", signed().header("jwk", own.jwk()).key_id(known).build(), Err(TokenError::Signature)),
        ("jku", signed().header("jku", "https://evil.example/jwks").build(), Err(TokenError::UnknownKey)),
        ("x5u", signed().header("x5u", "https://evil.example/x5u").build(), Err(TokenError::UnknownKey)),
        ("x5c", signed().header("x5c", json!(["MIIB"])).build(), Err(TokenError::UnknownKey)),
        ("kid a path", signed().key_id("../../dev/null").build(), Err(TokenError::UnknownKey)),
        ("ours, with a jwk", good(&world).header("jwk", own.jwk()).build(), Ok(())),
    ];
    check(&world, rows).await;
}

/// The texts of a public key that anybody can read.
fn texts(key: &TestKey) -> Vec<(&'static str, Vec<u8>)> {
    let der = spki(key);
    let pem = pem::encode_config(
        &pem::Pem::new("PUBLIC KEY", der.clone()),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    );
    let base64 = base64_simd::STANDARD.encode_to_string(&der);
    vec![
        ("PEM", pem.clone().into_bytes()),
        ("PEM without its last line end", pem.trim_end().as_bytes().to_vec()),
        ("PEM behind white space", format!("\n \t{pem}").into_bytes()),
        ("PEM below its attributes", format!("Bag Attributes\n    friendlyName: idp\n{pem}").into_bytes()),
        ("PEM with CRLF", pem.replace('\n', "\r\n").into_bytes()),
        (
            "the body of PEM",
            pem.lines()
                .filter(|line| !line.starts_with('-'))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
                .into_bytes(),
        ),
        ("the body of PEM in one line", base64.into_bytes()),
        ("DER", der),
        ("JWK", key.jwk().to_string().into_bytes()),
        ("JWK behind white space", format!("\r\n {:#}", key.jwk()).into_bytes()),
        ("JWK set", json!({ "keys": [key.jwk()] }).to_string().into_bytes()),
    ]
}

/// The SubjectPublicKeyInfo (RFC 5280 §4.1) of a key.
fn spki(key: &TestKey) -> Vec<u8> {
    let jwk = key.jwk();
    let bytes = |name: &str| base64_simd::URL_SAFE_NO_PAD.decode_to_vec(jwk[name].as_str().unwrap()).unwrap();
    let integer = |name: &str| tlv(0x02, &[&[0x00], &*bytes(name)].concat());
    let point = || [&[0x04], &*bytes("x"), &*bytes("y")].concat();
    let (algorithm, key): (&[u8], _) = match key.algorithm() {
        Algorithm::RS256 => {
            let public = tlv(0x30, &[integer("n"), tlv(0x02, &bytes("e"))].concat());
            (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00", public)
        }
        Algorithm::ES256 => (b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", point()),
        Algorithm::ES384 => (b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22", point()),
        Algorithm::Ed25519 => (b"\x06\x03\x2b\x65\x70", bytes("x")),
        other => panic!("{other} is not asked for"),
    };
    tlv(0x30, &[tlv(0x30, algorithm), tlv(0x03, &[&[0x00], &*key].concat())].concat())
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = match u8::try_from(value.len()) {
        Ok(short) if short < 0x80 => vec![short],
        Ok(byte) => vec![0x81, byte],
        Err(_) => [&[0x82], &u16::try_from(value.len()).unwrap().to_be_bytes()[..]].concat(),
    };
    [&[tag], &*length, value].concat()
}
