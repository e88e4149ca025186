//! Keys given by hand, in every form they come in.

use portcullis::{
    Algorithm, Authorizer, Issuer, KeySet, KeySource, RouteTable, Unlisted, VerificationKey,
    crypto::KeyError,
    testing::{ManualClock, TestKey, TokenBuilder},
};
use serde_json::{Value, json};

use crate::crowd::request;

const ISSUER: &str = "https://issuer.test";

/// The DER of a key, put together from the numbers of its JWK.
mod der {
    use portcullis::testing::TestKey;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        let head = match length {
            [0, short @ 0..0x80] => vec![tag, short],
            [0, long] => vec![tag, 0x81, long],
            [high, low] => vec![tag, 0x82, high, low],
        };
        [head.as_slice(), value].concat()
    }

    fn number(key: &TestKey, name: &str) -> Vec<u8> {
        base64_simd::URL_SAFE_NO_PAD.decode_to_vec(key.jwk()[name].as_str().unwrap()).unwrap()
    }

    /// RFC 8017 §A.1.1, of any numbers.
    pub(super) fn pkcs1_of(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let integer = |bytes: &[u8]| tlv(0x02, &[&[0][..usize::from(bytes[0] >= 0x80)], bytes].concat());
        tlv(0x30, &[integer(modulus), integer(exponent)].concat())
    }

    pub(super) fn pkcs1(key: &TestKey) -> Vec<u8> {
        pkcs1_of(&number(key, "n"), &number(key, "e"))
    }

    /// RFC 5280 §4.1 around those bits.
    pub(super) fn spki_of(algorithm: &[u8], bits: &[u8]) -> Vec<u8> {
        tlv(0x30, &[tlv(0x30, algorithm), tlv(0x03, &[&[0], bits].concat())].concat())
    }

    /// `rsaEncryption`, NULL.
    pub(super) const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

    pub(super) fn spki(key: &TestKey) -> Vec<u8> {
        let ec = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
        let point = || [vec![4], number(key, "x"), number(key, "y")].concat();
        match key.jwk()["crv"].as_str() {
            None => spki_of(RSA, &pkcs1(key)),
            Some("P-256") => spki_of(&[&ec[..], b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"].concat(), &point()),
            Some("P-384") => spki_of(&[&ec[..], b"\x06\x05\x2b\x81\x04\x00\x22"].concat(), &point()),
            Some("P-521") => spki_of(&[&ec[..], b"\x06\x05\x2b\x81\x04\x00\x23"].concat(), &point()),
            Some(_) => spki_of(b"\x06\x03\x2b\x65\x70", &number(key, "x")),
        }
    }
}

fn pem(tag: &str, der: Vec<u8>) -> String {
    pem::encode(&pem::Pem::new(tag, der))
}

/// An authorizer with these keys accepts a token of `key`, and none of another key.
async fn check(what: &str, keys: KeySource, key: &TestKey) {
    let clock = ManualClock::new();
    let authorizer = Authorizer::builder()
        .issuer(Issuer::with_keys(ISSUER, keys).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
        .clock(clock.clone())
        .build()
        .unwrap_or_else(|error| panic!("{what}, {key:?}: {error:?}"));
    let token = TokenBuilder::new(ISSUER, key, clock.now().wall());
    assert_eq!(request(&authorizer, &token.build()).await, Ok(()), "{what}, {key:?}");
    let other = TestKey::shared_other(key.algorithm()).with_key_id(key.key_id());
    assert!(request(&authorizer, &token.signed_with(&other).build()).await.is_err(), "{what}, {key:?}: another key");
}

fn by_hand(key: VerificationKey) -> KeySource {
    KeySource::set(KeySet::new([key]))
}

#[tokio::test]
async fn public_keys_are_read_from_every_form() {
    for algorithm in Algorithm::ASYMMETRIC {
        let key = TestKey::shared(algorithm);
        let jwk = key.jwk();
        let set = json!({ "keys": [jwk] });
        let spki = der::spki(&key);
        let from_pem = |text: String| by_hand(VerificationKey::from_pem(algorithm, text.as_bytes()).unwrap());
        let from_der = |der: &[u8]| by_hand(VerificationKey::from_der(algorithm, der).unwrap());

        check("PEM", from_pem(pem("PUBLIC KEY", spki.clone())), &key).await;
        check("PEM with words around it", from_pem(format!("the key:\n{}\n", pem("PUBLIC KEY", spki.clone()))), &key)
            .await;
        check("DER", from_der(&spki), &key).await;
        let named = VerificationKey::from_der(algorithm, &spki).unwrap().with_key_id(key.key_id());
        check("DER with a kid", by_hand(named), &key).await;
        check("JWK", KeySource::json(jwk.to_string()), &key).await;
        check("JWK set", KeySource::json(set.to_string()), &key).await;
        check("KeySet", KeySource::set(KeySet::from_json(set.to_string().as_bytes()).unwrap()), &key).await;
        if jwk["kty"] == "RSA" {
            check("PKCS#1 in PEM", from_pem(pem("RSA PUBLIC KEY", der::pkcs1(&key))), &key).await;
            check("PKCS#1 in DER", from_der(&der::pkcs1(&key)), &key).await;
        }
    }
}

#[tokio::test]
async fn a_set_is_read_from_a_file() {
    let key = TestKey::shared(Algorithm::ES256);
    let path = std::env::temp_dir().join(format!("portcullis-{}-jwks.json", std::process::id()));
    std::fs::write(&path, json!({ "keys": [key.jwk()] }).to_string()).unwrap();
    check("file", KeySource::file(&path), &key).await;
    check("file, read by hand", KeySource::set(KeySet::from_file(&path).unwrap()), &key).await;
    std::fs::remove_file(&path).unwrap();
    let error = KeySet::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("-jwks.json"), "{error}");
}

#[tokio::test]
async fn secrets_are_given_by_hand() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let key = TestKey::shared(algorithm);
        let secret = key.secret().unwrap();
        check("secret", by_hand(VerificationKey::from_secret(algorithm, &secret).unwrap()), &key).await;
        let theirs = jsonwebtoken::DecodingKey::from_secret(&secret);
        check("DecodingKey", by_hand(VerificationKey::from_decoding_key(algorithm, &theirs).unwrap()), &key).await;
    }
}

