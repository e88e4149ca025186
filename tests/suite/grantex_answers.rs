//! What Grantex's client makes of answers: tokens and verdicts read strictly, errors by their status, and no secret told.

use std::time::Duration;

use http::StatusCode;
use portcullis::{
    clock::UnixTime,
    providers::grantex::{ExchangeRequest, GrantexError, Verification},
};
use serde_json::{Value, json};

use crate::{
    grantex::{BASE, KEY, answer},
    grantex_client::{refused, tokens, word, world},
};

#[tokio::test]
async fn the_tokens_of_a_grant_are_read_or_refused_as_a_whole() {
    for status in [200, 201] {
        let world = world([answer(status, tokens())]);
        let (tokens, took, calls) = world.exchange().await;
        let tokens = tokens.unwrap();
        assert_eq!(
            (tokens.grant_token(), tokens.refresh_token(), tokens.grant_id()),
            ("gr.ant.token", "ref_2", "grnt_1")
        );
        assert_eq!(tokens.expires_at(), UnixTime::from_secs(1_900_003_600));
        assert_eq!(tokens.scopes().collect::<Vec<_>>(), ["calendar:read", "a:b:max_500"]);
        assert_eq!((took, calls.len()), (Duration::ZERO, 1));
    }
    let without = |name: &str| {
        let mut tokens = tokens();
        tokens.as_object_mut().unwrap().remove(name);
        tokens.to_string()
    };
    let with = |name: &str, value: Value| {
        let mut tokens = tokens();
        tokens[name] = value;
        tokens.to_string()
    };
    let mut bodies: Vec<String> =
        ["grantToken", "expiresAt", "scopes", "refreshToken", "grantId"].into_iter().map(without).collect();
    for name in ["grantToken", "expiresAt", "refreshToken", "grantId"] {
        bodies.extend([json!(null), json!(""), json!(7), json!([])].map(|value| with(name, value)));
    }
    bodies.extend([
        with("expiresAt", json!("soon")),
        with("expiresAt", json!("1960-01-01T00:00:00Z")),
        with("scopes", json!("calendar:read")),
        with("scopes", json!([null])),
        with("grantToken", json!("a b")),
        with("grantToken", json!("a\r\nx: y")),
        format!("[{}]", tokens()),
        r#"["gr.ant.token","2030-03-17T18:46:40Z",[],"ref_2","grnt_1"]"#.to_owned(),
        "<html>".to_owned(),
        String::new(),
    ]);
    for body in bodies {
        let world = world([answer(201, &body)]);
        let (outcome, _, calls) = world.refresh("ref_1").await;
        assert!(matches!(outcome, Err(GrantexError::InvalidJson(_))), "{body}");
        assert_eq!(calls.len(), 1, "what was answered is not asked again");
    }
}

