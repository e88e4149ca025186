//! A verified or opaque token + what memory holds → an [`ActiveToken`], a refusal, or a question. Pure but for memory.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Active, DrivenFeed, Freshness, Hearing, OnOutage, StatusQuestion, StatusUnavailable,
    asking::SOON,
    lookup::{NoWord, Reply, StatusLookup},
    memory::StatusKey,
    probe::Promise,
    verdict::{Verdict, Word},
};
use crate::{
    clock::Now,
    token::{TokenError, VerifiedToken},
};

/// Who can say of one issuer's tokens whether they still stand.
#[derive(Debug)]
pub(crate) struct IssuerStatus {
    source: Option<StatusLookup>,
    /// What the issuer itself publishes, so that it need not be asked.
    feed: Option<DrivenFeed>,
    /// What counts while neither says anything, on routes that do not say.
    on_outage: OnOutage,
}

/// A token as it got here.
#[derive(Clone, Copy)]
pub(crate) enum Presented<'t> {
    /// A JWT, verified, and what is kept with it.
    Jwt(&'t VerifiedToken, Option<&'t Assent>),
    /// The text of an opaque token, of which nothing is known.
    Opaque(&'t [u8]),
}

/// What a route wants to know, and what has been found out for this very request.
#[derive(Clone, Copy)]
pub(crate) struct Demand<'a> {
    pub(crate) freshness: Freshness,
    pub(crate) on_outage: Option<OnOutage>,
    pub(crate) answer: Option<&'a Answer>,
    /// What all feeds together that speak of the issuer's tokens had said, where there are any.
    pub(crate) heard: Option<Hearing>,
    pub(crate) now: Now,
}

impl Demand<'_> {
    /// Whether feeds said all that this wants to know.
    fn is_met_by_feeds(&self) -> bool {
        self.freshness != Freshness::EveryRequest && self.heard.is_some_and(|heard| heard.is_fresh())
    }
}

/// A token whose issuer stands by it.
pub(crate) struct Standing<'t> {
    pub(crate) token: Active<'t>,
    /// The question to ask again soon, where its answer grows old.
    pub(crate) renewal: Option<StatusQuestion>,
    /// What to keep with the token from now on, so that its next request need not look for it.
    pub(crate) assent: Option<Assent>,
}

/// What the memory of a source had on a verified token that stands as it is: nothing against it as of a revision, and
/// perhaps the word that says so.
#[derive(Clone)]
pub(crate) struct Assent {
    as_of: u64,
    word: Option<Arc<Word>>,
    /// From then on, by the monotonic clock, the word is due to be asked for again.
    due_at: Duration,
}

impl Assent {
    /// Whether nothing would come of looking further. Where in doubt, it does not say so.
    fn is_enough(&self, demand: &Demand<'_>) -> bool {
        let (Some(word), now) = (&self.word, demand.now.monotonic()) else { return false };
        // As long as it is not due by what the route wants, nor by what a feed that is too old wants in its stead.
        let is_young = |max_age: Duration| word.age(now) < max_age / 4 * 3;
        let is_fresh = match demand.freshness {
            Freshness::Cached => true,
            Freshness::MaxAge(max_age) => is_young(max_age),
            Freshness::EveryRequest => false,
        };
        let missed = demand.heard.and_then(|heard| heard.missed());
        is_fresh && now < self.due_at && !word.is_over(demand.now.wall()) && missed.is_none_or(is_young)
    }
}

/// Why a token does not stand, or not yet.
#[derive(Debug)]
pub(crate) enum Unsettled {
    Withdrawn(TokenError),
    Ask(Inquiry),
    Unavailable(NoWord),
}

/// What came of a question, and about which token that was: it is no answer about another.
#[derive(Clone)]
pub(crate) struct Answer {
    about: StatusKey,
    reply: Reply,
}

/// What to ask, when that turned out, and how long before that the answer may have been asked for; `None`: not at all.
#[derive(Clone, Debug)]
pub(crate) struct Inquiry {
    question: StatusQuestion,
    came: Duration,
    max_age: Option<Duration>,
}

impl fmt::Debug for Answer {
    /// Not what it says, which is what a token may do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(<redacted>)")
    }
}

impl<'t> Standing<'t> {
    /// Nothing has to be asked again, or kept.
    const fn of(token: Active<'t>) -> Self {
        Self { token, renewal: None, assent: None }
    }
}

impl<'t> Presented<'t> {
    fn text(&self) -> &'t [u8] {
        match self {
            Self::Jwt(token, _) => token.text(),
            Self::Opaque(text) => text,
        }
    }

    fn question(&self) -> StatusQuestion {
        match self {
            Self::Jwt(token, _) => StatusQuestion::about(token),
            Self::Opaque(text) => StatusQuestion::about_opaque(text),
        }
    }

    fn is_kept_with(&self, assent: &Assent) -> bool {
        let word = |assent: &Assent| assent.word.as_ref().map(Arc::as_ptr);
        match self {
            Self::Jwt(_, Some(kept)) => kept.as_of == assent.as_of && word(kept) == word(assent),
            _ => false,
        }
    }

    const fn promise(&self, was_answered: bool) -> Promise {
        match self {
            _ if was_answered => Promise::Answered,
            Self::Jwt(..) => Promise::Verified,
            Self::Opaque(_) => Promise::Opaque,
        }
    }
}

