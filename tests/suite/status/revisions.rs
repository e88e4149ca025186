//! Whoever has revoked something is not shown the past: a request that demands a revision waits for it, asks, or is
//! refused.

mod by_hand;

use std::{error::Error as _, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis::{
    AuthorizeLayer, Authorizer, Input, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    status::{
        Cursor, FeedPolicy, OnOutage, OpaqueTokens, Revocation, RevocationEvent, RevocationLog, StatusError,
        StatusPolicy,
    },
    testing::{ManualClock, MessageFault, TestIssuer, TokenBuilder, UnreliableFeed},
};
use serde_json::json;
use tokio::task::JoinHandle;
use tower::Layer as _;

use super::{
    SECOND,
    source::{Says, Scripted},
};
use crate::{
    support::{World, bearer},
    wire::{self, Hits, Plain},
};

const HEADER: &str = "revocations-at-least";
const BUDGET: Duration = Duration::from_millis(100);

/// What a request came to; where it was refused, the kind and what lies below.
type Verdict = Result<(), (RejectionKind, String)>;

fn not_reached() -> Verdict {
    Err((RejectionKind::StatusUnavailable, "the revision that the request demands was not reached in time".to_owned()))
}

fn kind(verdict: &Verdict) -> Result<(), RejectionKind> {
    verdict.clone().map_err(|(kind, _)| kind)
}

/// A service that follows a log by a bad line.
struct Replica {
    world: World,
    log: RevocationLog,
    line: UnreliableFeed,
}

impl Replica {
    async fn new(source: Option<&Scripted>) -> Self {
        let clock = ManualClock::new();
        let log = RevocationLog::builder().clock(clock.clone()).build();
        let line = UnreliableFeed::new(log.clone());
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
        let mut of_issuer = Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE);
        if let Some(source) = source {
            of_issuer = of_issuer.status_source(source.clone()).opaque_tokens(OpaqueTokens::default());
            of_issuer = of_issuer.status_policy(StatusPolicy::default().without_renewal_ahead());
        }
        let routes = RouteTable::builder()
            .get("/public", Requirement::public())
            .get("/optional", Requirement::optional())
            .otherwise(Unlisted::Authenticated)
            .unwrap();
        let authorizer = Authorizer::builder()
            .issuer(of_issuer)
            .routes(routes)
            .shared_transport(issuer.transport())
            .clock(clock.clone())
            .revocation_feed(line.clone(), FeedPolicy::default())
            .revision_header(HeaderName::from_static(HEADER))
            .build()
            .unwrap();
        authorizer.ready(SECOND).await.unwrap();
        Self { world: World { clock, issuer, authorizer }, log, line }
    }

    fn token(&self, id: &str) -> String {
        self.world.issuer.token().expires_in(Duration::from_secs(7200)).claim("jti", id).build()
    }

    fn revoke(&self, id: &str) -> Cursor {
        let about = Revocation::token_id(Some(self.world.issuer.url()), id);
        self.log.publish(RevocationEvent::Revoked(about)).unwrap()
    }

    /// A request that may have to wait.
    fn request(&self, token: &str, at_least: Option<Cursor>, requirement: Requirement) -> JoinHandle<Verdict> {
        let (authorizer, headers) = (self.world.authorizer.clone(), demanding(token, at_least));
        tokio::spawn(async move {
            let requirement = Arc::new(requirement);
            verdict(&authorizer, &authorizer.input(&headers, &requirement)).await
        })
    }

    /// What it comes to, and how long that takes, a millisecond at a time.
    async fn check(&self, token: &str, at_least: Option<Cursor>, requirement: Requirement) -> (Verdict, Duration) {
        let (begin, request) = (self.now(), self.request(token, at_least, requirement));
        self.world.clock.settle().await;
        while !request.is_finished() {
            self.world.advance(Duration::from_millis(1)).await;
        }
        (request.await.unwrap(), self.now() - begin)
    }

    fn now(&self) -> Duration {
        self.world.clock.now().monotonic()
    }
}

fn demanding(token: &str, at_least: Option<Cursor>) -> HeaderMap {
    let mut headers = bearer(token);
    let value = |revision: Cursor| HeaderValue::try_from(revision.to_string()).unwrap();
    headers.extend(at_least.map(|revision| (HeaderName::from_static(HEADER), value(revision))));
    headers
}

async fn verdict(authorizer: &Authorizer, input: &Input<'_>) -> Verdict {
    let below = |rejection: &portcullis::Rejection| rejection.source().map(ToString::to_string).unwrap_or_default();
    authorizer.authorize(input).await.map(drop).map_err(|rejection| (rejection.kind(), below(&rejection)))
}

fn any() -> Requirement {
    Requirement::authenticated()
}

