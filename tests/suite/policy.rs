//! What a route demands, and how tables are written: by hand, and as files.

use http::Method;
use portcullis::{
    RejectionKind, Requirement, RouteTable, RouteTableBuilder, Unlisted,
    policy::{Location, Lookup, Preflight},
    testing::TokenBuilder,
};

use crate::support::World;

fn table(routes: RouteTableBuilder) -> RouteTable {
    routes.otherwise(Unlisted::Deny).unwrap()
}

fn agents() -> RouteTableBuilder {
    RouteTable::builder()
        .get("/healthz", Requirement::public())
        .get("/agents", Requirement::scope("agents:read"))
        .post("/agents", Requirement::scope("agents:write"))
        .get("/agents/{id}", Requirement::scope("agent:read"))
        .get("/agents/me", Requirement::authenticated())
        .any("/agents/{id}", Requirement::scope("agent:write"))
        .on([Method::HEAD], "/big", Requirement::public())
        .get("/big", Requirement::scope("big"))
        .any("/audit/{*rest}", Requirement::any_of(["audit", "admin"]))
        .get("/", Requirement::optional())
}

fn found(table: &RouteTable, method: &str, location: Location<'_>) -> String {
    match table.lookup(&method.parse().unwrap(), location) {
        Lookup::Requirement(requirement) => requirement.to_string(),
        Lookup::Unlisted => "unlisted".into(),
        Lookup::Ambiguous => "ambiguous".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_request_has_the_requirement_of_its_method_and_path_threat_9() {
    let table = table(agents());
    let rows = [
        ("GET", "/healthz", "public"),
        ("HEAD", "/healthz", "public"),
        ("POST", "/healthz", "unlisted"),
        ("GET", "/agents", "agents:read"),
        ("POST", "/agents", "agents:write"),
        ("PUT", "/agents", "unlisted"),
        ("get", "/agents", "unlisted"),
        ("GET", "/agents/", "unlisted"),
        ("GET", "/Agents", "unlisted"),
        ("GET", "/agents/7", "agent:read"),
        // GET is named, and HEAD follows it before the route for any method.
        ("HEAD", "/agents/7", "agent:read"),
        ("DELETE", "/agents/7", "agent:write"),
        ("BREW", "/agents/7", "agent:write"),
        ("GET", "/agents/me", "any valid token"),
        // The narrower path is another route, not another method of the wider one.
        ("DELETE", "/agents/me", "unlisted"),
        ("GET", "/agents/7/8", "unlisted"),
        // HEAD follows GET unless it is listed itself.
        ("HEAD", "/big", "public"),
        ("GET", "/big", "big"),
        ("GET", "/audit/a/b", "audit | admin"),
        ("GET", "/audit", "unlisted"),
        ("GET", "/audit/", "unlisted"),
        ("GET", "/", "any valid token, or none"),
        ("OPTIONS", "/agents", "unlisted"),
        ("OPTIONS", "/agents/7", "agent:write"),
        ("CONNECT", "", "ambiguous"),
        ("OPTIONS", "*", "ambiguous"),
        ("GET", "//agents", "ambiguous"),
        ("GET", "/agents/../healthz", "ambiguous"),
        ("GET", "/agents/%2e%2e", "ambiguous"),
        ("GET", "/agents/a%2Fb", "ambiguous"),
        ("GET", "/agents/a;b", "ambiguous"),
        ("GET", "agents", "ambiguous"),
    ];
    for (method, path, expected) in rows {
        assert_eq!(found(&table, method, Location::Path(path)), expected, "{method} {path}");
    }
}

#[test]
fn a_pattern_is_looked_up_to_the_letter_and_nowhere_is_unlisted_threat_9() {
    let table = table(agents());
    let rows = [
        ("GET", Location::Pattern("/agents/{id}"), "agent:read"),
        ("GET", Location::Pattern("/agents/{name}"), "agent:read"),
        // A router that matched this text matched a path of its own, not the pattern of the table.
        ("GET", Location::Pattern("/agents/7"), "unlisted"),
        ("GET", Location::Pattern("/audit/{*rest}"), "audit | admin"),
        ("GET", Location::Pattern(""), "unlisted"),
        ("GET", Location::Nowhere, "unlisted"),
    ];
    for (method, location, expected) in rows {
        assert_eq!(found(&table, method, location), expected, "{location:?}");
    }
}

#[test]
fn unlisted_routes_are_refused_or_need_any_valid_token() {
    let rows = [(Unlisted::Deny, "unlisted"), (Unlisted::Authenticated, "any valid token")];
    for (unlisted, expected) in rows {
        let table = agents().otherwise(unlisted).unwrap();
        for (method, location) in [
            ("GET", Location::Path("/elsewhere")),
            ("PUT", Location::Path("/agents")),
            ("OPTIONS", Location::Path("/agents")),
            ("GET", Location::Pattern("/elsewhere")),
            ("GET", Location::Nowhere),
        ] {
            assert_eq!(found(&table, method, location), expected);
        }
        assert_eq!(found(&table, "GET", Location::Path("//elsewhere")), "ambiguous", "whatever is unlisted");
    }
}

#[test]
fn preflight_is_a_method_like_any_other_unless_it_is_made_public() {
    let routes = || {
        RouteTable::builder().get("/agents", Requirement::scope("read")).any("/all", Requirement::scope("all")).on(
            [Method::OPTIONS],
            "/told",
            Requirement::scope("told"),
        )
    };
    let rows = [
        ("/agents", "unlisted", "public"),
        ("/all", "all", "all"),
        ("/told", "told", "told"),
        ("/elsewhere", "unlisted", "unlisted"),
        ("//agents", "ambiguous", "ambiguous"),
    ];
    let (as_listed, public) = (table(routes()), table(routes().preflight(Preflight::Public)));
    for (path, listed, made_public) in rows {
        assert_eq!(found(&as_listed, "OPTIONS", Location::Path(path)), listed, "{path}");
        assert_eq!(found(&public, "OPTIONS", Location::Path(path)), made_public, "{path}");
    }
    assert_eq!(found(&public, "GET", Location::Path("/agents")), "read");
    assert_eq!(found(&public, "DELETE", Location::Path("/agents")), "unlisted");
}

#[tokio::test]
async fn a_token_must_suffice_for_the_route_threat_7_threat_8() {
    use RejectionKind::{Forbidden, InsufficientScope, InvalidToken};
    let world = World::with(
        |issuer| issuer,
        |builder| builder.routes(table(RouteTable::builder().implies("admin", ["write"]).implies("write", ["read"]))),
    )
    .await;
    let is_user_1 = |token: &portcullis::VerifiedToken| token.subject() == Some("user-1");
    let rows = [
        (Requirement::authenticated(), "", Ok(())),
        (Requirement::scope("read"), "read", Ok(())),
        (Requirement::scope("read"), "readonly", Err(InsufficientScope)),
        (Requirement::scope("readonly"), "read", Err(InsufficientScope)),
        (Requirement::scope("read"), "Read", Err(InsufficientScope)),
        (Requirement::scope("read"), "a:read read:a", Err(InsufficientScope)),
        (Requirement::scope("read"), "", Err(InsufficientScope)),
        (Requirement::all_of(["a", "b"]), "b c a", Ok(())),
        (Requirement::all_of(["a", "b"]), "a", Err(InsufficientScope)),
        (Requirement::any_of(["a", "b"]), "b", Ok(())),
        (Requirement::any_of(["a", "b"]), "c", Err(InsufficientScope)),
        (Requirement::all_of(["a", "b"]).or_all_of(["c"]), "c", Ok(())),
        (Requirement::all_of(["a", "b"]).or_all_of(["c"]), "b", Err(InsufficientScope)),
        // Implied only where it was declared, downwards.
        (Requirement::scope("read"), "admin", Ok(())),
        (Requirement::scope("admin"), "read write", Err(InsufficientScope)),
        (Requirement::scope("other"), "admin", Err(InsufficientScope)),
        // Conditions come last: they are no matter of scopes.
        (Requirement::scope("a").that("is user 1", is_user_1), "a", Ok(())),
        (Requirement::scope("a").that("is not user 1", move |token| !is_user_1(token)), "a", Err(Forbidden)),
        (Requirement::scope("a").that("is not user 1", move |token| !is_user_1(token)), "b", Err(InsufficientScope)),
        (Requirement::authenticated().that("yes", |_| true).that("no", |_| false), "", Err(Forbidden)),
        // A route's own audience counts instead of the issuer's.
        (Requirement::authenticated().audience(TokenBuilder::AUDIENCE), "", Ok(())),
        (Requirement::authenticated().audience("https://other.example"), "", Err(InvalidToken)),
        (Requirement::authenticated().audience("https://other.example").audience(TokenBuilder::AUDIENCE), "", Ok(())),
        (Requirement::authenticated().audience("https://api.example/"), "", Err(InvalidToken)),
        (Requirement::authenticated().audience("https://API.example"), "", Err(InvalidToken)),
        (Requirement::authenticated().audience("api.example"), "", Err(InvalidToken)),
        (Requirement::optional().that("is nobody", |_| false), "", Err(Forbidden)),
    ];
    for (requirement, scopes, expected) in rows {
        let name = format!("{requirement} with {scopes:?}");
        let requirement = world.authorizer.compile(requirement).unwrap();
        let token = world.issuer.token().claim("scope", scopes).build();
        let token = if scopes.is_empty() { world.issuer.token().build() } else { token };
        let headers = crate::support::bearer(&token);
        let outcome = world.authorizer.authorize(&world.authorizer.input(&headers, &requirement)).await;
        assert_eq!(outcome.map(|_| ()).map_err(|rejection| rejection.kind()), expected, "{name}");
    }
    // An audience that only a route accepts is not accepted elsewhere.
    let payments = world.issuer.token().audience("https://payments.example").build();
    let requirement = Requirement::authenticated().audience("https://payments.example");
    assert!(world.check_for(&payments, requirement).await.verdict.is_ok());
    assert_eq!(world.check(&payments).await.verdict.unwrap_err(), InvalidToken);
}

#[test]
fn a_table_prints_itself_as_one_would_want_to_read_it() {
    let table = agents()
        .post("/payments", Requirement::all_of(["pay", "mfa"]).or_all_of(["admin"]).audience("https://pay.example"))
        .put("/limits", Requirement::scope("limits").that("is a person", |_| true).status_on_every_request())
        .otherwise(Unlisted::Authenticated)
        .unwrap();
    let expected = "\
GET   /healthz        public
GET   /agents         agents:read
POST  /agents         agents:write
GET   /agents/{id}    agent:read
GET   /agents/me      any valid token
*     /agents/{id}    agent:write
HEAD  /big            public
GET   /big            big
*     /audit/{*rest}  audit | admin
GET   /               any valid token, or none
POST  /payments       pay & mfa | admin, audience https://pay.example
PUT   /limits         limits, is a person, status asked every time
*     anything else   any valid token
";
    assert_eq!(table.to_string(), expected);
    assert_eq!(RouteTable::builder().otherwise(Unlisted::Deny).unwrap().to_string(), "*  anything else  refused\n");
}

#[test]
fn a_table_that_contradicts_itself_names_the_routes_threat_32() {
    let scope = || Requirement::scope("a");
    let new = RouteTable::builder;
    let rows = [
        (new().get("/a", scope()).get("/a", scope()), "GET /a conflicts with GET /a: both match the same paths"),
        (
            new().get("/a", scope()).on([Method::PUT, Method::GET], "/a", Requirement::public()),
            "PUT,GET /a conflicts with GET /a: both match the same paths",
        ),
        (new().any("/a", scope()).any("/a", scope()), "* /a conflicts with * /a: both match the same paths"),
        (
            new().get("/a/{id}", scope()).post("/a/{name}", scope()),
            "POST /a/{name} conflicts with GET /a/{id}: both match the same paths",
        ),
        (
            new().get("/a/{*all}", scope()).get("/a/{*rest}", scope()),
            "GET /a/{*rest} conflicts with GET /a/{*all}: both match the same paths",
        ),
        (new().get("a", scope()), "GET a: a path begins with a slash"),
        (
            new().get("//a", scope()),
            "GET //a: an ambiguous path (repeated slashes, dot segments, encodings) is never matched",
        ),
        (
            new().get("/a%2Fb", scope()),
            "GET /a%2Fb: an ambiguous path (repeated slashes, dot segments, encodings) is never matched",
        ),
        (
            new().get("/a/../{id}", scope()),
            "GET /a/../{id}: an ambiguous path (repeated slashes, dot segments, encodings) is never matched",
        ),
        (
            new().get("/a/{*rest}/b", scope()),
            "GET /a/{*rest}/b: Catch-all parameters are only allowed at the end of a route",
        ),
        (new().on([], "/a", scope()), " /a: no method"),
        (new().on([Method::GET, Method::GET], "/a", scope()), "GET,GET /a: a method stands twice"),
        (new().get("/a", Requirement::scope("a b")), "GET /a: \"a b\" is not a scope (RFC 6749 §3.3)"),
        (new().get("/a", Requirement::scope("")), "GET /a: \"\" is not a scope (RFC 6749 §3.3)"),
        (new().get("/a", Requirement::any_of([])), "GET /a: no scopes and no alternative: nobody could pass"),
        (new().get("/a", Requirement::public().audience("x")), "GET /a: public, and yet demands something of a token"),
        (
            new().get("/a", Requirement::public().that("x", |_| true)),
            "GET /a: public, and yet demands something of a token",
        ),
        (
            new().get("/a", Requirement::optional().or_all_of(["a"])),
            "GET /a: an alternative without scopes beside others: any valid token would pass",
        ),
        (
            new().get("/a", Requirement::scope("a").or_all_of([])),
            "GET /a: an alternative without scopes beside others: any valid token would pass",
        ),
        (new().implies("a b", ["c"]), "implication: \"a b\" is not a scope (RFC 6749 §3.3)"),
        (new().implies("a", ["b", "c\n"]), "implication: \"c\\n\" is not a scope (RFC 6749 §3.3)"),
    ];
    for (routes, expected) in rows {
        assert_eq!(routes.otherwise(Unlisted::Deny).unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn a_requirement_beside_a_handler_is_checked_like_one_of_the_table_threat_32() {
    let authorizer = World::new().await.authorizer;
    let rows = [
        (Requirement::scope("a b"), "a b: \"a b\" is not a scope (RFC 6749 §3.3)"),
        (
            Requirement::scope("a").status_on_every_request(),
            "a, status asked every time demands fresh token status, and nobody can be asked about tokens of \"https://issuer.test\"",
        ),
        (Requirement::public().audience("x"), "public, audience x: public, and yet demands something of a token"),
        (
            Requirement::optional().or_all_of(["a"]),
            "any valid token, or none: an alternative without scopes beside others: any valid token would pass",
        ),
    ];
    for (requirement, expected) in rows {
        assert_eq!(authorizer.compile(requirement).unwrap_err().to_string(), expected);
    }
}

/// The route file of the contract that the examples keep.
const CONTRACT: &str = r#"{
  "otherwise": "deny",
  "routes": [
    { "path": "/healthz",          "public": true },
    { "path": "/api/read",         "methods": ["GET"],  "any_of": [["read"]] },
    { "path": "/audit/{*rest}",    "methods": ["GET"],  "any_of": [["audit:read"], ["admin:orgs"]] },
    { "path": "/payments",         "methods": ["POST"], "any_of": [["payments:write", "mfa"]], "max_status_age": 0 }
  ]
}"#;

#[test]
fn what_a_requirement_wants_to_know_only_becomes_younger_threat_13() {
    use portcullis::status::Freshness::{EveryRequest, MaxAge};
    let (any, second) = (Requirement::authenticated, std::time::Duration::from_secs(1));
    for (requirement, expected) in [
        (any().max_status_age(9 * second), MaxAge(9 * second)),
        (any().max_status_age(9 * second).max_status_age(5 * second), MaxAge(5 * second)),
        (any().max_status_age(5 * second).max_status_age(9 * second), MaxAge(5 * second)),
        (any().max_status_age(5 * second).max_status_age(std::time::Duration::ZERO), EveryRequest),
        (any().status_on_every_request().max_status_age(9 * second), EveryRequest),
        (any().max_status_age(9 * second).status_on_every_request(), EveryRequest),
    ] {
        assert_eq!(requirement.freshness(), expected);
    }
}

#[test]
fn a_file_says_what_a_builder_says() {
    let full = r#"{
      "otherwise": "authenticated",
      "public_preflight": true,
      "implies": { "admin": ["write", "read"] },
      "routes": [
        { "path": "/a", "methods": ["GET", "HEAD"], "any_of": [["read"], ["a", "b"]], "audience": "https://a.example" },
        { "path": "/b", "any_of": [[]], "audience": ["https://a.example", "https://b.example"] },
        { "path": "/c", "optional": true },
        { "path": "/d", "optional": true, "any_of": [["read"]], "max_status_age": 30, "on_outage": "deny" },
        { "path": "/e", "any_of": [["read"]], "max_status_age": 0, "on_outage": "accept-stale:60" }
      ]
    }"#;
    let rows = [
        (
            CONTRACT,
            "*     /healthz        public\n\
             GET   /api/read       read\n\
             GET   /audit/{*rest}  audit:read | admin:orgs\n\
             POST  /payments       payments:write & mfa, status asked every time\n\
             *     anything else   refused\n",
        ),
        (
            full,
            "GET,HEAD  /a             read | a & b, audience https://a.example\n\
             *         /b             any valid token, audience https://a.example or https://b.example\n\
             *         /c             any valid token, or none\n\
             *         /d             read, or no token, status at most 30 s old, denied in an outage\n\
             *         /e             read, status asked every time, in an outage accepted for 60 s\n\
             *         anything else  any valid token\n",
        ),
        (r#"{"otherwise":"deny","routes":[]}"#, "*  anything else  refused\n"),
    ];
    for (file, expected) in rows {
        let table = RouteTable::from_json(file).unwrap();
        assert_eq!(table.to_string(), expected);
        let written = serde_json::to_string(&table).unwrap();
        let again = RouteTable::from_json(&written).unwrap();
        assert_eq!(again.to_string(), expected, "{written}");
        assert_eq!(serde_json::to_string(&again).unwrap(), written);
        assert_eq!(serde_json::from_str::<RouteTable>(&written).unwrap().to_string(), expected);
        for (method, path) in [("OPTIONS", "/a"), ("PUT", "/zzz")] {
            let found = |table| found(table, method, Location::Path(path));
            assert_eq!(found(&table), found(&again), "{method} {path}");
        }
    }
    // What a builder was told in two words is written as one.
    let table = RouteTable::builder().implies("a", ["b"]).implies("c", ["d"]).implies("a", ["e"]);
    let written = serde_json::to_string(&table.otherwise(Unlisted::Deny).unwrap()).unwrap();
    assert_eq!(written, r#"{"otherwise":"deny","implies":{"a":["b","e"],"c":["d"]},"routes":[]}"#);
    assert_eq!(found(&RouteTable::from_json(full).unwrap(), "OPTIONS", Location::Path("/a")), "public");
}
