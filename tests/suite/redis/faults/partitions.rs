//! A replica cannot reach Redis, or has no time to, for longer than the log is kept → it denies until it knows everything.

use std::{sync::mpsc, time::Duration};

use portcullis::status::FeedState;
use tokio::sync::oneshot;

use super::{
    builder, established, log, names, redis,
    site::{INVALID, OK, Replica, Site, UNAVAILABLE},
};
use crate::redis::{
    proxy::Proxy,
    server::{IN_MEMORY, RedisServer},
};

/// The stream is trimmed in nodes, of which these are small.
async fn short_log() -> Option<RedisServer> {
    RedisServer::start_with(&[&IN_MEMORY[..], &["--stream-node-max-entries", "4"]].concat()).await
}

#[tokio::test]
async fn who_was_away_for_longer_than_the_log_is_kept_denies_and_then_knows_everything() {
    for bad in [Proxy::cut, Proxy::freeze] {
        let Some(server) = short_log().await else { return };
        let proxy = Proxy::to(server.port()).await;
        let (site, publisher) = (Site::new(), builder(redis(&server.url())).kept_events(8).build().unwrap());
        assert_eq!(publisher.establish(Vec::new()).await, Ok(true));
        let away = site.ready_replica(log(&proxy.url())).await;
        let there = site.ready_replica(log(&server.url())).await;
        publisher.publish(site.revoked("before")).await.unwrap();
        publisher.publish(site.suspended("resumed")).await.unwrap();
        away.until_gets(&site.token("resumed"), INVALID).await;

        let left = away.now();
        bad(&proxy);
        let missed = names("missed", 40);
        for name in &missed {
            publisher.publish(site.revoked(name)).await.unwrap();
        }
        publisher.publish(site.resumed("resumed")).await.unwrap();
        let kept: usize = server.cli(&["XLEN", "{portcullis}:log"]).parse().unwrap();
        assert!(kept < 20, "{kept}");
        let victim = site.token("missed-0");
        away.never_passes_until(&victim, left, "stale", async |away| away.feed().state == FeedState::Stale).await;
        assert_eq!(away.gets(&site.token("good")).await, UNAVAILABLE);
        assert!(away.knows(&site.token("before")).await && !away.knows(&victim).await);
        there.until_gets(&victim, INVALID).await;

        proxy.heal();
        let is_back = async |away: &Replica| away.gets(&site.token("good")).await == OK;
        away.never_passes_until(&victim, left, "back", is_back).await;
        for name in missed.iter().chain(&["before".to_owned()]) {
            assert_eq!(away.gets(&site.token(name)).await, INVALID, "{name}");
        }
        assert_eq!(away.gets(&site.token("resumed")).await, OK, "it was lifted while it was away");
    }
}

#[tokio::test]
async fn what_arrives_late_proves_what_was_true_when_it_was_asked() {
    let Some(server) = RedisServer::start().await else { return };
    let proxy = Proxy::to(server.port()).await;
    let (site, publisher) = (Site::new(), established(&server.url()).await);
    // Nothing but the age of what it hears tells this one that it was away.
    let patient =
        builder(portcullis::redis::Redis::at(&proxy.url()).unwrap().timeout(Duration::from_secs(50)).build().unwrap());
    let policy = portcullis::status::FeedPolicy::default()
        .max_staleness(super::site::MAX_STALENESS)
        .silence(Duration::from_secs(60));
    let away = site.replica_with(patient.build().unwrap(), policy);
    away.synced().await;
    let (victim, left) = (site.token("victim"), away.now());
    // What is on its way says where the log ends, and it goes on after that.
    proxy.mute();
    while !proxy.step().await.contains("role:master") {}
    publisher.publish(site.revoked("victim")).await.unwrap();
    // That was asked a heartbeat after what is known, or somewhat more.
    let is_old = async |away: &Replica| away.feed().staleness_ms > Some(2000);
    away.never_passes_until(&victim, left, "old", is_old).await;
    proxy.step().await;
    // It has come, and was looked at: the next question is answered already.
    assert_eq!((away.feed().state, away.gets(&victim).await), (FeedState::Stale, UNAVAILABLE));
    assert!(!away.knows(&victim).await);
    proxy.heal();
    let is_back = async |away: &Replica| away.gets(&site.token("good")).await == OK;
    away.never_passes_until(&victim, left, "back", is_back).await;
    assert_eq!((away.gets(&victim).await, proxy.connections()), (INVALID, 2), "on the connection that it had");
}

#[tokio::test]
async fn a_redis_that_hangs_proves_nothing_until_it_goes_on() {
    let Some(server) = RedisServer::start().await else { return };
    let (site, log) = (Site::new(), established(&server.url()).await);
    let replica = site.ready_replica(log.clone()).await;
    let (good, since) = (site.token("good"), replica.now());
    server.pause();
    replica.never_passes_until(&good, since, "stale", async |replica| replica.feed().state == FeedState::Stale).await;
    assert!(log.publish(site.revoked("good")).await.is_err(), "nothing is acknowledged");
    server.resume();
    let verdict = async |replica: &Replica| replica.feed().state == FeedState::Synced;
    replica.until("it goes on", verdict).await;
    // What was not acknowledged may take effect all the same; said again, it does.
    log.publish(site.revoked("good")).await.unwrap();
    replica.until_gets(&good, INVALID).await;
}

/// A runtime in a thread of its own, which does nothing else while it is told to wait.
struct Blocked {
    runtime: tokio::runtime::Handle,
    ends: Option<oneshot::Sender<()>>,
}

impl Blocked {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (ends, ended) = oneshot::channel();
        std::thread::spawn(move || runtime.block_on(ended));
        Self { runtime: handle, ends: Some(ends) }
    }

    /// It does nothing until what this returns is dropped.
    async fn block(&self) -> mpsc::Sender<()> {
        let (goes_on, waits) = mpsc::channel::<()>();
        let (is_blocked, blocked) = oneshot::channel();
        self.runtime.spawn(async move {
            is_blocked.send(()).unwrap();
            let _ = waits.recv();
        });
        blocked.await.unwrap();
        goes_on
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        drop(self.ends.take());
    }
}

#[tokio::test]
async fn a_replica_that_has_no_time_to_follow_denies_until_it_has_caught_up() {
    let Some(server) = RedisServer::start().await else { return };
    let (site, publisher) = (Site::new(), established(&server.url()).await);
    let slow = Blocked::new();
    let replica = {
        let _entered = slow.runtime.enter();
        site.replica(log(&server.url()))
    };
    replica.synced().await;
    let (victim, since) = (site.token("missed-0"), replica.now());
    let goes_on = slow.block().await;
    for name in names("missed", 2000) {
        publisher.publish(site.revoked(&name)).await.unwrap();
    }
    replica.never_passes_until(&victim, since, "stale", async |replica| replica.feed().state == FeedState::Stale).await;
    assert!(!replica.knows(&victim).await);
    drop(goes_on);
    let is_back = async |replica: &Replica| replica.gets(&site.token("good")).await == OK;
    let last = site.token("missed-1999");
    replica.never_passes_until(&last, since, "back", is_back).await;
    assert_eq!((replica.gets(&victim).await, replica.gets(&last).await), (INVALID, INVALID));
}
