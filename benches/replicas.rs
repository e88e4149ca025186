//! A log of ten million revocations in Redis → what a replica that follows it takes to start, in memory, and per request.
//!
//! `cargo bench --bench replicas`, or with another number of entries: `cargo bench --bench replicas -- 1000000`. Needs
//! `redis-server` and `redis-cli` on the PATH. Whoever publishes is a process of its own, as in life.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark")]

#[path = "support/quantile.rs"]
mod quantile;
#[path = "../examples/shared/redis_server.rs"]
mod redis_server;

use std::{
    error::Error,
    fs,
    hint::black_box,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use portcullis::{
    Algorithm, Authorizer, Decision, Input, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    authorizer::Answers,
    clock::{Clock, SystemClock, UnixTime},
    credential::{Bearer, DEFAULT_MAX_LEN},
    redis::{Redis, RedisRevocations},
    status::{FeedPolicy, Revocation, RevocationEvent, RevocationFeed as _, Revocations},
    testing::{TestKey, TokenBuilder},
};
use quantile::quantile;
use redis_server::RedisServer;
use tokio::runtime::Runtime;

type Fallible<T> = Result<T, Box<dyn Error>>;

const ISSUER: &str = "https://issuer.example";
/// The log that is followed, and one beside it in which nothing is revoked.
const LOGS: [&str; 2] = ["full", "empty"];
/// So many are published at once.
const CHUNK: usize = 10_000;
/// Revocations per second while requests are served, and for how long.
const RATE: usize = 10_000;
const SECONDS: usize = 20;
/// Tokens that were all seen before, as a service has them.
const TOKENS: usize = 1024;
/// Readers of one log, and events that they are told one by one.
const READERS: u32 = 200;
const EVENTS: u32 = 250;
const ROUNDS: usize = 501;
const LOOKS: usize = 512;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let number = |text: &String| text.parse::<usize>().ok();
    match &*arguments {
        [role, url, first, count] if role == "publish" => {
            runtime.block_on(publish(url, number(first).unwrap(), number(count).unwrap()))
        }
        [role, url] if role == "follow" => runtime.block_on(follow(url)),
        [role, url, first] if role == "publish steadily" => {
            runtime.block_on(publish_steadily(url, number(first).unwrap()))
        }
        _ => measure(&runtime, arguments.iter().find_map(number).unwrap_or(10_000_000)),
    }
}

fn log(url: &str, prefix: &str) -> Fallible<RedisRevocations> {
    Ok(RedisRevocations::new(Redis::at(url)?.prefix(prefix).timeout(Duration::from_secs(30)).build()?))
}

fn event(number: usize) -> RevocationEvent {
    let id = format!("a1b2c3d4-e5f6-7890-abcd-{number:012}");
    // An hour's tokens.
    let now = SystemClock::new().now().wall().as_secs();
    let expiry = UnixTime::from_secs(now + 60 + u64::try_from(number % 3540).unwrap());
    RevocationEvent::Revoked(Revocation::token_id(Some(ISSUER), &id).expires_at(expiry))
}

/// In another process: these entries, as fast as they are taken in.
async fn publish(url: &str, first: usize, count: usize) -> Fallible<()> {
    let log = log(url, LOGS[0])?;
    for start in (first..first + count).step_by(CHUNK) {
        log.publish_all((start..(start + CHUNK).min(first + count)).map(event).collect()).await?;
    }
    Ok(())
}

/// In another process: a few each millisecond.
async fn publish_steadily(url: &str, first: usize) -> Fallible<()> {
    let log = log(url, LOGS[0])?;
    let mut turns = tokio::time::interval(Duration::from_millis(1));
    let each = RATE / 1000;
    let started = Instant::now();
    for turn in 0..SECONDS * 1000 {
        turns.tick().await;
        log.publish_all((0..each).map(|one| event(first + turn * each + one)).collect()).await?;
    }
    println!("  published {} in {:.1} s", SECONDS * RATE, started.elapsed().as_secs_f64());
    Ok(())
}

/// In another process: as many readers as a large service has replicas, until it is ended.
async fn follow(url: &str) -> Fallible<()> {
    let log = log(url, LOGS[1])?;
    let head = log.head().await?;
    let readers =
        (0..READERS).map(|_| async { log.tail(head).for_each(|message| async { drop(message.unwrap()) }).await });
    let all = futures_util::future::join_all(readers);
    println!("following");
    all.await;
    Ok(())
}

