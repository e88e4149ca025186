//! Requests of a client, and answers that refuse their tokens → what is sent, how often, and with which token.

mod script;

use std::{
    error::Error as _,
    fmt,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header::AUTHORIZATION};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use portcullis::outbound::{AttachError, AttachTokenLayer, FixedToken, IssuedToken, OriginError, RepeatableBody};
use tower::{Layer as _, Service, ServiceExt as _};

use self::script::{Fake, Strict, Tenant};
use crate::wire::Plain;

const API: &str = "https://api.example";
const INVALID: &str = r#"Bearer error="invalid_token""#;

fn answer(status: u16, challenges: &[&str]) -> Response<Plain> {
    let mut response = Response::new(Plain::from("an answer"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for challenge in challenges {
        response.headers_mut().append("www-authenticate", challenge.parse().unwrap());
    }
    response
}

fn get(uri: &str) -> Request<Plain> {
    Request::get(uri).body(Plain::default()).unwrap()
}

/// The status, or what went wrong; and what the server saw.
async fn outcome(source: &Fake, script: Vec<Response<Plain>>, request: Request<Plain>) -> (String, Vec<String>) {
    let server = Strict::new(script);
    let service = AttachTokenLayer::to([API], source.clone()).unwrap().layer(server.clone());
    let outcome = match service.oneshot(request).await {
        Ok(response) => response.status().as_u16().to_string(),
        Err(AttachError::Source(_)) => "no token".to_owned(),
        Err(AttachError::Inner(_)) => "no answer".to_owned(),
        Err(other) => other.to_string(),
    };
    (outcome, server.tokens())
}

#[tokio::test]
async fn a_token_goes_to_its_origin_and_nowhere_else_threat_29() {
    for (uri, expected) in [
        ("https://api.example/x", "Bearer a"),
        ("https://api.example:443/x", "Bearer a"),
        ("http://api.example/x", "-"),
        ("https://api.example:8443/x", "-"),
        ("https://evil.example/x", "-"),
        ("/x", "-"),
    ] {
        let source = Fake::of(&["a"]);
        assert_eq!(outcome(&source, vec![], get(uri)).await, ("200".to_owned(), vec![expected.to_owned()]), "{uri}");
        assert_eq!(source.asked(), usize::from(expected != "-"), "{uri}");
    }
}

#[tokio::test]
async fn a_host_header_that_names_another_place_gets_no_token_threat_29() {
    for (uri, hosts, is_meant) in [
        ("https://api.example/x", &["api.example"][..], true),
        ("https://api.example/x", &["API.example:443"], true),
        ("https://api.example:443/x", &["api.example"], true),
        ("https://api.example/x", &["evil.example"], false),
        ("https://api.example/x", &["api.example:8443"], false),
        ("https://api.example/x", &["api.example."], false),
        ("https://api.example/x", &["evil.example@api.example"], false),
        ("https://api.example/x", &["api.example/"], false),
        ("https://api.example/x", &[""], false),
        ("https://api.example/x", &["api.example", "evil.example"], false),
        ("https://api.example/x", &["api.example", "api.example"], false),
    ] {
        let mut request = get(uri);
        for host in hosts {
            request.headers_mut().append("host", host.parse().unwrap());
        }
        let expected = if is_meant { "Bearer a" } else { "-" };
        assert_eq!(outcome(&Fake::of(&["a"]), vec![], request).await.1, [expected], "{uri} {hosts:?}");
    }
}

#[tokio::test]
async fn where_the_service_goes_to_one_place_requests_that_name_another_get_none() {
    for (uri, expected) in [("/x", "Bearer a"), ("https://api.example/x", "-"), ("api.example:443", "-")] {
        let server = Strict::new([]);
        let layer = AttachTokenLayer::to_one_place(Fake::of(&["a"]));
        layer.layer(server.clone()).oneshot(get(uri)).await.unwrap();
        assert_eq!(server.tokens(), [expected], "{uri}");
    }
}

#[tokio::test]
async fn a_request_that_shows_something_already_is_left_alone() {
    let source = Fake::of(&["a", "b"]);
    let mut request = get(API);
    request.headers_mut().insert(AUTHORIZATION, "Basic eDp5".parse().unwrap());
    let (status, tokens) = outcome(&source, vec![answer(401, &[INVALID])], request).await;
    assert_eq!((status.as_str(), tokens), ("401", vec!["Basic eDp5".to_owned()]));
    assert_eq!((source.asked(), source.refused()), (0, vec![]), "it was not ours");
}

#[tokio::test]
async fn only_an_invalid_token_is_met_with_another() {
    for (status, challenges, is_repeated) in [
        (401, &[INVALID][..], true),
        (401, &["Basic realm=\"x\"", "DPoP algs=\"ES256\", bearer realm=\"a,b\", ERROR=invalid_token"], true),
        (401, &[], false),
        (401, &["Bearer"], false),
        (401, &["Bearer realm=\"x\", error=\"invalid_request\""], false),
        (401, &["Bearer error=\"insufficient_scope\""], false),
        (401, &["DPoP error=\"invalid_token\""], false),
        (403, &[INVALID], false),
        (403, &["Bearer error=\"insufficient_scope\", scope=\"x\""], false),
        (400, &[INVALID], false),
        (407, &[INVALID], false),
        (500, &[INVALID], false),
        (200, &[INVALID], false),
    ] {
        let source = Fake::of(&["a", "b"]);
        let (outcome, tokens) = outcome(&source, vec![answer(status, challenges)], get(API)).await;
        let (expected, sent) =
            if is_repeated { (200, vec!["Bearer a", "Bearer b"]) } else { (status, vec!["Bearer a"]) };
        assert_eq!((outcome, tokens), (expected.to_string(), sent.iter().map(ToString::to_string).collect()));
        assert_eq!(source.refused(), if is_repeated { vec![1] } else { vec![] }, "{status} {challenges:?}");
    }
}

#[tokio::test]
async fn a_refused_token_is_met_with_another_once_and_never_with_the_same_threat_22() {
    let twice = || vec![answer(401, &[INVALID]), answer(401, &[INVALID]), answer(200, &[])];
    for (source, expected, sent) in [
        (Fake::of(&["a", "b", "c"]), "401", vec!["Bearer a", "Bearer b"]),
        (Fake::of(&["a"]), "401", vec!["Bearer a"]),
        (Fake::of(&["a", "a"]), "401", vec!["Bearer a"]),
        (Fake::with(&["a", "b"], true), "401", vec!["Bearer a"]),
        (Fake::of(&[]), "no token", vec![]),
    ] {
        let (outcome, tokens) = outcome(&source, twice(), get(API)).await;
        assert_eq!((outcome.as_str(), tokens), (expected, sent.iter().map(ToString::to_string).collect()));
    }
}

#[tokio::test]
async fn the_answer_that_is_handed_over_is_whole() {
    let service = AttachTokenLayer::to([API], Fake::of(&["a"])).unwrap();
    let service = service.layer(Strict::new([answer(401, &[INVALID])]));
    let response = service.oneshot(get(API)).await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], INVALID);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "an answer");
}

