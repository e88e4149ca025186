//! Grantex's revocation feed, followed by an authorizer: what it says counts, and what it cannot say is not believed.

mod answers;
mod failures;
mod line;
mod real;
mod server;
mod simulation;

use std::time::Duration;

use line::InProcess;
use portcullis::{
    Authorizer, Issuer, RejectionKind, RouteTable, Unlisted,
    issuer::Connection,
    providers::grantex::{Grantex, GrantexClient, GrantexFeed},
    status::FeedPolicy,
    testing::{ManualClock, TestIssuer, TokenBuilder},
};
use serde_json::json;
use server::{KEY, Server};

use crate::support;

const SECOND: Duration = Duration::from_secs(1);
const ISSUER: &str = "https://grantex.test";

type Verdict = Result<(), RejectionKind>;

const OK: Verdict = Ok(());
const INVALID: Verdict = Err(RejectionKind::InvalidToken);
const UNAVAILABLE: Verdict = Err(RejectionKind::StatusUnavailable);

/// A server, and an authorizer that follows its feed.
struct World {
    server: Server,
    inner: support::World,
}

/// A token by its id, its grant and its grant's parent.
type Generation = fn(&World, &str, &str, Option<&str>) -> String;

/// How the feed is read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Stream,
    LongPoll,
}

impl World {
    /// The feed of an empty log is synced.
    async fn new(by: By) -> Self {
        Self::after(by, |_| {}).await
    }

    /// The same, after something has happened.
    async fn after(by: By, happened: impl FnOnce(&Server)) -> Self {
        let clock = ManualClock::new();
        let server = Server::new(&clock);
        happened(&server);
        let connection = Connection::over(InProcess(server.clone())).clock(clock.clone());
        let feed = GrantexFeed::at("https://api.grantex.test", KEY, ISSUER, connection).unwrap();
        Self::following(server, feed, by).await
    }

    async fn following(server: Server, feed: GrantexFeed, by: By) -> Self {
        let clock = server.clock.clone();
        let feed = if by == By::LongPoll { feed.long_poll(SECOND) } else { feed };
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process(ISSUER);
        let of_issuer = Issuer::discover(issuer.url())
            .audience(TokenBuilder::AUDIENCE)
            .grant_claim("grnt")
            .grant_claim("parentGrnt")
            .grant_claim("/urn:grantex:grant/grant_id")
            .grant_claim("/urn:grantex:grant/parent_grant_id")
            .revocation_feed(feed, FeedPolicy::default());
        let authorizer = Authorizer::builder()
            .issuer(of_issuer)
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(issuer.transport())
            .clock(clock.clone())
            .build()
            .unwrap();
        clock.settle().await;
        Self { server, inner: support::World { clock, issuer, authorizer } }
    }

    /// Time passes, and the server says so.
    async fn seconds(&self, seconds: u32) {
        for _ in 0..seconds {
            self.inner.advance(SECOND).await;
            self.server.beat();
            self.inner.clock.settle().await;
        }
    }

    async fn check(&self, token: &str) -> Verdict {
        self.inner.clock.settle().await;
        self.inner.check(token).await.verdict.map(drop)
    }

    /// A token that outlives a test.
    fn lasting(&self, grant: &str) -> String {
        self.inner.issuer.token().claim("grnt", grant).expires_in(86_400 * SECOND).build()
    }

    /// A token of the older generation.
    fn legacy(&self, jti: &str, grant: &str, parent: Option<&str>) -> String {
        let token = self.inner.issuer.token().claim("jti", jti).claim("grnt", grant);
        parent.map_or(token.clone(), |parent| token.claim("parentGrnt", parent)).build()
    }

    /// And one of the newer.
    fn token(&self, jti: &str, grant: &str, parent: Option<&str>) -> String {
        let grant = json!({ "grant_id": grant, "parent_grant_id": parent });
        self.inner.issuer.token().token_type("at+jwt").claim("jti", jti).claim("urn:grantex:grant", grant).build()
    }
}

#[tokio::test]
async fn what_is_revoked_is_refused_by_grant_token_and_parent_in_both_generations_threat_14() {
    for by in [By::Stream, By::LongPoll] {
        let world = World::new(by).await;
        let generations: [(_, Generation); 2] = [("old", World::legacy), ("new", World::token)];
        for (generation, of) in generations {
            let name = |name: &str| format!("{generation}-{name}");
            let root = of(&world, &name("root"), &name("g0"), None);
            let child = of(&world, &name("child"), &name("g1"), Some(&name("g0")));
            let (one, other) = (of(&world, &name("t1"), &name("g2"), None), of(&world, &name("t2"), &name("g2"), None));
            for token in [&root, &child, &one, &other] {
                assert_eq!(world.check(token).await, OK);
            }
            // The cascade is still to come: the child is refused by its parent.
            world.server.grant("revoked", &name("g0"));
            world.seconds(1).await;
            assert_eq!((world.check(&root).await, world.check(&child).await), (INVALID, INVALID), "{by:?}");
            world.seconds(1).await;
            world.server.revoke_token(&name("t1"));
            world.seconds(1).await;
            assert_eq!((world.check(&one).await, world.check(&other).await), (INVALID, OK), "{by:?}");
        }
    }
}

