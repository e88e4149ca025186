//! Token text → the three parts of a compact JWS (RFC 7515 §3.1, §7.1).

use super::TokenError;
use crate::crypto::base64url;

/// A compact JWS, split and otherwise unread.
#[derive(Clone, Copy)]
pub(super) struct Compact<'t> {
    text: &'t [u8],
    first_dot: usize,
    second_dot: usize,
}

impl<'t> Compact<'t> {
    pub(super) fn split(text: &'t [u8]) -> Result<Self, TokenError> {
        let mut dots = text.iter().enumerate().filter(|&(_, &byte)| byte == b'.').map(|(at, _)| at);
        match (dots.next(), dots.next(), dots.next()) {
            (Some(first_dot), Some(second_dot), None) => Ok(Self { text, first_dot, second_dot }),
            // RFC 7516 §9: a JWE has five parts.
            (_, _, Some(_)) if dots.next().is_some() && dots.next().is_none() => Err(TokenError::Encrypted),
            _ => Err(TokenError::NotCompact),
        }
    }

    /// The whole token.
    pub(super) const fn text(&self) -> &'t [u8] {
        self.text
    }

    /// What the signature is over: header, dot, payload.
    pub(super) fn signed(&self) -> &'t [u8] {
        self.part(0, self.second_dot)
    }

    pub(super) fn decode_header(&self) -> Result<Vec<u8>, TokenError> {
        base64url::decode(self.part(0, self.first_dot)).ok_or(TokenError::NotCompact)
    }

    pub(super) fn decode_payload(&self) -> Result<Vec<u8>, TokenError> {
        base64url::decode(self.part(self.first_dot + 1, self.second_dot)).ok_or(TokenError::NotCompact)
    }

    /// An unsigned token ends in its second dot, and is refused here.
    pub(super) fn decode_signature(&self) -> Result<Vec<u8>, TokenError> {
        match base64url::decode(self.part(self.second_dot + 1, self.text.len())) {
            Some(signature) if !signature.is_empty() => Ok(signature),
            _ => Err(TokenError::NotCompact),
        }
    }

    fn part(&self, start: usize, end: usize) -> &'t [u8] {
        self.text.get(start..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_parts_are_a_signed_token_threat_3() {
        let split = |text: &'static str| Compact::split(text.as_bytes()).map(|parts| parts.signed());
        assert_eq!(split("a.b.c"), Ok(&b"a.b"[..]));
        assert_eq!(split("a.b."), Ok(&b"a.b"[..]));
        assert_eq!(split("a.b.c.d.e"), Err(TokenError::Encrypted));
        assert_eq!(split("...."), Err(TokenError::Encrypted));
        for not_a_token in ["", "a", "a.b", "a.b.c.d", "a.b.c.d.e.f", ".....", "abc~def"] {
            assert_eq!(split(not_a_token), Err(TokenError::NotCompact), "{not_a_token:?}");
        }
    }

    #[test]
    fn a_missing_signature_is_refused_threat_1() {
        assert_eq!(Compact::split(b"a.b.").unwrap().decode_signature(), Err(TokenError::NotCompact));
    }
}
