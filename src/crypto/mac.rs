//! A shared secret and bytes → whether a message authentication code is theirs (HMAC with SHA-256, RFC 2104).

use std::fmt;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};

/// A secret that two sides share.
pub(crate) struct HmacKey(Key);

impl HmacKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(Key::new(HMAC_SHA256, secret))
    }

    /// Whether `code` is that of these pieces, one after the other. Takes as long whatever is wrong with it.
    pub(crate) fn verifies(&self, pieces: &[&[u8]], code: &[u8]) -> bool {
        let mut context = Context::with_key(&self.0);
        pieces.iter().for_each(|piece| context.update(piece));
        aws_lc_rs::constant_time::verify_slices_are_equal(context.sign().as_ref(), code).is_ok()
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::HmacKey;

    /// RFC 4231 §4.3.
    const CODE: [u8; 32] = [
        0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00,
        0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
    ];

    #[test]
    fn the_code_of_the_rfc_is_its_own_and_no_other() {
        let key = HmacKey::new(b"Jefe");
        assert!(key.verifies(&[b"what do ya want for nothing?"], &CODE));
        assert!(key.verifies(&[b"what do ya want ", b"for nothing?"], &CODE));
        assert!(!key.verifies(&[b"what do ya want for nothing!"], &CODE));
        assert!(!key.verifies(&[b"what do ya want for nothing?"], &CODE[..31]));
        assert!(!key.verifies(&[b"what do ya want for nothing?"], b""));
        assert!(!HmacKey::new(b"jefe").verifies(&[b"what do ya want for nothing?"], &CODE));
    }
}
