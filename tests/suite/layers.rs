//! One layer under another: nothing is believed that this authorizer has not proved itself, and nothing is proved twice.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use portcullis::{
    AccessToken, AuthorizeLayer, Authorizer, Issuer, RejectionKind, Requirement,
    testing::{ManualClock, TestIssuer, TestKey, TokenBuilder},
};
use tower::{Layer, Service, ServiceExt as _, util::MapRequestLayer};

use crate::{
    middleware::{get, layer, routes, world},
    support::World,
    wire::{Plain, send, text},
};

/// What the innermost service was handed: the subject of the token in the extensions.
fn whoami() -> impl Service<
    Request<Plain>,
    Response = Response<Plain>,
    Error = Infallible,
    Future = Ready<Result<Response<Plain>, Infallible>>,
> + Clone {
    tower::service_fn(|request: Request<Plain>| {
        let token = request.extensions().get::<AccessToken>();
        let subject = token.map_or("nobody", |token| token.subject().unwrap_or("no subject"));
        ready(Ok(Response::new(Plain::from(subject.to_owned()))))
    })
}

/// The same token with another signature.
fn resigned(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", &signature[1..])
}

/// One layer, a change to the request, another layer.
async fn through(
    outer: AuthorizeLayer,
    change: impl Fn(Request<Plain>) -> Request<Plain> + Clone,
    inner: AuthorizeLayer,
    request: Request<Plain>,
) -> String {
    let service = outer.layer(MapRequestLayer::new(change).layer(inner.layer(whoami())));
    let answer = text(send(&service, request).await).await;
    let (status, rest) = answer.split_once('\n').unwrap();
    format!("{status} {}", if status == "200" { rest.trim() } else { "" }).trim().to_owned()
}

fn with_token(token: &str) -> impl Fn(Request<Plain>) -> Request<Plain> + Clone + use<> {
    let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    move |mut request| {
        request.headers_mut().insert(AUTHORIZATION, value.clone());
        request
    }
}

#[tokio::test]
async fn a_second_layer_judges_anew_what_the_first_let_through_threat_13() {
    let world = world().await;
    let pay = "https://pay.example";
    let require = |requirement| AuthorizeLayer::require(world.authorizer.clone(), requirement).unwrap();
    let token = |audience: &[&str]| world.issuer.token().audience(audience).scopes(["read"]).build();
    let (ours, theirs, both) = (token(&[TokenBuilder::AUDIENCE]), token(&[pay]), token(&[pay, TokenBuilder::AUDIENCE]));
    let rows = [
        ("/any", &ours, Requirement::authenticated(), "200 user-1"),
        ("/any", &ours, Requirement::scope("read"), "200 user-1"),
        ("/any", &ours, Requirement::scope("write"), "403"),
        ("/any", &ours, Requirement::authenticated().that("no", |_| false), "403"),
        ("/any", &ours, Requirement::authenticated().audience(pay), "401"),
        ("/any", &both, Requirement::authenticated().audience(pay), "200 user-1"),
        // A second layer cannot forgive what the first refuses.
        ("/any", &theirs, Requirement::authenticated().audience(pay), "401"),
        ("/nowhere", &ours, Requirement::public(), "403"),
        // An audience that counts on one route does not count on another.
        ("/pay", &theirs, Requirement::authenticated().audience(pay), "200 user-1"),
        ("/pay", &theirs, Requirement::authenticated(), "401"),
        ("/pay", &both, Requirement::authenticated(), "200 user-1"),
        ("/public", &ours, Requirement::scope("read"), "200 user-1"),
        ("/public", &theirs, Requirement::scope("read"), "401"),
        // Public means that the handler gets no token, whatever is in the extensions.
        ("/any", &ours, Requirement::public(), "200 nobody"),
        ("/any", &ours, Requirement::optional(), "200 user-1"),
    ];
    for (path, token, requirement, expected) in rows {
        let name = format!("{path}, then {requirement}");
        let answer = through(layer(&world), |request| request, require(requirement), get(path, Some(token))).await;
        assert_eq!(answer, expected, "{name}");
    }
}

#[tokio::test]
async fn a_token_exchanged_between_two_layers_is_verified_anew_threat_13() {
    let world = world().await;
    let read = || AuthorizeLayer::require(world.authorizer.clone(), Requirement::scope("read")).unwrap();
    let mine = || world.issuer.token().subject("mine").scopes(["read"]);
    let good = mine().build();
    let rows = [
        ("another good one", mine().subject("theirs").build(), "200 theirs"),
        ("one without the scope", mine().scopes(["other"]).build(), "403"),
        ("a tampered one", mine().tampered().build(), "401"),
        ("the first with another signature", resigned(&good), "401"),
        ("its beginning", good[..good.len() - 1].to_owned(), "401"),
        ("an expired one", mine().expires_at(portcullis::clock::UnixTime::from_secs(5)).build(), "401"),
    ];
    for (name, token, expected) in rows {
        assert_eq!(
            through(layer(&world), with_token(&token), read(), get("/any", Some(&good))).await,
            expected,
            "{name}"
        );
    }
    let without = |mut request: Request<Plain>| {
        request.headers_mut().remove(AUTHORIZATION);
        request
    };
    assert_eq!(through(layer(&world), without, read(), get("/any", Some(&good))).await, "401");
    let optional = AuthorizeLayer::require(world.authorizer.clone(), Requirement::optional()).unwrap();
    assert_eq!(through(layer(&world), without, optional, get("/any", Some(&good))).await, "200 nobody");
}

