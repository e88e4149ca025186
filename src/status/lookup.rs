//! A [`StatusQuestion`] → the [`Word`] of memory, or of the source, or why neither has one.
//!
//! Requests read memory, and wait; the source is asked by background tasks, which no request's end can cancel. What they
//! learn is in memory before anybody is told.

use std::{sync::Arc, time::Duration};

use super::{
    SharedAnswers, StatusPolicy, StatusQuestion, StatusSource,
    asking::{Flying, SOON, Shared},
    flights::{Seat, Wanted},
    memory::StatusKey,
    probe::Promise,
    verdict::Word,
};
use crate::{
    clock::{Now, SharedClock},
    tasks::TaskSet,
    token::TokenRules,
};

/// What became of a question.
pub(crate) type Reply = Result<Arc<Word>, NoWord>;

/// The source could not be asked, or gave no word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoWord {
    pub(crate) reason: StatusUnavailable,
    /// When it is worth coming back.
    pub(crate) retry_after: Duration,
}

/// Why the issuer's word on a token is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StatusUnavailable {
    /// Nobody is configured who could be asked about this token as freshly as the route wants.
    #[error("nobody could be asked about the token")]
    NobodyToAsk,
    /// The source failed so often that it is left alone for a while.
    #[error("the status source is left alone after failures")]
    LeftAlone,
    /// The source was asked, and gave no word.
    #[error("the status source gave no word on the token")]
    NoWord,
    /// Too many questions are under way.
    #[error("too many questions to the status source are under way")]
    Busy,
    /// The request's patience ended before the answer came.
    #[error("the status source did not answer in time")]
    TimedOut,
    /// Nothing was heard of the issuer's revocations for too long.
    #[error("the revocation feed is stale")]
    StaleFeed,
    /// The request demands a revision that is not known here yet, and nobody is configured who could be asked in its stead.
    #[error("the revision that the request demands was not reached in time")]
    RevisionNotReached,
}

/// A source in use: memory before it, and tasks that ask.
#[derive(Debug)]
pub(crate) struct StatusLookup {
    shared: Arc<Shared>,
    tasks: TaskSet,
}

/// The state of a status source, as far as it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceState {
    Untried,
    Answering,
    Failing,
    LeftAlone,
}

impl StatusLookup {
    /// `answers` is how they are shared with other replicas, where they are.
    pub(crate) fn new(
        label: &str,
        source: Arc<dyn StatusSource>,
        answers: Option<&SharedAnswers>,
        rules: Arc<TokenRules>,
        policy: StatusPolicy,
        clock: SharedClock,
    ) -> Self {
        let answers = answers.and_then(|answers| answers.start(label, &policy, &clock));
        let shared = Shared::new(label, source, answers, rules, policy, clock);
        Self { shared: Arc::new(shared), tasks: TaskSet::default() }
    }

    pub(crate) fn policy(&self) -> &StatusPolicy {
        &self.shared.policy
    }

    /// What a token is known by here.
    pub(crate) fn key(&self, token: &[u8]) -> StatusKey {
        self.shared.keys.key(token)
    }

    /// To be read before words on verified tokens are; see [`Memory`](super::memory::Memory).
    pub(crate) fn revision(&self) -> u64 {
        self.shared.memory.revision()
    }

    /// The last good word on a token, however old.
    pub(crate) fn good_word(&self, key: &StatusKey) -> Option<Arc<Word>> {
        self.shared.memory.good(key)
    }

    /// The last other word on a token, while it counts.
    pub(crate) fn bad_word(&self, key: &StatusKey, now: Now) -> Option<Arc<Word>> {
        let word = self.shared.memory.bad(key)?;
        (word.age(now.monotonic()) < word.max_age).then_some(word)
    }

    /// Whether the source may be asked, or when it is worth coming back.
    pub(crate) fn may_ask(&self, now: Duration) -> Result<(), NoWord> {
        let breaker = self.shared.breaker();
        breaker
            .may_ask(now, &self.shared.policy)
            .map_err(|retry_after| NoWord { reason: StatusUnavailable::LeftAlone, retry_after })
    }

