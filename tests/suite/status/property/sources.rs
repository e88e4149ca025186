//! The status sources of the theatre: their answers tell how things stood when the question came.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use portcullis::{
    status::{StatusAnswer, StatusError, StatusQuestion, StatusSource, TokenStatus},
    testing::{ManualClock, TokenBuilder},
};
use serde_json::json;
use tokio::sync::watch;

use super::{
    model::{SCOPES, Say, TOKENS, Token, Trouble},
    theatre::SECOND,
};

/// How the sources stand, and what was heard of them.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) texts: HashMap<String, usize>,
    pub(super) says: Vec<Say>,
    pub(super) trouble: Vec<Option<Trouble>>,
    pub(super) is_held: Vec<bool>,
    pub(super) heard_good: Vec<u64>,
    /// By replica: the last that it was told itself, unless another was told better since.
    pub(super) last_was_bad: Vec<Vec<bool>>,
    pub(super) questions: u64,
    /// A source was asked about a token of another issuer.
    pub(super) has_strayed: bool,
}

/// The source of one issuer: its answers tell how things stood when the question came.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) replica: usize,
    pub(super) issuer: usize,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) gate: watch::Sender<bool>,
}

impl StatusSource for Source {
    fn identity(&self) -> String {
        "the same for both".to_owned()
    }

    fn ask(&self, question: &StatusQuestion) -> StatusAnswer {
        let (ledger, mut gate, replica) = (Arc::clone(&self.ledger), self.gate.subscribe(), self.replica);
        let (index, answer, is_good) = {
            let mut ledger = ledger.lock().unwrap();
            ledger.questions += 1;
            let index = ledger.texts[question.token()];
            ledger.has_strayed |= TOKENS[index].issuer != self.issuer;
            let answer = answer(&TOKENS[index], ledger.says[index], ledger.trouble[self.issuer]);
            let is_good = answer.as_ref().ok().map(|status| status.is_active() && ledger.says[index] != Say::Other);
            (index, answer, is_good)
        };
        Box::pin(async move {
            let _ = gate.wait_for(|open| *open).await;
            let mut ledger = ledger.lock().unwrap();
            if let Some(is_good) = is_good {
                if is_good {
                    ledger.last_was_bad.iter_mut().for_each(|of| of[index] = false);
                } else {
                    ledger.last_was_bad[replica][index] = true;
                }
                ledger.heard_good[index] += u64::from(is_good);
            }
            answer
        })
    }
}

fn answer(token: &Token, say: Say, trouble: Option<Trouble>) -> Result<TokenStatus, StatusError> {
    match trouble {
        None => {}
        Some(Trouble::Unreachable) => return Err(StatusError::Unreachable("down".to_owned())),
        Some(Trouble::Later) => return Err(StatusError::RateLimited { retry_after: Some(3 * SECOND) }),
        Some(Trouble::Malformed) => return Err(StatusError::Malformed("not JSON")),
    }
    let mut claims = json!({ "active": true, "sub": token.subject });
    if token.is_opaque {
        claims["jti"] = token.id.into();
        claims["aud"] = TokenBuilder::AUDIENCE.into();
        claims["iat"] = ManualClock::START.as_secs().into();
        claims["scope"] = "read write".into();
    }
    match say {
        Say::Active if !token.is_opaque => return Ok(TokenStatus::active()),
        Say::Active => {}
        Say::Scopes(mask) => {
            let scopes: Vec<_> = (0..3).filter(|bit| mask & (1 << bit) != 0).map(|bit| SCOPES[bit]).collect();
            claims["scope"] = scopes.join(" ").into();
        }
        Say::Ends(end) => claims["exp"] = (ManualClock::START.as_secs() + end).into(),
        Say::Other if !token.is_opaque => claims["sub"] = "somebody else".into(),
        Say::Other | Say::Inactive => return Ok(TokenStatus::inactive()),
        Say::Refused => return Err(StatusError::QuestionRefused { status: http::StatusCode::BAD_REQUEST }),
    }
    TokenStatus::described(&Bytes::from(claims.to_string()))
}
