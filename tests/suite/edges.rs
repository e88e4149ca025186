//! Tokens as well-known servers write them, and the edges of the interface that users meet first.

use std::sync::Arc;

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use portcullis::{
    KeySource, RejectionKind, Requirement, RouteTable, Unlisted,
    credential::{Cookie, CredentialSource},
    issuer::Endpoint,
    policy::{Location, Lookup},
    testing::{ManualClock, TokenBuilder},
};
use serde_json::json;
use tower::ServiceExt as _;

use crate::support::{World, bearer};

async fn kind(world: &World, token: &str) -> Result<(), RejectionKind> {
    world.check(token).await.verdict.map(|_| ())
}

#[tokio::test]
async fn access_tokens_of_azure_ad_b2c_and_forgerock_pass() {
    let world = World::new().await;
    // B2C: typ JWT, `scp`, and the nonce of the authorization request.
    let b2c = world
        .issuer
        .token()
        .token_type("JWT")
        .claim("scp", "read")
        .claim("azp", "client")
        .claim("tfp", "B2C_1_signin")
        .claim("ver", "1.0")
        .claim("nonce", "defaultNonce")
        .build();
    let forgerock = world
        .issuer
        .token()
        .token_type("JWT")
        .claim("cts", "OAUTH2_STATELESS_GRANT")
        .claim("tokenName", "access_token")
        .claim("token_type", "Bearer")
        .claim("scope", json!(["read"]))
        .claim("nonce", "n")
        .build();
    assert_eq!((kind(&world, &b2c).await, kind(&world, &forgerock).await), (Ok(()), Ok(())));
}

