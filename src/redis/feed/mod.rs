//! A log of revocations in Redis → a feed of it: snapshots, and what comes after them.

mod reading;
mod snapshot;
mod tail;
#[cfg(test)]
mod tests;

use ::redis::{Cmd, Pipeline, pipe};

use super::{RedisError, RedisRevocations, keys};
use crate::status::{Cursor, FeedAnswer, FeedError, FeedMessages, RevocationFeed};

pub(super) use reading::{Memory, head};

/// Reads on one connection of its own at a time. Each of its heartbeats says that the server was a master after it was
/// asked, and where the log ended then.
impl RevocationFeed for RedisRevocations {
    fn label(&self) -> String {
        self.settings().label.to_string()
    }

    fn snapshot(&self, max_events: usize) -> FeedAnswer {
        Box::pin(snapshot::snapshot(self.clone(), max_events))
    }

    fn tail(&self, after: Cursor) -> FeedMessages {
        tail::tail(self.clone(), after)
    }
}

impl From<RedisError> for FeedError {
    fn from(error: RedisError) -> Self {
        match error {
            RedisError::Refused(_) => Self::Refused(error.to_string()),
            RedisError::Malformed => Self::Malformed("an answer of Redis"),
            _ => unavailable(error.to_string()),
        }
    }
}

fn unavailable(reason: impl Into<String>) -> FeedError {
    FeedError::Unavailable { reason: reason.into(), retry_after: None }
}

impl RedisRevocations {
    /// Whether the log is one that we can rely on: its head, what happens when memory runs out, who follows.
    fn checks(&self) -> Pipeline {
        let mut checks = self.standing();
        checks.cmd("INFO").arg("memory");
        checks
    }

    /// Its head, and who follows.
    fn standing(&self) -> Pipeline {
        let mut standing = pipe();
        standing.cmd("HMGET").arg(self.redis().key(keys::HEAD)).arg("format").arg("head");
        standing.cmd("INFO").arg("replication");
        standing
    }

    /// What follows a position; for so many milliseconds it may wait for that.
    fn entries_after(&self, position: Cursor, wait: Option<u64>) -> Cmd {
        let mut read = ::redis::cmd("XREAD");
        read.arg("COUNT").arg(reading::COUNT);
        if let Some(milliseconds) = wait {
            read.arg("BLOCK").arg(milliseconds);
        }
        read.arg("STREAMS").arg(self.redis().key(keys::LOG)).arg(position.to_string());
        read
    }
}
