//! A million revocations, and a token that is looked for: beside sets that were handed the finished key.
//!
//! `cargo bench --bench revocations`. Compare within one run; the machine's speed cancels out of the ratios.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::{collections::HashSet, hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::{
    AccessToken, Algorithm, Authorizer, Decision, Input, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    authorizer::Answers,
    clock::UnixTime,
    credential::{Bearer, DEFAULT_MAX_LEN},
    status::{Revocation, Revocations},
    testing::{ManualClock, TestKey, TokenBuilder},
};

const ISSUER: &str = "https://issuer.example";
const ENTRIES: u64 = 1_000_000;
/// More than any cache holds the entries of.
const TOKENS: u64 = 16_384;

/// Spread over all entries, or beyond them.
fn number(position: u64, hit: bool) -> u64 {
    position * (ENTRIES / TOKENS) + if hit { 0 } else { ENTRIES }
}

fn name(number: u64) -> String {
    format!("a1b2c3d4-e5f6-7890-abcd-{number:012}")
}

/// What an exact set of 128-bit keys would hold.
fn key(number: u64) -> u128 {
    u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64
        | u128::from(number.wrapping_mul(0xbf58_476d_1ce4_e5b9))
}

fn tokens(hit: bool) -> Vec<AccessToken> {
    let (clock, test_key) = (ManualClock::new(), TestKey::shared(Algorithm::ES256));
    let authorizer = Authorizer::builder()
        .issuer(Issuer::with_keys(ISSUER, KeySource::json(test_key.jwk().to_string())).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Deny).unwrap())
        .clock(clock.clone())
        .build()
        .unwrap();
    let requirement = Arc::new(Requirement::authenticated());
    let token = |position| {
        let text = TokenBuilder::new(ISSUER, &test_key, clock.now().wall()).claim("jti", name(number(position, hit)));
        let text = text.build();
        let input = Input::new(Bearer::parse(text.as_bytes(), DEFAULT_MAX_LEN).map(Some), &requirement);
        match authorizer.decide(&input, &Answers::default(), authorizer.now()) {
            Decision::Permit(permit) => permit.into_token().unwrap(),
            other => panic!("{other:?}"),
        }
    };
    (0..TOKENS).map(token).collect()
}

fn a_million(criterion: &mut Criterion) {
    let revocations = Revocations::new();
    let expiry = UnixTime::from_secs(4_000_000_000);
    for number in 0..ENTRIES {
        revocations.revoke(Revocation::token_id(Some(ISSUER), &name(number)).expires_at(expiry));
    }
    let keys: HashSet<u128> = (0..ENTRIES).map(key).collect();
    let names: HashSet<String> = (0..ENTRIES).map(name).collect();
    for hit in [true, false] {
        let tokens = tokens(hit);
        let numbers: Vec<u64> = (0..TOKENS).map(|position| number(position, hit)).collect();
        let mut group = criterion.benchmark_group(if hit { "revoked" } else { "not revoked" });
        let mut next = (0..tokens.len()).cycle();
        group.bench_function("portcullis, from the token", |bencher| {
            bencher.iter(|| assert_eq!(revocations.is_revoked(black_box(&tokens[next.next().unwrap()])), hit));
        });
        group.bench_function("HashSet<String>, from the token", |bencher| {
            let found = |token: &AccessToken| names.contains(token.token_id().unwrap());
            bencher.iter(|| assert_eq!(found(black_box(&tokens[next.next().unwrap()])), hit));
        });
        group.bench_function("HashSet<u128>, key at hand", |bencher| {
            bencher.iter(|| assert_eq!(keys.contains(&key(black_box(numbers[next.next().unwrap()]))), hit));
        });
        group.finish();
    }

    let tokens = tokens(false);
    let mut group = criterion.benchmark_group("around it");
    group.bench_function("generation, all that a request with a known token needs", |bencher| {
        bencher.iter(|| black_box(&revocations).generation());
    });
    let empty = Revocations::new();
    group.bench_function("nothing is revoked", |bencher| bencher.iter(|| empty.is_revoked(black_box(&tokens[0]))));
    let mut numbers = ENTRIES..;
    let roomy = Revocations::new();
    group.bench_function("revoke, at capacity", |bencher| {
        bencher.iter(|| roomy.revoke(Revocation::token_id(Some(ISSUER), &name(numbers.next().unwrap()))));
    });
    group.finish();
}

criterion_group!(benches, a_million);
criterion_main!(benches);
