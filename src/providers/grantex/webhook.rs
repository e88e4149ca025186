//! A delivery of Grantex's webhooks → a revoked grant, for whoever takes revocations in.

mod deliveries;
mod refusal;
mod signature;

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use deliveries::{Deliveries, Unclaimed};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use refusal::Refusal;
use serde::Deserialize;
use serde_json::value::RawValue;
use signature::Signed;
use tower_service::Service;

use crate::{
    clock::{Clock, SharedClock, SystemClock},
    crypto::HmacKey,
    middleware::{Unread, answer, read},
    observe,
    status::{Revocation, RevocationEvent, RevocationSink},
};

/// The longest body that is read, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// A body that takes longer to arrive is given up, as the sender gives up waiting for an answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// So many deliveries are recognised when they come again: more than a hundred a second.
const MOST_DELIVERIES: usize = 65_536;
/// A secret that is shorter, in bytes, could be guessed. Grantex's have 48.
const SHORTEST_SECRET: usize = 16;

/// A service that Grantex's webhooks are delivered to, and that tells a sink which grants were revoked.
///
/// ```
/// use portcullis::{providers::grantex::GrantexWebhook, status::Revocations};
///
/// # fn example(secret: &str, old_secret: &str) -> Result<axum::Router, portcullis::providers::grantex::GrantexWebhookError> {
/// let revocations = Revocations::new();
/// let webhook = GrantexWebhook::from_issuer("https://grantex.dev")
///     .secret(secret)
///     // While it is being changed.
///     .secret(old_secret)
///     .to(revocations.clone())?;
/// let app = axum::Router::new().route_service("/webhooks/grantex", webhook);
/// # Ok(app)
/// # }
/// ```
///
/// # What it believes
///
/// A `POST` with one `X-Grantex-Signature-V2`, `sha256=` and the HMAC-SHA256 of the timestamp, a dot and the raw body in
/// hexadecimal digits, and one `X-Grantex-Timestamp` that is no more than 300 seconds from now, before or after. The body
/// may come in chunks; it has at most 256 KiB, and 10 seconds to arrive.
///
/// | answer | |
/// |---|---|
/// | 200 | taken in; or about something else than `grant.revoked`, which has no effect |
/// | 400 | signed, and yet no event, or none that names its grant |
/// | 401 | not signed, signed in the older way alone, or at another time |
/// | 405, 408, 413 | not a `POST`; a body that does not arrive, or is too long |
/// | 409 | it came before, or is being taken in: a replay has no effect |
/// | 503 | the sink did not take it in, or there were 65,536 of them within ten minutes: it is to come again |
///
/// # What it cannot know
///
/// An event names the grant that somebody revoked, and none that was delegated from it. Tokens of that grant are refused,
/// and tokens that name it as their parent; those further down are not, nor is there any event where a single token is
/// revoked, or a grant suspended. Deliveries come after up to 30 seconds, and later where one fails. Where that is not
/// enough, follow the [feed](super::GrantexFeed) instead, or ask.
///
/// Nor does an event say when the tokens of a grant will have expired: bound what is kept with
/// [`max_token_lifetime`](crate::status::RevocationsBuilder::max_token_lifetime).
#[derive(Clone)]
pub struct GrantexWebhook {
    inner: Arc<Inner>,
}

struct Inner {
    issuer: Box<str>,
    secrets: Vec<HmacKey>,
    sink: Box<dyn RevocationSink>,
    clock: SharedClock,
    deliveries: Deliveries,
}

/// A [`GrantexWebhook`] being configured.
#[must_use]
pub struct GrantexWebhookBuilder {
    issuer: Box<str>,
    /// As they are used, or why one cannot be.
    secrets: Result<Vec<HmacKey>, GrantexWebhookError>,
    clock: SharedClock,
}

/// Why there can be no such webhook. Never says a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantexWebhookError {
    /// No secret was given: anybody could revoke anything.
    #[error("a webhook without a secret")]
    NoSecret,
    /// This one, counted from zero, is empty or could be guessed.
    #[error("secret {0} of a webhook has fewer than {SHORTEST_SECRET} bytes")]
    Secret(usize),
}

