//! A signed answer and the issuer's keys → the JSON object in it, if it is the answer to our question (RFC 9701 §5, §6).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::has_type;
use crate::{
    clock::{SharedClock, UnixTime},
    crypto::Algorithm,
    keys::{KeyQuestion, Keys},
    status::StatusError,
    token::{Claims, Jws, SignatureError},
};

/// Clocks may differ by this.
const LEEWAY: Duration = Duration::from_secs(60);

const TYPE: &str = "token-introspection+jwt";
pub(super) const MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// What signed answers are judged by.
#[derive(Debug)]
pub(super) struct SignedAnswers {
    pub(super) issuer: Box<str>,
    pub(super) audience: Box<str>,
    pub(super) keys: Arc<Keys>,
}

#[derive(Deserialize)]
struct Payload<'p> {
    #[serde(borrow)]
    token_introspection: &'p RawValue,
}

impl SignedAnswers {
    /// The object in an answer of 200 to a question that was asked at `asked`. The signature comes first: nothing that it
    /// does not cover is believed or told.
    pub(super) async fn open(
        &self,
        answer: &Response<Bytes>,
        asked: UnixTime,
        clock: &SharedClock,
    ) -> Result<Bytes, StatusError> {
        if !has_type(answer, MEDIA_TYPE) {
            return Err(StatusError::Malformed("not a signed answer"));
        }
        let mut room = Vec::new();
        let jws = Jws::parse(answer.body(), &mut room)
            .map_err(|_| StatusError::Malformed("a signed answer that is no JWS"))?;
        if !jws.is_of_type(TYPE) {
            return Err(StatusError::Malformed("a signed answer of another type"));
        }
        // Also where keys that were configured by hand hold a secret.
        jws.check_algorithm(&Algorithm::ASYMMETRIC)
            .map_err(|_| StatusError::Malformed("a signed answer of an algorithm that is not accepted"))?;
        self.check_signature(&jws, clock).await?;
        let payload = jws.decode_payload().map_err(|_| StatusError::Malformed("a signed answer that is no JWS"))?;
        self.check_claims(&payload, asked, clock.now().wall())
    }

    /// By the keys at hand, and where those cannot tell, once more by fresher ones.
    async fn check_signature(&self, jws: &Jws<'_>, clock: &SharedClock) -> Result<(), StatusError> {
        let question = match self.judge_signature(jws, clock) {
            Ok(()) => return Ok(()),
            Err(Some(question)) => question,
            Err(None) => return Err(BAD_SIGNATURE),
        };
        self.keys.ask(&question).await;
        match self.judge_signature(jws, clock) {
            Ok(()) => Ok(()),
            Err(Some(KeyQuestion::NoKeys)) => {
                Err(StatusError::Unreachable("the issuer's keys, which its answers are signed with".to_owned()))
            }
            Err(_) => Err(BAD_SIGNATURE),
        }
    }

    /// Or what fresher keys may be asked for.
    fn judge_signature(&self, jws: &Jws<'_>, clock: &SharedClock) -> Result<(), Option<KeyQuestion>> {
        let (keys, _) = self.keys.current(clock.now().monotonic()).ok_or(Some(KeyQuestion::NoKeys))?;
        jws.check_signature(&keys).map_err(|error| match error {
            SignatureError::UnknownKey(key_id) => Some(KeyQuestion::UnknownKey(key_id)),
            SignatureError::BadSignature | SignatureError::OtherAlgorithm => Some(KeyQuestion::BadSignature),
            SignatureError::Token(_) => None,
        })
    }

    fn check_claims(&self, payload: &[u8], asked: UnixTime, now: UnixTime) -> Result<Bytes, StatusError> {
        // Each member once, and those of a JWT of the right type.
        let claims = Claims::parse(payload).map_err(|_| StatusError::Malformed("the claims of a signed answer"))?;
        if claims.issuer.as_deref() != Some(&*self.issuer) {
            return Err(StatusError::Malformed("a signed answer of another issuer"));
        }
        if !claims.audiences().any(|audience| *audience == *self.audience) {
            return Err(StatusError::Malformed("a signed answer for somebody else"));
        }
        // An older one may have been true when it was made.
        let is_fresh =
            |issued: UnixTime| issued.saturating_add(LEEWAY) >= asked && issued <= now.saturating_add(LEEWAY);
        if !claims.issued_at.is_some_and(is_fresh) {
            return Err(StatusError::Malformed("a signed answer that was not made when we asked"));
        }
        let is_over = claims.expires_at.is_some_and(|end| now >= end.saturating_add(LEEWAY));
        if is_over || claims.not_before.is_some_and(|start| start > now.saturating_add(LEEWAY)) {
            return Err(StatusError::Malformed("a signed answer that does not count now"));
        }
        let payload: Payload<'_> = serde_json::from_slice(payload)
            .map_err(|_| StatusError::Malformed("a signed answer without `token_introspection`"))?;
        Ok(Bytes::copy_from_slice(payload.token_introspection.get().as_bytes()))
    }
}

const BAD_SIGNATURE: StatusError = StatusError::Malformed("a signed answer that none of the issuer's keys signed");

#[cfg(test)]
mod tests;
