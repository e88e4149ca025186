//! `examples/grantex` before a client: the service in process and on a clock moved by hand, and the example as a process.

#[path = "../../../examples/grantex/api.rs"]
mod api;
mod calendar;
mod claims;
mod delegation;
mod external;
mod feed;
mod fields;
mod process;
mod refresh;
mod refusals;
#[path = "../../../examples/grantex/service/mod.rs"]
mod service;
mod stream;
mod walk;
mod webhooks;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use portcullis::testing::ManualClock;
use serde_json::{Value, json};
use tower::ServiceExt;

use self::service::{ApiKey, Generation, Service};
use crate::process::within;

pub const URL: &str = "http://127.0.0.1:3001";
pub const KEY: &str = "sandbox-api-key-local";
pub const BOTH: [Generation; 2] = [Generation::Legacy, Generation::Current];

/// The token service on a clock that stands still.
pub struct World {
    pub clock: ManualClock,
    pub service: Service,
    router: Router,
}

/// What a request came to. Without a body, or with another than JSON, `json` is null.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub json: Value,
}

/// A grant and its first token, as an agent holds them.
pub struct Held {
    pub agent: String,
    pub grant: String,
    pub token: String,
    pub refresh_token: String,
}

impl World {
    pub fn new(generation: Generation) -> Self {
        let clock = ManualClock::new();
        let key = ApiKey::new(KEY.to_owned()).unwrap();
        let service = Service::new(URL.to_owned(), key, generation, Arc::new(clock.clone())).unwrap();
        Self { clock, router: service.router(), service }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    /// The same with more headers.
    pub async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// A request of the developer's.
    pub fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {KEY}"))
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.open(request).await.into_parts();
        let bytes = within("the body", body.collect()).await.unwrap().to_bytes();
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, json }
    }

    /// An answer whose body is still to be read.
    pub async fn open(&self, request: Request<Body>) -> http::Response<Body> {
        within("the answer", self.router.clone().oneshot(request)).await.unwrap()
    }

    pub async fn agent(&self) -> String {
        let answer = self.post("/v1/agents", &json!({ "name": "assistant" })).await;
        text(&answer.json, "agentId")
    }

    /// A code for `agent`, which is asked for with `changes` to what is usual.
    pub async fn code(&self, agent: &str, changes: &Value) -> String {
        let mut body = json!({ "agentId": agent, "principalId": "user_1", "scopes": ["calendar:read", "email:send"] });
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let answer = self.post("/v1/authorize", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        text(&answer.json, "code")
    }

    /// A grant of an agent of its own.
    pub async fn grant(&self, changes: &Value) -> Held {
        let agent = self.agent().await;
        let code = self.code(&agent, changes).await;
        let answer = self.post("/v1/token", &json!({ "code": code, "agentId": agent })).await;
        Held::new(&agent, &answer)
    }

    /// A grant for a new sub-agent, of the first scope.
    pub async fn delegate(&self, parent: &Held) -> Held {
        let agent = self.agent().await;
        let body = json!({ "parentGrantToken": parent.token, "subAgentId": agent, "scopes": ["calendar:read"] });
        Held::new(&agent, &self.post("/v1/grants/delegate", &body).await)
    }

    pub async fn refresh(&self, held: &Held, key: Option<&str>) -> Answer {
        let body = json!({ "refreshToken": held.refresh_token, "agentId": held.agent });
        let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        self.post_with("/v1/token/refresh", &body, &headers).await
    }

    pub async fn is_valid(&self, token: &str) -> bool {
        let answer = self.post("/v1/tokens/verify", &json!({ "token": token })).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.json["valid"].as_bool().unwrap()
    }

    pub async fn status_of(&self, held: &Held) -> String {
        text(&self.get(&format!("/v1/grants/{}", held.grant)).await.json, "status")
    }

    /// What the feed has told since then: action, and the grant or token it is about.
    pub async fn told(&self, since: u64) -> Vec<(String, String)> {
        let answer = self.get(&format!("/v1/revocations?since={since}")).await;
        actions(&answer.json)
    }

    pub async fn cursor(&self) -> u64 {
        self.get("/v1/revocations").await.json["cursor"].as_u64().unwrap()
    }

    /// Lets time pass.
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Held {
    /// From the answer that brought them.
    pub fn new(agent: &str, answer: &Answer) -> Self {
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let [grant, token, refresh_token] =
            ["grantId", "grantToken", "refreshToken"].map(|name| text(&answer.json, name));
        Self { agent: agent.to_owned(), grant, token, refresh_token }
    }

    pub fn jti(&self) -> String {
        text(&part(&self.token, 1), "jti")
    }
}

/// The entries of an answer of the feed: the action, and the `jti` or else the grant.
pub fn actions(json: &Value) -> Vec<(String, String)> {
    let entries = json["entries"].as_array().expect("entries");
    entries
        .iter()
        .map(|entry| {
            let name = if entry["jti"].is_null() { "grantId" } else { "jti" };
            (text(entry, "action"), text(entry, name))
        })
        .collect()
}

/// So many seconds after the clock's start, as the wire has it.
pub fn iso(after: u64) -> String {
    let at = ManualClock::START.saturating_add(Duration::from_secs(after)).as_secs();
    let at = time::OffsetDateTime::from_unix_timestamp(at.try_into().unwrap()).unwrap();
    at.format(&time::format_description::well_known::Rfc3339).unwrap().replace('Z', ".000Z")
}

pub fn text(json: &Value, name: &str) -> String {
    json[name].as_str().unwrap_or_else(|| panic!("{name} in {json}")).to_owned()
}

/// A part of a token, as JSON.
pub fn part(token: &str, position: usize) -> Value {
    crate::external::part(token, position)
}

/// The names of an object's members, in order.
pub fn names(json: &Value) -> Vec<&str> {
    json.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[track_caller]
pub fn assert_refused(what: &str, answer: &Answer, status: u16, code: &str, message: &str) {
    assert_eq!(answer.status.as_u16(), status, "{what}: {answer:?}");
    assert_eq!(answer.json["code"], code, "{what}");
    assert_eq!(answer.json["message"], message, "{what}");
    assert_eq!(names(&answer.json), ["code", "message", "requestId"], "{what}");
    assert_eq!(text(&answer.json, "requestId").len(), 36, "{what}");
}
