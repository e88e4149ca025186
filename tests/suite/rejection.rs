//! What a client is told: every kind of refusal, to the byte.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use portcullis::{
    AuthorizeLayer, Authorizer, ConfigError, Issuer, Rejection, RejectionKind, Requirement, RouteTable, Unlisted,
    testing::{Fault, ManualClock, Target, TestIssuer, TokenBuilder},
};
use tower::{Layer, Service, ServiceExt as _};

use crate::{
    support::World,
    wire::{Hits, Plain, ask, request, send, text},
};

fn routes() -> RouteTable {
    RouteTable::builder()
        .get("/read", Requirement::all_of(["read", "list"]).or_all_of(["admin"]))
        .get("/any", Requirement::authenticated())
        .get("/adult", Requirement::authenticated().that("is an adult", |_| false))
        .get("/optional", Requirement::optional())
        .otherwise(Unlisted::Deny)
        .unwrap()
}

async fn world() -> World {
    World::with(|issuer| issuer, |builder| builder.routes(routes()).realm("agents").resource("https://api.example/v1"))
        .await
}

/// An authorizer whose issuer has answered 500 from the start.
async fn world_without_keys() -> World {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://issuer.test");
    issuer.fault(Target::All, Fault::Status(500));
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE))
        .routes(routes())
        .shared_transport(issuer.transport())
        .clock(clock.clone())
        .build()
        .unwrap();
    clock.settle().await;
    World { clock, issuer, authorizer }
}

/// The layer of a table under which an hour passes before a second layer looks at the same token.
fn slow_service(
    world: &World,
) -> impl Service<Request<Plain>, Response = Response<Plain>, Error = std::convert::Infallible> + Clone {
    let clock = world.clock.clone();
    let inner = AuthorizeLayer::require(world.authorizer.clone(), Requirement::authenticated()).unwrap();
    let inner = inner.layer(Hits::default().service());
    let slow = tower::service_fn(move |request| {
        clock.advance(Duration::from_secs(3600 + 30));
        inner.clone().oneshot(request)
    });
    AuthorizeLayer::by_raw_path(world.authorizer.clone()).layer(slow)
}

