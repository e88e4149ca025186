//! Grantex's client against a server that says what it is told to: bytes, retries, errors, and no secret anywhere.

use std::time::Duration;

use http::StatusCode;
use portcullis::{
    providers::grantex::{ExchangeRequest, GrantTokens, GrantexClient, GrantexError, Verification},
    testing::ManualClock,
};
use serde_json::{Value, json};

use crate::grantex::{Call, FakeGrantex, KEY, Says, answer, busy};

const SECOND: Duration = Duration::from_secs(1);

pub struct World {
    pub fake: FakeGrantex,
    clock: ManualClock,
    pub client: GrantexClient,
}

pub fn world(answers: impl IntoIterator<Item = Says>) -> World {
    let (fake, clock) = (FakeGrantex::default(), ManualClock::new());
    fake.says(answers);
    World { client: fake.client(&clock), fake, clock }
}

impl World {
    /// What a call comes to, how long it took by the clock, and what was sent for it.
    async fn call<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, GrantexError>> + Send + 'static,
    ) -> (Result<T, GrantexError>, Duration, Vec<Call>) {
        let started = self.clock.now().monotonic();
        let call = tokio::spawn(call);
        for _ in 0..10_000 {
            self.clock.settle().await;
            if call.is_finished() {
                break;
            }
            self.clock.advance(Duration::from_millis(50));
        }
        (call.await.unwrap(), self.clock.now().monotonic() - started, self.fake.calls())
    }

    pub async fn exchange(&self) -> (Result<GrantTokens, GrantexError>, Duration, Vec<Call>) {
        let client = self.client.clone();
        let request =
            ExchangeRequest::new("c0de", "ag_1").code_verifier("v3rifier").redirect_uri("https://a.example/cb");
        self.call(async move { client.exchange(request).await }).await
    }

    pub async fn refresh(&self, token: &'static str) -> (Result<GrantTokens, GrantexError>, Duration, Vec<Call>) {
        let client = self.client.clone();
        self.call(async move { client.refresh(token, "ag_1").await }).await
    }

    pub async fn verify(&self) -> (Result<Verification, GrantexError>, Duration, Vec<Call>) {
        let client = self.client.clone();
        self.call(async move { client.verify("t.o.ken").await }).await
    }

    pub async fn revoke(&self) -> (Result<(), GrantexError>, Duration, Vec<Call>) {
        let client = self.client.clone();
        self.call(async move { client.revoke("tok_1").await }).await
    }
}

pub fn tokens() -> Value {
    json!({
        "grantToken": "gr.ant.token", "expiresAt": "2030-03-17T18:46:40.123Z", "scopes": ["calendar:read", "a:b:max_500"],
        "refreshToken": "ref_2", "grantId": "grnt_1", "verifiableCredential": null, "agentPassportId": "x",
    })
}

pub fn refused(status: u16, message: &str, code: &str) -> Says {
    answer(status, json!({ "message": message, "code": code, "requestId": "r-1" }))
}

#[tokio::test]
async fn each_call_is_sent_as_the_sdks_send_it() {
    let world = world([answer(201, tokens())]);
    let sent = |call: &Call| (call.line.clone(), String::from_utf8(call.body.to_vec()).unwrap());
    let mut calls = vec![world.exchange().await.2.remove(0)];
    calls.push(world.refresh("ref_1").await.2.remove(0));
    world.fake.says([answer(200, json!({ "valid": false }))]);
    calls.push(world.verify().await.2.remove(0));
    world.fake.says([answer(204, "")]);
    calls.push(world.revoke().await.2.remove(0));
    let expected = [
        (
            "POST http://127.0.0.1:3001/v1/token",
            json!({ "code": "c0de", "agentId": "ag_1", "codeVerifier": "v3rifier", "redirectUri": "https://a.example/cb" }),
        ),
        ("POST http://127.0.0.1:3001/v1/token/refresh", json!({ "refreshToken": "ref_1", "agentId": "ag_1" })),
        ("POST http://127.0.0.1:3001/v1/tokens/verify", json!({ "token": "t.o.ken" })),
        ("POST http://127.0.0.1:3001/v1/tokens/revoke", json!({ "jti": "tok_1" })),
    ];
    for (call, (line, body)) in calls.iter().zip(expected) {
        let (sent_line, sent_body) = sent(call);
        assert_eq!((sent_line.as_str(), serde_json::from_str::<Value>(&sent_body).unwrap()), (line, body));
        let header = |name: &str| call.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("authorization"), Some(format!("Bearer {KEY}")));
        assert_eq!(header("accept").as_deref(), Some("application/json"));
        assert_eq!(header("content-type").as_deref(), Some("application/json"));
        assert!(header("user-agent").unwrap().starts_with("portcullis/"));
        assert_eq!(header("idempotency-key").is_some(), line.ends_with("/refresh"), "{line}");
        assert_eq!(call.headers.len(), if line.ends_with("/refresh") { 5 } else { 4 });
    }
    let plain = ExchangeRequest::new("c0de", "ag_1");
    world.fake.says([answer(200, tokens())]);
    world.client.exchange(plain).await.unwrap();
    assert_eq!(sent(&world.fake.calls()[0]).1, r#"{"agentId":"ag_1","code":"c0de"}"#);
}

