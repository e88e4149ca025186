//! Publications that are said twice, that arrive late, and that several make at once → what was said last counts.

use super::{
    builder, established, log, names, redis,
    site::{INVALID, OK, Site},
};
use crate::redis::{proxy::Proxy, server::RedisServer};

#[tokio::test]
async fn what_was_done_and_not_answered_is_done_once_more_and_counts_once() {
    let Some(server) = RedisServer::start().await else { return };
    let (site, first, second) = (Site::new(), Proxy::to(server.port()).await, Proxy::to(server.port()).await);
    let reader = site.ready_replica(established(&server.url()).await).await;
    let publishers = [(log(&first.url()), &first), (log(&second.url()), &second)];
    let publish = async |index: usize, names: &[String]| {
        let (log, proxy) = &publishers[index];
        for (number, name) in names.iter().enumerate() {
            let mut events = vec![site.suspended(name), site.resumed(name)];
            // Every other token is suspended in the end, and every third is revoked.
            if number % 2 == 0 {
                events.push(site.suspended(name));
            }
            if number % 3 == 0 {
                events.push(site.revoked(name));
            }
            for event in events {
                if number > 0 {
                    proxy.lose_next_answer();
                }
                log.publish(event).await.unwrap();
            }
        }
    };
    let (of_first, of_second) = (names("a", 10), names("b", 10));
    tokio::join!(publish(0, &of_first), publish(1, &of_second));
    for (_, proxy) in &publishers {
        assert!(proxy.answers_lost() > 20, "{}", proxy.answers_lost());
    }
    let position = publishers[0].0.publish(site.revoked("last")).await.unwrap();
    reader.until_gets(&site.token("last"), INVALID).await;
    let later = site.ready_replica(log(&server.url())).await;
    for names in [&of_first, &of_second] {
        for (number, name) in names.iter().enumerate() {
            let expected = if number % 2 == 0 || number % 3 == 0 { INVALID } else { OK };
            for replica in [&reader, &later] {
                assert_eq!(replica.gets(&site.token(name)).await, expected, "{name}");
            }
        }
    }
    assert_eq!(log(&server.url()).head().await, Ok(position));
}

#[tokio::test]
async fn what_arrives_when_its_publisher_has_said_something_else_since_does_nothing() {
    let Some(server) = RedisServer::start().await else { return };
    let (site, proxy) = (Site::new(), Proxy::to(server.port()).await);
    let reader = site.ready_replica(established(&server.url()).await).await;
    let publisher = builder(redis(&proxy.url())).build().unwrap();
    publisher.publish(site.suspended("agent")).await.unwrap();
    let agent = site.token("agent");
    reader.until_gets(&agent, INVALID).await;
    // On the way from here on, and given up.
    proxy.hold();
    let lifted = publisher.publish(site.resumed("agent")).await;
    assert!(lifted.is_err(), "{lifted:?}");
    publisher.publish(site.suspended("agent")).await.unwrap();
    let calls = || {
        server.cli(&["INFO", "commandstats"]).lines().find_map(|line| {
            let (_, calls) = line.strip_prefix("cmdstat_evalsha:")?.split_once("calls=")?;
            calls.split(',').next()?.parse::<u64>().ok()
        })
    };
    let before = calls();
    proxy.heal();
    server.until("the late one arrives", |_| calls() > before).await;
    let last = publisher.publish(site.revoked("last")).await.unwrap();
    reader.until_gets(&site.token("last"), INVALID).await;
    assert_eq!(reader.gets(&agent).await, INVALID, "it was suspended after it was resumed");
    let later = site.ready_replica(log(&server.url())).await;
    assert_eq!(later.gets(&agent).await, INVALID);
    assert_eq!(publisher.head().await, Ok(last));
}

#[tokio::test]
async fn no_two_histories_give_an_entry_the_same_position() {
    let Some(server) = RedisServer::start().await else { return };
    let (site, log) = (Site::new(), established(&server.url()).await);
    let mut positions = Vec::new();
    for name in names("a", 20) {
        positions.push(log.publish(site.revoked(&name)).await.unwrap());
        positions.push(log.publish_all(vec![site.revoked("b"), site.revoked("c")]).await.unwrap());
    }
    assert!(positions.is_sorted());
    // A server that starts with less of the log may be at the same millisecond: not at the same number within it.
    let numbers: std::collections::HashSet<_> =
        positions.iter().map(|cursor| cursor.position() & u128::from(u64::MAX)).collect();
    assert!(numbers.len() > 38 && numbers.iter().filter(|number| **number > 1000).count() > 38, "{numbers:?}");
}
