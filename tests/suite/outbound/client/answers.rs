//! What a server says to a [`TokenClient`](portcullis::outbound::TokenClient) → what that is worth.

use std::time::Duration;

use portcullis::{
    issuer::Connection,
    outbound::{TokenClient, TokenEndpointError, TokenExchange, TokenTypeHint, token_types},
};

use super::{GOOD, REVOKE, SECRETS, TOKEN, at, pairs, post, shown};

#[tokio::test]
async fn an_answer_says_what_was_granted_and_where_it_does_not_what_was_asked_for() {
    let (server, client) = at(post());
    for (body, expected) in [
        (r#"{"access_token":"t0ken","token_type":"bEARER"}"#, (None, Some("x y"), None)),
        (
            r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3600,"scope":"x","refresh_token":"r3fresh"}"#,
            (Some(3600), Some("x"), Some("r3fresh")),
        ),
        (
            r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":null,"scope":null,"refresh_token":null}"#,
            (None, Some("x y"), None),
        ),
        (r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":"60","scope":""}"#, (Some(60), Some(""), None)),
        (r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":0}"#, (Some(0), Some("x y"), None)),
        (
            r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":1e300}"#,
            (Some(3_153_600_000), Some("x y"), None),
        ),
        (
            r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":18446744073709551615}"#,
            (Some(3_153_600_000), Some("x y"), None),
        ),
    ] {
        server.then(200, body).then(200, body);
        for answer in [client.client_credentials(Some("x y")).await, client.refresh("r", Some("x y")).await] {
            let answer = answer.unwrap();
            let said = (answer.expires_in().map(|time| time.as_secs()), answer.scope(), answer.refresh_token());
            assert_eq!((answer.access_token(), answer.token_type(), said), ("t0ken", "Bearer", expected), "{body}");
            let debug = format!("{answer:?} {answer:#?}");
            assert!(!SECRETS.iter().any(|secret| debug.contains(secret)), "{debug}");
        }
    }
    server.then(200, GOOD).then(200, GOOD);
    assert_eq!(client.client_credentials(None).await.unwrap().scope(), None);
    assert_eq!(client.refresh("r3fresh", None).await.unwrap().scope(), None, "that of the old one, which is not known");
}

#[tokio::test]
async fn an_exchange_may_bring_what_is_not_to_be_shown_if_it_says_what_that_is() {
    let (server, client) = at(post());
    let exchange = TokenExchange::new("t0ken", token_types::ACCESS_TOKEN).scope("x");
    for (body, expected) in [
        (r#""token_type":"Bearer""#, Some(("Bearer", None))),
        (r#""token_type":"bearer","issued_token_type":"urn:a""#, Some(("Bearer", Some("urn:a")))),
        (r#""token_type":"n_a","issued_token_type":"urn:a""#, Some(("N_A", Some("urn:a")))),
        (r#""token_type":"N_A""#, None),
        (r#""token_type":"N_A","issued_token_type":null"#, None),
        (r#""token_type":"N_A","issued_token_type":["urn:a"]"#, None),
        (r#""token_type":"DPoP","issued_token_type":"urn:a""#, None),
        (r#""issued_token_type":"urn:a""#, None),
    ] {
        server.then(200, format!(r#"{{"access_token":"t0ken",{body}}}"#));
        let answer = client.exchange(&exchange).await;
        let said = answer.as_ref().ok().map(|answer| (answer.token_type(), answer.issued_token_type()));
        assert_eq!(said, expected, "{body}");
        match answer {
            Ok(answer) => assert_eq!((answer.access_token(), answer.scope()), ("t0ken", Some("x"))),
            Err(error) => assert!(matches!(error, TokenEndpointError::Malformed(_)), "{}", shown(&error)),
        }
    }
    // An assertion has characters that a Bearer has not; no token has a line break, or is nothing.
    for (token, is_one) in [("a b", true), ("", false), ("a\\nb", false), ("é", false)] {
        let body = format!(r#"{{"access_token":"{token}","token_type":"N_A","issued_token_type":"urn:a"}}"#);
        server.then(200, body);
        assert_eq!(client.exchange(&exchange).await.is_ok(), is_one, "{token}");
    }
    let not_to_be_shown = r#"{"access_token":"t0ken","token_type":"N_A","issued_token_type":"urn:a"}"#;
    server.then(200, not_to_be_shown).then(200, not_to_be_shown);
    for other in [client.client_credentials(None).await, client.refresh("r3fresh", None).await] {
        assert!(matches!(other.unwrap_err(), TokenEndpointError::Malformed(_)));
    }
}

#[tokio::test]
async fn what_is_not_an_answer_grants_nothing_threat_29() {
    let (server, client) = at(post());
    let long = format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, "t0ken".repeat(13_108));
    for bad in [
        "",
        "t0ken",
        "null",
        "[]",
        r#"["t0ken","Bearer",3600,null,null,null]"#,
        r#"{"access_token":"t0ken"}"#,
        r#"{"token_type":"Bearer"}"#,
        r#"{"access_token":"t0ken","token_type":"DPoP"}"#,
        r#"{"access_token":"t0ken","token_type":"mac"}"#,
        r#"{"access_token":"t0ken","token_type":["Bearer"]}"#,
        r#"{"access_token":"","token_type":"Bearer"}"#,
        r#"{"access_token":"t0ken\r\nX-Evil: 1","token_type":"Bearer"}"#,
        r#"{"access_token":"t0ken é","token_type":"Bearer"}"#,
        r#"{"access_token":"t0ken","access_token":"t0ken","token_type":"Bearer"}"#,
        r#"{"access_token":"t0ken","token_type":"Bearer","scope":"a","scope":"b"}"#,
        r#"{"access_token":"t0ken","token_type":"Bearer","scope":["a"]}"#,
        r#"{"access_token":"t0ken","token_type":"Bearer","refresh_token":7}"#,
        r#"{"access_token":"t0ken","token_type":"Bearer","refresh_token":"a","refresh_token":"r3fresh"}"#,
        r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":"soon"}"#,
        r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":-1}"#,
        r#"{"access_token":"t0ken","token_type":"Bearer"} {}"#,
    ] {
        server.then(200, bad).then(200, bad);
        for outcome in [client.client_credentials(None).await, client.refresh("r3fresh", None).await] {
            let error = outcome.unwrap_err();
            assert!(matches!(error, TokenEndpointError::Malformed(_)), "{bad}: {}", shown(&error));
        }
    }
    server.then(200, long);
    let error = client.client_credentials(None).await.unwrap_err();
    assert_eq!(shown(&error), "the endpoint could not be read: the answer is larger than 65536 bytes");
    assert_eq!(server.left(), 0);
    for status in [201, 202, 204, 206, 301, 302, 307, 400, 401, 403, 404, 429, 500, 503] {
        server.sent();
        server.then(status, GOOD);
        let error = client.refresh("r3fresh", None).await.unwrap_err();
        let TokenEndpointError::Refused(refusal) = &error else { panic!("{}", shown(&error)) };
        assert_eq!((refusal.status().as_u16(), refusal.code()), (status, None));
        server.only();
    }
}

#[tokio::test]
async fn a_refusal_says_its_status_a_known_code_and_when_to_ask_again() {
    let (server, client) = at(post());
    for (status, headers, body, code, wait, text) in [
        (400, &[][..], r#"{"error":"invalid_grant"}"#, Some("invalid_grant"), None, "400 Bad Request invalid_grant"),
        (400, &[], r#"{"error":"invalid_target"}"#, Some("invalid_target"), None, "400 Bad Request invalid_target"),
        (400, &[], r#"{"error":"s3cret"}"#, None, None, "400 Bad Request without an error code"),
        (400, &[], r#"["invalid_grant"]"#, None, None, "400 Bad Request without an error code"),
        (429, &[("retry-after", "7")], "", None, Some(7), "429 Too Many Requests without an error code"),
        (503, &[("retry-after", "9000")], "s3cret", None, Some(300), "503 Service Unavailable without an error code"),
        (400, &[("retry-after", "7")], "", None, None, "400 Bad Request without an error code"),
    ] {
        server.then_with(status, headers, body).then_with(status, headers, body);
        let granted = client.client_credentials(None).await.map(drop);
        for outcome in [granted, client.revoke("t0ken", None).await] {
            let error = outcome.unwrap_err();
            assert_eq!(shown(&error), format!("the endpoint answered {text}"));
            let TokenEndpointError::Refused(refusal) = &error else { panic!("{error:?}") };
            assert_eq!((refusal.code(), refusal.retry_after().map(|wait| wait.as_secs())), (code, wait), "{body}");
            assert_eq!(refusal.description(), None);
        }
    }
    server.then(400, r#"{"error":"invalid_client","error_description":"not s3cret"}"#);
    let error = client.client_credentials(None).await.unwrap_err();
    assert_eq!(shown(&error), "the endpoint answered 400 Bad Request invalid_client");
    let TokenEndpointError::Refused(refusal) = error else { panic!("{error:?}") };
    assert_eq!(refusal.description(), Some("not s3cret"), "for whoever knows what to do with it");
    assert!(!format!("{refusal} {refusal:?} {refusal:#?}").contains("s3cret"));
}

#[tokio::test]
async fn a_token_is_revoked_by_200_whatever_else_is_said_and_by_nothing_else() {
    let (server, client) = at(post());
    let who = [("client_id", "c"), ("client_secret", "s3cret")];
    for (hint, sent) in [
        (None, &[][..]),
        (Some(TokenTypeHint::AccessToken), &[("token_type_hint", "access_token")]),
        (Some(TokenTypeHint::RefreshToken), &[("token_type_hint", "refresh_token")]),
    ] {
        for body in ["", "{}", r#"{"error":"invalid_request"}"#, "OK"] {
            server.then(200, body);
            client.revoke("t0ken&x=1", hint).await.unwrap();
            let request = server.only();
            assert_eq!(request.line, format!("POST {REVOKE}"));
            assert_eq!(request.form(), pairs(&[&[("token", "t0ken&x=1")][..], sent, &who].concat()));
        }
    }
    server.then(400, r#"{"error":"unsupported_token_type"}"#).then_with(503, &[("retry-after", "3")], "");
    let error = client.revoke("t0ken", None).await.unwrap_err();
    assert!(matches!(&error, TokenEndpointError::Refused(why) if why.code() == Some("unsupported_token_type")));
    let error = client.revoke("t0ken", None).await.unwrap_err();
    assert!(
        matches!(&error, TokenEndpointError::Refused(why) if why.retry_after() == Some(Duration::from_secs(3))),
        "{error:?}"
    );
    for status in [201, 202, 204, 302, 401, 500] {
        server.then(status, "");
        assert!(matches!(client.revoke("t0ken", None).await, Err(TokenEndpointError::Refused(_))), "{status}");
    }
    let connection = Connection::over(server.clone());
    let without = TokenClient::at(TOKEN, post()).start(&connection).unwrap();
    server.sent();
    let error = without.revoke("t0ken", None).await.unwrap_err();
    assert_eq!(shown(&error), "no revocation endpoint is configured");
    assert_eq!(server.sent().len(), 0);
}