#[tokio::test]
async fn the_next_request_after_a_revocation_is_refused_as_soon_as_that_arrives_threat_16() {
    let replica = Replica::new(None).await;
    let token = replica.token("one");
    replica.line.hold();
    let revision = replica.revoke("one");
    replica.world.clock.settle().await;
    assert_eq!(replica.check(&token, None, any()).await, (Ok(()), Duration::ZERO), "who demands nothing sees the past");
    let request = replica.request(&token, Some(revision), any());
    replica.world.advance(BUDGET / 2).await;
    assert!(!request.is_finished(), "it waits");
    replica.line.release();
    replica.world.clock.settle().await;
    assert!(request.is_finished(), "no time has to pass");
    assert_eq!(kind(&request.await.unwrap()), Err(RejectionKind::InvalidToken));
    // From then on it is known, and nobody waits.
    let other = replica.token("two");
    assert_eq!(replica.check(&other, Some(revision), any()).await, (Ok(()), Duration::ZERO));
}

#[tokio::test]
async fn through_the_layer_the_header_does_the_same_threat_16() {
    let replica = Replica::new(None).await;
    let hits = Hits::default();
    let service = AuthorizeLayer::by_raw_path(replica.world.authorizer.clone()).layer(hits.service());
    let [one, two] = ["one", "two"].map(|id| replica.token(id));
    replica.line.hold();
    let revision = replica.revoke("one").to_string();
    let send = |token: &str, path: &str| {
        let request = wire::request(path, Some(token)).header(HEADER, &revision).body(Plain::default()).unwrap();
        let service = service.clone();
        tokio::spawn(async move { wire::send(&service, request).await.status().as_u16() })
    };
    let requests = [send(&one, "GET /a"), send(&two, "GET /a"), send(&one, "GET /optional")];
    let public = send(&one, "GET /public");
    let beyond = wire::request("GET /a", Some(&two)).header(HEADER, "1-0").body(Plain::default()).unwrap();
    let beyond = tokio::spawn({
        let service = service.clone();
        async move { wire::send(&service, beyond).await.status().as_u16() }
    });
    replica.world.clock.settle().await;
    assert!(requests.iter().all(|request| !request.is_finished()));
    assert_eq!((public.await.unwrap(), hits.take()), (200, 1));
    replica.line.release();
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.await.unwrap());
    }
    assert_eq!((answers, hits.take(), replica.now()), (vec![401, 200, 401], 1, Duration::ZERO));
    replica.world.advance(BUDGET).await;
    assert_eq!((beyond.await.unwrap(), hits.take()), (503, 0));
}

#[tokio::test]
async fn one_event_lets_all_go_on_who_wait_for_it_or_less_threat_16() {
    let replica = Replica::new(None).await;
    replica.line.hold();
    let revisions = ["one", "two", "three"].map(|id| replica.revoke(id));
    let waiting = |id: &str, revision| {
        let token = replica.token(id);
        (0..50).map(|_| replica.request(&token, Some(revision), any())).collect::<Vec<_>>()
    };
    let all = [waiting("one", revisions[0]), waiting("two", revisions[1]), waiting("three", revisions[2])];
    let beyond = replica.request(&replica.token("one more"), Some(Cursor::new(4)), any());
    replica.world.clock.settle().await;
    assert!(all.iter().flatten().all(|request| !request.is_finished()));
    replica.line.release();
    for request in all.into_iter().flatten() {
        assert_eq!(kind(&request.await.unwrap()), Err(RejectionKind::InvalidToken));
    }
    assert_eq!(replica.now(), Duration::ZERO);
    replica.world.advance(BUDGET).await;
    assert_eq!(beyond.await.unwrap(), not_reached());
}

#[tokio::test]
async fn nobody_passes_before_the_revision_is_known_whatever_an_outage_permits_threat_16() {
    let replica = Replica::new(None).await;
    let token = replica.token("one");
    replica.line.hold();
    let revision = replica.revoke("one");
    let stale = any().on_outage(OnOutage::AcceptStale(Duration::from_secs(3600)));
    for requirement in [any(), any().max_status_age(60 * SECOND), stale] {
        assert_eq!(replica.check(&token, Some(revision), requirement).await, (not_reached(), BUDGET));
    }
    // Also where a copy of the log answers that lags behind: what was known is known no more.
    replica.line.restore();
    replica.world.clock.settle().await;
    let other = replica.token("other");
    assert_eq!(replica.check(&other, Some(revision), any()).await, (Ok(()), Duration::ZERO));
    replica.line.repeat_snapshots(true);
    replica.line.script([MessageFault::Drop, MessageFault::Pass].into_iter().chain([MessageFault::Drop; 9]));
    replica.revoke("two");
    replica.revoke("three");
    replica.world.clock.settle().await;
    assert_eq!(replica.line.snapshots_asked(), 2);
    assert_eq!(replica.check(&other, Some(revision), any()).await, (not_reached(), BUDGET));
    replica.line.restore();
    for _ in 0..3 {
        replica.world.advance(SECOND).await;
    }
    assert_eq!(replica.check(&other, Some(revision), any()).await, (Ok(()), Duration::ZERO));
}

