//! The layer and its service: readiness, one call at most, one credential.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use portcullis::{
    AuthorizeLayer, Authorizer, Issuer, Rejection, Requirement, RouteTable, Unlisted,
    testing::{Fault, ManualClock, Target, TestIssuer, TokenBuilder},
};
use tower::{BoxError, Layer, Service, ServiceExt as _};

use crate::{
    support::World,
    wire::{Hits, Plain, ask, request, send},
};

/// A route of each kind.
pub fn routes() -> RouteTable {
    RouteTable::builder()
        .get("/public", Requirement::public())
        .get("/optional", Requirement::optional())
        .get("/any", Requirement::authenticated())
        .get("/read", Requirement::scope("read"))
        .get("/pay", Requirement::authenticated().audience("https://pay.example"))
        .otherwise(Unlisted::Deny)
        .unwrap()
}

/// An authorizer with these routes.
pub async fn world() -> World {
    World::with(|issuer| issuer, |builder| builder.routes(routes())).await
}

/// An authorizer that has been built and has no keys yet.
pub fn cold_world() -> World {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE))
        .routes(routes())
        .shared_transport(issuer.transport())
        .clock(clock.clone())
        .build()
        .unwrap();
    World { clock, issuer, authorizer }
}

/// Its layer on raw paths.
pub fn layer(world: &World) -> AuthorizeLayer {
    AuthorizeLayer::by_raw_path(world.authorizer.clone())
}

/// A request without a body.
pub fn get(path: &str, token: Option<&str>) -> Request<Plain> {
    request(&format!("GET {path}"), token).body(Plain::default()).unwrap()
}

/// A service that keeps tower's contract to the letter: a call wants a `poll_ready` of this very instance before it.
struct Strict {
    is_ready: bool,
    hits: Hits,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { is_ready: false, hits: self.hits.clone() }
    }
}

impl Service<Request<Plain>> for Strict {
    type Response = Response<Plain>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Plain>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Plain>) -> Self::Future {
        assert!(self.is_ready, "called without having been polled ready");
        self.is_ready = false;
        self.hits.hit();
        ready(Ok(Response::new(Plain::from("ok"))))
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    let world = cold_world();
    let hits = Hits::default();
    let mut service = layer(&world).layer(Strict { is_ready: false, hits: hits.clone() });
    let token = world.issuer.token().build();
    let held = world.issuer.hold(Target::Jwks);

    // Cold: the call comes only once the keys are there, and meanwhile the service is used again.
    let mut first = pin!(service.ready().await.unwrap().call(get("/any", Some(&token))));
    assert!(is_pending(first.as_mut()).await);
    let mut second = pin!(service.ready().await.unwrap().call(get("/any", Some(&token))));
    assert!(is_pending(second.as_mut()).await);
    let public = service.ready().await.unwrap().call(get("/public", None)).await.unwrap();
    assert_eq!((public.status().as_u16(), hits.take()), (200, 1));
    held.release();
    assert_eq!(second.await.unwrap().status(), 200);
    assert_eq!(first.await.unwrap().status(), 200);
    assert_eq!((hits.take(), world.issuer.asked().jwks), (2, 1));

    // Warm.
    for _ in 0..2 {
        let response = service.ready().await.unwrap().call(get("/any", Some(&token))).await.unwrap();
        assert_eq!((response.status().as_u16(), hits.take()), (200, 1));
    }
}

