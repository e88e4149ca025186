//! What is published, and what a reader is told of it.

use portcullis::{
    redis::PublishError,
    status::{RevocationSink, RevocationTarget},
};

use super::*;

#[tokio::test]
async fn a_snapshot_says_what_counts_and_the_tail_what_comes_after_it() {
    let Some((_server, log)) = established().await else { return };
    let end = UnixTime::from_secs(now().as_secs() + 3600);
    let odd = "a|b:c\n\0é{}'\"";
    let events = vec![
        RevocationEvent::Revoked(Revocation::token_id(ISSUER, odd).expires_at(end).revoked_at(end)),
        RevocationEvent::Revoked(Revocation::token("text").revoked_at(end)),
        RevocationEvent::Revoked(Revocation::subject(Some(odd), "u", end).revoked_at(end)),
        RevocationEvent::Revoked(Revocation::grant(None, "g").revoked_at(end)),
        RevocationEvent::Revoked(Revocation::issuer(Some(""), end).revoked_at(end)),
        RevocationEvent::Suspended(Revocation::client(ISSUER, "", end).expires_at(end).revoked_at(end)),
        RevocationEvent::Suspended(Revocation::actor(ISSUER, "a", end).revoked_at(end)),
    ];
    let opening = log.head().await.unwrap();
    let mut positions = vec![opening];
    for event in &events {
        positions.push(log.publish(event.clone()).await.unwrap());
    }
    let cursor = *positions.last().unwrap();
    let (told, at) = snapshot(&log).await.unwrap();
    assert_eq!((told.len(), at), (events.len(), cursor));
    assert!(events.iter().all(|event| told.contains(event)), "{told:?}");
    // From the beginning, the tail says the same, in their order.
    let mut tail = log.tail(opening);
    for (event, at) in events.into_iter().zip(positions.windows(2)) {
        assert_eq!(next_event(&mut tail).await, Ok(FeedMessage::event(event, at[0], at[1])));
    }
    let revision = log.publish(revoked("later")).await.unwrap();
    assert!(revision > cursor);
    assert_eq!(next_event(&mut tail).await, Ok(FeedMessage::event(revoked("later"), cursor, revision)));
    assert_eq!(next_heartbeat(&mut tail).await.unwrap().cursor(), revision);
    assert_eq!(log.head().await, Ok(revision));
}

#[tokio::test]
async fn heartbeats_come_though_nothing_happens_and_say_how_old_they_are() {
    let Some((_server, log)) = established().await else { return };
    let head = log.head().await.unwrap();
    let mut tail = log.tail(head);
    for _ in 0..3 {
        let message = next_heartbeat(&mut tail).await.unwrap();
        assert_eq!(message.cursor(), head);
        assert_ne!(message, FeedMessage::heartbeat(head), "it says its age");
    }
}

#[tokio::test]
async fn what_was_not_dated_was_decided_when_it_was_published() {
    let Some((_server, log)) = established().await else { return };
    let before = now();
    log.publish(RevocationEvent::Revoked(Revocation::session(ISSUER, "s"))).await.unwrap();
    let (told, _) = snapshot(&log).await.unwrap();
    let [RevocationEvent::Revoked(about)] = &*told else { panic!("{told:?}") };
    assert!((before..=now()).contains(&about.decision().unwrap()), "{:?}", about.decision());
}

#[tokio::test]
async fn positions_rise_over_all_publishers_and_many_are_published_in_their_order() {
    let Some((server, log)) = established().await else { return };
    let other = log_at(&server.url());
    let opening = log.head().await.unwrap();
    let many: Vec<_> = (0..600).map(|id| revoked(&id.to_string())).collect();
    let last = log.publish_all(many.clone()).await.unwrap();
    let mut tail = log.tail(opening);
    let mut position = opening;
    for event in many {
        let message = next_event(&mut tail).await.unwrap();
        assert_eq!(message, FeedMessage::event(event, position, message.cursor()));
        assert!(message.cursor() > position);
        position = message.cursor();
    }
    assert_eq!(position, last);
    let mut publishing = Vec::new();
    for id in 0..50 {
        let log = if id % 2 == 0 { log.clone() } else { other.clone() };
        publishing.push(tokio::spawn(async move { log.publish(revoked(&id.to_string())).await.unwrap() }));
    }
    for publishing in publishing {
        assert!(publishing.await.unwrap() > last);
    }
    let first = log.publish(revoked("a")).await.unwrap();
    let second = other.publish(revoked("b")).await.unwrap();
    assert!(first < second);
    assert_eq!(log.publish_all(vec![]).await, Ok(second), "of none, where the log ends");
}

