//! What a broken connection, a replica in the place of its master, or a script that was forgotten come to.

use portcullis::redis::PublishError;

use super::*;

#[tokio::test]
async fn an_event_is_published_though_the_connection_has_broken() {
    let Some((server, log)) = established().await else { return };
    log.publish(revoked("a")).await.unwrap();
    server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    log.publish(revoked("b")).await.unwrap();
    assert_eq!(snapshot(&log).await.unwrap().0.len(), 2);
}

#[tokio::test]
async fn a_script_that_redis_has_forgotten_is_told_again() {
    let Some((server, log)) = established().await else { return };
    server.cli(&["SCRIPT", "FLUSH"]);
    log.publish(revoked("a")).await.unwrap();
}

#[tokio::test]
async fn a_tail_ends_with_its_connection_and_goes_on_with_another() {
    let Some((server, log)) = established().await else { return };
    let mut tail = log.tail(log.head().await.unwrap());
    let cursor = next_heartbeat(&mut tail).await.unwrap().cursor();
    server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    assert!(matches!(next_event(&mut tail).await, Err(FeedError::Unavailable { .. })));
    let next = log.publish(revoked("a")).await.unwrap();
    assert_eq!(next_event(&mut log.tail(cursor)).await, Ok(FeedMessage::event(revoked("a"), cursor, next)));
}

#[tokio::test]
async fn a_server_that_hangs_holds_nobody_up_for_long() {
    let Some((server, _)) = established().await else { return };
    let redis = Redis::at(&server.url()).unwrap().timeout(Duration::from_millis(200)).build().unwrap();
    let log = RedisRevocations::new(redis);
    let head = log.head().await.unwrap();
    server.pause();
    let error = within("an answer", log.publish(revoked("a"))).await.unwrap_err();
    assert!(error.to_string().contains("did not answer"), "{error}");
    assert!(within("an answer", snapshot(&log)).await.is_err());
    assert!(next_heartbeat(&mut log.tail(head)).await.is_err());
    server.resume();
    log.publish(revoked("b")).await.unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_power_failure_if_it_was_written_first() {
    let Some(mut server) = RedisServer::start_with(&server::ON_DISK).await else { return };
    let log = log_at(&server.url());
    assert_eq!(log.establish(vec![revoked("a")]).await, Ok(true));
    let head = log.publish(revoked("b")).await.unwrap();
    server.kill().await;
    assert!(matches!(log.publish(revoked("c")).await, Err(PublishError::Redis(_))));
    assert!(matches!(snapshot(&log).await, Err(FeedError::Unavailable { .. })));
    server.restart().await;
    let (told, cursor) = snapshot(&log).await.unwrap();
    assert_eq!((told.len(), cursor), (2, head));
    assert!(next_heartbeat(&mut log.tail(head)).await.is_ok(), "and who follows goes on");
}

#[tokio::test]
async fn what_was_never_written_is_gone_and_nobody_takes_that_for_an_empty_log_threat_17() {
    let Some((mut server, log)) = established().await else { return };
    log.publish(revoked("a")).await.unwrap();
    server.stop().await;
    server.restart().await;
    assert!(snapshot(&log).await.unwrap_err().to_string().contains("no log"));
    assert_eq!(log.publish(revoked("b")).await, Err(PublishError::NoLog));
}

#[tokio::test]
async fn a_socket_is_as_good_as_a_port() {
    let options = [&server::IN_MEMORY[..], &["--unixsocket", "redis.sock"]].concat();
    let Some(server) = RedisServer::start_with(&options).await else { return };
    let log = log_at(&format!("unix://{}", server.directory().join("redis.sock").display()));
    assert_eq!(log.establish(vec![revoked("a")]).await, Ok(true));
    assert_eq!(snapshot(&log).await.unwrap().0, [revoked("a")]);
}

/// A server that follows another one.
async fn replica_of(master: &RedisServer) -> RedisServer {
    let port = master.port().to_string();
    let options = [&server::IN_MEMORY[..], &["--replicaof", "127.0.0.1", &port]];
    let replica = RedisServer::start_with(&options.concat()).await.unwrap();
    master.until_followed_by(&replica).await;
    replica
}

#[tokio::test]
async fn a_replica_proves_nothing_and_takes_nothing_in_threat_16() {
    let Some((master, log)) = established().await else { return };
    let head = log.publish(revoked("a")).await.unwrap();
    let replica = replica_of(&master).await;
    let there = log_at(&replica.url());
    replica.until("it has it", |replica| replica.cli(&["XLEN", "{portcullis}:log"]) == "2").await;
    assert!(snapshot(&there).await.unwrap_err().to_string().contains("not a master"));
    // What was revoked is told, and nothing is proved.
    let mut tail = there.tail(head);
    let error = next_heartbeat(&mut tail).await.unwrap_err();
    assert!(error.to_string().contains("not a master"), "{error}");
    let next = log.publish(revoked("b")).await.unwrap();
    replica.until("it has it", |replica| replica.cli(&["XLEN", "{portcullis}:log"]) == "3").await;
    assert_eq!(next_event(&mut there.tail(head)).await.unwrap().cursor(), next);
    let refused = there.publish(revoked("c")).await.unwrap_err();
    assert!(refused.to_string().contains("READONLY"), "{refused}");
}

#[tokio::test]
async fn what_is_acknowledged_has_reached_as_many_replicas_as_should_threat_16() {
    let Some((master, log)) = established().await else { return };
    let redis = Redis::at(&master.url()).unwrap().timeout(SECOND).build().unwrap();
    let strict = RedisRevocations::builder(redis).heartbeat(Duration::from_millis(20)).min_replicas(1).build().unwrap();
    let missing = PublishError::NotReplicated { reached: 0, wanted: 1 };
    assert_eq!(strict.publish(revoked("a")).await, Err(missing.clone()));
    assert!(snapshot(&strict).await.unwrap_err().to_string().contains("0 replicas"));
    let head = log.head().await.unwrap();
    let error = next_heartbeat(&mut strict.tail(head)).await.unwrap_err();
    assert!(error.to_string().contains("0 replicas"), "{error}");

    let replica = replica_of(&master).await;
    master.until("it is heard", |master| master.cli(&["INFO", "replication"]).contains("state=online")).await;
    // On a busy machine it may take its time.
    let cursor = acknowledged(&strict, "b").await;
    assert_eq!(replica.cli(&["HGET", "{portcullis}:head", "head"]), cursor.to_string());
    assert_eq!(snapshot(&strict).await.unwrap().1, cursor);
    assert_eq!(next_heartbeat(&mut strict.tail(cursor)).await.unwrap().cursor(), cursor);
    // It hangs: what is published is in the log, and not acknowledged.
    replica.pause();
    assert_eq!(strict.publish(revoked("c")).await, Err(missing));
    assert!(log.head().await.unwrap() > cursor);
    replica.resume();
    acknowledged(&strict, "d").await;
}

/// Published until it is acknowledged.
async fn acknowledged(log: &RedisRevocations, id: &str) -> Cursor {
    within("the word of a replica", async {
        loop {
            match log.publish(revoked(id)).await {
                Ok(cursor) => return cursor,
                Err(error) => assert!(matches!(error, PublishError::NotReplicated { .. }), "{error}"),
            }
        }
    })
    .await
}
