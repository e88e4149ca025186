//! A request through our layer, around a service that does nothing: beside no layer, and beside one that compares a string.
//!
//! `cargo bench --bench layer` for criterion's figures; `cargo bench --bench layer -- ratios` for the medians of rounds in
//! which everybody takes a turn. Compare within one run; the machine's speed cancels out of the ratios.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark")]

mod support;

use std::{
    convert::Infallible,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Instant, SystemTime},
};

use axum::body::Body;
use criterion::{Criterion, criterion_group};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header::AUTHORIZATION};
use portcullis::{
    Algorithm, AuthorizeLayer, Authorizer, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    clock::UnixTime,
    status::{Revocation, Revocations, StatusAnswer, StatusQuestion, StatusSource, TokenStatus},
    testing::{TestKey, TokenBuilder},
};
use tokio::runtime::{Handle, Runtime};
use tower::{Layer, Service, service_fn};
use tower_http::validate_request::ValidateRequestHeaderLayer;

const ISSUER: &str = "https://issuer.example";
const SCOPE: &str = "agents:read";
/// Of the real ones this stands for.
const TOKEN_LEN: usize = 717;
/// Routes beside the one that is asked for.
const ROUTES: usize = 100;
const ROUNDS: usize = 61;
/// How long a turn may take, in seconds: shorter than what a scheduler gives at a time.
const TURN: f64 = 0.002;

/// Sends one request and returns its status.
type Ask = Box<dyn FnMut() -> u16>;

/// Says of every token that it still stands.
#[derive(Debug)]
struct Stands;

impl StatusSource for Stands {
    fn identity(&self) -> String {
        "stands".to_owned()
    }

    fn ask(&self, _: &StatusQuestion) -> StatusAnswer {
        Box::pin(async { Ok(TokenStatus::active()) })
    }
}

