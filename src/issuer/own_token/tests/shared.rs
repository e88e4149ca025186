//! Replicas that share a token of their own → how often the token endpoint is asked, and what they are left with.

use super::*;
use crate::{
    issuer::ClientAuthenticationError,
    sharing::SharedSecret,
    testing::{SharedMemory, StoreFault},
};

const SECRET: &str = "a client secret of 32 characters";

struct Replicas {
    clock: ManualClock,
    issuer: TestIssuer,
    store: SharedMemory,
    tokens: Vec<Arc<OwnToken>>,
}

impl Replicas {
    fn new(count: usize) -> Self {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process(IDP);
        for (client, secret) in [("c", SECRET), ("d", SECRET)] {
            issuer.register_client(client, secret, ["tokens:read"]);
        }
        let store = SharedMemory::new(clock.clone());
        let mut replicas = Self { clock, issuer, store, tokens: Vec::new() };
        replicas.tokens = (0..count).map(|_| replicas.another("c", |credentials| credentials)).collect();
        replicas
    }

    fn another(&self, client: &str, change: impl FnOnce(ClientCredentials) -> ClientCredentials) -> Arc<OwnToken> {
        let client = ClientAuthentication::basic(client, SECRET);
        let credentials = ClientCredentials::at(format!("{IDP}/token"), client).shared_through(self.store.clone());
        let environment = Environment { transport: self.issuer.transport(), clock: Arc::new(self.clock.clone()) };
        let request = TokenRequest::start(&change(credentials), Some(IDP), &environment).unwrap();
        Arc::new(OwnToken::new(request, environment.clock))
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.clock.settle().await;
    }

