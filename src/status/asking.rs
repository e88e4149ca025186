//! A question → attempts, in background tasks → a [`Word`] in memory, and everybody told who waits.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    StatusError, StatusPolicy, StatusQuestion, StatusSource, TokenStatus,
    breaker::Breaker,
    flights::Flights,
    lookup::{NoWord, Reply, StatusUnavailable},
    memory::{KeyMaker, Memory, Of, StatusKey},
    probe::{Candidate, Prober},
    shared::{Exchanged, Meaning, Terms},
    verdict::{AskedAt, Verdict, Word, judge},
};
use crate::{
    clock::{SharedClock, UnixTime},
    observe,
    tasks::{caught, jittered},
    token::TokenRules,
};

/// A source in use, as requests and tasks share it.
pub(super) struct Shared {
    pub(super) label: Box<str>,
    pub(super) source: Arc<dyn StatusSource>,
    /// Where answers are shared with other replicas.
    pub(super) answers: Option<Exchanged>,
    pub(super) rules: Arc<TokenRules>,
    pub(super) policy: StatusPolicy,
    pub(super) clock: SharedClock,
    pub(super) keys: KeyMaker,
    pub(super) memory: Memory,
    pub(super) flights: Flights<Reply>,
    pub(super) breaker: Mutex<Breaker>,
    pub(super) candidate: Candidate,
    /// Questions in the air, and those among them about tokens of which nothing is known.
    pub(super) air: Semaphore,
    pub(super) unproved_air: Semaphore,
    pub(super) health: Mutex<Health>,
}

/// What is known of the source itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    pub(super) was_asked: bool,
    pub(super) is_failing: bool,
    pub(super) trouble: Option<Arc<str>>,
}

/// When it may be worth coming back, where nobody said anything.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// A question under way. When it is dropped before it has landed, whatever the reason, nobody waits for it any longer.
pub(super) struct Flying {
    shared: Arc<Shared>,
    key: StatusKey,
    is_up: bool,
}

impl Drop for Flying {
    fn drop(&mut self) {
        if self.is_up {
            self.shared.flights.crashed(&self.key);
        }
    }
}

impl Flying {
    pub(super) const fn new(shared: Arc<Shared>, key: StatusKey) -> Self {
        Self { shared, key, is_up: true }
    }

    /// Asks until nobody waits for an answer about this token; where that opened the breaker, goes on as its prober.
    pub(super) async fn fly(mut self, question: &StatusQuestion) {
        let shared = Arc::clone(&self.shared);
        let mut prober = None;
        while self.is_up {
            let _permits = shared.take_off(question).await;
            let Some(shared_age) = shared.flights.leaves(&self.key, shared.clock.now().monotonic()) else {
                self.is_up = false;
                break;
            };
            let reply = shared.answer(&self.key, question, shared_age, &mut prober).await;
            self.is_up = shared.flights.lands(&self.key, reply);
        }
        if let Some(prober) = prober {
            prober.probe(question).await;
        }
    }
}

impl Shared {
    pub(super) fn new(
        label: &str,
        source: Arc<dyn StatusSource>,
        answers: Option<Exchanged>,
        rules: Arc<TokenRules>,
        policy: StatusPolicy,
        clock: SharedClock,
    ) -> Self {
        Self {
            label: label.into(),
            answers,
            keys: KeyMaker::new(rules.issuer.as_deref(), &source.identity()),
            source,
            rules,
            memory: Memory::new(&policy),
            flights: Flights::default(),
            breaker: Mutex::default(),
            candidate: Candidate::default(),
            air: Semaphore::new(policy.concurrency.min(Semaphore::MAX_PERMITS)),
            unproved_air: Semaphore::new(policy.concurrency.div_ceil(2).min(Semaphore::MAX_PERMITS)),
            policy,
            clock,
            health: Mutex::default(),
        }
    }