#[tokio::test]
async fn every_kind_has_one_answer_in_http_and_one_in_grpc() {
    let world = world().await;
    let (good, bad) = (world.issuer.token().build(), world.issuer.token().tampered().build());
    let hits = Hits::default();
    let service = AuthorizeLayer::by_raw_path(world.authorizer.clone()).layer(hits.service());
    let meta = r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource/v1""#;
    let get = |path: &str, token: Option<&str>| request(&format!("GET {path}"), token);

    let rows = [
        (
            RejectionKind::NoCredential,
            get("/read", None),
            format!(
                "401\ncache-control: no-store\ncontent-type: application/json\n\
                 www-authenticate: Bearer realm=\"agents\", scope=\"read list\", {meta}\n\n\
                 {{\"error\":\"unauthorized\",\"error_description\":\"An access token is required\"}}"
            ),
            format!(
                "200\ncache-control: no-store\ncontent-type: application/grpc\n\
                 grpc-message: An access token is required\ngrpc-status: 16\n\
                 www-authenticate: Bearer realm=\"agents\", scope=\"read list\", {meta}"
            ),
        ),
        (
            RejectionKind::InvalidRequest,
            get("/read", Some(&good)).header("authorization", "Bearer another"),
            format!(
                "400\ncache-control: no-store\ncontent-type: application/json\n\
                 www-authenticate: Bearer realm=\"agents\", error=\"invalid_request\", \
                 error_description=\"The request must carry one well-formed bearer token\", {meta}\n\n\
                 {{\"error\":\"invalid_request\",\"error_description\":\"The request must carry one well-formed bearer \
                 token\"}}"
            ),
            format!(
                "200\ncache-control: no-store\ncontent-type: application/grpc\n\
                 grpc-message: The request must carry one well-formed bearer token\ngrpc-status: 3\n\
                 www-authenticate: Bearer realm=\"agents\", error=\"invalid_request\", \
                 error_description=\"The request must carry one well-formed bearer token\", {meta}"
            ),
        ),
        (
            RejectionKind::InvalidToken,
            get("/read", Some(&bad)),
            format!(
                "401\ncache-control: no-store\ncontent-type: application/json\n\
                 www-authenticate: Bearer realm=\"agents\", error=\"invalid_token\", \
                 error_description=\"The access token is invalid\", {meta}\n\n\
                 {{\"error\":\"invalid_token\",\"error_description\":\"The access token is invalid\"}}"
            ),
            format!(
                "200\ncache-control: no-store\ncontent-type: application/grpc\n\
                 grpc-message: The access token is invalid\ngrpc-status: 16\n\
                 www-authenticate: Bearer realm=\"agents\", error=\"invalid_token\", \
                 error_description=\"The access token is invalid\", {meta}"
            ),
        ),
        (
            RejectionKind::InsufficientScope,
            get("/read", Some(&good)),
            format!(
                "403\ncache-control: no-store\ncontent-type: application/json\n\
                 www-authenticate: Bearer realm=\"agents\", error=\"insufficient_scope\", \
                 error_description=\"The access token lacks a scope that is needed here\", scope=\"read list\", {meta}\n\n\
                 {{\"error\":\"insufficient_scope\",\"error_description\":\"The access token lacks a scope that is needed \
                 here\"}}"
            ),
            format!(
                "200\ncache-control: no-store\ncontent-type: application/grpc\n\
                 grpc-message: The access token lacks a scope that is needed here\ngrpc-status: 7\n\
                 www-authenticate: Bearer realm=\"agents\", error=\"insufficient_scope\", \
                 error_description=\"The access token lacks a scope that is needed here\", scope=\"read list\", {meta}"
            ),
        ),
        (
            RejectionKind::Forbidden,
            get("/adult", Some(&good)),
            "403\ncache-control: no-store\ncontent-type: application/json\n\n\
             {\"error\":\"forbidden\",\"error_description\":\"The access token does not meet a condition of this request\"}"
                .into(),
            "200\ncache-control: no-store\ncontent-type: application/grpc\n\
             grpc-message: The access token does not meet a condition of this request\ngrpc-status: 7"
                .into(),
        ),
        (
            RejectionKind::UnlistedRoute,
            get("/nowhere", Some(&good)),
            "403\ncache-control: no-store\ncontent-type: application/json\n\n\
             {\"error\":\"forbidden\",\"error_description\":\"This request is not allowed\"}"
                .into(),
            "200\ncache-control: no-store\ncontent-type: application/grpc\n\
             grpc-message: This request is not allowed\ngrpc-status: 7"
                .into(),
        ),
        (
            RejectionKind::AmbiguousPath,
            get("/a/../read", Some(&good)),
            "400\ncache-control: no-store\ncontent-type: application/json\n\n\
             {\"error\":\"invalid_request\",\"error_description\":\"The path of the request is ambiguous\"}"
                .into(),
            "200\ncache-control: no-store\ncontent-type: application/grpc\n\
             grpc-message: The path of the request is ambiguous\ngrpc-status: 3"
                .into(),
        ),
    ];
    for (kind, builder, http, grpc) in rows {
        check(&service, builder, kind, &http, &grpc).await;
    }
    assert_eq!(hits.take(), 0, "nothing of this reached the service");

    let grpc = "200\ncache-control: no-store\ncontent-type: application/grpc\n\
                grpc-message: Access tokens cannot be verified at the moment\ngrpc-status: 14\nretry-after: 1";
    let http = "503\ncache-control: no-store\ncontent-type: application/json\nretry-after: 1\n\n\
                {\"error\":\"temporarily_unavailable\",\"error_description\":\"Access tokens cannot be verified at the moment\"}";
    let dark = world_without_keys().await;
    let service = AuthorizeLayer::by_raw_path(dark.authorizer.clone()).layer(hits.service());
    check(&service, get("/any", Some(&dark.issuer.token().build())), RejectionKind::KeysUnavailable, http, grpc).await;
}

