//! Events that are published here → a feed of them for everybody in this process.

mod state;
mod tail;

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use self::{state::State, tail::Tail};
use super::{Cursor, FeedAnswer, FeedError, FeedMessage, FeedMessages, FeedSnapshot, RevocationFeed};
use crate::{
    clock::{Clock, SharedClock, SystemClock, UnixTime},
    status::RevocationEvent,
};

/// A log of revocations in memory: whoever holds a clone publishes, and every authorizer in the process that follows it
/// knows a moment later.
///
/// It begins empty and ends with its last clone; what is to outlive the process is published to a log elsewhere.
///
/// ```
/// use portcullis::status::{Revocation, RevocationEvent, RevocationLog};
///
/// let log = RevocationLog::new();
/// let first = log.publish(RevocationEvent::Revoked(Revocation::session(Some("https://idp.example"), "s-1")))?;
/// let second = log.publish(RevocationEvent::Suspended(Revocation::grant(Some("https://idp.example"), "g-1")))?;
/// assert!(first < second && log.head() == second);
/// # Ok::<(), portcullis::status::LogFull>(())
/// ```
#[derive(Clone)]
pub struct RevocationLog {
    inner: Arc<Inner>,
}

/// A [`RevocationLog`] being configured.
#[derive(Debug)]
#[must_use]
pub struct RevocationLogBuilder {
    clock: SharedClock,
    label: Box<str>,
    heartbeat: Duration,
    kept_events: usize,
    capacity: usize,
}

/// The log holds as many revocations as it may, none of which has expired: the event was not published, and whoever
/// wanted it must be told.
///
/// What counts now is never forgotten to make room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log holds {capacity} revocations already, none of which has expired")]
pub struct LogFull {
    capacity: usize,
}

struct Inner {
    clock: SharedClock,
    label: Box<str>,
    heartbeat: Duration,
    kept_events: usize,
    capacity: usize,
    log: Mutex<Log>,
    /// Where the log ends; wakes those who read.
    heads: watch::Sender<Cursor>,
}

#[derive(Default)]
struct Log {
    state: State,
    /// The newest events, the last of them at `head`. They are numbered without gaps.
    kept: VecDeque<RevocationEvent>,
    head: u64,
}

impl RevocationLog {
    /// An empty log by the machine's clock, with a heartbeat every second.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A log to be configured.
    pub fn builder() -> RevocationLogBuilder {
        RevocationLogBuilder {
            clock: Arc::new(SystemClock::new()),
            label: "in-process".into(),
            heartbeat: Duration::from_secs(1),
            kept_events: 100_000,
            capacity: 10_000_000,
        }
    }

    /// Appends an event, and says where it stands. Whoever follows the log learns of it at once, this process's own
    /// authorizers included. It was decided now, unless it says otherwise.
    ///
    /// # Errors
    /// Where it would be one revocation more than the log has room for, and none has expired. Then nothing is published.
    pub fn publish(&self, event: RevocationEvent) -> Result<Cursor, LogFull> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        // Lest it seems new to whoever begins to follow later.
        let event = event.map(|about| if about.decision().is_none() { about.revoked_at(now.wall()) } else { about });
        let mut log = inner.log();
        log.state.apply(&event, now, inner.capacity).map_err(|()| LogFull { capacity: inner.capacity })?;
        log.kept.push_back(event);
        if log.kept.len() > inner.kept_events {
            log.kept.pop_front();
        }
        log.head += 1;
        let head = Cursor::new(log.head.into());
        drop(log);
        // Somebody may have announced a newer one meanwhile.
        inner.heads.send_if_modified(|announced| {
            let is_newer = *announced < head;
            *announced = head.max(*announced);
            is_newer
        });
        Ok(head)
    }

    /// Where the last event stands; [`Cursor::START`] before the first.
    #[must_use]
    pub fn head(&self) -> Cursor {
        Cursor::new(self.inner.log().head.into())
    }

    /// How many revocations and suspensions count, and expired ones that were not yet looked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.log().state.len()
    }

    /// Whether nothing is revoked or suspended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for RevocationLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RevocationLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationLog").field("label", &self.inner.label).field("head", &self.head()).finish()
    }
}

impl RevocationLogBuilder {
    /// Another clock than the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// What logs, metrics and readiness call it. Default: `in-process`.
    pub fn label(mut self, label: &str) -> Self {
        self.label = label.into();
        self
    }

    /// A heartbeat this often, to each who follows; at least a millisecond apart. Default: 1 second.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval.max(Duration::from_millis(1));
        self
    }

    /// The newest events that are kept for those who were away; who was away for longer takes a snapshot. At least one.
    /// Default: 100,000.
    pub fn kept_events(mut self, events: usize) -> Self {
        self.kept_events = events.max(1);
        self
    }

    /// How many revocations and suspensions may count at once. Default: 10 million.
    pub const fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// An empty log.
    #[must_use]
    pub fn build(self) -> RevocationLog {
        let Self { clock, label, heartbeat, kept_events, capacity } = self;
        let heads = watch::Sender::new(Cursor::START);
        let inner = Inner { clock, label, heartbeat, kept_events, capacity, log: Mutex::default(), heads };
        RevocationLog { inner: Arc::new(inner) }
    }
}

impl RevocationFeed for RevocationLog {
    fn label(&self) -> String {
        self.inner.label.to_string()
    }

    fn snapshot(&self, max_events: usize) -> FeedAnswer {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let now = inner.clock.now();
            let log = inner.log();
            let events = log.state.told(now, max_events).ok_or(FeedError::TooLarge(max_events))?;
            Ok(FeedSnapshot::new(events, Cursor::new(log.head.into())).as_of(now.wall()))
        })
    }

    fn tail(&self, after: Cursor) -> FeedMessages {
        Box::pin(Tail::new(Arc::clone(&self.inner), after))
    }
}

impl Inner {
    /// Reads what follows a position, a batch of it, and says where that ends.
    fn read(&self, after: Cursor, now: UnixTime, into: &mut VecDeque<FeedMessage>) -> Result<Cursor, FeedError> {
        let log = self.log();
        let kept = u64::try_from(log.kept.len()).unwrap_or(u64::MAX);
        let oldest = log.head.saturating_sub(kept);
        let after = u64::try_from(after.position()).ok().filter(|after| (oldest..=log.head).contains(after));
        let Some(after) = after else { return Err(FeedError::Gap) };
        let skipped = usize::try_from(after - oldest).unwrap_or(usize::MAX);
        let mut position = after;
        for event in log.kept.iter().skip(skipped).take(tail::BATCH) {
            let previous = Cursor::new(position.into());
            position += 1;
            let message = FeedMessage::event(event.clone(), previous, Cursor::new(position.into()));
            // Only of the last one is it true that nothing follows it now.
            into.push_back(if position == log.head { message.as_of(now) } else { message });
        }
        Ok(Cursor::new(position.into()))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
