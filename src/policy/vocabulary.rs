//! The scopes that a table names → which of them a token amounts to, as text and as bits.
//!
//! Implications are declared: whoever holds `admin` may do what `read` allows, and only because it was said.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock},
};

use crate::token::ScopeSet;

/// A table that names more scopes has them compared as text.
const MAX_BITS: usize = 64;

/// What a table knows of scopes.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    /// For each scope, those that include it, directly or through others.
    included_in: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    /// Each stands for the bit of its position. Requirements beside handlers may add some.
    interned: RwLock<Vec<Box<str>>>,
}

/// Of the scopes that were interned by the time, those that a token amounts to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScopeBits {
    known: u64,
    held: u64,
}

impl ScopeBits {
    /// Whether one of these lists of scopes is held; `None` where that cannot be told by bits.
    pub(super) fn cover_any(self, masks: &[u64]) -> Option<bool> {
        let is_known = masks.iter().all(|mask| self.known & mask == *mask);
        is_known.then(|| masks.iter().any(|mask| self.held & mask == *mask))
    }
}

impl Vocabulary {
    /// From declarations of what a scope includes.
    pub(super) fn new(declared: &[(Box<str>, Vec<Box<str>>)]) -> Self {
        Self { included_in: included_in(declared), interned: RwLock::default() }
    }

    /// The bits of what a token holds.
    pub(super) fn bits(&self, held: &ScopeSet) -> ScopeBits {
        let interned = self.interned.read().unwrap_or_else(PoisonError::into_inner);
        let mut bits = ScopeBits { known: 0, held: 0 };
        for (at, scope) in (0_u32..).zip(&*interned) {
            bits.known |= 1 << at;
            bits.held |= u64::from(self.satisfied(scope, held)) << at;
        }
        bits
    }

    /// The bits of a list of scopes that must all be there; `None` where there are too many to have one each.
    pub(super) fn mask(&self, scopes: &[Box<str>]) -> Option<u64> {
        let mut interned = self.interned.write().unwrap_or_else(PoisonError::into_inner);
        scopes.iter().try_fold(0, |mask, scope| {
            if !interned.contains(scope) {
                (interned.len() < MAX_BITS).then(|| interned.push(scope.clone()))?;
            }
            let at = (0_u32..).zip(&*interned).find(|(_, known)| *known == scope)?.0;
            Some(mask | 1 << at)
        })
    }

    /// Whether `held` amounts to `scope`.
    pub(super) fn satisfied(&self, scope: &str, held: &ScopeSet) -> bool {
        held.contains(scope)
            || self.included_in.get(scope).is_some_and(|broader| broader.iter().any(|scope| held.contains(scope)))
    }
}

/// For each scope, those that include it, of declarations of what a scope includes.
fn included_in(declared: &[(Box<str>, Vec<Box<str>>)]) -> BTreeMap<Box<str>, BTreeSet<Box<str>>> {
    let mut included_in: BTreeMap<Box<str>, BTreeSet<Box<str>>> = BTreeMap::new();
    for (broad, narrow) in declared {
        for scope in narrow {
            included_in.entry(scope.clone()).or_default().insert(broad.clone());
        }
    }
    // Follow chains until nothing is added; a circle only makes its members equal.
    loop {
        let next: BTreeMap<_, BTreeSet<_>> = included_in
            .iter()
            .map(|(scope, broader)| {
                let beyond = broader.iter().filter_map(|scope| included_in.get(scope)).flatten();
                (scope.clone(), broader.iter().chain(beyond).cloned().collect())
            })
            .collect();
        if next == included_in {
            return included_in;
        }
        included_in = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_declared_is_implied_threat_8() {
        let declared = [
            ("admin".into(), vec!["write".into()]),
            ("write".into(), vec!["read".into()]),
            ("a".into(), vec!["b".into()]),
            ("b".into(), vec!["a".into()]),
        ];
        let vocabulary = Vocabulary::new(&declared);
        let rows = [
            ("admin", "read", true),
            ("admin", "write", true),
            ("write", "read", true),
            ("read", "write", false),
            ("read", "admin", false),
            ("administrator", "read", false),
            ("a", "b", true),
            ("b", "a", true),
            ("other", "other", true),
        ];
        for (held, needed, expected) in rows {
            let held_set = ScopeSet::from_delimited(held).unwrap();
            assert_eq!(vocabulary.satisfied(needed, &held_set), expected, "{held} for {needed}");
            let masks = [vocabulary.mask(&[needed.into()]).unwrap()];
            let bits = vocabulary.bits(&held_set);
            assert_eq!(bits.cover_any(&masks), Some(expected), "{held} for {needed}, in bits");
        }
    }
}
