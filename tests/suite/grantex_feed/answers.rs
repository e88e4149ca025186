//! What a server answers: what is believed of it, and what is told of the rest.

use std::sync::atomic::{AtomicU64, Ordering};

use portcullis::{
    issuer::Connection,
    providers::grantex::GrantexFeed,
    status::{Cursor, FeedState, RevocationFeed as _},
    testing::ManualClock,
};
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;

use super::{
    By, ISSUER, OK, SECOND, UNAVAILABLE, World,
    line::{Answers, InProcess},
    server::{KEY, Server},
};

/// What the clock says after twenty seconds.
const NOW: u64 = ManualClock::START.as_secs() + 20;

#[tokio::test]
async fn every_refusal_is_told_and_none_is_believed_threat_17() {
    for (status, retry_after, kind, expected) in [
        (401, None, "refused", "reading the log was refused: 401 Unauthorized: the API key"),
        (403, None, "refused", "reading the log was refused: 403 Forbidden: the API key"),
        (404, None, "refused", "reading the log was refused: 404: the feed is not enabled"),
        (400, None, "outage", "the log cannot be read: the answer is 400 Bad Request"),
        (429, Some("20"), "outage", "the log cannot be read: the answer is 429 Too Many Requests"),
        (503, Some("20"), "outage", "the log cannot be read: the answer is 503 Service Unavailable"),
        (302, None, "outage", "the log cannot be read: the answer is 302 Found"),
        (204, None, "outage", "the log cannot be read: the answer is 204 No Content"),
    ] {
        for by in [By::Stream, By::LongPoll] {
            let world = World::after(by, |server| server.set_fault(Some((status, retry_after)))).await;
            let token = world.token("1", "g1", None);
            assert_eq!(world.check(&token).await, UNAVAILABLE);
            assert_eq!(world.state_and_trouble(), (FeedState::Never, expected.to_owned()), "{kind}");
            world.server.set_fault(None);
            world.server.asked();
            world.seconds(15).await;
            // It is left alone for as long as it said.
            assert_eq!(world.server.asked().is_empty(), retry_after.is_some(), "{status}");
            world.seconds(10).await;
            assert_eq!(world.check(&token).await, OK, "{status}");

            // And the same in the middle of it.
            world.server.set_fault(Some((status, retry_after)));
            world.server.cut();
            world.seconds(8).await;
            assert_eq!(world.check(&token).await, UNAVAILABLE);
        }
    }
}

#[tokio::test]
async fn a_snapshot_that_is_not_as_it_should_be_is_not_believed_threat_20() {
    type Change = fn(&mut Value);
    let rows: [(Change, &str); 12] = [
        (|page| page["snapshot"] = json!(false), "a page of something else"),
        (|page| page["serverTime"] = json!(null), "no time of a snapshot"),
        (|page| page["serverTime"] = json!("now"), "no time of a snapshot"),
        (|page| page["cursor"] = json!(-1), "a page that is not as it should be"),
        (|page| page["cursor"] = json!(1_u64 << 53), "a number that is too great"),
        (|page| page["entries"] = json!(null), "a page that is not as it should be"),
        (|page| page["entries"] = json!([{ "seq": 0 }]), "a page that is not as it should be"),
        (|page| page["entries"] = json!([{ "seq": 0, "action": "revoked" }]), "an entry about nothing"),
        (|page| page["nextPageToken"] = json!("page 0"), "pages without end"),
        (endless, "pages without end"),
        (|page| (page["nextPageToken"], page["entries"]) = (json!("page 0"), json!([])), "pages without end"),
        (|page| *page = json!([page.clone()]), "a page that is not as it should be"),
    ];
    for (change, expected) in rows {
        let world = World::after(By::Stream, |server| {
            server.grant("revoked", "g1");
            server.change_snapshots(change);
        })
        .await;
        let expected = format!("a malformed message: {expected}");
        assert_eq!(world.state_and_trouble(), (FeedState::Never, expected));
        assert_eq!(world.check(&world.token("1", "g2", None)).await, UNAVAILABLE);
    }
}

#[tokio::test]
async fn only_a_stream_of_events_is_one_threat_20() {
    let endless = format!("data: {}", "x".repeat(70_000));
    for (status, content_type, body, expected) in [
        (200, "text/html", ": hello\n\n", "a malformed message: something else than a stream of events"),
        (200, "text/event-streams", ": hello\n\n", "a malformed message: something else than a stream of events"),
        (200, "Text/Event-Stream ; charset=utf-8", ": hello\n\n", "the connection has ended"),
        (204, "text/event-stream", "", "the log cannot be read: the answer is 204 No Content"),
        (404, "text/event-stream", "", "reading the log was refused: 404: the feed is not enabled"),
        (410, "text/event-stream", "", "the log does not reach back to where we stand"),
        (200, "text/event-stream", &endless, "a malformed message: an event without end"),
        (
            200,
            "text/event-stream",
            "event: ready\ndata: {\n\n",
            "a malformed message: an event that is not as it should be",
        ),
        (
            200,
            "text/event-stream",
            "event: heartbeat\ndata: {\"cursor\":0}\n\n",
            "a malformed message: no time at which the log was read",
        ),
    ] {
        let clock = ManualClock::new();
        let answers = Answers { status, content_type: content_type.to_owned(), body: body.to_owned() };
        let connection = Connection::over(answers).clock(clock.clone());
        let feed = GrantexFeed::at("https://api.grantex.test", KEY, ISSUER, connection).unwrap();
        let world = World::following(Server::new(&clock), feed, By::Stream).await;
        // A second snapshot, and as many pieces again.
        for _ in 0..4 {
            clock.settle().await;
        }
        assert_eq!(world.state_and_trouble().1, expected, "{status} {content_type}");
    }
}