    /// What each of them has then, if any.
    async fn all(&self) -> Vec<Option<HeaderValue>> {
        let getting = self.tokens.iter().map(async |token| token.get().await.ok().map(|bearer| bearer.header));
        let waiting = async {
            loop {
                self.clock.settle().await;
                self.advance(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            biased;
            all = futures_util::future::join_all(getting) => all,
            () = waiting => panic!("it has no end"),
        }
    }

    fn asked(&self) -> u64 {
        self.issuer.asked().token
    }
}

fn is_one(headers: &[Option<HeaderValue>]) -> bool {
    headers[0].is_some() && headers.iter().all(|header| *header == headers[0])
}

#[tokio::test]
async fn fifty_replicas_cost_one_token_at_a_time_threat_22() {
    let replicas = Replicas::new(50);
    assert!(is_one(&replicas.all().await));
    assert_eq!(replicas.asked(), 1);
    for _ in 0..24 * 60 {
        assert!(replicas.all().await.iter().all(Option::is_some));
        replicas.advance(MINUTE).await;
    }
    // Renewed a tenth early at most: by whoever is first.
    assert!((25..=29).contains(&replicas.asked()), "{}", replicas.asked());
}

#[tokio::test]
async fn a_token_of_another_lasts_no_longer_here_threat_14() {
    let mut replicas = Replicas::new(1);
    replicas.issuer.fault(Target::Token, Fault::Slow(SECOND * 2));
    let (_, ()) = tokio::join!(replicas.tokens[0].get(), async {
        replicas.clock.settle().await;
        replicas.clock.advance(SECOND * 2);
    });
    replicas.clock.settle().await;
    replicas.advance(SECOND * 3000).await;
    // Asked for 3,002 seconds ago, it lasts 598 more.
    replicas.tokens = vec![replicas.another("c", |credentials| credentials)];
    assert!(replicas.all().await[0].is_some());
    assert_eq!(replicas.asked(), 1);
    replicas.issuer.fault(Target::Token, Fault::Reset);
    replicas.advance(SECOND * 597).await;
    assert!(replicas.all().await[0].is_some(), "it is not over yet");
    replicas.advance(SECOND).await;
    assert!(replicas.all().await[0].is_none(), "it is over");
}

#[tokio::test]
async fn one_that_is_about_to_be_renewed_is_not_taken_over() {
    let mut replicas = Replicas::new(1);
    assert!(is_one(&replicas.all().await));
    replicas.tokens.clear();
    replicas.advance(SECOND * 3541).await;
    replicas.tokens.push(replicas.another("c", |credentials| credentials));
    assert!(is_one(&replicas.all().await));
    assert_eq!(replicas.asked(), 2);
}

#[tokio::test]
async fn a_refused_token_is_taken_from_there_by_nobody_threat_22() {
    let mut replicas = Replicas::new(3);
    assert!(is_one(&replicas.all().await));
    let first = replicas.tokens[0].get().await.unwrap();
    assert!(replicas.tokens[0].refused(&first));
    // One that has just started finds none, and the others take the new one when theirs is refused.
    let before = replicas.store.records();
    assert!(replicas.tokens[0].get().await.is_ok());
    replicas.clock.settle().await;
    assert_eq!(replicas.asked(), 2);
    assert!(replicas.store.records() != before, "it is gone");
    replicas.tokens.push(replicas.another("c", |credentials| credentials));
    for replica in [1, 2] {
        let old = replicas.tokens[replica].get().await.unwrap();
        assert!(old.header == first.header && replicas.tokens[replica].refused(&old));
    }
    let all = replicas.all().await;
    assert!(is_one(&all) && all[0] != Some(first.header));
    assert_eq!(replicas.asked(), 2);
}

#[tokio::test]
async fn a_refused_token_is_removed_before_another_is_asked_for_threat_22() {
    let replicas = Replicas::new(2);
    assert!(is_one(&replicas.all().await));
    let first = replicas.tokens[0].get().await.unwrap();
    replicas.tokens[0].refused(&first);
    replicas.issuer.fault(Target::Token, Fault::Status(500));
    assert!(replicas.tokens[0].get().await.is_err());
    replicas.clock.settle().await;
    assert!(replicas.store.records().is_empty());
    // One that was refused elsewhere is not the one that is there now.
    replicas.issuer.heal();
    replicas.advance(MINUTE).await;
    assert!(replicas.tokens[0].get().await.is_ok());
    replicas.clock.settle().await;
    let second = replicas.store.records();
    let old = replicas.tokens[1].get().await.unwrap();
    replicas.tokens[1].refused(&old);
    assert!(is_one(&replicas.all().await));
    assert_eq!((replicas.store.records() == second, replicas.asked()), (true, 3));
}

#[tokio::test]
async fn a_refused_token_that_could_not_be_removed_is_not_taken_again_threat_22() {
    let replicas = Replicas::new(2);
    assert!(is_one(&replicas.all().await));
    let first = replicas.tokens[0].get().await.unwrap();
    replicas.store.fault(Some(StoreFault::Fails));
    assert!(replicas.tokens[0].refused(&first));
    let second = replicas.tokens[0].get().await.unwrap();
    assert!(second.header != first.header);
    replicas.store.fault(None);
    replicas.advance(MINUTE).await;
    assert!(replicas.tokens[0].refused(&second));
    let third = replicas.tokens[0].get().await.unwrap();
    assert!(third.header != first.header && third.header != second.header, "the first is still there");
}

#[tokio::test]
async fn without_the_store_each_fetches_for_itself_threat_17() {
    for fault in [StoreFault::Fails, StoreFault::Hangs, StoreFault::Panics, StoreFault::HangsAfterwards] {
        let replicas = Replicas::new(3);
        replicas.store.fault(Some(fault));
        assert!(replicas.all().await.iter().all(Option::is_some), "{fault:?}");
        assert_eq!(replicas.asked(), 3, "{fault:?}");
        for _ in 0..300 {
            replicas.all().await;
        }
        assert_eq!(replicas.asked(), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn the_end_of_the_one_that_asks_costs_three_seconds_threat_17() {
    let replicas = Replicas::new(2);
    let held = replicas.issuer.hold(Target::Token);
    let dying = Arc::clone(&replicas.tokens[0]);
    let mut first = tokio::task::JoinSet::new();
    first.spawn(async move { dying.get().await.map(drop) });
    held.arrived().await;
    replicas.store.fault(Some(StoreFault::Hangs));
    first.abort_all();
    let Replicas { clock, store, mut tokens, issuer } = replicas;
    tokens.remove(0);
    clock.settle().await;
    store.fault(None);
    held.release();
    let waiting = Arc::clone(&tokens[0]);
    let mut second = tokio::task::JoinSet::new();
    second.spawn(async move { waiting.get().await.map(drop) });
    clock.settle().await;
    let since = clock.now().monotonic();
    let ended = loop {
        match second.try_join_next() {
            Some(ended) => break ended.unwrap(),
            None => clock.advance(Duration::from_millis(10)),
        }
        clock.settle().await;
    };
    assert!(ended.is_ok());
    let waited = clock.now().monotonic() - since;
    assert!(waited <= SECOND * 3 + Duration::from_millis(100), "{waited:?}");
    assert_eq!(issuer.asked().token, 2);
}

#[tokio::test]
async fn another_client_scope_or_secret_shares_nothing_threat_12() {
    let replicas = Replicas::new(1);
    assert!(is_one(&replicas.all().await));
    let secret = SharedSecret::new([7; 32]).unwrap();
    for other in [
        replicas.another("d", |credentials| credentials),
        replicas.another("c", |credentials| credentials.scope("tokens:read")),
        replicas.another("c", |credentials| credentials.resource("https://a.example")),
        replicas.another("c", |credentials| credentials.sealed_with(secret)),
    ] {
        let before = replicas.asked();
        assert!(other.get().await.is_ok());
        assert_eq!(replicas.asked(), before + 1);
        replicas.clock.settle().await;
    }
    assert_eq!(replicas.store.records().len(), 5);
    let shown = format!("{:?}", replicas.store.records());
    assert!(!shown.contains(SECRET) && !shown.contains("Bearer"), "{shown}");
}

#[test]
fn what_could_be_guessed_is_not_what_a_token_is_sealed_with() {
    let store = SharedMemory::new(ManualClock::new());
    let at = |secret: &str| ClientCredentials::at(format!("{IDP}/token"), ClientAuthentication::basic("c", secret));
    let check = |credentials: ClientCredentials| {
        let issuer = TestIssuer::builder().clock(ManualClock::new()).in_process(IDP);
        let environment = Environment { transport: issuer.transport(), clock: Arc::new(ManualClock::new()) };
        TokenRequest::start(&credentials, Some(IDP), &environment).map(drop)
    };
    let sealing = SharedSecret::new([7; 32]).unwrap();
    assert!(check(at(SECRET).shared_through(store.clone())).is_ok());
    assert!(check(at("hunter2").shared_through(store.clone()).sealed_with(sealing.clone())).is_ok());
    let refused = check(at("hunter2").shared_through(store)).unwrap_err();
    assert!(matches!(refused, ClientAuthenticationError::Sealing) && !refused.to_string().contains("hunter2"));
    assert!(matches!(check(at(SECRET).sealed_with(sealing)), Err(ClientAuthenticationError::NotShared)));
}
