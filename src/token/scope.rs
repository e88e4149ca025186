//! Scope text → [`ScopeSet`] (RFC 6749 §3.3): exact, case-sensitive tokens in no order.

use std::{cmp::Ordering, fmt, str::FromStr};

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
        !text.is_empty() && text.bytes().all(is_of_scope)
    }
}

const fn is_of_scope(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
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
///
/// One text with a space between them, in which a scope is searched by halves: quick also among thousands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet(Box<str>);

impl ScopeSet {
    /// Whether exactly this scope is among them; nothing is implied by a prefix.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        let mut rest = self.0.as_bytes();
        while !rest.is_empty() {
            // The scope that stands around the middle, or ends there.
            let (before, after) = rest.split_at(rest.len() / 2);
            let start = before.iter().rposition(|&byte| byte == b' ').map_or(0, |space| space + 1);
            let end = after.iter().position(|&byte| byte == b' ').map_or(rest.len(), |space| before.len() + space);
            rest = match rest.get(start..end).unwrap_or_default().cmp(scope.as_bytes()) {
                Ordering::Equal => return true,
                Ordering::Less => rest.get(end + 1..).unwrap_or_default(),
                Ordering::Greater => rest.get(..start.saturating_sub(1)).unwrap_or_default(),
            };
        }
        false
    }

    /// The scopes, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        between_spaces(&self.0).filter(|scope| !scope.is_empty())
    }

    /// Those that both have.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let both: Vec<&str> = self.iter().filter(|scope| other.contains(scope)).collect();
        Self(both.join(" ").into())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes they take.
    pub(crate) fn text_len(&self) -> usize {
        self.0.len()
    }

    /// The tokens of a space-delimited text. Runs of spaces are forgiven, as servers write them; other white space
    /// and control characters are not, for what would they delimit?
    pub(crate) fn from_delimited(text: &str) -> Result<Self, InvalidScope> {
        let tokens = || between_spaces(text).filter(|token| !token.is_empty());
        // All bytes at once: of single tokens, many would have to be begun.
        if !text.bytes().fold(true, |all, byte| all & (byte == b' ' || is_of_scope(byte))) {
            return Self::of(tokens());
        }
        // As this set would be written, and as many servers do.
        let mut last = "";
        let is_one_of_ours = between_spaces(text).all(|token| std::mem::replace(&mut last, token) < token);
        Ok(if is_one_of_ours { Self(text.into()) } else { Self::sorted(tokens().collect()) })
    }

    /// The tokens of an array, of which none may hold a delimiter.
    pub(crate) fn from_list<'s>(texts: impl Iterator<Item = &'s str>) -> Result<Self, InvalidScope> {
        Self::of(texts)
    }

    /// Those of the texts that are scope tokens.
    pub(crate) fn of_usable<'s>(texts: impl Iterator<Item = &'s str>) -> Self {
        Self::sorted(texts.filter(|text| Scope::is_valid(text)).collect())
    }

    fn of<'s>(tokens: impl Iterator<Item = &'s str>) -> Result<Self, InvalidScope> {
        let valid = tokens.map(|token| match Scope::is_valid(token) {
            true => Ok(token),
            false => Err(InvalidScope(token.to_owned())),
        });
        valid.collect::<Result<_, _>>().map(Self::sorted)
    }

    fn sorted(mut tokens: Vec<&str>) -> Self {
        tokens.sort_unstable();
        tokens.dedup();
        Self(tokens.join(" ").into())
    }
}

/// Like `split(' ')`, whose search is made for longer texts.
fn between_spaces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.bytes().position(|byte| byte == b' ').unwrap_or(text.len());
        rest = text.get(end + 1..);
        text.get(..end)
    })
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let scopes: Vec<Scope> = scopes.into_iter().collect();
        Self::sorted(scopes.iter().map(Scope::as_str).collect())
    }
}

impl fmt::Display for ScopeSet {
    /// Space-delimited, as in a `scope` claim.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
        assert!(ScopeSet::from_list(["a b"].into_iter()).is_err());
        assert!(ScopeSet::from_list([""].into_iter()).is_err());
        assert_eq!(ScopeSet::from_delimited("a  b a ").unwrap().to_string(), "a b");
        assert!(ScopeSet::from_delimited("").unwrap().is_empty());
    }

    #[test]
    fn however_a_claim_is_written_the_set_is_the_same_threat_8() {
        for text in ["a b c", "c b a", "a b c ", " a b c", "a  b c", "a b b c", "b a b c", "a c b"] {
            let set = ScopeSet::from_delimited(text).unwrap();
            assert_eq!((set.to_string().as_str(), set.len()), ("a b c", 3), "{text:?}");
            assert!(set.iter().eq(["a", "b", "c"]) && set.contains("b"), "{text:?}");
        }
        for text in ["a b\"", "a\tb", "\" a", "a \\b c", "a b\u{e9}"] {
            assert!(ScopeSet::from_delimited(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_search_by_halves_finds_what_a_search_of_all_finds_threat_8_31() {
        // Of every length, and each beginning as others do.
        let all: Vec<String> = (1..40).map(|number| format!("{}{}", "ab".repeat(number % 7), number)).collect();
        for count in 0..all.len() {
            let held: Vec<&str> = all.iter().take(count).map(String::as_str).collect();
            let set = ScopeSet::from_list(held.iter().copied()).unwrap();
            assert_eq!((set.len(), set.is_empty(), set.iter().is_sorted()), (count, count == 0, true));
            for scope in &all {
                assert_eq!(set.contains(scope), held.contains(&scope.as_str()), "{scope} in {set}");
                for other in [format!("{scope} "), format!(" {scope}"), format!("{scope}0"), scope[1..].to_owned()] {
                    assert_eq!(set.contains(&other), held.contains(&other.as_str()), "{other} in {set}");
                }
            }
            assert!(!set.contains("") && !set.contains(&set.to_string()) || count == 1);
        }
    }
}
