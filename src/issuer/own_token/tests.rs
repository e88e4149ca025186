//! Many who want a token of our own, and what goes wrong → how often the token endpoint is asked.

use super::*;
use crate::{
    issuer::{ClientAuthentication, ClientCredentials, Environment, token_request::TokenRequest},
    testing::{Fault, ManualClock, Target, TestIssuer},
};

mod runtimes;
mod shared;

const TIMEOUT: Duration = Duration::from_secs(5);

const IDP: &str = "https://idp.example";

struct World {
    clock: ManualClock,
    issuer: TestIssuer,
    token: Arc<OwnToken>,
}

impl World {
    fn new() -> Self {
        Self::with(&ClientCredentials::at(format!("{IDP}/token"), ClientAuthentication::basic("c", "s3cret")))
    }

    fn with(credentials: &ClientCredentials) -> Self {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process(IDP);
        issuer.register_client("c", "s3cret", ["tokens:read"]);
        let environment = Environment { transport: issuer.transport(), clock: Arc::new(clock.clone()) };
        let request = TokenRequest::start(credentials, Some(IDP), &environment).unwrap();
        Self { token: Arc::new(OwnToken::new(request, environment.clock)), clock, issuer }
    }

    async fn advance(&self, seconds: u64) {
        self.clock.advance(SECOND * u32::try_from(seconds).unwrap());
        self.clock.settle().await;
    }

    fn asked(&self) -> u64 {
        self.issuer.asked().token
    }

    async fn number(&self) -> u64 {
        self.token.get().await.unwrap().number
    }
}

