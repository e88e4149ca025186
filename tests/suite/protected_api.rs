//! What `examples/protected_api` promises to whoever runs it, tried from outside.

use std::time::Duration;

use http::{Method, StatusCode, header};
use portcullis::{
    Algorithm,
    clock::{Clock, SystemClock, UnixTime},
    testing::{Fault, Target, TestIssuer, TestKey, TokenBuilder},
};
use serde_json::{Value, json};

use crate::process::{Api, File, Refusal, check_refused};

const AUDIENCE: &str = TokenBuilder::AUDIENCE;

/// The claims of a public route's answer: there are none.
fn nobody() -> Value {
    json!({ "sub": null, "client_id": null, "iss": null, "aud": null, "scope": null, "exp": null, "jti": null })
}

#[tokio::test]
async fn every_route_needs_what_the_built_in_table_says() {
    let issuer = TestIssuer::start().await;
    let api = Api::start(&[("ISSUER", issuer.url()), ("AUDIENCE", AUDIENCE)]).await;
    let rows: [(Method, &str, &[&str]); 9] = [
        (Method::GET, "/whoami", &[""]),
        (Method::HEAD, "/whoami", &[""]),
        (Method::GET, "/agents", &["agents:read"]),
        (Method::POST, "/agents", &["agents:write"]),
        (Method::GET, "/audit/2030/march", &["audit:read", "admin:orgs"]),
        (Method::GET, "/audit/x", &["x audit:read y"]),
        (Method::GET, "/webhooks", &["webhooks:read"]),
        (Method::POST, "/webhooks", &["webhooks:write"]),
        (Method::GET, "/webhooks?agents:read", &["webhooks:read"]),
    ];
    for (method, path, sufficient) in rows {
        let what = format!("{method} {path}");
        let none = api.send(method.clone(), path, None).await;
        assert_eq!(none.status, StatusCode::UNAUTHORIZED, "{what}");
        assert!(none.challenge().starts_with("Bearer") && !none.challenge().contains("error="), "{what}");

        for scopes in sufficient {
            let token = issuer.token().scopes([scopes]).build();
            let answer = api.send(method.clone(), path, Some(&token)).await;
            assert_eq!(answer.status, StatusCode::OK, "{what}: {answer:?}");
            if method != Method::HEAD {
                assert_eq!(answer.json()["sub"], "user-1", "{what}");
            }
        }
        if path != "/whoami" {
            let scopes = "agents webhooks agents:reader Agents:read agents:* audit admin";
            let token = issuer.token().scopes([scopes]).build();
            let answer = api.send(method.clone(), path, Some(&token)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}");
            assert!(answer.challenge().contains("error=\"insufficient_scope\""), "{what}: {}", answer.challenge());
            assert!(answer.challenge().contains("scope=\""), "{what}: {}", answer.challenge());
            assert_eq!(answer.json()["error"], "insufficient_scope", "{what}");
        }
        let tampered = issuer.token().scopes(sufficient).tampered().build();
        let answer = api.send(method.clone(), path, Some(&tampered)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
        assert!(answer.challenge().contains("error=\"invalid_token\""), "{what}: {}", answer.challenge());
    }
}

#[tokio::test]
async fn anything_else_is_refused_whoever_asks() {
    let issuer = TestIssuer::start().await;
    let api = Api::start(&[("ISSUER", issuer.url()), ("AUDIENCE", AUDIENCE)]).await;
    let token = issuer.token().scopes(["agents:read", "agents:write", "audit:read", "webhooks:read"]).build();
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/nothing"),
        (Method::GET, "/Agents"),
        (Method::GET, "/agents/"),
        (Method::GET, "//agents"),
        (Method::GET, "/%61gents"),
        (Method::GET, "/audit"),
        (Method::DELETE, "/agents"),
        (Method::OPTIONS, "/agents"),
        (Method::POST, "/whoami"),
        (Method::POST, "/healthz"),
    ] {
        for token in [None, Some(token.as_str())] {
            let answer = api.send(method.clone(), path, token).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}: {answer:?}");
            assert_eq!(answer.challenge(), "", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn whoami_says_what_the_token_says() {
    let issuer = TestIssuer::start().await;
    let api = Api::start(&[("ISSUER", issuer.url()), ("AUDIENCE", AUDIENCE)]).await;

    let token = issuer.token().claim("exp", 4_000_000_000_u64).claim("jti", "t-1").scopes(["b", "a"]);
    let expected = json!({
        "sub": "user-1", "client_id": "client-1", "iss": issuer.url(), "aud": AUDIENCE, "scope": ["a", "b"],
        "exp": 4_000_000_000_u64, "jti": "t-1",
    });
    assert_eq!(api.get("/whoami", Some(&token.build())).await.json(), expected);

    let bare = issuer.token().audience(json!([AUDIENCE, "b"])).expires_at(UnixTime::from_secs(4_000_000_000));
    let bare = bare.without_claim("sub").without_claim("client_id").without_claim("jti").token_type("JWT").build();
    let mut expected = nobody();
    expected["iss"] = issuer.url().into();
    expected["aud"] = json!([AUDIENCE, "b"]);
    expected["exp"] = 4_000_000_000_u64.into();
    assert_eq!(api.get("/whoami", Some(&bare)).await.json(), expected);

    let health = api.get("/healthz", None).await;
    assert_eq!((health.status, health.text.as_str()), (StatusCode::OK, "ok"));
    // A public route looks at no credential, not even at a bad one.
    assert_eq!(api.get("/healthz", Some("garbage")).await.status, StatusCode::OK);
    let ready = api.get("/readyz", None).await;
    assert_eq!(ready.status, StatusCode::OK);
    assert_eq!(ready.json(), json!({ "ready": true, "issuers": [{ "issuer": issuer.url(), "keys": "loaded" }] }));
}

#[tokio::test]
async fn tokens_are_judged_by_the_configured_rules() {
    let issuer = TestIssuer::start().await;
    let rs256 = TestKey::shared(Algorithm::RS256);
    issuer.publish(&[issuer.current_key(), rs256.clone()]);
    let variables = [
        ("ISSUER", issuer.url()),
        ("AUDIENCE", AUDIENCE),
        ("TOKEN_TYPE", "at+jwt"),
        ("ALGORITHMS", "ES256, PS256"),
        ("LEEWAY", "0"),
    ];
    let api = Api::start(&variables).await;
    let expired =
        |token: TokenBuilder| token.expires_at(SystemClock::new().now().wall().saturating_sub(Duration::from_secs(5)));
    assert_eq!(api.get("/whoami", Some(&issuer.token().build())).await.status, StatusCode::OK);
    for (what, token) in [
        ("another type", issuer.token().token_type("JWT")),
        ("another audience", issuer.token().audience("https://other.example")),
        ("another issuer", issuer.token().claim("iss", "https://other.example")),
        ("another algorithm", issuer.token().signed_with(&rs256)),
        ("expired without leeway", expired(issuer.token())),
        ("no jti, which RFC 9068 demands", issuer.token().without_claim("jti")),
        ("unsigned", issuer.token().unsigned()),
    ] {
        let answer = api.get("/whoami", Some(&token.build())).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
        assert!(answer.challenge().contains("error=\"invalid_token\""), "{what}: {}", answer.challenge());
    }
    let lenient = Api::start(&[("ISSUER", issuer.url()), ("AUDIENCE", AUDIENCE)]).await;
    let token = expired(issuer.token()).token_type("JWT").signed_with(&rs256).build();
    assert_eq!(lenient.get("/whoami", Some(&token)).await.status, StatusCode::OK, "30 seconds of leeway by default");
}

#[tokio::test]
async fn keys_can_come_from_a_url_or_a_file() {
    let issuer = TestIssuer::start().await;
    let jwks = File::new("jwks.json", &json!({ "keys": [issuer.current_key().jwk()] }).to_string());
    let token = issuer.token().build();
    let without_issuer = issuer.token().without_claim("iss").audience("anybody").build();

    let api = Api::start(&[("ISSUER", issuer.url()), ("AUDIENCE", AUDIENCE), ("JWKS_URL", &issuer.jwks_url())]).await;
    assert_eq!(api.get("/whoami", Some(&token)).await.status, StatusCode::OK);
    assert_eq!(issuer.asked().metadata, 0, "no discovery");

    let api = Api::start(&[("ISSUER", issuer.url()), ("AUDIENCE", AUDIENCE), ("JWKS_FILE", jwks.path())]).await;
    assert_eq!(api.get("/whoami", Some(&token)).await.status, StatusCode::OK);
    assert_eq!(api.get("/whoami", Some(&without_issuer)).await.status, StatusCode::UNAUTHORIZED);

    let any = [("JWKS_FILE", jwks.path()), ("ALLOW_ANY_ISSUER", "1"), ("ALLOW_ANY_AUDIENCE", "1")];
    let api = Api::start(&any).await;
    assert_eq!(api.get("/whoami", Some(&without_issuer)).await.status, StatusCode::OK);
    let end = api.stop("TERM").await;
    assert!(end.stderr.contains("warning: no ISSUER") && end.stderr.contains("warning: no AUDIENCE"), "{}", end.stderr);
}

#[tokio::test]
async fn without_anybody_to_ask_it_needs_no_root_certificates() {
    let key = TestKey::shared(Algorithm::ES256);
    let jwks = File::new("static-jwks.json", &json!({ "keys": [key.jwk()] }).to_string());
    let issuer = "https://idp.example";
    let none = [("SSL_CERT_FILE", "/no/such/file"), ("SSL_CERT_DIR", "/no/such/directory")];
    let with_keys = [("ISSUER", issuer), ("AUDIENCE", AUDIENCE), ("JWKS_FILE", jwks.path())];
    let api = Api::start(&[none.as_slice(), &with_keys].concat()).await;
    let token = TokenBuilder::new(issuer, &key, SystemClock::new().now().wall()).build();
    assert_eq!(api.get("/whoami", Some(&token)).await.status, StatusCode::OK);
    check_refused(&[none.as_slice(), &[("ISSUER", issuer), ("AUDIENCE", AUDIENCE)]].concat(), &["CA certificates"])
        .await;
}

#[tokio::test]
async fn no_proxy_stands_between_it_and_an_issuer_on_loopback() {
    let issuer = TestIssuer::start().await;
    let nowhere = "http://127.0.0.1:9";
    let proxy = [("HTTP_PROXY", nowhere), ("http_proxy", nowhere), ("ALL_PROXY", nowhere), ("all_proxy", nowhere)];
    let api = Api::start(&[proxy.as_slice(), &[("ISSUER", issuer.url()), ("AUDIENCE", AUDIENCE)]].concat()).await;
    assert_eq!(api.get("/whoami", Some(&issuer.token().build())).await.status, StatusCode::OK);
}

#[tokio::test]
async fn several_issuers_are_told_apart_by_iss() {
    let (first, second) = (TestIssuer::start().await, TestIssuer::start().await);
    let file = File::new(
        "issuers.json",
        &json!([
            { "issuer": first.url(), "audience": "a", "token_type": "at+jwt", "leeway": 5 },
            { "issuer": second.url(), "jwks_url": second.jwks_url(), "algorithms": ["ES256"] },
        ])
        .to_string(),
    );
    let api = Api::start(&[("ISSUERS_FILE", file.path()), ("AUDIENCE", "b")]).await;
    for (issuer, audience, status) in [
        (&first, "a", StatusCode::OK),
        (&first, "b", StatusCode::UNAUTHORIZED),
        (&second, "b", StatusCode::OK),
        (&second, "a", StatusCode::UNAUTHORIZED),
    ] {
        let token = issuer.token().audience(audience).build();
        assert_eq!(api.get("/whoami", Some(&token)).await.status, status, "{} {audience}", issuer.url());
    }
    let borrowed = first.token().audience("b").claim("iss", second.url()).build();
    assert_eq!(api.get("/whoami", Some(&borrowed)).await.status, StatusCode::UNAUTHORIZED, "the key of another issuer");
}

#[tokio::test]
async fn a_routes_file_replaces_the_table() {
    let issuer = TestIssuer::start().await;
    let file = File::new(
        "routes.json",
        r#"{
            "otherwise": "authenticated",
            "routes": [
                { "path": "/healthz",       "public": true },
                { "path": "/open/{*rest}",  "public": true },
                { "path": "/maybe",         "optional": true },
                { "path": "/api/read",      "methods": ["GET"],  "any_of": [["read"]] },
                { "path": "/payments/{id}", "methods": ["POST"], "any_of": [["payments:write", "mfa"], ["admin"]] }
            ]
        }"#,
    );
    let api = Api::start(&[("ISSUER", issuer.url()), ("AUDIENCE", AUDIENCE), ("ROUTES_FILE", file.path())]).await;
    let token = |scopes: &str| Some(issuer.token().scopes([scopes]).build());
    let (ok, forbidden, unauthorized) = (StatusCode::OK, StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED);
    for (method, path, token, status) in [
        (Method::GET, "/open/a/b", None, ok),
        (Method::PUT, "/open/x", None, ok),
        (Method::GET, "/maybe", None, ok),
        (Method::GET, "/maybe", Some("garbage".to_owned()), unauthorized),
        (Method::GET, "/api/read", token("read"), ok),
        (Method::GET, "/api/read", token("readonly"), forbidden),
        (Method::GET, "/api/read", None, unauthorized),
        (Method::POST, "/payments/7", token("payments:write"), forbidden),
        (Method::POST, "/payments/7", token("mfa payments:write"), ok),
        (Method::POST, "/payments/7", token("admin"), ok),
        (Method::DELETE, "/unlisted", token("x"), ok),
        (Method::DELETE, "/unlisted", None, unauthorized),
        (Method::GET, "/agents", token("x"), ok),
        (Method::GET, "/readyz", None, unauthorized),
        (Method::GET, "/open//x", None, StatusCode::BAD_REQUEST),
        (Method::GET, "/open/%61", None, StatusCode::BAD_REQUEST),
        (Method::GET, "/open/..%2fapi/read", None, StatusCode::BAD_REQUEST),
    ] {
        let answer = api.send(method.clone(), path, token.as_deref()).await;
        assert_eq!(answer.status, status, "{method} {path} {answer:?}");
        if status == ok {
            let sub = if token.is_some() { "user-1".into() } else { Value::Null };
            assert_eq!(answer.json()["sub"], sub, "{method} {path}");
        }
    }
    assert_eq!(api.get("/open/x", None).await.json(), nobody());
    assert_eq!(api.get("/healthz", None).await.text, "ok");
}

#[tokio::test]
async fn without_keys_it_serves_and_says_so() {
    let issuer = TestIssuer::start().await;
    issuer.fault(Target::Jwks, Fault::Status(500));
    let api = Api::start(&[("ISSUER", issuer.url()), ("AUDIENCE", AUDIENCE)]).await;
    assert_eq!(api.get("/healthz", None).await.status, StatusCode::OK);
    let ready = api.get("/readyz", None).await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let trouble = format!("{} answered 500 Internal Server Error", issuer.jwks_url());
    let issuers = json!([{ "issuer": issuer.url(), "keys": "missing", "trouble": trouble }]);
    assert_eq!(ready.json(), json!({ "ready": false, "issuers": issuers }));
    let answer = api.get("/whoami", Some(&issuer.token().build())).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "not 401, and never 200");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    let end = api.stop("TERM").await;
    assert!(end.stderr.contains("no keys from") && end.stderr.contains(issuer.url()), "{}", end.stderr);
}

#[tokio::test]
async fn both_signals_stop_it_cleanly() {
    let issuer = TestIssuer::start().await;
    for signal in ["TERM", "INT"] {
        let api = Api::start(&[("ISSUER", issuer.url()), ("AUDIENCE", AUDIENCE)]).await;
        // The client keeps its connection, which must not keep the server.
        let secret = issuer.token().build();
        assert_eq!(api.get("/whoami", Some(&secret)).await.status, StatusCode::OK);
        assert_eq!(api.get("/agents", Some(&secret)).await.status, StatusCode::FORBIDDEN);
        let end = api.stop(signal).await;
        assert_eq!((end.code, end.stdout.as_str()), (Some(0), ""), "SIG{signal}: {}", end.stderr);
        assert!(end.stderr.contains("POST /agents is to ask the issuer"), "{}", end.stderr);
        assert!(end.stderr.contains("insufficient_scope"), "{}", end.stderr);
        let signature = secret.rsplit('.').next().unwrap();
        assert!(!end.stderr.contains(signature), "a token in the log");
    }
}

#[tokio::test]
async fn a_configuration_that_would_be_unsafe_is_refused_by_name() {
    let routes =
        File::new("bad-routes.json", r#"{ "otherwise": "deny", "routes": [{ "path": "/x", "any_of": [["a b"]] }] }"#);
    let fresh = File::new(
        "fresh-routes.json",
        r#"{ "otherwise": "deny", "routes": [{ "path": "/pay", "any_of": [["pay"]], "max_status_age": 0 }] }"#,
    );
    let issuers = File::new("bad-issuers.json", r#"[{ "issuer": "https://a.example", "audiense": "x" }]"#);
    let secret = File::new("oct.json", r#"{ "keys": [{ "kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MzI" }] }"#);
    let good = [("ISSUER", "https://idp.example"), ("AUDIENCE", "a")];
    let rows: [Refusal<'_>; 20] = [
        (&[("ISSUER", "")], &["ISSUER is not set"]),
        (&[("ISSUER", "http://idp.example")], &["\"http://idp.example\"", "https"]),
        (&[("ISSUER", "idp.example")], &["\"idp.example\""]),
        (&[("AUDIENCE", "")], &["AUDIENCE is not set", "ALLOW_ANY_AUDIENCE"]),
        (&[("AUDIENCE", ""), ("ALLOW_ANY_AUDIENCE", "yes")], &["ALLOW_ANY_AUDIENCE=\"yes\""]),
        (&[("ISSUER", ""), ("JWKS_URL", "https://idp.example/jwks")], &["ISSUER is not set", "ALLOW_ANY_ISSUER"]),
        (&[("JWKS_URL", "http://idp.example/jwks")], &["\"http://idp.example/jwks\"", "https"]),
        (&[("JWKS_FILE", "/no/such/file")], &["/no/such/file"]),
        (&[("JWKS_FILE", secret.path())], &["none of the 1 keys can be used"]),
        (&[("JWKS_FILE", "f"), ("JWKS_URL", "https://idp.example/jwks")], &["JWKS_URL", "JWKS_FILE", "exclude"]),
        (&[("ALGORITHMS", "RS256,none")], &["ALGORITHMS", "\"none\""]),
        (&[("ALGORITHMS", "rs256")], &["ALGORITHMS", "\"rs256\""]),
        (&[("ALGORITHMS", "HS256")], &["HS256"]),
        (&[("TOKEN_TYPE", "JWT")], &["TOKEN_TYPE=\"JWT\""]),
        (&[("LEEWAY", "-1")], &["LEEWAY=\"-1\""]),
        (&[("LEEWAY", "301")], &["301"]),
        (&[("PORT", "65536")], &["PORT=\"65536\""]),
        (&[("ROUTES_FILE", routes.path())], &["ROUTES_FILE", "/x", "\"a b\""]),
        (&[("ROUTES_FILE", fresh.path())], &["/pay", "status"]),
        (&[("ISSUERS_FILE", "/no/such/file"), ("AUDIENCE", "")], &["ISSUERS_FILE", "https://idp.example"]),
    ];
    for (changes, named) in rows {
        check_refused(&[&good, changes].concat(), named).await;
    }
    let file = |path| [("ISSUERS_FILE", path)];
    check_refused(&file("/no/such/file"), &["ISSUERS_FILE=\"/no/such/file\""]).await;
    check_refused(&file(issuers.path()), &["[0]", "https://a.example", "\"audiense\""]).await;
}
