//! Orders to advance → a moved [`Now`], and woken sleepers.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::clock::{Clock, Now, Sleep, UnixTime};

/// How often [`ManualClock::settle`] gives way: more hops than any chain of wake-ups in this crate has.
const YIELDS: usize = 64;

/// A clock that stands still until it is told to move; clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use portcullis::{clock::Clock, testing::ManualClock};
///
/// let clock = ManualClock::new();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().monotonic(), Duration::from_secs(60));
/// assert_eq!(clock.now().wall(), ManualClock::START.saturating_add(Duration::from_secs(60)));
/// ```
#[derive(Clone, Default)]
pub struct ManualClock {
    hands: Arc<Mutex<Hands>>,
}

struct Hands {
    /// Since the epoch; kept finer than seconds, so that small steps add up.
    wall: Duration,
    monotonic: Duration,
    /// Who sleeps until when, in the order of waking; the number keeps equal deadlines apart.
    sleepers: BTreeMap<(Duration, u64), Option<Waker>>,
    next: u64,
}

impl Default for Hands {
    fn default() -> Self {
        let wall = Duration::from_secs(ManualClock::START.as_secs());
        Self { wall, monotonic: Duration::ZERO, sleepers: BTreeMap::new(), next: 0 }
    }
}

impl ManualClock {
    /// What the wall clock of a new clock says: an instant in March 2030.
    pub const START: UnixTime = UnixTime::from_secs(1_900_000_000);

    /// A clock at [`ManualClock::START`] whose monotonic reading is zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Both readings, as they stand.
    #[must_use]
    pub fn now(&self) -> Now {
        let hands = self.hands();
        Now::new(UnixTime::from_secs(hands.wall.as_secs()), hands.monotonic)
    }

    /// Moves both clocks on, and wakes every sleeper that is due, the earliest first.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands();
        hands.wall = hands.wall.saturating_add(by);
        hands.monotonic = hands.monotonic.saturating_add(by);
        let mut due = Vec::new();
        let now = hands.monotonic;
        while let Some(earliest) = hands.sleepers.first_entry()
            && earliest.key().0 <= now
        {
            due.extend(earliest.remove());
        }
        // A waker may run anything, this clock included.
        drop(hands);
        due.into_iter().for_each(Waker::wake);
    }

    /// Sets the wall clock alone, forwards or backwards, as an operator would; nobody is woken.
    pub fn step_wall_to(&self, wall: UnixTime) {
        self.hands().wall = Duration::from_secs(wall.as_secs());
    }

    /// How many sleeps are neither over nor dropped.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.hands().sleepers.len()
    }

    /// Gives way to the other tasks of a `current_thread` runtime, a bounded number of times, so that those whom
    /// [`ManualClock::advance`] woke have acted when this returns.
    ///
    /// It cannot wait for sockets or for other threads: wait there for what they are to bring about.
    pub async fn settle(&self) {
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        Self::now(self)
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let mut hands = self.hands();
        let key = (hands.monotonic.saturating_add(duration), hands.next);
        hands.next += 1;
        if !duration.is_zero() {
            hands.sleepers.insert(key, None);
        }
        Box::pin(ManualSleep { clock: self.clone(), key })
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        f.debug_struct("ManualClock")
            .field("wall", &now.wall())
            .field("monotonic", &now.monotonic())
            .field("sleepers", &self.sleepers())
            .finish()
    }
}

struct ManualSleep {
    clock: ManualClock,
    key: (Duration, u64),
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut hands = self.clock.hands();
        if hands.monotonic >= self.key.0 {
            return Poll::Ready(());
        }
        let replaced = hands.sleepers.insert(self.key, Some(context.waker().clone()));
        // A waker may hold the last reference to its task, and the task another sleep: drop it after the lock.
        drop(hands);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        let forgotten = self.clock.hands().sleepers.remove(&self.key);
        drop(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::TaskGuard;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_deadlines() {
        let clock = ManualClock::new();
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut guards = Vec::new();
        for seconds in [3, 1, 2, 9] {
            let (sleep, woken) = (clock.sleep(SECOND * seconds), Arc::clone(&woken));
            guards.push(TaskGuard::spawn(async move {
                sleep.await;
                woken.lock().unwrap().push(seconds);
            }));
        }
        clock.settle().await;
        assert_eq!(clock.sleepers(), 4);
        clock.advance(SECOND / 2);
        clock.settle().await;
        assert!(woken.lock().unwrap().is_empty());
        clock.advance(SECOND * 5);
        clock.settle().await;
        assert_eq!(*woken.lock().unwrap(), [1, 2, 3]);
        assert_eq!(clock.sleepers(), 1);
    }

    #[tokio::test]
    async fn a_dropped_sleep_is_forgotten_and_one_of_no_length_is_over() {
        let clock = ManualClock::new();
        clock.sleep(Duration::ZERO).await;
        let mut sleep = clock.sleep(SECOND);
        assert!(std::future::poll_fn(|context| Poll::Ready(sleep.as_mut().poll(context).is_pending())).await);
        assert_eq!(clock.sleepers(), 1);
        drop(sleep);
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn stepping_the_wall_clock_leaves_the_monotonic_one_alone() {
        let clock = ManualClock::new();
        let _sleep = clock.sleep(SECOND);
        clock.advance(SECOND / 2);
        clock.step_wall_to(UnixTime::from_secs(5));
        assert_eq!(clock.clone().now(), Now::new(UnixTime::from_secs(5), SECOND / 2));
        assert_eq!(clock.sleepers(), 1);
        clock.advance(SECOND);
        assert_eq!(clock.now(), Now::new(UnixTime::from_secs(6), SECOND * 3 / 2));
        assert_eq!(clock.sleepers(), 0);
    }
}