#[tokio::test]
async fn only_a_token_that_was_verified_is_called_expired() {
    let http = "401\ncache-control: no-store\ncontent-type: application/json\n\
                www-authenticate: Bearer realm=\"agents\", error=\"invalid_token\", \
                error_description=\"The access token expired\", \
                resource_metadata=\"https://api.example/.well-known/oauth-protected-resource/v1\"\n\n\
                {\"error\":\"invalid_token\",\"error_description\":\"The access token expired\"}";
    let grpc = "200\ncache-control: no-store\ncontent-type: application/grpc\n\
                grpc-message: The access token expired\ngrpc-status: 16\n\
                www-authenticate: Bearer realm=\"agents\", error=\"invalid_token\", \
                error_description=\"The access token expired\", \
                resource_metadata=\"https://api.example/.well-known/oauth-protected-resource/v1\"";
    for (content_type, expected) in [("text/plain", http), ("application/grpc", grpc)] {
        let world = world().await;
        let token = world.issuer.token().build();
        let request = request("GET /any", Some(&token)).header("content-type", content_type);
        let response = send(&slow_service(&world), request.body(Plain::default()).unwrap()).await;
        assert_eq!(kind_in(&response), RejectionKind::ExpiredToken);
        assert_eq!(text(response).await, expected);
    }
}

async fn check<S>(service: &S, builder: http::request::Builder, kind: RejectionKind, http: &str, grpc: &str)
where
    S: Service<Request<Plain>, Response = Response<Plain>> + Clone,
    S::Error: std::fmt::Debug,
{
    let mut plain = builder.body(Plain::default()).unwrap();
    let mut over_grpc = plain.clone();
    plain.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    over_grpc.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
    for (request, expected) in [(plain, http), (over_grpc, grpc)] {
        let response = send(service, request).await;
        assert_eq!(kind_in(&response), kind);
        assert_eq!(text(response).await, expected, "{kind:?}");
    }
}

fn kind_in<B>(response: &Response<B>) -> RejectionKind {
    response.extensions().get::<Rejection>().expect("the rejection is in the extensions").kind()
}

#[tokio::test]
async fn only_native_grpc_is_answered_in_trailers() {
    let world = world().await;
    let service = AuthorizeLayer::by_raw_path(world.authorizer.clone()).layer(Hits::default().service());
    let rows = [
        ("application/grpc", 200),
        ("application/grpc+proto", 200),
        ("application/grpc+json", 200),
        ("application/grpc; charset=utf-8", 200),
        ("Application/GRPC", 200),
        ("application/grpc-web", 401),
        ("application/grpc-web+proto", 401),
        ("application/grpc-web-text", 401),
        ("application/grpcx", 401),
        ("application/grp", 401),
        ("text/plain; application/grpc", 401),
        ("", 401),
    ];
    for (content_type, expected) in rows {
        let request = request("GET /any", None).header("content-type", content_type).body(Plain::default()).unwrap();
        let response = send(&service, request).await;
        assert_eq!(response.status(), expected, "{content_type}");
        assert_eq!(response.headers().contains_key("grpc-status"), expected == 200, "{content_type}");
    }
}

