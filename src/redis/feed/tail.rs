//! A position in the log → what comes after it, and proofs that it is all.

use std::time::Duration;

use ::redis::Value;
use futures_util::stream;

use super::reading::{Memory, Proof, Reading, Ready, entries, head, lag};
use crate::{
    redis::{RedisRevocations, link::Link},
    status::{Cursor, FeedError, FeedMessage, FeedMessages},
};

/// What follows the position, until the connection ends or nobody can read on.
pub(super) fn tail(log: RedisRevocations, after: Cursor) -> FeedMessages {
    let tail = Tail { log, link: None, reading: Reading::new(after), check_at: Duration::ZERO };
    Box::pin(stream::try_unfold(tail, |mut tail| async move { Ok(Some((tail.next().await?, tail))) }))
}

struct Tail {
    log: RedisRevocations,
    link: Option<Link>,
    reading: Reading,
    /// When the next proof is due.
    check_at: Duration,
}

impl Tail {
    async fn next(&mut self) -> Result<FeedMessage, FeedError> {
        loop {
            match self.reading.ready.pop_front() {
                Some(Ready::Message(message)) => return Ok(message),
                Some(Ready::Proof(Proof { head, asked, lag })) => {
                    let age = self.now().saturating_sub(asked).saturating_add(lag);
                    return Ok(FeedMessage::heartbeat(head).age(age));
                }
                Some(Ready::Trouble(error)) => return Err(error),
                None => self.read().await?,
            }
        }
    }

    async fn read(&mut self) -> Result<(), FeedError> {
        let Some(link) = &mut self.link else {
            self.link = Some(self.connect().await?);
            return Ok(());
        };
        let settings = self.log.settings();
        let asked = settings.clock.now().monotonic();
        let left = self.check_at.saturating_sub(asked);
        if left.is_zero() {
            // Before the entries, the head: what it says is among them.
            let mut check = self.log.standing();
            check.add_command(self.log.entries_after(self.reading.position(), None));
            let (members, info, answer): ([Option<String>; 2], String, Value) = link.run(&check).await?;
            self.check_at = asked.saturating_add(settings.heartbeat);
            let lag = lag(&info, settings.min_replicas);
            let head = head(&members)?;
            if let Ok(lag) = lag {
                self.reading.seen(Proof { head, asked, lag });
            }
            self.reading.read(entries(answer)?);
            // What was revoked counts, whoever says so.
            self.reading.ready.extend(lag.err().map(Ready::Trouble));
        } else {
            let milliseconds = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
            let answer: Value = link.run(&self.log.entries_after(self.reading.position(), Some(milliseconds))).await?;
            self.reading.read(entries(answer)?);
        }
        Ok(())
    }

    /// A connection to a server whose keys stay until we let them go.
    async fn connect(&self) -> Result<Link, FeedError> {
        let redis = self.log.redis();
        let patience = redis.timeout().saturating_add(self.log.settings().heartbeat);
        let mut link = self.log.settings().reading.dial(patience).await?;
        let memory: (String,) = link.run(::redis::pipe().cmd("INFO").arg("memory")).await?;
        Memory::new(&memory.0).check()?;
        Ok(link)
    }

    fn now(&self) -> Duration {
        self.log.settings().clock.now().monotonic()
    }
}