#[tokio::test]
async fn a_snapshot_of_too_much_is_not_read_to_its_end_threat_20() {
    let server = Server::new(&ManualClock::new());
    for number in 0..2500 {
        server.grant("revoked", &format!("g{number}"));
    }
    let feed = feed_of(&server);
    let error = feed.snapshot(1999).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), server.asked().len()), ("a snapshot of more than 1999 events", 2));
    assert!(feed.snapshot(2500).await.is_ok());
}

/// An empty page, and always another one after it.
fn endless(page: &mut Value) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    page["entries"] = json!([]);
    page["nextPageToken"] = json!(format!("page {}", NEXT.fetch_add(1, Ordering::Relaxed)));
}

/// A feed of that server, and nobody who follows it.
fn feed_of(server: &Server) -> GrantexFeed {
    let connection = Connection::over(InProcess(server.clone())).clock(server.clock.clone());
    GrantexFeed::at("https://api.grantex.test/", KEY, ISSUER, connection).unwrap()
}

#[tokio::test]
async fn of_many_pages_the_least_that_any_of_them_promises_counts_threat_16() {
    type Change = fn(&mut Value);
    let rows: [(Change, &str, u64); 4] = [
        (|page| page["cursor"] = json!(77), "?since=76&", NOW),
        (|page| page["cursor"] = json!(1777), "?since=1499&", NOW),
        (|page| page["serverTime"] = json!("2030-03-17T17:48:20Z"), "?since=1499&", NOW),
        (|page| page["serverTime"] = json!("2030-03-17T17:46:40Z"), "?since=1499&", NOW - 20),
    ];
    for (change, since, as_of) in rows {
        let server = Server::new(&ManualClock::new());
        for number in 0..1500 {
            server.grant("revoked", &format!("g{number}"));
        }
        server.clock.advance(20 * SECOND);
        server.change_last_page(change);
        let snapshot = feed_of(&server).snapshot(9999).await.unwrap();
        assert!(format!("{snapshot:?}").contains(&format!("UnixTime({as_of})")), "{as_of}");
        assert!(server.asked()[2].starts_with(since), "{since}");
    }
}

#[tokio::test]
async fn a_cursor_at_which_the_log_has_no_entry_will_do() {
    let world = World::after(By::Stream, |server| {
        for grant in ["g1", "g2", "g3"] {
            server.grant("revoked", grant);
            server.clock.advance(20 * SECOND);
        }
        server.prune(server.now() - 30);
        server.change_snapshots(|page| page["cursor"] = json!(1));
    })
    .await;
    assert_eq!(world.server.asked(), ["?limit=1000", "?since=0&wait=0&limit=1", "/stream?since=1"]);
    assert_eq!(world.state_and_trouble(), (FeedState::Synced, String::new()));
}

#[tokio::test]
async fn an_answer_is_waited_for_as_long_as_it_was_allowed_to_take() {
    for (wait, expected) in [(20, 20), (0, 1), (99, 25)] {
        let server = Server::new(&ManualClock::new());
        let feed = feed_of(&server).long_poll(wait * SECOND);
        // The position of the first snapshot.
        feed.snapshot(9).await.unwrap();
        let mut tail = feed.tail(Cursor::new(1));
        server.asked();
        let pass = async {
            for _ in 0..expected {
                server.clock.settle().await;
                server.clock.advance(SECOND);
            }
        };
        let (message, ()) = tokio::join!(tail.next(), pass);
        assert!(message.unwrap().unwrap().is_heartbeat());
        assert_eq!(server.asked(), [format!("?since=0&wait={expected}&limit=1000")]);
    }
}

#[tokio::test]
async fn nothing_that_is_printed_holds_the_key_threat_29() {
    let server = Server::new(&ManualClock::new());
    server.grant("revoked", "grnt_secret");
    let feed = feed_of(&server);
    let snapshot = feed.snapshot(9).await.unwrap();
    assert_eq!(feed.label(), "grantex https://api.grantex.test");
    assert_eq!(feed.clone().named("grantex of dev_2").label(), "grantex of dev_2");
    for printed in [format!("{feed:?}"), format!("{snapshot:?}"), feed.label()] {
        assert!(!printed.contains(KEY) && !printed.contains("grnt_secret"), "{printed}");
    }
    let error = GrantexFeed::at("https://api.grantex.test", "short", ISSUER, Connection::new().unwrap()).unwrap_err();
    assert!(!error.to_string().contains("\"short\""));
}
