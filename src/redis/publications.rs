//! Publications of one publisher → their numbers, and which of them may still come to something.
//!
//! Of a connection that is given up nobody knows what is still on its way. What arrives after its publisher has gone on
//! must do nothing: a suspension that was lifted before must not be lifted again.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One who publishes, under a name that nobody else has.
#[derive(Debug)]
pub(super) struct Publications {
    name: String,
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    last: u64,
    open: BTreeSet<u64>,
}

/// One that has not come to an end. It has when this is dropped: whoever waited knows what came of it, or waits no more.
#[derive(Debug)]
pub(super) struct Publication<'a> {
    of: &'a Publications,
    number: u64,
    /// All before this one have come to an end.
    least: u64,
}

impl Default for Publications {
    fn default() -> Self {
        let (upper, lower) = (RandomState::new(), RandomState::new());
        let name = format!("{:016x}{:016x}", upper.hash_one("upper"), lower.hash_one("lower"));
        Self { name, numbers: Mutex::default() }
    }
}

impl Publications {
    /// The next one.
    pub(super) fn begin(&self) -> Publication<'_> {
        let mut numbers = self.numbers();
        numbers.last = numbers.last.saturating_add(1);
        let number = numbers.last;
        numbers.open.insert(number);
        let least = numbers.open.first().copied().unwrap_or(number);
        Publication { of: self, number, least }
    }

    /// Held for a look at it.
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publication<'_> {
    /// Whose it is, its number, and the least one that is open.
    pub(super) fn arguments(&self) -> [String; 3] {
        [self.of.name.clone(), self.number.to_string(), self.least.to_string()]
    }
}

impl Drop for Publication<'_> {
    fn drop(&mut self) {
        self.of.numbers().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(publication: &Publication<'_>) -> (u64, u64) {
        let [_, number, least] = publication.arguments();
        (number.parse().unwrap(), least.parse().unwrap())
    }

    #[test]
    fn those_that_are_over_are_those_before_the_first_that_is_open() {
        let publications = Publications::default();
        let first = publications.begin();
        let second = publications.begin();
        assert_eq!((numbers(&first), numbers(&second)), ((1, 1), (2, 1)));
        drop(second);
        let third = publications.begin();
        assert_eq!(numbers(&third), (3, 1));
        drop(first);
        assert_eq!(numbers(&publications.begin()), (4, 3));
        drop(third);
        assert_eq!(numbers(&publications.begin()), (5, 5));
    }

    #[test]
    fn no_two_have_one_name() {
        let names = [Publications::default(), Publications::default()].map(|publications| publications.name);
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| name.len() == 32));
    }
}
