//! What one replica was told → the others, through a store that all of them reach and nobody has to trust.
//!
//! Two things are worth it: answers of a status source ([`SharedAnswers`](crate::status::SharedAnswers)), and the token
//! with which a service asks
//! ([`ClientCredentials::shared_through`](crate::issuer::ClientCredentials::shared_through)). Both are [`SharedRecord`]s
//! in a [`SharedStore`], such as Redis.
//!
//! ```text
//! look ─► a record that will do ────────────────────────────────► used
//!   ├──► none, and nobody asks: a lease ─► asks ─► put, sealed ──► used
//!   ├──► none, and somebody asks ─► waits a little ─► look
//!   └──► no store ─────────────────► asks, as if there were none ─► used
//! ```
//!
//! # What the store can and cannot do
//!
//! Whoever can read it sees names and sizes: records are sealed with AES-256-GCM under keys derived from a secret that only
//! the replicas have, and their names are made with it too. Whoever can write to it can have replicas wait as for
//! somebody who asks, and then ask; and can show them a record that was put there for the same name before, as old as it is
//! by then. Nothing else is opened.
//!
//! A store that is down, slow or full costs what it would have saved: each use of it is given up after a short time, and
//! then it is left alone for a second.
//!
//! # How old a record is
//!
//! Everything counts from the moment before the question was sent, by the store's own clock, as read before the question
//! was sent and again when the record is read. No replica's clock can make a record younger. But they can make it older:
//! each record holds, sealed, what its writer's clock showed, and a record that is much older by the reader's clock is taken
//! to be that old, less a second. So where the store's clock is set back, or a failover leads to a store whose
//! clock is behind, or somebody shows an old record to a clock that lies, a record is taken to be younger than it is by
//! less than two seconds, and as much as the clocks of two replicas differ. A store's clock that is set forward makes
//! records older, which costs questions.

mod exchange;
mod secret;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use exchange::{Found, Sharing, SharingSettings, Told, Wanted};
pub use secret::{SharedSecret, WeakSecret};
pub use store::{Lease, Look, Rank, Seen, SharedRecord, SharedStore, StoreAnswer, StoreError};
