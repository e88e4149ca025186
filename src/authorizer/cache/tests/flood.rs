//! One-use tokens by the thousand, and what stays.

use super::*;

/// 4 MiB: room for two and a half thousand entries.
const ROOM_OF_MANY: usize = 4 << 20;
const BYTES: usize = 1600;

fn cache() -> TokenCache<Entry> {
    TokenCache::new(ROOM_OF_MANY)
}

/// Keeps what is not there, as whoever verified it would.
fn use_token(cache: &TokenCache<Entry>, text: &[u8]) -> bool {
    let is_hit = cache.find(text).is_some();
    if !is_hit {
        cache.keep(entry(text, BYTES));
    }
    is_hit
}

#[test]
fn a_flood_fifty_times_the_hot_set_takes_nothing_from_it_threat_21() {
    // Hot tokens; one-use tokens between two uses of the same hot one; of ten thousand uses, how many may miss. The room
    // is for two and a half thousand.
    for (hot, between, misses) in [(100, 100, 10), (500, 500, 10), (500, 1200, 10), (1200, 1200, 400)] {
        let cache = cache();
        let is_hot: Vec<_> = (0..hot).map(token).collect();
        for text in is_hot.iter().chain(&is_hot).chain(&is_hot) {
            use_token(&cache, text);
        }
        let (mut turn, mut due, mut missed, mut uses) = (is_hot.iter().cycle(), 0, 0, 0);
        for number in 0..50 * hot {
            use_token(&cache, &token(1_000_000 + number));
            assert!(cache.bytes() <= ROOM_OF_MANY);
            due += hot;
            while due >= between {
                due -= between;
                uses += 1;
                missed += usize::from(!use_token(&cache, turn.next().unwrap()));
            }
        }
        assert!(missed * 10_000 <= uses * misses, "{missed} of {uses} uses of {hot} hot tokens, once in {between}");
        let left = is_hot.iter().filter(|text| cache.find(text).is_some()).count();
        assert!(left * 100 >= hot * 95, "{left} of {hot} are left");
    }
}

#[test]
fn tokens_that_were_hot_leave_when_others_are() {
    let cache = cache();
    let of = |from: usize| (from..from + 1500).map(token).collect::<Vec<_>>();
    for epoch in 0..4 {
        let texts = of(epoch * 10_000);
        // Each epoch is used ten times over.
        let mut hits = 0;
        for _ in 0..10 {
            hits += texts.iter().filter(|text| use_token(&cache, text)).count();
        }
        assert!(hits >= 1500 * 6, "{hits} hits in epoch {epoch}");
    }
    let first = of(0);
    let left = first.iter().filter(|text| cache.find(text).is_some()).count();
    assert!(left < 500, "{left} of the first are left");
}

#[test]
fn junk_that_was_never_kept_changes_nothing() {
    let cache = cache();
    let texts: Vec<_> = (0..1000).map(token).collect();
    for text in &texts {
        use_token(&cache, text);
    }
    let before = (cache.len(), cache.bytes());
    for number in 0..100_000_usize {
        assert!(cache.find(format!("junk {number}").as_bytes()).is_none());
    }
    assert_eq!((cache.len(), cache.bytes()), before);
}

#[test]
fn tokens_spread_over_all_sets_and_differently_in_each_cache() {
    let (one, other) = (cache(), cache());
    let mut places = vec![0_usize; one.sets.len()];
    let mut tags = std::collections::BTreeSet::new();
    let mut same = 0;
    let tokens = 8 * places.len();
    for number in 0..tokens {
        let place = one.places.of(&token(number));
        places[place.set] += 1;
        tags.insert(place.tag);
        same += usize::from(other.places.of(&token(number)) == place);
    }
    assert!(same < 10, "{same} of {tokens} in the same place");
    assert!(tags.len() > 240 && !tags.contains(&0), "{} tags", tags.len());
    // Eight on the average.
    assert!(places.iter().all(|tokens| *tokens < 40), "{:?}", places.iter().max());
    assert!(places.iter().filter(|tokens| **tokens == 0).count() < 20);
}

#[test]
fn texts_at_equal_distances_do_not_meet_more_often_than_others() {
    for _ in 0..100 {
        let (places, mut sets) = (Places::new(8), [0; 8]);
        for length in 0..40 {
            sets[places.of(&vec![0; length]).set] += 1;
        }
        assert!(sets.iter().all(|texts| *texts < 24), "{sets:?}");
    }
}