#[tokio::test]
async fn a_suspension_is_lifted_and_a_revocation_is_not_threat_14() {
    for by in [By::Stream, By::LongPoll] {
        let world = World::new(by).await;
        let tokens = [world.token("1", "g1", None), world.legacy("2", "g2", Some("g1"))];
        let steps = [("suspended", INVALID), ("resumed", OK), ("suspended", INVALID), ("revoked", INVALID)];
        for (action, expected) in steps.into_iter().chain([("resumed", INVALID)]) {
            world.server.grant(action, "g1");
            world.seconds(2).await;
            for token in &tokens {
                assert_eq!(world.check(token).await, expected, "{by:?} {action}");
            }
        }
        // Nor by a snapshot that does not name it any more.
        world.server.say("event: revocation\ndata: {}\n\n");
        world.seconds(20).await;
        assert_eq!(world.check(&tokens[0]).await, INVALID);
    }
}

#[tokio::test]
async fn what_is_read_again_lifts_no_suspension_that_still_stands_threat_16() {
    let world = World::new(By::Stream).await;
    let token = world.token("1", "g1", None);
    for action in ["suspended", "resumed", "suspended"] {
        world.server.grant(action, "g1");
        world.seconds(1).await;
    }
    assert_eq!(world.check(&token).await, INVALID);
    // The next connection begins a minute before, and comes as far as the second entry.
    world.server.stall_after(Some(2));
    world.server.cut();
    world.seconds(1).await;
    assert_eq!(world.server.asked().last().unwrap(), "/stream?since=0");
    assert_eq!(world.check(&token).await, INVALID, "suspended, and nobody has lifted that");
    // Nor does it behind a snapshot.
    world.seconds(30).await;
    assert_eq!(world.check(&token).await, INVALID);
    world.server.stall_after(None);
    world.server.grant("resumed", "g1");
    world.seconds(40).await;
    assert_eq!(world.check(&token).await, OK);
}

#[tokio::test]
async fn what_was_revoked_before_comes_with_the_snapshot_however_many_pages_it_has() {
    for by in [By::Stream, By::LongPoll] {
        let world = World::after(by, |server| {
            for number in 0..2500 {
                server.grant("revoked", &format!("g{number:04}"));
            }
            server.grant("suspended", "h");
            server.revoke_token("t");
            server.clock.advance(20 * SECOND);
            server.grant("revoked", "young");
        })
        .await;
        for (token, expected) in [
            (world.token("1", "g0000", None), INVALID),
            (world.token("1", "g2499", None), INVALID),
            (world.token("1", "h", None), INVALID),
            (world.token("t", "other", None), INVALID),
            (world.token("1", "young", None), INVALID),
            (world.token("1", "other", None), OK),
        ] {
            assert_eq!(world.check(&token).await, expected);
        }
        let asked = world.server.asked();
        let expected = [
            "?limit=1000",
            "?limit=1000&pageToken=page%201000",
            "?limit=1000&pageToken=page%202000",
            "?since=2501&wait=0&limit=1",
            if by == By::Stream { "/stream?since=2501" } else { "?since=2501&wait=1&limit=1000" },
        ];
        assert_eq!(asked[..5], expected, "and the stream begins with the entry that we know");
        world.server.grant("resumed", "h");
        world.seconds(2).await;
        assert_eq!(world.check(&world.token("1", "h", None)).await, OK);
    }
}

#[tokio::test]
async fn an_action_that_we_do_not_know_suspends_until_a_snapshot_knows_better() {
    let world = World::new(By::Stream).await;
    let token = world.token("1", "g1", None);
    world.server.grant("quarantined", "g1");
    assert_eq!(world.check(&token).await, INVALID);
    // As long as it is young, the log repeats it behind the snapshot.
    for (seconds, expected) in [(1, INVALID), (20, OK)] {
        world.seconds(seconds).await;
        world.server.say("event: revocation\ndata: {}\n\n");
        assert_eq!(world.check(&token).await, expected);
    }
}

#[tokio::test]
async fn a_feed_about_tokens_of_another_issuer_is_refused_at_start_up_threat_32() {
    let connection = || Connection::over(InProcess(Server::new(&ManualClock::new())));
    let client = GrantexClient::new("https://api.grantex.dev", KEY, connection()).unwrap();
    let built = |issuer: Issuer, of_all: Option<GrantexFeed>| {
        let routes = RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap();
        let builder = Authorizer::builder().issuer(issuer).routes(routes);
        let builder = match of_all {
            Some(feed) => builder.revocation_feed(feed, FeedPolicy::default()),
            None => builder,
        };
        builder.build().map(drop).map_err(|error| error.to_string())
    };
    let grantex = || Grantex::at("https://api.grantex.dev").unwrap();
    let renamed = || grantex().issuer("https://auth.example").audience("a");
    let other = || GrantexFeed::at("https://api.grantex.dev", KEY, "https://auth.example/", connection()).unwrap();
    let policy = FeedPolicy::default;
    let wrong = |of: &str| {
        Err(format!(
            "the revocation feed \"grantex https://api.grantex.dev\" speaks of tokens of {of:?}, which it is not followed for"
        ))
    };
    // As one issuer's own feed, and as one for all.
    for (issuer, feed, expected) in [
        (grantex().audience("a"), client.revocation_feed(), Ok(())),
        (renamed(), client.revocation_feed(), wrong("https://grantex.dev")),
        (renamed(), other(), wrong("https://auth.example/")),
    ] {
        assert_eq!(built(issuer.clone().revocation_feed(feed.clone(), policy()), None), expected);
        assert_eq!(built(issuer, Some(feed)), expected);
    }
}
