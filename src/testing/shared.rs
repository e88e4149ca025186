//! Records → the same, from a store that replicas in one process share, and that fails as it is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::ManualClock;
use crate::sharing::{Look, Seen, SharedRecord, SharedStore, StoreAnswer, StoreError};

/// A [`SharedStore`] in memory, on a clock that is moved by hand; clones are the same store.
///
/// ```
/// use portcullis::{sharing::SharedSecret, status::SharedAnswers, testing::{ManualClock, SharedMemory}};
///
/// let clock = ManualClock::new();
/// let store = SharedMemory::new(clock.clone());
/// let answers = SharedAnswers::through(store.clone(), SharedSecret::new([7; 32])?);
/// assert!(store.records().is_empty());
/// # Ok::<(), portcullis::sharing::WeakSecret>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedMemory {
    clock: ManualClock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What its clock shows beyond that of the process.
    ahead: Duration,
    fault: Option<StoreFault>,
    used: u64,
    records: HashMap<String, SharedRecord>,
    /// By name, whose it is and until when.
    leases: HashMap<String, (String, Duration)>,
}

/// What goes wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// It says that it cannot.
    Fails,
    /// It does not answer, and does nothing.
    Hangs,
    /// It does not answer, though it does what it is asked.
    HangsAfterwards,
    /// It panics.
    Panics,
}

impl SharedMemory {
    /// An empty store on that clock.
    #[must_use]
    pub fn new(clock: ManualClock) -> Self {
        let state = State { ahead: Duration::from_secs(1_000_000), ..State::default() };
        Self { clock, state: Arc::new(Mutex::new(state)) }
    }

    /// From now on this goes wrong, or nothing.
    pub fn fault(&self, fault: Option<StoreFault>) {
        self.state().fault = fault;
    }

    /// Sets its clock, and no other: back, or forward.
    pub fn step(&self, back: Duration, forward: Duration) {
        let mut state = self.state();
        state.ahead = state.ahead.saturating_add(forward).saturating_sub(back);
    }

    /// How often it was used, whatever came of it.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used
    }

    /// Everything that was put there, by name.
    #[must_use]
    pub fn records(&self) -> Vec<(String, SharedRecord)> {
        self.state().records.iter().map(|(name, record)| (name.clone(), record.clone())).collect()
    }

    /// Puts a record there as somebody may who can write to the store.
    pub fn overwrite(&self, name: &str, record: SharedRecord) {
        self.state().records.insert(name.to_owned(), record);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used_for<T: Send + 'static>(&self, work: impl FnOnce(&mut State, Duration) -> T) -> StoreAnswer<T> {
        let mut state = self.state();
        state.used += 1;
        let now = self.clock.now().monotonic().saturating_add(state.ahead);
        let answer = match state.fault {
            Some(StoreFault::Fails) => Err(StoreError::Failed("as told".to_owned())),
            Some(StoreFault::Hangs) => return Box::pin(std::future::pending()),
            Some(StoreFault::Panics) => return Box::pin(async { panic!("as told") }),
            None | Some(StoreFault::HangsAfterwards) => Ok(work(&mut state, now)),
        };
        if state.fault == Some(StoreFault::HangsAfterwards) {
            return Box::pin(std::future::pending());
        }
        Box::pin(async { answer })
    }
}

impl State {
    fn end_lease(&mut self, name: &str, holder: Option<&str>) {
        if self.leases.get(name).is_some_and(|(of, _)| Some(of.as_str()) == holder) {
            self.leases.remove(name);
        }
    }
}

impl SharedStore for SharedMemory {
    fn look(&self, name: &str, look: Look) -> StoreAnswer<Seen> {
        self.used_for(|state, now| {
            let record = state.records.get(name).filter(|record| look.takes(record.asked_at(), now)).cloned();
            let held_until = state.leases.get(name).map(|(_, until)| *until).filter(|until| *until > now);
            let lease = look.lease().filter(|lease| {
                // One that ends later than any could was given before the clock was set back.
                let is_held = held_until.is_some_and(|until| until <= now.saturating_add(lease.length()));
                record.is_none() && !is_held
            });
            if let Some(lease) = lease {
                let held = (lease.holder().to_owned(), now.saturating_add(lease.length()));
                state.leases.insert(name.to_owned(), held);
            }
            Seen::new(now, record, lease.is_some())
        })
    }

    fn put(&self, name: &str, record: SharedRecord, holder: Option<&str>) -> StoreAnswer<()> {
        self.used_for(|state, now| {
            state.end_lease(name, holder);
            if state.records.get(name).is_none_or(|there| there.gives_way_to(&record, now)) {
                state.records.insert(name.to_owned(), record);
            }
        })
    }

    fn forget(&self, name: &str, asked_at: Option<Duration>, holder: Option<&str>) -> StoreAnswer<()> {
        self.used_for(|state, _| {
            state.end_lease(name, holder);
            if state.records.get(name).is_some_and(|record| Some(record.asked_at()) == asked_at) {
                state.records.remove(name);
            }
        })
    }
}
