//! Events → an authorizer with its sources and its clock, and a complaint where it answers what it may not.

use std::{
    collections::HashMap,
    ops::Add,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use portcullis::{
    AccessToken, Algorithm, Authorizer, Issuer, KeySource, RejectionKind, Requirement, RouteTable, Unlisted,
    status::{
        Freshness, OpaqueTokens, Revocation, Revocations, StatusAnswer, StatusError, StatusPolicy, StatusQuestion,
        StatusSource, TokenStatus,
    },
    testing::{ManualClock, TestKey, TokenBuilder},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};

use super::model::{Asked, Model, Moment, Outcome, SCOPES, Say, Settings, TOKENS, Token, Trouble};
use crate::support::bearer;

const ISSUERS: [&str; 2] = ["https://a.test", "https://b.test"];
const ELSEWHERE: &str = "https://elsewhere.example";
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub enum Event {
    Request { token: usize, route: usize },
    Advance(Duration),
    Say(usize, Say),
    Fails(usize, Trouble),
    Heals(usize),
    Holds(usize),
    Releases(usize),
    Revoke(usize),
    RevokeSubject(usize),
    Suspend(usize),
    Resume(usize),
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub permitted: u64,
    pub invalid: u64,
    pub lacking: u64,
    pub unavailable: u64,
    pub questions: u64,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            permitted: self.permitted + other.permitted,
            invalid: self.invalid + other.invalid,
            lacking: self.lacking + other.lacking,
            unavailable: self.unavailable + other.unavailable,
            questions: self.questions + other.questions,
        }
    }
}

/// How the sources stand, and what was heard of them.
#[derive(Debug)]
struct Ledger {
    texts: HashMap<String, usize>,
    says: Vec<Say>,
    trouble: Vec<Option<Trouble>>,
    is_held: Vec<bool>,
    heard_good: Vec<u64>,
    last_was_bad: Vec<bool>,
    questions: u64,
    /// A source was asked about a token of another issuer.
    has_strayed: bool,
}

/// The source of one issuer: its answers tell how things stood when the question came.
#[derive(Debug)]
struct Source {
    issuer: usize,
    ledger: Arc<Mutex<Ledger>>,
    gate: watch::Sender<bool>,
}

impl StatusSource for Source {
    fn identity(&self) -> String {
        "the same for both".to_owned()
    }

