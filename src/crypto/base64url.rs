//! base64url text ↔ bytes, without padding (RFC 7515 §2), in its one canonical spelling.

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};

/// The bytes that `text` spells; `None` for a foreign character, padding, an impossible length or stray low bits.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
}

/// `bytes` as base64url.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// `bytes` as base64 in its older alphabet, padded (RFC 4648 §4): what Basic credentials are written in.
pub(crate) fn encode_standard(bytes: &[u8]) -> String {
    STANDARD.encode_to_string(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn only_the_canonical_spelling_is_read() {
        assert_eq!(decode(b"").as_deref(), Some(&b""[..]));
        assert_eq!(decode(b"Zm9v").as_deref(), Some(&b"foo"[..]));
        assert_eq!(decode(b"Zm8").as_deref(), Some(&b"fo"[..]));
        assert_eq!(decode(b"-_8").as_deref(), Some(&[0xfb, 0xff][..]));
        for bad in ["Zm9=", "Zm8=", "Zm9", "Zh", "Z", "Zm9v\n", " Zm9v", "Zm+v", "Zm/v", "Zm?v", "Zm.v", "Zm9vé"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
