//! Events → the log in Redis, for everybody who follows it.

use std::sync::{LazyLock, atomic::Ordering};

use ::redis::{Cmd, FromRedisValue, RedisResult, Script, ServerErrorKind, Value, aio::ConnectionLike, cmd, pipe};

use super::{
    Redis, RedisError, RedisRevocations,
    connection::Question,
    feed::{Memory, head},
    keys,
    publications::Publication,
    record::Record,
};
use crate::{
    observe,
    status::{Cursor, RevocationEvent, RevocationSink, SinkAnswer, SinkError},
};

/// So many events are applied in one step; meanwhile Redis does nothing else.
const CHUNK: usize = 256;

/// Suspensions of a new log are applied in one step, with its opening.
const MOST_SUSPENSIONS: usize = 50_000;

static APPLY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/apply.lua")));

/// Why the log in Redis did not take an event in, or did not say where it ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Redis, or the way to it. Whether the event was taken in is not known: publish it again.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// There is no log of that prefix, or there is none any more: whatever was in it is lost. See
    /// [`RedisRevocations::establish`].
    #[error("there is no log of that prefix in Redis: it has to be established")]
    NoLog,
    /// The log was written by another version of this crate.
    #[error("the log in Redis has a format that is not known here")]
    Format,
    /// Redis may evict keys, and with them revocations. `maxmemory-policy` must be `noeviction`.
    #[error("Redis may evict keys (maxmemory-policy {0}); it must be noeviction")]
    Evicts(String),
    /// It is in the log and takes effect; but should the master be lost now, so may the event be. Publish it again.
    #[error("{reached} replicas have taken it in, and {wanted} should")]
    NotReplicated {
        /// So many have.
        reached: u32,
        /// So many should have: see [`RedisRevocationsBuilder::min_replicas`](super::RedisRevocationsBuilder::min_replicas).
        wanted: u32,
    },
    /// The event is longer than any about a token that could be accepted.
    #[error("an event of more than 64 KiB")]
    TooLong,
    /// A new log begins with more suspensions than can be applied in one step.
    #[error("more than {MOST_SUSPENSIONS} suspensions in a new log")]
    TooManySuspensions,
}

/// What the script does.
#[derive(Clone, Copy)]
enum Mode {
    Publish,
    /// The state of a log that is not there yet.
    Fill,
    /// And then the log.
    Open,
}

/// What came of it.
enum Outcome {
    Done(String),
    /// There is a log already.
    There,
}

impl RedisRevocations {
    /// Appends an event, and says where it stands. Whoever follows the log learns of it at once. It was decided now, unless
    /// it says otherwise. Its position is greater than that of whatever was acknowledged before, by whomever.
    ///
    /// Where the connection breaks, it is tried once more: an event may then stand in the log twice, which is as good as
    /// once.
    ///
    /// # Errors
    /// Where it is not in the log, or that is not known. It may be published again in any case.
    pub async fn publish(&self, event: RevocationEvent) -> Result<Cursor, PublishError> {
        self.publish_all(vec![event]).await
    }

    /// The same with many, in their order, some hundred in a step. Of the last one, where it stands; of none, where the log
    /// ends.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); some of them may be in the log then.
    pub async fn publish_all(&self, events: Vec<RevocationEvent>) -> Result<Cursor, PublishError> {
        let mut last = None;
        let records = self.records(events)?;
        self.check().await?;
        for chunk in records.chunks(CHUNK) {
            match self.apply(Mode::Publish, chunk).await? {
                Outcome::Done(id) => last = Some(id),
                Outcome::There => return Err(RedisError::Malformed.into()),
            }
        }
        match last {
            Some(id) => id.parse().map_err(|_| RedisError::Malformed.into()),
            None => self.head().await,
        }
    }

    /// Creates the log where there is none, knowing these: whatever is revoked or suspended by now, from wherever that is
    /// kept, or nothing. `false`: there is one already, and it is left as it is; the answer to an attempt that opened it may
    /// have been lost. Nobody else should establish it meanwhile: the log is whole for the one who opened it alone.
    ///
    /// No log is not an empty log: nobody who follows it accepts a token before it was established, and again after Redis
    /// has lost it. So this is for whoever knows what was revoked: call it by hand, or with all that is kept elsewhere;
    /// never with nothing in order to get a service to start.
    ///
    /// # Errors
    /// Where there is none afterwards, or that is not known. It may be done again in any case.
    pub async fn establish(&self, events: Vec<RevocationEvent>) -> Result<bool, PublishError> {
        let (revoked, suspended): (Vec<_>, Vec<_>) = self.records(events)?.into_iter().partition(Record::is_revocation);
        if suspended.len() > MOST_SUSPENSIONS {
            return Err(PublishError::TooManySuspensions);
        }
        self.check().await?;
        for chunk in revoked.chunks(CHUNK) {
            if let Outcome::There = self.apply(Mode::Fill, chunk).await? {
                return Ok(false);
            }
        }
        Ok(matches!(self.apply(Mode::Open, &suspended).await?, Outcome::Done(_)))
    }

