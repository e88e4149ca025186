//! A question → one request to an introspection endpoint, and what its answer means (RFC 7662 §2).

use std::{fmt, sync::Arc};

use super::{
    answer::{described, plain, refusal},
    signed::{MEDIA_TYPE, SignedAnswers},
};
use crate::{
    clock::SharedClock,
    crypto::{Sha256, base64url},
    issuer::{Answered, ClientEndpoint, ExtraParameters, Form, NoAnswer, TransportError, retry_after},
    observe,
    status::{StatusAnswer, StatusError, StatusQuestion, StatusSource, TokenStatus},
};

/// The running form of an [`Introspection`](super::Introspection).
pub(super) struct Running(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) endpoint: ClientEndpoint,
    pub(super) extra: ExtraParameters,
    pub(super) has_type_hint: bool,
    pub(super) signed: Option<SignedAnswers>,
    pub(super) clock: SharedClock,
}

impl StatusSource for Running {
    /// Whatever may change an answer, the endpoint in plain sight.
    fn identity(&self) -> String {
        let Inner { endpoint, extra, signed, .. } = &*self.0;
        let mut form = Form::default();
        extra.add_to(&mut form);
        let digest = endpoint.add_to(Sha256::new());
        let digest = digest.piece(signed.as_ref().map_or("", |signed| &*signed.audience).as_bytes());
        format!("introspection at {} {}", endpoint.name(), base64url::encode(&form.add_to(digest).finish()))
    }

    fn ask(&self, question: &StatusQuestion) -> StatusAnswer {
        let (inner, token) = (Arc::clone(&self.0), question.token().to_owned());
        Box::pin(async move { inner.ask(&token).await })
    }
}

impl Inner {
    async fn ask(&self, token: &str) -> Result<TokenStatus, StatusError> {
        let mut form = Form::default();
        form.push("token", token);
        if self.has_type_hint {
            form.push("token_type_hint", "access_token");
        }
        self.extra.add_to(&mut form);
        let accept = if self.signed.is_some() { MEDIA_TYPE } else { "application/json" };
        let Answered { answer, asked, .. } = self.endpoint.ask(&form, accept).await.map_err(no_answer)?;
        if let Some(error) = refusal(&answer, || retry_after(answer.headers(), self.clock.now().wall())) {
            return Err(error);
        }
        match &self.signed {
            None => plain(&answer),
            Some(signed) => described(&signed.open(&answer, asked, &self.clock).await?),
        }
    }
}

fn no_answer(error: NoAnswer) -> StatusError {
    match error {
        NoAnswer::Transport(TransportError::TooLarge(_)) => StatusError::Malformed("larger than 64 KiB"),
        NoAnswer::Transport(error) => StatusError::Unreachable(observe::chain(&error)),
        NoAnswer::Place(error) => StatusError::Unreachable(observe::chain(&error)),
        NoAnswer::Uri(error) => StatusError::Unreachable(observe::chain(&error)),
        NoAnswer::Credentials(error) => StatusError::NoCredentials(observe::chain(&*error)),
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection").field("at", &self.0.endpoint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