/// What Redis spends on each reader that it tells of an event.
fn fan_out(runtime: &Runtime, redis: &RedisServer) -> Fallible<()> {
    let mut readers = Command::new(std::env::current_exe()?).args(["follow", &redis.url()]).spawn()?;
    let log = log(&redis.url(), LOGS[1])?;
    let connected = |used: Used| used.clients >= f64::from(READERS);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !connected(Used::by(redis)?) && Instant::now() < deadline {}
    let spend = |events: u32| -> Fallible<Used> {
        let before = Used::by(redis)?;
        runtime.block_on(async {
            let mut turns = tokio::time::interval(Duration::from_millis(20));
            for number in 0..events {
                turns.tick().await;
                log.publish(event(usize::try_from(number).unwrap())).await.unwrap();
            }
            // The same time without an event, for the heartbeats.
            for _ in events..EVENTS {
                turns.tick().await;
            }
        });
        Ok(Used::by(redis)?.since(before))
    };
    let (quiet, busy) = (spend(0)?, spend(EVENTS)?);
    readers.kill()?;
    readers.wait()?;
    let each = f64::from(READERS) * f64::from(EVENTS);
    let seconds = f64::from(EVENTS) / 50.0;
    println!("{READERS} readers of a log in which nothing happens");
    println!("  {:.1} us a second of Redis for each, heartbeats", quiet.cpu * 1e6 / f64::from(READERS) / seconds);
    println!(
        "  {:.1} us and {:.0} bytes of Redis to tell one of an event that comes alone",
        (busy.cpu - quiet.cpu) * 1e6 / each,
        (busy.sent - quiet.sent) / each
    );
    Ok(())
}

fn measure(runtime: &Runtime, entries: usize) -> Fallible<()> {
    let redis = runtime.block_on(RedisServer::start())?;
    let url = redis.url();
    println!("Redis {}, {entries} revocations", redis.version());
    for prefix in LOGS {
        runtime.block_on(log(&url, prefix)?.establish(Vec::new()))?;
    }
    let count = f64::from(u32::try_from(entries)?);
    let before = Used::by(&redis)?;
    let filled = ourselves(&["publish", &url, "0", &entries.to_string()])?;
    let publishing = Used::by(&redis)?.since(before);
    println!(
        "  published in {:.1} s, {:.1} of them Redis's; {:.0} bytes each in Redis, the stream's last entries included",
        filled.as_secs_f64(),
        publishing.cpu,
        publishing.memory / count
    );

    let (memory, started, before) = (resident("VmRSS")?, Instant::now(), Used::by(&redis)?);
    let full = Replica::start(runtime, &url, LOGS[0], entries)?;
    let (took, snapshot) = (started.elapsed(), Used::by(&redis)?.since(before));
    println!(
        "  synced in {:.1} s, {:.1} of them Redis's, which sent {:.0} bytes each",
        took.as_secs_f64(),
        snapshot.cpu,
        snapshot.sent / count
    );
    assert!(full.revocations.len() >= entries, "{}", full.revocations.len());
    let each = |name: &str| Fallible::Ok((resident(name)?.saturating_sub(memory)) / entries);
    println!("  {} bytes each in the replica, at most {} meanwhile", each("VmRSS")?, each("VmHWM")?);

    let empty = Replica::start(runtime, &url, LOGS[1], entries)?;
    full.check_all();
    empty.check_all();
    println!("a decision on a token that was seen, {ROUNDS} rounds, medians");
    let quiet = rounds(&full, &empty, |round| round < ROUNDS);
    quiet.print("nothing happens");
    let mut publisher = ourselves_in_background(&["publish steadily", &url, &entries.to_string()])?;
    let (known, before) = (full.revocations.len(), Used::by(&redis)?);
    let mut most_stale = 0;
    let busy = rounds(&full, &empty, |_| {
        let staleness = full.authorizer.readiness().revocation_feeds[0].staleness_ms.unwrap_or(u64::MAX);
        most_stale = most_stale.max(staleness);
        publisher.try_wait().unwrap().is_none()
    });
    busy.print(&format!("{RATE} revocations a second are applied"));
    let ended = Instant::now();
    while full.revocations.len() < known + RATE * SECONDS {
        assert!(ended.elapsed() < Duration::from_secs(60), "{} of {}", full.revocations.len() - known, RATE * SECONDS);
        std::thread::yield_now();
    }
    let steady = Used::by(&redis)?.since(before);
    let applied = f64::from(u32::try_from(RATE * SECONDS)?);
    println!(
        "  of Redis: {:.1} us and {:.0} bytes for each, to take it in and tell one replica",
        steady.cpu * 1e6 / applied,
        steady.sent / applied
    );
    println!(
        "  all of them known {:.0} ms after the last was published; at most {most_stale} ms stale meanwhile",
        ended.elapsed().as_secs_f64() * 1000.0
    );
    fan_out(runtime, &redis)
}

/// An authorizer that follows one of the logs, and tokens it has seen.
struct Replica {
    authorizer: Authorizer,
    revocations: Revocations,
    requirement: Arc<Requirement>,
    tokens: Vec<String>,
}