#[tokio::test]
async fn keys_of_the_jsonwebtoken_crate_are_taken_over() {
    use jsonwebtoken::DecodingKey;
    for algorithm in Algorithm::ASYMMETRIC {
        let key = TestKey::shared(algorithm);
        let taken = |theirs: &DecodingKey| by_hand(VerificationKey::from_decoding_key(algorithm, theirs).unwrap());
        let jwk = key.jwk();
        let spki = pem("PUBLIC KEY", der::spki(&key));
        match jwk["kty"].as_str() {
            Some("RSA") => {
                let (n, e) = (jwk["n"].as_str().unwrap(), jwk["e"].as_str().unwrap());
                check("components", taken(&DecodingKey::from_rsa_components(n, e).unwrap()), &key).await;
                check("RSA PEM", taken(&DecodingKey::from_rsa_pem(spki.as_bytes()).unwrap()), &key).await;
                check("RSA DER", taken(&DecodingKey::from_rsa_der(&der::pkcs1(&key))), &key).await;
            }
            // Its own EC type knows no P-521.
            Some("EC") if algorithm != Algorithm::ES512 => {
                check("EC PEM", taken(&DecodingKey::from_ec_pem(spki.as_bytes()).unwrap()), &key).await;
                let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
                check("EC components", taken(&DecodingKey::from_ec_components(x, y).unwrap()), &key).await;
            }
            Some("OKP") => {
                check("Ed PEM", taken(&DecodingKey::from_ed_pem(spki.as_bytes()).unwrap()), &key).await;
                let x = jwk["x"].as_str().unwrap();
                check("Ed components", taken(&DecodingKey::from_ed_components(x).unwrap()), &key).await;
            }
            _ => {}
        }
        if algorithm != Algorithm::ES512 {
            let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(json!({ "keys": [jwk] })).unwrap();
            check("JwkSet", KeySource::set(KeySet::from_jwk_set(&set).unwrap()), &key).await;
        }
    }
}

