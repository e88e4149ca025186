//! What the variables of `examples/protected_api` about token status promise, tried from outside.

use std::time::Duration;

use http::{Method, StatusCode, header};
use portcullis::testing::{Fault, Target, TestIssuer, TokenBuilder};
use serde_json::json;

use crate::process::{Answer, Api, File, Refusal, check_refused};

const AUDIENCE: &str = TokenBuilder::AUDIENCE;
const SCOPES: [&str; 2] = ["agents:read", "agents:write"];

/// An issuer that knows who asks.
async fn issuer() -> TestIssuer {
    let issuer = TestIssuer::start().await;
    issuer.register_client("api", "hush: 100%", ["tokens:read"]);
    issuer
}

/// The example, asking that issuer as the client `api`.
async fn api(issuer: &TestIssuer, changes: &[(&str, &str)]) -> Api {
    let variables = [
        ("ISSUER", issuer.url()),
        ("AUDIENCE", AUDIENCE),
        ("INTROSPECTION_URL", "discover"),
        ("CLIENT_ID", "api"),
        ("CLIENT_SECRET", "hush: 100%"),
    ];
    Api::start(&[variables.as_slice(), changes].concat()).await
}

fn jwt(issuer: &TestIssuer) -> String {
    issuer.token().scopes(SCOPES).build()
}

fn opaque(issuer: &TestIssuer) -> String {
    issuer.issue_opaque(SCOPES, Duration::from_secs(600))
}

fn assert_invalid(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert!(answer.challenge().contains("error=\"invalid_token\""), "{}", answer.challenge());
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(answer.challenge(), "");
}

