//! A URL, or an issuer whose metadata name it → the endpoint to ask, remembered until it proves wrong.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::{DiscoveryError, Endpoint, EndpointError, Environment, Published, discover, endpoint::shown};
use crate::{
    crypto::Sha256,
    tasks::{TaskSet, caught},
};

/// Discovery is given up after this.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Nobody waits for a discovery that is older, and should have been given up: its runtime may have stopped.
const PATIENCE: Duration = Duration::from_secs(6);

/// After an attempt, metadata are not asked for again sooner than this.
const COOLDOWN: Duration = Duration::from_secs(5);

/// An endpoint as configured.
#[derive(Clone)]
pub(crate) enum PlaceSource {
    Url(String),
    Discovery,
}

/// Where an endpoint is. What it does in the background ends with it.
#[derive(Debug)]
pub(crate) enum Place {
    /// Known, and its name.
    Url(Endpoint, Box<str>),
    Discovered(Discovered),
}

/// An endpoint that an issuer's metadata name.
///
/// Asking for them is a task of its own: whoever waits for it may well give up before a slow issuer has answered, and
/// the next one would begin anew.
#[derive(Debug)]
pub(crate) struct Discovered {
    shared: Arc<Shared>,
    tasks: TaskSet,
}

#[derive(Debug)]
struct Shared {
    issuer: Box<str>,
    wanted: Published,
    environment: Environment,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    endpoint: Option<Endpoint>,
    /// Until when the endpoint is believed in whatever it does.
    proven_until: Duration,
    /// Why there is none, and until when that is believed.
    failure: Option<(PlaceError, Duration)>,
    asking: Option<Asking>,
}

/// A discovery under way: when it began, and where its outcome will be.
#[derive(Debug)]
struct Asking {
    since: Duration,
    outcome: watch::Receiver<Option<Outcome>>,
}

type Outcome = Result<Endpoint, PlaceError>;

/// What is to be done for somebody who wants to know the endpoint.
enum Next {
    Take(Outcome),
    Wait(watch::Receiver<Option<Outcome>>),
    Begin(watch::Sender<Option<Outcome>>),
}

/// Why an endpoint is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("no metadata")]
    Discovery(#[source] Arc<DiscoveryError>),
    #[error("the issuer's metadata name no {0}")]
    NotPublished(&'static str),
    #[error("no metadata within {TIMEOUT:?}")]
    TimedOut,
    #[error("the transport panicked")]
    Panicked,
    #[error("the request for metadata was given up: its tokio runtime is gone")]
    Abandoned,
}

/// Why a place cannot be configured.
#[derive(Debug)]
pub(crate) enum InvalidPlace {
    Endpoint(EndpointError),
    /// Discovery, and no issuer to discover.
    NoIssuer,
}

impl PlaceSource {
    pub(crate) fn start(
        &self,
        wanted: Published,
        issuer: Option<&str>,
        environment: &Environment,
    ) -> Result<Place, InvalidPlace> {
        match self {
            Self::Url(url) => {
                let endpoint = Endpoint::parse(url).map_err(InvalidPlace::Endpoint)?;
                let name = endpoint.to_string().into();
                Ok(Place::Url(endpoint, name))
            }
            Self::Discovery => {
                let issuer = issuer.ok_or(InvalidPlace::NoIssuer)?;
                Endpoint::parse(issuer).map_err(InvalidPlace::Endpoint)?;
                let (environment, memory) = (environment.clone(), Mutex::default());
                let shared = Arc::new(Shared { issuer: issuer.into(), wanted, environment, memory });
                Ok(Place::Discovered(Discovered { shared, tasks: TaskSet::default() }))
            }
        }
    }

    /// Adds what tells it from other places, but for the issuer.
    pub(super) fn add_to(&self, digest: Sha256) -> Sha256 {
        match self {
            Self::Url(url) => digest.piece(url.as_bytes()),
            Self::Discovery => digest.piece(b""),
        }
    }
}

impl fmt::Debug for PlaceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "Url({})", shown(url)),
            Self::Discovery => f.write_str("Discovery"),
        }
    }
}