#[tokio::test]
async fn a_realm_is_quoted_or_refused_at_the_start() {
    let rows = [
        ("plain", Some(r#"Bearer realm="plain""#)),
        (r#"say "hi" \ now"#, Some(r#"Bearer realm="say \"hi\" \\ now""#)),
        ("a, Basic realm=b", Some(r#"Bearer realm="a, Basic realm=b""#)),
        ("", None),
        ("two\r\nlines", None),
        ("Zürich", None),
    ];
    for (realm, expected) in rows {
        let issuer = TestIssuer::in_process("https://issuer.test");
        let authorizer = Authorizer::builder()
            .issuer(Issuer::discover(issuer.url()).audience("a"))
            .routes(RouteTable::builder().get("/", Requirement::authenticated()).otherwise(Unlisted::Deny).unwrap())
            .shared_transport(issuer.transport())
            .realm(realm)
            .build();
        let Some(expected) = expected else {
            assert!(matches!(authorizer, Err(ConfigError::Realm(text)) if text == realm));
            continue;
        };
        let service = AuthorizeLayer::by_raw_path(authorizer.unwrap()).layer(Hits::default().service());
        let response = send(&service, request("GET /", None).body(Plain::default()).unwrap()).await;
        assert_eq!(response.headers()["www-authenticate"], expected);
    }
}

#[tokio::test]
async fn a_client_is_told_when_keys_will_be_asked_for_again() {
    let world = world_without_keys().await;
    let service = AuthorizeLayer::by_raw_path(world.authorizer.clone()).layer(Hits::default().service());
    let token = world.issuer.token().build();
    for seconds in ["1", "2", "4"] {
        let response = send(&service, request("GET /any", Some(&token)).body(Plain::default()).unwrap()).await;
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &seconds.parse().unwrap()));
        world.clock.advance(Duration::from_secs(seconds.parse().unwrap()));
        world.clock.settle().await;
    }
    // What needs no keys to be refused is refused; the rest is neither passed nor called invalid.
    assert!(ask(&service, "GET /any", Some("garbage")).await.starts_with("401\n"));
    assert!(ask(&service, "GET /optional", Some(&token)).await.starts_with("503\n"));
    assert!(ask(&service, "GET /optional", None).await.starts_with("200"));
}

/// A body that cannot be made from bytes, as tonic's.
#[derive(Debug, Default)]
struct Frames;

impl Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(None)
    }
}

#[tokio::test]
async fn an_answer_is_made_in_whatever_body_the_service_has() {
    async fn refusal<B: Body<Error: std::fmt::Debug> + Default, R>(layer: AuthorizeLayer<R>) -> (RejectionKind, String)
    where
        R: portcullis::rejection::Respond<B>,
    {
        let inner =
            tower::service_fn(|_: Request<Plain>| async { Ok::<_, std::io::Error>(Response::new(B::default())) });
        let response = send(&layer.layer(inner), request("GET /any", None).body(Plain::default()).unwrap()).await;
        (kind_in(&response), text(response).await)
    }
    let challenge = r#"www-authenticate: Bearer realm="agents", resource_metadata="https://api.example/.well-known/oauth-protected-resource/v1""#;
    let json = r#"{"error":"unauthorized","error_description":"An access token is required"}"#;
    let with_body = format!("401\ncache-control: no-store\ncontent-type: application/json\n{challenge}\n\n{json}");
    let without_body = format!("401\ncache-control: no-store\n{challenge}");

    let world = world().await;
    let layer = || AuthorizeLayer::by_raw_path(world.authorizer.clone());
    let expected = (RejectionKind::NoCredential, with_body);
    assert_eq!(refusal::<Full<Bytes>, _>(layer()).await, expected);
    assert_eq!(refusal::<axum::body::Body, _>(layer()).await, expected);
    let expected = (RejectionKind::NoCredential, without_body);
    assert_eq!(refusal::<Frames, _>(layer().respond_empty()).await, expected);
    assert_eq!(refusal::<Full<Bytes>, _>(layer().respond_empty()).await, expected);

    let page = layer().respond_with(|rejection, head: Response<()>| {
        head.map(|()| Full::<Bytes>::from(format!("<h1>{}</h1>", rejection.kind().name())))
    });
    let html = format!("401\ncache-control: no-store\n{challenge}\n\n<h1>no_credential</h1>");
    assert_eq!(refusal(page).await, (RejectionKind::NoCredential, html));
    // A closure that throws the head away keeps nothing but the rejection itself.
    let careless = layer().respond_with(|_, _| Response::new(Frames));
    assert_eq!(refusal(careless).await, (RejectionKind::NoCredential, "200".into()));
}
