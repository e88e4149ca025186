//! A seed → one schedule of everything that can go wrong, and whether what was promised held.

use std::{fmt::Write as _, time::Duration};

use super::{
    replica::{Replica, Seen},
    servers::{Disk, Servers, Way},
    truth::Truth,
    wire::{Own, SharedWorld, World},
};
use crate::{redis::Redis, testing::ManualClock, token::VerifiedToken};

const STEPS: usize = 40;
pub(super) const REPLICAS: usize = 3;

/// Once everything works, all agree after this time at the latest.
const LIVENESS: Duration = Duration::from_secs(30);

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// Nothing that was acknowledged is lost.
    Kept,
    /// What is lost is lost.
    Lost,
}

/// What all schedules have in common.
pub(super) struct Props {
    pub(super) redis: Redis,
    pub(super) tokens: Vec<VerifiedToken>,
    pub(super) texts: Vec<String>,
}

pub(super) struct Simulation<'a> {
    pub(super) props: &'a Props,
    pub(super) world: SharedWorld,
    replicas: Vec<Replica>,
    pub(super) truth: Truth,
    pub(super) promise: Promise,
    pub(super) min_replicas: u32,
    /// How many entries are left of a stream that is trimmed.
    pub(super) kept: usize,
    /// The connection of the publisher: to whom, and which incarnation of it.
    pub(super) publisher: Option<(usize, u64)>,
    /// By how many seconds its clock is ahead.
    pub(super) publisher_ahead: i64,
    /// What it is not sure of, or what is still under way.
    pub(super) doubtful: Vec<usize>,
    /// Whether that is most of what it tells.
    pub(super) suspends: bool,
    pub(super) clock: ManualClock,
    story: String,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(seed: u64, props: &'a Props) -> Self {
        let (followers, min_replicas, promise) = match seed % 8 {
            0 => (0, 0, Promise::Kept),
            1 | 2 => (1, 1, Promise::Kept),
            3 => (2, 2, Promise::Kept),
            4 => (3, 2, Promise::Kept),
            5 => (0, 0, Promise::Lost),
            6 => (2, 0, Promise::Lost),
            _ => (2, 1, Promise::Lost),
        };
        let (clock, suspends) = (ManualClock::new(), (seed / 8).is_multiple_of(3));
        let mut simulation = Self {
            props,
            world: World::shared(seed, clock.clone(), Servers::new(followers), REPLICAS + 1),
            clock,
            replicas: Vec::new(),
            truth: Truth::default(),
            promise,
            min_replicas,
            kept: if suspends { 1000 } else { 3 + usize::try_from(seed / 8 % 5).unwrap() },
            publisher: None,
            publisher_ahead: 0,
            doubtful: Vec::new(),
            suspends,
            story: format!("seed {seed}: {promise:?}, {followers} follow the master, {min_replicas} should"),
        };
        if promise == Promise::Kept || !seed.is_multiple_of(3) {
            simulation.establish(true);
        }
        for line in 0..REPLICAS {
            simulation.world.lock().lines[line].is_slow = simulation.suspends;
            let replica = simulation.start(line);
            simulation.replicas.push(replica);
        }
        simulation
    }

    fn start(&self, line: usize) -> Replica {
        let clock = Own::new(self.clock.clone());
        self.world.lock().lines[line].proved = None;
        Replica::start(&self.props.redis, &self.world, line, self.min_replicas, clock)
    }

    pub(super) async fn run(mut self, seen: &mut Seen) -> Result<(), String> {
        self.play(seen).await.map_err(|error| format!("{error}\n{}", self.story))
    }

    async fn play(&mut self, seen: &mut Seen) -> Result<(), String> {
        for _ in 0..STEPS {
            self.trust();
            self.step()?;
            self.trust();
            if self.below(3) > 0 {
                let by = self.world.lock().random.milliseconds(1500);
                self.pass(by);
            }
            self.settle(seen).await?;
        }
        self.heal(seen).await
    }

    /// Time passes.
    fn pass(&self, by: Duration) {
        let world = &mut *self.world.lock();
        world.clock.advance(by);
        world.servers.tick(world.clock.now().monotonic());
    }

    async fn settle(&mut self, seen: &mut Seen) -> Result<(), String> {
        self.trust();
        for _ in 0..6 {
            tokio::task::yield_now().await;
        }
        let demands = self.truth.demands();
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            let checked = replica.check(&self.props.tokens, &self.truth, &demands, seen);
            checked.map_err(|error| format!("replica {number}: {error}"))?;
        }
        Ok(())
    }

    pub(super) fn below(&self, bound: usize) -> usize {
        self.world.lock().random.below(bound)
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.now().monotonic()
    }

    /// As long as others may take themselves for the master, and nobody has promised to find out.
    fn trust(&mut self) {
        if self.promise == Promise::Lost && !self.world.lock().servers.stale().is_empty() {
            self.truth.trusted_since = self.now();
        }
    }

    pub(super) fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        let now = self.now();
        write!(self.story, "\n{now:?}: {what}").unwrap();
    }

    fn step(&mut self) -> Result<(), String> {
        match self.below(30) {
            0..=9 => {
                let number = self.event();
                self.publish(number)?;
            }
            10 if !self.doubtful.is_empty() => {
                let number = self.doubtful.swap_remove(self.below(self.doubtful.len()));
                self.publish(number)?;
            }
            11..=16 => self.disturb(),
            17..=25 => self.disturb_servers()?,
            26 | 27 => self.establish(false),
            29 if self.suspends => {
                let line = self.below(REPLICAS);
                self.tell(format_args!("{line} starts anew"));
                self.replicas[line] = self.start(line);
            }
            28 if self.below(4) == 0 => {
                let seconds = if self.below(3) == 0 { 700 + self.below(3000) } else { 2 + self.below(10) };
                self.tell(format_args!("{seconds} s pass"));
                self.pass(Duration::from_secs(u64::try_from(seconds).unwrap()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Something happens to a replica of the service, or on its way.
    fn disturb(&mut self) {
        let line = self.below(REPLICAS);
        match self.below(7) {
            0 => {
                let is_parted = self.below(3) == 0;
                self.tell(format_args!("{line} is parted: {is_parted}"));
                self.world.lock().lines[line].is_parted = is_parted;
            }
            1 => {
                let is_slow = self.below(2) == 0;
                self.tell(format_args!("{line} is slow: {is_slow}"));
                self.world.lock().lines[line].is_slow = is_slow;
            }
            2 => {
                let is_frozen = self.below(3) == 0;
                self.tell(format_args!("{line} is frozen: {is_frozen}"));
                self.replicas[line].freeze(is_frozen);
            }
            3 => {
                self.tell(format_args!("connections of {line} break"));
                self.world.lock().lines[line].broken += 1;
            }
            4 => {
                self.tell(format_args!("{line} starts anew"));
                self.replicas[line] = self.start(line);
            }
            5 => {
                let ahead = self.skew();
                self.tell(format_args!("the clock of {line} is {ahead} s ahead"));
                self.replicas[line].set_clock(ahead);
            }
            _ => {
                self.publisher_ahead = self.skew();
                self.publisher = None;
            }
        }
    }

    /// Up to two minutes.
    fn skew(&self) -> i64 {
        i64::try_from(self.below(241)).unwrap() - 120
    }

    fn disturb_servers(&mut self) -> Result<(), String> {
        let (is_kept, skew) = (self.promise == Promise::Kept, self.skew());
        let World { random, servers, clock, .. } = &mut *self.world.lock();
        let (count, now) = (servers.all.len(), clock.now().monotonic());
        let number = random.below(count);
        let what = match random.below(8) {
            0 if servers.all[number].is_up && (!is_kept || servers.all.iter().all(|server| server.is_up)) => {
                servers.kill(number, random);
                format!("server {number} dies")
            }
            1 | 2 => {
                let down: Vec<_> = (0..count).filter(|number| !servers.all[*number].is_up).collect();
                for number in &down {
                    let follows = servers.all[*number].follows.is_some();
                    let disks = [Disk::All, Disk::None, Disk::Some];
                    let disk = if is_kept && !follows { Disk::All } else { disks[random.below(3)] };
                    servers.restart(*number, disk, random);
                    write!(self.story, "\n{now:?}: server {number} is back with {disk:?}").unwrap();
                }
                format!("{down:?} are back")
            }
            3 => {
                let is_fit = |number: &usize| {
                    let server = &servers.all[*number];
                    // Of those in step, one that is furthest.
                    let is_in_step = server.follows == Some(servers.master) && server.is_synced;
                    let has_all = || self.truth.is_whole(server.store().told());
                    *number != servers.master && server.is_up && (!is_kept || is_in_step && has_all())
                };
                let Some(number) = random.one_of(&(0..count).filter(is_fit).collect::<Vec<_>>()) else { return Ok(()) };
                servers.promote(number, is_kept, random);
                format!("server {number} takes over; {:?} do not know", servers.stale())
            }
            4 => {
                let is_lost =
                    |number: &usize| *number != servers.master && servers.all[*number].follows != Some(servers.master);
                let lost: Vec<_> = (0..count).filter(is_lost).filter(|number| servers.all[*number].is_up).collect();
                lost.iter().for_each(|number| servers.demote(*number, random));
                format!("servers {lost:?} are told whom to follow")
            }
            5 | 6 => {
                let way = [Way::Good, Way::Good, Way::Lagging, Way::Cut][random.below(4)];
                servers.all[number].way = way;
                format!("server {number} hears its master: {way:?}")
            }
            _ => {
                servers.all[number].ahead = skew * 1000 + i64::try_from(random.below(1000)).unwrap();
                format!("the clock of server {number} is {skew} s ahead")
            }
        };
        write!(self.story, "\n{now:?}: {what}").unwrap();
        let lost = self.truth.known(servers.master().store().told());
        if is_kept && !lost.is_empty() {
            return Err(format!("the model is wrong: {lost:?} were acknowledged"));
        }
        Ok(())
    }

    /// Once everything works again, so does the feed, and everybody makes the same of every token.
    async fn heal(&mut self, seen: &mut Seen) -> Result<(), String> {
        self.tell(format_args!("everything works again"));
        self.doubtful.clear();
        {
            let World { random, servers, clock, lines, is_calm } = &mut *self.world.lock();
            *is_calm = true;
            servers.heal(clock.now().monotonic(), random);
            lines.iter_mut().for_each(|line| (line.is_parted, line.is_slow) = (false, false));
        }
        self.replicas.iter().for_each(|replica| replica.freeze(false));
        self.establish(true);
        let known = self.world.lock().servers.master().store().told().to_vec();
        self.truth.known(&known);
        let newest = self.start(REPLICAS);
        self.replicas.push(newest);
        let began = self.now();
        loop {
            self.settle(seen).await?;
            let Err(error) = self.agreed(&known) else { break };
            if self.now() - began > LIVENESS {
                return Err(format!("after {LIVENESS:?} there is no agreement: {error}"));
            }
            self.pass(Duration::from_millis(250));
        }
        seen.longest = seen.longest.max(self.now() - began);
        Ok(())
    }

    fn agreed(&self, known: &[usize]) -> Result<(), String> {
        let now = self.now();
        for (number, replica) in self.replicas.iter().enumerate() {
            if !replica.is_synced(now) {
                return Err(format!("replica {number}: {:?}, {:?}", replica.staleness(now), replica.trouble()));
            }
            let agreed = replica.agrees(&self.props.tokens, &self.truth, known, number == REPLICAS);
            agreed.map_err(|error| format!("replica {number}: {error}"))?;
        }
        Ok(())
    }
}
