//! A target and when it is over → the keys that hold it, so that they leave by themselves.

use crate::{clock::UnixTime, crypto::Sha256};

/// A slice is divided into so many hashes, so that each stays small.
pub(super) const BUCKETS: u16 = 4096;

/// The format of all this, as it stands in the head. Another version of this crate may have another.
pub(super) const FORMAT: &str = "1";

/// The slice of what is never over.
pub(super) const NEVER: u64 = 0;

/// No slice is narrower, in seconds.
const NARROWEST: u64 = 256;

/// In seconds since the epoch; Redis cannot express the milliseconds of much later times. What expires after this is kept.
const END_OF_TIME: u64 = 1 << 40;

/// The names of the keys after the prefix.
pub(super) const HEAD: &str = "head";
pub(super) const LOG: &str = "log";
pub(super) const ISSUERS: &str = "issuers";
pub(super) const SUSPENDED: &str = "suspended";

/// Which of the buckets of a slice are in use, as bits.
pub(super) fn used(slice: &str) -> String {
    format!("b:{slice}")
}

/// The entries of a bucket.
pub(super) fn entries(slice: &str, bucket: u16) -> String {
    format!("r:{slice}:{bucket}")
}

/// The slice of what is over at `end`, as the second in which it ends. Its width is a power of two, about an eighth of the
/// time that is left: there are few slices at any time, and nothing is kept for much longer than it has to be.
pub(super) fn slice(end: Option<UnixTime>, now: UnixTime) -> u64 {
    let Some(end) = end.map(UnixTime::as_secs).filter(|end| *end <= END_OF_TIME) else { return NEVER };
    let eighth = (end.saturating_sub(now.as_secs()) / 8).max(NARROWEST);
    let width = 1_u64 << eighth.ilog2();
    // That of the epoch itself would be the one of what never ends.
    end.max(1).next_multiple_of(width)
}

/// Whether everything in that slice is over, so that its keys may be gone. A name that is no time is not over.
pub(super) fn is_over(slice: &str, now: UnixTime) -> bool {
    slice.parse().is_ok_and(|end: u64| end != NEVER && end <= now.as_secs())
}

/// The bucket of a target. Every publisher must find the same.
pub(super) fn bucket(kind: char, issuer: Option<&str>, id: &[u8]) -> u16 {
    let mut target = Vec::with_capacity(id.len() + issuer.map_or(0, str::len) + 2);
    target.extend(kind.to_string().into_bytes());
    target.extend(issuer.unwrap_or_default().as_bytes());
    target.push(0);
    target.extend(id);
    let [first, second, ..] = Sha256::of(&target);
    u16::from_be_bytes([first, second]) % BUCKETS
}

/// The buckets whose bits are set: as Redis counts them, from the highest of the first byte.
pub(super) fn buckets(bits: &[u8]) -> impl Iterator<Item = u16> {
    let used = (0..BUCKETS / 8).zip(bits).filter(|(_, bits)| **bits != 0);
    used.flat_map(|(byte, bits)| (0..8).filter(move |bit| bits & (0x80 >> bit) != 0).map(move |bit| byte * 8 + bit))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_900_000_000;

    fn slice_of(end: u64) -> u64 {
        slice(Some(UnixTime::from_secs(end)), UnixTime::from_secs(NOW))
    }

    proptest! {
        #[test]
        fn nothing_leaves_before_it_is_over_or_much_later(left in 0..100_000_000_u64) {
            let end = NOW + left;
            let kept = slice_of(end) - end;
            prop_assert!(kept <= NARROWEST.max(left / 8), "{}", kept);
        }
    }

    #[test]
    fn there_are_few_slices_at_any_time() {
        // Tokens of up to a month, at every second.
        let slices: HashSet<_> = (0..30 * 86_400).map(|left| slice_of(NOW + left)).collect();
        assert!(slices.len() <= 120, "{}", slices.len());
        let hour: HashSet<_> = (0..3600).map(|left| slice_of(NOW + left)).collect();
        assert!(hour.len() <= 16, "{}", hour.len());
    }

    #[test]
    fn what_never_ends_has_a_slice_of_its_own() {
        let now = UnixTime::from_secs(NOW);
        assert_eq!(slice(None, now), NEVER);
        assert_eq!(slice_of(u64::MAX), NEVER);
        assert_eq!(slice_of(END_OF_TIME + 1), NEVER);
        assert!(slice_of(END_OF_TIME) >= END_OF_TIME);
        // What is over is in no slice of it.
        assert_eq!((slice_of(0), slice_of(1), slice_of(257)), (256, 256, 512));
    }

    #[test]
    fn a_bucket_is_that_of_the_whole_target_and_the_same_for_all_publishers() {
        let here = bucket('S', Some("https://idp.example"), b"s-1");
        assert_eq!(here, 2086);
        let others = [
            bucket('U', Some("https://idp.example"), b"s-1"),
            bucket('S', None, b"s-1"),
            bucket('S', Some("https://idp.example"), b"s-2"),
            bucket('S', Some("https://idp.examples"), b"-1"),
        ];
        assert!(!others.contains(&here), "{others:?}");
        let all: HashSet<_> = (0..40_000_u32).map(|id| bucket('T', None, &id.to_be_bytes())).collect();
        assert!(all.len() > 4000 && all.iter().all(|bucket| *bucket < BUCKETS), "{}", all.len());
    }

    #[test]
    fn bits_are_counted_as_redis_does() {
        assert_eq!(buckets(&[0b1000_0001, 0, 0b0100_0000]).collect::<Vec<_>>(), [0, 7, 17]);
        assert_eq!(buckets(&[]).count(), 0);
        assert_eq!(buckets(&[0xff; 513]).count(), usize::from(BUCKETS));
    }
}
