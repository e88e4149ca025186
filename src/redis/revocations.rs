//! A [`Redis`] and settings → the log of revocations in it.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use super::{Redis, RedisConfigError, link::Dial, publications::Publications};
use crate::clock::{Clock, SharedClock, SystemClock};

/// A log of revocations in Redis: whoever holds one publishes, and every replica that follows it knows moments later.
///
/// It is a [`RevocationFeed`](crate::status::RevocationFeed) to be followed and a
/// [`RevocationSink`](crate::status::RevocationSink) that takes in what others say.
///
/// ```no_run
/// use portcullis::{
///     Authorizer, clock::UnixTime,
///     redis::{Redis, RedisRevocations},
///     status::{FeedPolicy, Revocation, RevocationEvent},
/// };
///
/// # async fn example(builder: portcullis::AuthorizerBuilder, now: UnixTime) -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Redis::at("rediss://portcullis:password@redis.internal:6380/0")?.build()?;
/// let log = RedisRevocations::new(redis);
/// // Every replica follows it.
/// let builder = builder.revocation_feed(log.clone(), FeedPolicy::default());
/// // Whoever revokes publishes: here, "log out everywhere".
/// let all = Revocation::subject(Some("https://idp.example"), "user-1", now);
/// let revision = log.publish(RevocationEvent::Revoked(all)).await?;
/// # Ok(())
/// # }
/// ```
///
/// Once, before the first replica is started, the log is [established](Self::establish).
///
/// # What is promised
///
/// Of an event that was acknowledged, by what happens to Redis afterwards:
///
/// | Redis | its process ends | its machine ends |
/// |---|---|---|
/// | `appendonly yes`, `appendfsync always` | nothing is lost | nothing is lost, if the disk keeps its word |
/// | `appendonly yes`, `appendfsync everysec` | nothing is lost, but where the disk was busy: then up to two seconds | up to two seconds are lost |
/// | `save …` alone | what came after the last save is lost | the same |
/// | nothing on disk | the log is lost | the same |
///
/// | A replica of it takes over (Sentinel, Cluster, by hand) | |
/// |---|---|
/// | without [`min_replicas`](RedisRevocationsBuilder::min_replicas) | what had not reached that replica is lost, and the old master vouches for its log until it knows that it is none any more |
/// | of *n* replicas, 1 or more | nothing is lost if one of those takes over that had it: the one that is furthest, as Sentinel and Cluster choose as far as they see it |
/// | at least half of *n* | and the old master vouches for nothing once another acknowledges |
/// | all *n* | nothing is lost, whichever takes over |
///
/// Whatever happens, these hold:
///
/// - A replica of the service that cannot hear of the log denies, once that has lasted for
///   [`max_staleness`](crate::status::FeedPolicy::max_staleness); unless a route accepts more, or the issuer is asked.
///   Where Redis hangs, loads, has no memory, refuses us or is no master, it is as if nobody were there. Who comes back
///   takes a snapshot where that is needed, and accepts nothing meanwhile.
/// - A log that is gone is no empty log: nobody believes it until somebody has [established](Self::establish) another.
/// - What is lost is lost for those who start later. Who runs goes on to refuse what it has heard was revoked, for as long
///   as it runs; suspensions are as the log has them. That a log was seen to end earlier than before, or to have gone on
///   otherwise, is logged and counted (`gap`, `reset`). Nobody goes on reading there: it takes a snapshot.
/// - Where somebody has deleted keys of the log, or Redis has evicted them, whoever needs a snapshot says that some are
///   missing, and accepts nothing. Who runs goes on, and hears what is published. To get out of it, all keys of the log
///   are deleted and it is established anew.
/// - An event may be in the log twice, and counts once. Those of one `RedisRevocations` (with its clones) count in the
///   order in which they were published one after the other: what was given up and arrives later, within a day, does
///   nothing. Among several, the order is that in which Redis gets them.
#[derive(Clone)]
pub struct RedisRevocations {
    inner: Arc<Inner>,
}

struct Inner {
    redis: Redis,
    settings: Settings,
}

/// What was configured, checked.
pub(super) struct Settings {
    /// Over another connection where `WAIT` holds it up.
    pub(super) writing: Redis,
    pub(super) reading: Arc<dyn Dial>,
    pub(super) label: Box<str>,
    pub(super) heartbeat: Duration,
    pub(super) kept_events: u64,
    pub(super) min_replicas: u32,
    pub(super) max_token_lifetime: Option<Duration>,
    pub(super) clock: SharedClock,
    pub(super) publications: Publications,
    /// Whether this Redis is known to keep what it is given.
    pub(super) is_checked: AtomicBool,
}

/// A [`RedisRevocations`] being configured.
#[derive(Debug)]
#[must_use]
pub struct RedisRevocationsBuilder {
    redis: Redis,
    label: Box<str>,
    heartbeat: Duration,
    kept_events: u64,
    min_replicas: u32,
    max_token_lifetime: Option<Duration>,
    clock: SharedClock,
}

impl fmt::Debug for RedisRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { redis, settings } = &*self.inner;
        f.debug_struct("RedisRevocations").field("label", &settings.label).field("redis", redis).finish_non_exhaustive()
    }
}

