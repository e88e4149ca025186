//! Real axum routers, nested in every way they can be: router and policy read each request alike, or it is refused.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, handler::Handler, routing::get};
use http::Request;
use portcullis::{AuthorizeLayer, Authorizer, Requirement, RouteTable, Unlisted};
use tower::{Layer, ServiceExt as _};

use crate::{support::World, wire::request};

/// Which handlers ran.
#[derive(Clone, Default)]
struct Ran(Arc<Mutex<Vec<&'static str>>>);

impl Ran {
    /// A handler of this name.
    fn as_handler(&self, name: &'static str) -> impl Handler<((),), ()> + use<> {
        let ran = self.clone();
        move || async move {
            ran.0.lock().unwrap().push(name);
            name
        }
    }

    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap()).join(" ")
    }
}

/// A row: a request, the scope of its token (`-` for none), and the handler that runs or the status of the refusal.
type Row<'r> = (&'r str, &'r str, &'r str);

async fn check(world: &World, ran: &Ran, app: &Router, rows: &[Row<'_>]) {
    for (line, scope, expected) in rows {
        let token = (*scope != "-").then(|| world.issuer.token().scopes([scope]).build());
        let request = request(line, token.as_deref()).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let ran = ran.take();
        let outcome = if ran.is_empty() { response.status().as_u16().to_string() } else { ran };
        assert_eq!(outcome, *expected, "{line} with {scope}");
    }
}

async fn world(unlisted: Unlisted) -> World {
    let routes = RouteTable::builder()
        .get("/healthz", Requirement::public())
        .get("/users/{id}", Requirement::scope("users"))
        .get("/files/{*path}", Requirement::scope("files"))
        .get("/api/admin", Requirement::scope("admin"))
        .get("/api/users/{id}", Requirement::scope("users"))
        .get("/api/v1/admin", Requirement::scope("admin"))
        .get("/one", Requirement::scope("one"))
        .get("/merged", Requirement::scope("merged"))
        .get("/svc/admin", Requirement::scope("admin"))
        .get("/pub/{*rest}", Requirement::public())
        // What a nested router sees when its prefix is gone.
        .get("/admin", Requirement::public())
        .otherwise(unlisted)
        .unwrap();
    World::with(|issuer| issuer, |builder| builder.routes(routes)).await
}

fn app(ran: &Ran) -> Router {
    let h = |name| get(ran.as_handler(name));
    let inner = Router::new()
        .route("/admin", h("api admin"))
        .route("/users/{id}", h("api user"))
        .nest("/v1", Router::new().route("/admin", h("v1 admin")))
        .fallback(ran.as_handler("api fallback"));
    let mounted = Router::new().route("/admin", h("mounted admin")).fallback(ran.as_handler("mounted fallback"));
    Router::new()
        .route("/healthz", h("healthz"))
        .route("/users/{id}", h("user").post(ran.as_handler("post user")))
        .route("/files/{*path}", h("file"))
        .route("/unlisted", h("unlisted"))
        .nest("/api", inner)
        .nest_service("/svc", mounted)
        .route_service("/one", ran.as_handler("one").with_state(()))
        .merge(Router::new().route("/merged", h("merged")))
        .fallback(ran.as_handler("fallback"))
}

const ROWS: &[Row<'_>] = &[
    ("GET /healthz", "-", "healthz"),
    ("HEAD /healthz", "-", "healthz"),
    ("GET /users/7", "users", "user"),
    ("HEAD /users/7", "users", "user"),
    ("GET http://api.example/users/7", "users", "user"),
    ("GET /users/7", "-", "401"),
    ("HEAD /users/7", "-", "401"),
    ("GET /users/7", "other", "403"),
    ("HEAD /users/7", "other", "403"),
    ("GET http://api.example/users/7", "other", "403"),
    // A parameter may hold anything: router and table agree that it is one.
    ("GET /users/..%2f..%2fhealthz", "other", "403"),
    ("GET /users/..%2f..%2fhealthz", "users", "user"),
    ("GET /users/%2e%2e", "other", "403"),
    ("GET /users/healthz;x", "other", "403"),
    ("GET /files/a/b/../../../healthz", "other", "403"),
    ("GET /files/a//b", "files", "file"),
    // A method that the table does not list is refused before the router can answer it, or say 405.
    ("POST /users/7", "users", "403"),
    ("PUT /users/7", "users", "403"),
    ("OPTIONS /users/7", "users", "403"),
    ("POST /healthz", "-", "403"),
    // What the router matches as nothing is unlisted, however the path is meant.
    ("GET /users/7/", "users", "403"),
    ("GET //users/7", "users", "403"),
    ("GET /./users/7", "users", "403"),
    ("GET /Users/7", "users", "403"),
    ("GET /%75sers/7", "users", "403"),
    ("GET /users\\7", "users", "403"),
    ("GET /healthz/", "-", "403"),
    ("GET /healthz;x", "-", "403"),
    ("GET //healthz", "-", "403"),
    ("GET /nowhere", "users", "403"),
    ("GET /unlisted", "users", "403"),
    ("OPTIONS *", "users", "403"),
    ("CONNECT api.example:443", "users", "403"),
    // Nested routers are matched by their whole pattern.
    ("GET /api/admin", "admin", "api admin"),
    ("GET /api/admin", "-", "401"),
    ("GET /api/admin", "users", "403"),
    ("GET /api/users/7", "users", "api user"),
    ("GET /api/users/7", "admin", "403"),
    ("GET /api/v1/admin", "admin", "v1 admin"),
    ("GET /api/v1/admin", "users", "403"),
    ("GET /api//admin", "admin", "403"),
    ("GET /api/./admin", "admin", "403"),
    ("GET /api/%61dmin", "admin", "403"),
    ("GET /api/Admin", "admin", "403"),
    ("GET /api/nowhere", "admin", "403"),
    ("GET /api", "admin", "403"),
    ("GET /one", "one", "one"),
    ("GET /one", "other", "403"),
    ("GET /merged", "merged", "merged"),
    ("GET /merged", "other", "403"),
    // Over a nested service the layer sees no pattern; a guess from the path could be wrong.
    ("GET /svc/admin", "admin", "403"),
    ("GET /svc/nowhere", "admin", "403"),
    ("GET /svc", "admin", "403"),
];

#[tokio::test]
async fn a_layer_over_a_router_reads_each_request_as_the_router_does_threat_9() {
    let (world, ran) = (world(Unlisted::Deny).await, Ran::default());
    let app = app(&ran).layer(portcullis::axum::layer(world.authorizer.clone()));
    check(&world, &ran, &app, ROWS).await;
}

#[tokio::test]
async fn unlisted_routes_that_need_any_valid_token_answer_as_the_router_does_threat_9() {
    let (world, ran) = (world(Unlisted::Authenticated).await, Ran::default());
    let app = app(&ran).layer(portcullis::axum::layer(world.authorizer.clone()));
    let rows = [
        ("GET /nowhere", "-", "401"),
        ("GET /nowhere", "x", "fallback"),
        ("GET /api/nowhere", "-", "401"),
        ("GET /api/nowhere", "x", "api fallback"),
        ("GET /svc/admin", "-", "401"),
        ("GET /svc/admin", "x", "mounted admin"),
        ("GET /unlisted", "x", "unlisted"),
        ("POST /users/7", "x", "post user"),
        ("PUT /users/7", "-", "401"),
        ("PUT /users/7", "x", "405"),
        ("GET /api/admin", "x", "403"),
        ("GET /users/7", "x", "403"),
        ("GET /healthz", "-", "healthz"),
    ];
    check(&world, &ran, &app, &rows).await;
}

#[tokio::test]
async fn a_layer_within_a_nested_router_sees_the_whole_pattern_threat_9() {
    let (world, ran) = (world(Unlisted::Deny).await, Ran::default());
    let layer = || portcullis::axum::layer(world.authorizer.clone());
    let guarded = || {
        Router::new().route("/admin", get(ran.as_handler("admin"))).fallback(ran.as_handler("fallback")).layer(layer())
    };
    // By its own path, `/admin` would be public.
    let rows = [
        ("GET /api/admin", "admin", "admin"),
        ("GET /api/admin", "-", "401"),
        ("GET /api/admin", "users", "403"),
        ("GET /api/nowhere", "admin", "403"),
        // A nested service takes it for `/api/admin`, and so does the layer within.
        ("GET /api//admin", "users", "403"),
        ("GET /api//admin", "-", "401"),
    ];
    check(&world, &ran, &Router::new().nest_service("/api", guarded()), &rows).await;
    let rows = [&rows[..4], &[("GET /api//admin", "admin", "403")]].concat();
    check(&world, &ran, &Router::new().nest("/api", guarded()), &rows).await;
    check(&world, &ran, &Router::new().nest("/api", Router::new().merge(guarded())), &rows).await;

    let within = Router::new().nest("/api", Router::new().nest("/v1", guarded()));
    let rows = [("GET /api/v1/admin", "admin", "admin"), ("GET /api/v1/admin", "-", "401")];
    check(&world, &ran, &within, &rows).await;

    // As the fallback of another router it is by itself: no pattern before its own.
    let behind = Router::new().route("/healthz", get(ran.as_handler("open"))).fallback_service(guarded());
    let rows = [("GET /admin", "-", "admin"), ("GET /healthz", "-", "open"), ("GET /nowhere", "admin", "403")];
    check(&world, &ran, &behind, &rows).await;

    // Behind a wildcard of the outer router, the inner pattern is none of the table's.
    let inner = Router::new().route("/pub/admin", get(ran.as_handler("admin"))).layer(layer());
    let behind = Router::new()
        .route_service("/pub/{*rest}", tower::service_fn(move |request: Request<Body>| inner.clone().oneshot(request)));
    check(&world, &ran, &behind, &[("GET /pub/admin", "-", "403"), ("GET /pub/admin", "admin", "403")]).await;
}

#[tokio::test]
async fn a_layer_around_a_router_knows_no_patterns_and_refuses_threat_9() {
    let (world, ran) = (world(Unlisted::Deny).await, Ran::default());
    let around = |layer: AuthorizeLayer| Router::new().fallback_service(layer.layer(app(&ran)));
    let rows = [
        ("GET /healthz", "-", "403"),
        ("GET /api/admin", "admin", "403"),
        ("GET /users/7", "users", "403"),
        ("GET /nowhere", "admin", "403"),
    ];
    check(&world, &ran, &around(portcullis::axum::layer(world.authorizer.clone())), &rows).await;

    // A table on raw paths is chosen by name, and then refuses what can be read in two ways.
    let rows = [
        ("GET /healthz", "-", "healthz"),
        ("GET /api/admin", "admin", "api admin"),
        ("GET /api/admin", "-", "401"),
        ("GET /api/admin", "users", "403"),
        ("GET /svc/admin", "admin", "mounted admin"),
        ("GET /svc/admin", "users", "403"),
        ("GET /api//admin", "-", "400"),
        ("GET //api/admin", "admin", "400"),
        ("GET /api/%61dmin", "admin", "400"),
        ("GET /users/..%2f..%2fhealthz", "users", "400"),
        ("GET /pub/../api/admin", "-", "400"),
        ("GET /files/a/../../healthz", "files", "400"),
        ("GET /api/admin/", "admin", "403"),
        ("GET /nowhere", "admin", "403"),
        ("OPTIONS *", "admin", "400"),
        ("CONNECT api.example:443", "admin", "400"),
    ];
    check(&world, &ran, &around(AuthorizeLayer::by_raw_path(world.authorizer.clone())), &rows).await;
    let over = app(&ran).layer(portcullis::axum::raw_path_layer(world.authorizer.clone()));
    check(&world, &ran, &over, &rows).await;
}

#[tokio::test]
async fn a_raw_path_is_the_one_that_the_client_sent_threat_9() {
    let (world, ran) = (world(Unlisted::Deny).await, Ran::default());
    let guarded = |authorizer: &Authorizer| {
        Router::new()
            .route("/admin", get(ran.as_handler("admin")))
            .layer(portcullis::axum::raw_path_layer(authorizer.clone()))
    };
    // Within the nested router the path reads `/admin`, which is public.
    let rows =
        [("GET /api/admin", "-", "401"), ("GET /api/admin", "users", "403"), ("GET /api/admin", "admin", "admin")];
    for app in [
        Router::new().nest("/api", guarded(&world.authorizer)),
        Router::new().nest_service("/api", guarded(&world.authorizer)),
    ] {
        check(&world, &ran, &app, &rows).await;
    }
}

#[tokio::test]
async fn a_layer_beside_a_handler_only_tightens() {
    let (world, ran) = (world(Unlisted::Deny).await, Ran::default());
    let require = |requirement| portcullis::axum::require(&world.authorizer, requirement).unwrap();
    let routes = || {
        Router::new()
            .route("/users/{id}", get(ran.as_handler("user")).layer(require(Requirement::scope("extra"))))
            .route("/healthz", get(ran.as_handler("healthz")).layer(require(Requirement::authenticated())))
            .route("/one", get(ran.as_handler("one")).layer(require(Requirement::public())))
            .route("/unlisted", get(ran.as_handler("unlisted")).layer(require(Requirement::public())))
    };
    let under = routes().layer(portcullis::axum::layer(world.authorizer.clone()));
    let rows = [
        ("GET /users/7", "users", "403"),
        ("GET /users/7", "extra", "403"),
        ("GET /users/7", "users extra", "user"),
        ("GET /healthz", "-", "401"),
        ("GET /healthz", "x", "healthz"),
        ("GET /one", "-", "401"),
        ("GET /one", "x", "403"),
        ("GET /one", "one", "one"),
        ("GET /unlisted", "x", "403"),
    ];
    check(&world, &ran, &under, &rows).await;
    // By itself it is all there is.
    let rows = [
        ("GET /users/7", "-", "401"),
        ("GET /users/7", "users", "403"),
        ("GET /users/7", "extra", "user"),
        ("GET /healthz", "-", "401"),
        ("GET /healthz", "x", "healthz"),
        ("GET /unlisted", "-", "unlisted"),
        ("GET /nowhere", "-", "404"),
    ];
    check(&world, &ran, &routes(), &rows).await;
    let bad: Request<Body> = request("GET /healthz", Some("garbage")).body(Body::empty()).unwrap();
    assert_eq!(routes().oneshot(bad).await.unwrap().status(), 401);
}
