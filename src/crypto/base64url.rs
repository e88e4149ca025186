//! base64url text ↔ bytes, without padding (RFC 7515 §2), in its one canonical spelling.

use base64_simd::{AsOut as _, STANDARD, URL_SAFE_NO_PAD};

/// The bytes that `text` spells; `None` for a foreign character, padding, an impossible length or stray low bits.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
}

/// Appends the bytes that `text` spells.
pub(crate) fn decode_append(text: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    URL_SAFE_NO_PAD.decode_append(text, bytes).ok()
}

/// The bytes that `text` spells, in `room` where they fit, else in `more`.
pub(crate) fn decode_into<'r>(text: &[u8], room: &'r mut [u8], more: &'r mut Vec<u8>) -> Option<&'r [u8]> {
    if text.len().div_ceil(4).saturating_mul(3) <= room.len() {
        return URL_SAFE_NO_PAD.decode(text, room.as_out()).ok().map(|bytes| &*bytes);
    }
    more.clear();
    decode_append(text, more).map(|()| more.as_slice())
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
    use super::*;

    #[test]
    fn what_does_not_fit_goes_elsewhere() {
        for length in 0..64 {
            let (bytes, mut room, mut more) = (vec![length; usize::from(length)], [0; 32], vec![1]);
            let text = encode(&bytes);
            assert_eq!(decode_into(text.as_bytes(), &mut room, &mut more), Some(&*bytes), "{length}");
            assert_eq!(decode_into(format!("{text}.").as_bytes(), &mut room, &mut more), None, "{length}");
        }
        let mut bytes = b"a".to_vec();
        assert_eq!((decode_append(b"Zm9v", &mut bytes), bytes.as_slice()), (Some(()), &b"afoo"[..]));
        assert_eq!(decode_append(b"Zm9=", &mut bytes), None);
    }

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
