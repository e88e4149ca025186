//! A Redis that all replicas reach → what one of them was told to refuse, refused by all.
//!
//! [`RedisRevocations`] is a log of revocations: a stream that every replica follows, and the state that it has come to,
//! for those who begin. Whoever revokes publishes, and has the word of Redis that it is in the log; milliseconds later the
//! replicas know. None of them asks Redis about a request.
//!
//! ```no_run
//! use portcullis::{
//!     redis::{Redis, RedisRevocations},
//!     status::FeedPolicy,
//! };
//!
//! # fn example(builder: portcullis::AuthorizerBuilder) -> Result<portcullis::AuthorizerBuilder, Box<dyn std::error::Error>> {
//! let redis = Redis::at("rediss://portcullis:password@redis.internal:6380/0")?.build()?;
//! let builder = builder.revocation_feed(RedisRevocations::new(redis), FeedPolicy::default());
//! # Ok(builder)
//! # }
//! ```
//!
//! # What Redis has to be
//!
//! Redis 7.0 or later, or Valkey. With `maxmemory-policy noeviction`, if it has a limit: revocations are not a cache, and
//! a Redis that might evict them is refused. Its clock within five minutes of the others'. What it still knows after it was
//! restarted is a matter of its persistence (`appendonly yes`). Where it knows nothing any more, replicas refuse all tokens
//! that they would have to hear about, until the log was [established](RedisRevocations::establish) anew.
//!
//! All keys of a log begin with one prefix and are in one slot of a cluster. The script that writes names one of them and
//! touches others beside it, as Redis and Valkey allow; what only speaks their protocol, or routes by the keys that are
//! named, may not.
//!
//! Of millions of entries, most of the memory is saved by `hash-max-listpack-entries 1024`.
//!
//! # Who may do what
//!
//! Whoever can write these keys can un-revoke. Replicas need not: as a user with these rules they can only read.
//!
//! ```text
//! ACL SETUSER replica   on >… resetkeys nocommands %R~{portcullis}:* +hmget +xread +get +hgetall +hlen +hscan +info
//! ACL SETUSER publisher on >… resetkeys nocommands ~{portcullis}:* +evalsha +script|load +wait +info +time +get +set
//!             +exists +del +rename +hget +hmget +hset +hsetnx +hdel +hexists +hincrby +hvals +setbit +expiretime
//!             +expireat +zadd +zrem +zrange +xadd
//! ```
//!
//! In a cluster, also `+cluster|keyslot +cluster|slots`; for a database other than 0, `+select`.

mod address;
mod builder;
mod connection;
mod error;
mod feed;
mod keys;
mod link;
mod locate;
mod publications;
mod publisher;
mod record;
mod records;
mod revocations;
pub mod scale;
mod tls;

pub use builder::RedisBuilder;
pub use connection::Redis;
pub use error::{RedisConfigError, RedisError};
pub use publisher::PublishError;
pub use records::SharedRecords;
pub use revocations::{RedisRevocations, RedisRevocationsBuilder};
