//! Header JSON → [`Header`] (RFC 7515 §4).
//!
//! `jku`, `jwk`, `x5u` and `x5c` are never followed: the keys come from configuration.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{
    TokenError,
    json::{Text, each_member},
};
use crate::crypto::Algorithm;

/// The members of a JOSE header that we act on.
#[derive(Debug, Default)]
pub(super) struct Header<'h> {
    /// `None` where the name is not one of ours, which includes `none`.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) key_id: Option<Cow<'h, str>>,
    pub(super) token_type: Option<Cow<'h, str>>,
    /// `crit`, an unencoded payload or a nested token: nothing we may ignore (RFC 7515 §4.1.11, RFC 7797 §6).
    is_extended: bool,
}

impl<'h> Header<'h> {
    pub(super) fn parse(json: &'h [u8]) -> Result<Self, TokenError> {
        if let Some(header) = Self::parse_plain(json) {
            return Ok(header);
        }
        let header: Self = serde_json::from_slice(json).map_err(|_| TokenError::Header)?;
        if header.is_extended { Err(TokenError::CriticalHeader) } else { Ok(header) }
    }

    /// Reads what nearly all headers are: members with a text each, and nothing to unescape, to skip or to refuse. None
    /// for any other, which may be a header all the same.
    fn parse_plain(json: &'h [u8]) -> Option<Self> {
        let body = json.strip_prefix(b"{\"")?.strip_suffix(b"\"}")?;
        // Looked at without a branch, sixteen at once.
        if !body.iter().fold(true, |so_far, &byte| so_far & is_plain(byte)) {
            return None;
        }
        let mut rest = std::str::from_utf8(body).ok()?;
        let (mut header, mut has_thumbprint) = (Self::default(), false);
        loop {
            let (name, after) = up_to_mark(rest)?;
            let (value, after) = up_to_mark(after.strip_prefix("\":\"")?)?;
            let is_new = match name {
                "alg" => header.algorithm.replace(Algorithm::from_name(value)?).is_none(),
                "kid" => header.key_id.replace(Cow::Borrowed(value)).is_none(),
                "typ" => header.token_type.replace(Cow::Borrowed(value)).is_none(),
                "x5t" => !std::mem::replace(&mut has_thumbprint, true),
                _ => false,
            };
            match (is_new, after) {
                (false, _) => return None,
                (true, "") => return Some(header),
                (true, after) => rest = after.strip_prefix("\",\"")?,
            }
        }
    }
}

/// What comes before the next quotation mark, and what begins with it; all of it where there is none.
fn up_to_mark(text: &str) -> Option<(&str, &str)> {
    text.split_at_checked(text.bytes().position(|byte| byte == b'"').unwrap_or(text.len()))
}

/// Stands for itself between quotation marks: ASCII, neither a control character nor a backslash.
const fn is_plain(byte: u8) -> bool {
    (byte >= b' ') & (byte < 0x7f) & (byte != b'\\')
}

