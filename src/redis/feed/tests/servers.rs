//! Servers that follow each other, die, come back with less and take over → what each of them holds, and says of itself.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use super::{random::Random, store::Store};

/// How a server hears the one that it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Good,
    /// It says that it is there, and does not take in what is written.
    Lagging,
    Cut,
}

/// With what a server comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    All,
    /// What there was some time ago.
    Some,
    None,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) is_up: bool,
    /// Connections that were made before have ended.
    pub(super) incarnation: u64,
    /// Nobody: it takes itself for a master.
    pub(super) follows: Option<usize>,
    pub(super) way: Way,
    /// Whether it has taken in what its master had when it began to follow it.
    pub(super) is_synced: bool,
    /// When those who follow it were heard last.
    heard: BTreeMap<usize, Duration>,
    /// By how many milliseconds its clock is ahead.
    pub(super) ahead: i64,
    /// Everything that it ever held in this history.
    states: Vec<Arc<Store>>,
}

impl Server {
    fn new(follows: Option<usize>) -> Self {
        Self {
            is_up: true,
            incarnation: 0,
            follows,
            way: Way::Good,
            is_synced: true,
            heard: BTreeMap::new(),
            ahead: 0,
            states: vec![Arc::default()],
        }
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        self.states.last().unwrap()
    }

    pub(super) fn write(&mut self, store: Store) {
        self.states.push(Arc::new(store));
    }

    /// `INFO replication`.
    pub(super) fn replication(&self, now: Duration) -> String {
        let mut info = format!("# Replication\r\nrole:{}\r\n", if self.follows.is_some() { "slave" } else { "master" });
        for (number, heard) in &self.heard {
            let lag = now.saturating_sub(*heard).as_secs();
            // Then it is given up.
            if lag < 60 {
                write!(info, "slave{number}:ip=::1,port=1,state=online,offset=9,lag={lag}\r\n").unwrap();
            }
        }
        info
    }
}

/// All of them, and which one counts.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    pub(super) all: Vec<Server>,
    pub(super) master: usize,
}

impl Servers {
    pub(super) fn new(replicas: usize) -> Self {
        let all = (0..=replicas).map(|number| Server::new((number > 0).then_some(0))).collect();
        Self { all, master: 0 }
    }

    pub(super) fn master(&self) -> &Server {
        &self.all[self.master]
    }

    /// Those that take themselves for masters, and are none any more.
    pub(super) fn stale(&self) -> Vec<usize> {
        let is_stale = |number: &usize| {
            let server = &self.all[*number];
            *number != self.master && server.is_up && server.follows.is_none()
        };
        (0..self.all.len()).filter(is_stale).collect()
    }

    /// Those who follow hear, or not.
    pub(super) fn tick(&mut self, now: Duration) {
        for number in 0..self.all.len() {
            self.hear(number, now);
        }
    }

    fn hear(&mut self, number: usize, now: Duration) -> bool {
        let follower = &self.all[number];
        let Some(leader) = follower.follows.filter(|leader| follower.is_up && self.all[*leader].is_up) else {
            return false;
        };
        if follower.way == Way::Cut {
            return false;
        }
        self.all[leader].heard.insert(number, now);
        if self.all[number].way == Way::Lagging {
            return false;
        }
        if !Arc::ptr_eq(self.all[number].store(), self.all[leader].store()) {
            self.all[number].states = self.all[leader].states.clone();
        }
        self.all[number].is_synced = true;
        true
    }

    /// `WAIT`: how many have what that one has.
    pub(super) fn reached(&mut self, server: usize, now: Duration) -> u32 {
        let followers: Vec<_> =
            (0..self.all.len()).filter(|number| self.all[*number].follows == Some(server)).collect();
        followers.into_iter().map(|number| u32::from(self.hear(number, now))).sum()
    }

    pub(super) fn kill(&mut self, number: usize, random: &mut Random) {
        self.all[number].is_up = false;
        self.all[number].incarnation += 1;
        self.all[number].heard.clear();
        self.left(number, random);
    }

    /// Whom it followed may see that it does not any more.
    fn left(&mut self, number: usize, random: &mut Random) {
        if random.chance(4) {
            self.all.iter_mut().for_each(|server| server.heard.retain(|other, _| *other != number));
        }
    }

    pub(super) fn restart(&mut self, number: usize, disk: Disk, random: &mut Random) {
        let server = &mut self.all[number];
        server.is_up = true;
        match disk {
            Disk::All => {}
            Disk::Some => server.states.truncate(random.below(server.states.len()) + 1),
            Disk::None => server.states = vec![Arc::default()],
        }
        server.is_synced = disk == Disk::All && server.is_synced;
    }

    /// Another one counts from now on. Those who follow the old one are told with it, or later; the old one, perhaps.
    pub(super) fn promote(&mut self, number: usize, is_told_at_once: bool, random: &mut Random) {
        self.left(number, random);
        self.all[number].follows = None;
        self.all[number].heard.clear();
        let old = std::mem::replace(&mut self.master, number);
        for other in (0..self.all.len()).filter(|other| *other != number) {
            if is_told_at_once && other != old || random.chance(2) && self.all[other].is_up {
                self.demote(other, random);
            }
        }
    }

    /// It is told whom to follow; connections to it may go on.
    pub(super) fn demote(&mut self, number: usize, random: &mut Random) {
        self.left(number, random);
        let master = self.master;
        let server = &mut self.all[number];
        server.follows = Some(master);
        server.is_synced = false;
        server.heard.clear();
        server.incarnation += u64::from(random.chance(2));
    }

    /// Everything works, and everybody follows the one that counts.
    pub(super) fn heal(&mut self, now: Duration, random: &mut Random) {
        for number in 0..self.all.len() {
            if !self.all[number].is_up {
                self.restart(number, Disk::All, random);
            }
            self.all[number].way = Way::Good;
            if number != self.master {
                self.demote(number, random);
            }
        }
        self.tick(now);
    }
}