#[tokio::test]
async fn whoever_was_away_for_too_long_needs_a_snapshot_threat_16() {
    let Some(server) = RedisServer::start().await else { return };
    let log = RedisRevocations::builder(redis_at(&server.url())).kept_events(10).build().unwrap();
    assert_eq!(log.establish(vec![]).await, Ok(true));
    let first = log.publish(revoked("0")).await.unwrap();
    // Redis trims whole nodes of a hundred.
    let many: Vec<_> = (1..500).map(|id| revoked(&id.to_string())).collect();
    log.publish_all(many).await.unwrap();
    assert!(server.cli(&["XLEN", "{portcullis}:log"]).parse::<u32>().unwrap() < 300);
    assert_eq!(next_event(&mut log.tail(first)).await, Err(FeedError::Gap));
    let (told, cursor) = snapshot(&log).await.unwrap();
    assert_eq!((told.len(), cursor), (500, log.head().await.unwrap()));
    assert_eq!(next_heartbeat(&mut log.tail(cursor)).await.unwrap().cursor(), cursor);
    // Somebody removes all of it, and what the head speaks of is nowhere.
    server.cli(&["XTRIM", "{portcullis}:log", "MAXLEN", "0"]);
    assert_eq!(next_heartbeat(&mut log.tail(first)).await, Err(FeedError::Gap));
    assert!(next_heartbeat(&mut log.tail(cursor)).await.is_ok(), "who knows all of it misses nothing");
}

#[tokio::test]
async fn a_log_that_began_anew_is_another_one_threat_16() {
    let Some((server, log)) = established().await else { return };
    let old = log.head().await.unwrap();
    server.cli(&["FLUSHALL"]);
    assert!(matches!(next_heartbeat(&mut log.tail(old)).await, Err(FeedError::Unavailable { .. })));
    assert_eq!(log.publish(revoked("s")).await, Err(PublishError::NoLog));
    assert_eq!(log.head().await, Err(PublishError::NoLog));
    // Both are empty, and yet not the same.
    assert_eq!(log.establish(vec![revoked("s")]).await, Ok(true));
    assert_eq!(next_heartbeat(&mut log.tail(old)).await, Err(FeedError::Gap));
    log.publish(revoked("t")).await.unwrap();
    assert_eq!(next_heartbeat(&mut log.tail(old)).await, Err(FeedError::Gap));
}

#[tokio::test]
async fn a_format_of_others_is_neither_read_nor_written() {
    let Some((server, log)) = established().await else { return };
    let head = log.head().await.unwrap();
    server.cli(&["HSET", "{portcullis}:head", "format", "2"]);
    assert!(snapshot(&log).await.unwrap_err().to_string().contains("format"));
    assert!(next_heartbeat(&mut log.tail(head)).await.unwrap_err().to_string().contains("format"));
    assert_eq!(log.publish(revoked("s")).await, Err(PublishError::Format));
    assert_eq!(log.head().await, Err(PublishError::Format));
    assert_eq!(log.establish(vec![]).await, Ok(false));
}

#[tokio::test]
async fn a_sink_takes_in_what_others_say_or_says_that_it_did_not() {
    let Some((server, log)) = established().await else { return };
    log.accept(vec![revoked("s"), revoked("t")]).await.unwrap();
    assert_eq!(snapshot(&log).await.unwrap().0.len(), 2);
    server.cli(&["FLUSHALL"]);
    let error = log.accept(vec![revoked("s")]).await.unwrap_err();
    assert!(error.to_string().contains("established"), "{error}");
}

#[tokio::test]
async fn an_event_is_as_long_as_a_token_could_make_it() {
    let Some((_server, log)) = established().await else { return };
    let of = |length| {
        RevocationEvent::Revoked(Revocation::new(ISSUER, RevocationTarget::Session("s".repeat(length).into())))
    };
    log.publish(of(16 * 1024)).await.unwrap();
    assert_eq!(log.publish(of(64 * 1024)).await, Err(PublishError::TooLong));
    assert_eq!(snapshot(&log).await.unwrap().0.len(), 1);
}
