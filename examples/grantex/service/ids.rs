//! A prefix and the time → a name that nobody can guess: `grnt_` and a ULID, as Grantex names everything.

use portcullis::clock::UnixTime;

/// Crockford's base 32: no I, L, O, U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// `prefix` and a ULID.
pub(crate) fn new(prefix: &str, now: UnixTime) -> String {
    format!("{prefix}{}", ulid(now))
}

/// 48 bits of milliseconds and 80 random ones, in 26 characters.
pub(crate) fn ulid(now: UnixTime) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(now.as_secs().saturating_mul(1000) << 16).to_be_bytes());
    bytes[6..].copy_from_slice(&random::<10>());
    let number = u128::from_be_bytes(bytes);
    let digit = |place: u32| DIGITS.get(usize::try_from((number >> (5 * place)) & 31).unwrap_or_default());
    (0..26).rev().filter_map(digit).map(|digit| char::from(*digit)).collect()
}

/// So many random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "a token service without randomness must not go on")]
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random source answers");
    bytes
}
