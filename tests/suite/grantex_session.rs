//! An agent's session: grant tokens refreshed in time, and no refresh token lost. And grants that were revoked.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Extensions;
use portcullis::{
    Algorithm, Authorizer, Requirement, RouteTable, Unlisted,
    outbound::{RefreshTokenStore, RefreshedToken, SourceError, Storing, TokenSource},
    providers::grantex::{Grantex, GrantexError},
    status::{Revocation, Revocations},
    testing::ManualClock,
};

use tokio::sync::Semaphore;

use crate::{
    grantex::{AUDIENCE, BASE, Call, FakeGrantex, Says, answer, ask, busy, grant, legacy, standard},
    grantex_client::{refused, tokens},
};

/// What was stored, once it was let.
#[derive(Clone, Debug)]
struct Kept {
    stored: Arc<Mutex<Vec<String>>>,
    permits: Arc<Semaphore>,
}

impl RefreshTokenStore for Kept {
    fn store(&self, refresh_token: &str) -> Storing {
        let (kept, refresh_token) = (self.clone(), refresh_token.to_owned());
        Box::pin(async move {
            kept.permits.acquire().await.unwrap().forget();
            kept.stored.lock().unwrap().push(refresh_token);
            Ok(())
        })
    }
}

struct World {
    fake: FakeGrantex,
    clock: ManualClock,
    kept: Kept,
    session: RefreshedToken,
}

impl World {
    fn new(answers: impl IntoIterator<Item = Says>) -> Self {
        let (fake, clock) = (FakeGrantex::default(), ManualClock::new());
        fake.says(answers);
        let kept = Kept { stored: Arc::default(), permits: Arc::new(Semaphore::new(100)) };
        let session = fake.client(&clock).session("ref_1", "ag_1", kept.clone());
        Self { fake, clock, kept, session }
    }

    /// The header that a request would get, without any time passing.
    async fn token(&self) -> Result<String, SourceError> {
        let session = self.session.clone();
        let asked = tokio::spawn(async move { session.token(&Extensions::new()).await });
        self.clock.settle().await;
        assert!(asked.is_finished(), "it waits");
        Ok(asked.await.unwrap()?.header().to_str().unwrap().to_owned())
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.clock.settle().await;
    }
}

fn sent(call: &Call) -> (String, String) {
    let key = call.headers["idempotency-key"].to_str().unwrap().to_owned();
    (String::from_utf8(call.body.to_vec()).unwrap(), key)
}

