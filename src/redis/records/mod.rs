//! Records of replicas ⇄ keys of Redis: each one string, put there and looked at by scripts, in one step.

use std::{fmt, sync::Arc, time::Duration};

use ::redis::{FromRedisValue, Script, ScriptInvocation};

use super::{Redis, RedisError};
#[cfg(feature = "testing")]
use crate::clock::{Clock, SharedClock};
use crate::{
    sharing::{Look, Rank, Seen, SharedRecord, SharedStore, StoreAnswer, StoreError},
    tasks::uncut,
};

/// A [`SharedStore`] in Redis: what one replica was told, for the others.
///
/// Each record is a string below the key `{prefix}:shared:…`, beside it for a moment the lease of whoever asks; both leave
/// by themselves, a record as soon as it is of no use to anybody. Times are those of the Redis that holds the keys. It may
/// be one that evicts keys or keeps nothing on disk: what is gone is asked for again.
///
/// ```no_run
/// use portcullis::{
///     Issuer, issuer::ClientAuthentication, redis::{Redis, SharedRecords}, sharing::SharedSecret,
///     status::{Introspection, SharedAnswers},
/// };
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Redis::at("rediss://portcullis:password@redis.internal:6380/0")?.build()?;
/// let secret = SharedSecret::new(std::fs::read("/run/secrets/replicas")?)?;
/// let issuer = Issuer::discover("https://idp.example.com")
///     .audience("https://api.example.com")
///     .introspection(Introspection::discover(ClientAuthentication::basic("orders-api", "s3cret")))
///     .shared_answers(SharedAnswers::through(SharedRecords::new(&redis), secret));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedRecords {
    redis: Redis,
    scripts: Arc<Scripts>,
    #[cfg(feature = "testing")]
    clock: Option<SharedClock>,
}

struct Scripts {
    look: Script,
    put: Script,
    forget: Script,
}

impl SharedRecords {
    /// Over a connection of their own, so that nothing else keeps it busy.
    #[must_use]
    pub fn new(redis: &Redis) -> Self {
        let scripts = Scripts {
            look: Script::new(include_str!("look.lua")),
            put: Script::new(include_str!("put.lua")),
            forget: Script::new(include_str!("forget.lua")),
        };
        Self {
            redis: redis.apart(),
            scripts: Arc::new(scripts),
            #[cfg(feature = "testing")]
            clock: None,
        }
    }

    /// For tests whose time is moved by hand: ages and leases are measured by this clock instead of that of Redis.
    #[cfg(feature = "testing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
    #[must_use]
    pub fn timed_by(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The time to count by; empty where that is Redis's.
    fn time(&self) -> String {
        #[cfg(feature = "testing")]
        if let Some(clock) = &self.clock {
            return micros(clock.now().monotonic());
        }
        String::new()
    }

    /// Runs to its end though nobody waits for it any longer: a connection that is of no use is found out that way.
    fn run<T: FromRedisValue + Send + 'static>(
        &self,
        name: &str,
        which: fn(&Scripts) -> &Script,
        fill: impl FnOnce(&mut ScriptInvocation<'_>) + Send + 'static,
    ) -> StoreAnswer<T> {
        let (redis, scripts) = (self.redis.clone(), Arc::clone(&self.scripts));
        let keys = [redis.key(&format!("shared:{name}")), redis.key(&format!("shared:{name}:lease"))];
        Box::pin(async move {
            let running = uncut(async move {
                let mut invocation = which(&scripts).prepare_invoke();
                invocation.key(&keys);
                fill(&mut invocation);
                redis.run(&invocation).await
            });
            let answer = running.await.ok_or_else(|| StoreError::Failed("no tokio runtime here".to_owned()))?;
            answer.map_err(|error: RedisError| StoreError::Failed(error.to_string()))
        })
    }
}

impl SharedStore for SharedRecords {
    fn look(&self, name: &str, look: Look) -> StoreAnswer<Seen> {
        let time = self.time();
        let seen = self.run::<(String, Option<Vec<u8>>, i64)>(
            name,
            |scripts| &scripts.look,
            move |invocation| {
                invocation.arg(time).arg(micros(look.max_age())).arg(look.unlike().map(micros).unwrap_or_default());
                let lease = look.lease();
                let length = lease.map(|lease| micros(lease.length())).unwrap_or_default();
                invocation.arg(lease.map_or("", |lease| lease.holder())).arg(length);
            },
        );
        Box::pin(async move {
            let malformed = || StoreError::Failed("an answer that is not as it should be".to_owned());
            let (now, record, leased) = seen.await?;
            let now = now.parse().map(Duration::from_micros).map_err(|_| malformed())?;
            let record = record.map(|record| read(&record).ok_or_else(malformed)).transpose()?;
            Ok(Seen::new(now, record, leased == 1))
        })
    }

    fn put(&self, name: &str, record: SharedRecord, holder: Option<&str>) -> StoreAnswer<()> {
        let (time, holder) = (self.time(), holder.unwrap_or_default().to_owned());
        let put = self.run::<i64>(
            name,
            |scripts| &scripts.put,
            move |invocation| {
                let label = format!("{}{}", micros(record.asked_at()), u8::from(record.rank() == Rank::Negative));
                let kept_for = record.kept_for().as_millis().max(1);
                invocation.arg(time).arg(holder).arg(label).arg(kept_for.to_string()).arg(&record.sealed()[..]);
            },
        );
        Box::pin(async move { put.await.map(drop) })
    }

    fn forget(&self, name: &str, asked_at: Option<Duration>, holder: Option<&str>) -> StoreAnswer<()> {
        let (asked_at, holder) = (asked_at.map(micros).unwrap_or_default(), holder.unwrap_or_default().to_owned());
        let forgotten = self.run::<i64>(
            name,
            |scripts| &scripts.forget,
            move |invocation| {
                invocation.arg(holder).arg(asked_at);
            },
        );
        Box::pin(async move { forgotten.await.map(drop) })
    }
}

/// Twenty digits, so that texts are in the order of times.
fn micros(time: Duration) -> String {
    format!("{:020}", time.as_micros().min(MOST))
}

/// What Lua's numbers hold exactly.
const MOST: u128 = 1 << 53;

/// A string as `put` wrote it.
fn read(record: &[u8]) -> Option<SharedRecord> {
    let (asked_at, rest) = record.split_at_checked(20)?;
    let asked_at = str::from_utf8(asked_at).ok()?.parse().ok().map(Duration::from_micros)?;
    let (rank, sealed) = rest.split_first()?;
    let rank = match rank {
        b'0' => Rank::Positive,
        b'1' => Rank::Negative,
        _ => return None,
    };
    Some(SharedRecord::new(asked_at, rank, sealed.to_vec().into()))
}

impl fmt::Debug for SharedRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedRecords").field(&self.redis).finish()
    }
}
