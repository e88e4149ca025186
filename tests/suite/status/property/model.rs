//! What the sources would have said when → what a request may be answered.

use std::{collections::HashSet, time::Duration};

use portcullis::status::{Freshness, OnOutage};

/// What is configured for one issuer.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    pub max_age: Duration,
    pub negative_max_age: Duration,
    pub renews_ahead: bool,
    pub on_outage: OnOutage,
    pub leeway: Duration,
    pub concurrency: usize,
}

/// What a route demands.
#[derive(Clone, Debug)]
pub struct Route {
    pub freshness: Freshness,
    pub scope: Option<&'static str>,
    /// Whether tokens must be for another audience than usual.
    pub is_elsewhere: bool,
    pub on_outage: Option<OnOutage>,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub issuers: Vec<IssuerSettings>,
    pub routes: Vec<Route>,
    /// Room for verified tokens, in bytes.
    pub token_cache: usize,
}

/// What a source says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    Active,
    /// Active, with these of [`SCOPES`].
    Scopes(u8),
    /// Active, until so many seconds after the start.
    Ends(u64),
    /// Active, of somebody else; of an opaque token: inactive.
    Other,
    Inactive,
    /// Nothing at all about this token.
    Refused,
}

/// What goes wrong with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Unreachable,
    Later,
    Malformed,
}

/// The first two are in every token.
pub const SCOPES: [&str; 3] = ["read", "write", "admin"];
const GRANTED: u8 = 0b011;

/// A token: the same identifiers at both issuers.
#[derive(Debug)]
pub struct Token {
    pub issuer: usize,
    pub id: &'static str,
    pub subject: &'static str,
    /// In seconds after the start.
    pub expires: Option<u64>,
    /// Whether it is for the other audience too.
    pub is_for_both: bool,
    pub is_opaque: bool,
}

const fn token(issuer: usize, id: &'static str, subject: &'static str, expires: u64, is_for_both: bool) -> Token {
    Token { issuer, id, subject, expires: Some(expires), is_for_both, is_opaque: false }
}

const fn opaque(issuer: usize) -> Token {
    Token { issuer, id: "3", subject: "user-b", expires: None, is_for_both: false, is_opaque: true }
}

pub const TOKENS: [Token; 8] = [
    token(0, "0", "user-a", 3600, true),
    token(0, "1", "user-a", 12, false),
    token(0, "2", "user-b", 3600, false),
    opaque(0),
    token(1, "0", "user-a", 3600, true),
    token(1, "1", "user-a", 12, false),
    token(1, "2", "user-b", 3600, false),
    opaque(1),
];

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With these of [`SCOPES`].
    Permitted(u8),
    Invalid,
    Lacking,
    Unavailable,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub replica: usize,
    pub token: usize,
    pub route: usize,
    pub at: Moment,
    /// The last that was heard of the token was that it is withdrawn.
    pub heard_bad: bool,
    /// How often it had been heard then that it stands.
    pub heard_good: u64,
}

/// A step in the order of events, and the time by the clock, which may stand still for many of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    pub step: usize,
    pub time: Duration,
}

/// A state of affairs, since the one before it ended.
#[derive(Debug)]
struct Span<S> {
    state: S,
    to: Option<Moment>,
}

impl<S> Span<S> {
    fn touches(&self, since: Duration) -> bool {
        self.to.is_none_or(|to| to.time >= since)
    }

    /// Whether it was still so when, or after, this happened.
    fn outlasts(&self, moment: Moment) -> bool {
        self.to.is_none_or(|to| to.step > moment.step)
    }
}

/// A source that is left alone is tried again within this, a question in the air has landed within that.
const BREAK: Duration = Duration::from_secs(6);
const AIR: Duration = Duration::from_secs(3);

/// How things stand, and how they stood.
#[derive(Debug)]
pub struct Model {
    settings: Settings,
    pub now: Moment,
    says: Vec<Vec<Span<Say>>>,
    /// Whether the source of an issuer is in trouble or holds its answers back.
    troubled: Vec<Vec<Span<bool>>>,
    /// By replica.
    pub heard: Vec<Heard>,
}

