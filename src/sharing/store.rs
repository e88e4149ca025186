//! What a store of records has to do: look, put, forget, each in one step.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;

/// What the methods of a [`SharedStore`] return.
pub type StoreAnswer<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// Where the replicas of a service leave records for each other: one under each name, for a while.
///
/// Each method does what it does in one step, as far as others can see, and by one clock, the store's; a time is what that
/// shows, since any origin. A method may fail, and may have done what it was to do nevertheless; a future that is dropped
/// may still do it. Nobody has to trust a store: see the [module](crate::sharing).
pub trait SharedStore: Send + Sync + fmt::Debug + 'static {
    /// The record of that name, if it [is good enough](Look::takes), and what time it is. Where it is not, and a lease is
    /// wanted, and nobody holds one that has not ended, or ends later than this one would: leases. (The latter was given
    /// before the clock was set back.)
    fn look(&self, name: &str, look: Look) -> StoreAnswer<Seen>;

    /// Ends the lease, if it is that of `holder`; and puts the record there for as long as it is to be kept, unless the
    /// record that is there [may not be replaced](SharedRecord::gives_way_to) by it.
    fn put(&self, name: &str, record: SharedRecord, holder: Option<&str>) -> StoreAnswer<()>;

    /// Ends the lease, if it is that of `holder`, and removes the record if it was asked for exactly then.
    fn forget(&self, name: &str, asked_at: Option<Duration>, holder: Option<&str>) -> StoreAnswer<()>;
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It said so, or could not be reached.
    #[error("the shared store: {0}")]
    Failed(String),
    /// No answer in time.
    #[error("the shared store gave no answer within {0:?}")]
    TimedOut(Duration),
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub(crate) max_age: Duration,
    pub(crate) unlike: Option<Duration>,
    pub(crate) lease: Option<Lease>,
}

/// The right to be the only one who asks, until it ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub(crate) holder: String,
    pub(crate) length: Duration,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub(crate) now: Duration,
    pub(crate) record: Option<SharedRecord>,
    pub(crate) is_leased: bool,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRecord {
    pub(crate) asked_at: Duration,
    pub(crate) rank: Rank,
    pub(crate) kept_for: Duration,
    pub(crate) sealed: Bytes,
}

/// Which of two records counts that were asked for at the same moment: the higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "a store has to keep it, and tell it again")]
pub enum Rank {
    /// It grants something.
    Positive,
    /// It takes something back.
    Negative,
}

impl Look {
    /// A record that was asked for at most so long ago.
    #[must_use]
    pub const fn new(max_age: Duration) -> Self {
        Self { max_age, unlike: None, lease: None }
    }

    /// But not the one that was asked for then, which is of no use.
    #[must_use]
    pub const fn but_not(mut self, asked_at: Duration) -> Self {
        self.unlike = Some(asked_at);
        self
    }

    /// Or else a lease of that length, for a holder whose name nobody else has.
    #[must_use]
    pub fn or_lease(mut self, holder: &str, length: Duration) -> Self {
        self.lease = Some(Lease { holder: holder.to_owned(), length });
        self
    }

    /// Whether a record that was asked for then is good enough: young enough, of no time to come, and not the one that is
    /// known to be of no use.
    #[must_use]
    pub fn takes(&self, asked_at: Duration, now: Duration) -> bool {
        asked_at <= now && now.saturating_sub(asked_at) <= self.max_age && self.unlike != Some(asked_at)
    }

    /// How old the record may be.
    #[must_use]
    pub const fn max_age(&self) -> Duration {
        self.max_age
    }

    /// When the record was asked for that is known to be of no use.
    #[must_use]
    pub const fn unlike(&self) -> Option<Duration> {
        self.unlike
    }

    /// What to lease, where there is no record.
    #[must_use]
    pub const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }
}

impl Lease {
    /// Who would hold it: a text that nobody else has.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// After which time it ends by itself.
    #[must_use]
    pub const fn length(&self) -> Duration {
        self.length
    }
}

impl Seen {
    /// What time it was.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// What was there.
    #[must_use]
    pub const fn record(&self) -> Option<&SharedRecord> {
        self.record.as_ref()
    }

    /// Whether whoever looked has a lease now.
    #[must_use]
    pub const fn is_leased(&self) -> bool {
        self.is_leased
    }

    /// What time it was, what was there, and whether there is a lease now, for whoever looked.
    #[must_use]
    pub const fn new(now: Duration, record: Option<SharedRecord>, is_leased: bool) -> Self {
        Self { now, record, is_leased }
    }
}

impl SharedRecord {
    /// A record as it is found; how long it is kept does not matter any more.
    #[must_use]
    pub const fn new(asked_at: Duration, rank: Rank, sealed: Bytes) -> Self {
        Self { asked_at, rank, kept_for: Duration::ZERO, sealed }
    }

    /// One to be put there: it is of use to nobody after that time.
    #[must_use]
    pub const fn keep_for(mut self, time: Duration) -> Self {
        self.kept_for = time;
        self
    }

    /// Whether this makes room for `other`, as of `now`: what was asked for later counts, and a record of a time to come is
    /// there because the clock was set back.
    #[must_use]
    pub fn gives_way_to(&self, other: &Self, now: Duration) -> bool {
        self.asked_at > now || (self.asked_at, self.rank) <= (other.asked_at, other.rank)
    }

    /// When it was asked for, by the store's clock.
    #[must_use]
    pub const fn asked_at(&self) -> Duration {
        self.asked_at
    }

    /// Which one counts of two of the same moment.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        self.rank
    }

    /// How long it is of any use to anybody.
    #[must_use]
    pub const fn kept_for(&self) -> Duration {
        self.kept_for
    }

    /// What it says, sealed.
    #[must_use]
    pub const fn sealed(&self) -> &Bytes {
        &self.sealed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_later_question_counts_and_of_two_at_once_the_one_that_takes_back_threat_15() {
        let record = |at: u32, rank| SharedRecord::new(SECOND * at, rank, Bytes::new());
        use Rank::{Negative, Positive};
        for (there, comes, gives_way) in [
            (record(1, Positive), record(2, Positive), true),
            (record(1, Negative), record(2, Positive), true),
            (record(2, Negative), record(1, Positive), false),
            (record(2, Positive), record(1, Negative), false),
            (record(2, Positive), record(2, Positive), true),
            (record(2, Positive), record(2, Negative), true),
            (record(2, Negative), record(2, Positive), false),
            (record(10, Negative), record(3, Positive), true),
        ] {
            assert_eq!(there.gives_way_to(&comes, SECOND * 9), gives_way, "{there:?} {comes:?}");
        }
    }

    #[test]
    fn a_look_takes_what_is_young_and_not_what_is_known_or_of_tomorrow() {
        let look = Look { max_age: SECOND * 5, unlike: Some(SECOND * 8), lease: None };
        let taken: Vec<u32> = (0..=12).filter(|at| look.takes(SECOND * *at, SECOND * 10)).collect();
        assert_eq!(taken, [5, 6, 7, 9, 10]);
    }
}
