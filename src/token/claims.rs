//! Payload JSON → [`Claims`]: the registered ones, typed (RFC 7519 §4, RFC 9068 §2.2), and the marks of other tokens.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use super::{
    TokenError,
    json::{NumericDate, Text, TextIfAny, TextOrTexts, each_member},
};
use crate::clock::UnixTime;

/// What a token says of itself; true only if its signature holds. Borrowed from the payload, but for texts with escapes.
#[derive(Debug, Default)]
pub(crate) struct Claims<'p> {
    pub(crate) issuer: Option<Cow<'p, str>>,
    pub(crate) subject: Option<Cow<'p, str>>,
    pub(crate) client_id: Option<Cow<'p, str>>,
    pub(crate) token_id: Option<Cow<'p, str>>,
    pub(crate) audiences: Option<TextOrTexts<'p>>,
    /// Rounded down: not accepted a fraction of a second too long.
    pub(crate) expires_at: Option<UnixTime>,
    /// Rounded up: not accepted a fraction of a second too early.
    pub(crate) not_before: Option<UnixTime>,
    /// Rounded down.
    pub(crate) issued_at: Option<UnixTime>,
    /// `scope`.
    pub(crate) scope: Option<TextOrTexts<'p>>,
    /// `scp`, as some servers call it.
    pub(crate) scp: Option<TextOrTexts<'p>>,
    /// `sid`: the session it was issued in (OpenID Connect Front-Channel Logout §3).
    pub(crate) session_id: Option<Cow<'p, str>>,
    /// `act`: the `sub` of whoever acts, and of whom they act for in turn (RFC 8693 §4.1).
    pub(crate) actors: Vec<String>,
    /// `token_type`, in answers to introspection requests (RFC 7662 §2.2).
    pub(crate) token_type: Option<Cow<'p, str>>,
    pub(crate) marks: Marks,
}

/// Marks by which other kinds of token give themselves away (RFC 8725bis: mutually exclusive rules per kind).
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// `cnf`: bound to a key or certificate.
    pub(crate) confirmation: bool,
    /// `at_hash`, `c_hash` or `s_hash`: an ID token (OpenID Connect Core §3.3.2.11).
    pub(crate) id_token: bool,
    /// `nonce`: an ID token (OpenID Connect Core §2), unless `scp` is there too: Azure AD B2C has both in access tokens.
    pub(crate) nonce: bool,
    /// `events`, `htm` or `htu`: a security event or logout token (RFC 8417), a DPoP proof (RFC 9449 §4.2).
    pub(crate) other_token: bool,
    /// What `typ`, `token_use` or `tokenName` among the claims says, where a server writes them: access token or not.
    pub(crate) says_access_token: Option<bool>,
}

impl<'p> Claims<'p> {
    /// Reads a claims set.
    pub(crate) fn parse(json: &'p [u8]) -> Result<Self, TokenError> {
        let mut wrong = None;
        // The whole at once is cheaper than text by text, and what is not looked at has to be text too.
        let json = std::str::from_utf8(json).map_err(|_| TokenError::Claims)?;
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let claims = ClaimsSeed { wrong: &mut wrong }
            .deserialize(&mut deserializer)
            .and_then(|claims| deserializer.end().map(|()| claims));
        claims.map_err(|_| wrong.map_or(TokenError::Claims, TokenError::ClaimType))
    }

    /// `aud`: whom it says that it is meant for.
    pub(crate) fn audiences(&self) -> impl Iterator<Item = &str> {
        self.audiences.iter().flat_map(TextOrTexts::iter)
    }
}

struct ClaimsSeed<'a> {
    /// The claim being read, so that an error can name it.
    wrong: &'a mut Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for ClaimsSeed<'_> {
    type Value = Claims<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Claims<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ClaimsSeed<'_> {
    type Value = Claims<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Claims<'de>, A::Error> {
        let mut claims = Claims::default();
        each_member(map, |name, map| claims.read(name, map, self.wrong))?;
        Ok(claims)
    }
}

