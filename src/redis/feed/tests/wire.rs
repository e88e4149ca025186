//! A network that is slow, parts and loses answers, between replicas of a service and the servers → connections over it.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use ::redis::{Arg, Cmd, Pipeline, RedisFuture, RedisResult, Value, aio::ConnectionLike};

use super::{random::Random, servers::Servers, store::text};
use crate::{
    clock::{Clock, Now, Sleep, UnixTime},
    redis::{
        RedisError,
        link::{Dial, Dialing, Link},
    },
    testing::ManualClock,
};

/// What all replicas of a service have in common.
pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) random: Random,
    pub(super) servers: Servers,
    /// Of each replica.
    pub(super) lines: Vec<Line>,
    /// Nothing goes wrong any more.
    pub(super) is_calm: bool,
}

/// How a replica of a service hears the servers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    pub(super) is_parted: bool,
    pub(super) is_slow: bool,
    /// Connections that were made before have broken.
    pub(super) broken: u64,
    /// When it last had a server say where a log ends.
    pub(super) proved: Option<Duration>,
}

#[derive(Clone)]
pub(super) struct SharedWorld(Arc<Mutex<World>>);

impl World {
    pub(super) fn shared(seed: u64, clock: ManualClock, servers: Servers, lines: usize) -> SharedWorld {
        let lines = vec![Line::default(); lines];
        SharedWorld(Arc::new(Mutex::new(Self { clock, random: Random::new(seed), servers, lines, is_calm: false })))
    }

    /// True time.
    pub(super) fn now(&self) -> Duration {
        self.clock.now().monotonic()
    }

    /// By the clock of that server, in milliseconds since the epoch.
    pub(super) fn time(&self, server: usize) -> u64 {
        let truth = Duration::from_secs(ManualClock::START.as_secs()) + self.now();
        u64::try_from(truth.as_millis()).unwrap().saturating_add_signed(self.servers.all[server].ahead)
    }

    /// Who is said to be the master: one that was, now and then, or one that never was.
    pub(super) fn located(&mut self) -> usize {
        if self.is_calm {
            return self.servers.master;
        }
        let stale = self.servers.stale();
        match self.random.below(12) {
            0 => self.random.below(self.servers.all.len()),
            1..=4 => self.random.one_of(&stale).unwrap_or(self.servers.master),
            _ => self.servers.master,
        }
    }
}

impl SharedWorld {
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock of a replica, which somebody sets, and which stands still with it.
#[derive(Clone, Debug)]
pub(super) struct Own {
    truth: ManualClock,
    /// By how many seconds its wall clock is ahead.
    pub(super) ahead: Arc<AtomicI64>,
    pub(super) is_frozen: Arc<AtomicBool>,
}

impl Own {
    pub(super) fn new(truth: ManualClock) -> Self {
        Self { truth, ahead: Arc::default(), is_frozen: Arc::default() }
    }
}

impl Clock for Own {
    fn now(&self) -> Now {
        let monotonic = self.truth.now().monotonic();
        let wall = ManualClock::START.saturating_add(monotonic).as_secs();
        let wall = UnixTime::from_secs(wall.saturating_add_signed(self.ahead.load(Ordering::Relaxed)));
        Now::new(wall, monotonic)
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let own = self.clone();
        let sleep = self.truth.sleep(duration);
        Box::pin(async move {
            sleep.await;
            while own.is_frozen.load(Ordering::Relaxed) {
                own.truth.sleep(Duration::from_millis(100)).await;
            }
        })
    }
}

/// Where a replica of a service gets its connections.
pub(super) struct Network {
    pub(super) world: SharedWorld,
    pub(super) line: usize,
    pub(super) clock: Own,
}

impl Dial for Network {
    fn dial(&self, response_timeout: Duration) -> Dialing<'_> {
        let (world, line, clock) = (self.world.clone(), self.line, self.clock.clone());
        let wire = {
            let mut world = world.lock();
            let server = world.located();
            let incarnation = world.servers.all[server].incarnation;
            let broken = world.lines[line].broken;
            drop(world);
            Wire { world: self.world.clone(), line, clock, server, incarnation, broken, patience: response_timeout }
        };
        Box::pin(async move {
            let failed = |error: ::redis::RedisError| RedisError::new(&error, response_timeout);
            tokio::select! {
                biased;
                arrived = wire.travel() => arrived.map_err(failed)?,
                () = wire.clock.sleep(response_timeout) => return Err(RedisError::Timeout(response_timeout)),
            }
            Ok(Link::new(wire, response_timeout))
        })
    }
}

