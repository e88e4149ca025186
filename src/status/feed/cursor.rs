//! A place in a log → a number, and how that is written down.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A position in a log of revocations. Later events have greater ones; they need not be consecutive.
///
/// Room for a sequence number, for the id of an entry in a Redis stream (milliseconds in the upper half, the number in
/// the lower), or for a log sequence number. A log that may begin again from nothing puts the number of its incarnation
/// in the upper bits: a position of the new one is then never taken for one of the old.
///
/// What publishing an event returns is also its *revision*: what a request may [demand](crate::Input::at_least) that has
/// to be known here before it is let through. As a text, and with serde, it is its upper 64 bits, a hyphen, and its lower
/// ones, each in decimal, as Redis writes the ids of entries.
///
/// ```
/// use portcullis::status::Cursor;
///
/// let cursor: Cursor = "1795331700123-7".parse()?;
/// assert_eq!(cursor, Cursor::new((1_795_331_700_123 << 64) | 7));
/// assert_eq!(cursor.to_string(), "1795331700123-7");
/// assert_eq!(Cursor::START.to_string(), "0-0");
/// # Ok::<(), portcullis::status::CursorError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(u128);

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// This position.
    #[must_use]
    pub const fn new(position: u128) -> Self {
        Self(position)
    }

    /// The position as a number.
    #[must_use]
    pub const fn position(self) -> u128 {
        self.0
    }
}

/// A text that is no position in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position in a log is two numbers below 2^64 in decimal, with a hyphen between them")]
#[non_exhaustive]
pub struct CursorError;

/// Why the revision that a request demands cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevisionError {
    /// More than one header demands one.
    #[error("more than one revision is demanded")]
    Repeated,
    /// What stands in the header is no [`Cursor`].
    #[error("a malformed revision is demanded")]
    Malformed,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0 >> 64, self.0 & u128::from(u64::MAX))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    /// Exactly what `Display` writes: no sign, no space, no leading zero.
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (upper, lower) = text.split_once('-').ok_or(CursorError)?;
        Ok(Self((u128::from(half(upper)?) << 64) | u128::from(half(lower)?)))
    }
}

fn half(text: &str) -> Result<u64, CursorError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    // An empty text is no number either.
    text.parse().ok().filter(|_| is_plain).ok_or(CursorError)
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_written_and_read_as_two_numbers() {
        let greatest = "18446744073709551615";
        let rows = [
            ("0-0".to_owned(), 0),
            ("0-10".to_owned(), 10),
            ("1-0".to_owned(), 1 << 64),
            (format!("0-{greatest}"), u64::MAX.into()),
            (format!("{greatest}-{greatest}"), u128::MAX),
        ];
        for (text, position) in rows {
            let cursor = Cursor::new(position);
            assert_eq!((cursor.to_string(), text.parse()), (text.clone(), Ok(cursor)));
            assert_eq!(serde_json::to_string(&cursor).unwrap(), format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Cursor>(&format!("\"{text}\"")).unwrap(), cursor);
        }
    }

    #[test]
    fn nothing_else_is_a_position() {
        let rows = [
            "",
            "-",
            "0",
            "1-",
            "-1",
            "1-2-3",
            "1--2",
            "+1-2",
            "1-+2",
            " 1-2",
            "1-2 ",
            "1 -2",
            "01-2",
            "1-02",
            "00-0",
            "1-0x2",
            "1_0-2",
            "1.0-2",
            "a-b",
            "\u{661}-2",
            "18446744073709551616-0",
            "0-18446744073709551616",
            "1-99999999999999999999999999",
        ];
        for row in rows {
            assert_eq!(row.parse::<Cursor>(), Err(CursorError), "{row:?}");
        }
        for row in ["1", "\"1\"", "null", "[1,2]"] {
            assert!(serde_json::from_str::<Cursor>(row).is_err(), "{row}");
        }
    }
}
