//! Questions → what is sent, how often, and as whom.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{
    issuer::{ClientAuthentication, ClientCredentials, Environment, Transport},
    status::introspection::{
        Introspection,
        tests::{World, ask, basic, word},
    },
    testing::{Fault, ManualClock, Target},
};

#[tokio::test]
async fn the_question_is_the_token_and_what_was_configured() {
    #[derive(Debug, Default)]
    struct Recorder(std::sync::Mutex<Vec<(String, String)>>);
    impl Transport for Recorder {
        fn send(&self, request: http::Request<Bytes>, _: usize) -> crate::issuer::Exchange {
            let accept = request.headers()[http::header::ACCEPT].to_str().unwrap().to_owned();
            let body = String::from_utf8(request.body().to_vec()).unwrap();
            self.0.lock().unwrap().push((accept, body));
            Box::pin(async { Ok(http::Response::new(Bytes::from_static(b"{\"active\":false}"))) })
        }
    }
    let recorder = Arc::new(Recorder::default());
    let clock = Arc::new(ManualClock::new());
    let transport: Arc<dyn Transport> = recorder.clone();
    let environment = Environment { transport, clock };
    let at = Introspection::at("https://idp.example/i", basic());
    for (introspection, body) in [
        (at.clone(), "token=a%2Bb%26active%3Dtrue&token_type_hint=access_token"),
        (
            at.clone().without_type_hint().parameter("resource", "https://a"),
            "token=a%2Bb%26active%3Dtrue&resource=https%3A%2F%2Fa",
        ),
    ] {
        let source = introspection.start(None, None, &environment).unwrap();
        assert_eq!(ask(&source, "a+b&active=true").await, Ok(false));
        let (accept, sent) = recorder.0.lock().unwrap().pop().unwrap();
        assert_eq!((&*accept, &*sent), ("application/json", body));
    }
}

#[tokio::test]
async fn a_bearer_that_is_refused_is_replaced_once_within_the_question() {
    let world = World::new();
    world.issuer.protect_introspection("tokens:read");
    let credentials = ClientCredentials::discover(basic()).scope("tokens:read");
    let source = world.source(Introspection::discover(ClientAuthentication::client_credentials(credentials)));
    let token = world.opaque();
    assert_eq!(ask(&source, &token).await, Ok(true));
    assert_eq!((world.issuer.asked().token, world.issuer.asked().introspection), (1, 1));
    // What it signed is no longer valid, the Bearer included.
    world.issuer.rotate();
    world.issuer.retire("key-1");
    assert_eq!(ask(&source, &token).await, Ok(true));
    assert_eq!((world.issuer.asked().token, world.issuer.asked().introspection), (2, 3));
    world.issuer.fault(Target::Introspection, Fault::Status(401));
    for _ in 0..10 {
        assert_eq!(word(&ask(&source, &token).await), "client refused");
    }
    assert_eq!((world.issuer.asked().token, world.issuer.asked().introspection), (2, 13), "not again so soon");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(word(&ask(&source, &token).await), "client refused");
    assert_eq!((world.issuer.asked().token, world.issuer.asked().introspection), (3, 15));
    world.issuer.fault(Target::Introspection, Fault::Status(403));
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(word(&ask(&source, &token).await), "client refused");
    assert_eq!(world.issuer.asked().introspection, 16, "another Bearer may do no more than this one");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_or_silent_is_looked_up_again() {
    let world = World::new();
    let source = world.source(Introspection::discover(basic()));
    let token = world.opaque();
    assert_eq!(ask(&source, &token).await, Ok(true));
    for (fault, questions) in
        [(Fault::Status(404), 1), (Fault::Status(410), 1), (Fault::Reset, 3), (Fault::Status(500), 3)]
    {
        world.clock.advance(Duration::from_secs(5));
        world.issuer.reset_asked();
        world.issuer.fault(Target::Introspection, fault);
        for _ in 0..questions {
            assert!(ask(&source, &token).await.is_err());
        }
        world.issuer.heal();
        assert_eq!(world.issuer.asked().metadata, 0);
        assert_eq!(ask(&source, &token).await, Ok(true));
        assert_eq!(world.issuer.asked().metadata, 1);
    }
    // A server whose time is over counts as silent.
    world.clock.advance(Duration::from_secs(5));
    world.issuer.reset_asked();
    world.issuer.fault(Target::Introspection, Fault::Hang);
    for _ in 0..3 {
        tokio::select! {
            biased;
            _ = ask(&source, &token) => panic!("it hangs"),
            () = world.clock.settle() => {}
        }
    }
    world.issuer.heal();
    assert_eq!(ask(&source, &token).await, Ok(true));
    assert_eq!(world.issuer.asked().metadata, 1);
}

#[tokio::test]
async fn a_server_that_knows_no_token_by_404_is_not_asked_for_its_metadata_each_time_threat_22() {
    let world = World::new();
    let source = world.source(Introspection::discover(basic()));
    world.issuer.fault(Target::Introspection, Fault::Status(404));
    for _ in 0..100 {
        assert!(ask(&source, "junk").await.is_err());
        world.clock.advance(Duration::from_millis(100));
    }
    assert_eq!((world.issuer.asked().introspection, world.issuer.asked().metadata), (100, 2));
}

#[test]
fn what_tells_sources_apart_is_in_their_identity_and_no_secret_is_threat_23() {
    let world = World::new();
    let own = |scope| ClientAuthentication::client_credentials(ClientCredentials::discover(basic()).scope(scope));
    let at = |url: &str, authentication| Introspection::at(url, authentication);
    let one = "https://idp.example/1";
    let identities: Vec<_> = [
        at(one, basic()),
        at("https://idp.example/2", basic()),
        at("https://idp.example/2?code=s3cret", basic()),
        at("https://idp.example/2?code=s3cret2", basic()),
        at(one, ClientAuthentication::basic("d", "s3cret")),
        at(one, ClientAuthentication::bearer("s3cret")),
        at(one, ClientAuthentication::bearer("s3cret2")),
        at(one, ClientAuthentication::none()),
        at(one, own("a")),
        at(one, own("b")),
        at(one, basic()).parameter("resource", "a"),
        at(one, basic()).parameter("resource", "b"),
        Introspection::discover(basic()),
    ]
    .into_iter()
    .map(|introspection| world.source(introspection).identity())
    .collect();
    for (number, identity) in identities.iter().enumerate() {
        assert!(!identity.contains("s3cret"), "{identity}");
        assert_eq!(identities.iter().position(|other| other == identity), Some(number), "{identity}");
    }
    let again = World::new().source(at(one, ClientAuthentication::basic("c", "rotated"))).identity();
    assert_eq!(again, identities[0], "the same in another process, and after its secret changed");
}