#[tokio::test]
async fn after_the_wait_the_issuer_is_asked_in_a_call_that_was_not_under_way_threat_12() {
    let source = Scripted::new(Says::Active);
    let replica = Replica::new(Some(&source)).await;
    let token = replica.token("one");
    // Its word is in memory.
    assert_eq!((replica.check(&token, None, any()).await.0, source.asked()), (Ok(()), 1));
    replica.line.hold();
    let revision = Some(replica.revoke("one"));
    assert_eq!(replica.check(&token, revision, any()).await, (Ok(()), BUDGET), "the issuer stands by it");
    assert_eq!(source.asked(), 2);
    // A call that began before the request did would not know.
    source.hold();
    let early = replica.request(&token, None, any().status_on_every_request());
    replica.world.clock.settle().await;
    source.say(Says::Inactive);
    let late = replica.request(&token, revision, any());
    replica.world.clock.settle().await;
    replica.world.advance(BUDGET).await;
    source.release();
    assert_eq!(early.await.unwrap(), Ok(()));
    assert_eq!(kind(&late.await.unwrap()), Err(RejectionKind::InvalidToken));
    assert_eq!(source.asked(), 4);
    // And what it said before does not count where it says nothing now.
    let stale = any().on_outage(OnOutage::AcceptStale(Duration::from_secs(3600)));
    let two = replica.token("two");
    source.say(Says::Active);
    assert_eq!(replica.check(&two, None, stale.clone()).await.0, Ok(()));
    source.say(Says::Fails(StatusError::Malformed("as told")));
    let (refused, waited) = replica.check(&two, revision, stale).await;
    assert_eq!(
        refused,
        Err((RejectionKind::StatusUnavailable, "the status source gave no word on the token".to_owned()))
    );
    assert!(waited >= BUDGET);
}

#[tokio::test]
async fn an_opaque_token_waits_and_is_asked_about_likewise_threat_12() {
    let claims = json!({ "active": true, "aud": TokenBuilder::AUDIENCE, "jti": "one" });
    let source = Scripted::new(Says::Describes(claims));
    let replica = Replica::new(Some(&source)).await;
    let token = "an-opaque-token-in-use";
    assert_eq!((replica.check(token, None, any()).await.0, source.asked()), (Ok(()), 1));
    replica.line.hold();
    let revision = Some(replica.revoke("one"));
    assert_eq!(replica.check(token, revision, any()).await, (Ok(()), BUDGET));
    assert_eq!(source.asked(), 2);
    let request = replica.request(token, revision, any());
    replica.world.clock.settle().await;
    replica.line.release();
    assert_eq!(kind(&request.await.unwrap()), Err(RejectionKind::InvalidToken));
    assert_eq!(source.asked(), 2, "nobody had to be asked");
}

#[tokio::test]
async fn a_header_that_is_no_revision_is_refused_as_a_credential_would_be_threat_3() {
    let replica = Replica::new(None).await;
    let token = replica.token("one");
    let malformed = || Err((RejectionKind::InvalidRequest, "a malformed revision is demanded".to_owned()));
    let repeated = || Err((RejectionKind::InvalidRequest, "more than one revision is demanded".to_owned()));
    let rows: [(&[&[u8]], Verdict); 13] = [
        (&[b"0-0"], Ok(())),
        (&[b""], malformed()),
        (&[b"1"], malformed()),
        (&[b"0-0,0-0"], malformed()),
        (&[b" 0-0"], malformed()),
        (&[b"\"0-0\""], malformed()),
        (&[b"+0-0"], malformed()),
        (&[b"0-00"], malformed()),
        (&[b"-0-1"], malformed()),
        (&[b"\xff-0"], malformed()),
        (&[b"0-18446744073709551616"], malformed()),
        (&[b"0-0", b"0-0"], repeated()),
        (&[b"x", b"y"], repeated()),
    ];
    for (values, expected) in rows {
        let mut headers = bearer(&token);
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        let check = async |headers: &HeaderMap, requirement: Requirement| {
            let requirement = Arc::new(requirement);
            verdict(&replica.world.authorizer, &replica.world.authorizer.input(headers, &requirement)).await
        };
        assert_eq!(check(&headers, any()).await, expected, "{values:?}");
        assert_eq!(check(&headers, Requirement::optional()).await, expected, "{values:?}");
        assert_eq!(check(&headers, Requirement::public()).await, Ok(()), "{values:?}");
        headers.remove("authorization");
        assert_eq!(check(&headers, Requirement::optional()).await, Ok(()), "{values:?}: there is no token to judge");
        assert_eq!(kind(&check(&headers, any()).await), Err(RejectionKind::NoCredential), "{values:?}");
        for value in ["Bearer a", "Bearer b"] {
            headers.append("authorization", HeaderValue::from_static(value));
        }
        let (kind, source) = check(&headers, any()).await.unwrap_err();
        assert_eq!((kind, &*source), (RejectionKind::InvalidRequest, "more than one credential"), "{values:?}");
    }
}
