//! An instant → the beginning of the next calendar month, in UTC.

use crate::clock::UnixTime;

const DAY: u64 = 24 * 60 * 60;

/// Midnight of the first of the month after the one that `now` is in.
pub(super) const fn next_month(now: UnixTime) -> UnixTime {
    let today = now.as_secs() / DAY;
    let first = today - (day_of_month(today) - 1);
    // From the first, 31 days lead into the next month and never past it.
    let within_next = first + 31;
    let first_of_next = within_next - (day_of_month(within_next) - 1);
    UnixTime::from_secs(first_of_next.saturating_mul(DAY))
}

/// From 1 on, of a day that is counted from the epoch. In the Gregorian calendar, whose cycle of 400 years has 146,097
/// days; years begin in March here, so that a leap day is the last of its year.
const fn day_of_month(days: u64) -> u64 {
    let of_cycle = (days + 719_468) % 146_097;
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    of_year - (153 * month + 2) / 5 + 1
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn a_month_ends_where_a_calendar_says_through_a_whole_cycle_of_leap_years() {
        for day in 0..146_097 + 400 {
            let date = OffsetDateTime::from_unix_timestamp(day * 86_400).unwrap().date();
            let first = date.replace_day(1).unwrap();
            let expected = first.replace_day(first.month().length(first.year())).unwrap().next_day().unwrap();
            let expected = u64::try_from(expected.midnight().assume_utc().unix_timestamp()).unwrap();
            for second in [0, 1, 86_399] {
                let now = UnixTime::from_secs(u64::try_from(day).unwrap() * 86_400 + second);
                assert_eq!(next_month(now).as_secs(), expected, "{date} {second}");
            }
        }
    }

    #[test]
    fn no_clock_is_too_far_ahead() {
        for now in [u64::MAX, u64::MAX - 86_400 * 40, i64::MAX.unsigned_abs()] {
            assert!(next_month(UnixTime::from_secs(now)).as_secs() >= now / DAY * DAY, "{now}");
        }
    }
}
