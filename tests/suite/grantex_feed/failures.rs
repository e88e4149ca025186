//! What may go wrong with the feed: silence, refusals, ends, and a database that is not the same any more.

use portcullis::{authorizer::FeedReadiness, status::FeedState};

use super::{By, INVALID, OK, SECOND, UNAVAILABLE, World};

impl World {
    pub fn feed(&self) -> FeedReadiness {
        self.inner.authorizer.readiness().issuers[0].revocation_feed.clone().unwrap()
    }

    pub fn state_and_trouble(&self) -> (FeedState, String) {
        let feed = self.feed();
        (feed.state, feed.trouble.unwrap_or_default())
    }

    /// Whether a snapshot was taken since the last time.
    fn took_a_snapshot(&self) -> bool {
        self.server.asked().iter().any(|asked| asked.starts_with("?limit"))
    }
}

#[tokio::test]
async fn after_five_seconds_of_silence_the_policy_decides_and_it_heals_by_itself_threat_17() {
    for by in [By::Stream, By::LongPoll] {
        let world = World::new(by).await;
        let (token, revoked) = (world.token("1", "g1", None), world.token("2", "g2", None));
        world.seconds(10).await;
        assert_eq!(world.check(&token).await, OK, "{by:?}");
        world.server.set_down(true);
        world.server.grant("revoked", "g2");
        world.server.cut();
        world.seconds(3).await;
        assert_eq!(world.check(&token).await, OK, "{by:?}");
        world.seconds(3).await;
        assert_eq!(world.check(&token).await, UNAVAILABLE, "{by:?}");
        assert_eq!(world.feed().state, FeedState::Stale);
        world.server.set_down(false);
        world.seconds(40).await;
        assert_eq!((world.check(&token).await, world.check(&revoked).await), (OK, INVALID), "{by:?}");
        assert_eq!(world.state_and_trouble(), (FeedState::Synced, String::new()));
    }
}

#[tokio::test]
async fn a_connection_on_which_the_server_says_nothing_is_given_up() {
    let world = World::new(By::Stream).await;
    assert_eq!(world.server.listeners(), 1);
    // Nothing that is said proves that the log was read.
    for _ in 0..3 {
        world.server.say(": keepalive\n\nevent: news\ndata: {}\n\n");
        world.inner.advance(SECOND).await;
    }
    assert_eq!(world.state_and_trouble(), (FeedState::Synced, "nothing heard for 3s".to_owned()));
    assert_eq!(world.server.listeners(), 0);
    world.seconds(1).await;
    assert_eq!((world.server.listeners(), world.feed().trouble), (1, None));
}

#[tokio::test]
async fn the_next_connection_begins_where_nothing_can_have_been_missed_threat_16() {
    for by in [By::Stream, By::LongPoll] {
        let world = World::new(by).await;
        world.seconds(1).await;
        world.server.grant("revoked", "g1");
        // A slow transaction: its number is lower than others that are there before it.
        let slow = world.server.begin("revoked", Some("slow"), None);
        for number in 0..10 {
            world.seconds(1).await;
            world.server.grant("suspended", &format!("h{number}"));
            world.server.grant("resumed", &format!("h{number}"));
        }
        world.seconds(1).await;
        world.server.asked();
        world.server.set_fault(Some((502, None)));
        world.server.cut();
        world.seconds(1).await;
        world.server.commit(slow);
        world.server.grant("revoked", "meanwhile");
        world.server.set_fault(None);
        world.seconds(2).await;
        for (grant, expected) in [("g1", INVALID), ("slow", INVALID), ("meanwhile", INVALID), ("h3", OK)] {
            assert_eq!(world.check(&world.token("1", grant, None)).await, expected, "{by:?} {grant}");
        }
        assert!(!world.took_a_snapshot(), "{by:?}: the log goes on");
    }
}

#[tokio::test]
async fn a_long_log_is_read_again_from_its_end_only() {
    let world = World::new(By::Stream).await;
    for number in 1..=200 {
        world.server.grant("revoked", &format!("g{number}"));
        world.seconds(1).await;
    }
    world.server.asked();
    world.server.cut();
    world.seconds(2).await;
    let asked = world.server.asked();
    let [again] = &*asked else { panic!("{asked:?}") };
    let since: u64 = again.strip_prefix("/stream?since=").unwrap().parse().unwrap();
    assert!((80..140).contains(&since), "a minute or two ago, {since}");
    assert_eq!(world.feed().state, FeedState::Synced);
}

#[tokio::test]
async fn a_database_that_was_restored_from_a_copy_is_another_log_threat_16() {
    // Under our feet, as far as a server notices it itself.
    restored(By::Stream, true, true).await;
    for by in [By::Stream, By::LongPoll] {
        // Whether the copy has the entry that we would begin with.
        for is_known in [true, false] {
            restored(by, false, is_known).await;
        }
    }
}