impl<'de> Claims<'de> {
    /// Takes one member; a claim of the wrong type is an error, never an absent claim.
    fn read<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        wrong: &mut Option<&'static str>,
    ) -> Result<(), A::Error> {
        match name {
            "iss" => self.issuer = Some(typed::<Text<'_>, _>("iss", map, wrong)?.0),
            "sub" => self.subject = Some(typed::<Text<'_>, _>("sub", map, wrong)?.0),
            "client_id" => self.client_id = Some(typed::<Text<'_>, _>("client_id", map, wrong)?.0),
            "jti" => self.token_id = Some(typed::<Text<'_>, _>("jti", map, wrong)?.0),
            "aud" => self.audiences = Some(typed("aud", map, wrong)?),
            "exp" => self.expires_at = Some(UnixTime::from_secs(typed::<NumericDate, _>("exp", map, wrong)?.floor)),
            "nbf" => self.not_before = Some(UnixTime::from_secs(typed::<NumericDate, _>("nbf", map, wrong)?.ceil)),
            "iat" => self.issued_at = Some(UnixTime::from_secs(typed::<NumericDate, _>("iat", map, wrong)?.floor)),
            "scope" => self.scope = Some(typed("scope", map, wrong)?),
            "scp" => self.scp = Some(typed("scp", map, wrong)?),
            // Not ours to judge the types of: these only tell what may be revoked together, and what an
            // issuer calls the token.
            "sid" => self.session_id = map.next_value::<TextIfAny<'_>>()?.0,
            "act" => self.actors = actors(&map.next_value()?),
            "token_type" => self.token_type = map.next_value::<TextIfAny<'_>>()?.0,
            other => self.marks.read(other, map)?,
        }
        Ok(())
    }
}

/// From the outermost, who acts now, inwards.
fn actors(act: &Value) -> Vec<String> {
    let links = std::iter::successors(Some(act), |link| link.get("act"));
    links.filter_map(|link| link.get("sub")?.as_str().map(str::to_owned)).collect()
}

/// The value of the claim `name`, which an error is then known to be about.
fn typed<'de, T, A>(name: &'static str, map: &mut A, wrong: &mut Option<&'static str>) -> Result<T, A::Error>
where
    T: serde::Deserialize<'de>,
    A: MapAccess<'de>,
{
    *wrong = Some(name);
    let value = map.next_value()?;
    *wrong = None;
    Ok(value)
}

impl Marks {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "cnf" => self.confirmation = true,
            "at_hash" | "c_hash" | "s_hash" => self.id_token = true,
            "nonce" => self.nonce = true,
            "events" | "htm" | "htu" => self.other_token = true,
            // Keycloak's `typ` (Bearer, ID, Refresh, …), Cognito's `token_use` (access, id), ForgeRock's `tokenName`.
            "typ" | "token_use" | "tokenName" => {
                let Text(word) = map.next_value()?;
                let is = |known: &str| word.eq_ignore_ascii_case(known);
                // Some servers repeat the header's word, which says nothing.
                if !is("jwt") {
                    let says = is("bearer") || is("access") || is("access_token") || is("at+jwt");
                    self.says_access_token = Some(self.says_access_token.unwrap_or(true) && says);
                }
                return Ok(());
            }
            _ => {}
        }
        map.next_value::<IgnoredAny>().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_of_the_wrong_type_is_never_an_absent_claim_threat_2() {
        for claim in ["exp", "nbf", "iat"] {
            for value in
                [r#""1900000000""#, "true", "null", "[1900000000]", "{}", "-1", "-0.5", "1e400", "1e300", "NaN"]
            {
                let json = format!(r#"{{"{claim}":{value}}}"#);
                assert!(Claims::parse(json.as_bytes()).is_err(), "{json}");
            }
        }
        for claim in ["iss", "sub", "jti", "client_id"] {
            for value in ["1", "true", "null", r#"["a"]"#, "{}"] {
                let json = format!(r#"{{"{claim}":{value}}}"#);
                assert!(matches!(Claims::parse(json.as_bytes()), Err(TokenError::ClaimType(_))), "{json}");
            }
        }
        for claim in ["aud", "scope", "scp"] {
            for value in ["1", "true", "null", "[1]", r#"["a",null]"#, r#"[["a"]]"#, "{}"] {
                let json = format!(r#"{{"{claim}":{value}}}"#);
                assert!(matches!(Claims::parse(json.as_bytes()), Err(TokenError::ClaimType(_))), "{json}");
            }
        }
    }

    #[test]
    fn a_fraction_of_a_second_never_widens_the_window_threat_2() {
        let claims = Claims::parse(br#"{"exp":100.9,"nbf":50.1,"iat":40.9}"#).unwrap();
        assert_eq!(claims.expires_at, Some(UnixTime::from_secs(100)));
        assert_eq!(claims.not_before, Some(UnixTime::from_secs(51)));
        assert_eq!(claims.issued_at, Some(UnixTime::from_secs(40)));
    }

    #[test]
    fn a_claims_set_names_each_claim_once_threat_4() {
        for json in [
            r#"{"iss":"a","iss":"a"}"#,
            r#"{"iss":"a","i\u0073s":"b"}"#,
            r#"{"aud":"a","aud":["b"]}"#,
            r#"{"x":1,"x":2}"#,
            r#"{"exp":1,"exp":2}"#,
            "[]",
            "1",
            "null",
            "",
            r#"{"iss":"a"}{}"#,
            r#"{"iss":"a""#,
            "{\"iss\":\"\u{0}\"}",
        ] {
            assert!(Claims::parse(json.as_bytes()).is_err(), "{json}");
        }
        // As like as names can be without being the same.
        assert!(Claims::parse(br#"{"abc":1,"adc":2,"aec":3,"":4}"#).is_ok());
        assert!(Claims::parse(br#"{"abc":1,"adc":2,"abc":3}"#).is_err());
        assert!(Claims::parse(br#"{"":1,"":2}"#).is_err());
        let many: String = (0..500).map(|number| format!(r#""c{number}":1,"#)).collect();
        assert!(Claims::parse(format!(r#"{{{many}"z":1}}"#).as_bytes()).is_ok());
        assert!(Claims::parse(format!(r#"{{{many}"c499":1}}"#).as_bytes()).is_err());
    }

    #[test]
    fn a_claim_that_is_not_ours_to_judge_is_taken_where_it_is_a_text() {
        for value in ["1", "-1", "1.5", "true", "null", r#"["a"]"#, r#"{"a":{"b":[1]}}"#] {
            let json = format!(r#"{{"sid":{value},"token_type":{value},"iss":"a"}}"#);
            let claims = Claims::parse(json.as_bytes()).unwrap();
            assert_eq!((claims.session_id, claims.token_type), (None, None), "{json}");
            assert_eq!(claims.issuer.as_deref(), Some("a"), "{json}");
        }
        let claims = Claims::parse(br#"{"sid":"a\u0062","token_type":"c"}"#).unwrap();
        assert_eq!((claims.session_id.as_deref(), claims.token_type.as_deref()), (Some("ab"), Some("c")));
    }

    #[test]
    fn what_is_not_text_is_no_claims_set() {
        for json in [&b"{\"iss\":\"\xff\"}"[..], b"{\"x\":\"\xff\"}", b"{\"\xff\":1}"] {
            assert_eq!(Claims::parse(json).unwrap_err(), TokenError::Claims);
        }
    }

    #[test]
    fn deep_nesting_is_skipped_without_recursion_threat_31() {
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(6000), "]".repeat(6000));
        // Either answer is safe; what matters is that the stack survives.
        let _ = Claims::parse(deep.as_bytes());
    }
}
