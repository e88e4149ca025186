//! What stands in Redis beside the log: united, found again, and gone when it is over.

use std::collections::HashSet;

use portcullis::status::RevocationTarget;

use super::*;

fn in_seconds(seconds: u64) -> UnixTime {
    UnixTime::from_secs(now().as_secs() + seconds)
}

#[tokio::test]
async fn two_revocations_of_one_target_come_to_one_that_covers_both() {
    let Some((_server, log)) = established().await else { return };
    // In one slice: these ends are that close.
    let end = in_seconds(100_000);
    let about = |up_to, end, decided| {
        let about = Revocation::subject(ISSUER, "u", UnixTime::from_secs(up_to));
        RevocationEvent::Revoked(about.expires_at(end).revoked_at(UnixTime::from_secs(decided)))
    };
    for (up_to, decided) in [(5, 7), (9, 6), (7, 1)] {
        log.publish(about(up_to, end, decided)).await.unwrap();
    }
    assert_eq!(snapshot(&log).await.unwrap().0, [about(9, end, 7)]);
    // Once it meant all of them, it does.
    let all = Revocation::new(ISSUER, RevocationTarget::Subject("u".into())).expires_at(end);
    let all = RevocationEvent::Revoked(all.revoked_at(UnixTime::from_secs(7)));
    log.publish(all.clone()).await.unwrap();
    log.publish(about(9, end, 6)).await.unwrap();
    assert_eq!(snapshot(&log).await.unwrap().0, [all]);
    // Of another issuer it is another one.
    log.publish(RevocationEvent::Revoked(Revocation::session(None, "u"))).await.unwrap();
    log.publish(RevocationEvent::Revoked(Revocation::session(Some(""), "u"))).await.unwrap();
    assert_eq!(snapshot(&log).await.unwrap().0.len(), 3);
}

#[tokio::test]
async fn a_suspension_that_never_ends_stays_one() {
    let Some((server, log)) = established().await else { return };
    let until = |end| RevocationEvent::Suspended(session("s").expires_at(in_seconds(end)));
    let ends = || server.cli(&["ZCARD", "{portcullis}:suspended:ends"]);
    log.publish(until(100)).await.unwrap();
    assert_eq!(ends(), "1");
    let forever = RevocationEvent::Suspended(session("s"));
    log.publish(forever.clone()).await.unwrap();
    assert_eq!(ends(), "0");
    log.publish(until(100)).await.unwrap();
    assert_eq!((ends().as_str(), snapshot(&log).await.unwrap().0), ("0", vec![forever]));
    log.publish(RevocationEvent::Resumed(session("s"))).await.unwrap();
    assert_eq!(snapshot(&log).await.unwrap().0, []);
}

#[tokio::test]
async fn suspensions_that_are_over_leave_as_others_come() {
    let Some((server, log)) = established().await else { return };
    for id in ["a", "b", "c"] {
        log.publish(RevocationEvent::Suspended(session(id).expires_at(in_seconds(1)))).await.unwrap();
    }
    // As if that were long ago.
    for id in ["a", "b"] {
        server.cli(&["ZADD", "{portcullis}:suspended:ends", "5", &format!("S1:{id}")]);
    }
    log.publish(RevocationEvent::Suspended(session("d"))).await.unwrap();
    let mut left: Vec<_> = server.cli(&["HKEYS", "{portcullis}:suspended"]).lines().map(str::to_owned).collect();
    left.sort();
    assert_eq!(left, ["S1:c", "S1:d"]);
    assert_eq!(server.cli(&["ZRANGE", "{portcullis}:suspended:ends", "0", "-1"]), "S1:c");
    // Nobody misses them.
    assert_eq!(snapshot(&log).await.unwrap().0.len(), 2);
}

/// The time to live of every key of that form, in seconds.
fn lives(server: &RedisServer, pattern: &str) -> Vec<i64> {
    let keys = server.cli(&["KEYS", pattern]);
    keys.lines().filter(|key| !key.is_empty()).map(|key| server.cli(&["TTL", key]).parse().unwrap()).collect()
}

