//! A token that was never seen before: the whole decision, beside the raw signature check and beside jsonwebtoken.
//!
//! `cargo bench --bench verification`. Compare within one run; the machine's speed cancels out of the ratios.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::{hint::black_box, sync::Arc};

use aws_lc_rs::{rsa::PublicKeyComponents, signature};
use base64_simd::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use jsonwebtoken::{DecodingKey, Validation};
use portcullis::{
    Algorithm, Authorizer, Decision, Input, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    authorizer::Answers,
    credential::{Bearer, DEFAULT_MAX_LEN},
    testing::{ManualClock, TestKey, TokenBuilder},
};
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.example";

/// About the size and content of a real access token.
fn token(key: &TestKey, clock: &ManualClock) -> String {
    TokenBuilder::new(ISSUER, key, clock.now().wall())
        .subject("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
        .client_id("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
        .scopes(["agents:read", "agents:write", "tokens:read", "audit:read"])
        .build()
}

/// Trusts that one key.
fn authorizer(key: &TestKey, clock: &ManualClock) -> Authorizer {
    Authorizer::builder()
        .issuer(Issuer::with_keys(ISSUER, KeySource::json(key.jwk().to_string())).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Deny).unwrap())
        .clock(clock.clone())
        .build()
        .unwrap()
}

fn verification(criterion: &mut Criterion) {
    let clock = ManualClock::new();
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519] {
        let key = TestKey::shared(algorithm);
        let token = token(&key, &clock);
        let mut group = criterion.benchmark_group(algorithm.name());

        let raw = raw_key(algorithm, &key.jwk());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode_to_vec(signature).unwrap();
        group.bench_function("raw signature", |bencher| {
            bencher.iter(|| raw.verify_sig(black_box(message.as_bytes()), black_box(&signature)).unwrap());
        });

        let authorizer = authorizer(&key, &clock);
        let requirement = Arc::new(Requirement::scope("agents:read"));
        let decide = |token: &str| {
            let input = Input::new(Bearer::parse(token.as_bytes(), DEFAULT_MAX_LEN).map(Some), &requirement);
            authorizer.decide(&input, &Answers::default(), authorizer.now())
        };
        group.bench_function("portcullis decide", |bencher| {
            bencher.iter(|| assert!(matches!(decide(black_box(&token)), Decision::Permit(_))));
        });

        let theirs = decoding_key(algorithm, &key.jwk());
        let mut validation = Validation::new(match algorithm {
            Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
            _ => jsonwebtoken::Algorithm::EdDSA,
        });
        validation.set_audience(&[TokenBuilder::AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        group.bench_function("jsonwebtoken decode", |bencher| {
            #[expect(clippy::disallowed_methods, reason = "what we compare ourselves with")]
            bencher.iter(|| jsonwebtoken::decode::<Value>(black_box(&token), &theirs, &validation).unwrap());
        });
        group.finish();
    }
}

/// What never gets as far as a signature, beside one that does.
fn refusals(criterion: &mut Criterion) {
    let clock = ManualClock::new();
    let key = TestKey::shared(Algorithm::RS256);
    let authorizer = authorizer(&key, &clock);
    let requirement = Arc::new(Requirement::authenticated());
    let builder = || TokenBuilder::new(ISSUER, &key, clock.now().wall());
    let rows = [
        ("not a JWT", "a".repeat(700)),
        ("expired", builder().expires_at(portcullis::clock::UnixTime::from_secs(1)).build()),
        ("foreign issuer", builder().claim("iss", json!("https://other.example")).build()),
        ("bad signature", builder().tampered().build()),
    ];
    let mut group = criterion.benchmark_group("refused");
    for (name, token) in rows {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let bearer = Bearer::parse(black_box(token.as_bytes()), DEFAULT_MAX_LEN).map(Some);
                let input = Input::new(bearer, &requirement);
                assert!(matches!(
                    authorizer.decide(&input, &Answers::default(), authorizer.now()),
                    Decision::Reject(_)
                ));
            });
        });
    }
    group.finish();
}

fn member(jwk: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode_to_vec(jwk[name].as_str().unwrap()).unwrap()
}

fn raw_key(algorithm: Algorithm, jwk: &Value) -> signature::ParsedPublicKey {
    match algorithm {
        Algorithm::RS256 => PublicKeyComponents { n: member(jwk, "n"), e: member(jwk, "e") }
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256)
            .unwrap(),
        Algorithm::ES256 => {
            let point = [vec![4], member(jwk, "x"), member(jwk, "y")].concat();
            signature::ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).unwrap()
        }
        _ => signature::ParsedPublicKey::new(&signature::ED25519, member(jwk, "x")).unwrap(),
    }
}

fn decoding_key(algorithm: Algorithm, jwk: &Value) -> DecodingKey {
    let text = |name: &str| jwk[name].as_str().unwrap();
    match algorithm {
        Algorithm::RS256 => DecodingKey::from_rsa_components(text("n"), text("e")).unwrap(),
        Algorithm::ES256 => DecodingKey::from_ec_components(text("x"), text("y")).unwrap(),
        _ => DecodingKey::from_ed_components(text("x")).unwrap(),
    }
}

criterion_group!(benches, verification, refusals);
criterion_main!(benches);