#[tokio::test]
async fn what_may_pass_is_tried_four_times_and_pauses_grow() {
    let passing = [answer(429, ""), answer(502, ""), answer(503, ""), answer(504, ""), Says::Nothing];
    for trouble in &passing {
        // Half a second to a second, one to two, two to four: never less, never more.
        let world = world([trouble.clone()]);
        let (outcome, took, calls) = world.verify().await;
        assert!(outcome.is_err());
        assert_eq!(calls.len(), 4, "{trouble:?}");
        assert!((Duration::from_millis(3500)..=SECOND * 8).contains(&took), "{trouble:?} {took:?}");
        world.fake.says([trouble.clone(), trouble.clone(), trouble.clone(), answer(200, r#"{"valid":false}"#)]);
        assert_eq!(world.verify().await.0.unwrap(), Verification::Invalid, "{trouble:?}");
    }
    for status in [200, 201, 204, 301, 304, 400, 401, 402, 403, 404, 408, 409, 410, 422, 500, 501, 505] {
        let world = world([answer(status, "")]);
        let (outcome, took, calls) = world.verify().await;
        assert!(outcome.is_err(), "{status}");
        assert_eq!((calls.len(), took), (1, Duration::ZERO), "{status}");
    }
    let world = world([Says::TooMuch]);
    let (outcome, _, calls) = world.verify().await;
    assert!(matches!(outcome, Err(GrantexError::Transport(_))) && calls.len() == 1, "it would be as large again");
}

#[tokio::test]
async fn a_server_says_when_to_come_again() {
    let fine = || answer(200, r#"{"valid":false}"#);
    for (after, expected) in [(0, Some(0)), (47, Some(47)), (120, Some(120)), (121, Some(120)), (300, Some(120))] {
        let world = world([busy(429, after), fine()]);
        let (outcome, took, calls) = world.verify().await;
        assert_eq!(outcome.ok().map(|_| took.as_secs()), expected, "{after}");
        assert_eq!(calls.len(), 2);
    }
    // Three times 47 seconds fit into the patience of 150; a fourth attempt does, and no more.
    let busy_world = world([busy(429, 47)]);
    let (outcome, took, calls) = busy_world.verify().await;
    assert_eq!((took.as_secs(), calls.len()), (141, 4));
    let Err(GrantexError::RateLimited(refusal)) = outcome else { panic!("{outcome:?}") };
    assert_eq!((refusal.retry_after(), refusal.status()), (Some(SECOND * 47), StatusCode::TOO_MANY_REQUESTS));
    // A second wait of 80 seconds would not.
    let (outcome, took, calls) = world([busy(503, 80)]).verify().await;
    assert_eq!((took.as_secs(), calls.len()), (80, 2));
    assert_eq!(outcome.unwrap_err().refusal().unwrap().retry_after(), Some(SECOND * 80));
    let hasty = World { client: busy_world.client.clone().patience(SECOND * 10), ..busy_world };
    let (_, took, calls) = hasty.verify().await;
    assert_eq!((took, calls.len()), (Duration::ZERO, 1));
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_timeout_and_no_more() {
    let world = world([Says::Hangs]);
    let (outcome, took, calls) = world.verify().await;
    assert!(matches!(outcome, Err(GrantexError::Transport(_))));
    assert_eq!(calls.len(), 4);
    // Four timeouts of five seconds, and the pauses.
    assert!((SECOND * 23..=SECOND * 29).contains(&took), "{took:?}");
    let (_, took, calls) = world.exchange().await;
    assert_eq!((took, calls.len()), (SECOND * 5, 1));
}

#[tokio::test]
async fn a_code_is_exchanged_once_whatever_comes() {
    for trouble in [answer(429, ""), busy(429, 1), answer(502, ""), answer(503, ""), answer(504, ""), Says::Nothing] {
        let (outcome, took, calls) = world([trouble.clone(), answer(201, tokens())]).exchange().await;
        assert!(outcome.is_err(), "{trouble:?}");
        assert_eq!((took, calls.len()), (Duration::ZERO, 1), "{trouble:?}");
    }
}

#[tokio::test]
async fn a_refresh_is_the_same_to_the_server_however_often_it_is_asked() {
    let key = |call: &Call| call.headers["idempotency-key"].to_str().unwrap().to_owned();
    let lossy = world([Says::Nothing, answer(502, ""), busy(503, 1), answer(201, tokens())]);
    let (outcome, _, calls) = lossy.refresh("ref_1").await;
    assert_eq!(outcome.unwrap().refresh_token(), "ref_2");
    assert_eq!(calls.len(), 4);
    let first = key(&calls[0]);
    assert!(calls.iter().all(|call| key(call) == first && call.body == calls[0].body));
    // Another client, as after a crash, and the same refresh token.
    let again = world([answer(201, tokens())]);
    assert_eq!(key(&again.refresh("ref_1").await.2[0]), first);
    assert_ne!(key(&again.refresh("ref_2").await.2[0]), first);
    let form: Vec<_> = first.split('-').map(str::len).collect();
    assert_eq!(form, [8, 4, 4, 4, 12]);
    assert!(first[14..].starts_with('8') && first[19..].starts_with('8'), "a UUID of version 8: {first}");
    assert!(!first.contains("ref"));
}

#[tokio::test]
async fn a_token_is_revoked_or_unknown_and_a_lost_answer_is_made_up_for() {
    let unknown = || refused(404, "Token not found or already revoked", "NOT_FOUND");
    let rows = [
        ("revoked", vec![answer(204, "")], "ok", 1),
        ("unknown", vec![unknown()], "unknown", 1),
        // The attempt that was lost may have been the one.
        ("lost, then unknown", vec![Says::Nothing, unknown()], "ok", 2),
        ("lost in between, then unknown", vec![answer(502, ""), unknown()], "ok", 2),
        ("late in between, then unknown", vec![answer(504, ""), unknown()], "ok", 2),
        ("lost, then refused, then unknown", vec![Says::Nothing, answer(429, ""), unknown()], "ok", 3),
        // A server that says that it did nothing did nothing.
        ("refused, then unknown", vec![answer(429, ""), unknown()], "unknown", 2),
        ("down, then unknown", vec![answer(503, ""), unknown()], "unknown", 2),
        ("200 is no revocation", vec![answer(200, "{}")], "refused", 1),
        ("202 is no revocation", vec![answer(202, "")], "refused", 1),
        ("bad request", vec![refused(400, "jti is required", "BAD_REQUEST")], "refused", 1),
        ("wrong key", vec![refused(401, "Invalid API key", "UNAUTHORIZED")], "unauthorized", 1),
        ("lost for good", vec![Says::Nothing], "no answer", 4),
    ];
    for (what, answers, expected, asked) in rows {
        let (outcome, _, calls) = world(answers).revoke().await;
        assert_eq!((word(&outcome), calls.len()), (expected, asked), "{what}");
    }
}

pub fn word<T>(outcome: &Result<T, GrantexError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(GrantexError::UnknownToken(_)) => "unknown",
        Err(GrantexError::Refused(_)) => "refused",
        Err(GrantexError::Unauthorized(_)) => "unauthorized",
        Err(GrantexError::RateLimited(_)) => "rate limited",
        Err(GrantexError::Transport(_)) => "no answer",
        Err(_) => "another",
    }
}