impl Place {
    /// The endpoint. Metadata are asked for where it is not known, by one at a time, and not soon after a failure.
    pub(crate) async fn locate(&self) -> Result<Endpoint, PlaceError> {
        match self {
            Self::Url(endpoint, _) => Ok(endpoint.clone()),
            Self::Discovered(discovered) => discovered.locate().await,
        }
    }

    /// What was discovered has proved wrong, and is looked up again next time, unless it was a moment ago: a server may
    /// say of every question that there is nothing.
    pub(crate) fn forget(&self) {
        if let Self::Discovered(Discovered { shared, .. }) = self {
            let now = shared.now();
            let mut memory = shared.memory();
            if now >= memory.proven_until {
                memory.endpoint = None;
            }
        }
    }

    /// What it is called in logs: the URL without its query, or the issuer.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Url(_, name) => name,
            Self::Discovered(discovered) => &discovered.shared.issuer,
        }
    }

    /// Adds what tells it from other places: the URL, or the issuer.
    pub(crate) fn add_to(&self, digest: Sha256) -> Sha256 {
        match self {
            Self::Url(endpoint, _) => digest.piece(endpoint.as_str().as_bytes()),
            Self::Discovered(discovered) => digest.piece(discovered.shared.issuer.as_bytes()),
        }
    }
}

impl Discovered {
    async fn locate(&self) -> Outcome {
        let outcome = self.try_locate().await;
        // Somebody else's runtime is gone; ours may be there.
        if matches!(outcome, Err(PlaceError::Abandoned)) { self.try_locate().await } else { outcome }
    }

    async fn try_locate(&self) -> Outcome {
        let mut outcome = match self.shared.next() {
            Next::Take(outcome) => return outcome,
            Next::Wait(outcome) => outcome,
            Next::Begin(sender) => {
                let outcome = sender.subscribe();
                // Without a runtime the sender is dropped, and nobody waits.
                let _ = self.tasks.start(Arc::clone(&self.shared).ask(sender));
                outcome
            }
        };
        tokio::select! {
            biased;
            outcome = outcome.wait_for(Option::is_some) => {
                outcome.ok().and_then(|outcome| outcome.clone()).unwrap_or(Err(PlaceError::Abandoned))
            }
            () = self.shared.environment.clock.sleep(PATIENCE) => Err(PlaceError::Abandoned),
        }
    }
}

impl Shared {
    fn next(&self) -> Next {
        let now = self.now();
        let mut memory = self.memory();
        if let Some(endpoint) = &memory.endpoint {
            return Next::Take(Ok(endpoint.clone()));
        }
        if let Some((error, _)) = memory.failure.as_ref().filter(|(_, until)| now < *until) {
            return Next::Take(Err(error.clone()));
        }
        let is_alive =
            |asking: &&Asking| now.saturating_sub(asking.since) < PATIENCE && asking.outcome.has_changed().is_ok();
        if let Some(asking) = memory.asking.as_ref().filter(is_alive) {
            return Next::Wait(asking.outcome.clone());
        }
        let (sender, outcome) = watch::channel(None);
        memory.asking = Some(Asking { since: now, outcome });
        Next::Begin(sender)
    }

    async fn ask(self: Arc<Self>, sender: watch::Sender<Option<Outcome>>) {
        let Environment { transport, clock } = &self.environment;
        let outcome = tokio::select! {
            answer = caught(discover(&**transport, &self.issuer, self.wanted)) => match answer {
                Some(Ok(Some(endpoint))) => Ok(endpoint),
                Some(Ok(None)) => Err(PlaceError::NotPublished(self.wanted.name())),
                Some(Err(error)) => Err(PlaceError::Discovery(Arc::new(error))),
                None => Err(PlaceError::Panicked),
            },
            () = clock.sleep(TIMEOUT) => Err(PlaceError::TimedOut),
        };
        let until = self.now().saturating_add(COOLDOWN);
        {
            let mut memory = self.memory();
            match &outcome {
                Ok(endpoint) => {
                    memory.endpoint = Some(endpoint.clone());
                    memory.proven_until = until;
                    memory.failure = None;
                }
                Err(error) => memory.failure = Some((error.clone(), until)),
            }
        }
        sender.send_replace(Some(outcome));
    }

