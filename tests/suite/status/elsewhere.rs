//! What another replica was told: where it will do, and where the source is asked nevertheless.

use std::time::Duration;

use portcullis::{
    Authorizer, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    sharing::SharedSecret,
    status::{OnOutage, SharedAnswers, StatusError, StatusPolicy},
    testing::{ManualClock, SharedMemory, StoreFault, TestIssuer, TokenBuilder},
};
use serde_json::json;

use super::{
    SECOND,
    source::{Says, Scripted},
};
use crate::support::bearer;

const INVALID: Result<(), RejectionKind> = Err(RejectionKind::InvalidToken);
const UNAVAILABLE: Result<(), RejectionKind> = Err(RejectionKind::StatusUnavailable);

/// Replicas on one clock that share one store, each with a source of its own.
struct Fleet {
    clock: ManualClock,
    issuer: TestIssuer,
    store: SharedMemory,
    policy: StatusPolicy,
}

struct Replica {
    authorizer: Authorizer,
    source: Scripted,
    clock: ManualClock,
}

impl Fleet {
    fn new(policy: StatusPolicy) -> Self {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
        Self { store: SharedMemory::new(clock.clone()), clock, issuer, policy }
    }

    async fn replica(&self) -> Replica {
        let (source, secret) = (Scripted::new(Says::Active), SharedSecret::new([7; 32]).unwrap());
        let authorizer = Authorizer::builder()
            .issuer(
                Issuer::discover(self.issuer.url())
                    .audience(TokenBuilder::AUDIENCE)
                    .status_source(source.clone())
                    .status_policy(self.policy.clone())
                    .shared_answers(SharedAnswers::through(self.store.clone(), secret)),
            )
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(self.issuer.transport())
            .clock(self.clock.clone())
            .build()
            .unwrap();
        authorizer.ready(SECOND).await.unwrap();
        Replica { authorizer, source, clock: self.clock.clone() }
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.clock.settle().await;
    }
}

impl Replica {
    async fn ask(&self, token: &str, requirement: Requirement) -> Result<(), RejectionKind> {
        let (headers, requirement) = (bearer(token), requirement.into());
        let permit = self.authorizer.authorize(&self.authorizer.input(&headers, &requirement)).await;
        // What was asked is shared.
        self.clock.settle().await;
        permit.map(drop).map_err(|rejection| rejection.kind())
    }

    async fn cached(&self, token: &str) -> Result<(), RejectionKind> {
        self.ask(token, Requirement::authenticated()).await
    }

    async fn fresh(&self, token: &str) -> Result<(), RejectionKind> {
        self.ask(token, Requirement::authenticated().status_on_every_request()).await
    }
}

fn policy() -> StatusPolicy {
    StatusPolicy::default().without_renewal_ahead()
}

#[tokio::test]
async fn an_answer_of_another_is_no_older_than_the_route_wants_threat_14() {
    let fleet = Fleet::new(policy());
    let token = fleet.issuer.token().build();
    let [one, other] = [fleet.replica().await, fleet.replica().await];
    assert_eq!(one.cached(&token).await, Ok(()));
    for (replica, seconds) in [(&one, 0), (&other, 0)] {
        replica.source.say(Says::Inactive);
        fleet.advance(SECOND * seconds).await;
    }
    fleet.advance(SECOND * 3).await;
    let within = |seconds| Requirement::authenticated().max_status_age(SECOND * seconds);
    assert_eq!((other.ask(&token, within(4)).await, other.source.asked()), (Ok(()), 0), "three seconds old");
    let third = fleet.replica().await;
    third.source.say(Says::Inactive);
    assert_eq!((third.ask(&token, within(3)).await, third.source.asked()), (INVALID, 1), "it would be due at once");
}

