//! A way to ask for a token of our own → a Bearer at hand whenever it is needed, asked for as rarely as can be.
//!
//! A request is a task of its own, so that it is single flight and no caller's end wastes the token that it brings. The
//! task then waits to renew what it brought.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use tokio::sync::watch;

use super::token_request::{ClientError, GrantedBearer, SharedError};
use crate::{
    clock::SharedClock,
    observe,
    tasks::{TaskSet, caught, jittered},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What [`Ask::ask`] returns.
pub(crate) type Asking<'a> = Pin<Box<dyn Future<Output = Result<GrantedBearer, ClientError>> + Send + 'a>>;

/// How a token of our own is asked for, and what its server can bear.
pub(crate) trait Ask: Send + Sync + 'static {
    /// Where tokens come from, for whoever reads of it.
    fn name(&self) -> &str;

    /// Asks once. Not called again before that is over or was given up.
    fn ask(&self) -> Asking<'_>;

    /// An endpoint refused this token, which is dropped.
    fn refused(&self, _: &HeaderValue) {}

    /// A request is given up after this.
    fn timeout(&self) -> Duration {
        5 * SECOND
    }

    /// For how long the server wants to be left alone.
    fn retry_after(&self, error: &ClientError) -> Option<Duration> {
        error.retry_after()
    }

    /// How far the pauses grow while this goes on.
    fn longest_pause(&self, error: &ClientError) -> Duration {
        if error.may_have_cost_a_token() { 10 * MINUTE } else { MINUTE }
    }
}

/// A token of our own. Its tasks end with it.
pub(crate) struct OwnToken {
    shared: Arc<Shared>,
    tasks: TaskSet,
}

/// The token as a header, with the number of the request that brought it.
#[derive(Clone)]
pub(crate) struct OwnBearer {
    header: HeaderValue,
    number: u64,
}

struct Shared {
    request: Box<dyn Ask>,
    clock: SharedClock,
    state: Mutex<State>,
    /// The number of the last request that has ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// How many requests have begun.
    begun: u64,
    in_flight: Option<InFlight>,
    /// Requests that failed since the last one that did not.
    failures: u32,
    trouble: Option<Trouble>,
    /// Whether anybody wanted the token since it was fetched.
    is_used: bool,
    /// Tokens that were refused with less than an hour between, and until when no other is dropped for that.
    refusals: u32,
    refusable_from: Duration,
}

/// The request that is under way.
#[derive(Clone, Copy)]
struct InFlight {
    number: u64,
    since: Duration,
}

struct Held {
    bearer: OwnBearer,
    renew_at: Duration,
    expires_at: Duration,
}

/// Why the request of that number failed, and until when nobody asks again.
struct Trouble {
    number: u64,
    error: SharedError,
    until: Duration,
}

/// What is to be done for somebody who wants the token.
enum Next {
    Take(OwnBearer),
    /// The same, and it is time that somebody renews it.
    TakeAndRenew(OwnBearer, Flight),
    Begin(Flight),
    Wait(u64),
    Fail(SharedError),
}

impl OwnBearer {
    #[cfg(feature = "outbound")]
    pub(crate) const fn new(header: HeaderValue, number: u64) -> Self {
        Self { header, number }
    }

    pub(crate) const fn header(&self) -> &HeaderValue {
        &self.header
    }

    #[cfg(feature = "outbound")]
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }
}

impl OwnToken {
    pub(crate) fn new(request: impl Ask, clock: SharedClock) -> Self {
        let (request, state, ended) = (Box::new(request), Mutex::default(), watch::Sender::new(0));
        Self { shared: Arc::new(Shared { request, clock, state, ended }), tasks: TaskSet::default() }
    }

