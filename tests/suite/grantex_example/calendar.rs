//! The calendar API behind our layer: exact scopes, and what was taken back, by the feed and by asking, over real HTTP.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    extract::Request,
    middleware::{Next, from_fn},
    response::IntoResponse,
};
use http::{Method, StatusCode};
use portcullis::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{ApiKey, BOTH, Generation, Held, KEY, Service, api, text};
use crate::process::{Api, within};

/// Service and API on a free port, and how often each path was asked.
pub struct Shop {
    pub url: String,
    client: reqwest::Client,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    /// The next answer of this path is lost on its way.
    pub lost: Arc<Mutex<&'static str>>,
}

/// What a request came to.
struct Answer {
    status: StatusCode,
    challenge: String,
    json: Value,
}

impl Shop {
    pub async fn open(generation: Generation) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = ApiKey::new(KEY.to_owned()).unwrap();
        let service = Service::new(url.clone(), key, generation, Arc::new(SystemClock::new())).unwrap();
        let api = api::router(&url, service.api_key().as_str()).unwrap();
        let (asked, lost): (Arc<Mutex<HashMap<_, _>>>, Arc<Mutex<&str>>) = Default::default();
        let between = {
            let (asked, lost) = (Arc::clone(&asked), Arc::clone(&lost));
            move |request: Request, next: Next| {
                let (asked, lost) = (Arc::clone(&asked), Arc::clone(&lost));
                async move {
                    let path = request.uri().path().to_owned();
                    *asked.lock().unwrap().entry(path.clone()).or_default() += 1;
                    let answer = next.run(request).await;
                    if path != *lost.lock().unwrap() {
                        return answer;
                    }
                    *lost.lock().unwrap() = "";
                    (StatusCode::BAD_GATEWAY, [("retry-after", "0")]).into_response()
                }
            }
        };
        let router = service.router().merge(api).layer(from_fn(between));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url, client, asked, lost }
    }

    pub fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    async fn send(&self, method: Method, path: &str, bearer: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        within(path, async {
            let response = request.send().await.unwrap();
            let status = response.status();
            let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
            let bytes = response.bytes().await.unwrap();
            let json = serde_json::from_slice(&bytes).unwrap_or_default();
            Answer { status, challenge: challenge.unwrap_or_default(), json }
        })
        .await
    }

    pub async fn tell(&self, method: Method, path: &str, body: &Value) -> Value {
        let answer = self.send(method, path, Some(KEY), Some(body)).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.json);
        answer.json
    }

    pub async fn grant(&self, changes: Value) -> Held {
        let post = async |path: &str, body: Value| self.tell(Method::POST, path, &body).await;
        let agent = text(&post("/v1/agents", json!({ "name": "assistant" })).await, "agentId");
        let mut wanted = json!({
            "agentId": agent, "principalId": "user_1", "scopes": ["calendar:read", "payments:initiate:max_500"],
        });
        wanted.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let code = text(&post("/v1/authorize", wanted).await, "code");
        let json = post("/v1/token", json!({ "code": code, "agentId": agent })).await;
        held(&agent, &json)
    }

    pub async fn delegate(&self, parent: &Held) -> Held {
        let agent = text(&self.tell(Method::POST, "/v1/agents", &json!({ "name": "helper" })).await, "agentId");
        let body = json!({ "parentGrantToken": parent.token, "subAgentId": agent, "scopes": ["calendar:read"] });
        held(&agent, &self.tell(Method::POST, "/v1/grants/delegate", &body).await)
    }

    async fn change(&self, held: &Held, verb: &str) {
        self.tell(Method::POST, &format!("/v1/grants/{}/{verb}", held.grant), &json!({})).await;
    }

    pub async fn revoke(&self, held: &Held) {
        self.tell(Method::DELETE, &format!("/v1/grants/{}", held.grant), &json!({})).await;
    }

    async fn events(&self, token: &str) -> Answer {
        self.send(Method::GET, "/calendar/events", Some(token), None).await
    }

    async fn pay(&self, token: &str) -> Answer {
        self.send(Method::POST, "/payments", Some(token), None).await
    }

    /// Until the calendar answers so. A cached word about the token is overruled by the feed alone.
    async fn until(&self, held: &Held, status: StatusCode) {
        within("the feed", async {
            while self.events(&held.token).await.status != status {
                SystemClock::new().sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

fn held(agent: &str, json: &Value) -> Held {
    let [grant, token, refresh_token] = ["grantId", "grantToken", "refreshToken"].map(|name| text(json, name));
    Held { agent: agent.to_owned(), grant, token, refresh_token }
}

#[track_caller]
fn assert_invalid(what: &str, answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {}", answer.json);
    assert!(answer.challenge.contains("error=\"invalid_token\""), "{what}: {}", answer.challenge);
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_say_to_the_letter() {
    for generation in BOTH {
        let shop = Shop::open(generation).await;
        let both = shop.grant(json!({})).await;
        let actor = json!({
            "agent": format!("did:grantex:{}", both.agent), "grant": both.grant,
            "developer": super::part(&both.token, 1)["dev"], "delegationDepth": 0, "parentGrant": null,
        });
        let answer = shop.events(&both.token).await;
        assert_eq!((answer.status, &answer.json["actor"]), (StatusCode::OK, &actor));
        assert_eq!(answer.json["events"][0]["title"], "Dentist");
        let answer = shop.pay(&both.token).await;
        let paid = json!({ "status": "accepted", "principal": "user_1", "actor": actor });
        assert_eq!((answer.status, answer.json), (StatusCode::OK, paid));

        for scopes in [
            &["calendar:write"][..],
            &["calendar"],
            &["Calendar:read", "calendar:read:x"],
            &["payments:initiate", "payments:initiate:max_5", "payments:initiate:max_5000", "payments"],
        ] {
            let other = shop.grant(json!({ "scopes": scopes })).await;
            for (answer, scope) in [
                (shop.events(&other.token).await, "calendar:read"),
                (shop.pay(&other.token).await, "payments:initiate:max_500"),
            ] {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{scopes:?}");
                let challenge = format!("scope=\"{scope}\"");
                assert!(answer.challenge.contains("insufficient_scope"), "{}", answer.challenge);
                assert!(answer.challenge.contains(&challenge), "{}", answer.challenge);
            }
        }
        let answer = shop.send(Method::GET, "/calendar/events", None, None).await;
        assert_eq!(
            (answer.status, answer.challenge.as_str()),
            (StatusCode::UNAUTHORIZED, "Bearer scope=\"calendar:read\"")
        );
        assert_invalid("the key is no token", &shop.events(KEY).await);
        assert_eq!(shop.send(Method::GET, "/payments", Some(&both.token), None).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    for generation in BOTH {
        let shop = Shop::open(generation).await;
        let own = shop.grant(json!({ "audience": shop.url })).await;
        assert_eq!(shop.events(&own.token).await.status, StatusCode::OK);
        for audience in ["https://other.example", &format!("{}/", shop.url), &format!("{}0", shop.url)] {
            let other = shop.grant(json!({ "audience": audience })).await;
            assert_invalid(audience, &shop.events(&other.token).await);
        }
        let stranger = Shop::open(generation).await.grant(json!({})).await;
        assert_invalid("of another service", &shop.events(&stranger.token).await);
    }
}

#[tokio::test]
async fn the_feed_says_what_was_taken_back_and_nobody_is_asked() {
    for generation in BOTH {
        let shop = Shop::open(generation).await;
        let [single, parent, suspended] =
            [shop.grant(json!({})).await, shop.grant(json!({})).await, shop.grant(json!({})).await];
        let child = shop.delegate(&parent).await;
        let grandchild = shop.delegate(&child).await;
        for held in [&single, &parent, &child, &grandchild, &suspended] {
            assert_eq!(shop.events(&held.token).await.status, StatusCode::OK);
        }
        shop.tell(Method::POST, "/v1/tokens/revoke", &json!({ "jti": single.jti() })).await;
        shop.until(&single, StatusCode::UNAUTHORIZED).await;
        shop.revoke(&parent).await;
        for held in [&parent, &child, &grandchild] {
            shop.until(held, StatusCode::UNAUTHORIZED).await;
            assert_invalid("revoked", &shop.events(&held.token).await);
        }
        shop.change(&suspended, "suspend").await;
        shop.until(&suspended, StatusCode::UNAUTHORIZED).await;
        shop.change(&suspended, "resume").await;
        shop.until(&suspended, StatusCode::OK).await;
        assert_eq!(shop.asked("/v1/tokens/verify"), 0, "{:?}", shop.asked.lock().unwrap());
        assert_eq!(shop.asked("/v1/revocations/stream"), 1);
    }
}

#[tokio::test]
async fn each_payment_is_asked_about_and_the_first_after_a_revocation_is_refused() {
    for generation in BOTH {
        let shop = Shop::open(generation).await;
        let held = shop.grant(json!({})).await;
        for asked in 1..=3 {
            assert_eq!(shop.pay(&held.token).await.status, StatusCode::OK);
            assert_eq!(shop.asked("/v1/tokens/verify"), asked);
        }
        for round in 0..20 {
            let held = shop.grant(json!({})).await;
            assert_eq!(shop.pay(&held.token).await.status, StatusCode::OK);
            if round % 2 == 0 {
                shop.revoke(&held).await;
            } else {
                shop.tell(Method::POST, "/v1/tokens/revoke", &json!({ "jti": held.jti() })).await;
            }
            assert_invalid("at once", &shop.pay(&held.token).await);
        }
    }
}

#[tokio::test]
async fn the_example_serves_both_on_one_port() {
    let api = Api::start_example("grantex", &[]).await;
    let shop = Shop {
        url: api.url().to_owned(),
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
        asked: Arc::default(),
        lost: Arc::default(),
    };
    // The very first request, and no 503.
    let held = shop.grant(json!({})).await;
    assert_eq!(shop.events(&held.token).await.status, StatusCode::OK);
    assert_eq!(shop.pay(&held.token).await.status, StatusCode::OK);
    shop.revoke(&held).await;
    assert_invalid("a payment", &shop.pay(&held.token).await);
    shop.until(&held, StatusCode::UNAUTHORIZED).await;
    let end = api.stop("TERM").await;
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    for secret in [&*held.token, &held.refresh_token, KEY, &held.jti(), "user_1"] {
        assert!(!end.stderr.contains(secret), "{secret} in the log");
    }
}
