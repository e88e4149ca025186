//! The text of a credential → whether it could be an opaque token of this issuer, before anybody is asked.
//!
//! Whoever sends junk must not be able to have the issuer asked about it: what can be told by looking is told here.

use std::{fmt, ops::RangeInclusive, sync::Arc};

/// What the opaque tokens of an issuer look like. What does not look like this is refused without a question.
///
/// The more is said, the less junk gets through. By default: 16 to 4,096 characters, and not a JWT.
///
/// ```
/// use portcullis::status::OpaqueTokens;
///
/// // As some services make them: a prefix, so that leaked ones are found, and a fixed length.
/// let tokens = OpaqueTokens::default().prefix("acme_").lengths(45..=45);
/// ```
#[derive(Clone)]
#[must_use]
pub struct OpaqueTokens {
    prefix: Box<str>,
    lengths: RangeInclusive<usize>,
    looks_right: Option<Test>,
}

type Test = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl Default for OpaqueTokens {
    fn default() -> Self {
        Self { prefix: Box::default(), lengths: 16..=4096, looks_right: None }
    }
}

impl OpaqueTokens {
    /// They all begin like this. With several issuers of opaque tokens, this is what tells them apart.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// They are this long, in characters, prefix included.
    pub fn lengths(mut self, lengths: RangeInclusive<usize>) -> Self {
        self.lengths = lengths;
        self
    }

    /// They pass a test of your own: a checksum, an alphabet.
    pub fn that(mut self, looks_right: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.looks_right = Some(Arc::new(looks_right));
        self
    }

    /// Whether this could be one of them.
    pub(crate) fn could_be(&self, text: &str) -> bool {
        text.starts_with(&*self.prefix)
            && self.lengths.contains(&text.len())
            && self.looks_right.as_ref().is_none_or(|looks_right| looks_right(text))
    }

    /// Whether a text could be a token of both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.prefix.starts_with(&*other.prefix) || other.prefix.starts_with(&*self.prefix)
    }

    /// Whether there is a length that a token of this prefix could have.
    pub(crate) fn is_possible(&self) -> bool {
        !self.lengths.is_empty() && *self.lengths.end() > self.prefix.len()
    }
}

impl fmt::Debug for OpaqueTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpaqueTokens")
            .field("prefix", &self.prefix)
            .field("lengths", &self.lengths)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_look_like_one_is_not_asked_about_threat_22() {
        let tokens = OpaqueTokens::default().prefix("acme_").lengths(10..=12).that(|text| text.ends_with('x'));
        for good in ["acme_1234x", "acme_123456x"] {
            assert!(tokens.could_be(good), "{good}");
        }
        for bad in ["", "acme_", "acme_123x", "acme_1234567x", "Acme_1234x", "acme_12345", "xacme_123x"] {
            assert!(!tokens.could_be(bad), "{bad}");
        }
        assert!(!OpaqueTokens::default().could_be("fifteen-letters"));
    }

    #[test]
    fn prefixes_tell_issuers_apart_or_do_not() {
        let tokens = |prefix| OpaqueTokens::default().prefix(prefix);
        assert!(!tokens("a_").overlaps(&tokens("b_")));
        for (one, other) in [("", "b_"), ("a", "a_"), ("a_", "a"), ("a", "a")] {
            assert!(tokens(one).overlaps(&tokens(other)), "{one:?} {other:?}");
        }
    }
}
