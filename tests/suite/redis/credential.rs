//! Replicas that share the Bearer with which they ask an introspection endpoint, through a real Redis.

use std::{sync::Arc, time::Duration};

use portcullis::{
    Authorizer, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    issuer::{ClientAuthentication, ClientCredentials},
    redis::{Redis, SharedRecords},
    status::Introspection,
    testing::{Fault, ManualClock, Target, TestIssuer, TokenBuilder},
};

use super::server::RedisServer;
use crate::support::bearer;

const SECRET: &str = "sk_test_a_secret_of_one_client_0123456789";

/// Replicas of one service, and the server that they ask with a Bearer.
struct Fleet {
    clock: ManualClock,
    issuer: TestIssuer,
    records: SharedRecords,
}

impl Fleet {
    fn new(server: &RedisServer) -> Self {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
        issuer.register_client("orders", SECRET, ["tokens:read"]);
        issuer.protect_introspection("tokens:read");
        let redis = Redis::at(&server.url()).unwrap().build().unwrap();
        Self { records: SharedRecords::new(&redis).timed_by(clock.clone()), clock, issuer }
    }

    async fn replica(&self) -> Authorizer {
        let url = self.issuer.url();
        let client = ClientAuthentication::basic("orders", SECRET);
        let credentials = ClientCredentials::at(format!("{url}/token"), client)
            .scope("tokens:read")
            .shared_through(self.records.clone());
        let client = ClientAuthentication::client_credentials(credentials);
        let authorizer = Authorizer::builder()
            .issuer(
                Issuer::discover(url)
                    .audience(TokenBuilder::AUDIENCE)
                    .introspection(Introspection::at(format!("{url}/introspect"), client)),
            )
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .shared_transport(self.issuer.transport())
            .clock(self.clock.clone())
            .build()
            .unwrap();
        authorizer.ready(Duration::from_secs(1)).await.unwrap();
        authorizer
    }

    async fn ask(&self, replica: &Authorizer, token: &str) -> Result<(), RejectionKind> {
        let requirement = Arc::new(Requirement::authenticated().status_on_every_request());
        let headers = bearer(token);
        let permit = replica.authorize(&replica.input(&headers, &requirement)).await;
        permit.map(drop).map_err(|rejection| rejection.kind())
    }
}

async fn until_shared(server: &RedisServer) {
    let records = |server: &RedisServer| server.cli(&["KEYS", "*shared:*"]);
    server
        .until("the token is shared", |server| !records(server).is_empty() && !records(server).contains("lease"))
        .await;
}

#[tokio::test]
async fn fifty_replicas_are_granted_one_token_threat_22() {
    let Some(server) = RedisServer::start().await else { return };
    let fleet = Fleet::new(&server);
    let token = fleet.issuer.token().build();
    let first = fleet.replica().await;
    assert_eq!(fleet.ask(&first, &token).await, Ok(()));
    until_shared(&server).await;
    for _ in 1..50 {
        assert_eq!(fleet.ask(&fleet.replica().await, &token).await, Ok(()));
    }
    let asked = fleet.issuer.asked();
    assert_eq!((asked.token, asked.introspection), (1, 50));
    // It is there no longer than it lasts, and nobody who reads it can use it.
    let key = server.cli(&["KEYS", "*"]);
    let left: u64 = server.cli(&["PTTL", key.trim()]).parse().unwrap();
    assert!((3_000_000..=3_600_000).contains(&left), "{left}");
    let value = server.cli(&["GET", key.trim()]);
    assert!(!value.contains("Bearer") && !key.contains("orders") && !key.contains("issuer.test"), "{key} {value}");
}

#[tokio::test]
async fn a_token_that_was_refused_is_replaced_for_all_threat_22() {
    let Some(server) = RedisServer::start().await else { return };
    let fleet = Fleet::new(&server);
    let token = fleet.issuer.token().build();
    let [one, other] = [fleet.replica().await, fleet.replica().await];
    assert_eq!(fleet.ask(&one, &token).await, Ok(()));
    until_shared(&server).await;
    assert_eq!(fleet.ask(&other, &token).await, Ok(()));
    let key = server.cli(&["KEYS", "*shared:*"]);
    let before = server.cli(&["--no-raw", "GET", key.trim()]);
    fleet.issuer.fault(Target::Introspection, Fault::Status(401));
    assert!(fleet.ask(&one, &token).await.is_err());
    fleet.issuer.heal();
    server
        .until("another is there", |server| {
            let now = server.cli(&["--no-raw", "GET", key.trim()]);
            now != before && now != "(nil)"
        })
        .await;
    assert_eq!(fleet.issuer.asked().token, 2);
    assert_eq!(fleet.ask(&fleet.replica().await, &token).await, Ok(()));
    assert_eq!(fleet.issuer.asked().token, 2);
}

#[tokio::test]
async fn without_redis_each_is_granted_its_own_threat_17() {
    let Some(mut server) = RedisServer::start().await else { return };
    let fleet = Fleet::new(&server);
    let token = fleet.issuer.token().build();
    server.kill().await;
    for granted in 1..=3 {
        assert_eq!(fleet.ask(&fleet.replica().await, &token).await, Ok(()));
        assert_eq!(fleet.issuer.asked().token, granted);
    }
}