#[tokio::test]
async fn the_request_is_the_same_the_second_time_but_for_its_token() {
    let source = Fake::of(&["a", "b"]);
    let server = Strict::new([answer(401, &[INVALID])]);
    let mut request = Request::new(Plain::from("a body"));
    *request.method_mut() = Method::PATCH;
    *request.uri_mut() = "https://api.example/x?y=z".parse().unwrap();
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().append("x-many", "1".parse().unwrap());
    request.headers_mut().append("x-many", "2".parse().unwrap());
    request.extensions_mut().insert(Tenant("blue"));
    let service = AttachTokenLayer::to([API], source.clone()).unwrap().layer(server.clone());
    service.oneshot(request).await.unwrap();
    let sent = std::mem::take(&mut *server.sent.lock().unwrap());
    assert_eq!(sent.len(), 2);
    for (request, token) in sent.into_iter().zip(["Bearer a", "Bearer b"]) {
        let (head, body) = request.into_parts();
        assert_eq!((head.method, head.version), (Method::PATCH, Version::HTTP_2));
        assert_eq!(head.uri, "https://api.example/x?y=z");
        let expected: HeaderMap = HeaderMap::from_iter(
            [("x-many", "1"), ("x-many", "2"), ("authorization", token)]
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())),
        );
        assert_eq!(head.headers, expected);
        assert!(head.headers[AUTHORIZATION].is_sensitive());
        assert_eq!(head.extensions.get(), Some(&Tenant("blue")));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "a body");
    }
    assert_eq!(
        *source.0.seen.lock().unwrap(),
        [Some(Tenant("blue")), Some(Tenant("blue"))],
        "the source sees them too"
    );
}

/// A body that is read as it is sent.
struct Streamed;

impl RepeatableBody for Streamed {
    fn again(&self) -> Option<Self> {
        None
    }
}

#[tokio::test]
async fn what_cannot_be_sent_twice_is_not_and_the_source_is_told_all_the_same() {
    let source = Fake::of(&["a", "b"]);
    let server = Strict::new([answer(401, &[INVALID])]);
    let service = AttachTokenLayer::to([API], source.clone()).unwrap().layer(server.clone());
    let response = service.oneshot(Request::get(API).body(Streamed).unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), server.tokens().len()), (401, 1));
    assert_eq!((source.asked(), source.refused()), (1, vec![1]));

    // A body without any word on that, as tonic's.
    let source = Fake::of(&["a", "b"]);
    let server = Strict::new([answer(401, &[INVALID])]);
    let service = AttachTokenLayer::to([API], source.clone()).unwrap().never_repeating().layer(server.clone());
    let body = StreamBody::new(tokio_stream::empty::<Result<http_body::Frame<Bytes>, fmt::Error>>());
    let response = service.oneshot(Request::get(API).body(body).unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), server.tokens().len()), (401, 1));
    assert_eq!(source.refused(), [1]);
}

