//! Real clients on real sockets, behind the layer, against a server behind ours → what the server gets and the caller hears.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Redirect,
    routing::{get, post},
};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::{
    AuthorizeLayer,
    issuer::Connection,
    outbound::{AttachTokenLayer, Renew, Renewal, Renewed, RenewedToken},
    status::{Revocation, Revocations},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer as _, Service, ServiceExt as _};

use crate::{scripted::Scripted, support::World};

/// Tokens `t1`, `t2`, … of the server's issuer.
#[derive(Clone)]
struct Mint(Arc<Coins>);

struct Coins {
    world: World,
    made: AtomicUsize,
    are_false: AtomicBool,
}

impl Renew for Mint {
    fn renew(&self) -> Renewal {
        let number = self.0.made.fetch_add(1, Ordering::Relaxed) + 1;
        let token = self.0.world.issuer.token().claim("jti", format!("t{number}"));
        let token = if self.0.are_false.load(Ordering::Relaxed) { token.audience("https://other") } else { token };
        // It lasts as long as nobody has other news.
        let renewed = Renewed::new(token.build(), Duration::from_secs(24 * 60 * 60));
        Box::pin(async { Ok(renewed) })
    }
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mint")
    }
}

/// What a server got: which token, and which body.
type Seen = Arc<Mutex<Vec<String>>>;

/// A server on a port of its own, and tokens for it. It ends when this is dropped.
struct Api {
    mint: Mint,
    token: RenewedToken,
    revocations: Revocations,
    origin: String,
    seen: Seen,
    _serving: JoinSet<()>,
}

impl Api {
    async fn start() -> Self {
        let revocations = Revocations::new();
        let change = |builder: portcullis::AuthorizerBuilder| builder.revocations(revocations.clone());
        let world = World::with(|issuer| issuer, change).await;
        let seen = Seen::default();
        let app = Router::new()
            .route("/echo", post(|body: Bytes| async { body }))
            .route("/to/{port}", get(|Path(port): Path<u16>| async move { elsewhere(port) }))
            .layer(AuthorizeLayer::by_raw_path(world.authorizer.clone()))
            .layer(from_fn_with_state(seen.clone(), note));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let connection = Connection::over(Scripted::default()).clock(world.clock.clone());
        let mint = Mint(Arc::new(Coins { world, made: AtomicUsize::new(0), are_false: AtomicBool::new(false) }));
        let token = RenewedToken::new(mint.clone(), &connection);
        Self { mint, token, revocations, origin, seen, _serving: serving }
    }

    fn layer(&self) -> AttachTokenLayer {
        AttachTokenLayer::to([&self.origin], self.token.clone()).unwrap()
    }

    fn world(&self) -> &World {
        &self.mint.0.world
    }

    fn revoke(&self, id: &str) {
        self.revocations.revoke(Revocation::token_id(Some("https://issuer.test"), id));
    }

    fn seen(&self) -> String {
        std::mem::take(&mut *self.seen.lock().unwrap()).join(", ")
    }
}

fn elsewhere(port: u16) -> Redirect {
    Redirect::temporary(&format!("http://127.0.0.1:{port}/to/0"))
}

/// Writes down what arrives, before anybody judges it.
async fn note(State(seen): State<Seen>, request: Request, next: Next) -> axum::response::Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1024).await.unwrap();
    let id = head.headers.get(AUTHORIZATION).map_or("-".to_owned(), |value| {
        let payload = value.to_str().unwrap().split('.').nth(1).unwrap();
        let payload = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(payload).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        claims["jti"].as_str().unwrap().to_owned()
    });
    seen.lock().unwrap().push(format!("{id} {}", String::from_utf8_lossy(&body)));
    next.run(Request::from_parts(head, Body::from(body))).await
}

