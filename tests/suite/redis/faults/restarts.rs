//! Redis is killed and comes back, with everything, with nothing, or with what was on disk by then.

use portcullis::{redis::PublishError, status::FeedState};

use super::{
    established, log, names,
    site::{INVALID, OK, Replica, Site, UNAVAILABLE},
};
use crate::redis::server::{IN_MEMORY, ON_DISK, RedisServer};

/// On disk within two seconds, or so.
const SOON_ON_DISK: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"];

/// On disk when told to.
const BY_HAND: [&str; 4] = ["--save", "3600 1", "--appendonly", "no"];

async fn all_are_refused_by(replica: &Replica, site: &Site, names: &[String]) {
    for name in names {
        assert_eq!(replica.gets(&site.token(name)).await, INVALID, "{name}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_killed_redis_that_keeps_its_log_on_disk() {
    for options in [ON_DISK, SOON_ON_DISK] {
        let Some(mut server) = RedisServer::start_with(&options).await else { return };
        let (site, log) = (Site::new(), established(&server.url()).await);
        let first = site.ready_replica(log.clone()).await;
        let (good, revoked) = (site.token("good"), names("revoked", 30));
        for name in &revoked {
            log.publish(site.revoked(name)).await.unwrap();
        }
        log.publish(site.suspended("suspended")).await.unwrap();
        if options == SOON_ON_DISK {
            let is_written = ["aof_buffer_length:0", "aof_pending_bio_fsync:0"];
            server
                .until("the file is written", |server| {
                    let state = server.cli(&["INFO", "persistence"]);
                    is_written.iter().all(|line| state.contains(line))
                })
                .await;
        }
        let killed = first.now();
        server.kill().await;
        assert!(matches!(log.publish(site.revoked("later")).await, Err(PublishError::Redis(_))));
        first.never_passes_until(&good, killed, "stale", async |first| first.feed().state == FeedState::Stale).await;
        assert_eq!(first.gets(&good).await, UNAVAILABLE);
        assert!(first.knows(&site.token("revoked-29")).await && first.feed().trouble.is_some());

        server.restart().await;
        let later = site.ready_replica(log.clone()).await;
        first.until_gets(&good, OK).await;
        assert_eq!(later.gets(&good).await, OK);
        for replica in [&first, &later] {
            all_are_refused_by(replica, &site, &revoked).await;
            all_are_refused_by(replica, &site, &["suspended".to_owned()]).await;
        }
        log.publish(site.revoked("good")).await.unwrap();
        first.until_gets(&good, INVALID).await;
        later.until_gets(&good, INVALID).await;
    }
}

#[tokio::test]
async fn a_log_that_is_gone_is_no_empty_log_threat_17() {
    let Some(mut server) = RedisServer::start_with(&IN_MEMORY).await else { return };
    let (site, log) = (Site::new(), established(&server.url()).await);
    let first = site.ready_replica(log.clone()).await;
    let (good, revoked) = (site.token("good"), site.token("revoked"));
    log.publish(site.revoked("revoked")).await.unwrap();
    first.until_gets(&revoked, INVALID).await;
    let killed = first.now();
    server.kill().await;
    server.restart().await;

    let is_told = async |replica: &Replica| replica.feed().trouble.is_some_and(|why| why.contains("no log"));
    first.never_passes_until(&good, killed, "the loss is told", is_told).await;
    first.never_passes_until(&good, killed, "stale", async |first| first.feed().state == FeedState::Stale).await;
    let later = site.replica(log.clone());
    later.until("the loss is told", is_told).await;
    assert_eq!(log.publish(site.revoked("other")).await, Err(PublishError::NoLog));
    assert_eq!((later.feed().state, later.gets(&good).await), (FeedState::Never, UNAVAILABLE));
    assert_eq!((first.feed().state, first.gets(&good).await), (FeedState::Stale, UNAVAILABLE));
    assert!(first.knows(&revoked).await, "what it knew it knows");

    // Somebody says what there was: here, that there was something else.
    assert_eq!(log.establish(vec![site.revoked("kept elsewhere")]).await, Ok(true));
    first.until_gets(&good, OK).await;
    later.until_gets(&good, OK).await;
    let kept = site.token("kept elsewhere");
    assert_eq!((first.gets(&kept).await, later.gets(&kept).await), (INVALID, INVALID));
    assert_eq!(first.gets(&revoked).await, INVALID, "what it knew it knows");
    assert_eq!(later.gets(&revoked).await, OK, "this is what was lost");
}

#[tokio::test]
async fn what_came_after_the_last_save_is_lost_for_those_who_come_later_alone() {
    let Some(mut server) = RedisServer::start_with(&BY_HAND).await else { return };
    let (site, log) = (Site::new(), established(&server.url()).await);
    let first = site.ready_replica(log.clone()).await;
    log.publish(site.revoked("saved")).await.unwrap();
    server.cli(&["SAVE"]);
    for name in names("lost", 3) {
        log.publish(site.revoked(&name)).await.unwrap();
    }
    let (saved, lost, good) = (site.token("saved"), site.token("lost-2"), site.token("good"));
    first.until_gets(&lost, INVALID).await;
    let logged = super::logged::Logged::new();
    server.kill().await;
    server.restart().await;
    let has_gone_back =
        ["the log ends before what we have read of it", "the log does not reach back to where we stand"];
    first.until("the loss is told", async |_| has_gone_back.iter().any(|why| logged.text().contains(why))).await;
    first.until_gets(&good, OK).await;
    let later = site.ready_replica(log.clone()).await;
    let verdicts = async |replica: &Replica| (replica.gets(&saved).await, replica.gets(&lost).await);
    assert_eq!(verdicts(&first).await, (INVALID, INVALID));
    assert_eq!(verdicts(&later).await, (INVALID, OK), "this is what was lost");
    log.publish(site.revoked("good")).await.unwrap();
    first.until_gets(&good, INVALID).await;
    later.until_gets(&good, INVALID).await;
}

#[tokio::test]
async fn whoever_was_away_while_the_log_went_back_and_on_misses_nothing_of_it() {
    let Some(mut server) = RedisServer::start_with(&BY_HAND).await else { return };
    let proxy = crate::redis::proxy::Proxy::to(server.port()).await;
    let (site, direct) = (Site::new(), established(&server.url()).await);
    let away = site.ready_replica(log(&proxy.url())).await;
    direct.publish(site.revoked("saved")).await.unwrap();
    server.cli(&["SAVE"]);
    let read = direct.publish(site.revoked("lost")).await.unwrap();
    away.until_gets(&site.token("lost"), INVALID).await;
    let left = away.now();
    proxy.cut();
    server.kill().await;
    server.restart().await;
    let new = names("new", 5);
    let mut reached = read;
    for name in &new {
        reached = direct.publish(site.revoked(name)).await.unwrap();
    }
    assert!(reached > read, "by its end alone the log looks as if it went on");
    away.never_passes_until(&site.token("new-0"), left, "stale", async |away| away.feed().state == FeedState::Stale)
        .await;
    proxy.heal();
    let knows = async |away: &Replica| away.knows(&site.token("new-4")).await;
    away.never_passes_until(&site.token("new-0"), left, "all of it", knows).await;
    away.until_gets(&site.token("good"), OK).await;
    all_are_refused_by(&away, &site, &new).await;
    all_are_refused_by(&away, &site, &["saved".to_owned(), "lost".to_owned()]).await;
}
