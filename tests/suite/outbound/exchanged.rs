//! Callers' tokens beside the requests that are sent for them → how often each is exchanged, and for whom the outcome is.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Extensions;
use portcullis::{
    clock::UnixTime,
    issuer::{ClientAuthentication, Connection},
    outbound::{
        ExchangeAt, ExchangeError, ExchangeGrant, ExchangedToken, IssuedToken, Renewal, Renewed, SourceError,
        SubjectToken, TokenClient, TokenEndpointError, TokenExchange, TokenSource, token_types,
    },
    testing::ManualClock,
};
use tokio::{sync::watch, task::JoinSet};

use crate::scripted::Scripted;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Gives `for-SUBJECT-1`, `for-SUBJECT-2`, …
#[derive(Clone)]
struct Server(Arc<State>);

struct State {
    asked: Mutex<Vec<String>>,
    is_down: AtomicBool,
    is_open: watch::Sender<bool>,
}

#[derive(Debug, thiserror::Error)]
#[error("down")]
struct Down;

impl Server {
    fn asked(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    fn is_down(&self, is_down: bool) {
        self.0.is_down.store(is_down, Ordering::Relaxed);
    }
}

impl ExchangeGrant for Server {
    fn exchange(&self, subject: &SubjectToken) -> Renewal {
        let mut asked = self.0.asked.lock().unwrap();
        asked.push(subject.token().to_owned());
        let number = asked.iter().filter(|token| *token == subject.token()).count();
        let token = format!("for-{}-{number}", subject.token());
        let (is_down, mut is_open) = (self.0.is_down.load(Ordering::Relaxed), self.0.is_open.subscribe());
        Box::pin(async move {
            is_open.wait_for(|is_open| *is_open).await.unwrap();
            if is_down { Err(shared(Down)) } else { Ok(Renewed::new(token, 10 * MINUTE)) }
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

struct World {
    clock: ManualClock,
    server: Server,
    token: ExchangedToken,
}

impl World {
    fn new(capacity: u32) -> Self {
        let clock = ManualClock::new();
        let server = Server(Arc::new(State {
            asked: Mutex::default(),
            is_down: AtomicBool::new(false),
            is_open: watch::Sender::new(true),
        }));
        let connection = Connection::over(Scripted::default()).clock(clock.clone()).timeout(2 * SECOND);
        Self { token: ExchangedToken::new(server.clone(), capacity, &connection), clock, server }
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.clock.settle().await;
    }

    async fn get(&self, subject: &str) -> Result<String, SourceError> {
        get(&self.token, SubjectToken::new(subject)).await.map(|token| text(&token))
    }
}

async fn get(source: &ExchangedToken, subject: SubjectToken) -> Result<IssuedToken, SourceError> {
    let mut extensions = Extensions::new();
    extensions.insert(subject);
    source.token(&extensions).await
}

fn text(token: &IssuedToken) -> String {
    token.header().to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
}

#[tokio::test]
async fn each_caller_gets_what_was_exchanged_for_their_own_token() {
    let world = World::new(100);
    for _ in 0..3 {
        for subject in ["ann", "bob", "an", "nann"] {
            assert_eq!(world.get(subject).await.unwrap(), format!("for-{subject}-1"));
        }
    }
    assert_eq!(world.server.asked(), 4);
}

#[tokio::test]
async fn a_thousand_requests_for_one_caller_cost_one_exchange_threat_22() {
    let world = World::new(100);
    world.server.0.is_open.send_replace(false);
    let mut requests = JoinSet::new();
    for at in 0..1000 {
        let (token, subject) = (world.token.clone(), if at % 2 == 0 { "ann" } else { "bob" });
        requests.spawn(async move {
            let got = text(&get(&token, SubjectToken::new(subject)).await.unwrap());
            assert_eq!(got, format!("for-{subject}-1"));
        });
    }
    world.clock.settle().await;
    world.server.0.is_open.send_replace(true);
    requests.join_all().await;
    assert_eq!(world.server.asked(), 2);
}

#[tokio::test]
async fn a_request_on_nobody_s_behalf_gets_no_token() {
    let world = World::new(100);
    let error = world.token.token(&Extensions::new()).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&ExchangeError::NoSubject));
    assert_eq!(world.server.asked(), 0);
}

#[tokio::test]
async fn what_was_refused_is_exchanged_anew_for_that_caller_alone() {
    let world = World::new(100);
    let ann = get(&world.token, SubjectToken::new("ann")).await.unwrap();
    assert_eq!(world.get("bob").await.unwrap(), "for-bob-1");
    assert!(world.token.refused(&ann) && world.token.refused(&ann));
    assert_eq!(world.get("ann").await.unwrap(), "for-ann-2");
    assert_eq!(world.get("bob").await.unwrap(), "for-bob-1");
    let again = get(&world.token, SubjectToken::new("ann")).await.unwrap();
    assert!(!world.token.refused(&again), "too soon");
    assert_eq!(world.get("ann").await.unwrap(), "for-ann-2");
}

#[tokio::test]
async fn a_failure_is_the_answer_for_a_second_and_for_that_caller() {
    let world = World::new(100);
    world.server.is_down(true);
    for number in 1..10 {
        for _ in 0..10 {
            assert!(world.get("ann").await.unwrap_err().is::<Down>());
        }
        assert_eq!(world.server.asked(), number);
        world.advance(SECOND).await;
    }
    world.server.is_down(false);
    assert_eq!(world.get("bob").await.unwrap(), "for-bob-1");
    assert_eq!(world.get("ann").await.unwrap(), "for-ann-10");
}

#[tokio::test]
async fn what_was_exchanged_ends_with_the_subject_token() {
    let world = World::new(100);
    let end = ManualClock::START.as_secs() + 300;
    let subject = SubjectToken::new("ann").expires_at(UnixTime::from_secs(end));
    assert_eq!(text(&get(&world.token, subject.clone()).await.unwrap()), "for-ann-1");
    world.advance(5 * MINUTE).await;
    let asked = world.server.asked();
    let error = get(&world.token, subject).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&ExchangeError::SubjectExpired));
    assert_eq!(world.server.asked(), asked, "nobody is asked for it");
    // Whoever says later that it lasts longer is not stopped by that.
    let longer = SubjectToken::new("ann").expires_at(UnixTime::from_secs(end + 300));
    assert!(get(&world.token, longer).await.is_ok());
}

#[tokio::test]
async fn what_was_exchanged_is_renewed_while_it_is_used() {
    let world = World::new(100);
    let end = ManualClock::START.as_secs() + 60 * 60;
    for subject in [SubjectToken::new("ann"), SubjectToken::new("bob").expires_at(UnixTime::from_secs(end))] {
        let before = world.server.asked();
        assert!(get(&world.token, subject.clone()).await.is_ok());
        world.advance(9 * MINUTE + SECOND).await;
        assert_eq!(world.server.asked() - before, 2, "nobody waits for it");
    }
}

#[tokio::test]
async fn what_ends_with_the_subject_token_is_not_renewed_towards_its_end_threat_22() {
    let world = World::new(100);
    let end = ManualClock::START.as_secs() + 15 * 60;
    let subject = SubjectToken::new("ann").expires_at(UnixTime::from_secs(end));
    while world.clock.now().wall().as_secs() < end {
        assert!(get(&world.token, subject.clone()).await.is_ok());
        world.advance(SECOND / 20).await;
    }
    assert_eq!(world.server.asked(), 2, "ten minutes, and what was left");
}

#[tokio::test]
async fn no_more_callers_are_remembered_than_was_said_threat_22() {
    let world = World::new(10);
    for at in 0..2000 {
        world.get(&format!("caller-{at}")).await.unwrap();
    }
    // Each one that is remembered waits to be renewed.
    world.clock.settle().await;
    assert!(world.clock.sleepers() <= 200, "{}", world.clock.sleepers());
    let ann = get(&world.token, SubjectToken::new("ann")).await.unwrap();
    for at in 2000..4000 {
        world.get(&format!("caller-{at}")).await.unwrap();
    }
    assert!(world.token.refused(&ann), "there is another to be had, though this one is forgotten");
    let asked = world.server.asked();
    for at in 0..1000 {
        world.get(&format!("caller-{at}")).await.unwrap();
    }
    assert!(world.server.asked() >= asked + 800, "{}", world.server.asked());
}

#[tokio::test]
async fn a_token_client_exchanges_and_what_no_resource_takes_is_no_token() {
    let server = Scripted::default();
    let clock = ManualClock::new();
    let connection = Connection::over(server.clone()).clock(clock.clone());
    let client = TokenClient::at("https://idp.example/token", ClientAuthentication::basic("c", "s3cret"));
    let client = client.start(&connection).unwrap();
    let exchange = ExchangeAt::new(client, |subject| {
        TokenExchange::new(subject.token(), token_types::ACCESS_TOKEN).audience("https://billing.example")
    });
    let token = ExchangedToken::new(exchange, 100, &connection);
    let answer = |kind: &str| {
        format!(r#"{{"access_token":"x","token_type":"{kind}","issued_token_type":"{}"}}"#, token_types::ACCESS_TOKEN)
    };
    server.then(200, answer("N_A"));
    let error = get(&token, SubjectToken::new("ann")).await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(TokenEndpointError::Malformed(_))), "{error}");
    clock.advance(SECOND);
    server.then(200, answer("bearer"));
    assert_eq!(text(&get(&token, SubjectToken::new("ann")).await.unwrap()), "x");
    let expected = [
        ("audience", "https://billing.example"),
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "ann"),
        ("subject_token_type", token_types::ACCESS_TOKEN),
    ];
    for sent in server.sent() {
        assert_eq!(sent.form(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    clock.advance(MINUTE * 5);
    server.then_with(429, &[("retry-after", "30")], "{}");
    for _ in 0..30 {
        assert!(get(&token, SubjectToken::new("ann")).await.is_err());
        clock.advance(SECOND);
    }
    assert_eq!(server.sent().len(), 1, "it wants to be left alone");
    assert!(!format!("{token:?}").contains("s3cret"));
}

#[test]
fn nothing_that_is_shown_has_a_token_in_it_threat_29() {
    assert_eq!(format!("{:?}", SubjectToken::new("s3cret")), "SubjectToken(<redacted>)");
}

fn shared(error: impl std::error::Error + Send + Sync + 'static) -> SourceError {
    Arc::new(error)
}