impl<'de> Deserialize<'de> for Header<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JOSE header")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Header<'de>, A::Error> {
                let mut header = Header::default();
                each_member(map, |name, map| {
                    match name {
                        "alg" => header.algorithm = Algorithm::from_name(&map.next_value::<Text<'_>>()?.0),
                        "kid" => header.key_id = Some(map.next_value::<Text<'_>>()?.0),
                        "typ" => header.token_type = Some(map.next_value::<Text<'_>>()?.0),
                        "b64" => header.is_extended |= !map.next_value::<bool>()?,
                        "crit" => {
                            map.next_value::<IgnoredAny>()?;
                            header.is_extended = true;
                        }
                        "cty" => header.is_extended |= names_a_token(&map.next_value::<Text<'_>>()?.0),
                        // A JWE says how it is encrypted; a JWS has no say in it.
                        "enc" | "zip" => {
                            map.next_value::<IgnoredAny>()?;
                            header.is_extended = true;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                    Ok(())
                })?;
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// RFC 7519 §5.2: `cty` is `JWT` where the payload is another token.
fn names_a_token(content_type: &str) -> bool {
    let name = without_application(content_type).to_ascii_lowercase();
    name == "jwt" || name.ends_with("+jwt")
}

/// RFC 7515 §4.1.9: a media type may leave out its `application/`.
pub(super) fn without_application(media_type: &str) -> &str {
    const PREFIX: &str = "application/";
    match media_type.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => media_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_each_thing_once_and_in_its_type_threat_4() {
        let rows = [
            (r#"{"alg":"RS256","kid":"a","typ":"JWT","jku":"https://evil.example"}"#, Ok(())),
            (r#"{"alg":"RS256","b64":true,"cty":"json"}"#, Ok(())),
            (r#"{"alg":"RS256","alg":"RS256"}"#, Err(TokenError::Header)),
            (r#"{"alg":"RS256","\u0061lg":"none"}"#, Err(TokenError::Header)),
            (r#"{"alg":"RS256","x":1,"x":1}"#, Err(TokenError::Header)),
            (r#"{"alg":"RS256","kid":1}"#, Err(TokenError::Header)),
            (r#"{"alg":"RS256","kid":null}"#, Err(TokenError::Header)),
            (r#"{"alg":["RS256"]}"#, Err(TokenError::Header)),
            (r#"{"alg":null}"#, Err(TokenError::Header)),
            (r#"{"alg":"RS256"} x"#, Err(TokenError::Header)),
            (r#"["alg"]"#, Err(TokenError::Header)),
            (r#""RS256""#, Err(TokenError::Header)),
            ("", Err(TokenError::Header)),
            ("\u{feff}{\"alg\":\"RS256\"}", Err(TokenError::Header)),
            (r#"{"alg":"RS256","b64":false}"#, Err(TokenError::CriticalHeader)),
            (r#"{"alg":"RS256","crit":[]}"#, Err(TokenError::CriticalHeader)),
            (r#"{"alg":"RS256","crit":["b64"],"b64":true}"#, Err(TokenError::CriticalHeader)),
            (r#"{"alg":"RS256","crit":["exp"],"exp":1}"#, Err(TokenError::CriticalHeader)),
            (r#"{"alg":"RS256","crit":null}"#, Err(TokenError::CriticalHeader)),
            (r#"{"alg":"RS256","cty":"JWT"}"#, Err(TokenError::CriticalHeader)),
            (r#"{"alg":"RS256","cty":"application/at+jwt"}"#, Err(TokenError::CriticalHeader)),
            (r#"{"alg":"RS256","zip":"DEF"}"#, Err(TokenError::CriticalHeader)),
        ];
        for (json, expected) in rows {
            assert_eq!(Header::parse(json.as_bytes()).map(|_| ()), expected, "{json}");
        }
    }

    #[test]
    fn what_is_read_as_a_plain_header_is_what_any_reader_reads_threat_4() {
        let plain = [
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"ES256","typ":"at+jwt","kid":"a"}"#,
            r#"{"kid":"","alg":"EdDSA","typ":"JWT"}"#,
            r#"{"typ":"a,b:c{}[] /","x5t":"a"}"#,
        ];
        for json in plain {
            assert!(Header::parse_plain(json.as_bytes()).is_some(), "{json}");
        }
        // Each with one of its bytes taken out, doubled, or made into another.
        let (mut read, mut refused) = (0, 0);
        for json in plain.map(str::as_bytes) {
            for place in 0..json.len() {
                let others = (0..=u8::MAX).map(|byte| vec![byte]).chain([Vec::new(), vec![json[place]; 2]]);
                for middle in others {
                    let json = [&json[..place], &middle, &json[place + 1..]].concat();
                    let Some(plain) = Header::parse_plain(&json) else {
                        refused += 1;
                        continue;
                    };
                    read += 1;
                    let header: Header<'_> = serde_json::from_slice(&json).unwrap();
                    let parts = |header: &Header<'_>| format!("{header:?}");
                    assert!(!header.is_extended && parts(&plain) == parts(&header), "{}", json.escape_ascii());
                }
            }
        }
        assert!(read > 1000 && refused > 1000, "{read} {refused}");
        for twice in [
            r#"{"alg":"RS256","alg":"RS256"}"#,
            r#"{"kid":"a","kid":"b"}"#,
            r#"{"typ":"a","typ":"a"}"#,
            r#"{"x5t":"a","x5t":"a"}"#,
        ] {
            assert!(Header::parse_plain(twice.as_bytes()).is_none(), "{twice}");
        }
    }

    #[test]
    fn an_algorithm_that_is_not_ours_is_none_at_all_threat_1() {
        for name in ["none", "nOnE", "NONE", "rs256", "RS256 ", ""] {
            let json = format!(r#"{{"alg":"{name}"}}"#);
            let header = Header::parse(json.as_bytes()).unwrap();
            assert_eq!(header.algorithm, None, "{name:?}");
        }
    }
}