    fn ask(&self, question: &StatusQuestion) -> StatusAnswer {
        let (ledger, mut gate) = (Arc::clone(&self.ledger), self.gate.subscribe());
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
                ledger.last_was_bad[index] = !is_good;
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

/// An authorizer with two issuers, and the model beside it.
pub struct Theatre {
    clock: ManualClock,
    authorizer: Authorizer,
    routes: Vec<Arc<Requirement>>,
    revocations: Revocations,
    texts: Vec<String>,
    ledger: Arc<Mutex<Ledger>>,
    gates: Vec<watch::Sender<bool>>,
    model: Model,
    pending: Vec<(Asked, JoinHandle<Result<AccessToken, RejectionKind>>)>,
    counts: Counts,
}

impl Theatre {
    pub fn new(settings: Settings) -> Self {
        let (clock, key) = (ManualClock::new(), TestKey::shared(Algorithm::ES256));
        let texts: Vec<_> = TOKENS.iter().map(|token| text(token, &key)).collect();
        let ledger = Arc::new(Mutex::new(Ledger {
            texts: texts.iter().cloned().zip(0..).collect(),
            says: vec![Say::Active; TOKENS.len()],
            trouble: vec![None; 2],
            is_held: vec![false; 2],
            heard_good: vec![0; TOKENS.len()],
            last_was_bad: vec![false; TOKENS.len()],
            questions: 0,
            has_strayed: false,
        }));
        let gates: Vec<_> = ISSUERS.iter().map(|_| watch::Sender::new(true)).collect();
        let revocations = Revocations::builder().clock(clock.clone()).build().unwrap();
        let mut builder = Authorizer::builder()
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .revocations(revocations.clone())
            .token_cache_bytes(settings.token_cache)
            .clock(clock.clone());
        for (issuer, of) in settings.issuers.iter().enumerate() {
            let mut policy = StatusPolicy::default()
                .max_age(of.max_age)
                .negative_max_age(of.negative_max_age)
                .on_outage(of.on_outage)
                .concurrency(of.concurrency, 1000)
                .breaks(3, SECOND, 4 * SECOND);
            if !of.renews_ahead {
                policy = policy.without_renewal_ahead();
            }
            let source = Source { issuer, ledger: Arc::clone(&ledger), gate: gates[issuer].clone() };
            builder = builder.issuer(
                Issuer::with_keys(ISSUERS[issuer], KeySource::json(key.jwk().to_string()))
                    .audience(TokenBuilder::AUDIENCE)
                    .leeway(of.leeway)
                    .status_source(source)
                    .status_policy(policy)
                    .opaque_tokens(OpaqueTokens::default().prefix(["a_", "b_"][issuer])),
            );
        }
        let authorizer = builder.build().unwrap();
        let routes = settings.routes.iter().map(|route| {
            let mut requirement = route.scope.map_or_else(Requirement::authenticated, Requirement::scope);
            if route.is_elsewhere {
                requirement = requirement.audience(ELSEWHERE);
            }
            if let Some(on_outage) = route.on_outage {
                requirement = requirement.on_outage(on_outage);
            }
            let requirement = match route.freshness {
                Freshness::MaxAge(age) => requirement.max_status_age(age),
                Freshness::EveryRequest => requirement.status_on_every_request(),
                _ => requirement,
            };
            authorizer.compile(requirement).unwrap()
        });
        Self {
            routes: routes.collect(),
            clock,
            authorizer,
            revocations,
            texts,
            ledger,
            gates,
            model: Model::new(settings),
            pending: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// What happens, and what everybody does about it.
    pub async fn play(&mut self, event: Event) -> Result<(), String> {
        let what = format!("{event:?}");
        self.model.now.step += 1;
        match event {
            Event::Request { token, route } => self.request(token, route),
            Event::Advance(by) => {
                self.clock.advance(by);
                self.model.now.time = self.clock.now().monotonic();
            }
            Event::Say(token, say) => {
                self.ledger.lock().unwrap().says[token] = say;
                self.model.says(token, say);
            }
            Event::Fails(issuer, trouble) => self.change(issuer, |ledger| ledger.trouble[issuer] = Some(trouble)),
            Event::Heals(issuer) => self.change(issuer, |ledger| ledger.trouble[issuer] = None),
            Event::Holds(issuer) => self.change(issuer, |ledger| ledger.is_held[issuer] = true),
            Event::Releases(issuer) => self.change(issuer, |ledger| ledger.is_held[issuer] = false),
            Event::Revoke(token) => {
                self.revocations.revoke(by_id(token));
                self.model.revoked.insert((TOKENS[token].issuer, TOKENS[token].id));
            }
            Event::RevokeSubject(token) => {
                let Token { issuer, subject, .. } = TOKENS[token];
                let revocation = Revocation::subject(Some(ISSUERS[issuer]), subject, ManualClock::START);
                self.revocations.revoke(revocation);
                self.model.revoked_subjects.insert((issuer, subject));
            }
            Event::Suspend(token) => {
                self.revocations.suspend(by_id(token));
                self.model.suspended.insert((TOKENS[token].issuer, TOKENS[token].id));
            }
            Event::Resume(token) => {
                self.revocations.resume(&by_id(token));
                self.model.suspended.remove(&(TOKENS[token].issuer, TOKENS[token].id));
            }
        }
        self.clock.settle().await;
        self.collect(&what).await
    }

    /// Everybody gets an answer at last.
    pub async fn end(mut self) -> Result<Counts, String> {
        for event in [Event::Releases(0), Event::Releases(1)] {
            self.play(event).await?;
        }
        for _ in 0..3 {
            self.play(Event::Advance(3 * SECOND)).await?;
        }
        let ledger = self.ledger.lock().unwrap();
        if !self.pending.is_empty() || ledger.has_strayed {
            return Err("somebody was never answered, or a source was asked about a token of another issuer".to_owned());
        }
        Ok(Counts { questions: ledger.questions, ..self.counts })
    }

    fn change(&mut self, issuer: usize, change: impl FnOnce(&mut Ledger)) {
        let mut ledger = self.ledger.lock().unwrap();
        change(&mut ledger);
        self.model.troubled(issuer, ledger.trouble[issuer].is_some() || ledger.is_held[issuer]);
        self.gates[issuer].send_replace(!ledger.is_held[issuer]);
    }

    fn request(&mut self, token: usize, route: usize) {
        let asked = {
            let ledger = self.ledger.lock().unwrap();
            let Moment { step, time } = self.model.now;
            let (heard_bad, heard_good) = (ledger.last_was_bad[token], ledger.heard_good[token]);
            Asked { token, route, at: Moment { step, time }, heard_bad, heard_good }
        };
        let (authorizer, requirement) = (self.authorizer.clone(), Arc::clone(&self.routes[route]));
        let headers = bearer(&self.texts[token]);
        let answer = tokio::spawn(async move {
            let input = authorizer.input(&headers, &requirement);
            let permit = authorizer.authorize(&input).await;
            permit.map(|permit| permit.into_token().unwrap()).map_err(|rejection| rejection.kind())
        });
        self.pending.push((asked, answer));
    }

    /// Judges the answers that were given during this event.
    async fn collect(&mut self, event: &str) -> Result<(), String> {
        let (done, pending) =
            std::mem::take(&mut self.pending).into_iter().partition(|(_, answer)| answer.is_finished());
        self.pending = pending;
        for (asked, answer) in Vec::from_iter::<Vec<(Asked, JoinHandle<_>)>>(done) {
            let outcome = self.outcome(&asked, answer.await.unwrap())?;
            let allowed = self.model.allowed(&asked);
            let ledger = self.ledger.lock().unwrap();
            let unheard = asked.heard_bad && ledger.heard_good[asked.token] == asked.heard_good;
            if !allowed.contains(&outcome) || unheard && matches!(outcome, Outcome::Permitted(_)) {
                let why = if unheard { ", and the last that was heard is that it is withdrawn" } else { "" };
                let (at, now) = (asked.at, self.model.now);
                return Err(format!(
                    "{asked:?} of {at:?}\n{outcome:?} at {now:?} after {event}; allowed: {allowed:?}{why}"
                ));
            }
        }
        Ok(())
    }

    fn outcome(&mut self, asked: &Asked, answer: Result<AccessToken, RejectionKind>) -> Result<Outcome, String> {
        let counts = &mut self.counts;
        let outcome = match answer {
            Ok(token) => {
                let Token { issuer, id, .. } = TOKENS[asked.token];
                let is_it = token.token_id() == Some(id) && token.issuer().is_none_or(|of| of == ISSUERS[issuer]);
                if !is_it {
                    return Err(format!("{asked:?} was permitted with another token"));
                }
                counts.permitted += 1;
                let mask = (0..3).filter(|bit| token.scopes().contains(SCOPES[*bit])).map(|bit| 1 << bit).sum();
                Outcome::Permitted(mask)
            }
            Err(RejectionKind::InvalidToken | RejectionKind::ExpiredToken) => {
                counts.invalid += 1;
                Outcome::Invalid
            }
            Err(RejectionKind::InsufficientScope) => {
                counts.lacking += 1;
                Outcome::Lacking
            }
            Err(RejectionKind::StatusUnavailable) => {
                counts.unavailable += 1;
                Outcome::Unavailable
            }
            Err(other) => return Err(format!("{asked:?} was answered {other:?}")),
        };
        Ok(outcome)
    }
}

fn by_id(token: usize) -> Revocation {
    Revocation::token_id(Some(ISSUERS[TOKENS[token].issuer]), TOKENS[token].id)
}

fn text(token: &Token, key: &TestKey) -> String {
    if token.is_opaque {
        return format!("{}an-opaque-token", ["a_", "b_"][token.issuer]);
    }
    let audiences =
        if token.is_for_both { vec![TokenBuilder::AUDIENCE, ELSEWHERE] } else { vec![TokenBuilder::AUDIENCE] };
    TokenBuilder::new(ISSUERS[token.issuer], key, ManualClock::START)
        .claim("jti", token.id)
        .subject(token.subject)
        .audience(audiences)
        .scopes(&SCOPES[..2])
        .expires_in(Duration::from_secs(token.expires.unwrap()))
        .build()
}
