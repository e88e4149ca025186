//! Methods of a [`TokenClient`] → what is sent, when, and how often.

mod answers;

use std::{error::Error, time::Duration};

use portcullis::{
    issuer::{ClientAuthentication, ClientCredentials, Connection},
    outbound::{
        TokenAnswer, TokenClient, TokenClientBuilder, TokenEndpointError, TokenExchange, TokenTypeHint, token_types,
    },
    testing::{ManualClock, TestIssuer},
};

use crate::scripted::Scripted;

const TOKEN: &str = "https://idp.example/token";
const REVOKE: &str = "https://idp.example/revoke";
/// Shown, sent, or answered, and never to be seen.
const SECRETS: [&str; 3] = ["s3cret", "t0ken", "r3fresh"];

fn post() -> ClientAuthentication {
    ClientAuthentication::post("c", "s3cret")
}

fn at(authentication: ClientAuthentication) -> (Scripted, TokenClient) {
    let server = Scripted::default();
    let connection = Connection::over(server.clone()).clock(ManualClock::new());
    let client = TokenClient::at(TOKEN, authentication).revocation_url(REVOKE).start(&connection).unwrap();
    (server, client)
}

/// An error and everything below it, in both forms; it has nothing secret in it.
#[track_caller]
fn shown(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut next) = (error.to_string(), Some(error));
    while let Some(error) = next {
        for secret in SECRETS {
            assert!(!format!("{error} {error:?} {error:#?}").contains(secret), "{error:?}");
        }
        next = error.source();
        if let Some(below) = next {
            text.push_str(&format!(": {below}"));
        }
    }
    text
}

fn pairs(form: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut form: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    form.sort();
    form
}

const GOOD: &str = r#"{"access_token":"t0ken","token_type":"Bearer"}"#;