#[tokio::test]
async fn a_thousand_callers_cost_one_request() {
    let world = World::new();
    assert_eq!(world.asked(), 0, "nobody needs it yet");
    let held = world.issuer.hold(Target::Token);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let token = Arc::clone(&world.token);
        callers.spawn(async move { token.get().await.unwrap().header });
    }
    held.arrived().await;
    held.release();
    let headers = callers.join_all().await;
    assert!(headers.iter().all(|header| *header == headers[0]));
    assert_eq!(world.asked(), 1);
    for _ in 0..1000 {
        assert_eq!(world.number().await, 1);
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn callers_that_give_up_waste_no_token() {
    let world = World::new();
    let held = world.issuer.hold_answer(Target::Token);
    for _ in 0..100 {
        tokio::select! {
            biased;
            _ = world.token.get() => panic!("it is held"),
            () = world.clock.settle() => {}
        }
    }
    held.release();
    assert_eq!(world.number().await, 1);
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn a_token_in_use_is_renewed_before_it_is_over_with_nobody_waiting() {
    let world = World::new();
    assert_eq!(world.number().await, 1);
    world.advance(3180).await;
    assert_eq!(world.asked(), 1, "kept for nine tenths of its life at least");
    world.advance(361).await;
    assert_eq!(world.asked(), 2, "a minute before its end at the latest");
    // Nobody is kept waiting, whatever the server does.
    world.issuer.fault(Target::Token, Fault::Hang);
    assert_eq!(world.number().await, 2);
}

#[tokio::test]
async fn a_token_that_nobody_uses_is_not_renewed() {
    let world = World::new();
    assert_eq!(world.number().await, 1);
    for _ in 0..1000 {
        world.advance(60).await;
    }
    assert_eq!(world.asked(), 2, "renewed once, and not used since");
    assert_eq!(world.number().await, 3);
}

#[tokio::test]
async fn a_month_costs_what_the_documentation_says() {
    let world = World::new();
    for _ in 0..31 * 24 * 60 {
        world.token.get().await.unwrap();
        world.advance(60).await;
    }
    assert!((740..=850).contains(&world.asked()), "{}", world.asked());
}

#[tokio::test]
async fn short_lives_are_not_renewed_without_pause() {
    for lifetime in [1, 2, 5, 8, 20] {
        let world = World::new();
        world.issuer.set_token_lifetime(SECOND * lifetime);
        for _ in 0..100 {
            world.token.get().await.unwrap();
            world.advance(1).await;
        }
        assert!(world.asked() <= 201, "{lifetime} {}", world.asked());
    }
    assert_eq!(lead(SECOND), SECOND / 2);
    assert_eq!(lead(20 * SECOND), 5 * SECOND);
    assert_eq!(lead(5 * MINUTE), 30 * SECOND);
    assert_eq!(lead(HOUR), MINUTE);
}

#[tokio::test]
async fn after_a_failure_everybody_gets_the_error_at_once_and_nobody_asks() {
    let world = World::new();
    world.issuer.fault(Target::Token, Fault::Status(500));
    let mut at = Vec::new();
    for second in 0..200 {
        let before = world.asked();
        for _ in 0..10 {
            assert!(world.token.get().await.is_err());
        }
        if world.asked() > before {
            at.push(second);
        }
        world.advance(1).await;
    }
    assert_eq!(at, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    assert_eq!(world.asked(), 9);
    world.issuer.heal();
    world.advance(60).await;
    assert!(world.token.get().await.is_ok());
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_alone_is() {
    for status in [429, 503] {
        let world = World::new();
        world.issuer.fault(Target::Token, Fault::RetryAfter(status, 30));
        assert!(world.token.get().await.is_err());
        world.issuer.heal();
        world.advance(29).await;
        assert!(world.token.get().await.is_err(), "{status}");
        assert_eq!(world.asked(), 1);
        world.advance(1).await;
        assert!(world.token.get().await.is_ok(), "{status}");
    }
    let world = World::new();
    world.issuer.fault(Target::Token, Fault::RetryAfter(500, 30));
    assert!(world.token.get().await.is_err());
    world.issuer.heal();
    world.advance(1).await;
    assert!(world.token.get().await.is_ok(), "on 500 it means nothing");
}

#[tokio::test]
async fn a_good_token_is_used_while_its_successor_cannot_be_had() {
    let world = World::new();
    assert_eq!(world.number().await, 1);
    world.issuer.fault(Target::Token, Fault::Reset);
    world.advance(3550).await;
    assert!(world.asked() > 1);
    assert_eq!(world.number().await, 1);
    for _ in 0..60 {
        world.advance(1).await;
    }
    assert!((3..=9).contains(&world.asked()), "with pauses that grow: {}", world.asked());
    assert!(world.token.get().await.is_err(), "an hour is over");
    world.issuer.heal();
    world.advance(60).await;
    assert!(world.token.get().await.is_ok());
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let world = World::new();
    world.issuer.fault(Target::Token, Fault::Hang);
    let (answer, ()) = tokio::join!(world.token.get(), async {
        world.clock.settle().await;
        world.clock.advance(TIMEOUT);
    });
    assert!(matches!(*answer.err().unwrap(), ClientError::TimedOut(TIMEOUT)));
}

#[tokio::test]
async fn an_answer_that_is_there_counts_though_its_time_is_over() {
    for _ in 0..32 {
        let world = World::new();
        let held = world.issuer.hold_answer(Target::Token);
        let (answer, ()) = tokio::join!(world.token.get(), async {
            held.arrived().await;
            held.release();
            world.clock.advance(TIMEOUT);
        });
        assert!(answer.is_ok(), "it was counted");
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let world = World::new();
    let first = world.token.get().await.unwrap();
    for _ in 0..10 {
        assert!(world.token.refused(&first), "there is another to be had");
    }
    let second = world.token.get().await.unwrap();
    assert_eq!((second.number, world.asked()), (2, 2));
    assert!(world.token.refused(&first), "it was not the current one");
    for _ in 0..10 {
        assert!(!world.token.refused(&second), "too soon");
    }
    assert_eq!((world.number().await, world.asked()), (2, 2));
    world.advance(60).await;
    assert!(world.token.refused(&second));
    let third = world.token.get().await.unwrap();
    world.advance(60).await;
    assert!(!world.token.refused(&third), "the pause has doubled");
    world.advance(60).await;
    assert!(world.token.refused(&third));
}

#[tokio::test]
async fn the_tasks_end_with_the_last_owner() {
    let world = World::new();
    assert_eq!(world.number().await, 1);
    world.clock.settle().await;
    assert_eq!(world.clock.sleepers(), 1);
    drop(world.token);
    world.clock.settle().await;
    assert_eq!(world.clock.sleepers(), 0);
}

#[tokio::test]
async fn what_a_server_says_of_a_client_is_in_the_error_and_its_secret_is_not_threat_29() {
    let at = |secret: &str| ClientCredentials::at(format!("{IDP}/token"), ClientAuthentication::post("c", secret));
    for (credentials, expected) in [
        (at("wr0ng"), "https://idp.example/token answered 401 Unauthorized invalid_client"),
        (at("s3cret").scope("admin"), "https://idp.example/token answered 400 Bad Request invalid_scope"),
    ] {
        let error = World::with(&credentials).token.get().await.err().unwrap();
        assert_eq!(error.to_string(), expected);
        let shown = format!("{error:?}");
        assert!(!shown.contains("wr0ng") && !shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn the_token_endpoint_is_discovered_when_it_is_needed_and_again_when_it_has_moved() {
    let basic = ClientAuthentication::basic("c", "s3cret");
    let world = World::with(&ClientCredentials::discover(basic).scope("tokens:read").resource("https://a.example"));
    assert_eq!(world.issuer.asked().metadata, 0);
    assert_eq!(world.number().await, 1);
    assert_eq!(world.issuer.asked().metadata, 1);
    world.issuer.fault(Target::Token, Fault::Status(404));
    world.advance(3550).await;
    world.issuer.heal();
    world.advance(60).await;
    assert!(world.token.get().await.is_ok());
    assert_eq!(world.issuer.asked().metadata, 2);
}

#[tokio::test]
async fn a_server_that_refuses_every_token_costs_one_an_hour_threat_22() {
    let world = World::new();
    world.issuer.set_token_lifetime(24 * HOUR);
    for _ in 0..3 * 24 * 60 {
        let bearer = world.token.get().await.unwrap();
        if world.token.refused(&bearer) {
            world.token.get().await.unwrap();
        }
        world.advance(60).await;
    }
    assert!(world.asked() <= 3 * 24 + 10, "{}", world.asked());
}

#[tokio::test]
async fn refusals_long_ago_do_not_delay_the_next_renewal() {
    let world = World::new();
    let refuse = async || {
        let bearer = world.token.get().await.unwrap();
        world.token.refused(&bearer)
    };
    for _ in 0..10 {
        assert!(refuse().await, "the pause after the last one is over");
        for _ in 0..150 {
            world.token.get().await.unwrap();
            world.advance(60).await;
        }
    }
    assert!(refuse().await);
    assert!(!refuse().await);
    world.advance(60).await;
    assert!(refuse().await, "a minute, as after the first one");
}

#[tokio::test]
async fn a_token_that_is_over_when_it_arrives_is_a_failure_and_is_not_fetched_without_pause_threat_22() {
    let world = World::new();
    world.issuer.set_token_lifetime(SECOND);
    world.issuer.fault(Target::Token, Fault::Slow(2 * SECOND));
    for _ in 0..60 {
        tokio::select! {
            biased;
            answer = world.token.get() => assert!(answer.is_err()),
            () = world.clock.settle() => {}
        }
        world.advance(1).await;
    }
    assert!(world.asked() <= 7, "{}", world.asked());
}

#[tokio::test]
async fn answers_that_are_counted_and_of_no_use_do_not_use_up_a_month_s_tokens_in_a_day_threat_22() {
    let useless = r#"{"access_token":"a","token_type":"DPoP"}"#;
    let useless = Fault::Body { status: 200, content_type: "application/json".into(), body: useless.into() };
    for fault in [useless, Fault::Hang] {
        let world = World::new();
        world.issuer.fault(Target::Token, fault);
        for _ in 0..24 * 60 * 4 {
            tokio::select! {
                biased;
                answer = world.token.get() => assert!(answer.is_err()),
                () = world.clock.settle() => {}
            }
            world.advance(15).await;
        }
        assert!(world.asked() <= 24 * 6 + 10, "{}", world.asked());
    }
}
