//! Ways of getting tokens, good and bad → how often they are asked, and what whoever needs a token gets.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Extensions;
use portcullis::{
    issuer::{ClientAuthentication, ClientCredentials, ClientError, Connection},
    outbound::{ClientCredentialsToken, IssuedToken, Renew, Renewal, Renewed, RenewedToken, SourceError, TokenSource},
    testing::{Fault, ManualClock, Target, TestIssuer},
};
use tokio::{sync::watch, task::JoinSet};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const IDP: &str = "https://idp.example";

/// Gives `token-1`, `token-2`, …, or what was set.
#[derive(Clone)]
struct Service(Arc<State>);

struct State {
    asked: AtomicU64,
    lifetime: Mutex<Duration>,
    mood: Mutex<Mood>,
    is_open: watch::Sender<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Good,
    Down,
    Busy(u64),
    Panics,
    PanicsAtOnce,
    Hangs,
    Nonsense,
}

/// An error of the service's own, with its own way to say when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the service is out of tokens")]
struct OutOfTokens {
    come_back_in: Option<u64>,
}

impl Service {
    fn new(lifetime: Duration) -> Self {
        let (lifetime, mood) = (Mutex::new(lifetime), Mutex::new(Mood::Good));
        Self(Arc::new(State { asked: AtomicU64::new(0), lifetime, mood, is_open: watch::Sender::new(true) }))
    }

    fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::Relaxed)
    }

    fn is(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
    }
}

impl Renew for Service {
    fn renew(&self) -> Renewal {
        let number = self.0.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let (mood, lifetime) = (*self.0.mood.lock().unwrap(), *self.0.lifetime.lock().unwrap());
        assert!(mood != Mood::PanicsAtOnce, "on purpose");
        let mut is_open = self.0.is_open.subscribe();
        let down = |come_back_in| Err(shared(OutOfTokens { come_back_in }));
        Box::pin(async move {
            is_open.wait_for(|is_open| *is_open).await.unwrap();
            match mood {
                Mood::Good => Ok(Renewed::new(format!("token-{number}"), lifetime)),
                Mood::Down => down(None),
                Mood::Busy(seconds) => down(Some(seconds)),
                Mood::Panics | Mood::PanicsAtOnce => panic!("on purpose"),
                Mood::Hangs => std::future::pending().await,
                Mood::Nonsense => Ok(Renewed::new("s3cret\r\nX-Evil: 1", lifetime)),
            }
        })
    }