/// What a replica was told to refuse.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub revoked: HashSet<(usize, &'static str)>,
    pub suspended: HashSet<(usize, &'static str)>,
    pub revoked_subjects: HashSet<(usize, &'static str)>,
}

impl Model {
    pub fn new(settings: Settings, replicas: usize) -> Self {
        let mut model = Self {
            says: TOKENS.iter().map(|_| Vec::new()).collect(),
            troubled: settings.issuers.iter().map(|_| Vec::new()).collect(),
            settings,
            now: Moment::default(),
            heard: vec![Heard::default(); replicas],
        };
        (0..TOKENS.len()).for_each(|token| model.says(token, Say::Active));
        (0..2).for_each(|issuer| model.troubled(issuer, false));
        model
    }

    pub fn says(&mut self, token: usize, say: Say) {
        change(&mut self.says[token], say, self.now);
    }

    pub fn troubled(&mut self, issuer: usize, is_troubled: bool) {
        change(&mut self.troubled[issuer], is_troubled, self.now);
    }

    fn is_revoked(&self, replica: usize, token: &Token) -> bool {
        let (by_id, heard) = ((token.issuer, token.id), &self.heard[replica]);
        heard.revoked.contains(&by_id)
            || heard.suspended.contains(&by_id)
            || heard.revoked_subjects.contains(&(token.issuer, token.subject))
    }

    /// What a request that is answered now may be answered.
    pub fn allowed(&self, asked: &Asked) -> Vec<Outcome> {
        let (token, route) = (&TOKENS[asked.token], &self.settings.routes[asked.route]);
        let issuer = &self.settings.issuers[token.issuer];
        let (came, now) = (asked.at.time, self.now.time);
        let is_over = |end: u64, now: Duration| now.as_secs() >= end + issuer.leeway.as_secs();

        // Refused whatever the source says; of a token that has to be described first, when it has said something.
        let is_void = token.expires.is_some_and(|end| is_over(end, now)) || self.is_revoked(asked.replica, token);
        let is_elsewhere = route.is_elsewhere && !token.is_for_both;
        if !token.is_opaque && (is_void || is_elsewhere) {
            return vec![Outcome::Invalid];
        }
        let mut allowed = Vec::new();
        let memory = issuer.negative_max_age.max(AIR);
        let is_troubled = |since: Duration| {
            self.troubled[token.issuer].iter().any(|span| span.state && span.touches(came.saturating_sub(since)))
        };
        let is_silent = self.says[asked.token]
            .iter()
            .any(|span| span.state == Say::Refused && span.touches(came.saturating_sub(memory)));
        let is_unavailable = is_troubled(BREAK) || is_silent;
        if is_unavailable {
            allowed.push(Outcome::Unavailable);
        }
        if is_void || is_elsewhere {
            allowed.push(Outcome::Invalid);
            return allowed;
        }
        let max_age = match route.freshness {
            Freshness::Cached => Some(issuer.max_age),
            Freshness::MaxAge(age) => Some(age.min(issuer.max_age)),
            _ => None,
        };
        let stale = match route.on_outage.unwrap_or(issuer.on_outage) {
            OnOutage::AcceptStale(age) if max_age.is_some() && is_unavailable => Some(age),
            _ => None,
        };
        for span in &self.says[asked.token] {
            let fresh = span.outlasts(asked.at);
            let (scopes, said_end) = match span.state {
                Say::Active => (GRANTED, None),
                Say::Scopes(scopes) if token.is_opaque => (scopes, None),
                Say::Scopes(scopes) => (scopes & GRANTED, None),
                Say::Ends(end) => (GRANTED, Some(end)),
                Say::Refused => continue,
                Say::Other | Say::Inactive => {
                    if fresh || span.touches(came.saturating_sub(memory)) {
                        allowed.push(Outcome::Invalid);
                    }
                    continue;
                }
            };
            if said_end.is_some_and(|end| is_over(end, now)) && (fresh || span.touches(came.saturating_sub(memory))) {
                allowed.push(Outcome::Invalid);
            }
            if said_end.is_some_and(|end| is_over(end, came)) {
                continue;
            }
            // A word is not reused when its token has expired by what anybody says; leeway is for asking.
            let end = token.expires.into_iter().chain(said_end).min().unwrap_or(u64::MAX);
            let reused = max_age.is_some_and(|max_age| {
                let joined = is_troubled(AIR) && span.touches(came.saturating_sub(max_age.min(AIR)));
                joined || came.as_secs() < end && span.touches(came.saturating_sub(max_age))
            });
            let stale = stale.is_some_and(|age| now.as_secs() < end && span.touches(now.saturating_sub(age)));
            if fresh || reused || stale {
                let wanted = route.scope.and_then(|wanted| SCOPES.iter().position(|scope| *scope == wanted));
                let is_lacking = wanted.is_some_and(|wanted| scopes & (1 << wanted) == 0);
                allowed.push(if is_lacking { Outcome::Lacking } else { Outcome::Permitted(scopes) });
            }
        }
        allowed
    }
}

fn change<S: PartialEq>(spans: &mut Vec<Span<S>>, state: S, now: Moment) {
    if let Some(last) = spans.last_mut() {
        if last.state == state {
            return;
        }
        last.to = Some(now);
    }
    spans.push(Span { state, to: None });
}
