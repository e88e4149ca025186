//! A token that was never seen before: the whole decision, beside the raw signature check and beside jsonwebtoken.
//!
//! `cargo bench --bench decision` for times. `cargo bench --bench decision -- ratios` for the ratios between them: the
//! machine's speed cancels out of those, since what is compared takes turns.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark")]

mod support;

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::{rsa::PublicKeyComponents, signature};
use base64_simd::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group};
use jsonwebtoken::{DecodingKey, Validation};
use portcullis::{
    Algorithm, Authorizer, Decision, Input, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    authorizer::Answers,
    clock::UnixTime,
    credential::{Bearer, DEFAULT_MAX_LEN},
    testing::{ManualClock, TestKey, TokenBuilder},
};
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.example";
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519];

/// The size of every RS256 token here, in bytes; those of other algorithms differ from it in little but the signature.
const LENGTH: usize = 717;

/// About the size and content of a real access token.
fn builder(key: &TestKey, clock: &ManualClock) -> TokenBuilder {
    let builder = |padding: usize| {
        // Not every length can be had with one header.
        let (of_header, padding) = (padding % 3, padding / 3);
        TokenBuilder::new(ISSUER, key, clock.now().wall())
            .subject("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
            .header("x5t", "0".repeat(of_header))
            .claim("jti", "0".repeat(padding))
            .scopes(["agents:read", "agents:write", "tokens:read"])
    };
    match key.algorithm() {
        Algorithm::RS256 => (0..600).map(builder).find(|builder| builder.clone().build().len() == LENGTH).unwrap(),
        _ => builder(3 * 16),
    }
}

/// Trusts that one key, and keeps no token.
fn authorizer(key: &TestKey, clock: &ManualClock) -> Authorizer {
    Authorizer::builder()
        .issuer(Issuer::with_keys(ISSUER, KeySource::json(key.jwk().to_string())).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Deny).unwrap())
        .token_cache_bytes(0)
        .clock(clock.clone())
        .build()
        .unwrap()
}

/// The whole decision on a token that stands in a header; whether it passes.
#[inline(never)]
fn decide(authorizer: &Authorizer, requirement: &Arc<Requirement>, token: &str) -> bool {
    let input = Input::new(Bearer::parse(token.as_bytes(), DEFAULT_MAX_LEN).map(Some), requirement);
    match authorizer.decide(&input, &Answers::default(), authorizer.now()) {
        Decision::Permit(_) => true,
        Decision::Reject(_) => false,
        decision => panic!("{decision:?}"),
    }
}

/// What is measured: does its work once.
type Work = Box<dyn Fn()>;

/// The signature check, our decision and their decoding of one token.
fn of_algorithm(algorithm: Algorithm) -> [(&'static str, Work); 3] {
    let (clock, key) = (ManualClock::new(), TestKey::shared(algorithm));
    let token = builder(&key, &clock).build();

    let raw = raw_key(algorithm, &key.jwk());
    let (message, signature) = token.rsplit_once('.').map(|(message, last)| (message.to_owned(), last)).unwrap();
    let signature = URL_SAFE_NO_PAD.decode_to_vec(signature).unwrap();
    let raw = move || raw.verify_sig(black_box(message.as_bytes()), black_box(&signature)).unwrap();

    let (authorizer, requirement) = (authorizer(&key, &clock), Arc::new(Requirement::scope("agents:read")));
    let ours = token.clone();
    let cold = move || assert!(decide(&authorizer, &requirement, black_box(&ours)));

    let theirs = decoding_key(algorithm, &key.jwk());
    let mut validation = Validation::new(match algorithm {
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        _ => jsonwebtoken::Algorithm::EdDSA,
    });
    validation.set_audience(&[TokenBuilder::AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    let decode = move || drop(jsonwebtoken::decode::<Value>(black_box(&token), &theirs, &validation).unwrap());
    [("raw signature", Box::new(raw)), ("cold decision", Box::new(cold)), ("jsonwebtoken decode", Box::new(decode))]
}

/// What is refused: before the signature is looked at, and because of it.
fn refusals() -> [(&'static str, Work); 5] {
    let (clock, key) = (ManualClock::new(), TestKey::shared(Algorithm::RS256));
    let good = || builder(&key, &clock);
    let rows = [
        ("not a JWT", "a".repeat(LENGTH)),
        ("expired", good().expires_at(UnixTime::from_secs(1)).build()),
        ("foreign issuer", good().claim("iss", json!("https://other.example")).build()),
        ("unknown kid", good().key_id("another").build()),
        ("bad signature", good().tampered().build()),
    ];
    rows.map(|(name, token)| {
        let (authorizer, requirement) = (authorizer(&key, &clock), Arc::new(Requirement::scope("agents:read")));
        let work: Work = Box::new(move || assert!(!decide(&authorizer, &requirement, black_box(&token))));
        (name, work)
    })
}

fn times(criterion: &mut Criterion) {
    let groups = ALGORITHMS.map(|algorithm| (algorithm.name(), Vec::from(of_algorithm(algorithm))));
    for (name, rows) in groups.into_iter().chain([("refused", Vec::from(refusals()))]) {
        let mut group = criterion.benchmark_group(name);
        for (name, work) in rows {
            group.bench_function(name, |bencher| bencher.iter(&work));
        }
        group.finish();
    }
}

/// Prints how much longer each takes than the raw signature check of the same algorithm, in rounds of turns.
fn ratios() {
    println!("{:<10} {:<20} {:>8} {:>9}", "", "", "ratio", "µs");
    for algorithm in ALGORITHMS {
        let mut rows = Vec::from(of_algorithm(algorithm));
        if algorithm == Algorithm::RS256 {
            rows.extend(refusals());
        }
        print_ratios(algorithm.name(), &rows);
    }
}

fn print_ratios(group: &str, rows: &[(&str, Work)]) {
    const ROUNDS: usize = 101;
    const REPEATS: u32 = 30;
    let time = |work: &Work| {
        let start = Instant::now();
        (0..REPEATS).for_each(|_| work());
        start.elapsed() / REPEATS
    };
    rows.iter().for_each(|(_, work)| work());
    let rounds: Vec<Vec<Duration>> = (0..ROUNDS).map(|_| rows.iter().map(|(_, work)| time(work)).collect()).collect();
    for (position, (name, _)) in rows.iter().enumerate() {
        let ratio =
            support::quantile(rounds.iter().map(|round| round[position].as_secs_f64() / round[0].as_secs_f64()), 0.5);
        let micros = support::quantile(rounds.iter().map(|round| round[position].as_secs_f64() * 1e6), 0.5);
        println!("{group:<10} {name:<20} {ratio:>8.3} {micros:>9.2}");
    }
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

criterion_group!(benches, times);

fn main() {
    support::run(benches, ratios);
}
