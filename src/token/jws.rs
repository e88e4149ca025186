//! A compact JWS and keys → whether one of them signed it (RFC 7515 §5.2). What its payload says is not looked at.

use super::{Compact, Header, SignatureError, TokenError, compact::SignatureRoom, header::without_application};
use crate::{
    crypto::Algorithm,
    keys::{KeyMatch, KeySet},
};

/// A compact JWS of which the header has been read.
pub(crate) struct Jws<'t> {
    compact: Compact<'t>,
    pub(super) header: Header<'t>,
}

impl<'t> Jws<'t> {
    /// Reads the header; `room` is where its bytes are put.
    pub(crate) fn parse(text: &'t [u8], room: &'t mut Vec<u8>) -> Result<Self, TokenError> {
        let compact = Compact::split(text)?;
        compact.decode_header(room)?;
        Self::read(compact, room)
    }

    pub(super) fn read(compact: Compact<'t>, header: &'t [u8]) -> Result<Self, TokenError> {
        Header::parse(header).map(|header| Self { compact, header })
    }

    /// The whole text.
    pub(super) const fn text(&self) -> &'t [u8] {
        self.compact.text()
    }

    /// Header and payload: what the signature is over.
    pub(crate) fn signed(&self) -> &'t [u8] {
        self.compact.signed()
    }

    pub(crate) fn decode_payload(&self) -> Result<Vec<u8>, TokenError> {
        let mut payload = Vec::new();
        self.compact.decode_payload(&mut payload).map(|()| payload)
    }

    /// Whether its `typ` is this media type, spelled with or without `application/` (RFC 7515 §4.1.9).
    pub(crate) fn is_of_type(&self, name: &str) -> bool {
        let kind = self.header.token_type.as_deref().map(without_application);
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name))
    }

    /// Whether its algorithm is one of these; `none` is none of ours.
    pub(crate) fn check_algorithm(&self, allowed: &[Algorithm]) -> Result<(), TokenError> {
        let is_allowed = self.header.algorithm.is_some_and(|algorithm| allowed.contains(&algorithm));
        if is_allowed { Ok(()) } else { Err(TokenError::Algorithm) }
    }

    /// Whether the key that it names signed it, or where it names none, any key of its algorithm.
    pub(crate) fn check_signature(&self, keys: &KeySet) -> Result<(), SignatureError> {
        let algorithm = self.header.algorithm.ok_or(SignatureError::Token(TokenError::Algorithm))?;
        let mut room = SignatureRoom::default();
        let signature = self.compact.decode_signature(&mut room).map_err(SignatureError::Token)?;
        let message = self.signed();
        match keys.find(self.header.key_id.as_deref(), algorithm, |key| key.verify(message, signature).is_ok()) {
            KeyMatch::Verified => Ok(()),
            KeyMatch::Refuted => Err(SignatureError::BadSignature),
            KeyMatch::Unknown => Err(SignatureError::UnknownKey(self.header.key_id.as_deref().map(Into::into))),
            KeyMatch::OtherAlgorithm => Err(SignatureError::OtherAlgorithm),
        }
    }
}
