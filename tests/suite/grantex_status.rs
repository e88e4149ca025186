//! Whether Grantex stands by a token, asked through the layer: what answers mean, and what silence costs.

use std::time::Duration;

use http::StatusCode;
use portcullis::{Algorithm, Authorizer, Issuer, Requirement, status::StatusSource, testing::ManualClock};
use serde_json::{Value, json};

use crate::grantex::{FakeGrantex, Says, answer, ask, authorizer, busy, legacy, standard};

/// An authorizer that asks one of the two routes.
struct World {
    fake: FakeGrantex,
    clock: ManualClock,
    authorizer: Authorizer,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Route {
    Verify,
    Status,
}

impl World {
    async fn new(route: Route) -> Self {
        let (fake, clock) = (FakeGrantex::default(), ManualClock::new());
        let client = fake.client(&clock);
        let authorizer = authorizer(&fake, &clock, |issuer: Issuer| match route {
            Route::Verify => issuer.status_source(client.verification()),
            Route::Status => issuer.status_source(client.revocation_status()),
        });
        let authorizer = authorizer.await;
        Self { fake, clock, authorizer }
    }

    /// What a request is answered, and how long that took. Each has a token of its own, so that nothing is remembered.
    async fn ask(&self, token: String) -> (StatusCode, Duration) {
        let (started, authorizer) = (self.clock.now().monotonic(), self.authorizer.clone());
        let asked = tokio::spawn(async move { ask(&authorizer, Requirement::authenticated(), &token).await });
        for _ in 0..1000 {
            self.clock.settle().await;
            if asked.is_finished() {
                break;
            }
            self.clock.advance(Duration::from_millis(50));
        }
        (asked.await.unwrap().0, self.clock.now().monotonic() - started)
    }
}

fn valid(change: impl FnOnce(&mut Value)) -> String {
    let mut said = json!({
        "valid": true, "grantId": "grnt_1", "scopes": ["calendar:read", "payments:initiate:max_500"],
        "principal": "user_1", "agent": "did:grantex:ag_1", "expiresAt": "2030-03-17T18:46:40.000Z",
    });
    change(&mut said);
    said.to_string()
}

fn active(change: impl FnOnce(&mut Value)) -> String {
    let mut said = json!({
        "status": "active", "revoked": false, "grantId": "grnt_1", "jti": "tok_1", "expiresAt": null,
        "checkedAt": "2030-03-17T17:46:40.000Z",
    });
    change(&mut said);
    said.to_string()
}

#[tokio::test]
async fn each_question_is_sent_as_the_sdks_send_it_and_its_answer_kept() {
    for token in [legacy(), standard(Algorithm::ES256)] {
        let token = token.claim("grnt", "grnt_1").build();
        let world = World::new(Route::Verify).await;
        world.fake.says([answer(200, valid(|_| {}))]);
        for _ in 0..3 {
            assert_eq!(world.ask(token.clone()).await.0, 200);
        }
        let calls = world.fake.calls();
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].line, "POST http://127.0.0.1:3001/v1/tokens/verify");
        assert_eq!(calls[0].body, json!({ "token": token }).to_string());
    }
    let world = World::new(Route::Status).await;
    world.fake.says([answer(200, active(|_| {}))]);
    assert_eq!(world.ask(legacy().build()).await.0, 200);
    let odd = legacy().claim("grnt", "a&b c").claim("jti", "é/#").build();
    assert_eq!(world.ask(odd).await.0, 401, "what was said is of another token");
    let calls = world.fake.calls();
    assert_eq!(calls[0].line, "GET http://127.0.0.1:3001/v1/revocations/status?grantId=grnt_1&jti=tok_1");
    assert_eq!(calls[1].line, "GET http://127.0.0.1:3001/v1/revocations/status?grantId=a%26b%20c&jti=%C3%A9%2F%23");
    assert!(calls.iter().all(|call| call.body.is_empty() && call.headers.contains_key("authorization")));
}

