//! So many replicas and so many tokens → what a log of revocations in Redis takes, and by what to divide it.
//!
//! Nothing here is to be configured: it is arithmetic. Its constants, as `cargo bench --bench replicas` measures them with ten
//! million entries, each about a token with a UUID as its `jti` (2026-11-22, two x86-64 cores, Redis 7.0, over loopback):
//!
//! | | |
//! |---|---|
//! | an entry in a replica; in Redis | 42 bytes; 74 bytes |
//! | an event in the stream, for as long as it is kept there | some 200 bytes |
//! | an entry in a snapshot: on the wire; of Redis's core; until the replica has it | 75 bytes; 0.09 µs; 1.15 µs |
//! | publishing many at once, of Redis's core | 14 µs each |
//! | telling a replica of an event that comes alone: of Redis's core; on the wire | 8.4 µs; 270 bytes |
//! | telling it of one more, with others: of Redis's core; on the wire (`XREAD COUNT 512` by redis-benchmark) | 0.32 µs; 225 bytes |
//! | a replica to which nothing happens, of Redis's core | 60 µs a second |
//!
//! # How many entries there are
//!
//! Only what was revoked before it expired is in the log, and only until it expires. Of 100 million live tokens that live for
//! an hour, let one in a hundred be revoked, halfway through: that is half a million entries at any time, and 280 revocations a
//! second. With one in ten, it is 5 million and 2,800. "Log out everywhere" is one entry, not one per token, and so is a
//! grant with all that stems from it. What has no expiry stays for good, so say when tokens expire:
//! [`Revocation::expires_at`](crate::status::Revocation::expires_at), or
//! [`max_token_lifetime`](super::RedisRevocationsBuilder::max_token_lifetime).
//!
//! # A thousand replicas, 100 million live tokens
//!
//! | | one in a hundred is revoked | one in ten |
//! |---|---|---|
//! | live entries; revocations a second | 0.5 million; 280 | 5 million; 2,800 |
//! | memory of each replica | 21 MB | 210 MB |
//! | memory of Redis, with a stream of 100,000 | 57 MB | 390 MB |
//! | a snapshot; until a replica that starts has it | 38 MB; 0.6 s | 375 MB; 6 s |
//! | a thousand snapshots: of Redis's core; over 10 Gbit/s | 45 s; 30 s | 7.5 min; 5 min |
//! | publishing, of Redis's core | 0.4 % | 4 % |
//! | heartbeats, of Redis's core | 6 % | 6 % |
//! | telling every replica of everything, in as few words as can be: of Redis's core; on the wire | 9 %; 0.5 Gbit/s | 90 %; 5 Gbit/s |
//! | what is left for waking them: so often each; so a revocation waits for | 100 times a second; 10 ms | none |
//!
//! The fan-out is what gives out first, and it gives out gently. Telling each replica of each event as it comes would take 2.4
//! cores with 280 a second. But a reader that was not told at once gets all that has come since with its next question, so
//! that a Redis whose core is busy tells them later and more at a time: after 10 milliseconds instead of one or two. With
//! 2,800 a second even that is more than one core can do: readers fall behind, are stale, and deny. That log is to be divided.
//!
//! A rollout takes a snapshot for each replica that starts. The stream has to go back to before that was begun, or there is
//! another: keep more events than are published in the time that it takes, with room to spare. Whoever was away for less than the stream goes back takes none: for
//! ten minutes at 280 a second, [`kept_events`](super::RedisRevocationsBuilder::kept_events) of 168,000, and 34 MB.
//!
//! # What to divide by
//!
//! By issuer, or by tenant where each is an issuer: a log for each ([`prefix`](super::RedisBuilder::prefix)) on as many servers
//! as it takes, followed with [`Issuer::revocation_feed`](crate::Issuer::revocation_feed). The tokens of all of them are looked
//! for in one index in memory; an authorizer follows up to 200 feeds; and a log that is stale is nobody's trouble but that of
//! its issuer's tokens. In a cluster, prefixes spread over the slots by themselves.
//!
//! Where replicas serve some tenants only, each follows their logs alone, and memory and fan-out shrink with that. Not by
//! token: every replica would follow every part.
