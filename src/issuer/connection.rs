//! What a client of an authorization server is built with → requests whose time is bounded.

use std::{future::Future, sync::Arc, time::Duration};

#[cfg(feature = "grantex")]
use {
    super::Arriving,
    bytes::Bytes,
    http::{Request, Response},
};

use super::{Environment, HttpTransport, Transport, TransportError};
use crate::clock::{Clock, SystemClock};

/// How authorization servers are reached, and by which clock. Cloning shares it: one for all clients of a process.
///
/// ```
/// use std::time::Duration;
/// use portcullis::issuer::Connection;
///
/// let connection = Connection::new()?.timeout(Duration::from_secs(2));
/// # Ok::<(), portcullis::issuer::TransportError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connection {
    environment: Environment,
    timeout: Duration,
}

impl Connection {
    /// HTTP by a client of our own, which follows no redirects and gives up connecting after three seconds.
    ///
    /// # Errors
    /// Where there is no HTTP client to be had: the system's certificates cannot be read.
    pub fn new() -> Result<Self, TransportError> {
        Ok(Self::over(HttpTransport::new()?))
    }

    /// By this transport: [`HttpTransport::from`] a `reqwest::Client` of your own, with its private CA and proxy, or a fake.
    pub fn over(transport: impl Transport) -> Self {
        let environment = Environment { transport: Arc::new(transport), clock: Arc::new(SystemClock::new()) };
        Self { environment, timeout: Duration::from_secs(5) }
    }

    /// By which clock time is told and waited for. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.environment.clock = Arc::new(clock);
        self
    }

    /// After which a request is given up. Default: 5 seconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What [`timeout`](Self::timeout) was set to.
    pub(crate) const fn limit(&self) -> Duration {
        self.timeout
    }

    pub(crate) const fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What `asking` comes to, or after how long it was given up.
    pub(crate) async fn within<T>(&self, asking: impl Future<Output = T>) -> Result<T, Duration> {
        tokio::select! {
            biased;
            outcome = asking => Ok(outcome),
            () = self.environment.clock.sleep(self.timeout) => Err(self.timeout),
        }
    }

    /// Sends `request` and reads at most `max_body` bytes of its answer, within [`timeout`](Self::timeout).
    #[cfg(feature = "grantex")]
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        max_body: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let sent = self.within(self.environment.transport.send(request, max_body)).await;
        sent.unwrap_or_else(|timeout| Err(TransportError::TimedOut(timeout)))
    }

    /// Sends `request`, and hands on its answer as soon as its head is there, within [`timeout`](Self::timeout). How much
    /// of the body is read, and for how long, its reader decides.
    #[cfg(feature = "grantex")]
    pub(crate) async fn open(&self, request: Request<Bytes>) -> Result<Response<Arriving>, TransportError> {
        let Environment { transport, clock } = &self.environment;
        tokio::select! {
            biased;
            answer = transport.open(request) => answer,
            () = clock.sleep(self.timeout) => Err(TransportError::TimedOut(self.timeout)),
        }
    }

    /// For requests that are answered later than others on purpose.
    #[cfg(feature = "grantex")]
    pub(crate) fn longer_by(&self, wait: Duration) -> Self {
        Self { environment: self.environment.clone(), timeout: self.timeout.saturating_add(wait) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::testing::ManualClock;

    #[tokio::test]
    async fn a_head_that_does_not_come_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/stream", listener.local_addr().unwrap());
        let clock = ManualClock::new();
        let second = Duration::from_secs(1);
        let connection = Connection::new().unwrap().clock(clock.clone()).timeout(second).longer_by(second);
        let accepted = async {
            let (server, _) = listener.accept().await.unwrap();
            clock.advance(2 * second);
            server
        };
        let request = Request::get(url).body(Bytes::new()).unwrap();
        let (answer, _server) = tokio::join!(connection.open(request), accepted);
        assert!(matches!(answer.err(), Some(TransportError::TimedOut(time)) if time == 2 * second));
    }
}
