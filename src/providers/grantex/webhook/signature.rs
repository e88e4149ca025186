//! Headers and body of a delivery → whether Grantex sent it, and just now.

use http::{HeaderMap, HeaderName};

use crate::{clock::UnixTime, crypto::HmacKey};

/// The older `X-Grantex-Signature` is of the body alone: what was sent once could be sent again for ever.
const SIGNATURE: HeaderName = HeaderName::from_static("x-grantex-signature-v2");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-grantex-timestamp");

/// How far the time of a delivery may be from ours, in seconds.
pub(super) const TOLERANCE: u64 = 300;

/// What the headers of a delivery say of it.
#[derive(Debug)]
pub(super) struct Signed<'h> {
    /// As it was signed.
    timestamp: &'h str,
    pub(super) code: [u8; 32],
}

impl<'h> Signed<'h> {
    /// Where there is one signature and one timestamp, each in its one spelling, and the time is about now.
    pub(super) fn read(headers: &'h HeaderMap, now: UnixTime) -> Option<Self> {
        let timestamp = only(headers, &TIMESTAMP)?;
        let is_number = (1..=15).contains(&timestamp.len()) && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let sent = timestamp.parse::<u64>().ok().filter(|_| is_number)?;
        if sent.abs_diff(now.as_secs()) > TOLERANCE {
            return None;
        }
        Some(Self { timestamp, code: code(only(headers, &SIGNATURE)?.strip_prefix("sha256=")?)? })
    }

    /// Whether one of these secrets signed it, with that body.
    pub(super) fn is_of(&self, secrets: &[HmacKey], body: &[u8]) -> bool {
        let pieces = [self.timestamp.as_bytes(), b".", body];
        secrets.iter().any(|secret| secret.verifies(&pieces, &self.code))
    }
}

/// The value of a header that stands there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// 64 hexadecimal digits, in lower case.
fn code(text: &str) -> Option<[u8; 32]> {
    let mut code = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != code.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in code.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(code)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}
