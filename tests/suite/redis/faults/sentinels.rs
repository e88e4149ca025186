//! A master, its replicas and the Sentinels that watch them → a master that is another one soon after it was killed.

use std::cell::Cell;

use crate::redis::server::{IN_MEMORY, RedisServer};

/// What the Sentinels call it.
pub const MASTER: &str = "revocations";

/// Times of Sentinel that no configuration reaches, by which it comes to know the others; without such a command it takes
/// longer. It elects no replica that it has not heard of for three of the first.
/// A machine that was slow for a moment does not keep them from acting for half a minute.
const FAST: [&str; 10] = [
    "info-period",
    "1000",
    "publish-period",
    "100",
    "ask-period",
    "200",
    "tilt-trigger",
    "20000",
    "tilt-period",
    "1000",
];

/// Three servers and three Sentinels.
pub struct Sentinels {
    /// The first is the master, to begin with.
    pub servers: Vec<RedisServer>,
    pub sentinels: Vec<RedisServer>,
}

impl Sentinels {
    pub async fn start() -> Option<Self> {
        let servers = replicated(2).await?;
        let configuration = format!(
            "sentinel monitor {MASTER} 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds {MASTER} 500\n\
             sentinel failover-timeout {MASTER} 2000\n",
            servers[0].port(),
        );
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let sentinel = RedisServer::start_sentinel(&configuration).await?;
            let _ = sentinel.try_cli(&[&["SENTINEL", "DEBUG"][..], &FAST].concat());
            sentinels.push(sentinel);
        }
        for sentinel in &sentinels {
            sentinel
                .until("it knows the others", |sentinel| {
                    let known = sentinel.cli(&["SENTINEL", "MASTER", MASTER]);
                    let says = |name, value| known.contains(&format!("{name}\n{value}\n"));
                    says("num-slaves", 2) && says("num-other-sentinels", 2)
                })
                .await;
        }
        Some(Self { servers, sentinels })
    }

    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// Which server is the master, as all Sentinels say.
    pub fn master(&self) -> Option<usize> {
        let mut named = self.sentinels.iter().map(|sentinel| {
            let address = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
            let port = address.lines().nth(1).and_then(|port| port.parse().ok());
            self.servers.iter().position(|server| Some(server.port()) == port)
        });
        let first = named.next()??;
        named.all(|other| other == Some(first)).then_some(first)
    }

    /// What an operator does who has looked on for so many moments: on a slow machine, elections come to nothing for a while.
    pub fn insist_after(&self, moments: usize) {
        if moments % 400 == 399 {
            let _ = self.sentinels[0].try_cli(&["SENTINEL", "FAILOVER", MASTER]);
        }
    }

    /// Waits until another server than that one is the master, and takes writes.
    pub async fn until_not(&self, old: usize) -> usize {
        let moments = Cell::new(0);
        let other = || {
            moments.set(moments.get() + 1);
            self.insist_after(moments.get());
            self.master().filter(|master| *master != old)
        };
        let takes_writes = |master: usize| self.servers[master].cli(&["ROLE"]).starts_with("master");
        self.sentinels[0].until("another master", |_| other().is_some_and(takes_writes)).await;
        other().unwrap()
    }
}

/// A server and so many replicas of it, in step.
pub async fn replicated(replicas: usize) -> Option<Vec<RedisServer>> {
    let master = RedisServer::start().await?;
    let of = format!("127.0.0.1 {}", master.port());
    let mut servers = vec![master];
    for _ in 0..replicas {
        let options = [&IN_MEMORY[..], &["--replicaof", &of]].concat();
        servers.push(RedisServer::start_with(&options).await?);
    }
    for replica in &servers[1..] {
        servers[0].until_followed_by(replica).await;
    }
    Some(servers)
}