#[tokio::test]
async fn one_role_that_is_no_scope_does_not_void_the_token() {
    let world = World::with(|issuer| issuer.scope_claim("/realm_access/roles"), |builder| builder).await;
    // Keycloak's default-roles-<realm>, where the realm is called "My Company".
    let token = world
        .issuer
        .token()
        .claim("realm_access", json!({ "roles": ["reader", "default-roles-my company", "Büro"] }))
        .build();
    let outcome = world.check_for(&token, Requirement::scope("reader")).await;
    assert!(outcome.verdict.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn a_payload_that_says_typ_jwt_is_no_other_kind() {
    let world = World::new().await;
    let token = world.issuer.token().token_type("JWT").claim("typ", "JWT").build();
    assert_eq!(kind(&world, &token).await, Ok(()));
}

#[tokio::test]
async fn times_with_a_fraction_pass() {
    let world = World::new().await;
    let now = ManualClock::START.as_secs();
    for exp in [format!("{}.5", now + 100), "1.9000001e9".to_owned()] {
        let payload = format!(
            r#"{{"iss":"{}","aud":"{}","exp":{exp},"iat":{now}.25}}"#,
            world.issuer.url(),
            TokenBuilder::AUDIENCE
        );
        assert_eq!(kind(&world, &world.issuer.token().raw_payload(payload).build()).await, Ok(()), "{exp}");
    }
}

// --- policy ------------------------------------------------------------------------------------------------------

fn needs(table: &RouteTable, method: &Method, location: Location<'_>) -> String {
    match table.lookup(method, location) {
        Lookup::Requirement(requirement) => requirement.to_string(),
        Lookup::Unlisted => "unlisted".into(),
        Lookup::Ambiguous => "ambiguous".into(),
        _ => "?".into(),
    }
}

#[test]
fn a_path_that_decodes_to_another_route_is_ambiguous_threat_9() {
    let table = RouteTable::builder()
        .any("/v1/{name}", Requirement::scope("read"))
        .any("/v1/things:purge", Requirement::scope("admin"))
        .any("/caf%C3%A9", Requirement::scope("admin"))
        .any("/{*rest}", Requirement::authenticated())
        .otherwise(Unlisted::Authenticated)
        .unwrap();
    let mut wrong = Vec::new();
    for path in ["/v1/things%3Apurge", "/caf%c3%a9", "/%c0%ae%c0%ae/admin", "/v1/things%3apurge"] {
        let answer = needs(&table, &Method::GET, Location::Path(path));
        if answer != "ambiguous" && answer != "admin" {
            wrong.push(format!("{path}: {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_captures_name_does_not_lift_a_requirement_threat_9() {
    let world = World::with(
        |issuer| issuer,
        |builder| {
            builder.routes(
                RouteTable::builder()
                    .any("/admin/{id}", Requirement::scope("admin"))
                    .otherwise(Unlisted::Authenticated)
                    .unwrap(),
            )
        },
    )
    .await;
    let app: Router = Router::new()
        .route("/admin/{user}", get(|| async { "secret" }))
        .layer(portcullis::axum::layer(world.authorizer.clone()));
    let token = world.issuer.token().scopes(["nothing"]).build();
    let mut statuses = Vec::new();
    for path in ["/admin/7"] {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        let response = app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        statuses.push((path, response.status().as_u16()));
    }
    assert_eq!(statuses, [("/admin/7", 403)]);
}

#[test]
fn all_of_nothing_is_not_everybody() {
    let from_config: Vec<&str> = Vec::new();
    let table = RouteTable::builder().get("/pay", Requirement::all_of(from_config)).otherwise(Unlisted::Deny);
    assert!(table.is_err(), "{}", table.unwrap());
}

#[tokio::test]
async fn a_503_for_want_of_status_says_when_to_retry() {
    let world = World::new().await;
    let token = world.issuer.token().build();
    let headers = bearer(&token);
    let requirement = Arc::new(Requirement::authenticated().status_on_every_request());
    let rejection = world.authorizer.authorize(&world.authorizer.input(&headers, &requirement)).await.unwrap_err();
    assert_eq!(rejection.kind(), RejectionKind::StatusUnavailable);
    let response = axum::response::IntoResponse::into_response(rejection);
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
}

#[test]
fn a_cookie_beside_an_authorization_header_is_two_credentials() {
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, HeaderValue::from_static("token=aaa"));
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer bbb"));
    assert!(Cookie::named("token").find(&headers).is_err());
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    for url in ["https://user:s3cret@idp.example:99999/", "https://user:s3cret@/x"] {
        let error = Endpoint::parse(url).unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
    let shown = format!("{:?}", KeySource::url("https://user:s3cret@idp.example/jwks"));
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn the_debug_of_a_need_shows_nothing_of_the_token() {
    let world = World::new().await;
    world.clock.advance(std::time::Duration::from_secs(11));
    let headers = bearer(&world.issuer.token().key_id("what-the-client-sent").build());
    let requirement = Arc::new(Requirement::authenticated());
    let input = world.authorizer.input(&headers, &requirement);
    let decision = world.authorizer.decide(&input, &Default::default(), world.authorizer.now());
    let shown = format!("{decision:?}");
    assert!(!shown.contains("what-the-client-sent"), "{shown}");
}

#[tokio::test]
async fn mounts_everywhere() {
    use tower::{
        ServiceBuilder,
        util::{BoxCloneService, BoxCloneSyncService},
    };
    let world = World::new().await;
    let layer = || portcullis::axum::layer(world.authorizer.clone());
    let _: Router = Router::new()
        .route("/a", get(|| async {}).layer(layer()).route_layer(layer()))
        .route_layer(layer())
        .nest("/n", Router::new().route("/b", get(|| async {})).layer(layer()))
        .merge(Router::new().route("/c", get(|| async {})).layer(ServiceBuilder::new().layer(layer())))
        .layer(tower::util::option_layer(Some(layer())));
    type Full = http_body_util::Full<Bytes>;
    let service = tower::service_fn(|_: Request<Full>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::default()))
    });
    let raw = portcullis::AuthorizeLayer::by_raw_path(world.authorizer.clone());
    let _ = BoxCloneService::new(ServiceBuilder::new().layer(raw.clone()).service(service));
    let _ = BoxCloneSyncService::new(ServiceBuilder::new().layer(raw.clone()).concurrency_limit(1).service(service));
    let boxed = tower::service_fn(|_: Request<hyper::body::Incoming>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::combinators::BoxBody::<
            Bytes,
            std::io::Error,
        >::default()))
    });
    let _ =
        hyper_util::service::TowerToHyperService::new(ServiceBuilder::new().layer(raw.respond_empty()).service(boxed));
}

#[tokio::test]
async fn a_condition_of_an_issuer_holds_for_every_token() {
    let ours = |issuer: portcullis::Issuer| issuer.that("ours", |token| token.client_id() == Some("ours"));
    let world = World::with(ours, |builder| builder).await;
    assert_eq!(kind(&world, &world.issuer.token().client_id("ours").build()).await, Ok(()));
    for token in [world.issuer.token().client_id("theirs"), world.issuer.token().without_claim("client_id")] {
        assert_eq!(kind(&world, &token.build()).await, Err(RejectionKind::InvalidToken));
    }
}

#[test]
fn all_of_nothing_twice_is_not_everybody_either() {
    for requirement in [Requirement::any_of([]).or_all_of([]), Requirement::all_of([]).or_all_of([])] {
        let table = RouteTable::builder().any("/admin", requirement).otherwise(Unlisted::Deny);
        assert!(table.is_err(), "{}", table.unwrap());
    }
}
