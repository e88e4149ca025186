//! Commands → their answers, over one connection that many share, or one of one's own.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, FromRedisValue, Pipeline, RedisConnectionInfo, RedisResult,
    ScriptInvocation, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use super::{RedisError, link::Link, locate::Place, tls::Certificates};
use crate::{
    clock::{Clock as _, SystemClock},
    tasks::uncut,
};

/// Where Redis is and how it is spoken to. Clones share one connection, which is made when it is first needed and made
/// again when it is of no use any more.
#[derive(Clone)]
pub struct Redis {
    settings: Arc<Settings>,
    shared: Arc<Shared>,
}

/// What was configured, checked.
pub(super) struct Settings {
    pub(super) place: Place,
    pub(super) addresses: Vec<ConnectionInfo>,
    /// As whom to speak to the server that holds the keys.
    pub(super) node: RedisConnectionInfo,
    pub(super) prefix: Box<str>,
    pub(super) timeout: Duration,
    pub(super) allows_plaintext: bool,
    pub(super) certificates: Certificates,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.settings.addresses.iter().map(|address| address.addr().to_string()).collect();
        f.debug_struct("Redis")
            .field("servers", &servers)
            .field("prefix", &self.settings.prefix)
            .finish_non_exhaustive()
    }
}

/// After a connection could not be made, nobody tries again for this long.
const COOLDOWN: Duration = Duration::from_millis(100);

/// The connection of all clones.
#[derive(Default)]
struct Shared {
    clock: SystemClock,
    state: Mutex<State>,
    /// Held by whoever makes a connection.
    making: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    /// And its number, by which it is known when it fails.
    connection: Option<(MultiplexedConnection, u64)>,
    made: u64,
    failed: Option<(Duration, RedisError)>,
}

/// What can be asked: a command, several at once, or a script.
pub(crate) trait Question: Sync {
    /// Asks it over that connection.
    fn ask(&self, connection: &mut (impl ConnectionLike + Send)) -> impl Future<Output = RedisResult<Value>> + Send;
}

impl Question for Cmd {
    async fn ask(&self, connection: &mut (impl ConnectionLike + Send)) -> RedisResult<Value> {
        self.query_async(connection).await
    }
}

impl Question for Pipeline {
    async fn ask(&self, connection: &mut (impl ConnectionLike + Send)) -> RedisResult<Value> {
        self.query_async(connection).await
    }
}

impl Question for ScriptInvocation<'_> {
    async fn ask(&self, connection: &mut (impl ConnectionLike + Send)) -> RedisResult<Value> {
        self.invoke_async(connection).await
    }
}

impl Redis {
    pub(super) fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        Self { settings, shared: Arc::default() }
    }

    /// The same Redis, over a connection that is not shared with those who have this one: for what keeps one busy.
    pub(crate) fn apart(&self) -> Self {
        Self { settings: Arc::clone(&self.settings), shared: Arc::default() }
    }

    /// The name of a key; all of ours are in one slot.
    pub(crate) fn key(&self, name: &str) -> String {
        self.settings.key(name)
    }

    /// How long an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Asks over the shared connection, once: whether something was done when that failed, is not known. Ready after
    /// [`timeout`](Self::timeout) at the latest.
    pub(crate) async fn run<T: FromRedisValue>(&self, question: &impl Question) -> Result<T, RedisError> {
        self.run_within(question, self.settings.timeout).await
    }

    /// The same with another time for it, where that is longer.
    pub(crate) async fn run_within<T: FromRedisValue>(
        &self,
        question: &impl Question,
        timeout: Duration,
    ) -> Result<T, RedisError> {
        let mut number = None;
        let answer = async {
            let (mut connection, of) = self.shared_connection().await?;
            number = Some(of);
            connection.set_response_timeout(timeout);
            answer(question, &mut connection, timeout).await
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = self.shared.clock.sleep(timeout) => Err(RedisError::Timeout(timeout)),
        };
        if let (Err(error), Some(number)) = (&answer, number)
            && error.is_of_connection()
        {
            self.shared.is_useless(number);
        }
        answer
    }

    /// A connection of one's own, on which every answer may take this long.
    pub(crate) async fn dedicated(&self, response_timeout: Duration) -> Result<Link, RedisError> {
        let connection = self.settings.connect(&self.shared.clock, response_timeout).await?;
        Ok(Link::new(connection, response_timeout))
    }

    async fn shared_connection(&self) -> Result<(MultiplexedConnection, u64), RedisError> {
        if let Some(known) = self.shared.known() {
            return known;
        }
        let turn = Arc::clone(&self.shared.making).lock_owned().await;
        if let Some(known) = self.shared.known() {
            return known;
        }
        let Self { settings, shared } = self.clone();
        let timeout = settings.timeout;
        // It is made also where whoever asked for it has no time to wait: others have.
        let made = uncut(async move {
            let made = settings.connect(&shared.clock, timeout).await;
            let made = shared.made(made);
            drop(turn);
            made
        });
        made.await.unwrap_or_else(|| Err(RedisError::Unreachable("no tokio runtime here".to_owned())))
    }
}

