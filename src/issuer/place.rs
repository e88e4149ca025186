//! A URL, or an issuer whose metadata name it → the endpoint to ask, remembered until it proves wrong.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{DiscoveryError, Endpoint, EndpointError, Environment, Published, discover};
use crate::tasks::caught;

/// Discovery is given up after this.
const TIMEOUT: Duration = Duration::from_secs(5);

/// After a failure, metadata are not asked for again sooner than this.
const COOLDOWN: Duration = Duration::from_secs(5);

/// An endpoint as configured.
#[derive(Clone, Debug)]
pub(crate) enum PlaceSource {
    Url(String),
    Discovery,
}

/// Where an endpoint is.
#[derive(Debug)]
pub(crate) enum Place {
    Url(Endpoint),
    Discovered(Discovered),
}

/// An endpoint that an issuer's metadata name.
#[derive(Debug)]
pub(crate) struct Discovered {
    issuer: Box<str>,
    wanted: Published,
    environment: Environment,
    memory: Mutex<Memory>,
    /// Whoever holds it asks. Waiting for it happens only where nothing is remembered, and ends with the one who asks.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Memory {
    endpoint: Option<Endpoint>,
    /// Why there is none, and until when that is believed.
    failure: Option<(PlaceError, Duration)>,
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
            Self::Url(url) => Endpoint::parse(url).map(Place::Url).map_err(InvalidPlace::Endpoint),
            Self::Discovery => {
                let issuer = issuer.ok_or(InvalidPlace::NoIssuer)?;
                Endpoint::parse(issuer).map_err(InvalidPlace::Endpoint)?;
                Ok(Place::Discovered(Discovered {
                    issuer: issuer.into(),
                    wanted,
                    environment: environment.clone(),
                    memory: Mutex::default(),
                    asking: tokio::sync::Mutex::default(),
                }))
            }
        }
    }
}

impl Place {
    /// The endpoint. Metadata are asked for where it is not known, by one at a time, and not soon after a failure.
    pub(crate) async fn locate(&self) -> Result<Endpoint, PlaceError> {
        match self {
            Self::Url(endpoint) => Ok(endpoint.clone()),
            Self::Discovered(discovered) => discovered.locate().await,
        }
    }

    /// What was discovered has proved wrong, and is looked up again next time.
    pub(crate) fn forget(&self) {
        if let Self::Discovered(discovered) = self {
            discovered.memory().endpoint = None;
        }
    }

    /// What tells it from other places: the URL, or the issuer.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Url(endpoint) => endpoint.as_str(),
            Self::Discovered(discovered) => &discovered.issuer,
        }
    }
}

impl Discovered {
    async fn locate(&self) -> Result<Endpoint, PlaceError> {
        if let Some(known) = self.known() {
            return known;
        }
        let _turn = self.asking.lock().await;
        if let Some(known) = self.known() {
            return known;
        }
        let Environment { transport, clock } = &self.environment;
        let answer = tokio::select! {
            answer = caught(discover(&**transport, &self.issuer, self.wanted)) => match answer {
                Some(Ok(Some(endpoint))) => Ok(endpoint),
                Some(Ok(None)) => Err(PlaceError::NotPublished(self.wanted.name())),
                Some(Err(error)) => Err(PlaceError::Discovery(Arc::new(error))),
                None => Err(PlaceError::Panicked),
            },
            () = clock.sleep(TIMEOUT) => Err(PlaceError::TimedOut),
        };
        let now = clock.now().monotonic();
        let mut memory = self.memory();
        match &answer {
            Ok(endpoint) => *memory = Memory { endpoint: Some(endpoint.clone()), failure: None },
            Err(error) => memory.failure = Some((error.clone(), now.saturating_add(COOLDOWN))),
        }
        answer
    }

    fn known(&self) -> Option<Result<Endpoint, PlaceError>> {
        let now = self.environment.clock.now().monotonic();
        let memory = self.memory();
        match (&memory.endpoint, &memory.failure) {
            (Some(endpoint), _) => Some(Ok(endpoint.clone())),
            (None, Some((error, until))) if now < *until => Some(Err(error.clone())),
            _ => None,
        }
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
        let (_, issuer, place) = world();
        for _ in 0..10 {
            assert_eq!(place.locate().await.unwrap().as_str(), issuer.introspection_url());
        }
        assert_eq!(issuer.asked().metadata, 1);
        place.forget();
        let (one, other) = tokio::join!(place.locate(), place.locate());
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(issuer.asked().metadata, 2);
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
