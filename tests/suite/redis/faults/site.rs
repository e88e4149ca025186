//! Replicas of a service, on the machine's clock → what becomes of a token there, asked again and again.

use std::time::Duration;

use portcullis::{
    Authorizer, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    authorizer::FeedReadiness,
    clock::{Clock, SystemClock},
    status::{FeedPolicy, FeedState, OnOutage, Revocation, RevocationEvent, RevocationFeed},
    testing::{TestIssuer, TokenBuilder},
};

use crate::{process::within, support::bearer};

/// How old what a replica knows may be. A server under load is not as slow as this.
pub const MAX_STALENESS: Duration = Duration::from_millis(1500);

/// By so much a clock that moves in ticks may be behind.
const TICK: Duration = Duration::from_millis(20);

pub type Verdict = Result<(), RejectionKind>;

pub const OK: Verdict = Ok(());
pub const INVALID: Verdict = Err(RejectionKind::InvalidToken);
pub const UNAVAILABLE: Verdict = Err(RejectionKind::StatusUnavailable);

/// An issuer, and the one clock of the test.
pub struct Site {
    issuer: TestIssuer,
    clock: SystemClock,
}

/// One replica.
pub struct Replica {
    authorizer: Authorizer,
    clock: SystemClock,
}

impl Site {
    pub fn new() -> Self {
        let clock = SystemClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
        Self { issuer, clock }
    }

    /// A token by that name, which lives longer than the test.
    pub fn token(&self, id: &str) -> String {
        self.issuer.token().claim("jti", id).expires_in(Duration::from_secs(3600)).build()
    }

    /// That token.
    pub fn about(&self, id: &str) -> Revocation {
        let expiry = self.clock.now().wall().saturating_add(Duration::from_secs(3600));
        Revocation::token_id(Some(self.issuer.url()), id).expires_at(expiry)
    }

    pub fn revoked(&self, id: &str) -> RevocationEvent {
        RevocationEvent::Revoked(self.about(id))
    }

    pub fn suspended(&self, id: &str) -> RevocationEvent {
        RevocationEvent::Suspended(self.about(id))
    }

    pub fn resumed(&self, id: &str) -> RevocationEvent {
        RevocationEvent::Resumed(self.about(id))
    }

    /// One that starts to follow that log now.
    pub fn replica(&self, feed: impl RevocationFeed) -> Replica {
        let policy = FeedPolicy::default()
            .max_staleness(MAX_STALENESS)
            .silence(Duration::from_millis(1200))
            .snapshot_timeout(Duration::from_secs(5))
            .pause_bounds(Duration::from_millis(20), Duration::from_millis(200));
        self.replica_with(feed, policy)
    }

    pub fn replica_with(&self, feed: impl RevocationFeed, policy: FeedPolicy) -> Replica {
        let authorizer = Authorizer::builder()
            .issuer(Issuer::discover(self.issuer.url()).audience(TokenBuilder::AUDIENCE))
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(self.issuer.transport())
            .revocation_feed(feed, policy)
            .clock(self.clock.clone())
            .build()
            .unwrap();
        Replica { authorizer, clock: self.clock.clone() }
    }

    /// One that has caught up.
    pub async fn ready_replica(&self, feed: impl RevocationFeed) -> Replica {
        let replica = self.replica(feed);
        replica.synced().await;
        replica
    }
}

impl Replica {
    /// What a request comes to on a route that says nothing about outages.
    pub async fn gets(&self, token: &str) -> Verdict {
        self.gets_on(token, Requirement::authenticated()).await
    }

    /// Whether it knows that the token is revoked, however old that is.
    pub async fn knows(&self, token: &str) -> bool {
        let lenient = Requirement::authenticated().on_outage(OnOutage::AcceptStale(Duration::from_secs(3600)));
        self.gets_on(token, lenient).await == INVALID
    }

    async fn gets_on(&self, token: &str, requirement: Requirement) -> Verdict {
        let (headers, requirement) = (bearer(token), requirement.into());
        let permit = self.authorizer.authorize(&self.authorizer.input(&headers, &requirement)).await;
        permit.map(drop).map_err(|rejection| rejection.kind())
    }

    pub fn feed(&self) -> FeedReadiness {
        let mut readiness = self.authorizer.readiness();
        assert_eq!(readiness.ready, readiness.revocation_feeds[0].state == FeedState::Synced, "{readiness:?}");
        readiness.revocation_feeds.remove(0)
    }

    pub fn now(&self) -> Duration {
        self.clock.now().monotonic()
    }

    /// Waits until that is so, for a bounded time.
    pub async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        within(what, async {
            while !is_so(self).await {
                self.clock.sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    /// Waits until it is as fresh as it has to be.
    pub async fn synced(&self) {
        within("the keys", self.authorizer.ready(Duration::from_secs(20))).await.unwrap();
        self.until("it is fresh", async |replica| replica.feed().state == FeedState::Synced).await;
    }

    /// Waits until it is too old.
    pub async fn stale(&self) {
        self.until("it is stale", async |replica| replica.feed().state != FeedState::Synced).await;
    }

    /// Waits until that is what becomes of the token.
    pub async fn until_gets(&self, token: &str, verdict: Verdict) {
        self.until(&format!("{verdict:?}"), async |replica| replica.gets(token).await == verdict).await;
    }

    /// The same with a token that was revoked after `since`, which this replica has not heard of: of the requests that began
    /// after its bound, none passes.
    pub async fn never_passes_until(
        &self,
        token: &str,
        since: Duration,
        what: &str,
        is_so: impl AsyncFn(&Self) -> bool,
    ) {
        self.never_passes_beyond(since + MAX_STALENESS, token, what, is_so).await;
    }

    /// The same where the bound is that instant.
    pub async fn never_passes_beyond(
        &self,
        bound: Duration,
        token: &str,
        what: &str,
        is_so: impl AsyncFn(&Self) -> bool,
    ) {
        let bound = bound + TICK;
        self.until(what, async |replica| {
            let began = replica.now();
            let verdict = replica.gets(token).await;
            assert!(began < bound || verdict != OK, "{what}: it passed {:?} after the bound", began - bound);
            is_so(replica).await
        })
        .await;
    }

    /// Before something is tried once more.
    pub async fn pause(&self) {
        self.clock.sleep(Duration::from_millis(20)).await;
    }
}