impl RedisRevocations {
    /// The log in that Redis, as it is by default.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self::builder(redis).made()
    }

    /// The log in that Redis, to be configured.
    pub fn builder(redis: Redis) -> RedisRevocationsBuilder {
        RedisRevocationsBuilder {
            redis,
            label: "redis".into(),
            heartbeat: Duration::from_millis(250),
            kept_events: 100_000,
            min_replicas: 0,
            max_token_lifetime: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.inner.redis
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.inner.settings
    }
}

impl RedisRevocationsBuilder {
    /// What logs, metrics and readiness call it. Default: `redis`.
    pub fn label(mut self, label: &str) -> Self {
        self.label = label.into();
        self
    }

    /// How often Redis is asked whether that is all, for each who follows: news itself comes at once. To be well below
    /// [`FeedPolicy::silence`](crate::status::FeedPolicy::silence) and
    /// [`max_staleness`](crate::status::FeedPolicy::max_staleness). Default: 250 milliseconds; from 10 milliseconds to 10
    /// seconds.
    pub const fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// About so many of the newest events are kept for those who were away; who was away for longer takes a snapshot. They
    /// must be more than are published while one is read: where the log has moved on too far meanwhile, it is begun anew,
    /// and whoever starts then accepts nothing. All publishers should say the same. Default: 100,000, as for 5,000 events
    /// a second while a snapshot takes 20 seconds.
    pub const fn kept_events(mut self, events: u64) -> Self {
        self.kept_events = events;
        self
    }

    /// An event is acknowledged when so many replicas of the Redis have it, and a server that fewer follow proves nothing.
    /// With more than half of them, a master that others have replaced without its knowing proves nothing once they have
    /// left it, as long as its clock is not set back, and nothing that was acknowledged is lost by that; but for what it
    /// acknowledges between the moment when one of them takes over and the one when the others are told. With all of them,
    /// not even that. Default: 0, at most 100.
    ///
    /// Replicas are heard once a second: what is known is then up to 2 seconds older than it would be. All who publish and
    /// all who follow should say the same.
    pub const fn min_replicas(mut self, replicas: u32) -> Self {
        self.min_replicas = replicas;
        self
    }

    /// No token lives longer than this, from `iat` to `exp`. A revocation that does not say when its tokens expire leaves
    /// the log when they must have; without this, it never does. Of a session or grant that is revoked whenever issued,
    /// tokens issued long after that may pass: the issuer must not issue any.
    pub const fn max_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_token_lifetime = Some(lifetime);
        self
    }

    /// Another clock than the machine's, for when something was decided and when a heartbeat is due.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks it. Redis is not asked yet.
    ///
    /// # Errors
    /// Where a number is out of bounds.
    pub fn build(self) -> Result<RedisRevocations, RedisConfigError> {
        let wrong = |what: String| Err(RedisConfigError::Setting(what));
        if !(Duration::from_millis(10)..=Duration::from_secs(10)).contains(&self.heartbeat) {
            return wrong(format!("a heartbeat of {:?} is not between 10 milliseconds and 10 seconds", self.heartbeat));
        }
        if !(1..=1 << 32).contains(&self.kept_events) {
            return wrong(format!("{} is no number of events to keep", self.kept_events));
        }
        if self.min_replicas > 100 {
            return wrong(format!("{} replicas are more than a Redis has", self.min_replicas));
        }
        if let Some(lifetime) = self.max_token_lifetime.filter(|lifetime| lifetime.as_secs() == 0) {
            return wrong(format!("no token lives for {lifetime:?}"));
        }
        Ok(self.made())
    }

    fn made(self) -> RedisRevocations {
        let Self { redis, label, heartbeat, kept_events, min_replicas, max_token_lifetime, clock } = self;
        let writing = if min_replicas == 0 { redis.clone() } else { redis.apart() };
        let reading = Arc::new(redis.clone());
        let settings = Settings {
            writing,
            reading,
            label,
            heartbeat,
            kept_events,
            min_replicas,
            max_token_lifetime,
            clock,
            publications: Publications::default(),
            is_checked: AtomicBool::new(false),
        };
        RedisRevocations { inner: Arc::new(Inner { redis, settings }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl RedisRevocations {
        /// The same, which is read over connections of that maker.
        pub(in crate::redis) fn read_over(self, reading: impl Dial + 'static) -> Self {
            let mut inner = Arc::into_inner(self.inner).unwrap();
            inner.settings.reading = Arc::new(reading);
            Self { inner: Arc::new(inner) }
        }
    }

    #[test]
    fn numbers_that_could_not_work_are_refused_threat_32() {
        let builder = || RedisRevocations::builder(Redis::at("redis://localhost").unwrap().build().unwrap());
        let rows = [
            (builder().heartbeat(Duration::ZERO), "heartbeat"),
            (builder().heartbeat(Duration::from_secs(11)), "heartbeat"),
            (builder().kept_events(0), "events"),
            (builder().kept_events(u64::MAX), "events"),
            (builder().min_replicas(101), "replicas"),
            (builder().max_token_lifetime(Duration::from_millis(999)), "token"),
        ];
        for (builder, word) in rows {
            let error = builder.build().unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        assert!(builder().build().is_ok());
    }
}
