//! JSON text → members that have their type: an object is no array, a string is not empty, and nothing is `null`.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::clock::UnixTime;

/// A string that says something.
#[derive(PartialEq)]
pub(super) struct Word(pub(super) Box<str>);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(deserializer)?;
        if text.is_empty() { Err(D::Error::custom("an empty string")) } else { Ok(Self(text)) }
    }
}

/// A member that is there has its type: `null` is none.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Read from a JSON object, and not from an array of what its members are, which serde's derive would take too.
#[derive(Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// A type with named members, read from a JSON object alone.
pub(super) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct ObjectVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

/// A moment as Grantex writes it (RFC 3339), without its fraction; not before 1970.
pub(super) struct Moment(pub(super) UnixTime);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(deserializer)?;
        let seconds = OffsetDateTime::parse(&text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp);
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map(UnixTime::from_secs).map(Self).ok_or_else(|| D::Error::custom("not a moment of RFC 3339"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_counted_from_the_epoch_and_rounded_down() {
        for (text, seconds) in [
            ("2026-11-22T07:31:00.000Z", Some(1_795_332_660)),
            ("2026-11-22T07:31:00.999Z", Some(1_795_332_660)),
            ("2026-11-22T07:31:00Z", Some(1_795_332_660)),
            ("2026-11-22T09:31:00+02:00", Some(1_795_332_660)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-22", None),
            ("2026-11-22T07:31:00", None),
            ("2026-13-22T07:31:00Z", None),
            ("1795332660", None),
            ("", None),
        ] {
            let read = serde_json::from_value::<Moment>(text.into()).ok().map(|Moment(time)| time.as_secs());
            assert_eq!(read, seconds, "{text}");
        }
        assert!(serde_json::from_str::<Moment>("1795332660").is_err());
        assert!(serde_json::from_str::<Moment>("null").is_err());
    }
}