#[tokio::test]
async fn what_was_heard_here_is_not_unheard_by_an_older_answer_of_another_threat_15() {
    let fleet = Fleet::new(policy());
    let token = fleet.issuer.token().build();
    let [one, other] = [fleet.replica().await, fleet.replica().await];
    assert_eq!(one.cached(&token).await, Ok(()));
    fleet.advance(SECOND).await;
    // It cannot tell.
    fleet.store.fault(Some(StoreFault::Fails));
    other.source.say(Says::Inactive);
    assert_eq!(other.fresh(&token).await, INVALID);
    fleet.store.fault(None);
    // Longer than a bad answer counts, and not as long as a good one does.
    fleet.advance(SECOND * 12).await;
    assert_eq!((other.cached(&token).await, other.source.asked()), (INVALID, 2));
}

#[tokio::test]
async fn an_answer_about_a_token_that_is_over_is_not_reused_threat_14() {
    let fleet = Fleet::new(policy());
    let token = fleet.issuer.token().expires_in(SECOND * 10).build();
    let [one, other] = [fleet.replica().await, fleet.replica().await];
    assert_eq!(one.cached(&token).await, Ok(()));
    fleet.advance(SECOND * 12).await;
    // Leeway lets it live on, for whoever asks.
    assert_eq!((other.cached(&token).await, other.source.asked()), (Ok(()), 1));
    let said = json!({ "active": true, "exp": ManualClock::START.as_secs() + 20 });
    one.source.say(Says::Describes(said));
    let token = fleet.issuer.token().build();
    assert_eq!(one.cached(&token).await, Ok(()));
    fleet.advance(SECOND * 9).await;
    assert_eq!((other.cached(&token).await, other.source.asked()), (Ok(()), 2));
}

#[tokio::test]
async fn one_that_says_no_counts_for_as_long_as_such_do_and_no_longer_threat_14() {
    let fleet = Fleet::new(policy());
    let [one, other] = [fleet.replica().await, fleet.replica().await];
    for (age, asked, verdict) in [(7, 0, INVALID), (8, 1, Ok(()))] {
        let token = fleet.issuer.token().build();
        one.source.say(Says::Inactive);
        assert_eq!(one.cached(&token).await, INVALID);
        fleet.advance(SECOND * age).await;
        assert_eq!((other.cached(&token).await, other.source.asked()), (verdict, asked), "{age}");
    }
}

#[tokio::test]
async fn what_others_were_told_says_nothing_of_the_source_threat_17() {
    let fleet = Fleet::new(policy().attempts(1, SECOND / 10, SECOND).breaks(3, SECOND * 5, SECOND * 5));
    let [one, other] = [fleet.replica().await, fleet.replica().await];
    other.source.say(Says::Fails(StatusError::Malformed("as told")));
    let mut tokens = (0..).map(|number| fleet.issuer.token().claim("n", number).build());
    for _ in 0..3 {
        let (shared, unknown) = (tokens.next().unwrap(), tokens.next().unwrap());
        assert_eq!(one.cached(&shared).await, Ok(()));
        assert_eq!(other.cached(&shared).await, Ok(()));
        assert_eq!(other.cached(&unknown).await, UNAVAILABLE);
    }
    assert_eq!(other.source.asked(), 3);
    // It is left alone; what is tried then is the source, and not what others know.
    let known = tokens.next().unwrap();
    assert_eq!(other.cached(&known).await, UNAVAILABLE);
    assert_eq!((one.cached(&known).await, other.source.asked()), (Ok(()), 3));
    fleet.advance(SECOND * 5).await;
    assert_eq!(other.source.asked(), 4, "it was tried");
    assert_eq!(other.cached(&known).await, UNAVAILABLE, "and is left alone again");
}

#[tokio::test]
async fn renewed_ahead_by_one_it_is_renewed_for_all_threat_22() {
    let fleet = Fleet::new(StatusPolicy::default().on_outage(OnOutage::Deny));
    let token = fleet.issuer.token().build();
    let mut replicas = Vec::new();
    for _ in 0..10 {
        replicas.push(fleet.replica().await);
    }
    for _ in 0..300 {
        for replica in &replicas {
            assert_eq!(replica.cached(&token).await, Ok(()));
        }
        fleet.advance(SECOND).await;
    }
    let asked: u64 = replicas.iter().map(|replica| replica.source.asked()).sum();
    // Each word is asked for again after 20 to 23 of its 30 seconds.
    assert!((13..=17).contains(&asked), "{asked}");
}
