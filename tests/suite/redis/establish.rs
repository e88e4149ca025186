//! The beginning of a log: explicit, once, and with all that was revoked before.

use portcullis::redis::PublishError;

use super::*;

#[tokio::test]
async fn a_log_begins_with_what_was_revoked_before() {
    let Some(server) = RedisServer::start().await else { return };
    let log = log_at(&server.url());
    assert!(matches!(snapshot(&log).await, Err(FeedError::Unavailable { .. })));
    assert_eq!(log.publish(revoked("s")).await, Err(PublishError::NoLog));
    let mut events: Vec<_> = (0..600).map(|id| revoked(&id.to_string())).collect();
    events.push(RevocationEvent::Suspended(session("a")));
    events.push(RevocationEvent::Suspended(session("b")));
    events.push(RevocationEvent::Resumed(session("a")));
    assert_eq!(log.establish(events).await, Ok(true));
    let (told, cursor) = snapshot(&log).await.unwrap();
    assert_eq!(told.len(), 601);
    assert!(told.contains(&RevocationEvent::Suspended(session("b"))));
    assert_eq!((log.head().await, cursor > Cursor::START), (Ok(cursor), true));
    assert_eq!(next_heartbeat(&mut log.tail(cursor)).await.unwrap().cursor(), cursor);
    log.publish(revoked("s")).await.unwrap();
}

#[tokio::test]
async fn a_log_that_is_there_is_left_as_it_is() {
    let Some((_server, log)) = established().await else { return };
    let head = log.publish(revoked("s")).await.unwrap();
    for events in [vec![], vec![revoked("t"), RevocationEvent::Suspended(session("u"))]] {
        assert_eq!(log.establish(events).await, Ok(false));
        assert_eq!(snapshot(&log).await, Ok((vec![revoked("s")], head)));
    }
}

#[tokio::test]
async fn of_many_who_establish_it_one_does() {
    let Some(server) = RedisServer::start().await else { return };
    let logs: Vec<_> = (0..8).map(|_| log_at(&server.url())).collect();
    let mut establishing = Vec::new();
    for (log, id) in logs.into_iter().zip(0..) {
        let events = vec![revoked(&format!("r-{id}")), RevocationEvent::Suspended(session(&format!("s-{id}")))];
        establishing.push(tokio::spawn(async move { log.establish(events).await.unwrap() }));
    }
    let mut winners = Vec::new();
    for (establishing, id) in establishing.into_iter().zip(0..) {
        if establishing.await.unwrap() {
            winners.push(id);
        }
    }
    let [winner] = *winners else { panic!("{winners:?}") };
    let (told, _) = snapshot(&log_at(&server.url())).await.unwrap();
    assert!(told.contains(&revoked(&format!("r-{winner}"))), "{told:?}");
    let suspended: Vec<_> = told.iter().filter(|event| matches!(event, RevocationEvent::Suspended(_))).collect();
    assert_eq!(suspended, [&RevocationEvent::Suspended(session(&format!("s-{winner}")))]);
}

#[tokio::test]
async fn what_an_establishment_that_broke_off_has_suspended_is_not_suspended_for_ever() {
    let Some(server) = RedisServer::start().await else { return };
    server.cli(&["HSET", "{portcullis}:suspended", "S:left", "||"]);
    server.cli(&["ZADD", "{portcullis}:suspended:ends", "5", "S:left"]);
    let log = log_at(&server.url());
    assert_eq!(log.establish(vec![]).await, Ok(true));
    assert_eq!(snapshot(&log).await.unwrap().0, []);
}

#[tokio::test]
async fn a_redis_that_may_evict_revocations_is_refused_threat_28() {
    let Some(server) = RedisServer::start().await else { return };
    let log = log_at(&server.url());
    assert_eq!(log.establish(vec![]).await, Ok(true));
    let head = log.head().await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    assert!(snapshot(&log).await.is_ok(), "without a limit nothing is evicted");
    server.cli(&["CONFIG", "SET", "maxmemory", "100mb"]);
    let refused = PublishError::Evicts("volatile-lru".to_owned());
    let newcomer = log_at(&server.url());
    assert_eq!(newcomer.publish(revoked("s")).await, Err(refused.clone()));
    assert_eq!(newcomer.establish(vec![]).await, Err(refused));
    for error in [snapshot(&log).await.unwrap_err(), next_heartbeat(&mut log.tail(head)).await.unwrap_err()] {
        assert!(error.to_string().contains("volatile-lru"), "{error}");
    }
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    newcomer.publish(revoked("s")).await.unwrap();
    assert!(snapshot(&log).await.is_ok());
}

#[tokio::test]
async fn a_redis_without_memory_says_so_and_changes_nothing() {
    let Some((server, log)) = established().await else { return };
    let head = log.publish(revoked("s")).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = log.publish(revoked("t")).await.unwrap_err();
    assert!(error.to_string().contains("OOM"), "{error}");
    assert_eq!(snapshot(&log).await, Ok((vec![revoked("s")], head)), "reading goes on");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    log.publish(revoked("t")).await.unwrap();
}

#[tokio::test]
async fn two_logs_are_kept_apart_by_their_prefix() {
    let Some((server, log)) = established().await else { return };
    let other = Redis::at(&server.url()).unwrap().prefix("other").build().unwrap();
    let other = RedisRevocations::new(other);
    assert_eq!(other.head().await, Err(PublishError::NoLog));
    assert_eq!(other.establish(vec![revoked("s")]).await, Ok(true));
    assert_eq!(snapshot(&log).await.unwrap().0, []);
    let keys = server.cli(&["KEYS", "*"]);
    assert!(keys.lines().all(|key| key.starts_with("{portcullis}:") || key.starts_with("{other}:")), "{keys}");
}
