//! `examples/agent_idp`, killed in the middle of a thousand requests: what it had answered still holds.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use http::StatusCode;
use portcullis::clock::{Clock, SystemClock};
use serde_json::Value;
use tokio::task::JoinSet;

use super::service::{Credentials, Dir, FORM, Service, encoded};
use crate::process::within;

/// Of each kind in a round: so many tokens are asked for, so many revoked, all at once.
const CALLS: usize = 500;
/// So many tokens nobody touches.
const UNTOUCHED: usize = 50;
const LIMIT: usize = 600;
/// After how many answers it is killed, round by round.
const KILLED_AFTER: [usize; 3] = [50, 300, 700];

/// A token, and whether it must be active.
struct Known {
    token: String,
    /// `None` where nobody can know: its revocation was asked for and not answered.
    active: Option<bool>,
}

/// What a call came to.
enum Outcome {
    Issued(String),
    Revoked(String),
    /// Not answered; the token that was to be revoked, if any.
    Lost(Option<String>),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_forgotten_when_it_is_killed() {
    let dir = Dir::new("idp-crash");
    let limit = LIMIT.to_string();
    let variables = [("DATA_DIR", dir.path()), ("MONTHLY_LIMIT", limit.as_str())];
    let mut service = Service::start(&variables).await;
    let admin = service.admin();
    let mut known: Vec<Known> = Vec::new();
    let mut all_lost = 0;
    for (round, killed_after) in KILLED_AFTER.into_iter().enumerate() {
        let by = service.token(&admin).await;
        let [issuing, revoking] =
            [service.create(&by, &["agents:read"]).await, service.create(&by, &["agents:read"]).await];
        let tokens = Mutex::new(Vec::new());
        at_once(&[(); CALLS + UNTOUCHED], async |()| {
            let token = service.token(&revoking).await;
            tokens.lock().unwrap().push(token);
        })
        .await;
        let mut tokens = tokens.into_inner().unwrap();
        known.extend(tokens.split_off(CALLS).into_iter().map(|token| Known { token, active: Some(true) }));

        let outcomes = storm(&mut service, &issuing, tokens, killed_after).await;
        let (mut issued, mut revoked, mut lost) = (0, 0, 0);
        for outcome in outcomes {
            let (token, active) = match outcome {
                Outcome::Issued(token) => (token, Some(true)),
                Outcome::Revoked(token) => (token, Some(false)),
                Outcome::Lost(Some(token)) => (token, None),
                Outcome::Lost(None) => {
                    lost += 1;
                    continue;
                }
            };
            match active {
                Some(true) => issued += 1,
                Some(false) => revoked += 1,
                None => lost += 1,
            }
            known.push(Known { token, active });
        }
        println!("round {round}: {issued} issued, {revoked} revoked, {lost} not answered");
        assert!(issued > 0 && revoked > 0, "it was killed too early");
        all_lost += lost;

        service = Service::start(&variables).await;
        let by = service.token(&admin).await;
        at_once(&known, async |Known { token, active: expected }| {
            let Some(expected) = *expected else { return };
            assert_eq!(service.is_active(&by, token).await, expected, "round {round}");
            let status = service.get("/api/v1/agents", token).await.status;
            assert_eq!(status == StatusCode::OK, expected, "round {round}: {status}");
        })
        .await;
        // What is left of the month says how many were counted.
        let left = AtomicUsize::new(0);
        at_once(&[(); LIMIT], async |()| {
            if service.ask_token(&issuing, &[]).await.status == StatusCode::OK {
                left.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await;
        let counted = LIMIT - left.into_inner();
        assert!((issued..=CALLS).contains(&counted), "round {round}: {counted} counted, {issued} answered");
    }
    assert!(all_lost > 0, "it was never killed in the middle");
}

/// Does something with each, a few at a time.
async fn at_once<T>(items: &[T], what: impl AsyncFn(&T)) {
    let next = AtomicUsize::new(0);
    let one = async || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            what(item).await;
        }
    };
    tokio::join!(one(), one(), one(), one(), one(), one(), one(), one());
}

/// Everything at once, until the service is killed after that many answers.
async fn storm(service: &mut Service, issuing: &Credentials, tokens: Vec<String>, killed_after: usize) -> Vec<Outcome> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let [issued, revoked] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let mut calls = JoinSet::new();
    let request = |path: &str, parameters: &[(&str, &str)]| {
        client.post(format!("{}{path}", service.url)).header(FORM.0, FORM.1).body(encoded(parameters))
    };
    for token in tokens {
        let revocation = request("/api/v1/token/revoke", &[("token", &token)]).bearer_auth(&token);
        let counted = Arc::clone(&revoked);
        calls.spawn(async move {
            match answered(revocation, &counted).await {
                Some(_) => Outcome::Revoked(token),
                None => Outcome::Lost(Some(token)),
            }
        });
        let who = [("client_id", issuing.id.as_str()), ("client_secret", &issuing.secret)];
        let issue = request("/api/v1/token", &[&[("grant_type", "client_credentials")], &who[..]].concat());
        let counted = Arc::clone(&issued);
        calls.spawn(async move {
            match answered(issue, &counted).await {
                Some(body) => Outcome::Issued(body["access_token"].as_str().unwrap().to_owned()),
                None => Outcome::Lost(None),
            }
        });
    }
    within("the answers before it is killed", async {
        let count = |answers: &AtomicUsize| answers.load(Ordering::Relaxed);
        while count(&issued) == 0 || count(&revoked) == 0 || count(&issued) + count(&revoked) < killed_after {
            SystemClock::new().sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
    service.kill().await;
    within("the end of all calls", calls.join_all()).await
}

/// The body of a good answer; `None` where there is none, or not all of it.
async fn answered(request: reqwest::RequestBuilder, answers: &AtomicUsize) -> Option<Value> {
    let response = request.send().await.ok()?;
    let status = response.status();
    let text = response.text().await.ok()?;
    assert_eq!(status, StatusCode::OK, "{text}");
    answers.fetch_add(1, Ordering::Relaxed);
    Some(serde_json::from_str(&text).unwrap())
}
