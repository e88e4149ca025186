//! Something is wrong with Redis, or with the way to it → nothing that was acknowledged is lost, or it is denied.

mod access;
mod certificates;
mod cluster;
mod damage;
mod failovers;
mod logged;
mod partitions;
mod publishers;
mod restarts;
mod sentinels;
mod site;
mod slots;

use std::time::Duration;

use portcullis::redis::{Redis, RedisRevocations, RedisRevocationsBuilder};

/// A way to that server, which is given up after a second.
pub fn redis(url: &str) -> Redis {
    Redis::at(url).unwrap().timeout(Duration::from_secs(1)).build().unwrap()
}

/// The log there.
pub fn log(url: &str) -> RedisRevocations {
    builder(redis(url)).build().unwrap()
}

pub fn builder(redis: Redis) -> RedisRevocationsBuilder {
    RedisRevocations::builder(redis).heartbeat(Duration::from_millis(100))
}

/// The log there, which is empty.
pub async fn established(url: &str) -> RedisRevocations {
    let log = log(url);
    assert_eq!(log.establish(Vec::new()).await, Ok(true));
    log
}

/// So many names of tokens.
pub fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{kind}-{number}")).collect()
}
