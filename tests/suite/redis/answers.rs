//! Replicas that share what an issuer says through a real Redis: one question for all, whatever becomes of Redis.

use std::{pin::pin, sync::Arc, time::Duration};

use portcullis::{
    Authorizer, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    clock::{Clock as _, SystemClock},
    redis::{Redis, SharedRecords},
    sharing::SharedSecret,
    status::{FeedPolicy, Revocation, RevocationEvent, RevocationLog, SharedAnswers, StatusPolicy},
    testing::{ManualClock, TestIssuer, TokenBuilder, UnreliableFeed},
};

use super::server::RedisServer;
use crate::{
    process::within,
    status::source::{Says, Scripted},
    support::bearer,
};

const SECOND: Duration = Duration::from_secs(1);

/// Replicas on one clock, one issuer that is asked, one Redis.
struct Fleet {
    clock: ManualClock,
    issuer: TestIssuer,
    source: Scripted,
    records: SharedRecords,
    /// Of one use of Redis, by the clock that is moved by hand.
    timeout: Duration,
}

impl Fleet {
    fn new(server: &RedisServer) -> Self {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
        let redis = Redis::at(&server.url()).unwrap().build().unwrap();
        let records = SharedRecords::new(&redis).timed_by(clock.clone());
        Self { clock, issuer, source: Scripted::new(Says::Active), records, timeout: Duration::from_millis(50) }
    }

    async fn replica(&self) -> Authorizer {
        self.replica_with(|issuer| issuer).await
    }

    async fn replica_with(&self, change: impl FnOnce(Issuer) -> Issuer) -> Authorizer {
        let secret = SharedSecret::new("the secret of these replicas, long").unwrap();
        let answers = SharedAnswers::through(self.records.clone(), secret).timeout(self.timeout);
        let issuer = Issuer::discover(self.issuer.url())
            .audience(TokenBuilder::AUDIENCE)
            .status_source(self.source.clone())
            .status_policy(StatusPolicy::default().attempt_timeout(self.timeout * 20).without_renewal_ahead())
            .shared_answers(answers);
        let authorizer = Authorizer::builder()
            .issuer(change(issuer))
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(self.issuer.transport())
            .clock(self.clock.clone())
            .build()
            .unwrap();
        authorizer.ready(SECOND).await.unwrap();
        authorizer
    }
}

async fn ask(authorizer: &Authorizer, token: &str, requirement: Requirement) -> Result<(), RejectionKind> {
    let (headers, requirement) = (bearer(token), Arc::new(requirement));
    let permit = authorizer.authorize(&authorizer.input(&headers, &requirement)).await;
    permit.map(drop).map_err(|rejection| rejection.kind())
}

async fn cached(authorizer: &Authorizer, token: &str) -> Result<(), RejectionKind> {
    ask(authorizer, token, Requirement::authenticated()).await
}

/// How many records are there.
fn records(server: &RedisServer) -> usize {
    server.cli(&["KEYS", "*shared:*"]).lines().filter(|key| key.contains("shared") && !key.ends_with("lease")).count()
}

/// Waits until so many records are there.
async fn until_shared(server: &RedisServer, count: usize) {
    server.until("what was asked is shared", |server| records(server) == count).await;
}

#[tokio::test]
async fn fifty_replicas_ask_once_threat_22() {
    let Some(server) = RedisServer::start().await else { return };
    let fleet = Fleet::new(&server);
    let token = fleet.issuer.token().build();
    let mut replicas = Vec::new();
    for _ in 0..50 {
        replicas.push(fleet.replica().await);
    }
    assert_eq!(cached(&replicas[0], &token).await, Ok(()));
    until_shared(&server, 1).await;
    for replica in &replicas {
        assert_eq!(cached(replica, &token).await, Ok(()));
    }
    assert_eq!(fleet.source.asked(), 1);
    // No name says which token it is, no value what was said.
    let keys = server.cli(&["KEYS", "*"]);
    assert!(!keys.contains(&token[..20]) && !server.cli(&["GET", keys.trim()]).contains("active"), "{keys}");
    // It leaves by itself, when it is of no use any more.
    let left: u64 = server.cli(&["PTTL", keys.trim()]).parse().unwrap();
    assert!((1..=30_000).contains(&left), "{left}");
}

#[tokio::test]
async fn while_one_asks_the_others_wait_and_are_told_threat_22() {
    let Some(server) = RedisServer::start().await else { return };
    // The clock is moved while Redis is at it.
    let fleet = Fleet { timeout: SECOND * 60, ..Fleet::new(&server) };
    let token = fleet.issuer.token().build();
    fleet.source.hold();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (replica, token) = (fleet.replica().await, token.clone());
        asking.spawn(async move { cached(&replica, &token).await });
    }
    server.until("one of them asks", |_| fleet.source.asked() == 1).await;
    server.until("it has the lease", |server| server.cli(&["KEYS", "*lease"]).contains("lease")).await;
    fleet.source.release();
    until_shared(&server, 1).await;
    let all = within("the others are told", async {
        let mut all = Vec::new();
        while !asking.is_empty() {
            // Whoever waits looks again after some milliseconds.
            fleet.clock.advance(Duration::from_millis(5));
            SystemClock::new().sleep(Duration::from_millis(5)).await;
            while let Some(answer) = asking.try_join_next() {
                all.push(answer.unwrap());
            }
        }
        all
    });
    assert!(all.await.iter().all(Result::is_ok));
    assert!(fleet.source.asked() <= 3, "{}", fleet.source.asked());
}

