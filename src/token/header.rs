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
        let header: Self = serde_json::from_slice(json).map_err(|_| TokenError::Header)?;
        if header.is_extended { Err(TokenError::CriticalHeader) } else { Ok(header) }
    }
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
    fn an_algorithm_that_is_not_ours_is_none_at_all_threat_1() {
        for name in ["none", "nOnE", "NONE", "rs256", "RS256 ", ""] {
            let json = format!(r#"{{"alg":"{name}"}}"#);
            let header = Header::parse(json.as_bytes()).unwrap();
            assert_eq!(header.algorithm, None, "{name:?}");
        }
    }
}
