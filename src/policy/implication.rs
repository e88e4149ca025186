//! Declared implications between scopes: whoever holds `admin` may do what `read` allows, and only because it was said.

use std::collections::{BTreeMap, BTreeSet};

use crate::token::ScopeSet;

/// For each scope, those that include it, directly or through others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Implications {
    included_in: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
}

impl Implications {
    /// From declarations of what a scope includes.
    pub(super) fn new(declared: &[(Box<str>, Vec<Box<str>>)]) -> Self {
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
                return Self { included_in };
            }
            included_in = next;
        }
    }

    /// Whether `held` amounts to `scope`.
    pub(super) fn satisfied(&self, scope: &str, held: &ScopeSet) -> bool {
        held.contains(scope)
            || self.included_in.get(scope).is_some_and(|broader| broader.iter().any(|scope| held.contains(scope)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_declared_is_implied_threat_8() {
        let implications = Implications::new(&[
            ("admin".into(), vec!["write".into()]),
            ("write".into(), vec!["read".into()]),
            ("a".into(), vec!["b".into()]),
            ("b".into(), vec!["a".into()]),
        ]);
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
            assert_eq!(implications.satisfied(needed, &held_set), expected, "{held} for {needed}");
        }
    }
}