#[tokio::test]
async fn the_next_refresh_token_is_kept_before_its_grant_token_is_used() {
    let mut next = tokens();
    next["grantToken"] = "gr.ant.next".into();
    next["refreshToken"] = "ref_3".into();
    next["expiresAt"] = "2030-03-17T19:46:40Z".into();
    let world = World::new([answer(201, tokens()), answer(201, next)]);
    world.kept.permits.forget_permits(100);
    let session = world.session.clone();
    let waiting = tokio::spawn(async move { session.token(&Extensions::new()).await });
    world.clock.settle().await;
    assert!(!waiting.is_finished() && world.fake.calls().len() == 1, "it is here, and not stored");
    world.kept.permits.add_permits(100);
    assert_eq!(waiting.await.unwrap().unwrap().header(), "Bearer gr.ant.token");
    assert_eq!(*world.kept.stored.lock().unwrap(), ["ref_2"]);
    assert_eq!(world.token().await.unwrap(), "Bearer gr.ant.token");
    assert!(world.fake.calls().is_empty());
    // An hour after it was asked for, it is over; a minute before at the latest another is got.
    world.advance(Duration::from_secs(3590)).await;
    assert_eq!(world.token().await.unwrap(), "Bearer gr.ant.next");
    assert_eq!(sent(&world.fake.calls()[0]).0, r#"{"agentId":"ag_1","refreshToken":"ref_2"}"#);
    assert_eq!(*world.kept.stored.lock().unwrap(), ["ref_2", "ref_3"]);
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_is_had_again_with_the_same_key() {
    let world = World::new([Says::Nothing, answer(504, ""), answer(201, tokens())]);
    for _ in 0..2 {
        assert!(world.token().await.is_err());
        world.advance(Duration::from_secs(5)).await;
    }
    assert_eq!(world.token().await.unwrap(), "Bearer gr.ant.token");
    let calls: Vec<_> = world.fake.calls().iter().map(sent).collect();
    assert_eq!(calls.len(), 3, "once at a time: who holds the refresh token asks again");
    assert!(calls.iter().all(|call| *call == calls[0]));
}

#[tokio::test]
async fn a_refresh_token_that_is_over_is_not_sent_again() {
    let world = World::new([refused(400, "Refresh token already used", "BAD_REQUEST"), answer(201, tokens())]);
    for _ in 0..3 {
        let error = world.token().await.unwrap_err();
        let error = error.downcast_ref::<GrantexError>().unwrap();
        assert_eq!(error.refusal().unwrap().message(), Some("Refresh token already used"));
        world.advance(Duration::from_secs(120)).await;
    }
    assert_eq!(world.fake.calls().len(), 1);
    // What may pass is no end.
    for trouble in [401, 402, 403, 404, 429, 500, 503] {
        let world = World::new([answer(trouble, ""), answer(201, tokens())]);
        assert!(world.token().await.is_err());
        world.advance(Duration::from_secs(120)).await;
        assert!(world.token().await.is_ok(), "{trouble}");
    }
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_alone_is() {
    let world = World::new([busy(429, 47), answer(201, tokens())]);
    assert!(world.token().await.is_err());
    world.advance(Duration::from_secs(46)).await;
    assert!(world.token().await.is_err());
    assert_eq!(world.fake.calls().len(), 1);
    world.advance(Duration::from_secs(60)).await;
    assert_eq!(world.token().await.unwrap(), "Bearer gr.ant.token");
    let shown = format!("{:?}", world.session);
    assert!(!shown.contains("ref_") && !shown.contains("gr.ant"), "{shown}");
}

#[tokio::test]
async fn a_token_is_refused_with_its_grant_and_with_that_it_was_delegated_from() {
    let (fake, clock, revocations) = (FakeGrantex::default(), ManualClock::new(), Revocations::new());
    let authorizer = Authorizer::builder()
        .issuer(Grantex::at(BASE).unwrap().audience(AUDIENCE))
        .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
        .revocations(revocations.clone())
        .transport(fake)
        .clock(clock)
        .build()
        .unwrap();
    authorizer.ready(Duration::from_secs(1)).await.unwrap();
    let of = |parent: Option<&str>, own: &str| {
        let mut claims = grant();
        claims["grant_id"] = own.into();
        let mut old = legacy().claim("grnt", own);
        if let Some(parent) = parent {
            claims["parent_grant_id"] = parent.into();
            old = old.claim("parentGrnt", parent);
        }
        [old.build(), standard(Algorithm::ES256).claim("urn:grantex:grant", claims).build()]
    };
    let (root, child, other) = (of(None, "grnt_1"), of(Some("grnt_1"), "grnt_2"), of(Some("grnt_2"), "grnt_3"));
    let status = async |token: &String| ask(&authorizer, Requirement::authenticated(), token).await.0.as_u16();
    for token in root.iter().chain(&child).chain(&other) {
        assert_eq!(status(token).await, 200);
    }
    revocations.revoke(Revocation::grant(Some(BASE), "grnt_1"));
    for (token, expected) in root.iter().map(|token| (token, 401)).chain(child.iter().map(|token| (token, 401))) {
        assert_eq!(status(token).await, expected);
    }
    // Further down the feed has an entry for each.
    for token in &other {
        assert_eq!(status(token).await, 200);
    }
}
