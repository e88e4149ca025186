//! The master is lost, replaced, cut off, or none at all → who relies on it, and for how long.

use std::time::Duration;

use portcullis::{
    redis::{PublishError, Redis, RedisRevocations},
    status::{FeedPolicy, FeedState},
};

use super::{
    builder, established, log, names, redis,
    sentinels::{MASTER, Sentinels, replicated},
    site::{INVALID, OK, Replica, Site},
};
use crate::redis::{
    proxy::Proxy,
    server::{IN_MEMORY, RedisServer},
};

const MAX_STALENESS: Duration = Duration::from_secs(3);

/// What is known of replicas is up to two seconds old.
fn policy() -> FeedPolicy {
    FeedPolicy::default()
        .max_staleness(MAX_STALENESS)
        .silence(Duration::from_millis(1200))
        .pause_bounds(Duration::from_millis(20), Duration::from_millis(200))
}

fn watched(set: &Sentinels) -> RedisRevocations {
    let urls = set.urls();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let redis = Redis::sentinel(&urls, MASTER).unwrap().timeout(Duration::from_secs(1)).build().unwrap();
    builder(redis).min_replicas(1).build().unwrap()
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost_with_the_master() {
    let Some(mut set) = Sentinels::start().await else { return };
    let (site, log) = (Site::new(), watched(&set));
    assert_eq!(log.establish(Vec::new()).await, Ok(true));
    let replicas = [site.replica_with(log.clone(), policy()), site.replica_with(watched(&set), policy())];
    for replica in &replicas {
        replica.synced().await;
    }
    let mut acknowledged = Vec::new();
    for name in names("before", 20) {
        log.publish(site.revoked(&name)).await.unwrap();
        acknowledged.push(name);
    }
    set.servers[0].kill().await;
    // Who publishes goes on, again and again.
    let (mut after, mut tries) = (0, 0);
    crate::process::within("another master", async {
        while after < 20 {
            let name = format!("try-{tries}");
            tries += 1;
            match log.publish(site.revoked(&name)).await {
                Ok(_) => {
                    acknowledged.push(name);
                    after += 1;
                }
                // Where the test fails, this says why.
                Err(error) => {
                    println!("{name}: {error}");
                    set.insist_after(tries);
                    replicas[0].pause().await;
                }
            }
        }
    })
    .await;
    let master = set.until_not(0).await;
    assert!(tries > 20 && master != 0);
    let later = site.replica_with(log.clone(), policy());
    let last = site.token(acknowledged.last().unwrap());
    for replica in replicas.iter().chain([&later]) {
        replica.synced().await;
        replica.until_gets(&last, INVALID).await;
        for name in &acknowledged {
            assert!(replica.knows(&site.token(name)).await, "{name}");
        }
        replica.until_gets(&site.token("good"), OK).await;
    }
}

#[tokio::test]
async fn a_master_that_hung_while_it_was_replaced_proves_nothing_when_it_goes_on() {
    let Some(set) = Sentinels::start().await else { return };
    let (site, log) = (Site::new(), watched(&set));
    assert_eq!(log.establish(Vec::new()).await, Ok(true));
    // It keeps its connection to the old master, whatever happens.
    let old = &set.servers[0];
    let direct = Redis::at(&old.url()).unwrap().timeout(Duration::from_secs(50)).build().unwrap();
    let loyal =
        site.replica_with(builder(direct).min_replicas(1).build().unwrap(), policy().silence(Duration::from_secs(60)));
    let other = site.replica_with(log.clone(), policy());
    loyal.synced().await;
    other.synced().await;
    old.pause();
    set.until_not(0).await;
    let victim = site.token("victim");
    loyal
        .until("it is acknowledged", async |loyal| {
            let is_acknowledged = log.publish(site.revoked("victim")).await.is_ok();
            if !is_acknowledged {
                loyal.pause().await;
            }
            is_acknowledged
        })
        .await;
    let acknowledged = loyal.now();
    other.until_gets(&victim, INVALID).await;
    loyal.stale().await;
    assert!(!loyal.knows(&victim).await);
    old.resume();
    // Once it is a replica of the new one, it has that entry; and does not vouch for it.
    let is_replica = async |_: &Replica| old.try_cli(&["ROLE"]).starts_with("slave");
    loyal.never_passes_beyond(acknowledged + MAX_STALENESS, &victim, "it is told", is_replica).await;
    loyal
        .until("the role is noticed", async |loyal| loyal.feed().trouble.is_some_and(|why| why.contains("master")))
        .await;
    assert_ne!(loyal.feed().state, FeedState::Synced);
    assert_ne!(loyal.gets(&site.token("good")).await, OK);
}

#[tokio::test]
async fn a_master_that_its_replicas_have_lost_proves_nothing_and_acknowledges_nothing() {
    let Some(master) = RedisServer::start().await else { return };
    let line = Proxy::to(master.port()).await;
    let of = format!("127.0.0.1 {}", line.port());
    let options = [&IN_MEMORY[..], &["--replicaof", &of]].concat();
    let Some(replica) = RedisServer::start_with(&options).await else { return };
    master.until_followed_by(&replica).await;
    let (site, log) = (Site::new(), builder(redis(&master.url())).min_replicas(1).build().unwrap());
    assert_eq!(log.establish(Vec::new()).await, Ok(true));
    let reader = site.replica_with(log.clone(), policy());
    reader.synced().await;
    log.publish(site.revoked("before")).await.unwrap();
    reader.until_gets(&site.token("before"), INVALID).await;

    for bad in [Proxy::freeze, Proxy::cut] {
        bad(&line);
        let cut = reader.now();
        let refused = log.publish(site.revoked("during")).await;
        assert_eq!(refused, Err(PublishError::NotReplicated { reached: 0, wanted: 1 }));
        let good = site.token("good");
        let is_stale = async |reader: &Replica| reader.feed().state != FeedState::Synced;
        reader.never_passes_beyond(cut + MAX_STALENESS, &good, "stale", is_stale).await;
        assert!(reader.knows(&site.token("during")).await, "whoever says so, it is refused");
        line.heal();
        reader.until_gets(&good, OK).await;
        log.publish(site.revoked("after")).await.unwrap();
    }
}

#[tokio::test]
async fn a_replica_vouches_for_nothing() {
    let Some(servers) = replicated(1).await else { return };
    let site = Site::new();
    let log_there = established(&servers[0].url()).await;
    log_there.publish(site.revoked("revoked")).await.unwrap();
    let wrong = log(&servers[1].url());
    let reader = site.replica(wrong.clone());
    reader
        .until("it is told", async |reader| reader.feed().trouble.is_some_and(|why| why.contains("not a master")))
        .await;
    assert_eq!(reader.feed().state, FeedState::Never);
    assert_ne!(reader.gets(&site.token("good")).await, OK);
    assert!(matches!(wrong.publish(site.revoked("x")).await, Err(PublishError::Redis(_))));
}

#[tokio::test]
async fn a_reader_of_a_history_that_was_rewritten_misses_nothing_of_the_new_one() {
    let Some(servers) = replicated(1).await else { return };
    let (old, new) = (&servers[0], &servers[1]);
    let line = Proxy::to(old.port()).await;
    let (site, publisher) = (Site::new(), established(&old.url()).await);
    let reader = site.ready_replica(log(&line.url())).await;
    publisher.publish(site.revoked("both")).await.unwrap();
    let end = |server: &RedisServer| server.cli(&["HGET", "{portcullis}:head", "head"]);
    new.until("it has it", |new| end(new) == end(old)).await;
    // From here on, each has what the other one lacks.
    new.cli(&["REPLICAOF", "NO", "ONE"]);
    let elsewhere = log(&new.url());
    for (of_old, of_new) in names("old", 3).iter().zip(&names("new", 6)) {
        elsewhere.publish(site.revoked(of_new)).await.unwrap();
        publisher.publish(site.revoked(of_old)).await.unwrap();
    }
    reader.until_gets(&site.token("old-2"), INVALID).await;
    let left = reader.now();
    line.cut();
    // By its positions, the new history goes on where the old one ended.
    for name in &names("new", 6)[3..] {
        elsewhere.publish(site.revoked(name)).await.unwrap();
    }
    old.cli(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    new.until_followed_by(old).await;
    old.cli(&["REPLICAOF", "NO", "ONE"]);
    line.heal();
    let victim = site.token("new-0");
    let knows = async |reader: &Replica| reader.knows(&site.token("new-5")).await;
    reader.never_passes_until(&victim, left, "all of it", knows).await;
    reader.until_gets(&site.token("good"), OK).await;
    for name in names("new", 6).iter().chain(&names("old", 3)).chain(&["both".to_owned()]) {
        assert_eq!(reader.gets(&site.token(name)).await, INVALID, "{name}");
    }
}