/// A connection to one server.
struct Wire {
    world: SharedWorld,
    line: usize,
    clock: Own,
    server: usize,
    incarnation: u64,
    broken: u64,
    patience: Duration,
}

fn broken() -> ::redis::RedisError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}

impl Wire {
    fn check(&self, world: &World) -> RedisResult<()> {
        let server = &world.servers.all[self.server];
        let is_whole =
            server.is_up && server.incarnation == self.incarnation && world.lines[self.line].broken == self.broken;
        if is_whole { Ok(()) } else { Err(broken()) }
    }

    /// There or back.
    async fn travel(&self) -> RedisResult<()> {
        let wait = {
            let World { random, lines, is_calm, .. } = &mut *self.world.lock();
            let is_late = lines[self.line].is_slow || !*is_calm && random.chance(16);
            if is_late { random.milliseconds(1500) } else { Duration::ZERO }
        };
        if !wait.is_zero() || self.clock.is_frozen.load(Ordering::Relaxed) {
            self.clock.sleep(wait).await;
        }
        while self.world.lock().lines[self.line].is_parted {
            self.clock.sleep(Duration::from_millis(200)).await;
        }
        self.check(&self.world.lock())
    }

    async fn asked(&self, commands: Vec<Vec<String>>) -> RedisResult<Vec<Value>> {
        self.travel().await?;
        let mut answers = Vec::new();
        for (number, command) in commands.iter().enumerate() {
            // Others have their turn between any two.
            let wait = {
                let World { random, lines, .. } = &mut *self.world.lock();
                let waits = number > 0 && random.chance(if lines[self.line].is_slow { 2 } else { 16 });
                waits.then(|| random.milliseconds(700))
            };
            if let Some(wait) = wait {
                self.clock.sleep(wait).await;
            }
            answers.push(self.answer(command).await?);
        }
        self.travel().await?;
        Ok(answers)
    }

    async fn answer(&self, command: &[String]) -> RedisResult<Value> {
        let blocks = command.iter().position(|word| word == "BLOCK").map(|at| command[at + 1].parse().unwrap());
        let until = self.world.lock().now() + Duration::from_millis(blocks.unwrap_or_default());
        loop {
            let left = {
                let mut world = self.world.lock();
                self.check(&world)?;
                let (now, time) = (world.now(), world.time(self.server) / 1000);
                let server = &world.servers.all[self.server];
                if command[0] == "INFO" {
                    return Ok(match &*command[1] {
                        "replication" => text(&server.replication(now)),
                        _ => text("maxmemory:0\r\nmaxmemory_policy:noeviction\r\n"),
                    });
                }
                let answer = server.store().answer(command, time);
                if command[0] == "HMGET" && server.store().head.is_some() {
                    world.lines[self.line].proved = Some(now);
                }
                if answer != Value::Nil || now >= until {
                    return Ok(answer);
                }
                until - now
            };
            self.clock.sleep(left.min(Duration::from_millis(50))).await;
        }
    }

    async fn patient(&self, commands: Vec<Vec<String>>) -> RedisResult<Vec<Value>> {
        tokio::select! {
            biased;
            answers = self.asked(commands) => answers,
            () = self.clock.sleep(self.patience) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }
}

fn words(command: &Cmd) -> Vec<String> {
    let word = |argument: Arg<&[u8]>| match argument {
        Arg::Simple(word) => String::from_utf8(word.to_vec()).unwrap(),
        _ => panic!("no word"),
    };
    command.args_iter().map(word).collect()
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move { Ok(self.patient(vec![words(command)]).await?.remove(0)) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.patient(pipeline.cmd_iter().map(words).collect()))
    }

    fn get_db(&self) -> i64 {
        0
    }
}
