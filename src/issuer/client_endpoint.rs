//! A form, and who we are → one bounded answer of an endpoint that wants to know both.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{
    Authenticator, EndpointError, Environment, Form, Place, Shown, TransportError, place::PlaceError,
    token_request::SharedError,
};
use crate::{clock::UnixTime, crypto::Sha256};

/// A larger answer is refused: more than any token that fits into a header.
pub(crate) const MAX_ANSWER: usize = 64 * 1024;

/// After so many requests in a row without a usable answer, a discovered endpoint is looked up again.
const PATIENCE: u32 = 3;

/// An endpoint whose clients say who they are. What it does in the background ends with it.
pub(crate) struct ClientEndpoint {
    place: Place,
    authenticator: Arc<Authenticator>,
    environment: Environment,
    /// Requests in a row that the server did not answer.
    unanswered: AtomicU32,
}

/// An answer of whatever status, and when it was asked for.
pub(crate) struct Answered {
    pub(crate) answer: Response<Bytes>,
    pub(crate) asked: UnixTime,
    shown: Shown,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    Place(PlaceError),
    Uri(EndpointError),
    Credentials(SharedError),
    Transport(TransportError),
}

impl ClientEndpoint {
    pub(crate) const fn new(place: Place, authenticator: Arc<Authenticator>, environment: Environment) -> Self {
        Self { place, authenticator, environment, unanswered: AtomicU32::new(0) }
    }

    /// Sends the form; once more where the answer is 401 and there is another Bearer to show. Bounds no time.
    pub(crate) async fn ask(&self, form: &Form, accept: &'static str) -> Result<Answered, NoAnswer> {
        let answered = self.exchange(form.clone(), accept).await?;
        if answered.answer.status() == StatusCode::UNAUTHORIZED && self.authenticator.refused(&answered.shown) {
            // With a new Bearer, and not a third time.
            return self.exchange(form.clone(), accept).await;
        }
        Ok(answered)
    }

    async fn exchange(&self, mut form: Form, accept: &'static str) -> Result<Answered, NoAnswer> {
        if self.unanswered.load(Ordering::Relaxed) >= PATIENCE {
            self.unanswered.store(0, Ordering::Relaxed);
            self.place.forget();
        }
        let endpoint = self.place.locate().await.map_err(NoAnswer::Place)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        let shown = self.authenticator.authenticate(&mut headers, &mut form, &endpoint).await;
        let shown = shown.map_err(NoAnswer::Credentials)?;
        let request = form.post(&endpoint, headers).map_err(NoAnswer::Uri)?;

        let asked = self.environment.clock.now().wall();
        let waiting = Unanswered(&self.unanswered);
        let answer = match self.environment.transport.send(request, MAX_ANSWER).await {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, TransportError::TooLarge(_)) {
                    waiting.answered();
                }
                return Err(NoAnswer::Transport(error));
            }
        };
        if is_gone(answer.status()) {
            self.place.forget();
        }
        if !answer.status().is_server_error() {
            waiting.answered();
        }
        Ok(Answered { answer, asked, shown })
    }

    /// What it is called in logs.
    pub(crate) fn name(&self) -> &str {
        self.place.name()
    }

    /// Adds what tells it from others: where it is, and as whom we ask.
    pub(crate) fn add_to(&self, digest: Sha256) -> Sha256 {
        self.place.add_to(digest).piece(self.authenticator.fingerprint().as_bytes())
    }
}

/// Whether an endpoint is not where we thought.
pub(crate) fn is_gone(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE)
}

/// A request under way. Counts as unanswered when it is dropped, as it is when its time is over.
struct Unanswered<'a>(&'a AtomicU32);

impl Unanswered<'_> {
    fn answered(self) {
        self.0.store(0, Ordering::Relaxed);
        std::mem::forget(self);
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for ClientEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} as {:?}", self.name(), self.authenticator)
    }
}