async fn restored(by: By, is_connected: bool, is_known: bool) {
    let context = format!("{by:?}, connected: {is_connected}, known: {is_known}");
    let world = World::new(by).await;
    let empty = world.server.copy();
    world.server.grant("revoked", "before");
    world.seconds(20).await;
    let copy = if is_known { world.server.copy() } else { empty };
    for grant in ["g1", "g2", "g3"] {
        world.server.grant("revoked", grant);
        world.seconds(30).await;
    }
    world.server.grant("suspended", "s");
    world.seconds(2).await;
    world.server.asked();
    if !is_connected {
        world.server.set_fault(Some((502, None)));
        world.server.cut();
        world.seconds(2).await;
    }
    world.server.restore(copy);
    // Under a number that stood for another before.
    world.server.grant("revoked", "after");
    world.server.set_fault(None);
    world.seconds(20).await;
    assert!(world.took_a_snapshot(), "{context}");
    for (grant, expected) in [
        ("before", INVALID),
        ("g1", INVALID),
        ("after", INVALID),
        // Of what was lost nobody knows anything any more.
        ("s", OK),
        ("other", OK),
    ] {
        assert_eq!(world.check(&world.token("1", grant, None)).await, expected, "{context}, {grant}");
    }
}

#[tokio::test]
async fn a_copy_without_what_lifted_a_suspension_is_another_log_threat_16() {
    for by in [By::Stream, By::LongPoll] {
        // Whether something else is written in the place of what was lost.
        for goes_on in [false, true] {
            let world = World::after(by, |server| {
                server.grant("suspended", "g1");
                server.clock.advance(20 * SECOND);
            })
            .await;
            let (token, copy) = (world.token("1", "g1", None), world.server.copy());
            world.server.grant("resumed", "g1");
            world.seconds(3).await;
            assert_eq!(world.check(&token).await, OK);
            world.server.set_fault(Some((502, None)));
            world.server.cut();
            world.seconds(1).await;
            world.server.restore(copy);
            if goes_on {
                world.server.grant("revoked", "g2");
            }
            world.server.set_fault(None);
            world.seconds(4).await;
            assert_eq!(world.check(&token).await, INVALID, "{by:?}, goes on: {goes_on}");
        }
    }
}

#[tokio::test]
async fn a_grant_whose_resumption_was_lost_is_refused_again_threat_16() {
    for by in [By::Stream, By::LongPoll] {
        // Whether the log has anything under the lost number.
        for is_used in [false, true] {
            let world = World::new(by).await;
            let token = world.token("1", "s", None);
            world.server.grant("suspended", "s");
            // Where the next connection begins, then, is long after that.
            for grant in ["g1", "g2", "g3"] {
                world.seconds(61).await;
                world.server.grant("revoked", grant);
            }
            world.seconds(20).await;
            let copy = world.server.copy();
            world.server.grant("resumed", "s");
            world.seconds(2).await;
            assert_eq!(world.check(&token).await, OK, "{by:?}");
            world.server.asked();
            world.server.set_down(true);
            world.server.cut();
            world.seconds(1).await;
            // Another copy takes over, which lacks the last seconds.
            world.server.restore(copy);
            if is_used {
                world.server.grant("revoked", "g4");
            }
            world.server.set_down(false);
            world.seconds(6).await;
            assert_eq!(world.check(&token).await, INVALID, "{by:?}, used: {is_used}");
            assert!(world.took_a_snapshot());
        }
    }
}

#[tokio::test]
async fn a_log_that_has_forgotten_where_we_were_is_read_anew() {
    let world = World::after(By::Stream, |server| {
        server.grant("revoked", "g1");
        server.clock.advance(20 * SECOND);
    })
    .await;
    world.server.prune(world.server.now());
    world.server.cut();
    world.server.asked();
    world.seconds(3).await;
    assert!(world.took_a_snapshot());
    assert_eq!((world.check(&world.token("1", "g1", None)).await, world.feed().state), (INVALID, FeedState::Synced));
}

#[tokio::test]
async fn what_is_announced_and_does_not_arrive_is_fetched_threat_16() {
    for (announced, is_gap) in [(0, false), (1, true)] {
        let world = World::new(By::Stream).await;
        let now = "2030-03-17T17:46:40Z";
        world.server.asked();
        world.server.say(&format!("event: heartbeat\ndata: {{\"cursor\":{announced},\"freshAt\":\"{now}\"}}\n\n"));
        world.inner.clock.settle().await;
        assert_eq!(world.took_a_snapshot(), is_gap, "{announced}");
    }
}

#[tokio::test]
async fn whoever_asks_again_and_again_does_so_once_a_second() {
    let world = World::new(By::LongPoll).await;
    world.seconds(30).await;
    assert!((29..=32).contains(&world.server.asked().len()));
    // The log repeats what is young, and does not wait.
    world.server.grant("revoked", "g1");
    world.seconds(30).await;
    assert!((29..=33).contains(&world.server.asked().len()));
    // And does not say all at once.
    for number in 0..2500 {
        world.server.grant("revoked", &format!("h{number}"));
    }
    world.inner.clock.settle().await;
    world.seconds(1).await;
    assert_eq!(world.check(&world.token("1", "h2499", None)).await, INVALID, "within a second");
    let asked = world.server.asked();
    let places: Vec<_> = asked.iter().map(|asked| asked.split('&').next().unwrap()).collect();
    assert_eq!(places[places.len() - 3..], ["?since=1", "?since=1001", "?since=2001"]);
    assert_eq!(world.feed().state, FeedState::Synced);
}
