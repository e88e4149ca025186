//! A log of revocations in a real Redis: what one replica is told, and what the others do then.

mod acl;
mod answers;
mod breaks;
mod connection;
mod credential;
mod establish;
mod faults;
mod log;
mod proxy;
mod records;
mod replicas;
pub mod server;
mod state;

use std::time::Duration;

use portcullis::{
    Authorizer, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    clock::{Clock, SystemClock, UnixTime},
    redis::{Redis, RedisRevocations},
    status::{Cursor, FeedError, FeedMessage, FeedMessages, FeedPolicy, Revocation, RevocationEvent, RevocationFeed},
    testing::{TestIssuer, TokenBuilder},
};
use server::RedisServer;
use tokio_stream::StreamExt;

use crate::{process::within, support::bearer};

const SECOND: Duration = Duration::from_secs(1);
const ISSUER: Option<&str> = Some("https://issuer.test");

type Verdict = Result<(), RejectionKind>;

const INVALID: Verdict = Err(RejectionKind::InvalidToken);
const UNAVAILABLE: Verdict = Err(RejectionKind::StatusUnavailable);

/// A server, and the log in it, which is established and empty.
async fn established() -> Option<(RedisServer, RedisRevocations)> {
    let server = RedisServer::start().await?;
    let log = log_at(&server.url());
    assert_eq!(log.establish(vec![]).await, Ok(true));
    Some((server, log))
}

fn redis_at(url: &str) -> Redis {
    Redis::at(url).unwrap().build().unwrap()
}

fn log_at(url: &str) -> RedisRevocations {
    RedisRevocations::builder(redis_at(url)).heartbeat(Duration::from_millis(20)).build().unwrap()
}

fn now() -> UnixTime {
    SystemClock::new().now().wall()
}

/// A session, revoked at a time of long ago.
fn session(id: &str) -> Revocation {
    Revocation::session(ISSUER, id).revoked_at(UnixTime::from_secs(1_000_000_000))
}

fn revoked(id: &str) -> RevocationEvent {
    RevocationEvent::Revoked(session(id))
}

/// A whole snapshot.
async fn snapshot(log: &RedisRevocations) -> Result<(Vec<RevocationEvent>, Cursor), FeedError> {
    let snapshot = log.snapshot(1_000_000).await?;
    let (cursor, mut pages, mut events) = (snapshot.cursor(), snapshot.into_pages(), Vec::new());
    while let Some(page) = pages.next().await {
        events.extend(page?);
    }
    Ok((events, cursor))
}

/// The next event, and where it stands; heartbeats are passed over.
async fn next_event(tail: &mut FeedMessages) -> Result<FeedMessage, FeedError> {
    within("an event", async {
        loop {
            let message = tail.next().await.unwrap()?;
            if !message.is_heartbeat() {
                return Ok(message);
            }
        }
    })
    .await
}

/// The next heartbeat, or why there is none.
async fn next_heartbeat(tail: &mut FeedMessages) -> Result<FeedMessage, FeedError> {
    within("a heartbeat", async {
        loop {
            let message = tail.next().await.unwrap()?;
            if message.is_heartbeat() {
                return Ok(message);
            }
        }
    })
    .await
}

/// A service that follows a log, by the machine's clock.
struct Replica {
    issuer: TestIssuer,
    authorizer: Authorizer,
}

impl Replica {
    fn following(log: RedisRevocations) -> Self {
        let issuer = TestIssuer::builder().in_process(ISSUER.unwrap());
        let policy = FeedPolicy::default().pause_bounds(Duration::from_millis(20), Duration::from_millis(200));
        let authorizer = Authorizer::builder()
            .issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE))
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(issuer.transport())
            .revocation_feed(log, policy)
            .build()
            .unwrap();
        Self { issuer, authorizer }
    }

    fn token(&self, session: &str) -> String {
        self.issuer.token().claim("sid", session).build()
    }

    async fn check(&self, token: &str) -> Verdict {
        let (headers, requirement) = (bearer(token), Requirement::authenticated().into());
        let permit = self.authorizer.authorize(&self.authorizer.input(&headers, &requirement)).await;
        permit.map(drop).map_err(|rejection| rejection.kind())
    }

    /// Waits until a token is judged like that.
    async fn until(&self, token: &str, verdict: Verdict) {
        let clock = SystemClock::new();
        within("the verdict", async {
            while self.check(token).await != verdict {
                clock.sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}