impl IssuerStatus {
    pub(crate) const fn new(source: Option<StatusLookup>, feed: Option<DrivenFeed>, on_outage: OnOutage) -> Self {
        Self { source, feed, on_outage }
    }

    /// What the issuer publishes itself.
    pub(crate) const fn feed(&self) -> Option<&DrivenFeed> {
        self.feed.as_ref()
    }

    /// Who is asked.
    pub(crate) const fn source(&self) -> Option<&StatusLookup> {
        self.source.as_ref()
    }

    /// Whether its word on a JWT can be as fresh as that, `has_feeds` of others included.
    pub(crate) fn can_be(&self, freshness: Freshness, has_feeds: bool) -> bool {
        let is_asked = self.source.as_ref().is_some_and(|source| !source.policy().only_opaque);
        let is_heard = has_feeds || self.feed.is_some();
        match freshness {
            Freshness::Cached => true,
            Freshness::MaxAge(_) => is_asked || is_heard,
            Freshness::EveryRequest => is_asked,
        }
    }

    /// Asks, or waits for who is asking already.
    pub(crate) async fn ask(&self, inquiry: &Inquiry) -> Option<Answer> {
        let source = self.source.as_ref()?;
        let about = source.key(inquiry.question.token().as_bytes());
        Some(Answer { about, reply: source.ask(&inquiry.question, inquiry.came, inquiry.max_age).await })
    }

    /// Whether the issuer stands by the token, as far as memory knows.
    pub(crate) fn judge<'t>(&self, presented: Presented<'t>, demand: &Demand<'_>) -> Result<Standing<'t>, Unsettled> {
        let source = match (&self.source, presented) {
            (Some(source), Presented::Opaque(_)) => source,
            (Some(source), Presented::Jwt(..)) if !source.policy().only_opaque => source,
            (_, Presented::Jwt(token, _)) => return self.without_source(token, demand).map(Standing::of),
            (None, Presented::Opaque(_)) => return Err(Unsettled::Unavailable(NoWord::NOBODY)),
        };
        let now = demand.now.monotonic();
        let is_met_by_feeds = self.feed.is_some() && demand.is_met_by_feeds();
        let as_of = source.revision();
        if let Presented::Jwt(token, Some(assent)) = presented
            && demand.answer.is_none()
            && assent.as_of == as_of
            && (is_met_by_feeds || assent.is_enough(demand))
        {
            return Ok(Standing::of(Active::AsItIs(token)));
        }
        let key = source.key(presented.text());
        if let Presented::Jwt(token, _) = presented
            && is_met_by_feeds
        {
            // The issuer publishes what it takes back: there is nothing to ask. But what it has said already counts.
            return match source.bad_word(&key, demand.now).map(|word| word.verdict.clone()) {
                Some(Verdict::Withdrawn(reason)) => Err(Unsettled::Withdrawn(reason)),
                _ => {
                    let assent = Assent { as_of, word: None, due_at: now };
                    Ok(Standing { assent: Some(assent), ..Standing::of(Active::AsItIs(token)) })
                }
            };
        }
        let good = source.good_word(&key);
        let outage = |no_word| self.outage(good.as_deref(), presented, demand, no_word);
        match demand.answer.filter(|answer| answer.about == key).map(|answer| &answer.reply) {
            // Asked for this request, and so as fresh as any could be.
            Some(Ok(word)) => return stands(word, presented, demand.now, outage).map(Standing::of),
            Some(Err(no_word)) => return outage(*no_word).map(Standing::of),
            None => {}
        }
        // Where a feed is too old, the issuer's word stands in for it, if it is young enough to.
        let of_source = demand.heard.and_then(|heard| heard.missed()).unwrap_or(Duration::MAX);
        let max_age = max_age(demand.freshness, source.policy().max_age.min(of_source));
        if let (Some(word), Some(max_age)) = (&good, max_age)
            && word.is_fresh(max_age, demand.now)
        {
            let token = stands(word, presented, demand.now, outage)?;
            let renews = source.policy().renew_ahead;
            // Where the issuer would not say a moment ago, it would not now.
            let is_due = renews && word.is_due(max_age, now) && source.bad_word(&key, demand.now).is_none();
            let assent = matches!(token, Active::AsItIs(_)).then(|| {
                let max_age = source.policy().max_age.min(word.max_age);
                let due_at = word.asked_at.plus(if renews { max_age / 4 * 3 } else { max_age });
                Assent { as_of, word: Some(Arc::clone(word)), due_at }
            });
            let assent = assent.filter(|assent| now < assent.due_at && !presented.is_kept_with(assent));
            return Ok(Standing { token, renewal: is_due.then(|| presented.question()), assent });
        }
        if let Some(word) = source.bad_word(&key, demand.now) {
            return stands(&word, presented, demand.now, outage).map(Standing::of);
        }
        match source.may_ask(now) {
            Ok(()) => Err(Unsettled::Ask(Inquiry { question: presented.question(), came: now, max_age })),
            Err(no_word) => {
                source.suggest(presented.promise(good.is_some()), || presented.question());
                outage(no_word).map(Standing::of)
            }
        }
    }

