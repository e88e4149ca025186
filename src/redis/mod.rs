//! A Redis that all replicas reach → what one of them was told to refuse, refused by all.
//!
//! ```no_run
//! use portcullis::redis::Redis;
//!
//! # fn example() -> Result<(), portcullis::redis::RedisConfigError> {
//! let redis = Redis::at("rediss://portcullis:password@redis.internal:6380/0")?.build()?;
//! # Ok(())
//! # }
//! ```

mod address;
mod builder;
mod connection;
mod error;
mod locate;
mod tls;

pub use builder::RedisBuilder;
pub use connection::Redis;
pub use error::{RedisConfigError, RedisError};
