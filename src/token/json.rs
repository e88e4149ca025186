//! JSON text → members, each once and of the right type.
//!
//! serde's derive takes `null` for an absent `Option` and its maps take the last of two equal names; both have let
//! tokens through elsewhere. RFC 7519 §4 and RFC 7515 §4 allow refusing repeated names: we do, at any number of members.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

/// The names met so far in one object.
#[derive(Default)]
pub(super) struct SeenNames<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

/// Up to here a linear search is cheaper than hashing; real claim sets have about a dozen members.
const FEW: usize = 24;

impl<'de> SeenNames<'de> {
    /// Whether `name` is new, noting it.
    pub(super) fn insert(&mut self, name: Cow<'de, str>) -> bool {
        if self.few.len() < FEW {
            let new = !self.few.contains(&name);
            self.few.push(name);
            new
        } else {
            !self.few.contains(&name) && self.many.insert(name)
        }
    }
}

/// A member's name, borrowed from the text where it has no escapes.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }
            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// Walks the object, handing each new name to `member`, which must take the value.
pub(super) fn each_member<'de, A, F>(mut map: A, mut member: F) -> Result<(), A::Error>
where
    A: MapAccess<'de>,
    F: FnMut(&str, &mut A) -> Result<(), A::Error>,
{
    let mut seen = SeenNames::default();
    while let Some(Name(name)) = map.next_key()? {
        member(&name, &mut map)?;
        if !seen.insert(name) {
            return Err(A::Error::custom("a member stands twice"));
        }
    }
    Ok(())
}

/// A JSON string, and nothing that could pass for one.
pub(super) struct Text(pub(super) Box<str>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `null` and numbers are errors here, unlike for `Option<String>`.
        Box::<str>::deserialize(deserializer).map(Text)
    }
}

/// A string, or an array of strings: an audience (RFC 7519 §4.1.3), a scope claim.
#[derive(Debug)]
pub(crate) struct TextOrTexts {
    pub(crate) texts: Vec<Box<str>>,
    pub(crate) is_array: bool,
}

impl<'de> Deserialize<'de> for TextOrTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = TextOrTexts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<TextOrTexts, E> {
                Ok(TextOrTexts { texts: vec![text.into()], is_array: false })
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<TextOrTexts, A::Error> {
                let mut texts = Vec::new();
                while let Some(Text(text)) = items.next_element()? {
                    texts.push(text);
                }
                Ok(TextOrTexts { texts, is_array: true })
            }
        }
        deserializer.deserialize_any(TextsVisitor)
    }
}

/// A NumericDate (RFC 7519 §2): a JSON number of seconds, possibly with a fraction.
#[derive(Clone, Copy)]
pub(super) struct NumericDate {
    /// The whole second at or before it.
    pub(super) floor: u64,
    /// The whole second at or after it.
    pub(super) ceil: u64,
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As a `Number`, which reads the same whatever features of serde_json other crates turn on.
        let number = serde_json::Number::deserialize(deserializer)?;
        if let Some(seconds) = number.as_u64() {
            return Ok(Self { floor: seconds, ceil: seconds });
        }
        // Up to 2^53 a double counts single seconds; a real date is far below.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match number.as_f64() {
            #[expect(
                clippy::as_conversions,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "whole, not negative, and at most 2^53"
            )]
            Some(seconds) if (0.0..=EXACT).contains(&seconds) => {
                Ok(Self { floor: seconds.floor() as u64, ceil: seconds.ceil() as u64 })
            }
            _ => Err(D::Error::custom("not a number of seconds since the epoch")),
        }
    }
}
