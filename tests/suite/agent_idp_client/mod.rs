//! Methods of an [`AgentIdpClient`] → the requests of AgentIdP's document, and what each of its answers comes to.

mod preset;

use std::{error::Error, time::Duration};

use portcullis::{
    clock::UnixTime,
    issuer::{Connection, EndpointError},
    outbound::TokenEndpointError,
    providers::agent_idp::{AgentIdp, AgentIdpClient, AgentIdpError, Introspected, scopes},
    testing::ManualClock,
};

use crate::scripted::Scripted;

const AGENT: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
const SECRET: &str = "s3cret &+%é";
const ISSUED: &str =
    r#"{"access_token":"t0ken.of.agent","token_type":"Bearer","expires_in":3600,"scope":"agents:read agents:write"}"#;
/// Never to be seen in an error or a `Debug`.
const SECRETS: [&str; 4] = ["s3cret", "t0ken", "a1b2c3d4", "agents:"];

const WRONG_SECRET: &str = r#"{"error":"invalid_client","error_description":"Client authentication failed. Invalid client_id or client_secret."}"#;
const SUSPENDED: &str =
    r#"{"error":"unauthorized_client","error_description":"Agent is currently suspended and cannot obtain tokens."}"#;
const LIMIT: &str = r#"{"error":"unauthorized_client","error_description":"Free tier monthly token limit of 10,000 requests has been reached."}"#;
const GRANT_TYPE: &str =
    r#"{"error":"unsupported_grant_type","error_description":"Only 'client_credentials' grant type is supported."}"#;

fn world() -> (Scripted, ManualClock, AgentIdpClient) {
    let (server, clock) = (Scripted::default(), ManualClock::new());
    let connection = Connection::over(server.clone()).clock(clock.clone());
    let client = AgentIdp::at("http://localhost:3000").unwrap().client(AGENT, SECRET, &connection).unwrap();
    (server, clock, client)
}

fn pairs(form: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut form: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    form.sort();
    form
}

