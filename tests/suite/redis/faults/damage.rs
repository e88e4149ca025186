//! Somebody trims the stream, or deletes what is ours → a snapshot, or nobody believes what is left.

use portcullis::{redis::RedisRevocations, status::FeedState};

use super::{
    established, log, names,
    site::{INVALID, OK, Replica, Site, UNAVAILABLE},
};
use crate::redis::{proxy::Proxy, server::RedisServer};

const LOG: &str = "{portcullis}:log";

/// A log with a revocation, a suspension, and another issuer.
async fn filled(server: &RedisServer, site: &Site) -> RedisRevocations {
    let log = established(&server.url()).await;
    let elsewhere = portcullis::status::Revocation::token_id(Some("https://other.test"), "elsewhere");
    let for_good = portcullis::status::RevocationEvent::Revoked(elsewhere);
    log.publish_all(vec![for_good, site.revoked("revoked"), site.suspended("suspended")]).await.unwrap();
    log
}

async fn refuses_both(replica: &Replica, site: &Site) -> bool {
    replica.knows(&site.token("revoked")).await && replica.knows(&site.token("suspended")).await
}

#[tokio::test]
async fn a_stream_that_is_emptied_takes_nothing_from_anybody() {
    for command in [&["XTRIM", LOG, "MAXLEN", "0"][..], &["DEL", LOG]] {
        let Some(server) = RedisServer::start().await else { return };
        let (site, proxy) = (Site::new(), Proxy::to(server.port()).await);
        let publisher = filled(&server, &site).await;
        let (there, away) = (site.ready_replica(publisher.clone()).await, site.ready_replica(log(&proxy.url())).await);
        let victim = site.token("missed-2");
        let left = away.now();
        proxy.freeze();
        for name in names("missed", 3) {
            publisher.publish(site.revoked(&name)).await.unwrap();
        }
        there.until_gets(&victim, INVALID).await;
        server.cli(command);
        proxy.heal();
        let is_back = async |away: &Replica| away.gets(&site.token("good")).await == OK && away.knows(&victim).await;
        away.never_passes_until(&victim, left, "back", is_back).await;
        let later = site.ready_replica(publisher.clone()).await;
        for replica in [&there, &away, &later] {
            assert!(replica.knows(&victim).await && refuses_both(replica, &site).await, "{command:?}");
        }
        // And it goes on.
        publisher.publish(site.revoked("next")).await.unwrap();
        for replica in [&there, &away, &later] {
            replica.until_gets(&site.token("next"), INVALID).await;
        }
    }
}

#[tokio::test]
async fn without_the_head_there_is_no_log_until_somebody_says_what_there_was() {
    let Some(server) = RedisServer::start().await else { return };
    let site = Site::new();
    let log = filled(&server, &site).await;
    let replica = site.ready_replica(log.clone()).await;
    let (good, since) = (site.token("good"), replica.now());
    server.cli(&["DEL", "{portcullis}:head"]);
    assert!(log.publish(site.revoked("x")).await.is_err());
    replica.never_passes_until(&good, since, "stale", async |replica| replica.feed().state == FeedState::Stale).await;
    assert!(refuses_both(&replica, &site).await);
    assert_eq!(log.establish(vec![site.suspended("suspended")]).await, Ok(true));
    replica.until_gets(&good, OK).await;
    let later = site.ready_replica(log.clone()).await;
    assert!(refuses_both(&replica, &site).await && refuses_both(&later, &site).await, "the entries were still there");
}

#[tokio::test]
async fn what_somebody_deletes_is_missed_and_nobody_believes_what_is_left() {
    let Some(server) = RedisServer::start().await else { return };
    let site = Site::new();
    filled(&server, &site).await;
    let all = server.cli(&["KEYS", "{portcullis}:*"]);
    let kinds = |key: &&str| key.split(':').nth(1).unwrap().to_owned();
    let keys: Vec<_> = all.lines().filter(|key| !["log", "head"].contains(&&*kinds(key))).collect();
    let found: std::collections::BTreeSet<_> = keys.iter().map(kinds).collect();
    assert_eq!(found, ["b", "issuers", "p", "r", "slices", "suspended"].map(str::to_owned).into(), "{keys:?}");
    let mut denied = std::collections::BTreeSet::new();
    for key in &keys {
        // Once as it is, and once where others came after that.
        for goes_on in [false, true] {
            server.cli(&["FLUSHALL"]);
            let log = filled(&server, &site).await;
            let there = site.ready_replica(log.clone()).await;
            server.cli(&["DEL", key]);
            if goes_on {
                log.publish_all(vec![site.revoked("next"), site.suspended("other")]).await.unwrap();
                there.until_gets(&site.token("other"), INVALID).await;
            }
            let later = site.replica(log.clone());
            let has_looked =
                async |replica: &Replica| replica.feed().trouble.is_some() || replica.feed().state == FeedState::Synced;
            later.until("it has looked", has_looked).await;
            if later.feed().state == FeedState::Synced {
                assert!(refuses_both(&later, &site).await, "{key}");
            } else {
                assert!(later.feed().trouble.unwrap().contains("missing"), "{key}: {:?}", later.feed());
                assert_eq!(later.gets(&site.token("good")).await, UNAVAILABLE, "{key}");
                denied.insert(kinds(key));
            }
            assert!(refuses_both(&there, &site).await && there.gets(&site.token("good")).await == OK, "{key}");
        }
    }
    // Without the others nothing is missing.
    assert_eq!(denied, ["b", "issuers", "r", "suspended"].map(str::to_owned).into());
}
