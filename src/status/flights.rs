//! Questions under way, by token: whoever asks about a token that is being asked about waits for that answer.
//!
//! At most one question about a token is in the air. Somebody who must not be given an answer that may have left before
//! they asked waits for the next one, which is asked as soon as the first has landed, once for all who wait.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::memory::StatusKey;

/// A question and those who wait for the answer `R`.
#[derive(Debug)]
struct Flight<R> {
    answer: watch::Sender<Option<R>>,
    /// How old an answer that another replica was given may be when this leaves: what all who wait will take.
    shared_age: Duration,
}

/// What somebody who waits will take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// When they came.
    pub(super) came: Duration,
    /// How long before that the answer may have been asked for; `None`: not at all, whatever the clock shows.
    pub(super) max_age: Option<Duration>,
    /// How old an answer of another replica may be when the question leaves.
    pub(super) shared_age: Duration,
}

/// The questions that are open.
#[derive(Debug)]
pub(super) struct Flights<R>(Mutex<HashMap<StatusKey, Open<R>>>);

#[derive(Debug)]
struct Open<R> {
    current: Flight<R>,
    /// When the current one left; not yet, where it waits for its turn.
    sent_at: Option<Duration>,
    next: Option<Flight<R>>,
}

/// Where an answer will arrive.
#[derive(Debug)]
pub(super) struct Seat<R> {
    pub(super) answer: watch::Receiver<Option<R>>,
    /// Whether nobody is asking yet, so that the caller has to see to it.
    pub(super) must_start: bool,
}

impl<R> Default for Flights<R> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<R: Clone> Flights<R> {
    /// Waits for the question under way, unless its answer may be older than is `wanted`; then for the next. `None` where
    /// more than `limit` tokens are being asked about.
    pub(super) fn board(&self, key: StatusKey, wanted: Wanted, limit: usize) -> Option<Seat<R>> {
        let mut open = self.lock();
        let waiting = open.len();
        if let Some(open) = open.get_mut(&key) {
            let (flight, has_left) = match open.sent_at {
                None => (&mut open.current, false),
                Some(sent_at) if open.current.is_young_enough(sent_at, wanted) => (&mut open.current, true),
                Some(_) => (open.next.get_or_insert_with(|| Flight::new(wanted)), false),
            };
            if !has_left {
                flight.shared_age = flight.shared_age.min(wanted.shared_age);
            }
            return Some(Seat { answer: flight.answer.subscribe(), must_start: false });
        }
        if waiting >= limit {
            return None;
        }
        let current = Flight::new(wanted);
        let answer = current.answer.subscribe();
        open.insert(key, Open { current, sent_at: None, next: None });
        Some(Seat { answer, must_start: true })
    }

    /// Whether somebody is asking about this token.
    pub(super) fn is_open(&self, key: &StatusKey) -> bool {
        self.lock().contains_key(key)
    }

    /// How many tokens are being asked about.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The current question leaves: from now on nobody joins it who must not. How old an answer of another replica may be;
    /// `None` where nobody waits for it any more, and it had better stay.
    pub(super) fn leaves(&self, key: &StatusKey, now: Duration) -> Option<Duration> {
        let mut all = self.lock();
        let open = all.get_mut(key)?;
        if open.current.answer.receiver_count() == 0 {
            all.remove(key);
            return None;
        }
        open.sent_at = Some(now);
        Some(open.current.shared_age)
    }

    /// The answer to the current question. True where the next one is to be asked.
    pub(super) fn lands(&self, key: &StatusKey, answer: R) -> bool {
        let (landed, goes_on) = {
            let mut all = self.lock();
            let Some(open) = all.get_mut(key) else { return false };
            match open.next.take() {
                Some(next) => {
                    open.sent_at = None;
                    (Some(std::mem::replace(&mut open.current, next)), true)
                }
                None => (all.remove(key).map(|open| open.current), false),
            }
        };
        if let Some(landed) = landed {
            landed.answer.send_replace(Some(answer));
        }
        goes_on
    }