/// An hour from the machine's time, as a user has it.
fn token(key: &TestKey) -> TokenBuilder {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    TokenBuilder::new(ISSUER, key, UnixTime::from_secs(now - 60))
        .subject("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
        .client_id("web-shop")
        .claim("jti", "0198c9a2-7f3e-7d1b")
        .scopes([SCOPE, "agents:write"])
}

fn authorizer(key: &TestKey, is_watched: bool) -> Authorizer {
    let keys = KeySource::json(key.jwk().to_string());
    let mut issuer = Issuer::with_keys(ISSUER, keys).audience(TokenBuilder::AUDIENCE);
    let mut routes = RouteTable::builder().get("/agents", Requirement::scope(SCOPE));
    for number in 0..ROUTES {
        routes = routes.get(&format!("/resource-{number}/{{id}}"), Requirement::scope(SCOPE));
    }
    let mut builder = Authorizer::builder();
    if is_watched {
        issuer = issuer.status_source(Stands);
        let revocations = Revocations::new();
        for number in 0..1000 {
            revocations.revoke(Revocation::token_id(Some(ISSUER), &format!("0198c9a2-{number:04}")));
        }
        builder = builder.revocations(revocations);
    }
    builder.issuer(issuer).routes(routes.otherwise(Unlisted::Deny).unwrap()).build().unwrap()
}

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

/// One request after another to this service, as a server would call it.
fn asking<S>(mut service: S, token: Option<&str>) -> Ask
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + 'static,
{
    let (runtime, uri) = (Handle::current(), Uri::from_static("/agents"));
    let authorization = token.map(|token| HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    Box::new(move || {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.clone();
        if let Some(authorization) = &authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let mut answered = pin!(async {
            std::future::poll_fn(|context| service.poll_ready(context)).await?;
            service.call(request).await
        });
        // Only the first request waits, for the first word on its token.
        let Ok(response) = match answered.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => response,
            Poll::Pending => runtime.block_on(answered),
        };
        black_box(response).status().as_u16()
    })
}

/// The decision alone, on a credential that was found: neither the time is read, nor the token handed out.
fn deciding(authorizer: &Authorizer, token: &str) -> Ask {
    let authorization = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    // For as long as the program runs, so that the credential may be borrowed from it.
    let headers: &HeaderMap = Box::leak(Box::new(HeaderMap::from_iter([(AUTHORIZATION, authorization)])));
    let requirement = Box::leak(Box::new(authorizer.compile(Requirement::scope(SCOPE)).unwrap()));
    let (authorizer, now) = (authorizer.clone(), authorizer.now());
    Handle::current().block_on(authorizer.authorize(&authorizer.input(headers, requirement))).unwrap();
    let input = authorizer.input(headers, requirement);
    Box::new(move || if authorizer.permits(black_box(&input), now) { 200 } else { 401 })
}

/// Everybody, with the status that each has to answer with. The first is the one that others are compared with.
fn everybody() -> Vec<(&'static str, u16, Ask)> {
    let key = TestKey::shared(Algorithm::RS256).with_key_id("2026-11-22-rs256");
    let good = token(&key).build();
    assert_eq!(good.len(), TOKEN_LEN);
    let long_ago = UnixTime::from_secs(1_500_000_000);
    let expired = token(&key).issued_at(long_ago).expires_at(long_ago).build();
    let foreign = token(&key).claim("iss", "https://foreign.example").build();
    let unknown = token(&key).key_id("2026-11-22-none").build();
    #[allow(deprecated, reason = "it stands for the least that a check of a header can cost, not for a way to do it")]
    let bearer = ValidateRequestHeaderLayer::bearer(&good);
    let (plain, watched) = (authorizer(&key, false), authorizer(&key, true));
    let required = |authorizer: &Authorizer| {
        AuthorizeLayer::require(authorizer.clone(), Requirement::scope(SCOPE)).unwrap().layer(service_fn(answer))
    };
    let by_path = AuthorizeLayer::by_raw_path(plain.clone()).layer(service_fn(answer));
    let refused = |token| asking(required(&plain), token);
    vec![
        ("static bearer", 200, asking(bearer.layer(service_fn(answer)), Some(&good))),
        ("no layer", 200, asking(service_fn(answer), Some(&good))),
        ("warm, fixed requirement", 200, asking(required(&plain), Some(&good))),
        ("warm, table by path", 200, asking(by_path, Some(&good))),
        ("warm, status and revocations on", 200, asking(required(&watched), Some(&good))),
        ("the decision alone", 200, deciding(&plain, &good)),
        ("with status and revocations on", 200, deciding(&watched, &good)),
        ("static bearer refuses", 401, asking(bearer.layer(service_fn(answer)), Some(&expired))),
        ("refused: no token", 401, refused(None)),
        ("refused: not a JWT", 401, refused(Some("not.a-jwt"))),
        ("refused: expired", 401, refused(Some(&expired))),
        ("refused: foreign issuer", 401, refused(Some(&foreign))),
        ("refused: unknown key", 401, refused(Some(&unknown))),
    ]
}

/// Where keys and status are fetched, should they be.
fn background() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn layer(criterion: &mut Criterion) {
    let runtime = background();
    let _inside = runtime.enter();
    let mut group = criterion.benchmark_group("layer");
    for (name, status, mut ask) in everybody() {
        group.bench_function(name, |bencher| bencher.iter(|| assert_eq!(ask(), status)));
    }
    group.finish();
}

/// Prints, for each, the median of its time in a round over that of the first one in the same round.
fn ratios() {
    let runtime = background();
    let _inside = runtime.enter();
    let mut everybody = everybody();
    let turn = |(_, status, ask): &mut (&str, u16, Ask), times: u32| {
        let start = Instant::now();
        for _ in 0..times {
            assert_eq!(ask(), *status);
        }
        start.elapsed().as_secs_f64() / f64::from(times)
    };
    let mut all = everybody.iter_mut().map(|one| (turn(one, 100), one)).collect::<Vec<_>>();
    let mut found = vec![Vec::new(); all.len()];
    for round in 0..ROUNDS {
        let mut times = vec![0.0; all.len()];
        for position in 0..all.len() {
            // Everybody comes after everybody, in the course of time.
            let who = (position + round) % all.len();
            let (once, one) = &mut all[who];
            let batch = [10, 100, 1_000, 5_000].into_iter().rfind(|batch| f64::from(*batch) * *once < TURN);
            times[who] = turn(one, batch.unwrap_or(10));
        }
        for (found, time) in found.iter_mut().zip(&times) {
            found.push(time / times[0]);
        }
    }
    println!("ratio to the static bearer layer, median of {ROUNDS} rounds (quarters)");
    for ((_, (name, ..)), found) in all.iter().zip(found) {
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| support::quantile(found.iter().copied(), part));
        println!("{name:<32} {middle:6.2} ({low:.2}–{high:.2})");
    }
}

criterion_group!(benches, layer);

fn main() {
    support::run(benches, ratios);
}