#[tokio::test]
async fn only_what_is_plainly_said_of_this_token_lets_it_pass() {
    let set = |name: &'static str, value: Value| move |said: &mut Value| said[name] = value;
    let verify = [
        (valid(|_| {}), 200),
        (r#"{"valid":true}"#.to_owned(), 200),
        (r#"{"valid":false}"#.to_owned(), 401),
        (valid(set("valid", json!(false))), 401),
        (valid(set("grantId", json!("grnt_2"))), 401),
        (valid(set("agent", json!("did:grantex:ag_2"))), 401),
        (valid(set("agent", json!("ag_1"))), 401),
        (valid(set("principal", json!("user_2"))), 401),
        (valid(set("expiresAt", json!("2030-03-17T17:46:09Z"))), 401),
        (valid(set("grantId", json!(null))), 503),
        (valid(set("valid", json!("true"))), 503),
        (valid(set("scopes", json!(["a b"]))), 503),
        (valid(set("expiresAt", json!("soon"))), 503),
        ("{}".to_owned(), 503),
        ("<html>".to_owned(), 503),
    ];
    let status = [
        (active(|_| {}), 200),
        (r#"{"status":"active","revoked":false}"#.to_owned(), 200),
        (active(set("status", json!("revoked"))), 401),
        (active(set("revoked", json!(true))), 401),
        (r#"{"status":"revoked","revoked":true}"#.to_owned(), 401),
        (r#"{"status":"suspended","revoked":true}"#.to_owned(), 401),
        (r#"{"status":"expired","revoked":true}"#.to_owned(), 401),
        (r#"{"status":"unknown","revoked":true}"#.to_owned(), 401),
        (r#"{"status":"unknown","revoked":false}"#.to_owned(), 401),
        (active(set("grantId", json!("grnt_2"))), 401),
        (active(set("jti", json!("tok_2"))), 401),
        (active(set("status", json!("Active"))), 503),
        (active(set("status", json!("resumed"))), 503),
        (active(set("status", json!(null))), 503),
        (active(set("revoked", json!("false"))), 503),
        (r#"{"status":"active"}"#.to_owned(), 503),
        (r#"{"revoked":false}"#.to_owned(), 503),
        (r#"["active",false,null,null]"#.to_owned(), 503),
        (r#"{"status":"revoked","status":"active","revoked":false}"#.to_owned(), 503),
        (String::new(), 503),
    ];
    let rows = verify.map(|row| (Route::Verify, row)).into_iter().chain(status.map(|row| (Route::Status, row)));
    for (route, (body, expected)) in rows {
        let world = World::new(route).await;
        world.fake.says([answer(200, &body)]);
        assert_eq!(world.ask(legacy().build()).await.0, expected, "{route:?} {body}");
    }
}

#[tokio::test]
async fn no_other_status_lets_a_token_pass_and_trouble_is_no_word_on_it() {
    let good = |route| if route == Route::Verify { valid(|_| {}) } else { active(|_| {}) };
    for route in [Route::Verify, Route::Status] {
        for code in [201, 202, 204, 206, 301, 304, 400, 401, 402, 403, 404, 405, 408, 410, 422, 429, 500, 502, 503, 504]
        {
            let world = World::new(route).await;
            world.fake.says([answer(code, good(route))]);
            assert_eq!(world.ask(legacy().build()).await.0, 503, "{route:?} {code}");
        }
        for silence in [Says::Nothing, Says::TooMuch] {
            let world = World::new(route).await;
            world.fake.says([silence.clone()]);
            assert_eq!(world.ask(legacy().build()).await.0, 503, "{route:?} {silence:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_costs_a_short_timeout_and_then_nothing() {
    for route in [Route::Verify, Route::Status] {
        let world = World::new(route).await;
        world.fake.says([Says::Hangs]);
        let (status, took) = world.ask(legacy().build()).await;
        assert_eq!(status, 503);
        assert!(took <= Duration::from_millis(2500), "{took:?}");
        let (_, took) = world.ask(legacy().build()).await;
        assert!(took <= Duration::from_millis(2500), "{took:?}");
        // Five attempts went unanswered: nobody waits any more.
        let (status, took) = world.ask(legacy().build()).await;
        assert_eq!((status, took), (StatusCode::SERVICE_UNAVAILABLE, Duration::ZERO));
    }
}

#[tokio::test]
async fn a_server_that_is_too_busy_is_left_alone_for_as_long_as_it_says() {
    let world = World::new(Route::Verify).await;
    world.fake.says([busy(429, 47)]);
    assert_eq!(world.ask(legacy().build()).await.0, 503);
    assert_eq!(world.fake.calls().len(), 1, "429 is not asked again at once");
    world.fake.says([answer(200, valid(|_| {}))]);
    world.clock.advance(Duration::from_secs(40));
    assert_eq!(world.ask(legacy().build()).await.0, 503);
    assert!(world.fake.calls().is_empty());
    world.clock.advance(Duration::from_secs(60));
    world.clock.settle().await;
    assert_eq!(world.ask(legacy().build()).await.0, 200);
}

#[tokio::test]
async fn scopes_that_the_server_took_back_are_not_held_any_more() {
    let world = World::new(Route::Verify).await;
    world.fake.says([answer(200, valid(|said| said["scopes"] = json!(["calendar:read", "admin"])))]);
    let token = legacy().build();
    for (scope, expected) in [("calendar:read", 200), ("payments:initiate:max_500", 403), ("admin", 403)] {
        let (status, _) = ask(&world.authorizer, Requirement::scope(scope), &token).await;
        assert_eq!(status, expected, "{scope}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_on_the_next_request_where_a_route_asks_each_time() {
    let world = World::new(Route::Verify).await;
    let token = legacy().build();
    world.fake.says([answer(200, valid(|_| {})), answer(200, valid(|_| {})), answer(200, r#"{"valid":false}"#)]);
    let payments = || Requirement::scope("payments:initiate:max_500").status_on_every_request();
    for expected in [200, 200, 401] {
        assert_eq!(ask(&world.authorizer, payments(), &token).await.0, expected);
    }
    assert_eq!(world.fake.calls().len(), 3);
}

#[test]
fn answers_to_one_key_are_not_given_to_another_and_no_key_is_told_threat_29() {
    let (fake, clock) = (FakeGrantex::default(), ManualClock::new());
    let client =
        |base, key| portcullis::providers::grantex::GrantexClient::new(base, key, fake.connection(&clock)).unwrap();
    let (one, other) = ("key-of-one-0123456", "key-of-other-01234");
    let of = |base, key| {
        let client = client(base, key);
        let shown = format!("{:?} {:?}", client.verification(), client.revocation_status());
        [client.verification().identity(), client.revocation_status().identity(), shown]
    };
    let identities = [of("https://a.example", one), of("https://a.example", other), of("https://b.example", one)];
    let mut all: Vec<_> = identities.iter().flat_map(|of| &of[..2]).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6);
    assert_eq!(of("https://a.example/", one)[0], identities[0][0]);
    assert!(identities.iter().flatten().all(|text| !text.contains("key-of")), "{identities:?}");
}
