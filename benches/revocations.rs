//! Revocations, and a token that is looked for: beside sets that are handed the finished key, or make it as the index does.
//!
//! `cargo bench --bench revocations` for a million of them; `cargo bench --bench revocations -- ratios` for ten million,
//! as medians of interleaved rounds. Compare within one run; the machine's speed cancels out of the ratios.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark")]

#[path = "revocations/ratios.rs"]
mod ratios;
mod support;

use std::{
    collections::HashSet,
    hash::Hasher,
    hint::black_box,
    sync::{Arc, OnceLock},
};

use criterion::{Criterion, criterion_group};
use portcullis::{
    AccessToken, Algorithm, Authorizer, Decision, Input, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    authorizer::Answers,
    clock::UnixTime,
    credential::{Bearer, DEFAULT_MAX_LEN},
    status::{Revocation, Revocations},
    testing::{ManualClock, TestKey, TokenBuilder},
};
use siphasher::sip128::{Hasher128, SipHasher24};

const ISSUER: &str = "https://issuer.example";

/// What an exact set of 128-bit keys is, where nobody means harm.
type Keys = HashSet<u128, foldhash::fast::RandomState>;

/// So many revocations, and tokens that are looked for among them.
struct Scene {
    entries: u64,
    /// Spread over all entries, or beyond them. More than any cache holds the entries of.
    tokens: u64,
}

impl Scene {
    fn number(&self, position: u64, hit: bool) -> u64 {
        position * (self.entries / self.tokens) + if hit { 0 } else { self.entries }
    }

    fn revocations(&self) -> Revocations {
        // With room for more.
        let revocations = Revocations::builder().capacity(2 * usize::try_from(self.entries).unwrap()).build().unwrap();
        (0..self.entries).for_each(|number| revocations.revoke(revocation(number)));
        revocations
    }

    fn keys(&self) -> Keys {
        (0..self.entries).map(|number| key(&name(number))).collect()
    }

    fn tokens(&self, hit: bool) -> Vec<AccessToken> {
        let (clock, test_key) = (ManualClock::new(), TestKey::shared(Algorithm::ES256));
        let source = KeySource::json(test_key.jwk().to_string());
        let authorizer = Authorizer::builder()
            .issuer(Issuer::with_keys(ISSUER, source).audience(TokenBuilder::AUDIENCE))
            .routes(RouteTable::builder().otherwise(Unlisted::Deny).unwrap())
            .clock(clock.clone())
            .build()
            .unwrap();
        let requirement = Arc::new(Requirement::authenticated());
        let token = |position| {
            let id = name(self.number(position, hit));
            let text = TokenBuilder::new(ISSUER, &test_key, clock.now().wall()).claim("jti", id).build();
            let input = Input::new(Bearer::parse(text.as_bytes(), DEFAULT_MAX_LEN).map(Some), &requirement);
            match authorizer.decide(&input, &Answers::default(), authorizer.now()) {
                Decision::Permit(permit) => permit.into_token().unwrap(),
                other => panic!("{other:?}"),
            }
        };
        (0..self.tokens).map(token).collect()
    }
}

fn name(number: u64) -> String {
    format!("a1b2c3d4-e5f6-7890-abcd-{number:012}")
}

fn revocation(number: u64) -> Revocation {
    Revocation::token_id(Some(ISSUER), &name(number)).expires_at(UnixTime::from_secs(4_000_000_000))
}

/// What an exact set of 128-bit keys would hold, made as the index makes it.
fn key(name: &str) -> u128 {
    static KEYED: OnceLock<SipHasher24> = OnceLock::new();
    let mut hasher = *KEYED.get_or_init(|| SipHasher24::new_with_keys(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210));
    hasher.write_u64(ISSUER.len().try_into().unwrap());
    hasher.write(ISSUER.as_bytes());
    hasher.write_u8(0);
    hasher.write(name.as_bytes());
    hasher.finish128().into()
}

fn a_million(criterion: &mut Criterion) {
    let scene = Scene { entries: 1_000_000, tokens: 16_384 };
    let (revocations, keys) = (scene.revocations(), scene.keys());
    let names: HashSet<String> = (0..scene.entries).map(name).collect();
    for hit in [true, false] {
        let tokens = scene.tokens(hit);
        let ready: Vec<u128> = tokens.iter().map(|token| key(token.token_id().unwrap())).collect();
        let mut group = criterion.benchmark_group(if hit { "revoked" } else { "not revoked" });
        let mut next = (0..tokens.len()).cycle();
        group.bench_function("portcullis, from the token", |bencher| {
            bencher.iter(|| assert_eq!(revocations.is_revoked(black_box(&tokens[next.next().unwrap()])), hit));
        });
        group.bench_function("HashSet<String>, from the token", |bencher| {
            let found = |token: &AccessToken| names.contains(token.token_id().unwrap());
            bencher.iter(|| assert_eq!(found(black_box(&tokens[next.next().unwrap()])), hit));
        });
        group.bench_function("HashSet<u128>, from the token", |bencher| {
            let found = |token: &AccessToken| keys.contains(&key(token.token_id().unwrap()));
            bencher.iter(|| assert_eq!(found(black_box(&tokens[next.next().unwrap()])), hit));
        });
        group.bench_function("HashSet<u128>, key at hand", |bencher| {
            bencher.iter(|| assert_eq!(keys.contains(black_box(&ready[next.next().unwrap()])), hit));
        });
        group.finish();
    }

    let tokens = scene.tokens(false);
    let mut group = criterion.benchmark_group("around it");
    group.bench_function("generation, all that a request with a known token needs", |bencher| {
        bencher.iter(|| black_box(&revocations).generation());
    });
    let empty = Revocations::new();
    group.bench_function("nothing is revoked", |bencher| bencher.iter(|| empty.is_revoked(black_box(&tokens[0]))));
    let mut numbers = scene.entries..;
    let roomy = Revocations::new();
    group.bench_function("revoke, at capacity", |bencher| {
        bencher.iter(|| roomy.revoke(Revocation::token_id(Some(ISSUER), &name(numbers.next().unwrap()))));
    });
    group.finish();
}

criterion_group!(benches, a_million);

fn main() {
    support::run(benches, ratios::print);
}
