//! A question → one request to an introspection endpoint, and what its answer means (RFC 7662 §2).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{
    answer::{MAX_ANSWER, described, is_gone, plain, refusal},
    signed::{MEDIA_TYPE, SignedAnswers},
};
use crate::{
    clock::UnixTime,
    crypto::{Sha256, base64url},
    issuer::{Authenticator, Environment, ExtraParameters, Form, Place, Shown, TransportError, retry_after},
    observe,
    status::{StatusAnswer, StatusError, StatusQuestion, StatusSource, TokenStatus},
};

/// After so many questions in a row without a usable answer, a discovered endpoint is looked up again.
const PATIENCE: u32 = 3;

/// The running form of an [`Introspection`](super::Introspection).
pub(super) struct Running(Arc<Inner>);

struct Inner {
    place: Place,
    authenticator: Authenticator,
    extra: ExtraParameters,
    has_type_hint: bool,
    signed: Option<SignedAnswers>,
    environment: Environment,
    /// Questions in a row that the server did not answer.
    unanswered: AtomicU32,
}

/// A question that was answered, and when it was asked.
struct Exchanged {
    answer: Response<Bytes>,
    asked: UnixTime,
    shown: Shown,
}

impl Running {
    pub(super) fn new(
        place: Place,
        authenticator: Authenticator,
        extra: ExtraParameters,
        has_type_hint: bool,
        signed: Option<SignedAnswers>,
        environment: Environment,
    ) -> Self {
        let unanswered = AtomicU32::new(0);
        Self(Arc::new(Inner { place, authenticator, extra, has_type_hint, signed, environment, unanswered }))
    }
}

impl StatusSource for Running {
    /// Whatever may change an answer, the endpoint in plain sight.
    fn identity(&self) -> String {
        let Inner { place, authenticator, extra, signed, .. } = &*self.0;
        let mut form = Form::default();
        extra.add_to(&mut form);
        let digest = place.add_to(Sha256::new()).piece(authenticator.fingerprint().as_bytes());
        let digest = digest.piece(signed.as_ref().map_or("", |signed| &*signed.audience).as_bytes());
        format!("introspection at {} {}", place.name(), base64url::encode(&form.add_to(digest).finish()))
    }

    fn ask(&self, question: &StatusQuestion) -> StatusAnswer {
        let (inner, token) = (Arc::clone(&self.0), question.token().to_owned());
        Box::pin(async move { inner.ask(&token).await })
    }
}

impl Inner {
    async fn ask(&self, token: &str) -> Result<TokenStatus, StatusError> {
        let mut exchanged = self.exchange(token).await?;
        if exchanged.answer.status() == StatusCode::UNAUTHORIZED && self.authenticator.refused(&exchanged.shown) {
            // With a new Bearer, and not a third time.
            exchanged = self.exchange(token).await?;
        }
        let Exchanged { answer, asked, .. } = exchanged;
        let clock = &self.environment.clock;
        if let Some(error) = refusal(&answer, || retry_after(answer.headers(), clock.now().wall())) {
            return Err(error);
        }
        match &self.signed {
            None => plain(&answer),
            Some(signed) => described(&signed.open(&answer, asked, clock).await?),
        }
    }

    async fn exchange(&self, token: &str) -> Result<Exchanged, StatusError> {
        if self.unanswered.load(Ordering::Relaxed) >= PATIENCE {
            self.unanswered.store(0, Ordering::Relaxed);
            self.place.forget();
        }
        let unreachable = |error: &dyn std::error::Error| StatusError::Unreachable(observe::chain(error));
        let endpoint = self.place.locate().await.map_err(|error| unreachable(&error))?;
        let (mut headers, mut form) = (HeaderMap::new(), Form::default());
        form.push("token", token);
        if self.has_type_hint {
            form.push("token_type_hint", "access_token");
        }
        self.extra.add_to(&mut form);
        let accept = if self.signed.is_some() { MEDIA_TYPE } else { "application/json" };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        let shown = self.authenticator.authenticate(&mut headers, &mut form, &endpoint).await;
        let shown = shown.map_err(|error| StatusError::NoCredentials(observe::chain(&*error)))?;
        let request = form.post(&endpoint, headers).map_err(|error| unreachable(&error))?;

        let asked = self.environment.clock.now().wall();
        let waiting = Unanswered(&self.unanswered);
        let answer = match self.environment.transport.send(request, MAX_ANSWER).await {
            Ok(answer) => answer,
            Err(TransportError::TooLarge(_)) => {
                waiting.answered();
                return Err(StatusError::Malformed("larger than 64 KiB"));
            }
            Err(error) => return Err(unreachable(&error)),
        };
        if is_gone(answer.status()) {
            self.place.forget();
        }
        if !answer.status().is_server_error() {
            waiting.answered();
        }
        Ok(Exchanged { answer, asked, shown })
    }
}

/// A question under way. Counts as unanswered when it is dropped, as it is when its time is over.
struct Unanswered<'a>(&'a AtomicU32);

impl Unanswered<'_> {
    fn answered(self) {
        self.0.store(0, Ordering::Relaxed);
        std::mem::forget(self);
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { place, authenticator, .. } = &*self.0;
        f.debug_struct("Introspection").field("at", &place.name()).field("as", authenticator).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
