//! What a feed that is heard, or is not, means for a request: on each kind of route, with and without somebody to ask.

use std::time::Duration;

use portcullis::{
    Issuer, RejectionKind, Requirement,
    authorizer::KeysReadiness,
    status::{
        FeedPolicy, FeedState, OnOutage, OpaqueTokens, Revocation, RevocationEvent, RevocationLog, StatusError,
        StatusPolicy,
    },
    testing::{ManualClock, TestIssuer, TokenBuilder, UnreliableFeed},
};
use serde_json::json;

use super::{
    SECOND,
    source::{Says, Scripted},
    verdict,
};
use crate::support::World;

type Verdict = Result<(), RejectionKind>;

const OK: Verdict = Ok(());
const INVALID: Verdict = Err(RejectionKind::InvalidToken);
const UNAVAILABLE: Verdict = Err(RejectionKind::StatusUnavailable);

/// A log that the authorizer follows by a line that can be cut.
struct Followed {
    world: World,
    log: RevocationLog,
    line: UnreliableFeed,
}

/// Whose tokens the feed speaks of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    TheIssuer,
    All,
}

impl Followed {
    async fn new(of: Of, source: Option<&Scripted>) -> Self {
        let clock = ManualClock::new();
        let log = RevocationLog::builder().clock(clock.clone()).build();
        let line = UnreliableFeed::new(log.clone());
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
        let mut of_issuer = Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE);
        if let Some(source) = source {
            of_issuer = of_issuer.status_source(source.clone()).opaque_tokens(OpaqueTokens::default());
            of_issuer = of_issuer.status_policy(StatusPolicy::default().without_renewal_ahead());
        }
        let mut builder = portcullis::Authorizer::builder()
            .routes(portcullis::RouteTable::builder().otherwise(portcullis::Unlisted::Authenticated).unwrap())
            .shared_transport(issuer.transport())
            .clock(clock.clone());
        match of {
            Of::TheIssuer => of_issuer = of_issuer.revocation_feed(line.clone(), FeedPolicy::default()),
            Of::All => builder = builder.revocation_feed(line.clone(), FeedPolicy::default()),
        }
        let authorizer = builder.issuer(of_issuer).build().unwrap();
        authorizer.ready(SECOND).await.unwrap();
        let world = World { clock, issuer, authorizer };
        Self { world, log, line }
    }

    /// Time passes, heartbeat by heartbeat.
    async fn seconds(&self, seconds: u32) {
        for _ in 0..seconds {
            self.world.advance(SECOND).await;
        }
    }

    async fn check(&self, token: &str, requirement: Requirement) -> Verdict {
        verdict(&self.world, token, requirement).await.map(drop)
    }
}

fn any() -> Requirement {
    Requirement::authenticated()
}

fn accept_stale(seconds: u64) -> OnOutage {
    OnOutage::AcceptStale(Duration::from_secs(seconds))
}

#[tokio::test]
async fn what_is_published_is_refused_on_the_next_request_threat_16() {
    for of in [Of::TheIssuer, Of::All] {
        let followed = Followed::new(of, None).await;
        let token = followed.world.issuer.token().claim("jti", "one").build();
        assert_eq!(followed.check(&token, any()).await, OK);
        let one = Revocation::token_id(Some(followed.world.issuer.url()), "one");
        followed.log.publish(RevocationEvent::Suspended(one.clone())).unwrap();
        followed.world.clock.settle().await;
        assert_eq!(followed.check(&token, any()).await, INVALID, "{of:?}");
        followed.log.publish(RevocationEvent::Resumed(one.clone())).unwrap();
        followed.world.clock.settle().await;
        assert_eq!(followed.check(&token, any()).await, OK, "{of:?}");
        followed.log.publish(RevocationEvent::Revoked(one)).unwrap();
        followed.world.clock.settle().await;
        assert_eq!(followed.check(&token, any()).await, INVALID, "{of:?}");
        // And stays so when the line is cut, and when it is back.
        followed.line.partition();
        followed.seconds(20).await;
        assert_eq!(followed.check(&token, any().on_outage(accept_stale(60))).await, INVALID, "{of:?}");
        followed.line.heal();
        followed.seconds(60).await;
        assert_eq!(followed.check(&token, any()).await, INVALID, "{of:?}");
    }
}

#[tokio::test]
async fn a_feed_that_is_not_heard_means_what_the_route_says_threat_17() {
    for of in [Of::TheIssuer, Of::All] {
        let followed = Followed::new(of, None).await;
        let token = followed.world.issuer.token().build();
        followed.seconds(10).await;
        assert_eq!(followed.check(&token, any()).await, OK);
        followed.line.partition();
        let two = any().max_status_age(2 * SECOND);
        // (seconds of silence, a route that does not say, one that wants two seconds, one that accepts a minute)
        for (silence, silent_route, strict_route, lenient_route) in [
            (1, OK, OK, OK),
            (3, OK, UNAVAILABLE, OK),
            (7, UNAVAILABLE, UNAVAILABLE, OK),
            (58, UNAVAILABLE, UNAVAILABLE, OK),
            (62, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE),
        ] {
            let passed = followed.world.clock.now().monotonic().as_secs();
            followed.seconds(u32::try_from(10 + silence - passed).unwrap()).await;
            assert_eq!(followed.check(&token, any()).await, silent_route, "{of:?} {silence} s");
            assert_eq!(followed.check(&token, two.clone()).await, strict_route, "{of:?} {silence} s");
            let lenient = any().on_outage(accept_stale(60));
            assert_eq!(followed.check(&token, lenient).await, lenient_route, "{of:?} {silence} s");
        }
        followed.line.heal();
        followed.seconds(40).await;
        assert_eq!(followed.check(&token, two).await, OK, "{of:?}: heard again");
    }
}