#[tokio::test]
async fn entries_leave_by_themselves_when_their_tokens_are_over_and_not_before() {
    let Some((server, log)) = established().await else { return };
    for left in [0, 60, 3600, 86_400, 2_592_000_u64] {
        log.publish(RevocationEvent::Revoked(session(&left.to_string()).expires_at(in_seconds(left)))).await.unwrap();
        let wanted = i64::try_from(left).unwrap() + 600;
        for pattern in ["{portcullis}:r:*", "{portcullis}:b:*"] {
            let longest = lives(&server, pattern).into_iter().max().unwrap();
            let most = wanted + (i64::try_from(left).unwrap() / 8).max(256) + 5;
            assert!((wanted - 5..=most).contains(&longest), "{left}: {pattern} lives for {longest}");
        }
    }
    assert_eq!(snapshot(&log).await.unwrap().0.len(), 5);
    // What never ends has no time to live.
    log.publish(revoked("always")).await.unwrap();
    assert_eq!(lives(&server, "{portcullis}:r:0:*"), [-1]);
    assert_eq!(lives(&server, "{portcullis}:b:0"), [-1]);
    // What is over stands in the log alone.
    let slices = server.cli(&["ZCARD", "{portcullis}:slices"]);
    log.publish(RevocationEvent::Revoked(session("old").expires_at(UnixTime::from_secs(1_000_000_000)))).await.unwrap();
    assert_eq!(snapshot(&log).await.unwrap().0.len(), 6);
    assert_eq!(server.cli(&["ZCARD", "{portcullis}:slices"]), slices);
}

#[tokio::test]
async fn a_slice_whose_time_has_come_is_forgotten() {
    let Some((server, log)) = established().await else { return };
    server.cli(&["ZADD", "{portcullis}:slices", "5", "256"]);
    server.cli(&["HSET", "{portcullis}:head", "s:256", "7"]);
    log.publish(revoked("s")).await.unwrap();
    assert_eq!(server.cli(&["ZRANGE", "{portcullis}:slices", "0", "-1"]), "0");
    assert_eq!(server.cli(&["HMGET", "{portcullis}:head", "s:256", "s:0"]).trim(), "1");
}

#[tokio::test]
async fn a_publisher_whose_clock_is_wrong_shortens_no_life_threat_26() {
    let Some((server, log)) = established().await else { return };
    let by = |wall| {
        let clock = portcullis::testing::ManualClock::new();
        clock.step_wall_to(wall);
        RedisRevocations::builder(redis_at(&server.url())).clock(clock).build().unwrap()
    };
    // To the one, the tokens are over; to the other, they live for another hour.
    let (ahead, behind) = (by(in_seconds(3600)), by(UnixTime::from_secs(now().as_secs() - 3600)));
    // The end of a slice as it is seen by each of them.
    let end = in_seconds(1000).as_secs().next_multiple_of(512);
    let event = || RevocationEvent::Revoked(session("a").expires_at(UnixTime::from_secs(end)));
    let all = |at_least: u64| {
        let left = i64::try_from(end + at_least - now().as_secs()).unwrap() - 5;
        for pattern in ["{portcullis}:r:*", "{portcullis}:b:*"] {
            let [life] = *lives(&server, pattern) else { panic!("one slice, one bucket") };
            assert!((left..left + 10).contains(&life), "{pattern}: {life}, not {left}");
        }
        let scores = server.cli(&["ZRANGE", "{portcullis}:slices", "0", "-1", "WITHSCORES"]);
        let [slice, score] = *scores.lines().collect::<Vec<_>>() else { panic!("{scores}") };
        assert_eq!(slice, end.to_string());
        assert!((end + at_least - 5..=end + at_least + 5).contains(&score.parse().unwrap()), "{scores}");
    };
    ahead.publish(event()).await.unwrap();
    all(600);
    behind.publish(event()).await.unwrap();
    all(600 + 3600);
    for publisher in [&log, &ahead] {
        publisher.publish(event()).await.unwrap();
        all(600 + 3600);
    }
}