/// What happens to a token between requests, and what comes of it: the same for every client.
async fn a_day(api: &Api, send: impl AsyncFn(&'static str) -> String) {
    assert_eq!(send("one").await, "200 one");
    assert_eq!(send("two").await, "200 two");
    assert_eq!(api.seen(), "t1 one, t1 two");
    api.revoke("t1");
    assert_eq!(send("three").await, "200 three");
    assert_eq!(api.seen(), "t1 three, t2 three", "revoked half-way");
    // Again, and too soon for another token.
    api.revoke("t2");
    assert!(send("four").await.starts_with("401 "));
    assert_eq!(api.seen(), "t2 four");
    api.world().advance(Duration::from_secs(2 * 60 * 60)).await;
    assert_eq!(send("five").await, "200 five");
    assert_eq!(api.seen(), "t2 five, t3 five");
    api.world().advance(Duration::from_secs(2 * 60 * 60)).await;
    assert_eq!(send("six").await, "200 six");
    assert_eq!(api.seen(), "t3 six, t4 six", "expired, though its server said a day");
    api.mint.0.are_false.store(true, Ordering::Relaxed);
    api.world().advance(Duration::from_secs(2 * 60 * 60)).await;
    let refused = send("seven").await;
    assert!(refused.starts_with("401 ") && refused.contains("invalid_token"), "{refused}");
    assert_eq!(api.seen(), "t4 seven, t5 seven", "once more, and not a third time");
}

#[tokio::test]
async fn a_hyper_client_gets_tokens_and_new_ones() {
    let api = Api::start().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let service = api.layer().layer(client);
    a_day(&api, async |body| {
        let request = http::Request::post(format!("{}/echo", api.origin)).body(Full::from(body)).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        format!("{status} {}", String::from_utf8_lossy(&body))
    })
    .await;
}

#[tokio::test]
async fn a_reqwest_client_gets_tokens_and_new_ones() {
    let api = Api::start().await;
    let client = reqwest::Client::new();
    let service = api.layer().layer(client.clone());
    a_day(&api, async |body| {
        let request = client.post(format!("{}/echo", api.origin)).body(body).build().unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        format!("{} {}", response.status().as_u16(), response.text().await.unwrap())
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_read_as_it_is_sent_is_sent_once() {
    let api = Api::start().await;
    let client = reqwest::Client::new();
    let mut service = api.layer().layer(client.clone());
    let mut send = async || {
        let frame = Ok::<_, fmt::Error>(http_body::Frame::data(Bytes::from("streamed")));
        let body = reqwest::Body::wrap(StreamBody::new(tokio_stream::once(frame)));
        let request = client.post(format!("{}/echo", api.origin)).body(body).build().unwrap();
        service.ready().await.unwrap().call(request).await.unwrap().status().as_u16()
    };
    assert_eq!(send().await, 200);
    api.revoke("t1");
    assert_eq!(send().await, 401);
    assert_eq!(api.seen(), "t1 streamed, t1 streamed");
    assert_eq!(send().await, 200, "the source was told");
    assert_eq!(api.seen(), "t2 streamed");
}

#[tokio::test]
async fn a_thousand_requests_whose_token_was_revoked_get_one_new_token_threat_22() {
    let api = Api::start().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let service = tower::limit::ConcurrencyLimitLayer::new(50).layer(api.layer().layer(client));
    let send = |body: &'static str| {
        let request = http::Request::post(format!("{}/echo", api.origin)).body(Full::from(body)).unwrap();
        let service = service.clone();
        async move { service.oneshot(request).await.unwrap().status().as_u16() }
    };
    assert_eq!(send("x").await, 200);
    api.revoke("t1");
    let mut requests = JoinSet::new();
    for _ in 0..1000 {
        requests.spawn(send("x"));
    }
    assert!(requests.join_all().await.into_iter().all(|status| status == 200));
    assert_eq!(api.mint.0.made.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn another_server_gets_no_token_threat_29() {
    let (api, other) = (Api::start().await, Api::start().await);
    let client = reqwest::Client::new();
    let mut service = api.layer().layer(client.clone());
    let request = client.post(format!("{}/echo", other.origin)).body("x").build().unwrap();
    assert_eq!(service.ready().await.unwrap().call(request).await.unwrap().status(), 401);
    assert_eq!((other.seen().as_str(), api.mint.0.made.load(Ordering::Relaxed)), ("- x", 0));

    // Nor does one that ours points to: reqwest sees to that.
    let port = other.origin.rsplit(':').next().unwrap();
    let request = client.get(format!("{}/to/{port}", api.origin)).build().unwrap();
    assert_eq!(service.ready().await.unwrap().call(request).await.unwrap().status(), 401);
    assert_eq!((api.seen().as_str(), other.seen().as_str()), ("t1 ", "- "));
}

#[tokio::test]
async fn a_grpc_channel_gets_tokens() {
    let api = Api::start().await;
    let (_, health) = tonic_health::server::health_reporter();
    let layer = AuthorizeLayer::by_raw_path(api.world().authorizer.clone()).respond_empty();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let server = Server::builder().layer(layer).add_service(health);
        server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    });
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let layer = AttachTokenLayer::to_one_place(api.token.clone()).never_repeating();
    let mut client = HealthClient::new(layer.layer(channel.clone()));
    let request = || HealthCheckRequest { service: String::new() };
    assert!(HealthClient::new(channel).check(request()).await.is_err());
    assert!(client.check(request()).await.is_ok());
}
