//! A request → the issuer's answer, or the trouble that was ordered in its place.

use std::{fmt, future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tokio::sync::watch;

use super::state::{Core, State};

/// Which of an issuer's endpoints is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// The metadata, at both well-known places.
    Metadata,
    /// The key set.
    Jwks,
    /// The token endpoint.
    Token,
    /// The introspection endpoint.
    Introspection,
    /// The revocation endpoint.
    Revocation,
    /// All of them.
    All,
}

/// What an endpoint does instead of its work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// This status and an empty body.
    Status(u16),
    /// This status and a `Retry-After` of so many seconds.
    RetryAfter(u16, u64),
    /// No answer, ever.
    Hang,
    /// The right answer, but so much later by the issuer's clock.
    Slow(Duration),
    /// 200, and text that only claims to be JSON.
    Garbage,
    /// 200, and a body of so many bytes.
    Huge(usize),
    /// The connection is closed without an answer.
    Reset,
    /// 302 to another place.
    Redirect(String),
    /// Anything at all.
    Body {
        /// Its status.
        status: u16,
        /// Its `Content-Type`.
        content_type: String,
        /// Its body.
        body: Bytes,
    },
}

/// The connection was closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection reset")]
pub(super) struct Reset;

/// Counts a request, holds it where that was ordered, and answers it, well or badly.
pub(super) async fn exchange(core: &Core, request: Request<Bytes>) -> Result<Response<Bytes>, Reset> {
    let Some(target) = core.target(request.uri().path()) else {
        return Ok(core.answer(&request));
    };
    let hold = {
        let mut state = core.state();
        state.asked.count(target);
        state.holds.iter().rev().find(|hold| hold.target.covers(target)).cloned()
    };
    match hold {
        Some(hold) if hold.answered => {
            let answer = faulty(core, target, &request).await;
            hold.wait().await;
            answer
        }
        Some(hold) => {
            hold.wait().await;
            faulty(core, target, &request).await
        }
        None => faulty(core, target, &request).await,
    }
}

async fn faulty(core: &Core, target: Target, request: &Request<Bytes>) -> Result<Response<Bytes>, Reset> {
    let fault = core.state().fault_of(target);
    let Some(fault) = fault else {
        return Ok(core.answer(request));
    };
    Ok(match fault {
        Fault::Status(status) => plain(status, &[], Bytes::new()),
        Fault::RetryAfter(status, seconds) => {
            plain(status, &[(header::RETRY_AFTER, &seconds.to_string())], Bytes::new())
        }
        Fault::Hang => future::pending().await,
        Fault::Slow(duration) => {
            core.clock().sleep(duration).await;
            core.answer(request)
        }
        Fault::Garbage => plain(200, &[JSON], Bytes::from_static(b"{\"keys\":[{]\xff")),
        Fault::Huge(length) => plain(200, &[JSON], Bytes::from(vec![0; length])),
        Fault::Reset => return Err(Reset),
        Fault::Redirect(location) => plain(302, &[(header::LOCATION, &location)], Bytes::new()),
        Fault::Body { status, content_type, body } => plain(status, &[(header::CONTENT_TYPE, &content_type)], body),
    })
}

const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

#[expect(clippy::expect_used, reason = "a slip in a test shows at once")]
fn plain(status: u16, headers: &[(header::HeaderName, &str)], body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a fault's status is one of HTTP");
    let value = |text: &str| text.parse::<HeaderValue>().expect("a fault's header can be sent");
    *response.headers_mut() = headers.iter().map(|(name, text)| (name.clone(), value(text))).collect::<HeaderMap>();
    response
}

impl Target {
    fn covers(self, other: Self) -> bool {
        self == other || self == Self::All
    }
}

impl State {
    fn fault_of(&self, target: Target) -> Option<Fault> {
        self.faults.get(&target).or_else(|| self.faults.get(&Target::All)).cloned()
    }
}

/// An order to stop requests at one place.
pub(super) struct Hold {
    target: Target,
    /// Whether they are stopped after the answer was made, or before.
    answered: bool,
    waiting: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

impl Hold {
    async fn wait(&self) {
        let _leaves = Waiting::enter(&self.waiting);
        // An error would mean that the sender, which is ours, is gone.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }
}

/// One request that waits, until this is dropped: also when its client gives up.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|count| *count += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Requests that wait until this is released or dropped; made by [`super::TestIssuer::hold`].
///
/// Where several cover the same target, the latest stops the request.
#[must_use = "dropping it releases the requests"]
pub struct Held {
    core: Arc<Core>,
    hold: Arc<Hold>,
}

impl Held {
    pub(super) fn new(core: &Arc<Core>, target: Target, answered: bool) -> Self {
        let (waiting, released) = (watch::Sender::new(0), watch::Sender::new(false));
        let hold = Arc::new(Hold { target, answered, waiting, released });
        core.state().holds.push(Arc::clone(&hold));
        Self { core: Arc::clone(core), hold }
    }

    /// Ready when at least one request waits here.
    pub async fn arrived(&self) {
        // An error would mean that the sender, which is ours, is gone.
        let _ = self.hold.waiting.subscribe().wait_for(|count| *count > 0).await;
    }

    /// How many requests wait here.
    #[must_use]
    pub fn waiting(&self) -> usize {
        *self.hold.waiting.borrow()
    }

    /// Lets them go on, and those that come later pass.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.core.state().holds.retain(|hold| !Arc::ptr_eq(hold, &self.hold));
        self.hold.released.send_replace(true);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("target", &self.hold.target).field("waiting", &self.waiting()).finish()
    }
}
