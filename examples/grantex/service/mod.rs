//! A configuration → the router of the token service: every route, who may ask, and what they stand on.
//!
//! | | |
//! |---|---|
//! | `routes` | a request → what the book makes of it |
//! | `book` | agents, grants, tokens, what was taken back |
//! | `feed` | the log of that, in order |
//! | `webhooks` | events → signed deliveries |
//! | `keys`, `claims` | a grant → a signed token |
//! | `request`, `answers`, `ids`, `time` | the forms of the wire |
//!
//! Where it is more than the real service: a grant can be suspended and resumed by hand, so that the feed's actions can
//! be seen. Where it is less: no consent page (the key is a sandbox key, every request is approved at once), one
//! developer, no rate limits, nothing outlives the process. Where it is stricter: a second use of a refresh token ends
//! the active one too, and a PKCE verifier for no challenge is refused.

mod answers;
mod book;
mod claims;
mod feed;
mod ids;
mod keys;
mod request;
mod routes;
mod time;
mod webhooks;

use std::{
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{delete, get, post},
};
use portcullis::clock::{Clock, UnixTime};
use serde_json::json;
use tokio::sync::{Semaphore, watch};

pub(crate) use self::request::ApiKey;
use self::{
    book::{Book, Event},
    keys::Keys,
    routes::{authorize, grants, revocations, token, verify},
    webhooks::Webhooks,
};

/// How many streams may be open at once.
const MAX_STREAMS: usize = 200;

/// What tokens look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// Up to 0.5.
    Legacy,
    /// 0.6 and later.
    Current,
}

/// The token service; cloning shares it.
#[derive(Clone)]
pub(crate) struct Service(Arc<Inner>);

struct Inner {
    url: String,
    api_key: ApiKey,
    generation: Generation,
    keys: Keys,
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
    webhooks: Webhooks,
    streams: Arc<Semaphore>,
    is_ending: watch::Sender<bool>,
}

impl Service {
    /// A service that is reached at `url`, which its tokens name as their issuer.
    pub(crate) fn new(
        url: String,
        api_key: ApiKey,
        generation: Generation,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Box<dyn Error>> {
        let now = clock.now().wall();
        let keys = Keys::generate(generation, now).map_err(|_| "the system's random source does not answer")?;
        Ok(Self(Arc::new(Inner {
            url,
            api_key,
            generation,
            keys,
            webhooks: Webhooks::new(Arc::clone(&clock))?,
            clock,
            book: Mutex::new(Book::new(now)),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            is_ending: watch::Sender::new(false),
        })))
    }

    /// Every route.
    pub(crate) fn router(&self) -> Router {
        let developers = Router::new()
            .route("/v1/agents", post(authorize::register))
            .route("/v1/authorize", post(authorize::authorize))
            .route("/v1/token", post(token::exchange))
            .route("/v1/token/refresh", post(token::refresh))
            .route("/v1/tokens/verify", post(verify::token))
            .route("/v1/tokens/revoke", post(verify::revoke))
            .route("/v1/grants", get(grants::list))
            .route("/v1/grants/{id}", get(grants::show).delete(grants::revoke))
            .route("/v1/grants/{id}/suspend", post(grants::suspend))
            .route("/v1/grants/{id}/resume", post(grants::resume))
            .route("/v1/grants/verify", post(verify::grant))
            .route("/v1/grants/delegate", post(token::delegate))
            .route("/v1/revocations", get(revocations::entries))
            .route("/v1/revocations/stream", get(revocations::stream))
            .route("/v1/revocations/status", get(revocations::status))
            .route("/v1/webhooks", post(webhooks::register))
            .route("/v1/webhooks/{id}", delete(webhooks::remove))
            .route_layer(from_fn_with_state(self.clone(), request::developer_only));
        let health = json!({ "status": "healthy", "database": "ok", "redis": "ok" });
        let jwks = self.0.keys.jwks.clone();
        developers
            .route("/health", get(async || Json(health)))
            .route_layer(from_fn(answers::unlimited))
            .route("/.well-known/jwks.json", get(async || Json(jwks)))
            .fallback(answers::unknown_route)
            .method_not_allowed_fallback(answers::unknown_route)
            .layer(from_fn(answers::uncached))
            .with_state(self.clone())
    }

    /// Ends what would go on for ever: streams, and whoever waits for news.
    pub(crate) fn end(&self) {
        self.0.is_ending.send_replace(true);
    }

    pub(crate) fn api_key(&self) -> &ApiKey {
        &self.0.api_key
    }

    fn now(&self) -> UnixTime {
        self.0.clock.now().wall()
    }

    /// The book, tidied up. The lock is never held while anybody waits.
    fn book(&self) -> MutexGuard<'_, Book> {
        let mut book = self.0.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.sweep(self.now());
        book
    }

    fn announce(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.0.webhooks.announce(&event, self.0.generation, self.now());
        }
    }
}
