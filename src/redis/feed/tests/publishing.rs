//! What a publisher does, and whoever establishes the log → what has to be known from then on.

use std::time::Duration;

use super::{
    simulation::{Promise, Simulation},
    store::{Call, Mode},
    truth::{TOKENS, Target, What},
    wire::World,
};
use crate::{clock::UnixTime, redis::record::Record, testing::ManualClock};

/// What came of telling something to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Acknowledged,
    NotReplicated,
    NoLog,
    /// Whether it was done is not known.
    Broken,
}

impl Simulation<'_> {
    /// Something new, not told to anybody yet.
    pub(super) fn event(&mut self) -> usize {
        let token = if self.suspends { TOKENS - 1 - self.below(TOKENS / 2) } else { self.below(TOKENS) };
        let is_suspension = token >= TOKENS - 2 && self.below(6) > 0;
        let target = match self.below(4) {
            0 if !is_suspension => Target::Token(token),
            1 => Target::Subject(token / 2),
            _ => Target::Session(token),
        };
        let what = match self.below(2) {
            _ if !is_suspension => What::Revoke,
            0 => What::Suspend,
            _ => What::Resume,
        };
        let is_vain = matches!(target, Target::Subject(_)) && what == What::Revoke && self.below(2) == 0;
        let lifetime = match self.below(3) {
            0 => Some(Duration::from_secs(u64::try_from(self.below(1000)).unwrap())),
            _ => None,
        };
        let now = self.now();
        self.truth.event(what, target, is_vain, now, lifetime, &self.props.texts)
    }

    /// As [`RedisRevocations::publish`](crate::redis::RedisRevocations::publish), which tries twice.
    pub(super) fn publish(&mut self, number: usize) -> Result<(), String> {
        for _ in 0..2 {
            let outcome = self.publish_once(number)?;
            let told = &self.truth.told[number];
            let told = format!("{:?} {:?} at {:?}", told.what, told.target, self.publisher);
            self.tell(format_args!("{number} {told}: {outcome:?}"));
            if outcome != Outcome::Broken {
                break;
            }
            self.publisher = None;
        }
        Ok(())
    }

    fn publish_once(&mut self, number: usize) -> Result<Outcome, String> {
        let was_required = self.truth.required(number).is_some();
        let records = self.records(&[number]);
        let shared = self.world.clone();
        let world = &mut *shared.lock();
        let server = match self.publisher {
            Some((server, incarnation)) if world.servers.all[server].incarnation == incarnation => server,
            _ => world.located(),
        };
        let at = &world.servers.all[server];
        self.publisher = Some((server, at.incarnation));
        if !at.is_up || at.follows.is_some() || world.random.chance(16) {
            return Ok(Outcome::Broken);
        }
        self.truth.tried(number);
        if !self.apply(world, server, Mode::Publish, &records) {
            return Ok(Outcome::NoLog);
        }
        if world.random.chance(8) {
            self.doubtful.push(number);
        }
        let now = world.now();
        let reached = world.servers.reached(server, now);
        if world.random.chance(16) {
            return Ok(Outcome::Broken);
        }
        if reached < self.min_replicas {
            return Ok(Outcome::NotReplicated);
        }
        match self.promise {
            _ if server == world.servers.master => self.truth.acknowledged(number, now, was_required),
            Promise::Kept => return Err(format!("server {server}, which does not count, acknowledges {number}")),
            Promise::Lost => {}
        }
        Ok(Outcome::Acknowledged)
    }

    /// Where there is no log, one of what is still known, or of all.
    pub(super) fn establish(&mut self, is_whole: bool) {
        let shared = self.world.clone();
        let world = &mut *shared.lock();
        let (now, server) = (world.now(), world.servers.master);
        if !world.servers.all[server].is_up || world.servers.master().store().head.is_some() {
            return;
        }
        let forgets = !is_whole && world.random.chance(2);
        let known: Vec<_> = (0..self.truth.told.len()).filter(|_| !forgets || world.random.chance(2)).collect();
        let (revoked, others): (Vec<_>, Vec<_>) =
            known.iter().partition(|number| self.truth.told[**number].what == What::Revoke);
        known.iter().for_each(|number| self.truth.tried(*number));
        let _ = self.apply(world, server, Mode::Fill, &self.records(&revoked));
        if !is_whole && world.random.chance(3) {
            return self.tell(format_args!("a log is begun"));
        }
        let _ = self.apply(world, server, Mode::Open, &self.records(&others));
        if world.servers.reached(server, now) >= self.min_replicas {
            known.iter().for_each(|number| self.truth.acknowledged(*number, now, false));
        }
        self.tell(format_args!("a log is established with {known:?}"));
    }

    fn records(&self, numbers: &[usize]) -> Vec<(usize, Record)> {
        let now = UnixTime::from_secs(self.wall());
        let record =
            |number: &usize| (*number, Record::new(self.truth.told[*number].event.clone(), now, None).unwrap());
        numbers.iter().map(record).collect()
    }

    /// By the publisher's clock.
    fn wall(&self) -> u64 {
        ManualClock::START
            .saturating_add(self.clock.now().monotonic())
            .as_secs()
            .saturating_add_signed(self.publisher_ahead)
    }

    fn apply(&self, world: &mut World, server: usize, mode: Mode, records: &[(usize, Record)]) -> bool {
        let kept = world.random.chance(2).then_some(self.kept);
        let call = Call { mode, now: self.wall(), time: world.time(server), kept };
        let mut store = (**world.servers.all[server].store()).clone();
        let is_done = store.apply(call, records).is_ok();
        if is_done {
            world.servers.all[server].write(store);
        }
        is_done
    }
}