#[test]
fn what_is_not_such_a_key_is_refused_threat_32() {
    use Algorithm::{ES256, ES384, Ed25519, HS256, PS256, RS256};
    let (rsa, ec, ed) = (TestKey::shared(RS256), TestKey::shared(ES256), TestKey::shared(Ed25519));
    let two = format!("{}{}", pem("PUBLIC KEY", der::spki(&ec)), pem("PUBLIC KEY", der::spki(&ec)));
    let weak = der::pkcs1_of(&[0xff; 128], &[1, 0, 1]);
    let text = |pem: String| pem.into_bytes();
    let from_pem = [
        ("another type", ES256, text(pem("PUBLIC KEY", der::spki(&rsa))), "not a public key"),
        ("another curve", ES384, text(pem("PUBLIC KEY", der::spki(&ec))), "not a public key"),
        ("an EC key as RSA", PS256, text(pem("PUBLIC KEY", der::spki(&ec))), "not an RSA public key"),
        ("Ed25519 as EC", ES256, text(pem("PUBLIC KEY", der::spki(&ed))), "not a public key"),
        ("a public key as secret", HS256, text(pem("PUBLIC KEY", der::spki(&rsa))), "HS256"),
        ("a private key", ES256, text(pem("PRIVATE KEY", vec![0x30; 9])), "a private key"),
        ("an old private key", RS256, text(pem("RSA PRIVATE KEY", vec![0x30; 9])), "a private key"),
        ("an encrypted private key", RS256, text(pem("ENCRYPTED PRIVATE KEY", vec![0x30; 9])), "a private key"),
        ("a certificate", RS256, text(pem("CERTIFICATE", vec![0x30; 9])), "not a PUBLIC KEY"),
        ("two keys", ES256, text(two), "exactly one"),
        ("no key", ES256, b"hello".to_vec(), "exactly one"),
        ("an empty block", ES256, text(pem("PUBLIC KEY", vec![])), "not a DER public key"),
        ("a bare point", Ed25519, text(pem("PUBLIC KEY", vec![9; 32])), "not a DER public key"),
        ("a weak RSA key", RS256, text(pem("PUBLIC KEY", der::spki_of(der::RSA, &weak))), "2048"),
        ("a weak RSA key in PKCS#1", RS256, text(pem("RSA PUBLIC KEY", weak)), "2048"),
    ];
    for (what, algorithm, text, complaint) in from_pem {
        let error: KeyError = VerificationKey::from_pem(algorithm, &text).unwrap_err();
        assert!(error.to_string().contains(complaint), "{what}: {error}");
    }
    let from_der = [
        ("nothing", RS256, vec![], "not"),
        ("a bare point", Ed25519, vec![9; 32], "not a DER public key"),
        ("PKCS#1 as EC", ES256, der::pkcs1(&rsa), "not a public key"),
        ("half a key", RS256, der::spki(&rsa)[..100].to_vec(), "not an RSA public key"),
    ];
    for (what, algorithm, der, complaint) in from_der {
        let error = VerificationKey::from_der(algorithm, &der).unwrap_err();
        assert!(error.to_string().contains(complaint), "{what}: {error}");
    }
}

#[test]
fn a_decoding_key_of_another_family_is_refused() {
    let secret = jsonwebtoken::DecodingKey::from_secret(&[7; 64]);
    let ed: Value = TestKey::shared(Algorithm::Ed25519).jwk();
    let ed = jsonwebtoken::DecodingKey::from_ed_components(ed["x"].as_str().unwrap()).unwrap();
    for (algorithm, theirs) in [
        (Algorithm::RS256, &secret),
        (Algorithm::ES256, &secret),
        (Algorithm::Ed25519, &secret),
        (Algorithm::HS256, &ed),
        (Algorithm::ES256, &ed),
        (Algorithm::RS256, &ed),
    ] {
        assert!(VerificationKey::from_decoding_key(algorithm, theirs).is_err(), "{algorithm}");
    }
}