#[test]
fn bodies_in_memory_can_be_sent_twice() {
    assert_eq!("a".again(), Some("a"));
    assert_eq!("a".to_owned().again(), Some("a".to_owned()));
    assert_eq!(vec![1].again(), Some(vec![1]));
    assert_eq!(Bytes::from("a").again(), Some(Bytes::from("a")));
    assert!(Full::new(&b"a"[..]).again().is_some() && Empty::<Bytes>::new().again().is_some());
    assert_eq!(().again(), Some(()));
    assert_eq!(reqwest::Body::from("a").again().unwrap().as_bytes(), Some(&b"a"[..]));
    assert!(
        reqwest::Body::wrap(StreamBody::new(tokio_stream::empty::<Result<http_body::Frame<Bytes>, fmt::Error>>()))
            .again()
            .is_none()
    );
}

#[tokio::test]
async fn a_failure_below_is_handed_on_the_first_time_and_the_second() {
    let broken = || answer(418, &[]);
    for script in [vec![broken()], vec![answer(401, &[INVALID]), broken()]] {
        let sends = script.len();
        let (outcome, tokens) = outcome(&Fake::of(&["a", "b"]), script, get(API)).await;
        assert_eq!((outcome.as_str(), tokens.len()), ("no answer", sends));
    }
    let passed = outcome(&Fake::of(&[]), vec![broken()], get("https://other.example")).await;
    assert_eq!(passed.0, "no answer");
    let service = AttachTokenLayer::to([API], Fake::of(&[])).unwrap().layer(Strict::<Plain>::new([]));
    let error = service.oneshot(get(API)).await.unwrap_err();
    assert_eq!(error.to_string(), "no access token for the request");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn layers_of_tower_stand_above_and_below() -> Result<(), tower::BoxError> {
    let minute = std::time::Duration::from_secs(60);
    let server = Strict::new([]);
    let mut service = tower::ServiceBuilder::new()
        .timeout(minute)
        .layer(AttachTokenLayer::to([API], Fake::of(&["a"]))?)
        .timeout(minute)
        .service(server.clone());
    assert_eq!(service.ready().await?.call(get(API)).await?.status(), 200);
    assert_eq!(server.tokens(), ["Bearer a"]);
    Ok(())
}

/// A body that keeps its connection.
#[derive(Clone)]
#[expect(dead_code, reason = "held")]
struct Keeping(Arc<Mutex<()>>);

#[tokio::test]
async fn the_first_answer_gives_back_its_connection_before_the_second_request_wants_one() {
    #[derive(Clone)]
    struct Limited(Arc<Mutex<()>>);
    impl Service<Request<Plain>> for Limited {
        type Response = Response<Keeping>;
        type Error = fmt::Error;
        type Future = Ready<Result<Response<Keeping>, fmt::Error>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), fmt::Error>> {
            // This service, the clone that stayed, the test, and no answer.
            if Arc::strong_count(&self.0) <= 3 {
                return Poll::Ready(Ok(()));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }

        fn call(&mut self, _: Request<Plain>) -> Self::Future {
            let (head, _) = answer(401, &[INVALID]).into_parts();
            ready(Ok(Response::from_parts(head, Keeping(self.0.clone()))))
        }
    }
    let connection = Arc::new(Mutex::new(()));
    let mut service = AttachTokenLayer::to([API], Fake::of(&["a", "b"])).unwrap().layer(Limited(connection.clone()));
    let request = service.ready().await.unwrap().call(get(API));
    let answered = tokio::time::timeout(std::time::Duration::from_secs(10), request).await;
    assert_eq!(answered.expect("it waits for itself").unwrap().status(), 401);
}

#[tokio::test]
async fn a_fixed_token_is_refused_for_good() {
    let server = Strict::new([answer(401, &[INVALID])]);
    let layer = AttachTokenLayer::to([API], FixedToken::new("k3y").unwrap()).unwrap();
    let response = layer.layer(server.clone()).oneshot(get(API)).await.unwrap();
    assert_eq!((response.status().as_u16(), server.tokens()), (401, vec!["Bearer k3y".to_owned()]));
    for bad in ["", "a b", "a\n", "é", "=", "a,b"] {
        assert!(FixedToken::new(bad).is_none() && IssuedToken::new(bad, 1).is_none(), "{bad:?}");
    }
}

#[test]
fn nothing_that_is_shown_has_a_token_in_it_threat_29() {
    let token = FixedToken::new("s3cret").unwrap();
    let layer = AttachTokenLayer::to([API], token.clone()).unwrap();
    let shown = format!("{token:?} {layer:?} {:?} {:?}", layer.layer(()), IssuedToken::new("s3cret", 1));
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("api.example"), "{shown}");
}

#[test]
fn origins_that_no_token_may_go_to_are_refused_when_they_are_configured() {
    let refused = |origins: &[&str]| AttachTokenLayer::to(origins, Fake::default()).unwrap_err();
    assert_eq!(refused(&[]), OriginError::None);
    assert!(matches!(refused(&[API, "http://api.example"]), OriginError::Url(_)));
    assert_eq!(refused(&["https://api.example/v1"]), OriginError::MoreThanAnOrigin("https://api.example/v1".into()));
}
