//! The stages in their order: requirement, credential, token, status, policy.

use std::{sync::Arc, time::Duration};

use super::{
    Answers, Authorizer, Decision, Input, Need, OwnedInput, Permit,
    cache::Held,
    input::{Pass, Question, Unreadable},
    trusted::TrustedIssuer,
    verified::Verified,
};
use crate::{
    clock::Now,
    credential::{Bearer, CredentialError, Found},
    keys::{KeyAnswer, KeyQuestion},
    observe,
    policy::{Access, PolicyRefusal, Requirement, Sufficient},
    rejection::{Rejection, RejectionKind},
    status::{Demand, DrivenFeed, Freshness, Hearing, NoWord, Presented, Standing, StatusUnavailable, Unsettled},
    token::{SignatureError, TokenError, UnverifiedToken, VerifiedToken},
};

/// A credential as far as it could be read here.
enum Read<'r> {
    /// It is the token that is held.
    Verified,
    /// It may be an opaque token of the issuer at this position.
    Opaque(usize, Bearer<'r>),
}

/// Why there is no permit yet, or none at all.
enum Stop {
    Reject(Rejection),
    Need(Need),
}

impl Authorizer {
    /// Decides from memory: no waiting, no clock.
    ///
    /// A [`Need`] comes back only for what `answers` do not hold yet.
    #[must_use]
    pub fn decide(&self, input: &Input<'_>, answers: &Answers, now: Now) -> Decision {
        match self.judge(input, &mut Held::from_inner(None), answers, now) {
            Ok(pass) => Decision::Permit(pass.into_permit()),
            Err(Stop::Reject(rejection)) => Decision::Reject(rejection),
            Err(Stop::Need(need)) => Decision::Need(need),
        }
    }

    /// Whether [`decide`](Self::decide) permits it, as of `now` and with no answers: for whoever needs a yes or no, and not
    /// the token. `false` also where something would have to be asked.
    #[must_use]
    pub fn permits(&self, input: &Input<'_>, now: Now) -> bool {
        self.judge(input, &mut Held::from_inner(None), &Answers::default(), now).is_ok()
    }

    /// Fetches what a decision needs, or waits until it is known. Waits no longer than the issuer's configuration, or the
    /// revision budget, allows, and not at all for what was asked for a moment ago.
    pub async fn ask(&self, need: Need, answers: &mut Answers) {
        let Some(issuer) = self.inner.issuers.get(need.issuer) else { return };
        match need.question {
            Question::Keys(question) => {
                answers.keys_asked = true;
                answers.keys_timed_out = issuer.keys.ask(&question).await == KeyAnswer::TimedOut;
            }
            Question::Revision(revision) => {
                self.tend_feeds();
                self.await_revision(*revision).await;
                answers.revision_awaited = true;
                // It may have been said before what is demanded happened.
                answers.status = None;
            }
            Question::Status(inquiry) => {
                self.tend_feeds();
                answers.status = issuer.status.ask(&inquiry).await.map(Box::new);
            }
        }
    }

    /// Has the issuer asked again, in the background, where its word on the token of this permit grows old: so that no
    /// later request has to wait. Likewise, feeds are followed again where the runtime that did it is gone.
    /// [`authorize`](Self::authorize) and the layer do it by themselves.
    pub fn renew(&self, permit: &Permit) {
        // Also where a stale feed is accepted: it may be stale only since nobody listens.
        self.tend_feeds();
        let Some((issuer, question)) = permit.renewal.as_deref() else { return };
        if let Some(source) = self.inner.issuers.get(*issuer).and_then(|issuer| issuer.status.source()) {
            source.renew(question);
        }
    }

    /// Sees to it that feeds are followed, where the runtime on which they were is gone.
    pub(super) fn tend_feeds(&self) {
        self.feeds().for_each(DrivenFeed::tend);
    }

    /// Every feed that is followed.
    pub(super) fn feeds(&self) -> impl Iterator<Item = &DrivenFeed> {
        let of_issuers = self.inner.issuers.iter().filter_map(|issuer| issuer.status.feed());
        self.inner.feeds.iter().chain(of_issuers)
    }

    /// Counts and logs a refusal, once, and sees to what may be behind it.
    pub(crate) fn refused(&self, rejection: &Rejection) {
        observe::rejected(rejection.kind().name(), std::error::Error::source(rejection));
        if rejection.kind() == RejectionKind::StatusUnavailable {
            self.tend_feeds();
        }
    }