/// The error in a word, and nothing secret in any text of it.
#[track_caller]
fn word(error: &AgentIdpError) -> String {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let texts = format!("{error} {error:?} {error:#?}");
        assert!(!SECRETS.iter().any(|secret| texts.contains(secret)), "{texts}");
        next = error.source();
    }
    let seconds = |wait: &Option<Duration>| wait.map_or("-".into(), |wait| wait.as_secs().to_string());
    match error {
        AgentIdpError::InvalidClient => "invalid client".into(),
        AgentIdpError::Suspended => "suspended".into(),
        AgentIdpError::MonthlyLimitReached { resets_at } => format!("limit until {resets_at}"),
        AgentIdpError::UnauthorizedClient => "unauthorized client".into(),
        AgentIdpError::UnsupportedGrantType => "unsupported grant type".into(),
        AgentIdpError::InvalidScope => "invalid scope".into(),
        AgentIdpError::RateLimited { retry_after } => format!("busy {}", seconds(retry_after)),
        AgentIdpError::Unauthorized => "unauthorized".into(),
        AgentIdpError::Forbidden => "forbidden".into(),
        AgentIdpError::Server { status, retry_after } => format!("server {} {}", status.as_u16(), seconds(retry_after)),
        AgentIdpError::Refused { status, code } => format!("refused {} {}", status.as_u16(), code.unwrap_or("-")),
        AgentIdpError::Malformed(_) => "malformed".into(),
        AgentIdpError::NoAnswer(_) => "no answer".into(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_document_says_and_comes_with_all_that_it_says() {
    let (server, _, client) = world();
    let who = [("grant_type", "client_credentials"), ("client_id", AGENT), ("client_secret", SECRET)];
    for (asked, sent) in [
        (None, &[][..]),
        (Some(&[scopes::AGENTS_READ, scopes::AGENTS_WRITE][..]), &[("scope", "agents:read agents:write")]),
        (Some(&[scopes::TOKENS_READ]), &[("scope", "tokens:read")]),
        (
            Some(&scopes::ALL),
            &[("scope", "agents:read agents:write tokens:read audit:read webhooks:read webhooks:write admin:orgs")],
        ),
    ] {
        server.then(200, ISSUED);
        let issued = client.issue(asked).await.unwrap();
        let request = server.only();
        assert_eq!(request.line, "POST http://localhost:3000/api/v1/token");
        assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(request.form(), pairs(&[&who[..], sent].concat()));
        assert_eq!(request.authorization(), None);
        let said = (issued.access_token(), issued.token_type(), issued.expires_in(), issued.scope());
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(said, ("t0ken.of.agent", "Bearer", hour, Some("agents:read agents:write")));
    }
    // The bytes: a space and what looks like syntax are encoded, and so is what is not ASCII.
    server.then(200, ISSUED);
    client.issue(Some(&["a:b", "c"])).await.unwrap();
    assert!(server.only().body.ends_with(&format!("client_id={AGENT}&client_secret=s3cret+%26%2B%25%C3%A9")));
    // No scope is not all scopes.
    for nothing in [&[][..], &[""], &["a b c", ""], &["agents:read\n"]] {
        assert_eq!(word(&client.issue(Some(nothing)).await.unwrap_err()), "invalid scope");
    }
    assert_eq!(server.sent().len(), 0);
}

#[tokio::test]
async fn each_refusal_of_the_document_is_told_apart_and_nothing_is_asked_twice() {
    let (server, clock, client) = world();
    // 2030-03-17, and the first of April.
    assert_eq!(clock.now().wall(), UnixTime::from_secs(1_900_000_000));
    let wait = &[("retry-after", "7")][..];
    let unauthorized = |text: &str| format!(r#"{{"error":"unauthorized_client","error_description":"{text}"}}"#);
    for (status, headers, body, expected) in [
        (401, &[][..], WRONG_SECRET.to_owned(), "invalid client"),
        (403, &[], SUSPENDED.to_owned(), "suspended"),
        (403, &[], LIMIT.to_owned(), "limit until 1901232000"),
        (400, &[], GRANT_TYPE.to_owned(), "unsupported grant type"),
        (400, &[], r#"{"error":"invalid_scope"}"#.to_owned(), "invalid scope"),
        // Words that say the same another way, and such as say something else.
        (400, &[], r#"{"error":"invalid_client"}"#.to_owned(), "invalid client"),
        (403, &[], unauthorized("SUSPENDED"), "suspended"),
        (403, &[], unauthorized("Agent was suspended: limit"), "suspended"),
        (400, &[], unauthorized("Monthly Limit"), "limit until 1901232000"),
        (403, &[], unauthorized("Agent is decommissioned."), "unauthorized client"),
        (403, &[], unauthorized(""), "unauthorized client"),
        (403, &[], r#"{"error":"unauthorized_client"}"#.to_owned(), "unauthorized client"),
        (
            403,
            &[],
            r#"{"error":"unauthorized_client","error_description":["limit"]}"#.to_owned(),
            "unauthorized client",
        ),
        (403, &[], r#"{"error":"forbidden","error_description":"suspended"}"#.to_owned(), "forbidden"),
        (401, &[], r#"{"error":"t0ken"}"#.to_owned(), "unauthorized"),
        (401, &[], String::new(), "unauthorized"),
        (400, &[], r#"{"error":"invalid_request"}"#.to_owned(), "refused 400 invalid_request"),
        (404, &[], "s3cret".to_owned(), "refused 404 -"),
        (302, wait, WRONG_SECRET.to_owned(), "refused 302 invalid_client"),
        (201, &[], ISSUED.to_owned(), "refused 201 -"),
        // Who is busy or in trouble says nothing else, whatever it writes.
        (429, &[], String::new(), "busy -"),
        (429, wait, LIMIT.to_owned(), "busy 7"),
        (500, wait, WRONG_SECRET.to_owned(), "server 500 -"),
        (503, wait, String::new(), "server 503 7"),
        (408, &[], String::new(), "server 408 -"),
        (200, &[], "{}".to_owned(), "malformed"),
        (200, &[], WRONG_SECRET.to_owned(), "malformed"),
        (200, &[], ISSUED.replace("Bearer", "DPoP"), "malformed"),
    ] {
        server.then_with(status, headers, body.clone());
        assert_eq!(word(&client.issue(None).await.unwrap_err()), expected, "{status} {body}");
        server.only();
        // The same of the Bearer that introspection needs: no question without it.
        let (server, _, client) = world();
        server.then_with(status, headers, body.clone());
        for outcome in [client.introspect("t0ken").await.map(drop), client.introspect("t0ken").await.map(drop)] {
            assert_eq!(word(&outcome.unwrap_err()), expected, "own Bearer: {status} {body}");
        }
        assert_eq!(server.only().line, "POST http://localhost:3000/api/v1/token", "not asked again so soon");
    }
    let error = client.issue(None).await.unwrap_err();
    assert_eq!(word(&error), "no answer");
    assert!(matches!(error, AgentIdpError::NoAnswer(TokenEndpointError::Transport(_))));
    assert_eq!(server.sent().len(), 1);
}

#[tokio::test]
async fn a_month_is_over_when_the_next_begins() {
    let (server, clock, client) = world();
    for (now, resets_at) in [
        // 2026-12-31T23:59:59Z, 2027-01-01T00:00:00Z, 2028-02-29T12:00:00Z.
        (1_798_761_599, 1_798_761_600),
        (1_798_761_600, 1_801_440_000),
        (1_835_438_400, 1_835_481_600),
    ] {
        clock.step_wall_to(UnixTime::from_secs(now));
        server.then(403, LIMIT);
        assert_eq!(word(&client.issue(None).await.unwrap_err()), format!("limit until {resets_at}"));
    }
}

#[tokio::test]
async fn introspection_is_asked_with_a_bearer_that_may_read_tokens() {
    let (server, clock, client) = world();
    let active = format!(
        r#"{{"active":true,"sub":"{AGENT}","client_id":"{AGENT}","scope":"agents:read agents:write","token_type":"Bearer","iat":1743151200,"exp":1743154800}}"#
    );
    server.then(200, ISSUED).then(200, active.clone());
    let token = client.introspect("t0ken to check").await.unwrap().active().unwrap();
    let times = (token.issued_at().as_secs(), token.expires_at().as_secs());
    assert_eq!((token.subject(), token.client_id()), (AGENT, AGENT));
    assert_eq!((token.scope(), times), ("agents:read agents:write", (1_743_151_200, 1_743_154_800)));
    let [own, asked] = server.sent().try_into().unwrap();
    let who = [("grant_type", "client_credentials"), ("client_id", AGENT), ("client_secret", SECRET)];
    assert_eq!((&*own.line, own.authorization()), ("POST http://localhost:3000/api/v1/token", None));
    assert_eq!(own.form(), pairs(&[&who[..], &[("scope", "tokens:read")]].concat()));
    assert_eq!(asked.line, "POST http://localhost:3000/api/v1/token/introspect");
    assert_eq!((&*asked.body, asked.authorization()), ("token=t0ken+to+check", Some("Bearer t0ken.of.agent")));

    server.then(200, r#"{"active":false}"#);
    assert!(matches!(client.introspect("t0ken").await, Ok(Introspected::Inactive)));
    assert_eq!(server.sent().len(), 1, "the Bearer is kept");
    // Refused: a new one, once.
    server.then(401, "").then(200, ISSUED.replace("t0ken", "n3w")).then(200, active);
    let shown = format!("{:?}", client.introspect("t0ken").await.unwrap());
    assert!(!SECRETS.iter().any(|secret| shown.contains(secret)), "{shown}");
    let bearers: Vec<_> = server.sent().iter().map(|sent| sent.authorization().map(str::to_owned)).collect();
    assert_eq!(bearers, [Some("Bearer t0ken.of.agent".into()), None, Some("Bearer n3w.of.agent".into())]);
    server.then(401, "");
    assert_eq!(word(&client.introspect("t0ken").await.unwrap_err()), "unauthorized");
    assert_eq!(server.sent().len(), 1, "a new one was refused too soon after the old");
    // Over after an hour.
    clock.advance(Duration::from_secs(3600));
    server.then(200, ISSUED).then(200, r#"{"active":false}"#);
    client.introspect("t0ken").await.unwrap();
    assert_eq!(server.sent().len(), 2);
}

#[tokio::test]
async fn only_an_object_that_says_so_in_every_word_is_an_active_token() {
    let (server, _, client) = world();
    server.then(200, ISSUED);
    let whole = r#""sub":"a","client_id":"a","scope":"x","iat":1,"exp":2"#;
    for (body, expected) in [
        (format!(r#"{{"active":true,{whole}}}"#), "active"),
        (format!(r#" {{"active":true,{whole},"token_type":"Bearer","more":[{{}}]}}"#), "active"),
        (format!(r#"{{"active":false,{whole}}}"#), "inactive"),
        (r#"{"active":false}"#.into(), "inactive"),
        (r#"{"active":false,"active":false}"#.into(), "malformed"),
        (format!(r#"{{"active":false,"active":true,{whole}}}"#), "malformed"),
        (format!(r#"{{"active":"true",{whole}}}"#), "malformed"),
        (format!(r#"{{"active":1,{whole}}}"#), "malformed"),
        (format!(r#"{{"active":null,{whole}}}"#), "malformed"),
        (format!(r#"{{"valid":true,{whole}}}"#), "malformed"),
        (format!(r#"{{{whole}}}"#), "malformed"),
        (r#"{"active":true}"#.into(), "malformed"),
        (r#"[true,"a","a","x",1,2]"#.into(), "malformed"),
        ("true".into(), "malformed"),
        (String::new(), "malformed"),
        (format!(r#"{{"active":true,{whole},"sub":"b"}}"#), "malformed"),
        (format!(r#"{{"active":true,{}}}"#, whole.replace("\"sub\":\"a\"", "\"sub\":7")), "malformed"),
        (format!(r#"{{"active":true,{}}}"#, whole.replace("\"exp\":2", "\"exp\":\"2\"")), "malformed"),
        (format!(r#"{{"active":true,{}}}"#, whole.replace("\"iat\":1", "\"iat\":-1")), "malformed"),
        (format!(r#"{{"active":true,{}}}"#, whole.replace("\"iat\":1", "\"iat\":null")), "malformed"),
    ] {
        server.then(200, body.clone());
        let said = match client.introspect("t0ken").await {
            Ok(Introspected::Active(_)) => "active".into(),
            Ok(_) => "inactive".into(),
            Err(error) => word(&error),
        };
        assert_eq!(said, expected, "{body}");
    }
    for member in ["sub", "client_id", "scope", "iat", "exp"] {
        server.then(200, format!(r#"{{"active":true,{}}}"#, whole.replace(&format!("\"{member}\""), "\"other\"")));
        assert_eq!(word(&client.introspect("t0ken").await.unwrap_err()), "malformed", "{member}");
    }
    server.then(200, format!(r#"{{"active":false,"more":"{}"}}"#, "x".repeat(65_536)));
    assert_eq!(word(&client.introspect("t0ken").await.unwrap_err()), "no answer");
}

#[tokio::test]
async fn a_token_is_revoked_with_a_bearer_that_has_all_that_the_agent_has() {
    let (server, _, client) = world();
    server.then(200, ISSUED).then(200, "{}").then(200, "{}");
    client.revoke("t0ken to revoke").await.unwrap();
    client.revoke("t0ken to revoke").await.expect("it is no error to revoke it again");
    let [own, first, second] = server.sent().try_into().unwrap();
    let who = [("grant_type", "client_credentials"), ("client_id", AGENT), ("client_secret", SECRET)];
    assert_eq!(own.form(), pairs(&who));
    for request in [first, second] {
        assert_eq!(request.line, "POST http://localhost:3000/api/v1/token/revoke");
        assert_eq!((&*request.body, request.authorization()), ("token=t0ken+to+revoke", Some("Bearer t0ken.of.agent")));
    }
    for (status, body, expected) in [
        (403, r#"{"error":"insufficient_scope"}"#, "forbidden"),
        (403, "", "forbidden"),
        (429, "", "busy -"),
        (503, "", "server 503 -"),
        (404, "", "refused 404 -"),
        (204, "", "refused 204 -"),
        (400, r#"{"error":"unsupported_token_type"}"#, "refused 400 unsupported_token_type"),
    ] {
        server.then(status, body);
        assert_eq!(word(&client.revoke("t0ken").await.unwrap_err()), expected, "{status} {body}");
        assert_eq!(server.sent().len(), 1);
        // Introspection is answered alike, but for its own Bearer.
        let (other, _, client) = world();
        other.then(200, ISSUED).then(status, body);
        assert_eq!(word(&client.introspect("t0ken").await.unwrap_err()), expected, "introspection: {status} {body}");
    }
    server.then(401, "").then(200, ISSUED).then(200, "{}");
    client.revoke("t0ken").await.unwrap();
    assert_eq!(server.sent().len(), 3, "with a new Bearer");
}

#[test]
fn an_agent_idp_is_where_it_is_said_to_be_or_it_is_an_error() {
    let issuer = |base: &str| format!("{:?}", AgentIdp::at(base).unwrap().client_credentials("a", "s3cret"));
    for base in [
        "http://localhost:3000",
        "http://localhost:3000/",
        "http://localhost:3000/api/v1",
        "http://localhost:3000/api/v1/",
        "HTTP://LOCALHOST:3000",
    ] {
        let shown = issuer(base);
        assert!(shown.contains("Url(http://localhost:3000/api/v1/token)"), "{base}: {shown}");
        assert!(!shown.contains("s3cret"));
    }
    assert!(issuer("https://idp.example/tenant/").contains("Url(https://idp.example/tenant/api/v1/token)"));
    for (bad, expected) in [
        ("http://idp.example", "must be https"),
        ("localhost:3000", "not an absolute"),
        ("", "not an absolute"),
        ("/api/v1", "not an absolute"),
        ("https://idp.example?key=s3cret", "must not carry a query"),
        ("https://idp.example/?", "must not carry a query"),
        ("https://idp.example#x", "must not carry a user name"),
        ("https://user:s3cret@idp.example", "must not carry a user name"),
    ] {
        let error: EndpointError = AgentIdp::at(bad).unwrap_err();
        assert!(error.to_string().contains(expected) && !format!("{error:?}").contains("s3cret"), "{bad}: {error}");
    }
    let connection = Connection::over(Scripted::default());
    let idp = AgentIdp::at("http://localhost:3000").unwrap();
    for (id, secret) in [("", "s3cret"), ("a", ""), ("a", "s3cret\n"), ("a\n", "s3cret")] {
        let error = idp.client(id, secret, &connection).unwrap_err();
        assert!(!format!("{error:?} {:?}", error.source()).contains("s3cret"), "{error:?}");
    }
    let client = idp.client("agent", "s3cret", &connection).unwrap();
    assert!(!format!("{client:?}").contains("s3cret"));
}
