//! What a handler on axum is given, and the document by which clients find the issuer (RFC 9728).

use axum::{Router, body::Body, routing::get};
use http_body_util::BodyExt as _;
use portcullis::{
    AccessToken, Authorizer, ConfigError, Issuer, Rejection, Requirement, RouteTable, Unlisted, VerifiedToken,
    middleware::ProtectedResourceMetadata, testing::TestIssuer,
};
use serde::Deserialize;
use tower::ServiceExt as _;

use crate::{
    support::World,
    wire::{request, text},
};

#[derive(Clone, Debug, Deserialize)]
struct Claims {
    tenant: String,
}

fn name(token: &VerifiedToken) -> String {
    format!("{} of {}", token.subject().unwrap_or("nobody"), token.client_id().unwrap_or("nobody"))
}

fn handlers() -> Router {
    Router::new()
        .route("/token", get(|token: AccessToken| async move { name(&token) }))
        .route("/claims", get(|token: AccessToken<Claims>| async move { token.claims().tenant.clone() }))
        .route(
            "/option",
            get(|token: Option<AccessToken>| async move { token.map_or("no token".into(), |token| name(&token)) }),
        )
        .route(
            "/option-claims",
            get(|token: Option<AccessToken<Claims>>| async move {
                token.map_or("no token".into(), |token| token.claims().tenant.clone())
            }),
        )
        .route("/nothing", get(|| async { "nothing" }))
}

async fn ask(app: &Router, line: &str, token: Option<&str>) -> String {
    let response = app.clone().oneshot(request(line, token).body(Body::empty()).unwrap()).await.unwrap();
    let answer = text(response).await;
    let (status, body) = (&answer[..3], answer.split_once("\n\n").map_or("", |(_, body)| body));
    format!("{status} {body}")
}

const REQUIRED: &str = r#"401 {"error":"unauthorized","error_description":"An access token is required"}"#;
const INVALID: &str = r#"401 {"error":"invalid_token","error_description":"The access token is invalid"}"#;
const OTHER_CLAIMS: &str =
    r#"403 {"error":"forbidden","error_description":"The access token lacks claims that are needed here"}"#;

async fn world(requirement: Requirement) -> (World, Router) {
    let mut routes = RouteTable::builder();
    for path in ["/token", "/claims", "/option", "/option-claims", "/nothing"] {
        routes = routes.get(path, requirement.clone());
    }
    let routes = routes.otherwise(Unlisted::Deny).unwrap();
    let world = World::with(|issuer| issuer, |builder| builder.routes(routes)).await;
    let app = handlers().layer(portcullis::axum::layer(world.authorizer.clone()));
    (world, app)
}

#[tokio::test]
async fn a_handler_is_given_the_token_that_it_asks_for() {
    let rows = [
        (Requirement::authenticated(), "/token", "good", "200 user-1 of client-1"),
        (Requirement::authenticated(), "/claims", "good", "200 acme"),
        (Requirement::authenticated(), "/option", "good", "200 user-1 of client-1"),
        (Requirement::authenticated(), "/option-claims", "good", "200 acme"),
        (Requirement::authenticated(), "/option", "none", REQUIRED),
        // Claims of another form are not the same as no token.
        (Requirement::authenticated(), "/claims", "without tenant", OTHER_CLAIMS),
        (Requirement::authenticated(), "/claims", "numbered tenant", OTHER_CLAIMS),
        (Requirement::authenticated(), "/option-claims", "without tenant", OTHER_CLAIMS),
        (Requirement::authenticated(), "/token", "without tenant", "200 user-1 of client-1"),
        (Requirement::optional(), "/option", "none", "200 no token"),
        (Requirement::optional(), "/option", "good", "200 user-1 of client-1"),
        (Requirement::optional(), "/option", "bad", INVALID),
        (Requirement::optional(), "/option-claims", "none", "200 no token"),
        (Requirement::optional(), "/token", "good", "200 user-1 of client-1"),
        (Requirement::optional(), "/nothing", "bad", INVALID),
        // A handler that needs a token after all asks for one.
        (Requirement::optional(), "/token", "none", REQUIRED),
        (Requirement::optional(), "/claims", "none", REQUIRED),
        // On a public route nobody looks at credentials, good or bad.
        (Requirement::public(), "/token", "none", REQUIRED),
        (Requirement::public(), "/token", "good", REQUIRED),
        (Requirement::public(), "/option", "good", "200 no token"),
        (Requirement::public(), "/option", "bad", "200 no token"),
        (Requirement::public(), "/nothing", "bad", "200 nothing"),
    ];
    for (requirement, path, word, expected) in rows {
        let (world, app) = world(requirement.clone()).await;
        let token = match word {
            "good" => Some(world.issuer.token().claim("tenant", "acme").build()),
            "without tenant" => Some(world.issuer.token().build()),
            "numbered tenant" => Some(world.issuer.token().claim("tenant", 7).build()),
            "bad" => Some(world.issuer.token().tampered().build()),
            _ => None,
        };
        let answer = ask(&app, &format!("GET {path}"), token.as_deref()).await;
        assert_eq!(answer, expected, "{path}, {requirement}, {word}");
    }
}