#[tokio::test]
async fn an_issuer_that_publishes_need_not_be_asked_and_is_asked_where_it_is_not_heard() {
    let source = Scripted::new(Says::Active);
    let followed = Followed::new(Of::TheIssuer, Some(&source)).await;
    let token = followed.world.issuer.token().expires_in(Duration::from_secs(7200)).build();
    let check = async |requirement: Requirement| followed.check(&token, requirement).await;
    assert_eq!((check(any()).await, source.asked()), (OK, 0));
    assert_eq!((check(any().max_status_age(2 * SECOND)).await, source.asked()), (OK, 0));
    assert_eq!(
        (check(any().status_on_every_request()).await, source.asked()),
        (OK, 1),
        "nothing is as fresh as an answer"
    );
    source.say(Says::Describes(json!({ "active": true, "aud": TokenBuilder::AUDIENCE })));
    assert_eq!(
        (followed.check("an_opaque_token_of_its", any()).await, source.asked()),
        (OK, 2),
        "of those it says nothing"
    );
    followed.line.partition();
    followed.seconds(10).await;
    let before = source.asked();
    assert_eq!((check(any()).await, source.asked()), (OK, before + 1), "the issuer stands in for its feed");
    assert_eq!((check(any()).await, source.asked()), (OK, before + 1), "for as long as the feed would have");
    followed.seconds(6).await;
    assert_eq!((check(any()).await, source.asked()), (OK, before + 2));
    source.say(Says::Fails(StatusError::Malformed("as told")));
    followed.seconds(6).await;
    assert_eq!(check(any()).await, UNAVAILABLE, "neither of them");
    assert_eq!(check(any().on_outage(accept_stale(60))).await, OK);
    assert_eq!(check(any().status_on_every_request().on_outage(accept_stale(60))).await, UNAVAILABLE);
    source.say(Says::Inactive);
    followed.seconds(60).await;
    assert_eq!(check(any()).await, INVALID);
}

#[tokio::test]
async fn what_the_issuer_has_withdrawn_is_refused_on_every_route_before_its_feed_says_so_threat_14() {
    let source = Scripted::new(Says::Inactive);
    let followed = Followed::new(Of::TheIssuer, Some(&source)).await;
    let token = followed.world.issuer.token().build();
    assert_eq!(followed.check(&token, any()).await, OK, "nobody has said anything");
    assert_eq!(followed.check(&token, any().status_on_every_request()).await, INVALID);
    assert_eq!((followed.check(&token, any()).await, source.asked()), (INVALID, 1), "a no counts on every route");
}

#[tokio::test]
async fn a_feed_of_others_does_not_speak_for_the_issuer() {
    let source = Scripted::new(Says::Active);
    let followed = Followed::new(Of::All, Some(&source)).await;
    let token = followed.world.issuer.token().build();
    assert_eq!((followed.check(&token, any()).await, source.asked()), (OK, 1), "heard, and yet the issuer is asked");
    followed.seconds(10).await;
    assert_eq!((followed.check(&token, any()).await, source.asked()), (OK, 1));
    followed.line.partition();
    followed.seconds(10).await;
    assert_eq!((followed.check(&token, any()).await, source.asked()), (OK, 2), "not heard: its word must be younger");
}

#[tokio::test]
async fn readiness_tells_of_feeds() {
    for of in [Of::TheIssuer, Of::All] {
        let followed = Followed::new(of, None).await;
        let state = || {
            let readiness = followed.world.authorizer.readiness();
            assert_eq!(readiness.issuers[0].keys, KeysReadiness::Loaded);
            let feeds = readiness.revocation_feeds.iter().chain(&readiness.issuers[0].revocation_feed);
            let [feed] = feeds.collect::<Vec<_>>().try_into().unwrap();
            (readiness.ready, feed.state, feed.staleness_ms)
        };
        let (ready, heard, staleness) = state();
        assert!(ready && heard == FeedState::Synced && staleness <= Some(1000), "{staleness:?}");
        followed.line.partition();
        followed.seconds(10).await;
        assert_eq!((state().0, state().1), (false, FeedState::Stale));
        assert!((Some(9_000)..=Some(11_000)).contains(&state().2));
        followed.line.heal();
        followed.seconds(40).await;
        assert_eq!((state().0, state().1), (true, FeedState::Synced));
    }
}