    /// The token; fetched where there is none. Fails at once where fetching failed a moment ago.
    pub(crate) async fn get(&self) -> Result<OwnBearer, SharedError> {
        let shared = &self.shared;
        let mut ended = shared.ended.subscribe();
        let mut may_try_again = true;
        loop {
            let number = match shared.next() {
                Next::Take(bearer) => return Ok(bearer),
                Next::TakeAndRenew(bearer, flight) => {
                    self.take_off(flight);
                    return Ok(bearer);
                }
                Next::Fail(error) => return Err(error),
                Next::Begin(flight) => {
                    let number = flight.number;
                    self.take_off(flight);
                    number
                }
                Next::Wait(number) => number,
            };
            tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended >= number) => {}
                () = shared.clock.sleep(shared.patience()) => shared.end(number, Duration::ZERO, Err(ClientError::Abandoned)),
            }
            match shared.trouble_of(number) {
                // Somebody else's runtime is gone; ours may be there.
                Some(error) if matches!(*error, ClientError::Abandoned) && may_try_again => may_try_again = false,
                Some(error) => return Err(error),
                None => {}
            }
        }
    }

    /// An endpoint refused the token: it is dropped if it is still the current one, and not too soon after another.
    /// Whether there is, or will be, a newer one.
    pub(crate) fn refused(&self, bearer: &OwnBearer) -> bool {
        let now = self.shared.clock.now().monotonic();
        let mut state = self.shared.state();
        if state.held.as_ref().is_none_or(|held| held.bearer.number != bearer.number) {
            return true;
        }
        if now < state.refusable_from {
            return false;
        }
        // An hour without a refusal that could have been heard: the server is not one that refuses them all.
        if now.saturating_sub(state.refusable_from) >= HOUR {
            state.refusals = 0;
        }
        state.held = None;
        state.refusable_from = now.saturating_add(doubled(MINUTE, state.refusals, HOUR));
        state.refusals = state.refusals.saturating_add(1);
        drop(state);
        self.shared.request.refused(&bearer.header);
        true
    }

    /// Without a runtime the flight is dropped, and has thereby ended.
    fn take_off(&self, flight: Flight) {
        let _ = self.tasks.start(keep(flight));
    }
}

/// A request under way. However its task ends, nobody waits for it any longer.
struct Flight {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.shared.end(self.number, Duration::ZERO, Err(ClientError::Abandoned));
    }
}

/// Asks for a token, and again before it is over, for as long as it is used and no other request has brought one.
async fn keep(flight: Flight) {
    let shared = Arc::clone(&flight.shared);
    let mut next = Some(flight);
    while let Some(flight) = next {
        // A token's life is counted from before it began, so that it never seems longer.
        let started = shared.clock.now().monotonic();
        let timeout = shared.request.timeout();
        let outcome = tokio::select! {
            biased;
            outcome = caught(async { shared.request.ask().await }) => outcome.unwrap_or(Err(ClientError::Panicked)),
            () = shared.clock.sleep(timeout) => Err(ClientError::TimedOut(timeout)),
        };
        let number = flight.number;
        shared.end(number, started, outcome);
        drop(flight);
        next = shared.renewal(number).await;
    }
}

impl Shared {
    /// Held for a few comparisons at a time.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody waits longer than this for a request that should have been given up: its runtime may have stopped.
    fn patience(&self) -> Duration {
        self.request.timeout().saturating_add(SECOND)
    }

    fn begin(self: &Arc<Self>, state: &mut State, now: Duration) -> Flight {
        state.begun += 1;
        state.in_flight = Some(InFlight { number: state.begun, since: now });
        Flight { shared: Arc::clone(self), number: state.begun }
    }

    fn next(self: &Arc<Self>) -> Next {
        let (now, patience) = (self.clock.now().monotonic(), self.patience());
        let mut state = self.state();
        state.is_used = true;
        let trouble =
            state.trouble.as_ref().filter(|trouble| now < trouble.until).map(|trouble| Arc::clone(&trouble.error));
        let held = state.held.as_ref().filter(|held| now < held.expires_at);
        let held = held.map(|held| (held.bearer.clone(), now >= held.renew_at));
        // One that should have been given up is not waited for: those who do may all be less patient than it is late.
        let in_flight = state.in_flight.filter(|flight| now.saturating_sub(flight.since) < patience);
        match (held, in_flight, trouble) {
            // The task that should have renewed it may be gone with its runtime.
            (Some((bearer, true)), None, None) => Next::TakeAndRenew(bearer, self.begin(&mut state, now)),
            (Some((bearer, _)), _, _) => Next::Take(bearer),
            (None, Some(flight), _) => Next::Wait(flight.number),
            (None, None, Some(error)) => Next::Fail(error),
            (None, None, None) => Next::Begin(self.begin(&mut state, now)),
        }
    }

    /// Why that request or a later one failed, if it did and there is no token nevertheless.
    fn trouble_of(&self, number: u64) -> Option<SharedError> {
        let now = self.clock.now().monotonic();
        let state = self.state();
        let is_there = state.held.as_ref().is_some_and(|held| now < held.expires_at);
        let trouble = state.trouble.as_ref().filter(|trouble| trouble.number >= number && !is_there);
        trouble.map(|trouble| Arc::clone(&trouble.error))
    }

