//! A log of revocations in a real Redis: what one replica is told, and what the others do then.

mod connection;
pub mod server;