    /// Where the log ends: the position of the last event, or of the opening of the log.
    ///
    /// # Errors
    /// Where Redis cannot be asked, or there is no log.
    pub async fn head(&self) -> Result<Cursor, PublishError> {
        let asked = cmd("HMGET").arg(self.redis().key(keys::HEAD)).arg("format").arg("head").to_owned();
        let members: [Option<String>; 2] = self.redis().run(&asked).await?;
        head(&members).map_err(|_| match members {
            [Some(format), _] if format != keys::FORMAT => PublishError::Format,
            [Some(_), Some(_)] => RedisError::Malformed.into(),
            _ => PublishError::NoLog,
        })
    }

    fn records(&self, events: Vec<RevocationEvent>) -> Result<Vec<Record>, PublishError> {
        let settings = self.settings();
        let now = settings.clock.now().wall();
        let record = |event| Record::new(event, now, settings.max_token_lifetime).map_err(|_| PublishError::TooLong);
        events.into_iter().map(record).collect()
    }

    /// Whether Redis keeps what it is given. Asked once, and again after trouble with the connection.
    async fn check(&self) -> Result<(), PublishError> {
        if self.settings().is_checked.load(Ordering::Acquire) {
            return Ok(());
        }
        let info: String = self.asked_twice(self.redis(), cmd("INFO").arg("memory")).await?;
        if let Some(policy) = Memory::new(&info).evicts() {
            return Err(PublishError::Evicts(policy.to_owned()));
        }
        self.settings().is_checked.store(true, Ordering::Release);
        Ok(())
    }

    /// Where the connection breaks, over another one; what it led to may be another server.
    async fn asked_twice<T: FromRedisValue>(&self, redis: &Redis, question: &impl Question) -> Result<T, RedisError> {
        match redis.run(question).await {
            Err(RedisError::Unreachable(_)) => {
                self.settings().is_checked.store(false, Ordering::Release);
                redis.run(question).await
            }
            answer => answer,
        }
    }

    async fn apply(&self, mode: Mode, records: &[Record]) -> Result<Outcome, PublishError> {
        let settings = self.settings();
        let publication = settings.publications.begin();
        let call = Call::new(self, mode, records, &publication);
        let answer: Vec<Value> = self.asked_twice(&settings.writing, &call).await?;
        let mut answers = answer.into_iter();
        let said = answers.next().and_then(|said| Vec::<String>::from_redis_value(said).ok()).unwrap_or_default();
        let reached = answers.next().and_then(|reached| i64::from_redis_value(reached).ok()).unwrap_or_default();
        match said.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["ok", id] => {
                let reached = u32::try_from(reached).unwrap_or_default();
                if reached < settings.min_replicas {
                    return Err(PublishError::NotReplicated { reached, wanted: settings.min_replicas });
                }
                Ok(Outcome::Done((*id).to_owned()))
            }
            ["there"] => Ok(Outcome::There),
            ["absent"] => Err(PublishError::NoLog),
            ["format", _] => Err(PublishError::Format),
            _ => Err(RedisError::Malformed.into()),
        }
    }
}

/// The script with its arguments, and how many replicas to wait for.
struct Call {
    evaluation: Cmd,
    wait: Option<(u32, u64)>,
}

impl Call {
    fn new(log: &RedisRevocations, mode: Mode, records: &[Record], publication: &Publication<'_>) -> Self {
        let settings = log.settings();
        let mode = match mode {
            Mode::Publish => "publish",
            Mode::Fill => "fill",
            Mode::Open => "open",
        };
        let mut evaluation = cmd("EVALSHA");
        evaluation.arg(APPLY.get_hash()).arg(1).arg(log.redis().key(keys::HEAD));
        evaluation.arg(log.redis().key("")).arg(mode);
        evaluation.arg(settings.clock.now().wall().as_secs()).arg(settings.kept_events);
        for argument in publication.arguments() {
            evaluation.arg(argument);
        }
        for record in records {
            for argument in record.arguments() {
                evaluation.arg(argument);
            }
        }
        let patience = log.redis().timeout().mul_f64(0.75).as_millis();
        let wait =
            (settings.min_replicas > 0).then(|| (settings.min_replicas, u64::try_from(patience).unwrap_or(u64::MAX)));
        Self { evaluation, wait }
    }
}

impl Question for Call {
    /// In one go: `WAIT` counts the replicas that have what this very connection has written, so that on another one it
    /// would prove nothing.
    async fn ask(&self, connection: &mut (impl ConnectionLike + Send)) -> RedisResult<Value> {
        let mut asking = pipe();
        asking.add_command(self.evaluation.clone());
        if let Some((replicas, milliseconds)) = self.wait {
            asking.cmd("WAIT").arg(replicas).arg(milliseconds);
        }
        match asking.query_async(connection).await {
            Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                APPLY.load_async(connection).await?;
                asking.query_async(connection).await
            }
            answer => answer,
        }
    }
}

impl RevocationSink for RedisRevocations {
    /// As [`publish_all`](Self::publish_all): ready when Redis has acknowledged them, and as many replicas as should.
    fn accept(&self, events: Vec<RevocationEvent>) -> SinkAnswer {
        let log = self.clone();
        Box::pin(async move {
            let published = log.publish_all(events).await;
            published.map(Some).map_err(|error| SinkError::new(observe::chain(&error)))
        })
    }
}