impl GrantexWebhook {
    /// Its events are about tokens of this issuer, as it is configured: `https://grantex.dev` for `api.grantex.dev`.
    pub fn from_issuer(identifier: &str) -> GrantexWebhookBuilder {
        let clock = Arc::new(SystemClock::new());
        GrantexWebhookBuilder { issuer: identifier.into(), secrets: Ok(Vec::new()), clock }
    }
}

impl GrantexWebhookBuilder {
    /// What Grantex signs with, as it was told when the webhook was registered. There may be several, any of which counts.
    pub fn secret(mut self, secret: &str) -> Self {
        self.secrets = self.secrets.and_then(|mut secrets| {
            if secret.len() < SHORTEST_SECRET {
                return Err(GrantexWebhookError::Secret(secrets.len()));
            }
            secrets.push(HmacKey::new(secret.as_bytes()));
            Ok(secrets)
        });
        self
    }

    /// Another clock than the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The service. Revoked grants go to `sink`: [`Revocations`](crate::status::Revocations), or a log that they are fed
    /// from.
    ///
    /// # Errors
    /// Where there is no secret, or one that is too short.
    pub fn to(self, sink: impl RevocationSink) -> Result<GrantexWebhook, GrantexWebhookError> {
        let secrets = self.secrets?;
        if secrets.is_empty() {
            return Err(GrantexWebhookError::NoSecret);
        }
        let (sink, deliveries) = (Box::new(sink), Deliveries::new(MOST_DELIVERIES));
        let inner = Inner { issuer: self.issuer, secrets, sink, clock: self.clock, deliveries };
        Ok(GrantexWebhook { inner: Arc::new(inner) })
    }
}

impl<B> Service<Request<B>> for GrantexWebhook
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            Ok(match inner.take_in(request).await {
                Ok(()) => answer(StatusCode::OK, Full::default()),
                Err(refusal) => refusal.answer(),
            })
        })
    }
}

impl Inner {
    async fn take_in<B>(&self, request: Request<B>) -> Result<(), Refusal>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return Err(Refusal::Method);
        }
        let signed = Signed::read(&head.headers, self.clock.now().wall()).ok_or(Refusal::Unsigned)?;
        let body = tokio::select! {
            body = read(body, MAX_BODY) => body.map_err(|unread| match unread {
                Unread::TooLong => Refusal::TooLong,
                Unread::Broken => Refusal::Malformed,
            })?,
            () = self.clock.sleep(BODY_TIMEOUT) => return Err(Refusal::TooSlow),
        };
        if !signed.is_of(&self.secrets, &body) {
            return Err(Refusal::Unsigned);
        }
        let Some(grant) = revoked_grant(&body)? else { return Ok(()) };
        // Only what has an effect is remembered, so that a flood of other events does not stand in its way.
        let now = self.clock.now();
        let claim = self.deliveries.claim(signed.code, now.monotonic()).map_err(|unclaimed| match unclaimed {
            Unclaimed::Again => Refusal::Again,
            Unclaimed::TooMany => Refusal::NotTakenIn,
        })?;
        let revoked = Revocation::grant(Some(&self.issuer), &grant).revoked_at(now.wall());
        self.sink.accept(vec![RevocationEvent::Revoked(revoked)]).await.map_err(|error| {
            observe::revocations_not_accepted(&error.to_string());
            Refusal::NotTakenIn
        })?;
        claim.done();
        Ok(())
    }
}

/// The grant that an event says was revoked; `None` where it says something else.
fn revoked_grant(body: &[u8]) -> Result<Option<Box<str>>, Refusal> {
    #[derive(Deserialize)]
    struct Envelope<'b> {
        r#type: Box<str>,
        #[serde(borrow)]
        data: Option<&'b RawValue>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Revoked {
        grant_id: Box<str>,
    }

    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
    if &*envelope.r#type != "grant.revoked" {
        return Ok(None);
    }
    let data = envelope.data.ok_or(Refusal::Malformed)?;
    let revoked: Revoked = serde_json::from_str(data.get()).map_err(|_| Refusal::Malformed)?;
    if revoked.grant_id.is_empty() { Err(Refusal::Malformed) } else { Ok(Some(revoked.grant_id)) }
}

impl fmt::Debug for GrantexWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { issuer, sink, .. } = &*self.inner;
        f.debug_struct("GrantexWebhook").field("issuer", issuer).field("sink", sink).finish_non_exhaustive()
    }
}

impl fmt::Debug for GrantexWebhookBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantexWebhookBuilder").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