    /// Nobody is asking any more, whatever the reason: those who wait are told by their seats' end.
    pub(super) fn crashed(&self, key: &StatusKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StatusKey, Open<R>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Flight<R> {
    fn new(wanted: Wanted) -> Self {
        Self { answer: watch::Sender::new(None), shared_age: wanted.shared_age }
    }

    /// Whether its answer, as old as it may be, will do.
    fn is_young_enough(&self, sent_at: Duration, wanted: Wanted) -> bool {
        let is_young = |max_age| sent_at.saturating_add(max_age) >= wanted.came.saturating_add(self.shared_age);
        wanted.max_age.is_some_and(is_young)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::memory::KeyMaker, *};

    const SECOND: Duration = Duration::from_secs(1);

    /// Now, at two seconds: nothing but an answer to this question will do; or one of that age.
    const FRESH: Wanted = Wanted { came: Duration::from_secs(2), max_age: None, shared_age: Duration::ZERO };

    fn old(seconds: u64) -> Wanted {
        Wanted { max_age: Some(Duration::from_secs(seconds)), ..FRESH }
    }

    fn key(name: &str) -> StatusKey {
        KeyMaker::new(None, "").key(name.as_bytes())
    }

    #[test]
    fn only_a_question_that_has_not_left_answers_one_that_must_be_asked_afresh_threat_15() {
        let flights = Flights::<&str>::default();
        let (a, fresh) = (key("a"), FRESH);
        let first = flights.board(a, fresh, 9).unwrap();
        let second = flights.board(a, fresh, 9).unwrap();
        assert!(first.must_start && !second.must_start);
        assert!(flights.leaves(&a, SECOND).is_some());
        let third = flights.board(a, fresh, 9).unwrap();
        let old_enough = flights.board(a, old(1), 9).unwrap();
        let too_late = flights.board(a, old(0), 9).unwrap();
        assert!(flights.lands(&a, "first answer"), "somebody waits for the next");
        for seat in [&first, &second, &old_enough] {
            assert_eq!(*seat.answer.borrow(), Some("first answer"));
        }
        for seat in [&third, &too_late] {
            assert_eq!(*seat.answer.borrow(), None);
        }
        assert!(!flights.board(a, fresh, 9).unwrap().must_start, "it has not left yet");
        assert!(!flights.lands(&a, "second answer"));
        assert_eq!((*third.answer.borrow(), flights.len()), (Some("second answer"), 0));
    }

    #[test]
    fn tokens_are_asked_about_apart_and_not_without_bound_threat_22() {
        let flights = Flights::<()>::default();
        assert!(flights.board(key("a"), FRESH, 2).unwrap().must_start);
        assert!(flights.board(key("b"), FRESH, 2).unwrap().must_start);
        assert!(flights.board(key("c"), FRESH, 2).is_none());
        assert!(flights.board(key("a"), FRESH, 2).is_some(), "to join costs nothing");
        flights.crashed(&key("b"));
        assert!(flights.board(key("c"), FRESH, 2).is_some());
    }

    #[test]
    fn what_others_were_told_is_taken_only_where_it_is_young_enough_for_all_who_wait_threat_15() {
        let wanted = |max_age: u64, shared_age: u64| Wanted {
            shared_age: SECOND * u32::try_from(shared_age).unwrap(),
            ..old(max_age)
        };
        let flights = Flights::<()>::default();
        let a = key("a");
        let seats = [wanted(40, 30), wanted(12, 9), wanted(20, 15)].map(|wanted| flights.board(a, wanted, 9).unwrap());
        assert_eq!(flights.leaves(&a, SECOND * 2), Some(SECOND * 9), "whoever is hardest to please");
        let joins = [wanted(9, 6), wanted(40, 30)].map(|wanted| flights.board(a, wanted, 9).unwrap());
        let waits = [wanted(8, 6), wanted(1, 0), FRESH].map(|wanted| flights.board(a, wanted, 9).unwrap());
        assert!(flights.lands(&a, ()), "somebody waits for the next");
        assert!(seats.iter().chain(&joins).all(|seat| seat.answer.borrow().is_some()));
        assert!(waits.iter().all(|seat| seat.answer.borrow().is_none()));
        assert_eq!(flights.leaves(&a, SECOND * 3), Some(Duration::ZERO));
    }

    #[test]
    fn a_question_that_nobody_waits_for_does_not_leave() {
        let flights = Flights::<()>::default();
        drop(flights.board(key("a"), FRESH, 9).unwrap());
        assert!(flights.leaves(&key("a"), SECOND).is_none());
        assert!(flights.board(key("a"), FRESH, 9).unwrap().must_start);
    }

    #[test]
    fn whoever_waits_for_a_question_that_crashed_is_told() {
        let flights = Flights::<()>::default();
        let seat = flights.board(key("a"), FRESH, 9).unwrap();
        flights.crashed(&key("a"));
        assert!(seat.answer.has_changed().is_err());
    }
}
