//! Threads that keep and ask for the same texts and others.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread::scope,
};

use super::*;

#[test]
fn nobody_ever_finds_a_foreign_text_and_the_bytes_stay_bounded() {
    let cache = TokenCache::<Entry>::new(ROOM);
    scope(|threads| {
        for thread in 1..5_usize {
            let cache = &cache;
            threads.spawn(move || {
                for step in 0..20_000_usize {
                    // A few that everybody uses, and some of its own.
                    let number = if step % 3 == 0 { step % 7 } else { thread * 1000 + step % 200 };
                    let text = token(number);
                    if let Some(found) = cache.find(&text).as_ref() {
                        assert_eq!(found.text, text);
                    }
                    if step % 2 == 0 {
                        cache.keep(entry(&text, 300 + step % 700));
                    }
                    if step % 100 == 0 {
                        assert!(cache.bytes() <= ROOM);
                    }
                }
            });
        }
    });
    let numbers = (0..7).chain((1..5).flat_map(|thread| thread * 1000..thread * 1000 + 200));
    let found = numbers.filter(|number| cache.find(&token(*number)).is_some()).count();
    assert_eq!(found, cache.len(), "no text is there twice");
}

#[test]
fn what_is_replaced_is_there_all_the_time_and_its_forerunners_never_again() {
    let cache = TokenCache::<Entry>::new(ROOM);
    let text = token(1);
    let (last, is_over) = (AtomicUsize::new(100), AtomicBool::new(false));
    cache.keep(entry(&text, 100));
    scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    let oldest = last.load(Ordering::Acquire);
                    let found = cache.find(&text).as_ref().map(|found| found.bytes);
                    assert!(found.is_some_and(|found| found >= oldest), "{found:?} after {oldest}");
                }
            });
        }
        for bytes in 101..4_000 {
            cache.keep(entry(&text, bytes));
            last.store(bytes, Ordering::Release);
        }
        is_over.store(true, Ordering::Release);
    });
    assert_eq!(cache.len(), 1);
}

#[test]
fn two_that_keep_the_same_text_at_once_leave_one_entry() {
    let cache = TokenCache::<Entry>::new(ROOM);
    for round in 0..500 {
        let text = token(round % 5);
        scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| cache.keep(entry(&text, 100)));
            }
        });
    }
    assert_eq!(cache.len(), 5);
    // Whatever is left of a text would come to light when the one that hides it goes.
    let largest = cache.room;
    for number in 0..5 {
        cache.keep(entry(token(number), largest));
        assert!(cache.find(&token(number)).is_none());
    }
    assert_eq!(cache.len(), 0);
}