    fn retry_after(&self, error: &SourceError) -> Option<Duration> {
        error.downcast_ref::<OutOfTokens>()?.come_back_in.map(Duration::from_secs)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

struct World {
    clock: ManualClock,
    service: Service,
    token: RenewedToken,
}

impl World {
    fn new(lifetime: Duration) -> Self {
        let (clock, service) = (ManualClock::new(), Service::new(lifetime));
        let token = RenewedToken::new(service.clone(), &connection(&clock, &TestIssuer::in_process(IDP)));
        Self { clock, service, token }
    }

    async fn get(&self) -> Result<String, SourceError> {
        get(&self.token).await.map(|token| text(&token))
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.clock.settle().await;
    }
}

fn connection(clock: &ManualClock, issuer: &TestIssuer) -> Connection {
    Connection::over(issuer.transport()).clock(clock.clone()).timeout(2 * SECOND)
}

async fn get(source: &dyn TokenSource) -> Result<IssuedToken, SourceError> {
    source.token(&Extensions::new()).await
}

fn text(token: &IssuedToken) -> String {
    token.header().to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
}

#[tokio::test]
async fn a_thousand_requests_when_a_token_is_over_cost_one_renewal_threat_22() {
    let world = World::new(MINUTE);
    assert_eq!(world.get().await.unwrap(), "token-1");
    for (at, number) in [(MINUTE, 2), (3 * MINUTE, 3)] {
        world.advance(at).await;
        world.service.0.is_open.send_replace(false);
        let before = world.service.asked();
        let mut requests = JoinSet::new();
        for _ in 0..1000 {
            let token = world.token.clone();
            requests.spawn(async move { text(&get(&token).await.unwrap()) });
        }
        world.clock.settle().await;
        world.service.0.is_open.send_replace(true);
        let tokens = requests.join_all().await;
        assert!(tokens.iter().all(|token| *token == format!("token-{number}")), "{}", tokens[0]);
        assert_eq!(world.service.asked() - before, 1);
    }
}

#[tokio::test]
async fn a_token_is_got_when_it_is_needed_and_renewed_while_it_is_used() {
    let world = World::new(10 * MINUTE);
    world.advance(MINUTE).await;
    assert_eq!(world.service.asked(), 0, "nobody needs it yet");
    assert_eq!(world.get().await.unwrap(), "token-1");
    assert_eq!(world.get().await.unwrap(), "token-1");
    // The service is slow, and nobody waits for it.
    world.service.0.is_open.send_replace(false);
    world.advance(9 * MINUTE + SECOND).await;
    assert_eq!(world.service.asked(), 2);
    assert_eq!(world.get().await.unwrap(), "token-1");
    world.service.0.is_open.send_replace(true);
    world.clock.settle().await;
    assert_eq!(world.get().await.unwrap(), "token-2");
}

#[tokio::test]
async fn a_token_is_used_while_it_lives_and_its_service_is_down() {
    let world = World::new(10 * MINUTE);
    assert_eq!(world.get().await.unwrap(), "token-1");
    for mood in [Mood::Down, Mood::Panics, Mood::PanicsAtOnce, Mood::Hangs, Mood::Nonsense] {
        world.service.is(mood);
        world.advance(110 * SECOND).await;
        assert_eq!(world.get().await.unwrap(), "token-1");
    }
    world.advance(49 * SECOND).await;
    assert!(world.service.asked() > 1, "it was tried");
    world.service.is(Mood::Down);
    world.advance(2 * SECOND).await;
    assert!(world.get().await.is_err(), "it is over");
    world.service.is(Mood::Good);
    world.advance(10 * MINUTE).await;
    assert!(world.get().await.is_ok());
}

#[tokio::test]
async fn whoever_waits_gets_the_service_s_own_error_and_nobody_asks_until_it_wants_to_be_asked() {
    let world = World::new(MINUTE);
    world.service.is(Mood::Busy(30));
    let error = world.get().await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&OutOfTokens { come_back_in: Some(30) }));
    world.service.is(Mood::Down);
    for _ in 0..29 {
        world.advance(SECOND).await;
        assert_eq!(world.get().await.unwrap_err().downcast_ref(), Some(&OutOfTokens { come_back_in: Some(30) }));
    }
    assert_eq!(world.service.asked(), 1);
    world.advance(SECOND).await;
    assert_eq!(world.get().await.unwrap_err().downcast_ref(), Some(&OutOfTokens { come_back_in: None }));
    // Failures without a word on that are followed by pauses that grow.
    let mut at = Vec::new();
    for second in 1..130 {
        world.advance(SECOND).await;
        let before = world.service.asked();
        let _ = world.get().await;
        at.extend((world.service.asked() > before).then_some(second));
    }
    assert_eq!(at, [2, 6, 14, 30, 62, 122]);
}

#[tokio::test]
async fn what_a_service_does_wrong_is_an_error_and_no_more() {
    for (mood, expected) in [
        (Mood::Panics, "the transport panicked"),
        (Mood::PanicsAtOnce, "the transport panicked"),
        (Mood::Nonsense, "renewed token gave no usable token: the token has characters that a Bearer cannot have"),
        (Mood::Hangs, "no token within 2s"),
    ] {
        let world = World::new(MINUTE);
        world.service.is(mood);
        let (answer, ()) = tokio::join!(world.get(), async {
            world.clock.settle().await;
            world.clock.advance(2 * SECOND);
        });
        let error = answer.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{error:?}").contains("s3cret"));
        world.service.is(Mood::Good);
        world.advance(MINUTE).await;
        assert_eq!(world.get().await.unwrap(), "token-2");
    }
}

#[tokio::test]
async fn lifetimes_that_make_no_sense_do_no_harm_threat_22() {
    let world = World::new(Duration::ZERO);
    assert_eq!(world.get().await.unwrap_err().to_string(), "the token lasts 0ns, and was longer on its way");
    let world = World::new(Duration::MAX);
    assert_eq!(world.get().await.unwrap(), "token-1");
    assert_eq!(world.get().await.unwrap(), "token-1");
    world.advance(24 * 60 * MINUTE).await;
    assert_eq!(world.get().await.unwrap(), "token-2", "asked again after a day, whatever was said");
}