#[tokio::test]
async fn a_key_withdrawn_between_two_layers_vouches_for_nothing_threat_19() {
    let world = Arc::new(world().await);
    let inner = AuthorizeLayer::require(world.authorizer.clone(), Requirement::authenticated()).unwrap();
    let inner = inner.layer(whoami());
    let middle = {
        let (world, inner) = (Arc::clone(&world), inner.clone());
        tower::service_fn(move |request: Request<Plain>| {
            let (world, inner) = (Arc::clone(&world), inner.clone());
            async move {
                // The key that made the signature is published no longer, and the authorizer knows.
                world.issuer.publish(&[TestKey::generate(portcullis::Algorithm::ES256, "new")]);
                world.clock.advance(Duration::from_secs(301));
                world.clock.settle().await;
                assert_eq!(world.issuer.asked().jwks, 1);
                inner.oneshot(request).await
            }
        })
    };
    let token = world.issuer.token().build();
    let response = send(&layer(&world).layer(middle), get("/any", Some(&token))).await;
    // The outer layer let it pass; the inner one knows that token, and that its key is gone.
    assert_eq!(response.status(), 401);
    assert_eq!(world.check(&token).await.verdict.unwrap_err(), RejectionKind::InvalidToken);
}

/// An authorizer on the same clock, of an issuer of the same name that has another key.
async fn namesake(clock: &ManualClock, key: TestKey, change: impl FnOnce(Issuer) -> Issuer) -> World {
    let issuer = TestIssuer::builder().clock(clock.clone()).key(key).in_process("https://issuer.test");
    let authorizer = Authorizer::builder()
        .issuer(change(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE)))
        .routes(routes())
        .shared_transport(issuer.transport())
        .clock(clock.clone())
        .build()
        .unwrap();
    authorizer.ready(Duration::from_secs(1)).await.unwrap();
    World { clock: clock.clone(), issuer, authorizer }
}

#[tokio::test]
async fn a_token_that_somebody_else_put_into_the_request_is_not_seen_threat_11() {
    let world = world().await;
    let key = world.issuer.current_key();
    let same_name = TestKey::generate(portcullis::Algorithm::ES256, key.key_id());
    let stranger = namesake(&world.clock, same_name, |issuer| issuer).await;
    // The same issuer and the same key; only the rules differ.
    let lenient = namesake(&world.clock, key, |issuer| issuer.leeway(Duration::from_secs(300))).await;

    let forged = stranger.issuer.token().subject("forged").scopes(["read"]).build();
    let late = world.issuer.token().subject("late").scopes(["read"]);
    let late = late.expires_at(world.clock.now().wall().saturating_sub(Duration::from_secs(60))).build();
    let good = world.issuer.token().subject("mine").scopes(["read"]).build();
    let require = |requirement| AuthorizeLayer::require(world.authorizer.clone(), requirement).unwrap();
    for (name, other, token) in [("stranger", &stranger, &forged), ("lenient", &lenient, &late)] {
        let planted = other.check(token).await.verdict.unwrap();
        let rows = [
            ("/public", None, layer(&world), "200 nobody"),
            ("/public", Some(token), layer(&world), "200 nobody"),
            ("/optional", None, layer(&world), "200 nobody"),
            ("/optional", Some(token), layer(&world), "401"),
            ("/optional", Some(&good), layer(&world), "200 mine"),
            ("/any", None, layer(&world), "401"),
            ("/any", Some(token), layer(&world), "401"),
            ("/read", Some(token), layer(&world), "401"),
            ("/read", Some(&good), layer(&world), "200 mine"),
            ("/", None, require(Requirement::public()), "200 nobody"),
            ("/", None, require(Requirement::optional()), "200 nobody"),
            ("/", None, require(Requirement::scope("read")), "401"),
            ("/", Some(token), require(Requirement::scope("read")), "401"),
            ("/", Some(&good), require(Requirement::scope("read")), "200 mine"),
        ];
        for (path, credential, layer, expected) in rows {
            let mut request = get(path, credential.map(String::as_str));
            request.extensions_mut().insert(planted.clone());
            // Headers by which other systems name an identity mean nothing here.
            for name in ["x-user", "x-forwarded-user", "x-access-token", "x-portcullis-subject"] {
                request.headers_mut().insert(name, HeaderValue::from_static("root"));
            }
            let answer = text(send(&layer.layer(whoami()), request).await).await.replace('\n', " ");
            let answer = if answer.starts_with("200") { answer.replace("  ", " ") } else { answer[..3].to_owned() };
            assert_eq!(answer, expected, "{name}: {path} with {:?}", credential.map(|_| "a token"));
        }
        // And the other's own layer, in between, is no reason either.
        let theirs = AuthorizeLayer::require(other.authorizer.clone(), Requirement::authenticated()).unwrap();
        let ours = require(Requirement::scope("read"));
        assert_eq!(through(theirs, |request| request, ours, get("/", Some(token))).await, "401", "{name}");
    }
}