    fn now(&self) -> Duration {
        self.environment.clock.now().monotonic()
    }

    /// Held for a look or a note at a time.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fault, ManualClock, Target, TestIssuer};

    fn world() -> (ManualClock, TestIssuer, Place) {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://idp.example");
        let environment = Environment { transport: issuer.transport(), clock: Arc::new(clock.clone()) };
        let place = PlaceSource::Discovery.start(Published::Introspection, Some(issuer.url()), &environment).unwrap();
        (clock, issuer, place)
    }

    #[tokio::test]
    async fn metadata_are_asked_for_once_and_again_when_they_proved_wrong() {
        let (clock, issuer, place) = world();
        for _ in 0..10 {
            assert_eq!(place.locate().await.unwrap().as_str(), issuer.introspection_url());
        }
        place.forget();
        assert!(place.locate().await.is_ok());
        assert_eq!(issuer.asked().metadata, 1, "it was looked up a moment ago");
        clock.advance(COOLDOWN);
        place.forget();
        let (one, other) = tokio::join!(place.locate(), place.locate());
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(issuer.asked().metadata, 2);
    }

    #[tokio::test]
    async fn callers_that_give_up_do_not_waste_a_slow_discovery_threat_22() {
        let (clock, issuer, place) = world();
        let held = issuer.hold_answer(Target::Metadata);
        for _ in 0..100 {
            tokio::select! {
                biased;
                _ = place.locate() => panic!("it is held"),
                () = clock.settle() => {}
            }
        }
        held.release();
        assert!(place.locate().await.is_ok());
        assert_eq!(issuer.asked().metadata, 1);
    }

    #[test]
    fn nobody_waits_for_a_discovery_whose_runtime_stands_still_or_is_gone() {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for is_gone in [false, true] {
            let (clock, issuer, place) = world();
            let held = issuer.hold(Target::Metadata);
            let (stopped, running) = (runtime(), runtime());
            stopped.block_on(async {
                tokio::select! {
                    biased;
                    _ = place.locate() => panic!("it is held"),
                    () = held.arrived() => {}
                }
            });
            held.release();
            if is_gone {
                stopped.shutdown_background();
            } else {
                clock.advance(PATIENCE);
            }
            assert!(running.block_on(place.locate()).is_ok());
            assert_eq!(issuer.asked().metadata, 2);
        }
        let (_, _, place) = world();
        let mut locate = std::pin::pin!(place.locate());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let outcome = std::future::Future::poll(locate.as_mut(), &mut context);
        assert!(matches!(outcome, std::task::Poll::Ready(Err(PlaceError::Abandoned))), "no runtime at all");
    }

    #[tokio::test]
    async fn metadata_that_hang_are_asked_for_once_in_a_while_however_impatient_the_callers_are_threat_22() {
        let (clock, issuer, place) = world();
        issuer.fault(Target::Metadata, Fault::Hang);
        for _ in 0..20 {
            tokio::select! {
                biased;
                outcome = place.locate() => assert!(outcome.is_err()),
                () = clock.settle() => {}
            }
            clock.advance(Duration::from_secs(1));
            clock.settle().await;
        }
        assert_eq!(issuer.asked().metadata, 2, "five seconds each, and five seconds of peace");
    }

    #[tokio::test]
    async fn a_failed_discovery_is_believed_for_a_while_and_a_hanging_one_ends() {
        let (clock, issuer, place) = world();
        issuer.fault(Target::Metadata, Fault::Status(500));
        for _ in 0..10 {
            assert!(matches!(place.locate().await, Err(PlaceError::Discovery(_))));
        }
        assert_eq!(issuer.asked().metadata, 2, "both places, once");
        clock.advance(COOLDOWN);
        issuer.fault(Target::Metadata, Fault::Hang);
        let (answer, ()) = tokio::join!(place.locate(), async {
            clock.settle().await;
            clock.advance(TIMEOUT);
        });
        assert!(matches!(answer, Err(PlaceError::TimedOut)));
        issuer.heal();
        clock.advance(COOLDOWN);
        assert!(place.locate().await.is_ok());
    }
}