#[tokio::test]
async fn what_is_said_of_a_token_is_read_strictly() {
    let rows: &[(&str, &str)] = &[
        (r#"{"valid":false}"#, "invalid"),
        (r#"{"valid":false,"grantId":null,"scopes":7}"#, "invalid"),
        (r#"{"valid":true}"#, "valid"),
        (
            r#"{"valid":true,"grantId":"g","scopes":["a"],"principal":"p","agent":"d","expiresAt":"2030-03-17T18:46:40Z"}"#,
            "valid",
        ),
        (r#"{"valid":true,"unknown":null}"#, "valid"),
        ("{}", "malformed"),
        ("", "malformed"),
        ("true", "malformed"),
        ("[true]", "malformed"),
        ("null", "malformed"),
        (r#"{"valid":"true"}"#, "malformed"),
        (r#"{"valid":1}"#, "malformed"),
        (r#"{"valid":null}"#, "malformed"),
        (r#"{"Valid":true}"#, "malformed"),
        (r#"{"active":true}"#, "malformed"),
        (r#"{"valid":true,"valid":true}"#, "malformed"),
        (r#"{"valid":false,"valid":true}"#, "malformed"),
        (r#"{"valid":true} {}"#, "malformed"),
        (r#"{"valid":true,"grantId":null}"#, "malformed"),
        (r#"{"valid":true,"grantId":""}"#, "malformed"),
        (r#"{"valid":true,"grantId":7}"#, "malformed"),
        (r#"{"valid":true,"scopes":"a"}"#, "malformed"),
        (r#"{"valid":true,"scopes":[null]}"#, "malformed"),
        (r#"{"valid":true,"principal":{}}"#, "malformed"),
        (r#"{"valid":true,"agent":[]}"#, "malformed"),
        (r#"{"valid":true,"expiresAt":1900000000}"#, "malformed"),
        (r#"{"valid":true,"expiresAt":"soon"}"#, "malformed"),
    ];
    for (body, expected) in rows {
        let outcome = world([answer(200, body)]).verify().await.0;
        let word = match &outcome {
            Ok(Verification::Invalid) => "invalid",
            Ok(Verification::Valid { .. }) => "valid",
            Err(GrantexError::InvalidJson(_)) => "malformed",
            _ => "another error",
        };
        assert_eq!(word, *expected, "{body}");
    }
    let Ok(Verification::Valid { grant_id, scopes, principal, agent, expires_at, .. }) =
        world([answer(200, rows[3].0)]).verify().await.0
    else {
        panic!("valid");
    };
    assert_eq!((grant_id.as_deref(), principal.as_deref(), agent.as_deref()), (Some("g"), Some("p"), Some("d")));
    assert_eq!((scopes, expires_at), (Some(vec!["a".into()]), Some(UnixTime::from_secs(1_900_003_600))));
}

#[tokio::test]
async fn every_error_of_the_server_has_its_type_by_its_status_alone() {
    let rows = [
        (400, "Invalid code", "BAD_REQUEST", "refused"),
        (400, "Refresh token already used", "BAD_REQUEST", "refused"),
        (400, "redirect", "REDIRECT_URI_MISMATCH", "refused"),
        (401, "Invalid API key", "UNAUTHORIZED", "unauthorized"),
        (402, "limit", "PLAN_LIMIT_EXCEEDED", "refused"),
        (402, "budget", "INSUFFICIENT_BUDGET", "refused"),
        (403, "policy", "POLICY_DENIED", "unauthorized"),
        (403, "consent", "CONSENT_REQUIRED", "unauthorized"),
        (404, "Route POST:/v1/token not found", "NOT_FOUND", "refused"),
        (409, "inactive", "GRANT_INACTIVE", "refused"),
        (410, "gone", "GONE", "refused"),
        (422, "body", "VALIDATION_ERROR", "refused"),
        // The same rate limit, by three codes.
        (429, "Plan rate limit exceeded, retry in 47 seconds", "RATE_LIMIT_EXCEEDED", "rate limited"),
        (429, "Rate limit exceeded, retry in 21 seconds", "BAD_REQUEST", "rate limited"),
        (429, "slow down", "RATE_LIMITED", "rate limited"),
        (500, "An unexpected error occurred", "INTERNAL_ERROR", "refused"),
        (503, "Authenticated rate limiting is temporarily unavailable", "RATE_LIMIT_UNAVAILABLE", "refused"),
        (400, "Rate limit exceeded", "RATE_LIMIT_EXCEEDED", "refused"),
    ];
    for (status, message, code, expected) in rows {
        let (outcome, _, _) = world([refused(status, message, code)]).exchange().await;
        assert_eq!(word(&outcome), expected, "{status} {code}");
        let error = outcome.unwrap_err();
        let refusal = error.refusal().unwrap();
        assert_eq!(refusal.status().as_u16(), status);
        let said = (refusal.message(), refusal.code(), refusal.request_id());
        assert_eq!(said, (Some(message), Some(code), Some("r-1")));
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(error.to_string(), format!("Grantex answered {status} {code}"));
    }
}

#[tokio::test]
async fn no_secret_is_in_what_is_shown_threat_29() {
    // A server that throws everything back.
    let echo = json!({ "message": format!("{KEY} c0de v3rifier ref_1 t.o.ken"), "code": "c0de", "requestId": "ref_1" });
    let world = world([answer(400, echo)]);
    let mut shown = format!("{:?}", world.client);
    let request = ExchangeRequest::new("c0de", "ag_1").code_verifier("v3rifier");
    shown += &format!("{request:?}");
    for error in [
        world.exchange().await.0.map(|_| ()).unwrap_err(),
        world.refresh("ref_1").await.0.map(|_| ()).unwrap_err(),
        world.verify().await.0.map(|_| ()).unwrap_err(),
        world.revoke().await.0.unwrap_err(),
    ] {
        assert!(error.refusal().unwrap().message().unwrap().contains("c0de"), "whoever asks is told");
        shown += &format!("{error} {error:?}");
    }
    world.fake.says([answer(200, tokens())]);
    shown += &format!("{:?}", world.exchange().await.0.unwrap());
    world.fake.says([answer(200, r#"{"valid":true,"principal":"us3r","grantId":"grnt_1"}"#)]);
    shown += &format!("{:?}", world.verify().await.0.unwrap());
    let long = "A".repeat(41);
    world.fake.says([refused(400, "m", &long)]);
    let error = world.exchange().await.0.unwrap_err();
    assert_eq!(error.to_string(), "Grantex answered 400 Bad Request without an error code");
    for secret in [KEY, "c0de", "v3rifier", "ref_", "t.o.ken", "gr.ant.token", "us3r", "grnt_1"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert!(shown.contains(BASE));
}
