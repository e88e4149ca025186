//! An engine that keeps a log → a [`RevocationFeed`](crate::status::RevocationFeed) of it: two adapters, to be copied.
//!
//! There is nothing here but text: [`postgres`] over a table, [`nats`] over a JetStream stream. Each is complete, is
//! compiled with this crate, and is about a hundred lines, since an adapter only says what the log says. Snapshots,
//! back-off, duplicates, gaps and staleness are the follower's. Five questions decide whether an adapter is right,
//! whatever the engine:
//!
//! | | the question | who gets it wrong |
//! |---|---|---|
//! | order | Can a number become visible after a greater one has? | sequences and time stamps in a database |
//! | fit | Is everything in the snapshot or in the tail after its cursor? | reading the rows first, and the end of the log after them |
//! | gap | Is a reader told when what it has not read yet is gone? | pub/sub; a log trimmed by size |
//! | incarnation | Can a position come again with other events before it? | a backup restored, a replica promoted that lagged, a stream made anew |
//! | proof | Would the heartbeat stop if this end were cut off? | a timer; a read from a follower, or from a leader that is none any more |
//!
//! How old a heartbeat is ([`FeedMessage::age`](crate::status::FeedMessage::age)) is measured from *before* the log was
//! asked, for what the answer says was true at some time since, and until the message is handed on. A pause in the
//! network, in the engine or in this process then makes it older, and never looks like freshness.

#[doc = include_str!("nats.md")]
pub mod nats {}

#[doc = include_str!("postgres.md")]
pub mod postgres {}
