//! An instant → the text that the wire has for it; `24h` → a duration.

use std::time::Duration;

use portcullis::clock::UnixTime;
use time::{OffsetDateTime, macros::format_description};

/// Nothing is granted for longer.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// `2026-11-22T07:54:00.000Z`: with milliseconds, as JavaScript writes it.
pub(crate) fn iso(at: UnixTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z");
    date(at).format(format).unwrap_or_default()
}

/// `2026-11`, so many months before `at`.
pub(crate) fn month(at: UnixTime, before: i32) -> String {
    let date = date(at);
    let months = date.year() * 12 + i32::from(u8::from(date.month())) - 1 - before;
    format!("{:04}-{:02}", months.div_euclid(12), months.rem_euclid(12) + 1)
}

/// `^\d+[smhd]$`, more than nothing and at most ten years.
pub(crate) fn lifetime(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let lifetime = Duration::from_secs(digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(seconds)?);
    (!lifetime.is_zero() && lifetime <= LONGEST).then_some(lifetime)
}

fn date(at: UnixTime) -> OffsetDateTime {
    let seconds = i64::try_from(at.as_secs()).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
