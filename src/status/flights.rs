//! Questions under way, by token: whoever asks about a token that is being asked about waits for that answer.
//!
//! At most one question about a token is in the air. Somebody who must not be given an answer that may have left before
//! they asked waits for the next one, which is asked as soon as the first has landed, once for all who wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::memory::StatusKey;

/// A question and those who wait for the answer `R`.
type Flight<R> = Arc<watch::Sender<Option<R>>>;

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
    /// Waits for the question under way, unless it left before `not_before` (`None`: unless it has left at all); then for
    /// the next. `None` where more than `limit` tokens are being asked about.
    pub(super) fn board(&self, key: StatusKey, not_before: Option<Duration>, limit: usize) -> Option<Seat<R>> {
        let mut open = self.lock();
        let waiting = open.len();
        if let Some(open) = open.get_mut(&key) {
            let is_young = |sent_at| not_before.is_some_and(|not_before| sent_at >= not_before);
            let flight = match open.sent_at {
                Some(sent_at) if !is_young(sent_at) => open.next.get_or_insert_with(flight),
                _ => &open.current,
            };
            return Some(Seat { answer: flight.subscribe(), must_start: false });
        }
        if waiting >= limit {
            return None;
        }
        let current = flight();
        let answer = current.subscribe();
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

    /// The current question leaves: from now on nobody joins it who must not. False where nobody waits for it any more,
    /// and it had better stay.
    pub(super) fn leaves(&self, key: &StatusKey, now: Duration) -> bool {
        let mut all = self.lock();
        let Some(open) = all.get_mut(key) else { return false };
        if open.current.receiver_count() == 0 {
            all.remove(key);
            return false;
        }
        open.sent_at = Some(now);
        true
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
            landed.send_replace(Some(answer));
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

fn flight<R>() -> Flight<R> {
    Arc::new(watch::Sender::new(None))
}

#[cfg(test)]
mod tests {
    use super::{super::memory::KeyMaker, *};

    const SECOND: Duration = Duration::from_secs(1);

    fn key(name: &str) -> StatusKey {
        KeyMaker::new(None, "").key(name.as_bytes())
    }

    #[test]
    fn only_a_question_that_has_not_left_answers_one_that_must_be_asked_afresh_threat_15() {
        let flights = Flights::<&str>::default();
        let (a, fresh) = (key("a"), None);
        let first = flights.board(a, fresh, 9).unwrap();
        let second = flights.board(a, fresh, 9).unwrap();
        assert!(first.must_start && !second.must_start);
        assert!(flights.leaves(&a, SECOND));
        let third = flights.board(a, fresh, 9).unwrap();
        let old_enough = flights.board(a, Some(SECOND), 9).unwrap();
        let too_late = flights.board(a, Some(SECOND * 2), 9).unwrap();
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
        assert!(flights.board(key("a"), None, 2).unwrap().must_start);
        assert!(flights.board(key("b"), None, 2).unwrap().must_start);
        assert!(flights.board(key("c"), None, 2).is_none());
        assert!(flights.board(key("a"), None, 2).is_some(), "to join costs nothing");
        flights.crashed(&key("b"));
        assert!(flights.board(key("c"), None, 2).is_some());
    }

    #[test]
    fn a_question_that_nobody_waits_for_does_not_leave() {
        let flights = Flights::<()>::default();
        drop(flights.board(key("a"), None, 9).unwrap());
        assert!(!flights.leaves(&key("a"), SECOND));
        assert!(flights.board(key("a"), None, 9).unwrap().must_start);
    }

    #[test]
    fn whoever_waits_for_a_question_that_crashed_is_told() {
        let flights = Flights::<()>::default();
        let seat = flights.board(key("a"), None, 9).unwrap();
        flights.crashed(&key("a"));
        assert!(seat.answer.has_changed().is_err());
    }
}
