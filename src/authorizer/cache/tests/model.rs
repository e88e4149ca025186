//! Whatever is kept and asked for in whatever order, against a map that forgets nothing.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Keep { text: usize, bytes: usize },
    Find { text: usize },
}

/// Few enough that they come again, more than there is room for; every three share length and tail.
fn text(number: usize) -> Vec<u8> {
    format!("{}{:0>40}", number % 3, number / 3).into_bytes()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let text = 0..90_usize;
    let bytes = prop_oneof![2 => 0..600_usize, 4 => 500..2000_usize, 2 => Just(1000), 1 => 4000..usize::MAX];
    let keep = (text.clone(), bytes).prop_map(|(text, bytes)| Step::Keep { text, bytes });
    vec(prop_oneof![2 => keep, 1 => text.prop_map(|text| Step::Find { text })], 1..400)
}

proptest! {
    #[test]
    fn whatever_is_found_was_kept_last_under_exactly_that_text(steps in steps(), room in 12_000..40_000_usize) {
        let cache = TokenCache::new(room);
        let table = cache.bytes();
        let mut kept: BTreeMap<usize, Arc<Entry>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Keep { text: number, bytes } => {
                    let entry = entry(text(number), bytes);
                    cache.keep(Arc::clone(&entry));
                    // In a shard of so few places, the hand always gets to the end of all credit.
                    prop_assert_eq!(finds(&cache, &entry), bytes.max(1) <= cache.room / 8);
                    kept.insert(number, entry);
                }
                Step::Find { text: number } => {
                    let found = cache.find(&text(number));
                    if let Some(found) = found.as_ref() {
                        prop_assert!(kept.get(&number).is_some_and(|last| Arc::ptr_eq(last, found)));
                    }
                }
            }
            prop_assert!(cache.bytes() <= room);
        }
        // What is counted is what can be found, and nothing else is held.
        let found: Vec<_> = kept.values().filter(|entry| finds(&cache, entry)).collect();
        prop_assert_eq!(cache.len(), found.len());
        prop_assert_eq!(cache.bytes(), table + found.iter().map(|entry| entry.bytes.max(1)).sum::<usize>());
        let held = kept.values().filter(|entry| Arc::strong_count(entry) > 1).count();
        prop_assert_eq!(held, found.len());
    }
}
