//! What a reader and a publisher may do at least, word for word as the documentation has it.

use portcullis::redis::PublishError;

use super::*;

/// In the documentation of `portcullis::redis`.
const READER: &str = "%R~{portcullis}:* +hmget +xread +get +hgetall +hlen +hscan +info";
const PUBLISHER: &str = "~{portcullis}:* +evalsha +script|load +wait +info +time +get +set +exists +del +rename +hget +hmget \
                         +hset +hsetnx +hdel +hexists +hincrby +hvals +setbit +expiretime +expireat +zadd +zrem +zrange \
                         +xadd";

fn allow(server: &RedisServer, user: &str, rules: &str) {
    let mut command = vec!["ACL", "SETUSER", user, "on", ">hunter2", "resetkeys", "nocommands"];
    command.extend(rules.split_whitespace());
    assert_eq!(server.cli(&command), "OK");
}

fn as_user(server: &RedisServer, user: &str) -> RedisRevocations {
    log_at(&server.url_of(user, "hunter2"))
}

#[tokio::test]
async fn a_reader_needs_no_more_than_is_written_and_can_write_nothing() {
    let Some((server, log)) = established().await else { return };
    allow(&server, "reader", READER);
    let reader = as_user(&server, "reader");
    log.publish(revoked("s")).await.unwrap();
    log.publish(RevocationEvent::Suspended(session("t"))).await.unwrap();
    let (told, cursor) = snapshot(&reader).await.unwrap();
    assert_eq!((told.len(), cursor), (2, log.head().await.unwrap()));
    let mut tail = reader.tail(cursor);
    assert_eq!(next_heartbeat(&mut tail).await.unwrap().cursor(), cursor);
    let next = log.publish(revoked("u")).await.unwrap();
    assert_eq!(next_event(&mut tail).await.unwrap().cursor(), next);
    let refused = reader.publish(RevocationEvent::Resumed(session("t"))).await.unwrap_err();
    assert!(refused.to_string().contains("NOPERM"), "{refused}");
    assert_eq!(log.head().await, Ok(next));
}

#[tokio::test]
async fn a_publisher_needs_no_more_than_is_written() {
    let Some((server, log)) = established().await else { return };
    allow(&server, "publisher", PUBLISHER);
    let publisher = as_user(&server, "publisher");
    assert_eq!(publisher.establish(vec![]).await, Ok(false));
    server.cli(&["FLUSHALL"]);
    let end = UnixTime::from_secs(now().as_secs() + 100);
    let established = vec![revoked("a"), RevocationEvent::Suspended(session("b").expires_at(end))];
    assert_eq!(publisher.establish(established).await, Ok(true));
    server.cli(&["ZADD", "{portcullis}:suspended:ends", "5", "S1:b"]);
    let events = vec![
        RevocationEvent::Revoked(session("s").expires_at(end)),
        RevocationEvent::Suspended(session("c").expires_at(end)),
        RevocationEvent::Suspended(session("d")),
        RevocationEvent::Resumed(session("c")),
    ];
    let head = publisher.publish_all(events).await.unwrap();
    assert_eq!(publisher.head().await, Ok(head));
    assert_eq!(snapshot(&log).await.unwrap().0.len(), 3);
    // It waits for replicas, of which there are none.
    let strict = RedisRevocations::builder(redis_at(&server.url_of("publisher", "hunter2"))).min_replicas(1);
    let strict = strict.build().unwrap().publish(revoked("s")).await;
    assert_eq!(strict, Err(PublishError::NotReplicated { reached: 0, wanted: 1 }));
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_so_without_the_password_threat_29() {
    let Some((server, _)) = established().await else { return };
    allow(&server, "reader", READER);
    allow(&server, "stranger", "+info");
    for url in [server.url_of("reader", "hunter3"), server.url_of("stranger", "hunter2")] {
        let log = log_at(&url);
        let errors =
            [snapshot(&log).await.unwrap_err(), next_heartbeat(&mut log.tail(Cursor::START)).await.unwrap_err()];
        for error in errors {
            assert!(matches!(error, FeedError::Refused(_)), "{error}");
            assert!(!format!("{error} {error:?} {log:?}").contains("hunter"), "{error:?}");
        }
    }
    server.cli(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let error = snapshot(&log_at(&server.url())).await.unwrap_err();
    assert!(matches!(error, FeedError::Refused(_)), "{error}");
    let by_password = Redis::at(&server.url()).unwrap().credentials("default", "hunter2").build().unwrap();
    assert!(snapshot(&RedisRevocations::new(by_password)).await.is_ok());
}