    /// The issuer's word is not to be had: what was decided for that.
    fn outage<'t>(
        &self,
        good: Option<&Word>,
        presented: Presented<'t>,
        demand: &Demand<'_>,
        no_word: NoWord,
    ) -> Result<Active<'t>, Unsettled> {
        let refused = Unsettled::Unavailable(no_word);
        let OnOutage::AcceptStale(age) = demand.on_outage.unwrap_or(self.on_outage) else { return Err(refused) };
        // A route that asks on every request is never served what was said before.
        if demand.freshness == Freshness::EveryRequest {
            return Err(refused);
        }
        if let Some(word) = good
            && word.age(demand.now.monotonic()) < age
            && !word.is_over(demand.now.wall())
        {
            return stands(word, presented, demand.now, |_| Err(refused));
        }
        match presented {
            // The issuer's own feed had the word before.
            Presented::Jwt(token, _)
                if self.feed.is_some() && demand.heard.is_some_and(|heard| heard.is_younger_than(age)) =>
            {
                Ok(Active::AsItIs(token))
            }
            _ => Err(refused),
        }
    }

    /// Nobody can be asked: what is known is what feeds said, and that nothing was revoked here.
    fn without_source<'t>(&self, token: &'t VerifiedToken, demand: &Demand<'_>) -> Result<Active<'t>, Unsettled> {
        match (demand.heard, demand.freshness) {
            (None, Freshness::Cached) => Ok(Active::AsItIs(token)),
            (None, _) | (_, Freshness::EveryRequest) => Err(Unsettled::Unavailable(NoWord::NOBODY)),
            (Some(heard), _) if heard.is_fresh() => Ok(Active::AsItIs(token)),
            (Some(heard), _) => match demand.on_outage.unwrap_or(self.on_outage) {
                OnOutage::AcceptStale(age) if heard.is_younger_than(age) => Ok(Active::AsItIs(token)),
                _ => Err(Unsettled::Unavailable(NoWord::STALE)),
            },
        }
    }
}

/// How old a word may be; `None` where it must be asked for.
fn max_age(freshness: Freshness, of_source: Duration) -> Option<Duration> {
    match freshness {
        Freshness::Cached => Some(of_source),
        Freshness::MaxAge(of_route) => Some(of_route.min(of_source)),
        Freshness::EveryRequest => None,
    }
}

/// What a word comes to for the token at hand.
fn stands<'t>(
    word: &Word,
    presented: Presented<'t>,
    now: Now,
    outage: impl FnOnce(NoWord) -> Result<Active<'t>, Unsettled>,
) -> Result<Active<'t>, Unsettled> {
    match (&word.verdict, presented) {
        (Verdict::Withdrawn(reason), _) => Err(Unsettled::Withdrawn(*reason)),
        (Verdict::Stands { scopes: None }, Presented::Jwt(token, _)) => Ok(Active::AsItIs(token)),
        (Verdict::Stands { scopes: Some(scopes) }, Presented::Jwt(token, _)) => {
            Ok(Active::AsSaid(token.narrowed_to(scopes)))
        }
        (Verdict::Described(token), Presented::Opaque(_)) => {
            token.check_time(now.wall()).map_err(Unsettled::Withdrawn)?;
            Ok(Active::AsSaid(token.clone()))
        }
        // The second cannot be: a text is of one kind.
        (Verdict::Undecided, _) | (Verdict::Stands { .. } | Verdict::Described(_), _) => {
            let retry_after = word.max_age.saturating_sub(word.age(now.monotonic()));
            outage(NoWord { reason: StatusUnavailable::NoWord, retry_after })
        }
    }
}

impl Word {
    /// Whether it counts where words may be `max_age` old.
    fn is_fresh(&self, max_age: Duration, now: Now) -> bool {
        self.age(now.monotonic()) < max_age.min(self.max_age) && !self.is_over(now.wall())
    }

    /// Whether three quarters of its time are over.
    fn is_due(&self, max_age: Duration, now: Duration) -> bool {
        self.age(now) >= max_age.min(self.max_age) / 4 * 3
    }
}

impl NoWord {
    /// A question that nobody was there for.
    const NOBODY: Self = Self { reason: StatusUnavailable::NobodyToAsk, retry_after: SOON };

    /// Feeds that are not heard.
    const STALE: Self = Self { reason: StatusUnavailable::StaleFeed, retry_after: SOON };
}
