//! An event → a signed delivery to whoever registered for it, tried again for a while where it fails.
//!
//! The real service looks for events every 30 seconds; this one sends them at once. The order is not promised.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::hmac;
use axum::{Json, extract::State, http::StatusCode};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use portcullis::clock::{Clock, UnixTime};
use reqwest::{Body, Client, Url, redirect::Policy};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    Generation, Service,
    answers::Refusal,
    book::Event,
    ids,
    request::{Members, Named},
    time::iso,
};

/// What can be registered for.
const KINDS: [&str; 3] = ["grant.created", "grant.revoked", "token.issued"];

/// Seconds until the next attempt; after the last one, a delivery is given up.
const RETRIES: [u64; 5] = [30, 60, 120, 240, 480];

/// For how long a receiver may think.
const TIMEOUT: Duration = Duration::from_secs(10);

const MAX_WEBHOOKS: usize = 100;

/// More deliveries than these are not kept waiting: a receiver that is gone must not fill the memory.
const MAX_PENDING: usize = 10_000;

/// So many connections to one receiver at a time: one that hangs must not use up what the service can open.
const AT_ONCE: usize = 4;

/// Everybody who wants to be told.
pub(crate) struct Webhooks {
    registered: Mutex<HashMap<String, Webhook>>,
    client: Client,
    clock: Arc<dyn Clock>,
    pending: Arc<Semaphore>,
}

struct Webhook {
    url: Url,
    kinds: Vec<&'static str>,
    secret: String,
    /// Closed when it is removed.
    turns: Arc<Semaphore>,
}

/// What is sent, however often.
struct Delivery {
    client: Client,
    clock: Arc<dyn Clock>,
    generation: Generation,
    url: Url,
    secret: String,
    turns: Arc<Semaphore>,
    body: Bytes,
}

pub(crate) async fn register(
    State(service): State<Service>,
    members: Members,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let (Some(text), Some(list)) = (members.text("url", 2048), members.list("events")) else {
        return Err(Refusal::bad_request("url and events are required"));
    };
    let known = |kind: &Value| KINDS.into_iter().find(|known| kind.as_str() == Some(known));
    let kinds: Option<Vec<_>> = list.iter().map(known).collect();
    let kinds = kinds.ok_or(Refusal::bad_request(format!("Invalid event types. Valid: {}", KINDS.join(", "))))?;
    let url = Url::parse(text).ok().filter(is_allowed);
    let url = url.ok_or(Refusal::bad_request("url must be https, or http on loopback, without user information"))?;

    let now = service.now();
    let (id, secret) = (ids::new("wh_", now), hex(&ids::random::<24>()));
    let mut registered = service.0.webhooks.registered();
    if registered.len() >= MAX_WEBHOOKS {
        let message = format!("Plan limit reached: {MAX_WEBHOOKS} webhook(s)");
        return Err(Refusal::new(StatusCode::PAYMENT_REQUIRED, "PLAN_LIMIT_EXCEEDED", message));
    }
    let answer = json!({ "id": id, "url": text, "events": kinds, "secret": secret, "createdAt": iso(now) });
    registered.insert(id, Webhook { url, kinds, secret, turns: Arc::new(Semaphore::new(AT_ONCE)) });
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(crate) async fn remove(State(service): State<Service>, Named(id): Named) -> Result<StatusCode, Refusal> {
    let removed = service.0.webhooks.registered().remove(&id);
    removed.ok_or(Refusal::not_found("Webhook not found"))?.turns.close();
    Ok(StatusCode::NO_CONTENT)
}

/// Nobody gets this service to speak plain HTTP to a machine that only it can reach.
fn is_allowed(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_named = !url.username().is_empty() || url.password().is_some();
    !is_named && (url.scheme() == "https" || url.scheme() == "http" && is_loopback)
}

impl Webhooks {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> reqwest::Result<Self> {
        // No redirects: where a receiver sends us was not checked. No proxy: none leads to loopback.
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .user_agent("Grantex-Webhooks/0.1")
            .build()?;
        let pending = Arc::new(Semaphore::new(MAX_PENDING));
        Ok(Self { registered: Mutex::default(), client, clock, pending })
    }

    /// Sends an event to everybody who registered for it, in the background.
    pub(crate) fn announce(&self, event: &Event, generation: Generation, now: UnixTime) {
        let body = json!({
            "id": ids::new("evt_", now), "type": event.kind, "createdAt": iso(now), "data": event.data,
        });
        let body = Bytes::from(body.to_string());
        for webhook in self.registered().values().filter(|webhook| webhook.kinds.contains(&event.kind)) {
            let Ok(permit) = self.pending.clone().try_acquire_owned() else {
                tracing::warn!("{MAX_PENDING} deliveries are waiting; a {} is not sent", event.kind);
                return;
            };
            let delivery = Delivery {
                client: self.client.clone(),
                clock: Arc::clone(&self.clock),
                generation,
                url: webhook.url.clone(),
                secret: webhook.secret.clone(),
                turns: Arc::clone(&webhook.turns),
                body: body.clone(),
            };
            #[expect(clippy::disallowed_methods, reason = "an example has no module for tasks")]
            tokio::spawn(async move {
                delivery.make().await;
                drop(permit);
            });
        }
    }

    fn registered(&self) -> MutexGuard<'_, HashMap<String, Webhook>> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    async fn make(&self) {
        for wait in RETRIES.into_iter().map(Some).chain([None]) {
            let is_delivered = match self.turns.acquire().await {
                Ok(_turn) => self.attempt().await,
                // It was removed.
                Err(_) => return,
            };
            match wait {
                Some(wait) if !is_delivered => self.clock.sleep(Duration::from_secs(wait)).await,
                _ => return,
            }
        }
    }

    /// Signed anew each time: the time of sending is part of the signature.
    async fn attempt(&self) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        let timestamp = self.clock.now().wall().to_string();
        let mut signed = timestamp.clone().into_bytes();
        signed.push(b'.');
        signed.extend_from_slice(&self.body);
        let signature = |message: &[u8]| format!("sha256={}", hex(hmac::sign(&key, message).as_ref()));
        let body = match self.generation {
            // Its length is not said, and so it goes in chunks.
            Generation::Legacy => {
                let frame = Ok::<_, Infallible>(Frame::data(self.body.clone()));
                Body::wrap(StreamBody::new(futures_util::stream::iter([frame])))
            }
            Generation::Current => Body::from(self.body.clone()),
        };
        let request = self.client.post(self.url.clone()).header("content-type", "application/json");
        let request = request
            .header("x-grantex-signature", signature(&self.body))
            .header("x-grantex-signature-v2", signature(&signed))
            .header("x-grantex-timestamp", timestamp);
        request.body(body).send().await.is_ok_and(|response| response.status().is_success())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
