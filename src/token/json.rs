//! JSON text → members, each once and of the right type.
//!
//! serde's derive takes `null` for an absent `Option` and its maps take the last of two equal names; both have let
//! tokens through elsewhere. RFC 7519 §4 and RFC 7515 §4 allow refusing repeated names: we do, at any number of members.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// The names met so far in one object.
pub(super) struct SeenNames<'de> {
    few: [Cow<'de, str>; FEW],
    count: usize,
    /// A bit for each name so far: one whose bit is not there is new, and needs no search.
    bits: u64,
    many: HashSet<Cow<'de, str>>,
}

/// Up to here a linear search is cheaper than hashing; real claim sets have about a dozen members.
const FEW: usize = 24;

impl<'de> SeenNames<'de> {
    fn new() -> Self {
        Self { few: [const { Cow::Borrowed("") }; FEW], count: 0, bits: 0, many: HashSet::new() }
    }

    /// Whether `name` is new, noting it.
    fn insert(&mut self, name: Cow<'de, str>) -> bool {
        let bit = bit_of(&name);
        let is_noted = self.bits & bit != 0 && self.few.iter().take(self.count).any(|seen| *seen == name);
        self.bits |= bit;
        if is_noted {
            return false;
        }
        match self.few.get_mut(self.count) {
            Some(slot) => {
                *slot = name;
                self.count += 1;
                true
            }
            None => self.many.insert(name),
        }
    }
}

/// One of 64, by the length of a name and the letters at its ends.
fn bit_of(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let letter = |byte: Option<&u8>| usize::from(byte.copied().unwrap_or_default());
    let hash = bytes.len() ^ (letter(bytes.first()) << 2) ^ (letter(bytes.last()) * 5);
    1 << (hash % 64)
}

/// Walks the object, handing each name to `member`, which must take the value; a name that was there before is an error.
pub(super) fn each_member<'de, A, F>(mut map: A, mut member: F) -> Result<(), A::Error>
where
    A: MapAccess<'de>,
    F: FnMut(&str, &mut A) -> Result<(), A::Error>,
{
    let mut seen = SeenNames::new();
    while let Some(Text(name)) = map.next_key()? {
        member(&name, &mut map)?;
        if !seen.insert(name) {
            return Err(A::Error::custom("a member stands twice"));
        }
    }
    Ok(())
}

/// A JSON string, and nothing that could pass for one; borrowed from the text where it has no escapes.
///
/// `null` and numbers are errors here, unlike for `Option<String>`.
pub(super) struct Text<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A JSON string, or none where the value is anything else.
pub(super) struct TextIfAny<'de>(pub(super) Option<Cow<'de, str>>);

impl<'de> Deserialize<'de> for TextIfAny<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor;
        impl<'de> Visitor<'de> for AnyVisitor {
            type Value = TextIfAny<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<TextIfAny<'de>, E> {
                Ok(TextIfAny(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<TextIfAny<'de>, E> {
                Ok(TextIfAny(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_bool<E: Error>(self, _: bool) -> Result<TextIfAny<'de>, E> {
                Ok(TextIfAny(None))
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<TextIfAny<'de>, E> {
                Ok(TextIfAny(None))
            }
            fn visit_u64<E: Error>(self, _: u64) -> Result<TextIfAny<'de>, E> {
                Ok(TextIfAny(None))
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<TextIfAny<'de>, E> {
                Ok(TextIfAny(None))
            }
            fn visit_unit<E: Error>(self) -> Result<TextIfAny<'de>, E> {
                Ok(TextIfAny(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<TextIfAny<'de>, A::Error> {
                IgnoredAny.visit_seq(items).map(|_| TextIfAny(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<TextIfAny<'de>, A::Error> {
                IgnoredAny.visit_map(members).map(|_| TextIfAny(None))
            }
        }
        deserializer.deserialize_any(AnyVisitor)
    }
}

/// A string, or an array of strings: an audience (RFC 7519 §4.1.3), a scope claim.
#[derive(Debug)]
pub(crate) enum TextOrTexts<'de> {
    Text(Cow<'de, str>),
    Texts(Vec<Cow<'de, str>>),
}

impl TextOrTexts<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::Texts(texts) => texts,
        };
        texts.iter().map(|text| &**text)
    }
}

impl<'de> Deserialize<'de> for TextOrTexts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = TextOrTexts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<TextOrTexts<'de>, E> {
                Ok(TextOrTexts::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<TextOrTexts<'de>, E> {
                Ok(TextOrTexts::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<TextOrTexts<'de>, A::Error> {
                let mut texts = Vec::new();
                while let Some(Text(text)) = items.next_element()? {
                    texts.push(text);
                }
                Ok(TextOrTexts::Texts(texts))
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
