//! Refresh tokens that rotate, and stores that fail → which one is sent, which one is stored, and when.

mod answers;
mod cut_short;
mod script;

use std::{sync::Arc, time::Duration};

use http::Extensions;
use portcullis::{
    issuer::{ClientAuthentication, Connection},
    outbound::{IssuedToken, Refreshed, RefreshedToken, SourceError, TokenClient, TokenSource},
    testing::ManualClock,
};

use self::script::{Both, Grant, Store, Trouble};
use crate::scripted::Scripted;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

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
    let goes_on = [Grant::KeepsIt, Grant::Repeats, Grant::Empties, Grant::KeepsIt];
    for mood in goes_on {
        world.both.grant(mood);
        assert!(world.next().await.is_ok());
        assert_eq!(world.both.happened(), "use r0");
    }
    world.both.grant(Grant::Rotates);
    assert!(world.next().await.is_ok());
    assert_eq!(world.both.happened(), "use r0, stored r1");
    for mood in goes_on {
        world.both.grant(mood);
        assert!(world.next().await.is_ok());
        assert_eq!(world.both.happened(), "use r1");
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
async fn a_slow_server_leaves_its_time_to_the_store() {
    let world = World::new();
    world.both.0.may_grant.send_replace(false);
    world.both.store(Store::Hangs);
    let getting = start(world.token.clone());
    world.clock.settle().await;
    world.advance(SECOND * 19 / 10).await;
    world.both.0.may_grant.send_replace(true);
    world.clock.settle().await;
    world.advance(SECOND * 19 / 10).await;
    assert!(!getting.is_finished());
    world.advance(SECOND / 10).await;
    assert_eq!(getting.await.unwrap(), "a0");
}

#[tokio::test]
async fn only_the_last_refresh_token_is_tried_again() {
    let world = World::new();
    world.both.store(Store::Fails);
    let first = get(&world.token).await.unwrap();
    assert!(world.token.refused(&first));
    assert_eq!(world.get().await.unwrap(), "a1");
    assert_eq!(world.both.happened(), "use r0, failed r1, use r1, failed r2");
    let mut at = Vec::new();
    for second in 1..=63 {
        world.advance(SECOND).await;
        match &*world.both.happened() {
            "" => {}
            what => at.push(format!("{second}: {what}")),
        }
    }
    assert_eq!(at, ["1: failed r2", "3: failed r2", "7: failed r2", "15: failed r2", "31: failed r2", "63: failed r2"]);
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
