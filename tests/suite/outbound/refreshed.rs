//! Refresh tokens that rotate, and stores that fail → which one is sent, which one is stored, and when.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Extensions;
use portcullis::{
    issuer::{ClientAuthentication, Connection},
    outbound::{
        IssuedToken, RefreshGrant, RefreshTokenStore, Refreshed, RefreshedToken, Refreshing, SourceError, Storing,
        TokenClient, TokenSource,
    },
    testing::ManualClock,
};
use tokio::sync::watch;

use crate::scripted::Scripted;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A server that takes each refresh token once, and a store, which write down what happens to them.
#[derive(Clone)]
struct Both(Arc<State>);

struct State {
    happened: Mutex<Vec<String>>,
    grant: Mutex<Grant>,
    store: Mutex<Store>,
    may_store: watch::Sender<bool>,
    may_grant: watch::Sender<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grant {
    Rotates,
    KeepsIt,
    Repeats,
    Invalid,
    Down,
    BadAccessToken,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Works,
    Fails,
    Hangs,
    Panics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Trouble {
    #[error("invalid_grant")]
    InvalidGrant,
    #[error("down")]
    Down,
    #[error("disk full")]
    DiskFull,
}

impl Both {
    fn new() -> Self {
        Self(Arc::new(State {
            happened: Mutex::default(),
            grant: Mutex::new(Grant::Rotates),
            store: Mutex::new(Store::Works),
            may_store: watch::Sender::new(true),
            may_grant: watch::Sender::new(true),
        }))
    }

    fn grant(&self, mood: Grant) {
        *self.0.grant.lock().unwrap() = mood;
    }

    fn store(&self, mood: Store) {
        *self.0.store.lock().unwrap() = mood;
    }

    /// What happened since this was asked last.
    fn happened(&self) -> String {
        std::mem::take(&mut *self.0.happened.lock().unwrap()).join(", ")
    }

    fn note(&self, what: impl Into<String>) {
        self.0.happened.lock().unwrap().push(what.into());
    }
}

impl RefreshGrant for Both {
    fn refresh(&self, refresh_token: &str) -> Refreshing {
        self.note(format!("use {refresh_token}"));
        let number: u32 = refresh_token.strip_prefix('r').unwrap().parse().unwrap();
        let (mood, mut may_grant) = (*self.0.grant.lock().unwrap(), self.0.may_grant.subscribe());
        Box::pin(async move {
            may_grant.wait_for(|may| *may).await.unwrap();
            let trouble = |trouble: Trouble| Err(shared(trouble));
            match mood {
                Grant::Rotates => Ok(granted(number, "a").refresh_token(format!("r{}", number + 1))),
                Grant::KeepsIt => Ok(granted(number, "kept-")),
                Grant::Repeats => Ok(granted(number, "same-").refresh_token(format!("r{number}"))),
                Grant::BadAccessToken => Ok(granted(number, "b a d ").refresh_token(format!("r{}", number + 1))),
                Grant::Invalid => trouble(Trouble::InvalidGrant),
                Grant::Down => trouble(Trouble::Down),
            }
        })
    }

    fn is_over(&self, error: &SourceError) -> bool {
        error.downcast_ref() == Some(&Trouble::InvalidGrant)
    }
}

fn granted(number: u32, name: &str) -> Refreshed {
    Refreshed::new(format!("{name}{number}"), 10 * MINUTE)
}

impl RefreshTokenStore for Both {
    fn store(&self, refresh_token: &str) -> Storing {
        let (both, name, mood) = (self.clone(), refresh_token.to_owned(), *self.0.store.lock().unwrap());
        let mut may_store = self.0.may_store.subscribe();
        Box::pin(async move {
            may_store.wait_for(|may| *may).await.unwrap();
            match mood {
                Store::Works => both.note(format!("stored {name}")),
                Store::Fails => {
                    both.note(format!("failed {name}"));
                    return Err(shared(Trouble::DiskFull));
                }
                Store::Hangs => {
                    both.note(format!("hung {name}"));
                    std::future::pending::<()>().await;
                }
                Store::Panics => {
                    both.note(format!("panicked {name}"));
                    panic!("on purpose");
                }
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Both")
    }
}

struct World {
    clock: ManualClock,
    both: Both,
    token: RefreshedToken,
}

impl World {
    fn new() -> Self {
        let (clock, both) = (ManualClock::new(), Both::new());
        let connection = Connection::over(Scripted::default()).clock(clock.clone()).timeout(2 * SECOND);
        let token = RefreshedToken::new("r0", both.clone(), both.clone(), &connection);
        Self { clock, both, token }
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.clock.settle().await;
    }

    async fn get(&self) -> Result<String, SourceError> {
        get(&self.token).await.map(|token| text(&token))
    }

    /// The next token, once this one is over.
    async fn next(&self) -> Result<String, SourceError> {
        self.advance(11 * MINUTE).await;
        self.get().await
    }
}

async fn get(source: &dyn TokenSource) -> Result<IssuedToken, SourceError> {
    source.token(&Extensions::new()).await
}

fn text(token: &IssuedToken) -> String {
    token.header().to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
}

#[tokio::test]
async fn each_refresh_token_is_used_once_and_its_successor_is_stored_first() {
    let world = World::new();
    assert_eq!(world.both.happened(), "", "nobody needs it yet");
    assert_eq!(world.get().await.unwrap(), "a0");
    assert_eq!(world.get().await.unwrap(), "a0");
    assert_eq!(world.both.happened(), "use r0, stored r1");
    assert_eq!(world.next().await.unwrap(), "a1");
    assert_eq!(world.both.happened(), "use r1, stored r2");
}

#[tokio::test]
async fn nobody_gets_the_access_token_before_the_refresh_token_is_stored() {
    let world = World::new();
    world.both.0.may_store.send_replace(false);
    let mut getting = start(world.token.clone());
    world.clock.settle().await;
    assert_eq!(world.both.happened(), "use r0");
    assert!(!getting.is_finished());
    world.both.0.may_store.send_replace(true);
    assert_eq!((&mut getting).await.unwrap(), "a0");
    assert_eq!(world.both.happened(), "stored r1");
}

fn start(token: RefreshedToken) -> tokio::task::JoinHandle<String> {
    tokio::spawn(async move { text(&get(&token).await.unwrap()) })
}

#[tokio::test]
async fn whoever_gives_up_costs_no_refresh_token() {
    let world = World::new();
    world.both.0.may_grant.send_replace(false);
    let getting = start(world.token.clone());
    world.clock.settle().await;
    getting.abort();
    world.both.0.may_grant.send_replace(true);
    world.clock.settle().await;
    assert_eq!(world.both.happened(), "use r0, stored r1");
    assert_eq!(world.get().await.unwrap(), "a0");
}

#[tokio::test]
async fn a_refresh_token_that_goes_on_is_neither_stored_nor_replaced() {
    let world = World::new();
    for mood in [Grant::KeepsIt, Grant::Repeats, Grant::KeepsIt] {
        world.both.grant(mood);
        assert!(world.next().await.is_ok());
        assert_eq!(world.both.happened(), "use r0");
    }
}

#[tokio::test]
async fn a_store_that_fails_costs_no_token_and_is_tried_again_until_it_works() {
    let world = World::new();
    world.both.store(Store::Fails);
    assert_eq!(world.get().await.unwrap(), "a0");
    assert_eq!(world.both.happened(), "use r0, failed r1");
    let mut at = Vec::new();
    for second in 1..=190 {
        world.advance(SECOND).await;
        at.extend((world.both.happened() == "failed r1").then_some(second));
    }
    assert_eq!(at, [1, 3, 7, 15, 31, 63, 123, 183]);
    world.both.store(Store::Works);
    world.advance(MINUTE).await;
    assert_eq!(world.both.happened(), "stored r1");
    world.advance(3 * MINUTE).await;
    assert_eq!(world.both.happened(), "", "once is enough");
    assert_eq!(world.next().await.unwrap(), "a1");
    assert_eq!(world.both.happened(), "use r1, stored r2");
}

#[tokio::test]
async fn a_store_that_hangs_or_panics_is_one_that_fails() {
    for (mood, word) in [(Store::Hangs, "hung"), (Store::Panics, "panicked")] {
        let world = World::new();
        world.both.store(mood);
        let (answer, ()) = tokio::join!(world.get(), async {
            world.clock.settle().await;
            world.both.store(Store::Works);
            if mood == Store::Hangs {
                world.clock.advance(2 * SECOND);
            }
        });
        assert_eq!(answer.unwrap(), "a0");
        assert_eq!(world.both.happened(), format!("use r0, {word} r1"));
        world.advance(SECOND).await;
        assert_eq!(world.both.happened(), "stored r1");
    }
}

#[tokio::test]
async fn a_refresh_token_that_was_replaced_is_never_stored_after_its_successor() {
    let world = World::new();
    world.both.store(Store::Fails);
    let first = get(&world.token).await.unwrap();
    // The next try hangs, in the background, while the access token is renewed.
    world.both.store(Store::Hangs);
    world.advance(SECOND).await;
    assert_eq!(world.both.happened(), "use r0, failed r1, hung r1");
    world.both.store(Store::Works);
    assert!(world.token.refused(&first));
    let getting = start(world.token.clone());
    world.clock.settle().await;
    assert_eq!(world.both.happened(), "use r1", "what hangs may store r1 yet");
    world.advance(2 * SECOND).await;
    assert_eq!(getting.await.unwrap(), "a1");
    assert_eq!(world.both.happened(), "stored r2");
    world.advance(5 * MINUTE).await;
    assert_eq!(world.both.happened(), "", "r1 is worth nothing now");
}

#[tokio::test]
async fn a_refresh_token_that_is_no_good_is_not_sent_again_threat_22() {
    let world = World::new();
    assert_eq!(world.get().await.unwrap(), "a0");
    assert_eq!(world.get().await.unwrap(), "a0");
    world.both.happened();
    world.both.grant(Grant::Invalid);
    world.advance(9 * MINUTE + 30 * SECOND).await;
    assert_eq!(world.both.happened(), "use r1");
    assert_eq!(world.get().await.unwrap(), "a0", "it lives");
    world.both.grant(Grant::Rotates);
    for _ in 0..100 {
        let error = world.next().await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Trouble::InvalidGrant));
    }
    assert_eq!(world.both.happened(), "");
}

#[tokio::test]
async fn a_server_that_is_down_is_asked_again_with_the_same_refresh_token() {
    let world = World::new();
    world.both.grant(Grant::Down);
    assert_eq!(world.get().await.unwrap_err().downcast_ref(), Some(&Trouble::Down));
    world.both.grant(Grant::Rotates);
    world.advance(SECOND).await;
    assert_eq!(world.get().await.unwrap(), "a0");
    assert_eq!(world.both.happened(), "use r0, use r0, stored r1");
}

#[tokio::test]
async fn a_new_refresh_token_beside_a_useless_access_token_counts_nevertheless() {
    let world = World::new();
    world.both.grant(Grant::BadAccessToken);
    assert!(world.get().await.is_err());
    world.both.grant(Grant::Rotates);
    assert_eq!(world.next().await.unwrap(), "a1");
    assert_eq!(world.both.happened(), "use r0, stored r1, use r1, stored r2");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_after_the_connection_s_timeout() {
    let world = World::new();
    world.both.0.may_grant.send_replace(false);
    let (answer, ()) = tokio::join!(world.get(), async {
        world.clock.settle().await;
        world.clock.advance(2 * SECOND);
    });
    assert_eq!(answer.unwrap_err().to_string(), "no token within 2s");
}

#[tokio::test]
async fn what_was_started_ends_with_the_last_owner_even_where_a_store_never_works() {
    let world = World::new();
    world.both.store(Store::Fails);
    assert_eq!(world.get().await.unwrap(), "a0");
    world.clock.settle().await;
    assert_eq!(world.clock.sleepers(), 2, "one to renew, one to store");
    drop(world.token);
    world.clock.settle().await;
    assert_eq!((world.clock.sleepers(), Arc::strong_count(&world.both.0)), (0, 1));
}

#[tokio::test]
async fn a_token_client_refreshes_and_says_when_a_refresh_token_is_no_good() {
    let server = Scripted::default();
    let (clock, both) = (ManualClock::new(), Both::new());
    let connection = Connection::over(server.clone()).clock(clock.clone());
    let client = TokenClient::at("https://idp.example/token", ClientAuthentication::basic("c", "s3cret"));
    let client = client.start(&connection).unwrap();
    let token = RefreshedToken::new("r0", client, both.clone(), &connection);
    server.then(200, r#"{"access_token":"a0","token_type":"bearer","refresh_token":"r1","expires_in":600}"#);
    assert_eq!(text(&get(&token).await.unwrap()), "a0");
    clock.advance(11 * MINUTE);
    server.then(400, r#"{"error":"invalid_grant"}"#);
    for _ in 0..3 {
        clock.advance(11 * MINUTE);
        assert!(get(&token).await.is_err());
    }
    assert_eq!(both.happened(), "stored r1");
    let sent: Vec<_> = server.sent().into_iter().map(|sent| sent.body).collect();
    assert_eq!(sent, ["grant_type=refresh_token&refresh_token=r0", "grant_type=refresh_token&refresh_token=r1"]);
    assert!(!format!("{token:?}").contains("s3cret"));
}

#[test]
fn nothing_that_is_shown_has_a_token_in_it_threat_29() {
    let world = World::new();
    let shown = format!("{:?} {:?}", world.token, Refreshed::new("s3cret", MINUTE).refresh_token("s3cret"));
    assert!(!shown.contains("s3cret") && !shown.contains("r0"), "{shown}");
}

fn shared(error: impl std::error::Error + Send + Sync + 'static) -> SourceError {
    Arc::new(error)
}