#[tokio::test]
async fn a_handler_that_asks_for_a_token_where_no_layer_is_says_so() {
    let expected =
        "500 portcullis: this handler takes an access token, and no AuthorizeLayer is around its route".to_owned();
    for (path, expected) in [
        ("/token", &expected),
        ("/claims", &expected),
        ("/option", &expected),
        ("/option-claims", &expected),
        ("/nothing", &"200 nothing".to_owned()),
    ] {
        assert_eq!(ask(&handlers(), &format!("GET {path}"), Some("garbage")).await, *expected, "{path}");
    }
}

#[tokio::test]
async fn a_handler_that_needs_a_token_challenges_like_the_layer() {
    let (_world, app) = world(Requirement::public()).await;
    let response = app.oneshot(request("GET /token", None).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.extensions().get::<Rejection>().is_some());
}

fn authorizer(resource: &str) -> Result<Authorizer, ConfigError> {
    let (first, second) = (TestIssuer::in_process("https://a.test"), TestIssuer::in_process("https://b.test/tenant"));
    Authorizer::builder()
        .issuer(Issuer::discover(first.url()).audience("x"))
        .issuer(Issuer::discover(second.url()).audience("x"))
        .routes(
            RouteTable::builder()
                .get("/agents", Requirement::scope("read").or_all_of(["write", "admin"]))
                .post("/agents", Requirement::scope("write"))
                .get("/.well-known/oauth-protected-resource/{*rest}", Requirement::public())
                .otherwise(Unlisted::Deny)
                .unwrap(),
        )
        .shared_transport(TestIssuer::transport_of(&[&first, &second]))
        .resource(resource)
        .build()
}

#[tokio::test]
async fn clients_find_the_issuer_by_the_challenge() {
    let well_known = "/.well-known/oauth-protected-resource";
    let rows = [
        ("https://api.example", well_known.to_owned()),
        ("https://api.example/", well_known.to_owned()),
        ("https://api.example:8443", well_known.to_owned()),
        ("https://api.example/v1", format!("{well_known}/v1")),
        ("https://api.example/v1/agents", format!("{well_known}/v1/agents")),
    ];
    for (resource, path) in rows {
        let authorizer = authorizer(resource).unwrap();
        let document = ProtectedResourceMetadata::of(&authorizer).unwrap();
        assert_eq!(document.path(), path, "{resource}");
        let app = Router::new()
            .route("/agents", get(|| async { "agents" }))
            .layer(portcullis::axum::layer(authorizer))
            .route_service(document.path(), document.clone());

        // As a client does it: be refused, follow the challenge.
        let refused = app.clone().oneshot(request("GET /agents", None).body(Body::empty()).unwrap()).await.unwrap();
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
        let url = challenge.split_once("resource_metadata=\"").unwrap().1.trim_end_matches('"');
        let origin = if resource.contains("8443") { "https://api.example:8443" } else { "https://api.example" };
        assert_eq!(url, format!("{origin}{path}"));
        assert_eq!(challenge, format!("Bearer scope=\"read\", resource_metadata=\"{url}\""));

        let found = app.clone().oneshot(request(&format!("GET {path}"), None).body(Body::empty()).unwrap()).await;
        let expected = format!(
            "200\naccess-control-allow-origin: *\ncache-control: max-age=3600\ncontent-type: application/json\n\n\
             {{\"resource\":\"{resource}\",\"authorization_servers\":[\"https://a.test\",\"https://b.test/tenant\"],\
             \"scopes_supported\":[\"admin\",\"read\",\"write\"],\"bearer_methods_supported\":[\"header\"]}}"
        );
        assert_eq!(text(found.unwrap()).await, expected);
        for (method, status) in [("HEAD", 200), ("POST", 405), ("DELETE", 405)] {
            let answer = app.clone().oneshot(request(&format!("{method} {path}"), None).body(Body::empty()).unwrap());
            let (head, body) = answer.await.unwrap().into_parts();
            assert_eq!((head.status.as_u16(), body.collect().await.unwrap().to_bytes().len()), (status, 0), "{method}");
            assert_eq!(head.headers.contains_key("allow"), status == 405);
        }
    }
}

#[tokio::test]
async fn a_resource_without_an_identifier_has_no_document_and_a_bad_one_is_refused() {
    assert!(ProtectedResourceMetadata::of(&World::new().await.authorizer).is_none());
    for bad in ["", "api.example", "/v1", "https://api.example/#part", "urn:example:api", "https://"] {
        assert!(matches!(authorizer(bad), Err(ConfigError::ResourceIdentifier(text)) if text == bad), "{bad}");
    }
}
