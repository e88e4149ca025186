//! How often a request makes the layer allocate: so that a box cannot slip into the path of a permitted one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use http::{Extensions, Request, Response};
use portcullis::{
    AccessToken, Algorithm, AuthorizeLayer, Authorizer, Decision, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    authorizer::Answers,
    testing::{ManualClock, TestKey, TokenBuilder},
};
use tower::{Layer, Service};

/// The system's allocator, with a count per thread.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates on this thread, and what it comes to.
fn counted<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.get();
    let outcome = work();
    (COUNT.get() - before, outcome)
}

/// Hands the request back among the answer's extensions, and allocates nothing.
#[derive(Clone)]
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        let mut response = Response::new(String::new());
        std::mem::swap(response.extensions_mut(), request.extensions_mut());
        ready(Ok(response))
    }
}

/// The answer's status, how often it made us allocate, and what the inner service found or the refusal left.
fn answered(layer: &AuthorizeLayer, request: Request<()>) -> (u16, usize, Extensions) {
    let mut service = layer.clone().respond_empty().layer(Inner);
    let (count, response) = counted(|| {
        let mut future = pin!(service.call(request));
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(response)) => response,
            Poll::Pending => panic!("a request that needs nobody has to wait for nobody"),
        }
    });
    let (head, _) = response.into_parts();
    (head.status.as_u16(), count, head.extensions)
}

fn authorizer() -> (Authorizer, TokenBuilder) {
    with_room(1024 * 1024)
}

/// One that keeps verified tokens in so many bytes.
fn with_room(bytes: usize) -> (Authorizer, TokenBuilder) {
    let key = TestKey::generate(Algorithm::ES256, "key");
    let clock = ManualClock::new();
    let authorizer = Authorizer::builder()
        .issuer(
            Issuer::with_keys("https://idp.example", KeySource::json(key.jwk().to_string()))
                .audience(TokenBuilder::AUDIENCE),
        )
        .routes(
            RouteTable::builder()
                .get("/public", Requirement::public())
                .get("/agents/{id}", Requirement::scope("read"))
                .otherwise(Unlisted::Deny)
                .unwrap(),
        )
        .token_cache_bytes(bytes)
        .clock(clock.clone())
        .build()
        .unwrap();
    (authorizer, TokenBuilder::new("https://idp.example", &key, clock.now().wall()))
}

#[test]
fn a_token_in_many_hands_costs_no_more_where_its_copies_find_no_room() {
    let (authorizer, tokens) = with_room(32 * 1024);
    let layer = AuthorizeLayer::by_raw_path(authorizer);
    let token = tokens.scopes(["read"]).build();
    let held: Vec<Extensions> = (0..4).map(|_| answered(&layer, get("/agents/7", Some(&token))).2).collect();
    assert_eq!(answered(&layer, get("/agents/7", Some(&token))).1, 3, "while {} hold it", held.len());
}

fn get(path: &str, token: Option<&str>) -> Request<()> {
    let request = Request::get(path);
    match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    }
    .body(())
    .unwrap()
}

#[test]
fn a_request_whose_token_was_seen_costs_no_more_than_handing_it_on() {
    let (authorizer, tokens) = authorizer();
    let token = tokens.scopes(["read"]).build();
    let layer = AuthorizeLayer::by_raw_path(authorizer.clone());
    let (_, _, mut extensions) = answered(&layer, get("/agents/7", Some(&token)));
    // Nobody has it in hand any more when it comes again.
    let seen = extensions.remove::<AccessToken>().unwrap();
    let (handing_on, _) = counted(|| Extensions::new().insert(seen));

    let (status, count, _) = answered(&layer, get("/agents/7", Some(&token)));
    assert_eq!((status, count), (200, handing_on), "the route, the decision and the future cost nothing");
    assert_eq!(count, 3, "a map, its table, and the box in which it keeps a value");

    let headers = get("/agents/7", Some(&token)).headers().clone();
    let requirement = Arc::new(Requirement::scope("read"));
    let input = authorizer.input(&headers, &requirement);
    let now = authorizer.now();
    assert_eq!(counted(|| authorizer.permits(&input, now)), (0, true));
    let (count, decision) = counted(|| authorizer.decide(&input, &Answers::default(), now));
    assert!(matches!(decision, Decision::Permit(_)));
    assert_eq!(count, 0);
}

#[test]
fn a_requests_allocations_are_bounded() {
    let (authorizer, tokens) = authorizer();
    let layer = AuthorizeLayer::by_raw_path(authorizer);
    let good = tokens.clone().scopes(["read"]).build();
    let (without_scope, forged) = (tokens.clone().build(), tokens.tampered().build());
    // As counted on 2026-11-22; fewer are welcome, and then belong here.
    let rows = [
        // Extensions are a map, and say why there is no token.
        ("public", get("/public", None), 200, 3),
        // Where header and claims are decoded, the token that is kept of them and its place in the cache, and the extensions.
        ("a full verification", get("/agents/7", Some(&good)), 200, 9),
        ("no token", get("/agents/7", None), 401, 11),
        ("garbage", get("/agents/7", Some("garbage")), 401, 12),
        ("a forged signature", get("/agents/7", Some(&forged)), 401, 13),
        ("no scope", get("/agents/7", Some(&without_scope)), 403, 17),
        ("an ambiguous path", get("//", None), 400, 6),
        ("an unlisted route", get("/nowhere", None), 403, 6),
    ];
    for (name, request, expected, most) in rows {
        let (status, count, _) = answered(&layer, request);
        assert_eq!(status, expected, "{name}");
        assert!(count <= most, "{name}: {count} allocations, not {most}");
    }
}

#[test]
fn what_a_hostile_token_costs_before_its_signature_is_bounded_threat_31() {
    let (authorizer, tokens) = authorizer();
    let layer = AuthorizeLayer::by_raw_path(authorizer);
    let tokens = || tokens.clone().tampered();
    let list = |count: usize| (0..count).map(|number| format!("s{number}")).collect::<Vec<_>>();
    let members: String = list(900).iter().map(|name| format!(r#""{name}":0,"#)).collect();
    let deep = format!("{{\"a\":{}", "[".repeat(10_000));
    let rows = [
        ("too long to be looked at", "a".repeat(1024 * 1024), 400, 13),
        ("nothing but dots", ".".repeat(16 * 1024), 401, 12),
        ("nothing but padding", "=".repeat(16 * 1024), 400, 13),
        ("one long line of scopes", tokens().scopes(list(1500)).build(), 401, 13),
        // As a list grows.
        ("a long list of scopes", tokens().claim("scp", list(1200)).build(), 401, 23),
        ("a long list of audiences", tokens().audience(list(1200)).build(), 401, 23),
        ("members without end", tokens().raw_payload(format!("{{{members}\"z\":0}}")).build(), 401, 22),
        ("a deep claim", tokens().raw_payload(deep.clone()).build(), 401, 27),
        ("a deep header", tokens().raw_header(deep).build(), 401, 27),
    ];
    for (name, token, expected, most) in rows {
        let (status, count, _) = answered(&layer, get("/agents/7", Some(&token)));
        assert_eq!(status, expected, "{name}");
        assert!(count <= most, "{name}: {count} allocations, not {most}");
    }
}