#[tokio::test]
async fn a_refused_token_is_dropped_once_and_only_if_it_is_the_current_one() {
    let world = World::new(10 * MINUTE);
    let first = get(&world.token).await.unwrap();
    assert!(world.token.refused(&first) && world.token.refused(&first));
    let second = get(&world.token).await.unwrap();
    assert_eq!((text(&second).as_str(), world.service.asked()), ("token-2", 2));
    assert!(world.token.refused(&first), "it was not the current one");
    assert!(!world.token.refused(&second), "too soon");
    assert_eq!(world.get().await.unwrap(), "token-2");
}

#[tokio::test]
async fn what_was_started_ends_with_the_last_owner() {
    let world = World::new(MINUTE);
    let other = world.token.clone();
    assert_eq!(world.get().await.unwrap(), "token-1");
    world.clock.settle().await;
    drop(world.token);
    world.clock.settle().await;
    assert_eq!(world.clock.sleepers(), 1);
    drop(other);
    world.clock.settle().await;
    assert_eq!((world.clock.sleepers(), Arc::strong_count(&world.service.0)), (0, 1));
}

#[tokio::test]
async fn client_credentials_cost_one_token_and_say_what_is_wrong_with_them() {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process(IDP);
    issuer.register_client("c", "s3cret", ["stock:read"]);
    let connection = connection(&clock, &issuer);
    let credentials = ClientCredentials::discover(ClientAuthentication::basic("c", "s3cret")).scope("stock:read");
    let token = ClientCredentialsToken::start(&credentials, Some(IDP), &connection).unwrap();
    assert_eq!(issuer.asked().token, 0);
    let first = get(&token).await.unwrap();
    assert_eq!(text(&first), text(&get(&token.clone()).await.unwrap()));
    assert_eq!((issuer.asked().metadata, issuer.asked().token), (1, 1));
    assert!(token.refused(&first));
    assert_ne!(text(&first), text(&get(&token).await.unwrap()));
    assert!(!format!("{token:?} {first:?}").contains("s3cret"));

    // The time is the connection's.
    let (answer, ()) = tokio::join!(
        async {
            let token = ClientCredentialsToken::start(&credentials, Some(IDP), &connection).unwrap();
            issuer.fault(Target::Token, Fault::Hang);
            get(&token).await
        },
        async {
            clock.settle().await;
            clock.advance(2 * SECOND);
        }
    );
    assert!(matches!(answer.unwrap_err().downcast_ref(), Some(ClientError::TimedOut(at)) if *at == 2 * SECOND));

    assert!(ClientCredentialsToken::start(&credentials, None, &connection).is_err(), "nobody to discover from");
    let bearer = ClientCredentials::discover(ClientAuthentication::bearer("k3y"));
    assert!(ClientCredentialsToken::start(&bearer, Some(IDP), &connection).is_err(), "no way to get a token");
}

/// Asks for somebody else's token, whose error it hands on as it is.
#[derive(Debug)]
struct Borrowed(ClientCredentialsToken, Arc<Mutex<VecDeque<()>>>);

impl Renew for Borrowed {
    fn renew(&self) -> Renewal {
        self.1.lock().unwrap().push_back(());
        let token = self.0.token(&Extensions::new());
        Box::pin(async move { token.await.map(|token| Renewed::new(text(&token), MINUTE)) })
    }
}

#[tokio::test]
async fn an_error_of_our_own_says_by_itself_when_to_come_back() {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process(IDP);
    issuer.register_client("c", "s3cret", [""; 0]);
    issuer.fault(Target::Token, Fault::RetryAfter(429, 30));
    let credentials = ClientCredentials::at(format!("{IDP}/token"), ClientAuthentication::basic("c", "s3cret"));
    let connection = connection(&clock, &issuer);
    let inner = ClientCredentialsToken::start(&credentials, None, &connection).unwrap();
    let asked = Arc::<Mutex<VecDeque<()>>>::default();
    let token = RenewedToken::new(Borrowed(inner, asked.clone()), &connection);
    for _ in 0..30 {
        assert!(get(&token).await.is_err());
        clock.advance(SECOND);
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
    issuer.heal();
    assert!(get(&token).await.is_ok());
}

fn shared(error: impl std::error::Error + Send + Sync + 'static) -> SourceError {
    Arc::new(error)
}
