//! A connection of one's own, from whoever makes them → the answers that come over it.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use ::redis::{Cmd, FromRedisValue, Pipeline, RedisFuture, Value, aio::ConnectionLike};

use super::{
    Redis, RedisError,
    connection::{Question, answer},
};

/// Who makes connections of one's own: [`Redis`], or in its place a model of one.
pub(super) trait Dial: Send + Sync {
    /// One on which every answer may take this long.
    fn dial(&self, response_timeout: Duration) -> Dialing<'_>;
}

/// What [`Dial::dial`] returns.
pub(super) type Dialing<'a> = Pin<Box<dyn Future<Output = Result<Link, RedisError>> + Send + 'a>>;

impl Dial for Redis {
    fn dial(&self, response_timeout: Duration) -> Dialing<'_> {
        Box::pin(self.dedicated(response_timeout))
    }
}

/// A connection of one's own. It is given up when this is dropped.
pub(crate) struct Link {
    connection: Box<dyn ConnectionLike + Send + Sync>,
    response_timeout: Duration,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("response_timeout", &self.response_timeout).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(connection: impl ConnectionLike + Send + Sync + 'static, response_timeout: Duration) -> Self {
        Self { connection: Box::new(connection), response_timeout }
    }

    /// Asks, and waits for the answer before anything else is asked.
    pub(crate) async fn run<T: FromRedisValue>(&mut self, question: &impl Question) -> Result<T, RedisError> {
        let timeout = self.response_timeout;
        answer(question, self, timeout).await
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.connection.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