#[tokio::test]
async fn each_grant_is_one_form_with_what_was_asked_for_and_nothing_else() {
    let (server, client) = at(post());
    let who = [("client_id", "c"), ("client_secret", "s3cret")];
    let exchanged = "urn:ietf:params:oauth:grant-type:token-exchange";
    let exchange = TokenExchange::new("t0ken a&b", token_types::ACCESS_TOKEN);
    let whole = exchange
        .clone()
        .actor("actor", token_types::JWT)
        .resource("https://a.example")
        .resource("https://b.example")
        .audience("a")
        .audience("b")
        .scope("x y")
        .requested_token_type(token_types::JWT)
        .parameter("tenant", "t");
    let subject = [("subject_token", "t0ken a&b"), ("subject_token_type", token_types::ACCESS_TOKEN)];
    let more = [
        ("actor_token", "actor"),
        ("actor_token_type", token_types::JWT),
        ("resource", "https://a.example"),
        ("resource", "https://b.example"),
        ("audience", "a"),
        ("audience", "b"),
        ("scope", "x y"),
        ("requested_token_type", token_types::JWT),
        ("tenant", "t"),
    ];
    (0..6).for_each(|_| {
        server.then(200, GOOD);
    });
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "r3fresh+/=")];
    let own = ("grant_type", "client_credentials");
    client.client_credentials(None).await.unwrap();
    client.client_credentials(Some("a:b c")).await.unwrap();
    client.refresh("r3fresh+/=", None).await.unwrap();
    client.refresh("r3fresh+/=", Some("a")).await.unwrap();
    client.exchange(&exchange).await.unwrap();
    client.exchange(&whole).await.unwrap();
    let expected = [
        [&[own][..], &who].concat(),
        [&[own, ("scope", "a:b c")][..], &who].concat(),
        [&refresh[..], &who].concat(),
        [&refresh[..], &[("scope", "a")], &who].concat(),
        [&[("grant_type", exchanged)][..], &subject, &who].concat(),
        [&[("grant_type", exchanged)][..], &subject, &more, &who].concat(),
    ];
    let sent = server.sent();
    assert_eq!(sent.len(), expected.len());
    for (sent, expected) in sent.iter().zip(expected) {
        assert_eq!(sent.line, format!("POST {TOKEN}"));
        assert_eq!(sent.headers["accept"], "application/json");
        assert_eq!((sent.form(), sent.authorization()), (pairs(&expected), None));
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_not() {
    let (server, client) = at(post());
    let exchange = || TokenExchange::new("t0ken", token_types::JWT);
    for bad in ["", " ", "a  b", "a\"b", "é", "a\nb", "a "] {
        let wrong = |outcome: Result<TokenAnswer, TokenEndpointError>| {
            assert!(matches!(&outcome, Err(TokenEndpointError::Scope(text)) if text == bad), "{bad:?} {outcome:?}");
        };
        wrong(client.client_credentials(Some(bad)).await);
        wrong(client.refresh("r3fresh", Some(bad)).await);
        wrong(client.exchange(&exchange().scope(bad)).await);
    }
    let own = ["grant_type", "subject_token", "subject_token_type", "actor_token", "actor_token_type"];
    for name in own.into_iter().chain(["resource", "audience", "scope", "requested_token_type", "client_secret", ""]) {
        let error = client.exchange(&exchange().parameter(name, "s3cret")).await.unwrap_err();
        assert!(matches!(&error, TokenEndpointError::Parameter(found) if found == name), "{}", shown(&error));
    }
    assert_eq!(server.sent().len(), 0);
}

#[tokio::test]
async fn nothing_is_asked_twice_but_with_a_new_bearer_after_401() {
    // Trouble of every kind, and one request.
    let (server, client) = at(post());
    for status in [400, 401, 403, 408, 429, 500, 502, 503, 504] {
        server.then(status, r#"{"error":"invalid_token"}"#);
        client.client_credentials(None).await.unwrap_err();
        client.refresh("r3fresh", None).await.unwrap_err();
        assert_eq!(server.sent().len(), 2, "{status}, and no answer");
    }
    // A Bearer of our own: got once, shown, refused, got anew.
    let own = ClientAuthentication::client_credentials(ClientCredentials::at("https://sts.example/token", post()));
    let (server, client) = at(own);
    server.then(200, r#"{"access_token":"one","token_type":"Bearer","expires_in":3600}"#).then(200, "");
    client.revoke("t0ken", None).await.unwrap();
    server.then(401, "").then(200, r#"{"access_token":"two","token_type":"Bearer","expires_in":3600}"#).then(200, "");
    client.revoke("t0ken", None).await.unwrap();
    server.then(200, GOOD);
    client.client_credentials(None).await.unwrap();
    let seen: Vec<_> =
        server.sent().iter().map(|sent| (sent.line.clone(), sent.authorization().map(str::to_owned))).collect();
    let (sts, revoke, token) =
        ("POST https://sts.example/token", "POST https://idp.example/revoke", "POST https://idp.example/token");
    let shown = |line: &str, bearer: &str| (line.to_owned(), Some(format!("Bearer {bearer}")));
    let expected = [
        (sts.to_owned(), None),
        shown(revoke, "one"),
        shown(revoke, "one"),
        (sts.to_owned(), None),
        shown(revoke, "two"),
        shown(token, "two"),
    ];
    assert_eq!(seen, expected, "one Bearer for both endpoints");
    // Refused again at once: not a third time.
    server.then(401, "");
    client.revoke("t0ken", None).await.unwrap_err();
    assert_eq!(server.sent().len(), 1);
    // 403 is no word on the Bearer.
    server.then(403, "");
    client.revoke("t0ken", None).await.unwrap_err();
    assert_eq!(server.sent().len(), 1);
}

#[tokio::test]
async fn without_a_bearer_to_show_nothing_is_asked() {
    let own = ClientAuthentication::client_credentials(ClientCredentials::at("https://sts.example/token", post()));
    let (server, client) = at(own);
    server.then(401, r#"{"error":"invalid_client","error_description":"not s3cret"}"#);
    let error = client.client_credentials(None).await.unwrap_err();
    assert!(matches!(error, TokenEndpointError::Credentials(_)));
    assert_eq!(
        shown(&error),
        "no token of our own to show: https://sts.example/token answered 401 Unauthorized invalid_client"
    );
    assert_eq!(server.only().line, "POST https://sts.example/token");
}

#[tokio::test]
async fn every_way_to_show_who_we_are_is_shown() {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://idp.example");
    issuer.register_client("c", "s3cret", ["x", "y"]);
    let key = portcullis::testing::TestKey::generate(portcullis::Algorithm::ES256, "k");
    issuer.register_client_key("k", &key, ["x"]);
    let connection = Connection::over(issuer.transport()).clock(clock);
    let pem = key.private_pem().unwrap();
    let private = portcullis::issuer::PrivateKey::from_pem(portcullis::Algorithm::ES256, pem.as_bytes()).unwrap();
    for authentication in [
        ClientAuthentication::basic("c", "s3cret"),
        ClientAuthentication::post("c", "s3cret"),
        ClientAuthentication::private_key_jwt("k", private),
    ] {
        let by_hand =
            TokenClient::at(issuer.token_url(), authentication.clone()).revocation_url(issuer.revocation_url());
        for builder in [TokenClient::discover(issuer.url(), authentication), by_hand] {
            let client = builder.start(&connection).unwrap();
            let answer = client.client_credentials(Some("x")).await.unwrap();
            assert_eq!((answer.scope(), answer.expires_in()), (Some("x"), Some(Duration::from_secs(3600))));
            client.revoke(answer.access_token(), Some(TokenTypeHint::AccessToken)).await.unwrap();
            assert!(!format!("{client:?}").contains("s3cret"));
        }
    }
    assert_eq!((issuer.asked().token, issuer.asked().revocation, issuer.asked().metadata), (6, 6, 6));
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_the_configured_time() {
    let clock = ManualClock::new();
    let server = Scripted::default();
    let connection = Connection::over(server.clone()).clock(clock.clone()).timeout(Duration::from_secs(2));
    let client = TokenClient::at(TOKEN, post()).start(&connection).unwrap();
    server.then_hang();
    let (outcome, ()) = tokio::join!(client.client_credentials(None), async {
        clock.settle().await;
        clock.advance(Duration::from_millis(1999));
        clock.settle().await;
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_millis(1));
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, TokenEndpointError::TimedOut(time) if time == Duration::from_secs(2)));
    assert_eq!(shown(&error), "no answer within 2s");
}

#[tokio::test]
async fn endpoints_are_those_of_the_metadata_or_the_one_given_by_hand() {
    let clock = ManualClock::new();
    let metadata = r#"{"issuer":"https://idp.example","token_endpoint":"https://idp.example/t"}"#;
    let server = Scripted::default();
    let connection = Connection::over(server.clone()).clock(clock.clone());
    let client = TokenClient::discover("https://idp.example", post()).start(&connection).unwrap();
    assert_eq!(server.sent().len(), 0, "nobody is asked before it is needed");
    server.then(200, metadata).then(200, GOOD);
    client.client_credentials(None).await.unwrap();
    let lines: Vec<_> = server.sent().into_iter().map(|sent| sent.line).collect();
    assert_eq!(lines, ["GET https://idp.example/.well-known/oauth-authorization-server", "POST https://idp.example/t"]);
    // One that says too much is there nevertheless; one that is gone is looked up again.
    clock.advance(Duration::from_secs(5));
    for _ in 0..4 {
        server.then(200, "x".repeat(65_537));
        client.client_credentials(None).await.unwrap_err();
    }
    assert!(server.sent().iter().all(|sent| sent.line == "POST https://idp.example/t"));
    server.then(404, "").then(200, metadata).then(200, GOOD);
    client.client_credentials(None).await.unwrap_err();
    client.client_credentials(None).await.unwrap();
    assert_eq!(server.sent().len(), 3);
    server.then(200, metadata).then(200, metadata);
    let error = client.revoke("t0ken", None).await.unwrap_err();
    assert_eq!(shown(&error), "no endpoint: the issuer's metadata name no revocation_endpoint");
    server.sent();
    let by_hand = TokenClient::discover("https://idp.example", post()).revocation_url(REVOKE);
    server.then(200, "");
    by_hand.start(&connection).unwrap().revoke("t0ken", None).await.unwrap();
    assert_eq!(server.only().line, format!("POST {REVOKE}"));
}

#[test]
fn what_cannot_work_is_told_at_the_start_without_secrets() {
    let connection = Connection::over(Scripted::default());
    let told = |builder: TokenClientBuilder| shown(&builder.start(&connection).unwrap_err());
    for (builder, expected) in [
        (
            TokenClient::at("http://idp.example/token?key=s3cret", post()),
            "not a URL to find the token_endpoint at: \"http://idp.example/token…\" must be https; \
             http is accepted on loopback only",
        ),
        (
            TokenClient::at(TOKEN, post()).revocation_url("/revoke"),
            "not a URL to find the revocation_endpoint at: \"/revoke\" is not an absolute http(s) URL",
        ),
        (
            TokenClient::discover("http://idp.example", post()),
            "not a URL to find the token_endpoint at: \"http://idp.example\" must be https; \
             http is accepted on loopback only",
        ),
        (
            TokenClient::at(TOKEN, ClientAuthentication::post("c", "")),
            "client authentication: the secret of client \"c\" is empty",
        ),
        (
            TokenClient::at(TOKEN, ClientAuthentication::client_credentials(ClientCredentials::discover(post()))),
            "client authentication: discovery of the token endpoint needs an issuer",
        ),
    ] {
        assert!(!format!("{builder:?}").contains("s3cret"));
        assert_eq!(told(builder), expected);
    }
    let client = TokenClient::at(TOKEN, post()).revocation_url(REVOKE).start(&connection).unwrap();
    let who = r#"ClientAuthentication(client_secret_post "c")"#;
    let expected = format!("TokenClient {{ token: {TOKEN:?} as {who}, revocation: Some({REVOKE:?} as {who}) }}");
    assert_eq!(format!("{client:?}"), expected);
    let exchange = TokenExchange::new("t0ken", "urn:a").actor("r3fresh", "urn:b").parameter("assertion", "s3cret");
    let debug = format!("{exchange:?}");
    assert!(debug.contains("urn:b") && !SECRETS.iter().any(|secret| debug.contains(secret)), "{debug}");
}