    /// Somebody was refused who has this question: whether the source is back may be tried with it.
    pub(crate) fn suggest(&self, promise: Promise, question: impl FnOnce() -> StatusQuestion) {
        self.shared.candidate.suggest(promise, question);
    }

    /// Asks, or waits for who is asking already; an answer that was asked for longer than `max_age` before whoever asks
    /// `came` will not do, nor where that is `None` one whose question has left at all. Waits no longer than the policy's
    /// budget.
    pub(crate) async fn ask(&self, question: &StatusQuestion, came: Duration, max_age: Option<Duration>) -> Reply {
        let shared = &self.shared;
        self.may_ask(shared.clock.now().monotonic())?;
        let key = self.key(question.token().as_bytes());
        let mut patience = shared.clock.sleep(shared.policy.budget);
        // What would be due to be asked for again at once is not worth having.
        let shared_age = max_age.map_or(Duration::ZERO, |max_age| max_age / 4 * 3);
        let wanted = Wanted { came, max_age, shared_age: shared.shared_age(shared_age) };
        let Some(seat) = shared.flights.board(key, wanted, shared.room_for(question)) else {
            return Err(NoWord { reason: StatusUnavailable::Busy, retry_after: SOON });
        };
        if seat.must_start {
            self.start(key, question.clone());
        }
        let mut answer = seat.answer;
        tokio::select! {
            biased;
            landed = answer.wait_for(Option::is_some) => match landed.as_deref() {
                Ok(Some(reply)) => reply.clone(),
                // It crashed: its runtime has ended.
                _ => Err(NoWord { reason: StatusUnavailable::NoWord, retry_after: SOON }),
            },
            () = &mut patience => Err(NoWord { reason: StatusUnavailable::TimedOut, retry_after: SOON }),
        }
    }

    /// Asks in the background, where nobody is asking yet and there is room.
    pub(crate) fn renew(&self, question: &StatusQuestion) {
        let shared = &self.shared;
        let key = self.key(question.token().as_bytes());
        let has_room = shared.flights.len() < shared.room_for(question) / 2 && !shared.flights.is_open(&key);
        let now = shared.clock.now().monotonic();
        if !has_room || self.may_ask(now).is_err() {
            return;
        }
        // Any answer will do but one that is hardly younger than what is there.
        let half = shared.memory.good(&key).map_or(Duration::ZERO, |word| word.age(now) / 2);
        let wanted = Wanted { came: now, max_age: Some(Duration::MAX), shared_age: shared.shared_age(half) };
        if let Some(seat) = shared.flights.board(key, wanted, shared.room_for(question))
            && seat.must_start
        {
            // Somebody waits for it: memory.
            self.start_for(key, question.clone(), Some(seat));
        }
    }

    /// The state of the source, and what is wrong with it. Where nobody is left who would try whether it is back, the next
    /// request does: it is not left alone then, or those who wait for that would wait for ever.
    pub(crate) fn state(&self, now: Duration) -> (SourceState, Option<Arc<str>>) {
        let health = self.shared.health().clone();
        let state = match (health.was_asked, health.is_failing) {
            _ if self.may_ask(now).is_err() => SourceState::LeftAlone,
            (false, _) => SourceState::Untried,
            (true, false) => SourceState::Answering,
            (true, true) => SourceState::Failing,
        };
        (state, health.trouble)
    }

    fn start(&self, key: StatusKey, question: StatusQuestion) {
        self.start_for(key, question, None);
    }

    fn start_for(&self, key: StatusKey, question: StatusQuestion, waits: Option<Seat<Reply>>) {
        let flying = Flying::new(Arc::clone(&self.shared), key);
        let task = async move {
            let _waits = waits;
            flying.fly(&question).await;
        };
        // Without a runtime the task is dropped, and whoever waits for it is told.
        let _ = self.tasks.start(task);
    }
}
