//! A source's answer + what is known of the token → a [`Verdict`] on it. Pure.

use std::{sync::Arc, time::Duration};

use super::{StatusError, StatusQuestion, TokenStatus, source::Standing};
use crate::{
    clock::UnixTime,
    token::{Claims, ScopeSet, TokenError, TokenRules, VerifiedToken},
};

/// What an answer means for one token. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The issuer stands by a JWT, and may have left it fewer scopes than it says.
    Stands { scopes: Option<Arc<ScopeSet>> },
    /// The issuer stands by an opaque token: this one.
    Described(VerifiedToken),
    /// The issuer does not stand by it, or what it says does not fit the token.
    Withdrawn(TokenError),
    /// The issuer was there, and would not say.
    Undecided,
}

/// A verdict, when its question was sent, and for how long it may count.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) verdict: Verdict,
    pub(crate) asked_at: AskedAt,
    /// The oldest that it may become, jitter included.
    pub(crate) max_age: Duration,
    /// RFC 7662 §4: not to be reused from then on, by the wall clock.
    pub(crate) until: Option<UnixTime>,
}

/// When a question was sent, before the source could have answered. By the monotonic clock, which may have begun to count
/// only after another replica sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AskedAt {
    since_zero: Duration,
    /// Not zero only where the other is.
    before_zero: Duration,
}

impl AskedAt {
    pub(crate) const fn new(at: Duration) -> Self {
        Self { since_zero: at, before_zero: Duration::ZERO }
    }

    /// So long before `now`.
    pub(crate) const fn ago(age: Duration, now: Duration) -> Self {
        Self { since_zero: now.saturating_sub(age), before_zero: age.saturating_sub(now) }
    }

    /// How long ago it was.
    pub(crate) const fn age(self, now: Duration) -> Duration {
        now.saturating_sub(self.since_zero).saturating_add(self.before_zero)
    }

    /// When it will be that long ago.
    pub(crate) const fn plus(self, age: Duration) -> Duration {
        self.since_zero.saturating_add(age).saturating_sub(self.before_zero)
    }

    pub(crate) fn is_after(self, other: Self) -> bool {
        (self.since_zero, other.before_zero) > (other.since_zero, self.before_zero)
    }
}

impl Word {
    /// How old it is.
    pub(crate) const fn age(&self, now: Duration) -> Duration {
        self.asked_at.age(now)
    }

    /// Whether the issuer stood by the token.
    pub(crate) const fn is_good(&self) -> bool {
        matches!(self.verdict, Verdict::Stands { .. } | Verdict::Described(_))
    }

    /// Whether the token has expired since, by what the issuer said.
    pub(crate) fn is_over(&self, now: UnixTime) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

/// What the answer means, and until when it may be reused at most.
pub(super) fn judge(
    status: &TokenStatus,
    question: &StatusQuestion,
    rules: &Arc<TokenRules>,
    now: UnixTime,
) -> Result<(Verdict, Option<UnixTime>), StatusError> {
    let own_end = question.verified().and_then(VerifiedToken::expires_at);
    let description = match &status.0 {
        Standing::Inactive => return Ok((Verdict::Withdrawn(TokenError::Inactive), own_end)),
        Standing::Active(description) => description,
    };
    let description =
        description.as_ref().map(|description| Ok((description.claims()?, description.payload()))).transpose()?;
    let said_end = description.as_ref().and_then(|(claims, _)| claims.expires_at);
    let until = own_end.into_iter().chain(said_end).min();
    let verdict = match (question.verified(), description) {
        (Some(_), None) => Verdict::Stands { scopes: None },
        (Some(token), Some((claims, payload))) => about_jwt(token, &claims, payload, rules, now)?,
        (None, Some((claims, payload))) => {
            match VerifiedToken::described(rules, &claims, payload, question.token().as_bytes(), now) {
                Ok(token) => Verdict::Described(token),
                // What no server should say: that is its trouble, and not the token's.
                Err(TokenError::Scopes) => return Err(StatusError::Malformed("the scopes of an active token")),
                Err(reason) => Verdict::Withdrawn(reason),
            }
        }
        (None, None) => return Err(StatusError::Malformed("nothing is said about an opaque token")),
    };
    Ok((verdict, until))
}

/// The signature says who the token is; what its issuer says about it must be said of the same one.
fn about_jwt(
    token: &VerifiedToken,
    claims: &Claims<'_>,
    payload: &[u8],
    rules: &TokenRules,
    now: UnixTime,
) -> Result<Verdict, StatusError> {
    if let Err(reason) = rules.check_description(claims) {
        return Ok(Verdict::Withdrawn(reason));
    }
    if !is_same(token, claims) {
        return Ok(Verdict::Withdrawn(TokenError::OtherToken));
    }
    // When it was issued, the token says itself.
    if let Err(reason) = rules.check_window(claims.expires_at, claims.not_before, now) {
        return Ok(Verdict::Withdrawn(reason));
    }
    if !rules.says_scopes(claims, payload) {
        return Ok(Verdict::Stands { scopes: None });
    }
    let scopes = rules.scopes(claims, payload).map_err(|_| StatusError::Malformed("the scopes of an active token"))?;
    let takes_none = token.scopes().iter().all(|scope| scopes.contains(scope));
    Ok(Verdict::Stands { scopes: (!takes_none).then(|| Arc::new(scopes)) })
}

/// Whether nothing that is said contradicts the token. What only one of them says contradicts nothing.
fn is_same(token: &VerifiedToken, claims: &Claims<'_>) -> bool {
    let agree = |said: Option<&str>, signed: Option<&str>| said.is_none() || signed.is_none() || said == signed;
    let audiences: Vec<&str> = claims.audiences().collect();
    let signed: Vec<&str> = token.audiences().collect();
    let same_audiences = audiences.is_empty()
        || signed.is_empty()
        || audiences.len() == signed.len() && audiences.iter().all(|said| signed.contains(said));
    agree(claims.issuer.as_deref(), token.issuer())
        && agree(claims.subject.as_deref(), token.subject())
        && agree(claims.client_id.as_deref(), token.client_id())
        && agree(claims.token_id.as_deref(), token.token_id())
        && same_audiences
}

#[cfg(test)]
mod tests {
    use super::AskedAt;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_question_may_be_older_than_the_clock_threat_14() {
        let now = SECOND * 5;
        let asked: Vec<_> = [0, 2, 5, 7, 20].map(|age| AskedAt::ago(SECOND * age, now)).into();
        for (asked_at, age) in asked.iter().zip([0, 2, 5, 7, 20]) {
            assert_eq!((asked_at.age(now), asked_at.age(now + SECOND)), (SECOND * age, SECOND * (age + 1)));
            assert_eq!(asked_at.plus(SECOND * 30), now + SECOND * 30 - SECOND * age, "{age}");
        }
        for (later, one) in asked.iter().enumerate() {
            for (earlier, other) in asked.iter().enumerate() {
                assert_eq!(one.is_after(*other), later < earlier, "{one:?} {other:?}");
            }
        }
        assert_eq!(AskedAt::ago(SECOND, now), AskedAt::new(SECOND * 4));
    }
}