/// Polls it, lets everybody else act, and polls it again.
async fn is_pending(mut future: std::pin::Pin<&mut impl Future>) -> bool {
    for _ in 0..32 {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

#[tokio::test]
async fn a_request_reaches_the_service_once_or_not_at_all() {
    let rows = [
        ("/public", None, 200),
        ("/public", Some("garbage"), 200),
        ("/optional", None, 200),
        ("/optional", Some("read"), 200),
        ("/optional", Some("garbage"), 401),
        ("/any", Some("read"), 200),
        ("/any", None, 401),
        ("/any", Some("garbage"), 401),
        ("/any", Some("tampered"), 401),
        ("/read", Some("read"), 200),
        ("/read", Some("write"), 403),
        ("/nowhere", Some("read"), 403),
        ("//any", Some("read"), 400),
    ];
    for (path, token, status) in rows {
        for (name, world) in [("warm", world().await), ("cold", cold_world())] {
            let hits = Hits::default();
            let service = layer(&world).layer(Strict { is_ready: false, hits: hits.clone() });
            let token = token.map(|word| match word {
                "garbage" => word.to_owned(),
                "tampered" => world.issuer.token().tampered().build(),
                scope => world.issuer.token().scopes([scope]).build(),
            });
            let response = send(&service, get(path, token.as_deref())).await;
            assert_eq!(response.status(), status, "{path} {name}");
            assert_eq!(hits.take(), usize::from(status == 200), "{path} {name}");
            assert_eq!(response.extensions().get::<Rejection>().is_some(), status != 200, "{path} {name}");
        }
    }
}

#[tokio::test]
async fn a_request_given_up_while_it_waits_leaves_nothing_behind() {
    let world = cold_world();
    let hits = Hits::default();
    let mut service = layer(&world).layer(hits.service());
    let token = world.issuer.token().build();
    let held = world.issuer.hold(Target::Jwks);
    {
        let mut given_up = pin!(service.ready().await.unwrap().call(get("/any", Some(&token))));
        assert!(is_pending(given_up.as_mut()).await);
    }
    held.release();
    world.clock.settle().await;
    assert_eq!((hits.take(), world.issuer.asked().jwks), (0, 1), "the fetch went on, the request did not");
    assert!(ask(&service, "GET /any", Some(&token)).await.starts_with("200"));
    assert_eq!((hits.take(), world.issuer.asked().jwks), (1, 1));
}

#[tokio::test]
async fn a_request_waits_for_keys_no_longer_than_its_patience_threat_17() {
    let world = cold_world();
    let hits = Hits::default();
    let mut service = layer(&world).layer(hits.service());
    let held = world.issuer.hold(Target::All);
    let token = world.issuer.token().build();
    let mut waiting = pin!(service.ready().await.unwrap().call(get("/any", Some(&token))));
    assert!(is_pending(waiting.as_mut()).await);
    world.clock.advance(Duration::from_secs(3));
    let response = waiting.await.unwrap();
    assert_eq!((response.status().as_u16(), hits.take()), (503, 0));
    assert!(response.headers().contains_key("retry-after"));
    drop(held);

    // Trouble at the issuer is no trouble for those who need no token, and never a pass for the others.
    let world = cold_world();
    world.issuer.fault(Target::All, Fault::Reset);
    let service = layer(&world).layer(hits.service());
    for (path, token, status) in
        [("/public", None, "200"), ("/optional", None, "200"), ("/any", None, "401"), ("/any", Some(&token), "503")]
    {
        let answer = ask(&service, &format!("GET {path}"), token.map(String::as_str)).await;
        assert_eq!(&answer[..3], status, "{path}");
    }
}

#[tokio::test]
async fn the_errors_of_the_service_are_passed_on() {
    let world = world().await;
    let failing = tower::service_fn(|_: Request<Plain>| ready(Err::<Response<Plain>, BoxError>("broken".into())));
    let token = world.issuer.token().build();
    let error = layer(&world).layer(failing).oneshot(get("/any", Some(&token))).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
    let refused = layer(&world).layer(failing).oneshot(get("/any", None)).await.unwrap();
    assert_eq!(refused.status(), 401, "a service that was not called cannot fail");

    #[derive(Clone)]
    struct NeverReady;
    impl Service<Request<Plain>> for NeverReady {
        type Response = Response<Plain>;
        type Error = &'static str;
        type Future = Ready<Result<Response<Plain>, &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Ready(Err("not ready"))
        }

        fn call(&mut self, _: Request<Plain>) -> Self::Future {
            unreachable!("never ready")
        }
    }
    let error = layer(&world).layer(NeverReady).oneshot(get("/any", Some(&token))).await.unwrap_err();
    assert_eq!(error, "not ready");
}

#[tokio::test]
async fn a_request_carries_one_credential_threat_10() {
    let world = world().await;
    let hits = Hits::default();
    let service = layer(&world).layer(hits.service());
    let good = world.issuer.token().scopes(["read"]).build();
    let bearer = format!("Bearer {good}");
    let long = format!("Bearer {}", "a".repeat(16 * 1024 + 1));
    let rows: &[(&[(&str, &str)], u16)] = &[
        (&[("authorization", &bearer)], 200),
        (&[("authorization", &bearer.replace("Bearer", "bEARER"))], 200),
        (&[("authorization", &bearer), ("authorization", &bearer)], 400),
        (&[("authorization", "Basic dTpw"), ("authorization", &bearer)], 400),
        (&[("authorization", &format!("{bearer}, {bearer}"))], 400),
        (&[("authorization", &format!("{bearer},Basic dTpw"))], 400),
        (&[("authorization", &bearer), ("dpop", "proof")], 400),
        (&[("authorization", "Bearer")], 400),
        (&[("authorization", "Bearer a b")], 400),
        (&[("authorization", &long)], 400),
        (&[("authorization", "Basic dTpw")], 401),
        (&[("authorization", &format!("DPoP {good}"))], 401),
        (&[("proxy-authorization", &bearer)], 401),
        (&[("x-authorization", &bearer), ("cookie", &format!("access_token={good}"))], 401),
        (&[("x-access-token", &good), ("sec-websocket-protocol", &format!("bearer, {good}"))], 401),
        (&[], 401),
    ];
    for (headers, status) in rows {
        let mut request = get(&format!("/any?access_token={good}"), None);
        *request.body_mut() = Plain::from(format!("access_token={good}"));
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        for (name, value) in *headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        assert_eq!(send(&service, request).await.status(), *status, "{headers:?}");
        assert_eq!(hits.take(), usize::from(*status == 200), "{headers:?}");
    }
}
