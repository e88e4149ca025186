//! What a word on a token costs: time on the warm path beside none, and bytes at one million of them.
//!
//! `cargo bench --bench status` for the time; compare within one run. `cargo bench --bench status -- memory` for the bytes.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use criterion::{Criterion, criterion_group};
use http::{HeaderMap, header::AUTHORIZATION};
use portcullis::{
    AccessToken, Algorithm, Authorizer, Decision, Input, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    authorizer::Answers,
    credential::{Bearer, DEFAULT_MAX_LEN},
    keys::{KeySet, VerificationKey},
    status::{
        OpaqueTokens, Revocation, Revocations, StatusAnswer, StatusPolicy, StatusQuestion, StatusSource, TokenStatus,
    },
    testing::{ManualClock, TestKey, TokenBuilder},
};
use serde_json::{Value, json};

/// Room for words, in bytes: the default.
const ROOM: u64 = 32 * 1024 * 1024;
const ROOM_FOR_TOKENS: usize = 32 * 1024 * 1024;
const ISSUER: &str = "https://issuer.example";

/// The system's allocator, with a count of what is in use: as glibc rounds it, header included.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

const fn chunk(size: usize) -> usize {
    let chunk = (size + 8).next_multiple_of(16);
    if chunk < 32 { 32 } else { chunk }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(chunk(layout.size()), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(chunk(layout.size()), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Says the same of every token (nothing: inactive), and counts.
#[derive(Clone, Debug, Default)]
struct Source {
    says: Option<Value>,
    asked: Arc<AtomicU64>,
}

impl Source {
    fn says(claims: Value) -> Self {
        Self { says: Some(claims), asked: Arc::default() }
    }
}

impl StatusSource for Source {
    fn identity(&self) -> String {
        "source".to_owned()
    }

    fn ask(&self, _: &StatusQuestion) -> StatusAnswer {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let status = self.says.as_ref().map(|claims| TokenStatus::described(&claims.to_string().into()));
        Box::pin(async { status.unwrap_or_else(|| Ok(TokenStatus::inactive())) })
    }
}

/// Trusts that one key, and asks that source; with room for so many bytes of words on tokens, and of verified tokens.
fn authorizer(
    key: &TestKey,
    source: Option<&Source>,
    (words, tokens): (u64, usize),
    revocations: Option<&Revocations>,
) -> Authorizer {
    let keys = match key.secret() {
        Some(secret) => {
            let secret = VerificationKey::from_secret(key.algorithm(), &secret).unwrap();
            KeySource::set(KeySet::new([secret.with_key_id(key.key_id())]))
        }
        None => KeySource::json(key.jwk().to_string()),
    };
    let mut issuer = Issuer::with_keys(ISSUER, keys).audience(TokenBuilder::AUDIENCE);
    if let Some(source) = source {
        let policy = StatusPolicy::default().max_bytes(words);
        issuer = issuer.status_source(source.clone()).status_policy(policy).opaque_tokens(OpaqueTokens::default());
    }
    let routes = RouteTable::builder().otherwise(Unlisted::Deny).unwrap();
    let mut builder = Authorizer::builder().issuer(issuer).routes(routes).clock(ManualClock::new());
    builder = builder.token_cache_bytes(tokens);
    if let Some(revocations) = revocations {
        builder = builder.revocations(revocations.clone());
    }
    builder.build().unwrap()
}

fn token(key: &TestKey, id: &str) -> String {
    TokenBuilder::new(ISSUER, key, ManualClock::START)
        .claim("jti", id)
        .scopes(["agents:read", "agents:write", "tokens:read", "audit:read"])
        .build()
}

async fn permit(authorizer: &Authorizer, requirement: &Arc<Requirement>, token: &str) -> AccessToken {
    let input = Input::new(Bearer::parse(token.as_bytes(), DEFAULT_MAX_LEN).map(Some), requirement);
    authorizer.authorize(&input).await.unwrap().into_token().unwrap()
}

fn warm(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let revocations = Revocations::new();
    revocations.revoke(Revocation::token_id(Some(ISSUER), "another"));
    let source = Source::says(json!({ "active": true }));
    let rows = [
        ("no status", None, None),
        ("cached status", Some(&source), None),
        ("cached status and revocations", Some(&source), Some(&revocations)),
    ];
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let key = TestKey::shared(algorithm);
        let (token, requirement) = (token(&key, "token"), Arc::new(Requirement::scope("agents:read")));
        for (how, tokens) in [("to be verified", 0), ("verified before", ROOM_FOR_TOKENS)] {
            let mut group = criterion.benchmark_group(format!("{} {how}", algorithm.name()));
            for (name, source, revocations) in rows {
                let authorizer = authorizer(&key, source, (ROOM, tokens), revocations);
                runtime.block_on(permit(&authorizer, &requirement, &token));
                let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
                let decide = |headers: &HeaderMap| {
                    let input = authorizer.input(headers, &requirement);
                    authorizer.decide(&input, &Answers::default(), authorizer.now())
                };
                group.bench_function(name, |bencher| {
                    bencher.iter(|| assert!(matches!(decide(black_box(&headers)), Decision::Permit(_))));
                });
            }
            group.finish();
        }
    }
}

/// The token of a number.
type Text<'t> = &'t dyn Fn(usize) -> String;

/// Prints what words take, with everything that is there for their sake.
fn memory() {
    const WORDS: usize = 1_000_000;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (key, requirement) = (TestKey::shared(Algorithm::HS256), Arc::new(Requirement::authenticated()));
    let jwt = |number: usize| token(&key, &number.to_string());
    let opaque = |number: usize| format!("opaque-token-number-{number:012}");

    let active = json!({ "active": true });
    let source = Source::says(active.clone());
    let full = authorizer(&key, Some(&source), (500_000_000, 0), None);
    runtime.block_on(async {
        permit(&full, &requirement, &jwt(0)).await;
        let before = IN_USE.load(Ordering::Relaxed);
        for number in 1..=WORDS {
            permit(&full, &requirement, &jwt(number)).await;
            if number % (WORDS / 10) == 0 {
                println!("{} bytes per word at {number}", (IN_USE.load(Ordering::Relaxed) - before) / number);
            }
        }
        let asked = source.asked.load(Ordering::Relaxed);
        for number in (0..WORDS).step_by(1000) {
            permit(&full, &requirement, &jwt(number)).await;
        }
        assert_eq!(source.asked.load(Ordering::Relaxed), asked, "they are all there");
    });
    drop(full);

    // A room that is long full: what it takes against what was given.
    let narrowed = json!({ "active": true, "scope": "agents:read agents:write tokens:read" });
    let described = json!({
        "active": true, "aud": TokenBuilder::AUDIENCE, "sub": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        "client_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890", "iat": ManualClock::START.as_secs(),
        "scope": "agents:read agents:write tokens:read audit:read", "token_type": "Bearer", "iss": ISSUER,
    });
    let kinds: [(&str, Source, Text<'_>); 4] = [
        ("JWTs", Source::says(active), &jwt),
        ("JWTs with fewer scopes", Source::says(narrowed), &jwt),
        ("opaque tokens", Source::says(described), &opaque),
        ("withdrawn ones", Source::default(), &jwt),
    ];
    for (name, source, text) in kinds {
        let room = if source.says.is_some() { ROOM } else { ROOM / 8 };
        let flooded = authorizer(&key, Some(&source), (ROOM, 0), None);
        runtime.block_on(async {
            let before = IN_USE.load(Ordering::Relaxed);
            for number in 0..200_000 {
                let token = text(number);
                let input = Input::new(Bearer::parse(token.as_bytes(), DEFAULT_MAX_LEN).map(Some), &requirement);
                let _ = flooded.authorize(&input).await;
            }
            let bytes = IN_USE.load(Ordering::Relaxed) - before;
            println!("{name}: {bytes} bytes in a room of {room}");
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = warm
}

fn main() {
    if std::env::args().any(|argument| argument == "memory") {
        memory();
    } else {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}
