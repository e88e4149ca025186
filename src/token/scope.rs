//! Scope text → [`ScopeSet`] (RFC 6749 §3.3): exact, case-sensitive tokens in no order.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One scope token: `1*( %x21 / %x23-5B / %x5D-7E )`.
///
/// ```
/// use portcullis::Scope;
///
/// assert!("agents:read".parse::<Scope>().is_ok());
/// assert!("agents read".parse::<Scope>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Box<str>);

impl Scope {
    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is one scope token.
    fn is_valid(text: &str) -> bool {
        !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        if Self::is_valid(text) { Ok(Self(text.into())) } else { Err(InvalidScope(text.to_owned())) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is not one scope token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a scope (RFC 6749 §3.3)")]
pub struct InvalidScope(String);

/// The scopes of a token, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet(Box<[Scope]>);

impl ScopeSet {
    /// Whether exactly this scope is among them; nothing is implied by a prefix.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.binary_search_by(|held| held.as_str().cmp(scope)).is_ok()
    }

    /// The scopes, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Scope::as_str)
    }

    /// Those that both have.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.0.iter().filter(|scope| other.contains(scope.as_str())).cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens of a space-delimited text. Runs of spaces are forgiven, as servers write them; other white space
    /// and control characters are not, for what would they delimit?
    pub(crate) fn from_delimited(text: &str) -> Result<Self, InvalidScope> {
        text.split(' ').filter(|token| !token.is_empty()).map(str::parse).collect()
    }

    /// The tokens of an array, of which none may hold a delimiter.
    pub(crate) fn from_list(texts: &[Box<str>]) -> Result<Self, InvalidScope> {
        texts.iter().map(|text| text.parse()).collect()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes.into_boxed_slice())
    }
}

impl fmt::Display for ScopeSet {
    /// Space-delimited, as in a `scope` claim.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { " " })?;
            f.write_str(scope)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_whole_tokens_threat_8() {
        let set = ScopeSet::from_delimited("write  readonly read:all Read").unwrap();
        for held in ["write", "readonly", "read:all", "Read"] {
            assert!(set.contains(held), "{held}");
        }
        for not_held in ["read", "rea", "readonly ", "write readonly", "", " ", "READ", "all", "read:"] {
            assert!(!set.contains(not_held), "{not_held:?}");
        }
    }

    #[test]
    fn only_spaces_delimit_threat_8() {
        for text in ["a\tb", "a\nb", "a\u{0}b", "a\u{a0}b", "a\"b", "a\\b", "é"] {
            assert!(ScopeSet::from_delimited(text).is_err(), "{text:?}");
        }
        assert!(ScopeSet::from_list(&["a b".into()]).is_err());
        assert!(ScopeSet::from_list(&["".into()]).is_err());
        assert_eq!(ScopeSet::from_delimited("a  b a ").unwrap().to_string(), "a b");
        assert!(ScopeSet::from_delimited("").unwrap().is_empty());
    }
}
