//! How many bytes a revocation costs: so that the bound on entries is a bound on memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use portcullis::{
    clock::UnixTime,
    status::{Revocation, Revocations},
    testing::ManualClock,
};

/// The system's allocator, with the number of bytes that are out, and the most that ever were.
struct Counting;

static OUT: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let out = OUT.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(out, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        OUT.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes for each entry with so many of them, and at most while they came in. One at a time: they share an allocator.
fn bytes_per_entry(entries: usize) -> (usize, usize) {
    static ALONE: Mutex<()> = Mutex::new(());
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