#[tokio::test]
async fn an_answer_is_as_old_everywhere_as_it_is_threat_14() {
    let Some(server) = RedisServer::start().await else { return };
    let fleet = Fleet::new(&server);
    let token = fleet.issuer.token().build();
    let [one, other] = [fleet.replica().await, fleet.replica().await];
    assert_eq!(cached(&one, &token).await, Ok(()));
    until_shared(&server, 1).await;
    fleet.source.say(Says::Inactive);
    fleet.clock.advance(SECOND * 20);
    assert_eq!(cached(&other, &token).await, Ok(()), "said twenty seconds ago");
    fleet.clock.advance(SECOND * 11);
    for replica in [&one, &other] {
        assert_eq!(cached(replica, &token).await, Err(RejectionKind::InvalidToken), "31 seconds ago");
    }
}

#[tokio::test]
async fn a_route_that_asks_on_every_request_asks_and_tells_the_others_threat_14() {
    let Some(server) = RedisServer::start().await else { return };
    let fleet = Fleet::new(&server);
    let token = fleet.issuer.token().build();
    let [one, other] = [fleet.replica().await, fleet.replica().await];
    assert_eq!(cached(&one, &token).await, Ok(()));
    until_shared(&server, 1).await;
    fleet.clock.advance(SECOND);
    fleet.source.say(Says::Inactive);
    let record = || server.cli(&["--no-raw", "GET", server.cli(&["KEYS", "*shared:*"]).trim()]);
    let before = record();
    let fresh = Requirement::authenticated().status_on_every_request();
    assert_eq!(ask(&other, &token, fresh).await, Err(RejectionKind::InvalidToken));
    server.until("it is shared", |_| record() != before).await;
    let third = fleet.replica().await;
    assert_eq!(cached(&third, &token).await, Err(RejectionKind::InvalidToken));
    assert_eq!(fleet.source.asked(), 2);
}

#[tokio::test]
async fn no_answer_of_another_undoes_a_revocation_that_was_heard_threat_15() {
    let Some(server) = RedisServer::start().await else { return };
    let fleet = Fleet::new(&server);
    let token = fleet.issuer.token().claim("jti", "one").build();
    let log = RevocationLog::builder().clock(fleet.clock.clone()).build();
    let line = UnreliableFeed::new(log.clone());
    let hearing = fleet.replica_with(|issuer| issuer.revocation_feed(log.clone(), FeedPolicy::default())).await;
    let deaf = fleet.replica_with(|issuer| issuer.revocation_feed(line.clone(), FeedPolicy::default())).await;
    line.partition();
    let revocation = Revocation::token_id(Some(fleet.issuer.url()), "one");
    log.publish(RevocationEvent::Revoked(revocation)).unwrap();
    fleet.clock.settle().await;
    let fresh = || Requirement::authenticated().status_on_every_request();
    for _ in 0..3 {
        assert_eq!(ask(&deaf, &token, fresh()).await, Ok(()), "it has not heard, and the issuer stands by it");
        until_shared(&server, 1).await;
        fleet.clock.advance(SECOND / 100);
        for requirement in [Requirement::authenticated(), fresh(), Requirement::authenticated().max_status_age(SECOND)]
        {
            assert_eq!(ask(&hearing, &token, requirement).await, Err(RejectionKind::InvalidToken));
        }
    }
}

/// What each of two replicas comes to with one new token, one after the other, and how often that was asked about.
struct Rounds<'f> {
    fleet: &'f Fleet,
    replicas: [Authorizer; 2],
    number: u64,
}

impl Rounds<'_> {
    /// Moves the clock while somebody waits, where `hangs`.
    async fn play(&mut self, server: &RedisServer, hangs: bool) -> u64 {
        self.number += 1;
        let token = self.fleet.issuer.token().claim("n", self.number).build();
        let (asked, real) = (self.fleet.source.asked(), SystemClock::new());
        for replica in &self.replicas {
            let before = if hangs || server.id().is_none() { 0 } else { records(server) };
            let mut answer = pin!(cached(replica, &token));
            let answer = within("an answer", async {
                loop {
                    tokio::select! {
                        biased;
                        answer = &mut answer => return answer,
                        () = real.sleep(Duration::from_millis(5)) => {}
                    }
                    if hangs {
                        self.fleet.clock.advance(Duration::from_millis(5));
                    }
                }
            });
            assert_eq!(answer.await, Ok(()));
            // What was asked is shared soon, where it can be.
            for _ in 0..20 {
                if server.id().is_some() && !hangs && records(server) > before {
                    break;
                }
                real.sleep(Duration::from_millis(5)).await;
            }
        }
        // The pause after a failure.
        self.fleet.clock.advance(SECOND);
        self.fleet.clock.settle().await;
        self.fleet.source.asked() - asked
    }

    /// Until one question is enough again: a connection has to be made anew.
    async fn until_shared(&mut self, server: &RedisServer) {
        within("one question is enough", async {
            loop {
                server.cli(&["FLUSHALL"]);
                if self.play(server, false).await == 1 {
                    return;
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn redis_killed_hanging_or_full_only_costs_questions_threat_17() {
    let Some(mut server) = RedisServer::start().await else { return };
    let fleet = Fleet::new(&server);
    let replicas = [fleet.replica().await, fleet.replica().await];
    let mut rounds = Rounds { fleet: &fleet, replicas, number: 0 };
    assert_eq!(rounds.play(&server, false).await, 1);
    server.kill().await;
    assert_eq!(rounds.play(&server, false).await, 2, "killed");
    server.restart().await;
    rounds.until_shared(&server).await;
    server.pause();
    assert_eq!(rounds.play(&server, true).await, 2, "it hangs");
    server.resume();
    rounds.until_shared(&server).await;
    server.cli(&["FLUSHALL"]);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(rounds.play(&server, false).await, 2, "it is full");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    rounds.until_shared(&server).await;
}
