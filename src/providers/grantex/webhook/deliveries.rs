//! Deliveries that had an effect → whether one comes again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::signature::TOLERANCE;

/// For so long the time of a delivery is about now: from as far ahead as it may be to as far behind, and the fraction of a
/// second that a wall clock leaves out.
pub(super) const LIFE: Duration = Duration::from_secs(2 * TOLERANCE + 1);

/// By what a delivery is known: its code, which is that of its time and body.
type Code = [u8; 32];

/// The deliveries of the last ten minutes that had an effect, or are about to.
#[derive(Debug)]
pub(super) struct Deliveries {
    seen: Mutex<Seen>,
    most: usize,
}

#[derive(Debug, Default)]
struct Seen {
    /// By code, the number of its claim: when that of an earlier one is over, that says nothing about a later one.
    claims: HashMap<Code, u64>,
    /// In the order in which they came.
    order: VecDeque<(Duration, Code, u64)>,
    next: u64,
}

/// Why a delivery is not to have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unclaimed {
    /// It came before, or is being taken in.
    Again,
    /// There are so many already that it could not be recognised when it comes again.
    TooMany,
}

/// A delivery that is being taken in. Dropped before that is done, it may come again.
#[derive(Debug)]
pub(super) struct Claim<'d> {
    deliveries: &'d Deliveries,
    code: Code,
    number: u64,
    is_done: bool,
}

impl Deliveries {
    /// So many are remembered.
    pub(super) fn new(most: usize) -> Self {
        Self { seen: Mutex::default(), most }
    }

    /// The right to take in the delivery of this code, which only one gets.
    pub(super) fn claim(&self, code: Code, now: Duration) -> Result<Claim<'_>, Unclaimed> {
        let mut seen = self.seen();
        while let Some((since, old, number)) = seen.order.front().copied()
            && since.saturating_add(LIFE) <= now
        {
            seen.order.pop_front();
            seen.forget(&old, number);
        }
        if seen.claims.contains_key(&code) {
            return Err(Unclaimed::Again);
        }
        // What was given up keeps its place in the order until its time.
        if seen.order.len() >= self.most {
            return Err(Unclaimed::TooMany);
        }
        let number = seen.next;
        seen.next = number.wrapping_add(1);
        seen.claims.insert(code, number);
        seen.order.push_back((now, code, number));
        Ok(Claim { deliveries: self, code, number, is_done: false })
    }

    /// Held for a look at a table.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn forget(&mut self, code: &Code, number: u64) {
        if self.claims.get(code) == Some(&number) {
            self.claims.remove(code);
        }
    }
}

impl Claim<'_> {
    /// It was taken in: it is not to come again.
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.deliveries.seen().forget(&self.code, self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_delivery_is_claimed_once_until_nobody_could_send_it_again() {
        let deliveries = Deliveries::new(9);
        let claim = deliveries.claim([1; 32], SECOND).unwrap();
        assert_eq!(deliveries.claim([1; 32], SECOND).unwrap_err(), Unclaimed::Again, "while it is taken in");
        claim.done();
        let end = SECOND + LIFE;
        assert_eq!(deliveries.claim([1; 32], end - Duration::from_nanos(1)).unwrap_err(), Unclaimed::Again);
        deliveries.claim([1; 32], end).unwrap().done();
    }

    #[test]
    fn what_was_given_up_may_come_again_and_is_then_remembered_for_its_own_time() {
        let deliveries = Deliveries::new(9);
        drop(deliveries.claim([1; 32], SECOND).unwrap());
        deliveries.claim([1; 32], 100 * SECOND).unwrap().done();
        assert_eq!(deliveries.claim([1; 32], SECOND + LIFE).unwrap_err(), Unclaimed::Again, "the first one's time");
        assert!(deliveries.claim([1; 32], 100 * SECOND + LIFE).is_ok());
    }

    #[test]
    fn there_are_no_more_than_can_be_remembered() {
        let deliveries = Deliveries::new(2);
        for (code, now) in [(1, 1), (2, 2)] {
            deliveries.claim([code; 32], now * SECOND).unwrap().done();
        }
        assert_eq!(deliveries.claim([3; 32], 3 * SECOND).unwrap_err(), Unclaimed::TooMany);
        assert_eq!(deliveries.claim([2; 32], 3 * SECOND).unwrap_err(), Unclaimed::Again);
        deliveries.claim([3; 32], SECOND + LIFE).unwrap().done();
        assert_eq!(deliveries.claim([2; 32], SECOND + LIFE).unwrap_err(), Unclaimed::Again);
        let seen = deliveries.seen();
        assert_eq!((seen.claims.len(), seen.order.len()), (2, 2));
    }
}