impl Shared {
    /// Held for an assignment at a time.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that there is, or why there is none, where that was tried just now.
    fn known(&self) -> Option<Result<(MultiplexedConnection, u64), RedisError>> {
        let now = self.clock.now().monotonic();
        let state = self.state();
        let failed = state.failed.as_ref().filter(|(at, _)| now < at.saturating_add(COOLDOWN));
        let connection = state.connection.clone().map(Ok);
        connection.or_else(|| failed.map(|(_, error)| Err(error.clone())))
    }

    fn made(
        &self,
        made: Result<MultiplexedConnection, RedisError>,
    ) -> Result<(MultiplexedConnection, u64), RedisError> {
        let now = self.clock.now().monotonic();
        let mut state = self.state();
        match made {
            Ok(connection) => {
                state.made = state.made.wrapping_add(1);
                let connection = (connection, state.made);
                state.connection = Some(connection.clone());
                state.failed = None;
                Ok(connection)
            }
            Err(error) => {
                state.failed = Some((now, error.clone()));
                Err(error)
            }
        }
    }

    /// That connection failed somebody: the next one gets another, unless it was replaced already.
    fn is_useless(&self, number: u64) {
        let mut state = self.state();
        if state.connection.as_ref().is_some_and(|(_, current)| *current == number) {
            state.connection = None;
        }
    }
}

impl Settings {
    pub(super) fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.prefix)
    }

    /// A connection to the master of our keys.
    async fn connect(
        &self,
        clock: &SystemClock,
        response_timeout: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        let connecting = async { self.open(self.locate().await?, response_timeout).await };
        tokio::select! {
            connection = connecting => connection,
            () = clock.sleep(self.timeout) => Err(RedisError::Timeout(self.timeout)),
        }
    }

    /// A connection to that server, whoever it is.
    pub(super) async fn open(
        &self,
        server: ConnectionInfo,
        response_timeout: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        let name = server.addr().to_string();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(response_timeout));
        let client = if self.certificates.is_empty() {
            Client::open(server)
        } else {
            Client::build_with_tls(server, self.certificates.told())
        };
        let opening = async { client?.get_multiplexed_async_connection_with_config(&config).await };
        opening.await.map_err(|error| match RedisError::new(&error, self.timeout) {
            RedisError::Unreachable(reason) => RedisError::Unreachable(format!("{name}: {reason}")),
            other => other,
        })
    }
}

pub(super) async fn answer<T: FromRedisValue>(
    question: &impl Question,
    connection: &mut (impl ConnectionLike + Send),
    timeout: Duration,
) -> Result<T, RedisError> {
    let answer = question.ask(connection).await.map_err(|error| RedisError::new(&error, timeout))?;
    T::from_redis_value(answer).map_err(|_| RedisError::Malformed)
}

#[cfg(test)]
mod tests;
