//! How many bytes a revocation and a verified token cost: so that the bounds on them are bounds on memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use portcullis::{
    Algorithm, Authorizer, Input, Issuer, KeySet, KeySource, Requirement, RouteTable, Unlisted, VerificationKey,
    clock::UnixTime,
    credential::Bearer,
    status::{Revocation, Revocations},
    testing::{ManualClock, TestKey, TokenBuilder},
};

/// The system's allocator, with the number of bytes that are out, as glibc rounds them, and the most that ever were.
struct Counting;

static OUT: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

const fn chunk(size: usize) -> usize {
    let chunk = (size + 8).next_multiple_of(16);
    if chunk < 32 { 32 } else { chunk }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = chunk(layout.size());
        let out = OUT.fetch_add(size, Ordering::Relaxed) + size;
        MOST.fetch_max(out, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        OUT.fetch_sub(chunk(layout.size()), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One at a time: they share an allocator.
static ALONE: Mutex<()> = Mutex::new(());

/// Bytes for each entry with so many of them, and at most while they came in.
fn bytes_per_entry(entries: usize) -> (usize, usize) {
    let _alone = ALONE.lock();
    let clock = ManualClock::new();
    let before = OUT.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let revocations = Revocations::builder().capacity(entries).clock(clock).build().unwrap();
    for number in 0..entries {
        let token = format!("0f8fad5b-d9cb-469f-a165-{number:012}");
        let expiry = UnixTime::from_secs(1_900_003_600);
        revocations.revoke(Revocation::token_id(Some("https://idp.example.com"), &token).expires_at(expiry));
    }
    assert_eq!((revocations.len(), revocations.coarsened()), (entries, 0));
    let each = |bytes: usize| (bytes - before).div_ceil(entries);
    (each(OUT.load(Ordering::Relaxed)), each(MOST.load(Ordering::Relaxed)))
}

/// Bytes for each verified token that is kept of so many, beyond its text and its claims; and how many are.
fn bytes_beyond_text_and_claims(tokens: usize) -> (isize, usize) {
    let _alone = ALONE.lock();
    let (key, clock) = (TestKey::shared(Algorithm::HS256), ManualClock::new());
    let secret = VerificationKey::from_secret(key.algorithm(), &key.secret().unwrap()).unwrap();
    let keys = KeySource::set(KeySet::new([secret.with_key_id(key.key_id())]));
    let builder = TokenBuilder::new("https://idp.example", &key, ManualClock::START)
        .subject("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
        .client_id("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
        .scopes(["agents:read", "agents:write", "tokens:read", "audit:read"]);
    let text = |number: usize| builder.clone().claim("jti", format!("0f8fad5b-d9cb-469f-a165-{number:012}")).build();
    let size = text(0).len();
    let claims = text(0).split('.').nth(1).unwrap().len() * 3 / 4;
    // Not for all of them: the last ones take the room of others.
    let (room, before) = (tokens * 1000, OUT.load(Ordering::Relaxed));
    let authorizer = Authorizer::builder()
        .issuer(Issuer::with_keys("https://idp.example", keys).audience(TokenBuilder::AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Deny).unwrap())
        .token_cache_bytes(room)
        .clock(clock)
        .build()
        .unwrap();
    let requirement = Arc::new(Requirement::scope("agents:read"));
    for number in 0..tokens {
        let text = text(number);
        let input = Input::new(Bearer::parse(text.as_bytes(), 1000).map(Some), &requirement);
        assert!(authorizer.permits(&input, authorizer.now()));
    }
    let kept = format!("{authorizer:?}");
    let kept = kept.split_once("entries: ").unwrap().1.split(',').next().unwrap().parse().unwrap();
    let used = OUT.load(Ordering::Relaxed) - before;
    assert!(used <= room + room / 50, "{used} bytes in a room of {room}");
    let each = used.div_ceil(kept);
    (isize::try_from(each).unwrap() - isize::try_from(size + claims).unwrap(), kept)
}

#[test]
fn a_verified_token_costs_no_more_than_its_text_its_claims_and_200_bytes_threat_21() {
    let (bytes, kept) = bytes_beyond_text_and_claims(10_000);
    println!("{bytes} bytes beyond text and claims for each of {kept}");
    assert!(bytes <= 200 && kept > 9_000, "{bytes} bytes for each of {kept}");
}

/// `cargo test --release --test memory -- --ignored --nocapture`
#[test]
#[ignore = "a million tokens"]
fn a_million_verified_tokens_cost_no_more_than_their_text_their_claims_and_200_bytes_each_threat_21() {
    let (bytes, kept) = bytes_beyond_text_and_claims(1_000_000);
    println!("{bytes} bytes beyond text and claims for each of {kept}");
    assert!(bytes <= 200 && kept > 900_000, "{bytes} bytes for each of {kept}");
}

#[test]
fn a_revocation_costs_no_more_than_48_bytes_threat_28() {
    for entries in [50_000, 62_500, 80_000] {
        let (bytes, most) = bytes_per_entry(entries);
        println!("{entries} entries: {bytes} bytes each, {most} at most");
        assert!(bytes <= 48 && most <= 48, "{entries} entries: {bytes} bytes each, {most} at most");
    }
}

/// 41 of them and 38 (2026-11-22): `cargo test --test memory -- --ignored --nocapture`.
#[test]
#[ignore = "a million entries, and ten"]
fn millions_of_revocations_cost_no_more_than_48_bytes_each_threat_28() {
    for entries in [1_000_000, 10_000_000] {
        let (bytes, most) = bytes_per_entry(entries);
        println!("{entries} entries: {bytes} bytes each, {most} at most");
        assert!(bytes <= 48 && most <= 48, "{entries} entries: {bytes} bytes each, {most} at most");
    }
}
