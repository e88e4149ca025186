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
        let mut dots = memchr::memchr_iter(b'.', text);
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

    /// Puts the header's bytes at the end of `room`.
    pub(super) fn decode_header(&self, room: &mut Vec<u8>) -> Result<(), TokenError> {
        base64url::decode_append(self.part(0, self.first_dot), room).ok_or(TokenError::NotCompact)
    }

    /// Puts the payload's bytes at the end of `room`.
    pub(super) fn decode_payload(&self, room: &mut Vec<u8>) -> Result<(), TokenError> {
        base64url::decode_append(self.part(self.first_dot + 1, self.second_dot), room).ok_or(TokenError::NotCompact)
    }

    /// Puts the bytes of both into `room`, header first, and says where the header's end. Those of a payload that is
    /// none are left out.
    pub(super) fn decode(&self, room: &mut Vec<u8>) -> Result<(usize, Result<(), TokenError>), TokenError> {
        room.clear();
        room.reserve_exact(self.second_dot / 4 * 3 + 3);
        self.decode_header(room)?;
        Ok((room.len(), self.decode_payload(room)))
    }

    /// An unsigned token ends in its second dot, and is refused here.
    pub(super) fn decode_signature<'r>(&self, room: &'r mut SignatureRoom) -> Result<&'r [u8], TokenError> {
        let text = self.part(self.second_dot + 1, self.text.len());
        match base64url::decode_into(text, &mut room.few, &mut room.many) {
            Some(signature) if !signature.is_empty() => Ok(signature),
            _ => Err(TokenError::NotCompact),
        }
    }

    fn part(&self, start: usize, end: usize) -> &'t [u8] {
        self.text.get(start..end).unwrap_or_default()
    }
}

/// Where a signature's bytes are put: up to that of an RSA key of 4096 bits without an allocation.
pub(super) struct SignatureRoom {
    few: [u8; 513],
    many: Vec<u8>,
}

impl Default for SignatureRoom {
    fn default() -> Self {
        Self { few: [0; 513], many: Vec::new() }
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
        assert_eq!(
            Compact::split(b"a.b.").unwrap().decode_signature(&mut SignatureRoom::default()),
            Err(TokenError::NotCompact)
        );
    }
}
