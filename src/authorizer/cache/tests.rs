//! What may be found, for how long, and in how many bytes.

mod flood;
mod model;
mod threads;

use std::sync::Arc;

use super::*;

const ROOM: usize = 64 * 1024;

/// An entry as a test wants it.
#[derive(Debug)]
struct Entry {
    text: Vec<u8>,
    bytes: usize,
}

impl Kept for Entry {
    fn text(&self) -> &[u8] {
        &self.text
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

fn entry(text: impl AsRef<[u8]>, bytes: usize) -> Arc<Entry> {
    Arc::new(Entry { text: text.as_ref().into(), bytes })
}

/// The token of a number, of the length of a real one; what differs is near its end.
fn token(number: usize) -> Vec<u8> {
    let mut text = vec![b'n'; 680];
    text.extend(format!(".{number:0>36}").bytes());
    text
}

/// Whether it is that very entry that is found under its text.
fn finds(cache: &TokenCache<Entry>, entry: &Arc<Entry>) -> bool {
    cache.find(&entry.text).as_ref().is_some_and(|found| Arc::ptr_eq(found, entry))
}

#[test]
fn what_was_kept_is_found_by_its_text_until_another_takes_its_place() {
    let cache = TokenCache::new(ROOM);
    let (first, second, larger) = (entry("token", 100), entry("token", 100), entry("token", 900));
    assert!(cache.find(b"token").is_none());
    for entry in [&first, &second, &larger, &first] {
        cache.keep(Arc::clone(entry));
        assert!(finds(&cache, entry));
        assert_eq!((cache.len(), cache.bytes()), (1, TokenCache::<Entry>::new(ROOM).bytes() + entry.bytes));
    }
    assert_eq!(Arc::strong_count(&second), 1, "what was replaced is let go");
}

#[test]
fn a_text_that_shares_its_tail_or_its_length_or_its_start_is_another_threat_23() {
    let (tail, front) = ("t".repeat(64), "f".repeat(64));
    let known = format!("{front}.{tail}");
    let other = format!("{}.{tail}", "g".repeat(64));
    let rows: Vec<(&str, String)> = vec![
        ("same tail and length, another front", other.clone()),
        ("same tail, one byte more in front", format!("x{known}")),
        ("same tail, one byte fewer in front", known[1..].to_owned()),
        ("the tail alone", tail.clone()),
        ("what is hashed of it", known[known.len() - 32..].to_owned()),
        ("the last byte cut off", known[..known.len() - 1].to_owned()),
        ("the front alone", front.clone()),
        ("another last byte", format!("{}u", &known[..known.len() - 1])),
        ("a zero more behind", format!("{known}\0")),
        ("nothing", String::new()),
    ];
    let cache = TokenCache::new(ROOM);
    let known = entry(&known, 100);
    cache.keep(Arc::clone(&known));
    for (how, text) in &rows {
        assert!(cache.find(text.as_bytes()).is_none(), "{how}");
    }
    // Both can be there: neither answers for the other.
    let other = entry(&other, 100);
    cache.keep(Arc::clone(&other));
    assert!(finds(&cache, &known) && finds(&cache, &other));
    assert_eq!(cache.len(), 2);
}

#[test]
fn short_texts_and_those_of_zeros_are_texts_like_others() {
    let cache = TokenCache::new(ROOM);
    // Nothing at all, shorter than what is hashed, just as long, longer.
    let entries: Vec<_> = (0..40).map(|length| entry(vec![0; length], 10)).collect();
    for entry in &entries {
        cache.keep(Arc::clone(entry));
    }
    let found = entries.iter().filter(|entry| finds(&cache, entry)).count();
    assert_eq!(found, cache.len());
    assert!(found > 30, "{found}: eight may meet in a set, hardly more");
}

#[test]
fn what_leaves_for_its_successor_leaves_once_that_one_is_there() {
    /// Looks, as it goes, for what is there by then.
    struct Leaving(Arc<TokenCache<Self>>, Arc<Mutex<Vec<Option<usize>>>>, usize);
    impl Kept for Leaving {
        fn text(&self) -> &[u8] {
            b"token"
        }
        fn bytes(&self) -> usize {
            self.2
        }
    }
    impl Drop for Leaving {
        fn drop(&mut self) {
            let there = self.0.find(b"token").as_ref().map(|found| found.2);
            self.1.lock().unwrap().push(there);
        }
    }
    let (cache, seen) = (Arc::new(TokenCache::new(ROOM)), Arc::default());
    for bytes in 100..105 {
        cache.keep(Arc::new(Leaving(Arc::clone(&cache), Arc::clone(&seen), bytes)));
    }
    assert_eq!(*seen.lock().unwrap(), [Some(101), Some(102), Some(103), Some(104)]);
}

#[test]
fn in_a_full_set_the_oldest_without_credit_leaves_and_credit_runs_out() {
    // A cache of one set.
    let cache = TokenCache::new(8 * 768);
    let keep = |number: usize| {
        let entry = entry(token(number), 10);
        cache.keep(Arc::clone(&entry));
        entry
    };
    let first: Vec<_> = (0..8).map(keep).collect();
    // Each of them in use, and then no more.
    (0..3).for_each(|_| assert!(first.iter().all(|entry| finds(&cache, entry))));
    let second: Vec<_> = (8..16).map(keep).collect();
    assert!(!first.iter().any(|entry| finds(&cache, entry)));
    // One of them in use, once.
    assert!(finds(&cache, &second[3]));
    let third: Vec<_> = (16..23).map(keep).collect();
    assert!(third.iter().chain([&second[3]]).all(|entry| finds(&cache, entry)));
    assert_eq!(cache.len(), 8);
}

#[test]
fn without_room_nothing_is_kept_and_nothing_allocated() {
    for room in [0, 1, 100] {
        let cache = TokenCache::new(room);
        cache.keep(entry("token", 1));
        assert!(cache.find(b"token").is_none());
        assert_eq!((cache.len(), cache.bytes()), (0, 0), "a room of {room}");
        assert!(cache.sets.is_empty() && cache.shards.is_empty(), "a room of {room}");
    }
}

#[test]
fn what_is_larger_than_an_eighth_of_the_room_of_its_shard_is_not_kept_nor_what_it_would_have_replaced() {
    for room in [ROOM, 4 << 20] {
        let cache = TokenCache::new(room);
        let largest = cache.room / 8;
        let (largest, too_large) = (entry("token", largest), entry("token", largest + 1));
        cache.keep(Arc::clone(&largest));
        assert!(finds(&cache, &largest));
        cache.keep(too_large);
        assert!(cache.find(b"token").is_none());
        assert_eq!((cache.len(), cache.bytes()), (0, TokenCache::<Entry>::new(room).bytes()));
        for bytes in [usize::MAX, usize::MAX - 1, u32::MAX.try_into().unwrap()] {
            cache.keep(entry("token", bytes));
            assert!(cache.find(b"token").is_none());
        }
    }
}

#[test]
fn the_table_takes_a_fiftieth_of_the_room_and_grows_with_it() {
    for room in [ROOM, 1 << 20, 32 << 20, 100_000_000] {
        let cache = TokenCache::<Entry>::new(room);
        let (table, locks) = (cache.bytes(), cache.shards.len());
        assert!(table <= room / 45 && table >= room / 60, "{table} of {room}");
        assert_eq!(locks, (room >> 20).clamp(1, 64));
    }
}

#[test]
fn entries_that_claim_to_take_nothing_are_bounded_by_the_places() {
    let cache = TokenCache::new(ROOM);
    for number in 0..1000 {
        cache.keep(entry(token(number), 0));
    }
    assert!(cache.len() <= ROOM / 768);
    assert!(cache.bytes() <= ROOM);
}

#[test]
fn a_guard_outlives_what_happens_to_the_entry() {
    let cache = TokenCache::new(ROOM);
    let kept = entry("token", 100);
    cache.keep(Arc::clone(&kept));
    let guards: Vec<_> = (0..20).map(|_| cache.find(b"token")).collect();
    cache.keep(entry("token", 100));
    assert!(!finds(&cache, &kept));
    drop(cache);
    assert!(guards.iter().all(|guard| guard.as_ref().is_some_and(|found| Arc::ptr_eq(found, &kept))));
}

#[test]
fn debug_says_how_much_there_is_and_nothing_of_it() {
    let cache = TokenCache::new(ROOM);
    cache.keep(entry("secret", 100));
    assert_eq!(format!("{cache:?}"), format!("TokenCache {{ entries: 1, bytes: {} }}", cache.bytes()));
}

#[test]
fn threads_may_share_it() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<TokenCache<Entry>>();
    is_shared::<Held<Entry>>();
}