    /// Decides, asking for what memory does not hold.
    ///
    /// # Errors
    /// The rejection to answer with.
    pub async fn authorize(&self, input: &Input<'_>) -> Result<Permit, Rejection> {
        self.decide_and_ask(input, Answers::default()).await
    }

    /// Goes on where a first decision came to a need.
    pub(crate) async fn authorize_owned(&self, input: &OwnedInput, need: Need) -> Result<Permit, Rejection> {
        let mut answers = Answers::default();
        self.ask(need, &mut answers).await;
        self.decide_and_ask(&input.as_input(), answers).await
    }

    async fn decide_and_ask(&self, input: &Input<'_>, mut answers: Answers) -> Result<Permit, Rejection> {
        loop {
            match self.decide(input, &answers, self.now()) {
                Decision::Permit(permit) => {
                    observe::permitted();
                    self.renew(&permit);
                    return Ok(permit);
                }
                Decision::Reject(rejection) => {
                    self.refused(&rejection);
                    return Err(rejection);
                }
                Decision::Need(need) => self.ask(need, &mut answers).await,
            }
        }
    }

    /// What is permitted is in `held`, until somebody wants it.
    fn judge<'h>(
        &self,
        input: &Input<'h>,
        held: &'h mut Held<Verified>,
        answers: &Answers,
        now: Now,
    ) -> Result<Pass<'h>, Stop> {
        let requirement = input.requirement;
        if requirement.access() == Access::Public {
            return Ok(Pass::WITHOUT_TOKEN);
        }
        let found = match input.credential {
            Ok(Some(found)) => found,
            Ok(None) if requirement.access() == Access::Optional => return Ok(Pass::WITHOUT_TOKEN),
            Ok(None) => {
                let rejection = self.reject(RejectionKind::NoCredential).with_requirement(requirement);
                return Err(Stop::Reject(rejection));
            }
            Err(Unreadable::Credential(reason)) => return Err(self.malformed(reason)),
            Err(Unreadable::Revision(reason)) => {
                let rejection = self.reject(RejectionKind::InvalidRequest).because_of_revision(reason);
                return Err(Stop::Reject(rejection));
            }
        };
        let read = self.read(found, held, requirement, answers, now)?;
        let (position, presented, known) = match (read, held.as_deref()) {
            (Read::Verified, Some(known)) => {
                (known.position, Presented::Jwt(known.token(), known.assent.as_ref()), Some(known))
            }
            (Read::Verified, None) => return Err(self.invalid(TokenError::Claims)),
            (Read::Opaque(position, bearer), _) => (position, Presented::Opaque(bearer.as_bytes()), None),
        };
        let Standing { token, renewal, assent } = self.stands(position, presented, input, answers, now)?;
        // Before the token is handed out: whoever holds it now is somebody else.
        if let Some(renewed) = known.and_then(|known| known.renewed(assent, self.inner.verified.largest())) {
            self.inner.verified.keep(Arc::new(renewed));
        }
        let scopes = known.map(|known| known.scopes).filter(|_| self.inner.routes.shares_bits_with(requirement));
        let token =
            Sufficient::check(token, scopes, requirement).map_err(|refusal| self.insufficient(refusal, requirement))?;
        Ok(Pass { token: Some(token), renewal: renewal.map(|question| Box::new((position, question))) })
    }

    /// Reads a credential; where it is a token that can be verified here, `held` holds it afterwards.
    fn read<'r>(
        &self,
        found: Found<'r>,
        held: &mut Held<Verified>,
        requirement: &Requirement,
        answers: &Answers,
        now: Now,
    ) -> Result<Read<'r>, Stop> {
        *held = self.inner.verified.find(found.as_bytes());
        if let Some(known) = held.as_deref()
            && let Some(issuer) = self.inner.issuers.get(known.position)
            && issuer.keys.generation(now.monotonic()) == known.token().key_generation()
            // Where nobody keeps the keys fresh, whoever comes next has to see to it.
            && !issuer.keys.is_neglected(now.monotonic())
        {
            self.still_holds(known.token(), requirement, now)?;
            return Ok(Read::Verified);
        }
        let bearer = found.bearer().map_err(|reason| self.malformed(reason))?;
        let mut room = Vec::new();
        let token = match UnverifiedToken::parse(bearer, &mut room) {
            Ok(token) => token,
            // Not a JWT at all, and so perhaps an opaque token.
            Err(reason @ (TokenError::NotCompact | TokenError::Encrypted | TokenError::Header)) => {
                let issuer = self.inner.issuers.of_opaque(bearer);
                return issuer.map(|(position, _)| Read::Opaque(position, bearer)).ok_or_else(|| self.invalid(reason));
            }
            Err(reason) => return Err(self.invalid(reason)),
        };
        let of_opaque = || self.inner.issuers.of_opaque(bearer).filter(|_| token.issuer().is_none());
        let (position, issuer) =
            self.inner.issuers.of(token.issuer()).or_else(of_opaque).ok_or_else(|| self.invalid(TokenError::Issuer))?;
        if issuer.keys.is_absent() {
            // Read without being believed, it may say enough to be refused without a question.
            token.check_hopes(&issuer.rules, now.wall()).map_err(|reason| self.invalid(reason))?;
            let may_be_asked = issuer.could_have_issued(bearer);
            return if may_be_asked { Ok(Read::Opaque(position, bearer)) } else { Err(self.invalid(TokenError::Kind)) };
        }
        let token = self.verify(token, (position, issuer), requirement, answers, now)?;
        let scopes = self.inner.routes.bits(token.scopes());
        let verified = Arc::new(Verified::new(token, position, scopes));
        self.inner.verified.keep(Arc::clone(&verified));
        *held = Held::from_inner(Some(verified));
        Ok(Read::Verified)
    }

    /// Whether the issuer stands by the token, as freshly as the route and the request want to know.
    fn stands<'t>(
        &self,
        position: usize,
        presented: Presented<'t>,
        input: &Input<'_>,
        answers: &Answers,
        now: Now,
    ) -> Result<Standing<'t>, Stop> {
        let requirement = input.requirement;
        let Some(issuer) = self.inner.issuers.get(position) else { return Err(self.invalid(TokenError::Issuer)) };
        // Taken before the index is asked: what feeds promise was applied before.
        let max_age = match requirement.freshness() {
            Freshness::MaxAge(max_age) => max_age,
            Freshness::Cached | Freshness::EveryRequest => Duration::MAX,
        };
        let feeds = self.inner.feeds.iter().chain(issuer.status.feed());
        let heard = Hearing::of(feeds, max_age, now.monotonic());
        let is_behind = input.revision.is_some_and(|revision| !self.has_applied(revision));
        if let Presented::Jwt(token, _) = presented {
            // Also after an answer that left before the revocation came: this runs again once it is there.
            self.check_revocations(token)?;
        }
        if let Some(revision) = input.revision
            && is_behind
            && !answers.revision_awaited
        {
            return Err(Stop::Need(Need { issuer: position, question: Question::Revision(Box::new(revision)) }));
        }
        let demand = Demand {
            // The one who may know more than the log that we wait for.
            freshness: if is_behind { Freshness::EveryRequest } else { requirement.freshness() },
            on_outage: requirement.outage_policy(),
            answer: answers.status.as_deref(),
            heard,
            now,
        };
        let standing = issuer.status.judge(presented, &demand).map_err(|unsettled| match unsettled {
            Unsettled::Ask(inquiry) => {
                Stop::Need(Need { issuer: position, question: Question::Status(Box::new(inquiry)) })
            }
            Unsettled::Withdrawn(reason) => self.invalid(reason),
            Unsettled::Unavailable(NoWord { reason, retry_after }) => {
                let is_alone = is_behind && reason == StatusUnavailable::NobodyToAsk;
                let reason = if is_alone { StatusUnavailable::RevisionNotReached } else { reason };
                let rejection = self.reject(RejectionKind::StatusUnavailable).with_retry_after(retry_after);
                Stop::Reject(rejection.because_of_status(reason))
            }
        })?;
        if matches!(presented, Presented::Opaque(_)) {
            self.check_revocations(&standing.token)?;
        }
        Ok(standing)
    }

    /// Whether the token is among what was revoked here, which no answer of its issuer can undo.
    fn check_revocations(&self, token: &VerifiedToken) -> Result<(), Stop> {
        match &self.inner.revocations {
            Some(revocations) if !revocations.stands(token) => Err(self.invalid(TokenError::Revoked)),
            _ => Ok(()),
        }
    }

    fn invalid(&self, reason: TokenError) -> Stop {
        Stop::Reject(self.reject(RejectionKind::InvalidToken).because_of_token(reason))
    }

    fn malformed(&self, reason: CredentialError) -> Stop {
        Stop::Reject(self.reject(RejectionKind::InvalidRequest).because_of_credential(reason))
    }

    /// What may have changed about a verified token since: the time, the route, and what conditions look at. Only here may
    /// a token be called expired.
    fn still_holds(&self, known: &VerifiedToken, requirement: &Requirement, now: Now) -> Result<(), Stop> {
        if !known.is_meant_for(requirement.accepted_audiences()) {
            return Err(self.invalid(TokenError::Audience));
        }
        known.check_time(now.wall()).map_err(|reason| match reason {
            TokenError::Expired => {
                Stop::Reject(self.reject(RejectionKind::ExpiredToken).because_of_token(TokenError::Expired))
            }
            reason => self.invalid(reason),
        })?;
        known.check_conditions().map_err(|reason| self.invalid(reason))
    }

    fn verify(
        &self,
        token: UnverifiedToken<'_>,
        (position, issuer): (usize, &TrustedIssuer),
        requirement: &Requirement,
        answers: &Answers,
        now: Now,
    ) -> Result<VerifiedToken, Stop> {
        let invalid = |reason| self.invalid(reason);
        let audiences = requirement.accepted_audiences().unwrap_or(&issuer.rules.audiences);
        token.check(&issuer.rules, audiences, now.wall()).map_err(invalid)?;

        let Some((keys, generation)) = issuer.keys.current(now.monotonic()) else {
            return Err(self.need_or(position, KeyQuestion::NoKeys, answers, now, || self.unavailable(issuer, now)));
        };
        if issuer.keys.is_neglected(now.monotonic()) && !answers.keys_asked {
            return Err(Stop::Need(Need { issuer: position, question: Question::Keys(KeyQuestion::Neglected) }));
        }
        token.verify(&issuer.rules, &keys, generation).map_err(|error| {
            // Whether there is another key, only the issuer knows; if it cannot be asked, that is our trouble. For a
            // name that we do know it is, where this very request asked in vain.
            let in_doubt = issuer.keys.in_trouble() || answers.keys_timed_out;
            let in_vain = in_doubt && answers.keys_asked;
            let (question, reason, is_ours) = match error {
                SignatureError::Token(reason) => return invalid(reason),
                SignatureError::UnknownKey(id) => (KeyQuestion::UnknownKey(id), TokenError::UnknownKey, in_doubt),
                SignatureError::BadSignature => (KeyQuestion::BadSignature, TokenError::Signature, in_vain),
                SignatureError::OtherAlgorithm => (KeyQuestion::BadSignature, TokenError::Algorithm, in_vain),
            };
            let refuse = || if is_ours { self.unavailable(issuer, now) } else { invalid(reason) };
            self.need_or(position, question, answers, now, refuse)
        })
    }

    /// The question, unless it was asked already or is not worth asking.
    fn need_or(
        &self,
        position: usize,
        question: KeyQuestion,
        answers: &Answers,
        now: Now,
        otherwise: impl FnOnce() -> Stop,
    ) -> Stop {
        let issuer = self.inner.issuers.get(position);
        let is_worthwhile = issuer.is_some_and(|issuer| issuer.keys.may_answer(&question, now.monotonic()));
        if is_worthwhile && !answers.keys_asked {
            Stop::Need(Need { issuer: position, question: Question::Keys(question) })
        } else {
            otherwise()
        }
    }

    fn unavailable(&self, issuer: &TrustedIssuer, now: Now) -> Stop {
        let delay = issuer.keys.next_attempt_in(now.monotonic());
        Stop::Reject(self.reject(RejectionKind::KeysUnavailable).with_retry_after(delay))
    }

    fn insufficient(&self, refusal: PolicyRefusal, requirement: &Arc<Requirement>) -> Stop {
        Stop::Reject(match refusal {
            PolicyRefusal::Audience => self.reject(RejectionKind::InvalidToken).because_of_token(TokenError::Audience),
            PolicyRefusal::Scope => self.reject(RejectionKind::InsufficientScope).with_requirement(requirement),
            PolicyRefusal::Condition => self.reject(RejectionKind::Forbidden),
        })
    }
}
