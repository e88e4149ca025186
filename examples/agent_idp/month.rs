//! An instant → its calendar month (UTC); a month's count → one more, or no more.

use portcullis::clock::UnixTime;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A calendar month, by how many there were since the year 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Month(u32);

impl Month {
    /// The month of that instant, in UTC.
    pub(crate) fn of(instant: UnixTime) -> Self {
        let seconds = i64::try_from(instant.as_secs()).unwrap_or(i64::MAX);
        let Ok(date) = OffsetDateTime::from_unix_timestamp(seconds) else { return Self(u32::MAX) };
        let year = u32::try_from(date.year()).unwrap_or_default();
        Self(year * 12 + u32::from(u8::from(date.month())) - 1)
    }
}

/// How many tokens an agent was issued in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Issued {
    month: Month,
    count: u64,
}

impl Issued {
    /// One more in `now`; `None` where that would be more than `limit`. A clock that is set back does not open a month again.
    pub(crate) fn one_more(self, now: Month, limit: u64) -> Option<Self> {
        let (month, count) = if now > self.month { (now, 0) } else { (self.month, self.count) };
        (count < limit).then(|| Self { month, count: count + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(text: &str) -> Month {
        let date = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap();
        Month::of(UnixTime::from_secs(date.unix_timestamp().try_into().unwrap()))
    }

    #[test]
    fn a_month_ends_with_its_last_second() {
        let rows = [
            ("2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z", false),
            ("2026-02-01T00:00:00Z", "2026-02-28T23:59:59Z", true),
            ("2028-02-01T00:00:00Z", "2028-02-29T23:59:59Z", true),
            ("2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z", false),
            ("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z", false),
            // The same month of another year is another month.
            ("2026-11-22T00:00:00Z", "2027-11-22T00:00:00Z", false),
        ];
        for (earlier, later, same) in rows {
            assert_eq!(month(earlier) == month(later), same, "{earlier} {later}");
            assert!(month(earlier) <= month(later), "{earlier} {later}");
        }
    }

    #[test]
    fn times_that_no_calendar_has_do_not_panic() {
        assert!(Month::of(UnixTime::from_secs(u64::MAX)) > Month::of(UnixTime::from_secs(0)));
    }

    #[test]
    fn the_count_begins_anew_with_the_next_month_and_not_with_an_earlier_one() {
        let (november, december) = (month("2026-11-30T12:00:00Z"), month("2026-12-01T12:00:00Z"));
        let mut issued = Issued::default();
        for count in 1..=3 {
            issued = issued.one_more(november, 3).unwrap();
            assert_eq!(issued.count, count);
        }
        assert_eq!(issued.one_more(november, 3), None);
        let next = issued.one_more(december, 3).unwrap();
        assert_eq!(next.count, 1);
        assert_eq!(next.one_more(november, 3).unwrap().count, 2);
    }
}