#[tokio::test]
async fn a_revocation_without_an_end_gets_that_of_the_longest_token() {
    let Some((server, _)) = established().await else { return };
    let builder = RedisRevocations::builder(redis_at(&server.url())).max_token_lifetime(3600 * SECOND);
    let log = builder.build().unwrap();
    log.publish(RevocationEvent::Revoked(Revocation::session(ISSUER, "s"))).await.unwrap();
    let lives = lives(&server, "{portcullis}:r:*");
    assert!((3600..5400).contains(&lives[0]), "{lives:?}");
}

#[tokio::test]
async fn many_entries_come_in_many_pages_and_none_is_missing() {
    let Some((_server, log)) = established().await else { return };
    let ends = [100, 4000, 50_000, 1_000_000].map(in_seconds);
    let event = |id: usize| RevocationEvent::Revoked(session(&id.to_string()).expires_at(ends[id % 4]));
    let events: HashSet<_> = (0..20_000).map(event).map(|event| format!("{:?}", json(&event))).collect();
    log.publish_all((0..20_000).map(event).collect()).await.unwrap();
    let snapshot = log.snapshot(1_000_000).await.unwrap();
    let (mut pages, mut told, mut count) = (snapshot.into_pages(), HashSet::new(), 0);
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert!((1..=16_384).contains(&page.len()), "{}", page.len());
        count += 1;
        told.extend(page.iter().map(|event| format!("{:?}", json(event))));
    }
    assert_eq!(told.len(), 20_000);
    assert!(told == events && count > 3, "{count}");
}

fn json(event: &RevocationEvent) -> serde_json::Value {
    serde_json::to_value(event).unwrap()
}

/// What a reader knows: applied in their order.
#[derive(Debug, Default, PartialEq)]
struct Known {
    revoked: HashSet<String>,
    suspended: HashSet<String>,
}

impl Known {
    fn apply(&mut self, event: &RevocationEvent) {
        let id = json(event)["sid"].as_str().unwrap().to_owned();
        match event {
            RevocationEvent::Revoked(_) => self.revoked.insert(id),
            RevocationEvent::Suspended(_) => self.suspended.insert(id),
            _ => self.suspended.remove(&id),
        };
    }
}

/// Numbers that look random, the same each time.
struct Lot(u64);

impl Lot {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn event(&mut self) -> RevocationEvent {
        let about = session(&format!("s-{}", self.below(40))).expires_at(in_seconds(self.below(50_000)));
        match self.below(5) {
            0 => RevocationEvent::Revoked(about),
            1 | 2 => RevocationEvent::Suspended(about),
            _ => RevocationEvent::Resumed(about),
        }
    }
}

#[tokio::test]
async fn a_snapshot_fits_its_tail_whatever_happens_meanwhile_threat_16() {
    let Some((_server, log)) = established().await else { return };
    // So many suspensions that they are read in parts.
    let crowd = (0..6000).map(|id| RevocationEvent::Suspended(session(&format!("c-{id}")))).collect();
    log.publish_all(crowd).await.unwrap();
    let mut expected = Known::default();
    for event in snapshot(&log).await.unwrap().0 {
        expected.apply(&event);
    }
    for seed in 0..20 {
        let mut lot = Lot(seed);
        let mut published = Vec::new();
        let snapshot = log.snapshot(1_000_000).await.unwrap();
        let (cursor, mut pages, mut known) = (snapshot.cursor(), snapshot.into_pages(), Known::default());
        loop {
            for _ in 0..lot.below(12) {
                let event = lot.event();
                expected.apply(&event);
                published.push((log.publish(event.clone()).await.unwrap(), event));
            }
            let Some(page) = pages.next().await else { break };
            page.unwrap().iter().for_each(|event| known.apply(event));
        }
        let (mut tail, mut position) = (log.tail(cursor), cursor);
        for (at, event) in published.into_iter().filter(|(at, _)| *at > cursor) {
            known.apply(&event);
            assert_eq!(next_event(&mut tail).await, Ok(FeedMessage::event(event, position, at)));
            position = at;
        }
        assert_eq!(known, expected, "{seed}");
    }
}
