//! Replicas that share answers, a store and an issuer in trouble → what requests come to, and who is blamed for it.

use std::{sync::Arc, time::Duration};

use portcullis::{
    Authorizer, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    clock::Clock as _,
    sharing::SharedSecret,
    status::{SharedAnswers, StatusAnswer, StatusPolicy, StatusQuestion, StatusSource, TokenStatus},
    testing::{ManualClock, SharedMemory, StoreFault, TestIssuer, TokenBuilder},
};

use super::SECOND;
use crate::support::bearer;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Stands by every token, after so long.
#[derive(Debug)]
struct Slow(Duration, ManualClock);

impl StatusSource for Slow {
    fn identity(&self) -> String {
        "slow".to_owned()
    }

    fn ask(&self, _: &StatusQuestion) -> StatusAnswer {
        let slept = self.1.sleep(self.0);
        Box::pin(async move {
            slept.await;
            Ok(TokenStatus::active())
        })
    }
}

/// Replicas of one service.
struct Fleet {
    clock: ManualClock,
    issuer: TestIssuer,
    store: SharedMemory,
}

impl Fleet {
    fn new() -> Self {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
        Self { store: SharedMemory::new(clock.clone()), clock, issuer }
    }

    async fn replica(
        &self,
        answers_after: Duration,
        change: impl FnOnce(SharedAnswers) -> SharedAnswers,
    ) -> Authorizer {
        let answers = SharedAnswers::through(self.store.clone(), SharedSecret::new([7; 32]).unwrap());
        let issuer = Issuer::discover(self.issuer.url())
            .audience(TokenBuilder::AUDIENCE)
            .status_source(Slow(answers_after, self.clock.clone()))
            .status_policy(StatusPolicy::default().without_renewal_ahead())
            .shared_answers(change(answers));
        let authorizer = Authorizer::builder()
            .issuer(issuer)
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(self.issuer.transport())
            .clock(self.clock.clone())
            .build()
            .unwrap();
        authorizer.ready(SECOND).await.unwrap();
        authorizer
    }

    /// What each of these comes to with that token, all at once, and how long the last one took.
    async fn ask(&self, replicas: &[Authorizer], token: &str) -> (Vec<Result<(), RejectionKind>>, Duration) {
        let since = self.clock.now().monotonic();
        let asking = replicas.iter().map(async |replica| {
            let (headers, requirement) = (bearer(token), Arc::new(Requirement::authenticated()));
            let permit = replica.authorize(&replica.input(&headers, &requirement)).await;
            permit.map(drop).map_err(|rejection| rejection.kind())
        });
        let passing = async {
            loop {
                self.clock.settle().await;
                self.clock.advance(MILLISECOND * 5);
            }
        };
        tokio::select! {
            biased;
            all = futures_util::future::join_all(asking) => (all, self.clock.now().monotonic() - since),
            () = passing => unreachable!("time has no end"),
        }
    }
}

#[tokio::test]
async fn a_store_that_hangs_leaves_the_time_to_ask_however_long_it_was_given_threat_17() {
    for timeout in [MILLISECOND * 50, SECOND, SECOND * 60] {
        let fleet = Fleet::new();
        let replicas = [fleet.replica(MILLISECOND * 600, |answers| answers.timeout(timeout)).await];
        fleet.store.fault(Some(StoreFault::Hangs));
        for round in 0..7 {
            let (answers, waited) = fleet.ask(&replicas, &fleet.issuer.token().claim("n", round).build()).await;
            assert_eq!(answers, [Ok(())], "{timeout:?}, round {round}");
            assert!(waited <= SECOND, "{timeout:?}, round {round}: {waited:?}");
        }
    }
}

#[tokio::test]
async fn whoever_waited_for_another_replica_has_as_much_time_to_ask_as_without_it_threat_17() {
    let fleet = Fleet::new();
    let replica = || fleet.replica(MILLISECOND * 600, |answers| answers);
    let replicas = [replica().await, replica().await, replica().await];
    for round in 0..9 {
        let (answers, waited) = fleet.ask(&replicas, &fleet.issuer.token().claim("n", round).build()).await;
        assert_eq!(answers, [Ok(()); 3], "a source that is slow is blamed for nothing: round {round}");
        assert!(waited <= MILLISECOND * 1200, "round {round}: {waited:?}");
    }
}