#[tokio::test]
async fn both_kinds_of_token_are_asked_about_and_answers_reused() {
    let issuer = issuer().await;
    let url = issuer.introspection_url();
    for place in [("INTROSPECTION_URL", "discover"), ("INTROSPECTION_URL", &*url)] {
        let api = api(&issuer, &[place]).await;
        issuer.reset_asked();
        for (token, subject) in [(jwt(&issuer), "user-1".into()), (opaque(&issuer), json!(null))] {
            let before = issuer.asked().introspection;
            for _ in 0..3 {
                let answer = api.get("/whoami", Some(&token)).await;
                assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
                let who = answer.json();
                assert_eq!((&who["iss"], &who["scope"]), (&json!(issuer.url()), &json!(SCOPES)), "{who}");
                assert!(subject.is_null() || who["sub"] == subject, "{who}");
                assert_eq!(api.get("/agents", Some(&token)).await.status, StatusCode::OK);
            }
            assert_eq!(issuer.asked().introspection, before + 1, "30 seconds by default");
            for more in 1..=3 {
                assert_eq!(api.send(Method::POST, "/agents", Some(&token)).await.status, StatusCode::OK);
                assert_eq!(issuer.asked().introspection, before + 1 + more, "asked on every request");
            }
        }
        assert_invalid(&api.get("/whoami", Some("an-opaque-token-of-nobody")).await);
        let ready = api.get("/readyz", None).await;
        assert_eq!(ready.status, StatusCode::OK, "{ready:?}");
        let end = api.stop("TERM").await;
        assert!(!end.stderr.contains("hush") && !end.stderr.contains("POST /agents is to ask"), "{}", end.stderr);
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_within_the_age_that_is_wanted() {
    let issuer = issuer().await;
    let asking = api(&issuer, &[("STATUS_MAX_AGE", "0")]).await;
    let caching = api(&issuer, &[("STATUS_MAX_AGE", "600")]).await;
    for token in [jwt(&issuer), opaque(&issuer)] {
        for api in [&asking, &caching] {
            assert_eq!(api.get("/agents", Some(&token)).await.status, StatusCode::OK);
        }
        issuer.revoke(&token);
        assert_invalid(&asking.get("/agents", Some(&token)).await);
        assert_eq!(caching.get("/agents", Some(&token)).await.status, StatusCode::OK, "within its ten minutes");
        assert_invalid(&caching.send(Method::POST, "/agents", Some(&token)).await);
        assert_invalid(&caching.get("/agents", Some(&token)).await);
    }
}

#[tokio::test]
async fn an_outage_is_met_as_decided() {
    for (on_outage, status) in [
        ("deny", StatusCode::SERVICE_UNAVAILABLE),
        ("accept-stale:60", StatusCode::OK),
        ("accept-stale:0", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let issuer = issuer().await;
        let api = api(&issuer, &[("STATUS_MAX_AGE", "0"), ("ON_OUTAGE", on_outage)]).await;
        let seen = [jwt(&issuer), opaque(&issuer)];
        for token in &seen {
            assert_eq!(api.get("/agents", Some(token)).await.status, StatusCode::OK);
        }
        issuer.fault(Target::Introspection, Fault::Status(500));
        for token in &seen {
            let answer = api.get("/agents", Some(token)).await;
            assert_eq!(answer.status, status, "{on_outage}: {answer:?}");
            assert_unavailable(&api.send(Method::POST, "/agents", Some(token)).await);
        }
        for unseen in [jwt(&issuer), opaque(&issuer)] {
            assert_unavailable(&api.get("/agents", Some(&unseen)).await);
        }
        assert_invalid(&api.get("/agents", Some(&issuer.token().tampered().build())).await);
        let ready = api.get("/readyz", None).await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "{ready:?}");
        let entry = &ready.json()["issuers"][0];
        assert_eq!((&entry["issuer"], &entry["keys"]), (&json!(issuer.url()), &json!("loaded")), "{ready:?}");
        assert!(entry["status_trouble"].as_str().unwrap().contains("500"), "{ready:?}");
        let end = api.stop("TERM").await;
        assert!(!end.stderr.contains("hush"), "{}", end.stderr);
    }
}

#[tokio::test]
async fn the_credentials_fetch_a_bearer_where_that_is_wanted() {
    let issuer = issuer().await;
    issuer.protect_introspection("tokens:read");
    let url = issuer.token_url();
    let scope = ("INTROSPECTION_SCOPE", "tokens:read");
    let with_bearer = api(&issuer, &[("TOKEN_URL", &url), scope]).await;
    issuer.reset_asked();
    for token in [jwt(&issuer), opaque(&issuer)] {
        assert_eq!(with_bearer.get("/agents", Some(&token)).await.status, StatusCode::OK);
    }
    assert_eq!((issuer.asked().token, issuer.asked().introspection), (1, 2));
    let with_basic = api(&issuer, &[]).await;
    assert_unavailable(&with_basic.get("/agents", Some(&jwt(&issuer))).await);
}

#[tokio::test]
async fn a_server_that_knows_nothing_of_its_jwts_is_asked_about_opaque_tokens_only() {
    let issuer = issuer().await;
    let api = api(&issuer, &[("INTROSPECT", "opaque")]).await;
    issuer.reset_asked();
    let jwt = jwt(&issuer);
    issuer.revoke(&jwt);
    assert_eq!(api.send(Method::POST, "/agents", Some(&jwt)).await.status, StatusCode::OK, "until it expires");
    assert_eq!(issuer.asked().introspection, 0);
    assert_eq!(api.get("/agents", Some(&opaque(&issuer))).await.status, StatusCode::OK);
    assert_eq!(issuer.asked().introspection, 1);
    let end = api.stop("TERM").await;
    assert!(end.stderr.contains("warning: POST /agents is to ask"), "{}", end.stderr);
}

#[tokio::test]
async fn of_several_issuers_each_is_asked_about_its_own() {
    let (first, second) = (issuer().await, issuer().await);
    let entry = |issuer: &TestIssuer| {
        json!({
            "issuer": issuer.url(), "introspection_url": "discover", "client_id": "api", "client_secret": "hush: 100%",
        })
    };
    let file = File::new("asked-issuers.json", &json!([entry(&first), entry(&second)]).to_string());
    let variables = [("ISSUERS_FILE", file.path()), ("AUDIENCE", AUDIENCE), ("STATUS_MAX_AGE", "0")];
    let api = Api::start(&variables).await;
    for issuer in [&first, &second] {
        let token = jwt(issuer);
        assert_eq!(api.send(Method::POST, "/agents", Some(&token)).await.status, StatusCode::OK);
        issuer.revoke(&token);
        assert_invalid(&api.get("/agents", Some(&token)).await);
        assert_invalid(&api.get("/agents", Some(&opaque(issuer))).await);
        assert_eq!(issuer.asked().introspection, 2, "about none of the other's, and about no opaque one");
    }
    let end = api.stop("TERM").await;
    assert!(end.stderr.contains("warning: opaque tokens are refused"), "{}", end.stderr);

    let silent = json!({ "issuer": second.url() });
    let file = File::new("asked-issuer.json", &json!([entry(&first), silent]).to_string());
    let api = Api::start(&[("ISSUERS_FILE", file.path()), ("AUDIENCE", AUDIENCE), ("STATUS_MAX_AGE", "0")]).await;
    for token in [jwt(&second), opaque(&first)] {
        assert_eq!(api.send(Method::POST, "/agents", Some(&token)).await.status, StatusCode::OK);
    }
    let end = api.stop("TERM").await;
    assert!(end.stderr.contains("warning: POST /agents is to ask"), "{}", end.stderr);
}

#[tokio::test]
async fn variables_that_promise_what_is_not_kept_are_refused_by_name() {
    let good = [
        ("ISSUER", "https://idp.example"),
        ("AUDIENCE", "a"),
        ("INTROSPECTION_URL", "discover"),
        ("CLIENT_ID", "api"),
        ("CLIENT_SECRET", "hush"),
    ];
    let alone = ["INTROSPECTION_URL", "CLIENT_ID", "CLIENT_SECRET"].map(|variable| (variable, ""));
    let rows: [Refusal<'_>; 19] = [
        (&[("CLIENT_ID", "")], &["CLIENT_ID is not set", "INTROSPECTION_URL"]),
        (&[("CLIENT_SECRET", "")], &["CLIENT_SECRET is not set", "INTROSPECTION_URL"]),
        (&[("INTROSPECTION_URL", "")], &["CLIENT_ID is set", "INTROSPECTION_URL is not"]),
        (&[("INTROSPECTION_URL", ""), ("CLIENT_ID", "")], &["CLIENT_SECRET is set", "INTROSPECTION_URL is not"]),
        (&[alone[0], alone[1], alone[2], ("TOKEN_URL", "https://idp.example/token")], &["TOKEN_URL is set"]),
        (&[alone[0], alone[1], alone[2], ("INTROSPECTION_SCOPE", "x")], &["INTROSPECTION_SCOPE is set"]),
        (&[alone[0], alone[1], alone[2], ("INTROSPECT", "all")], &["INTROSPECT is set"]),
        (&[alone[0], alone[1], alone[2], ("STATUS_MAX_AGE", "0")], &["STATUS_MAX_AGE is set", "INTROSPECTION_URL"]),
        (&[alone[0], alone[1], alone[2], ("ON_OUTAGE", "deny")], &["ON_OUTAGE is set", "INTROSPECTION_URL"]),
        (&[("INTROSPECTION_URL", "http://idp.example/introspect")], &["\"http://idp.example/introspect\"", "https"]),
        (&[("INTROSPECTION_URL", "Discover")], &["\"Discover\""]),
        (&[("TOKEN_URL", "http://idp.example/token")], &["\"http://idp.example/token\"", "https"]),
        (&[("INTROSPECTION_SCOPE", "x")], &["INTROSPECTION_SCOPE=\"x\"", "TOKEN_URL"]),
        (&[("TOKEN_URL", "https://idp.example/token"), ("INTROSPECTION_SCOPE", "a\\b")], &["\"a\\\\b\""]),
        (&[("STATUS_MAX_AGE", "-1")], &["STATUS_MAX_AGE=\"-1\""]),
        (&[("STATUS_MAX_AGE", "30s")], &["STATUS_MAX_AGE=\"30s\""]),
        (&[("ON_OUTAGE", "accept")], &["ON_OUTAGE=\"accept\"", "accept-stale:SECONDS"]),
        (&[("INTROSPECT", "jwt")], &["INTROSPECT=\"jwt\""]),
        (
            &[("ISSUER", ""), ("JWKS_URL", "https://idp.example/jwks"), ("ALLOW_ANY_ISSUER", "1")],
            &["INTROSPECTION_URL=\"discover\"", "ISSUER"],
        ),
    ];
    for (changes, named) in rows {
        check_refused(&[&good, changes].concat(), named).await;
    }

    let check = async |file: &str, others: &[(&str, &str)], named: &[&str]| {
        let file = File::new("status-issuers.json", file);
        let variables = [("ISSUERS_FILE", file.path()), ("AUDIENCE", "a")];
        check_refused(&[variables.as_slice(), others].concat(), named).await;
    };
    let silent = r#"[{ "issuer": "https://a.example" }]"#;
    check(silent, &[("CLIENT_SECRET", "hush")], &["CLIENT_SECRET belongs into its entries"]).await;
    check(silent, &[("STATUS_MAX_AGE", "0")], &["STATUS_MAX_AGE is set", "\"introspection_url\""]).await;
    let secret = r#"[{ "issuer": "https://a.example", "client_secret": "hush" }]"#;
    check(secret, &[], &["[0]", "https://a.example", "client_secret is set", "introspection_url is not"]).await;
    let asked = r#"{ "introspection_url": "discover", "client_id": "api", "client_secret": ["hush"], "issuer": "#;
    check(&format!(r#"[{asked}"https://a.example" }}]"#), &[], &["[0]", "client_secret"]).await;
    let asked = asked.replace("[\"hush\"]", "\"hush\"");
    let two = format!(r#"[{asked}"https://a.example" }}, {asked}"https://b.example" }}]"#);
    check(&two, &[("INTROSPECT", "opaque")], &["[0]", "introspect=\"opaque\"", "several issuers"]).await;
}
