//! A source that is left alone → a try now and then, in the background, until it answers.
//!
//! The question that failed last may be one that fails whoever is asked: a try is made with a question of the requests
//! that were refused meanwhile.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{StatusQuestion, asking::Shared, breaker::Opening};

/// How likely it is that a source that is well answers a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// Anybody may have written the token.
    Opaque,
    /// Its issuer wrote it.
    Verified,
    /// It was answered before.
    Answered,
}

/// The question to try with: of the most promising, the one that was asked first.
#[derive(Default)]
pub(super) struct Candidate(Mutex<Option<(Promise, StatusQuestion)>>);

impl Candidate {
    /// Somebody was refused who has this question.
    pub(super) fn suggest(&self, promise: Promise, question: impl FnOnce() -> StatusQuestion) {
        let mut best = self.lock();
        if best.as_ref().is_none_or(|(known, _)| *known < promise) {
            *best = Some((promise, question()));
        }
    }

    fn take(&self) -> Option<StatusQuestion> {
        self.lock().take().map(|(_, question)| question)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Promise, StatusQuestion)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who tries again after a break; when it is dropped, somebody else has to.
pub(super) struct Prober {
    shared: Arc<Shared>,
    opening: Opening,
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.shared.breaker().abandoned(self.opening);
        self.shared.candidate.take();
    }
}

impl Prober {
    pub(super) fn new(shared: &Arc<Shared>, opening: Opening) -> Self {
        Self { shared: Arc::clone(shared), opening }
    }

    /// Tries until there is an answer, with `question` where there is no better one.
    pub(super) async fn probe(self, question: &StatusQuestion) {
        let shared = &self.shared;
        loop {
            let Some(due) = shared.breaker().probe_at(self.opening) else { return };
            shared.clock.sleep(due.saturating_sub(shared.clock.now().monotonic())).await;
            if shared.breaker().probe_at(self.opening).is_none() {
                return;
            }
            let suggested = shared.candidate.take();
            let question = suggested.as_ref().unwrap_or(question);
            let key = shared.keys.key(question.token().as_bytes());
            // The source itself: what others were told does not say whether it is back.
            match shared.attempt(&key, question, Duration::ZERO, shared.policy.attempt_timeout).await {
                Ok(_) => return,
                Err(error) if error.is_about_the_token() => return,
                Err(error) => {
                    let now = shared.clock.now().monotonic();
                    shared.breaker().probe_failed(self.opening, now, error.retry_after(), &shared.policy);
                }
            }
        }
    }
}