    /// Notes what a request came to, unless that is known, and wakes those who wait for it.
    fn end(&self, number: u64, started: Duration, outcome: Result<GrantedBearer, ClientError>) {
        match outcome {
            Ok(granted) => {
                let now = self.clock.now().monotonic();
                if started.saturating_add(granted.lifetime) > now {
                    self.succeeded(number, started, granted);
                } else {
                    self.failed(number, now, ClientError::Expired(granted.lifetime));
                }
            }
            // Reads no clock: it may be one that panicked.
            Err(ClientError::Abandoned) => self.failed(number, Duration::ZERO, ClientError::Abandoned),
            Err(error) => self.failed(number, self.clock.now().monotonic(), error),
        }
        self.ended.send_if_modified(|ended| {
            let is_later = number > *ended;
            *ended = number.max(*ended);
            is_later
        });
    }

    /// Takes the token, also where nobody waited for it any longer.
    fn succeeded(&self, number: u64, started: Duration, granted: GrantedBearer) {
        let GrantedBearer { header, lifetime, is_last, is_shared } = granted;
        if !is_shared {
            observe::token_fetched(self.request.name());
        }
        // Whatever the server says, it is asked again after a day.
        let lifetime = lifetime.min(DAY);
        let expires_at = started.saturating_add(lifetime);
        let renew_at = started.saturating_add(jittered(lifetime.saturating_sub(lead(lifetime))));
        let renew_at = if is_last { expires_at } else { renew_at };
        let mut state = self.state();
        state.in_flight = state.in_flight.filter(|current| current.number != number);
        if state.held.as_ref().is_none_or(|held| held.bearer.number < number) {
            let bearer = OwnBearer { header, number };
            state.held = Some(Held { bearer, renew_at, expires_at });
            state.failures = 0;
            state.trouble = None;
            state.is_used = false;
        }
    }

    fn failed(&self, number: u64, now: Duration, error: ClientError) {
        // The code of others is not run under the lock, and not while a task that panicked is being dropped.
        let is_counted = !matches!(error, ClientError::Abandoned);
        let (asked_to, longest) = if is_counted {
            (self.request.retry_after(&error).unwrap_or_default(), self.request.longest_pause(&error))
        } else {
            (Duration::ZERO, Duration::ZERO)
        };
        let mut state = self.state();
        if state.in_flight.is_none_or(|current| current.number != number) {
            return;
        }
        state.in_flight = None;
        let cooldown = if is_counted { asked_to.max(doubled(SECOND, state.failures, longest)) } else { Duration::ZERO };
        state.failures = state.failures.saturating_add(u32::from(is_counted));
        let error = Arc::new(error);
        state.trouble = Some(Trouble { number, error: Arc::clone(&error), until: now.saturating_add(cooldown) });
        if state.held.as_ref().is_some_and(|held| held.expires_at <= now) {
            state.held = None;
        }
        drop(state);
        observe::token_unavailable(self.request.name(), &observe::chain(&*error));
    }

    /// Waits until the token is due to be renewed. `None` where that is nobody's wish or somebody else's task.
    async fn renewal(self: &Arc<Self>, number: u64) -> Option<Flight> {
        let mut ended = self.ended.subscribe();
        loop {
            let now = self.clock.now().monotonic();
            let due = {
                let mut state = self.state();
                let held = state.held.as_ref().filter(|held| now < held.expires_at)?;
                let due = held.renew_at.max(state.trouble.as_ref().map_or(Duration::ZERO, |trouble| trouble.until));
                if state.in_flight.is_some() || state.begun != number {
                    return None;
                }
                if now >= due {
                    return if state.is_used { Some(self.begin(&mut state, now)) } else { None };
                }
                due
            };
            tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended > number) => return None,
                () = self.clock.sleep(due.saturating_sub(now)) => {}
            }
        }
    }
}

/// How long before its end a token is renewed.
pub(super) fn lead(lifetime: Duration) -> Duration {
    (lifetime / 10).clamp(5 * SECOND, MINUTE).min(lifetime / 2)
}

/// `first`, doubled `times` times, up to `longest`.
fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times.min(16)).unwrap_or(u32::MAX)).min(longest)
}

impl fmt::Debug for OwnToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnToken").field("from", &self.shared.request.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