impl Replica {
    fn start(runtime: &Runtime, url: &str, prefix: &str, entries: usize) -> Fallible<Self> {
        let _in_runtime = runtime.enter();
        let revocations = Revocations::builder().capacity(2 * entries).build()?;
        let key = TestKey::shared(Algorithm::ES256);
        let source = KeySource::json(key.jwk().to_string());
        let policy = FeedPolicy::default().max_events(2 * entries);
        let authorizer = Authorizer::builder()
            .issuer(Issuer::with_keys(ISSUER, source).audience(TokenBuilder::AUDIENCE))
            .routes(RouteTable::builder().otherwise(Unlisted::Deny)?)
            .revocations(revocations.clone())
            .revocation_feed(log(url, prefix)?, policy)
            .build()?;
        runtime.block_on(authorizer.ready(Duration::from_secs(600)))?;
        let now = authorizer.now().wall();
        let token = |number| TokenBuilder::new(ISSUER, &key, now).claim("jti", format!("good-{number}")).build();
        let requirement = authorizer.compile(Requirement::authenticated())?;
        Ok(Self { authorizer, revocations, requirement, tokens: (0..TOKENS).map(token).collect() })
    }

    fn permits(&self, number: usize) -> bool {
        let text = self.tokens[number % TOKENS].as_bytes();
        let input = Input::new(Bearer::parse(text, DEFAULT_MAX_LEN).map(Some), &self.requirement);
        matches!(self.authorizer.decide(&input, &Answers::default(), self.authorizer.now()), Decision::Permit(_))
    }

    fn check_all(&self) {
        (0..TOKENS).for_each(|number| assert!(self.permits(number)));
    }

    /// Nanoseconds for each of some decisions.
    fn time(&self, from: usize) -> f64 {
        let start = Instant::now();
        let permitted = (0..LOOKS).filter(|look| black_box(self.permits(from + look))).count();
        let time = start.elapsed();
        assert_eq!(permitted, LOOKS);
        time.as_secs_f64() * 1e9 / f64::from(u32::try_from(LOOKS).unwrap())
    }
}

/// The same decisions with the full log and with the empty one, by turns.
struct Rounds(Vec<[f64; 2]>);

fn rounds(full: &Replica, empty: &Replica, mut goes_on: impl FnMut(usize) -> bool) -> Rounds {
    let mut rounds = Vec::new();
    while goes_on(rounds.len()) {
        let from = rounds.len() * LOOKS;
        rounds.push([full.time(from), empty.time(from)]);
    }
    Rounds(rounds)
}

impl Rounds {
    fn print(&self, when: &str) {
        let of = |which: usize| quantile(self.0.iter().map(|round| round[which]), 0.5);
        let ratio = quantile(self.0.iter().map(|[full, empty]| full / empty), 0.5);
        let sum = |which: usize| self.0.iter().map(|round| round[which]).sum::<f64>();
        println!(
            "  {when}: {:.0} ns, with nothing revoked {:.0} ns: {ratio:.2}; all rounds together {:.2}",
            of(0),
            of(1),
            sum(0) / sum(1)
        );
    }
}

fn ourselves(arguments: &[&str]) -> Fallible<Duration> {
    let started = Instant::now();
    let status = Command::new(std::env::current_exe()?).args(arguments).status()?;
    if status.success() { Ok(started.elapsed()) } else { Err("the publisher failed".into()) }
}

fn ourselves_in_background(arguments: &[&str]) -> Fallible<std::process::Child> {
    Ok(Command::new(std::env::current_exe()?).args(arguments).spawn()?)
}

/// What Redis has used so far.
#[derive(Clone, Copy)]
struct Used {
    memory: f64,
    /// In seconds.
    cpu: f64,
    sent: f64,
    clients: f64,
}

impl Used {
    fn by(redis: &RedisServer) -> Fallible<Self> {
        let port = redis.port().to_string();
        let info = Command::new("redis-cli").args(["-p", &port, "INFO", "all"]).output()?;
        let info = String::from_utf8(info.stdout)?;
        let of = |name: &str| -> Fallible<f64> {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            Ok(value.ok_or_else(|| format!("no {name}"))?.trim().parse()?)
        };
        let cpu = of("used_cpu_user_main_thread")? + of("used_cpu_sys_main_thread")?;
        let (sent, clients) = (of("total_net_output_bytes")?, of("connected_clients")?);
        Ok(Self { memory: of("used_memory")?, cpu, sent, clients })
    }

    fn since(self, before: Self) -> Self {
        let (memory, cpu, sent) = (self.memory - before.memory, self.cpu - before.cpu, self.sent - before.sent);
        Self { memory, cpu, sent, clients: self.clients }
    }
}

/// Of this process, in bytes.
fn resident(what: &str) -> Fallible<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(what)).ok_or("no such line")?;
    let kibibytes: usize = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kibibytes * 1024)
}