    /// Waits for its turn.
    async fn take_off(&self, question: &StatusQuestion) -> Permits<'_> {
        // Neither is ever closed.
        let unproved = if question.is_opaque() { self.unproved_air.acquire().await.ok() } else { None };
        Permits { _unproved: unproved, _any: self.air.acquire().await.ok() }
    }

    /// How old an answer of another replica may be, where that will do which is so old.
    pub(super) fn shared_age(&self, age: Duration) -> Duration {
        if self.answers.is_some() { age } else { Duration::ZERO }
    }

    /// Asks as often as the policy allows.
    async fn answer(
        self: &Arc<Self>,
        key: &StatusKey,
        question: &StatusQuestion,
        shared_age: Duration,
        prober: &mut Option<Prober>,
    ) -> Reply {
        let started = self.clock.now().monotonic();
        let mut pause = self.policy.pause;
        for attempt in 1..=self.policy.attempts {
            let now = self.clock.now().monotonic();
            // Others may have failed while this one waited for its turn.
            if let Err(retry_after) = self.breaker().may_ask(now, &self.policy) {
                return Err(NoWord { reason: StatusUnavailable::LeftAlone, retry_after });
            }
            let left = self.policy.budget.saturating_sub(now.saturating_sub(started));
            if left.is_zero() {
                break;
            }
            match self.attempt(key, question, shared_age, left).await {
                Ok(word) => return Ok(word),
                Err(error) if error.is_about_the_token() => break,
                Err(error) => {
                    let now = self.clock.now().monotonic();
                    let opened = self.breaker().failed(now, error.retry_after(), &self.policy);
                    if let Some(opening) = opened {
                        observe::status_source_left_alone(&self.label);
                        *prober = Some(Prober::new(self, opening));
                    }
                    if !error.is_passing() || attempt == self.policy.attempts || self.breaker().is_open() {
                        break;
                    }
                }
            }
            self.clock.sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2);
        }
        let now = self.clock.now().monotonic();
        let retry_after = self.breaker().may_ask(now, &self.policy).err().unwrap_or(SOON);
        Err(NoWord { reason: StatusUnavailable::NoWord, retry_after })
    }

    /// Asks once, or takes what another replica was told, if that is no older. What comes of it is in memory before this
    /// returns. The source has its own time to answer, of what is `left`: it is not blamed for how long others were waited
    /// for, which is bounded by itself.
    pub(super) async fn attempt(
        &self,
        key: &StatusKey,
        question: &StatusQuestion,
        shared_age: Duration,
        left: Duration,
    ) -> Result<Arc<Word>, StatusError> {
        let of = question.verified().map_or(Of::Opaque, |token| Of::Verified(token.expires_at()));
        let sent = self.clock.now();
        let ask = async || {
            let spent = self.clock.now().monotonic().saturating_sub(sent.monotonic());
            let timeout = self.policy.attempt_timeout.min(left.saturating_sub(spent));
            tokio::select! {
                biased;
                answer = self.source.ask(question) => answer,
                () = self.clock.sleep(timeout) => Err(StatusError::TimedOut(timeout)),
            }
        };
        let asking = caught(async {
            let Some(answers) = &self.answers else { return ask().await.map(|status| (status, None)) };
            let terms = Terms {
                max_age: shared_age,
                // What was heard here since is not unheard.
                known: self.memory.age(key, sent.monotonic()),
                patience: self.policy.attempt_timeout.min(left) / 2,
                judge: |status: &TokenStatus| self.reusable(status, question, sent.wall()),
            };
            answers.ask(key, ask, terms).await
        });
        let answer = asking.await.unwrap_or(Err(StatusError::Panicked));
        let now = self.clock.now();
        let age = answer.as_ref().ok().and_then(|(_, age)| *age);
        let asked_at = age.map_or(AskedAt::new(sent.monotonic()), |age| AskedAt::ago(age, now.monotonic()));
        let judged = answer.and_then(|(status, _)| judge(&status, question, &self.rules, now.wall()));
        // What others were told says nothing of how the source is now.
        let is_own = age.is_none();
        if is_own {
            self.note(judged.as_ref().err());
        }
        let policy = &self.policy;
        let word = |verdict, max_age, until| Word { verdict, asked_at, max_age: jittered(max_age), until };
        let judged = match judged {
            Ok((verdict, until)) => {
                let is_bad = matches!(verdict, Verdict::Withdrawn(_));
                Ok(word(verdict, if is_bad { policy.negative_max_age } else { policy.max_age }, until))
            }
            Err(error) => Err(error),
        };
        if is_own && judged.as_ref().err().is_none_or(StatusError::is_about_the_token) {
            let is_back = self.breaker().succeeded(sent.monotonic());
            if is_back {
                observe::status_source_is_back(&self.label);
            }
        }
        match judged {
            Ok(word) => {
                let word = Arc::new(word);
                self.memory.remember(of, *key, Arc::clone(&word));
                Ok(word)
            }
            Err(error) => {
                if error.is_about_the_token() {
                    let undecided = word(Verdict::Undecided, policy.negative_max_age, None);
                    self.memory.remember(of, *key, Arc::new(undecided));
                }
                Err(error)
            }
        }
    }

    /// What the answer that another replica was given means here, where it may be reused at all: not of a token that is over
    /// (RFC 7662 §4).
    fn reusable(&self, status: &TokenStatus, question: &StatusQuestion, now: UnixTime) -> Option<Meaning> {
        match judge(status, question, &self.rules, now).ok()? {
            (Verdict::Withdrawn(_), _) => Some(Meaning::Withdrawn),
            (_, until) => until.is_none_or(|until| now < until).then_some(Meaning::Stands),
        }
    }

    /// Tells whoever wants to know.
    fn note(&self, error: Option<&StatusError>) {
        observe::status_asked(&self.label, error.map(|error| -> &dyn std::error::Error { error }));
        let mut health = self.health();
        health.was_asked = true;
        health.is_failing = error.is_some_and(|error| !error.is_about_the_token());
        health.trouble = error.map(|error| error.to_string().into());
    }

    /// How many tokens may be asked about at once, this one among them.
    pub(super) fn room_for(&self, question: &StatusQuestion) -> usize {
        // Tokens of which nothing is known must not crowd out the others.
        if question.is_opaque() { self.policy.waiting.div_ceil(2) } else { self.policy.waiting }
    }

    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held while a question is in the air.
struct Permits<'s> {
    _unproved: Option<SemaphorePermit<'s>>,
    _any: Option<SemaphorePermit<'s>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("label", &self.label).field("source", &self.source).finish_non_exhaustive()
    }
}
