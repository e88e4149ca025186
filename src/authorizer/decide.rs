//! The stages in their order: requirement, credential, token, status, policy.

use std::{sync::Arc, time::Duration};

use super::{Answers, Authorizer, Decision, Input, Need, OwnedInput, Permit, trusted::TrustedIssuer};
use crate::{
    clock::Now,
    credential::Bearer,
    keys::{KeyAnswer, KeyQuestion},
    observe,
    policy::{Access, AccessToken, PolicyRefusal, Requirement},
    rejection::{Rejection, RejectionKind},
    status::ActiveToken,
    token::{SignatureError, TokenError, UnverifiedToken, VerifiedToken},
};

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
        match self.permit(input, answers, now) {
            Ok(permit) => Decision::Permit(permit),
            Err(Stop::Reject(rejection)) => Decision::Reject(rejection),
            Err(Stop::Need(need)) => Decision::Need(need),
        }
    }

    /// Fetches what a decision needs. Waits no longer than the issuer's configuration allows, and not at all for what
    /// was asked for a moment ago.
    pub async fn ask(&self, need: Need, answers: &mut Answers) {
        answers.keys_asked = true;
        if let Some(issuer) = self.inner.issuers.get(need.issuer) {
            answers.keys_timed_out = issuer.keys.ask(&need.question).await == KeyAnswer::TimedOut;
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
                    return Ok(permit);
                }
                Decision::Reject(rejection) => {
                    observe_refusal(&rejection);
                    return Err(rejection);
                }
                Decision::Need(need) => self.ask(need, &mut answers).await,
            }
        }
    }

    fn permit(&self, input: &Input<'_>, answers: &Answers, now: Now) -> Result<Permit, Stop> {
        let requirement = input.requirement;
        if requirement.access() == Access::Public {
            return Ok(Permit { token: None });
        }
        let bearer = match input.credential {
            Ok(Some(bearer)) => bearer,
            Ok(None) if requirement.access() == Access::Optional => return Ok(Permit { token: None }),
            Ok(None) => {
                let rejection = self.reject(RejectionKind::NoCredential).with_requirement(requirement);
                return Err(Stop::Reject(rejection));
            }
            Err(reason) => {
                let rejection = self.reject(RejectionKind::InvalidRequest).because_of_credential(reason);
                return Err(Stop::Reject(rejection));
            }
        };
        let verified = match self.known(input, bearer, now) {
            Some(known) => self.still_valid(known, now)?,
            None => self.verify(bearer, requirement, answers, now)?,
        };
        let Some(active) = ActiveToken::by_local_verification(verified, requirement.freshness()) else {
            let rejection = self.reject(RejectionKind::StatusUnavailable).with_retry_after(Duration::from_secs(1));
            return Err(Stop::Reject(rejection));
        };
        let token =
            AccessToken::admit(active, requirement).map_err(|refusal| self.insufficient(refusal, requirement))?;
        Ok(Permit { token: Some(token) })
    }

    /// The verified form of the credential, if the caller holds it, it is this authorizer's own, and the keys are still
    /// the ones that vouched for it.
    fn known<'i>(&self, input: &Input<'i>, bearer: Bearer<'_>, now: Now) -> Option<&'i VerifiedToken> {
        let known: &VerifiedToken = input.known?;
        let vouches = |issuer: &TrustedIssuer| {
            Arc::ptr_eq(&issuer.rules, known.rules())
                && known.key_generation().is_some()
                && issuer.keys.generation(now.monotonic()) == known.key_generation()
        };
        (self.inner.issuers.iter().any(vouches) && known.is_of(bearer.as_bytes())).then_some(known)
    }

    /// A verified token in the course of time; only here may a token be called expired.
    fn still_valid(&self, known: &VerifiedToken, now: Now) -> Result<VerifiedToken, Stop> {
        match known.check_time(now.wall()) {
            Ok(()) => Ok(known.clone()),
            Err(reason) => {
                let kind = match reason {
                    TokenError::Expired => RejectionKind::ExpiredToken,
                    _ => RejectionKind::InvalidToken,
                };
                Err(Stop::Reject(self.reject(kind).because_of_token(reason)))
            }
        }
    }

    fn verify(
        &self,
        bearer: Bearer<'_>,
        requirement: &Requirement,
        answers: &Answers,
        now: Now,
    ) -> Result<VerifiedToken, Stop> {
        let invalid = |reason| Stop::Reject(self.reject(RejectionKind::InvalidToken).because_of_token(reason));
        let token = UnverifiedToken::parse(bearer).map_err(invalid)?;
        let (position, issuer) = self.inner.issuers.of(token.issuer()).ok_or_else(|| invalid(TokenError::Issuer))?;
        let audiences = requirement.accepted_audiences().unwrap_or(&issuer.rules.audiences);
        token.check(&issuer.rules, audiences, now.wall()).map_err(invalid)?;

        let Some((keys, generation)) = issuer.keys.current(now.monotonic()) else {
            return Err(self.need_or(position, KeyQuestion::NoKeys, answers, now, || self.unavailable(issuer, now)));
        };
        if issuer.keys.is_neglected(now.monotonic()) && !answers.keys_asked {
            return Err(Stop::Need(Need { issuer: position, question: KeyQuestion::Neglected }));
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
        if is_worthwhile && !answers.keys_asked { Stop::Need(Need { issuer: position, question }) } else { otherwise() }
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

/// Counts and logs a refusal, once.
pub(crate) fn observe_refusal(rejection: &Rejection) {
    observe::rejected(rejection.kind().name(), std::error::Error::source(rejection));
}
