//! Events → an authorizer with its sources and its clock, and a complaint where it answers what it may not.

use std::{
    ops::Add,
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::{
    AccessToken, Algorithm, Authorizer, Issuer, KeySource, RejectionKind, Requirement, RouteTable, Unlisted,
    sharing::{SharedSecret, SharedStore},
    status::{Freshness, OpaqueTokens, Revocation, Revocations, SharedAnswers, StatusPolicy},
    testing::{ManualClock, StoreFault, TestKey, TokenBuilder},
};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    model::{Asked, Model, Moment, Outcome, SCOPES, Say, Settings, TOKENS, Token, Trouble},
    sources::{Ledger, Source},
    store::Watched,
};
use crate::support::bearer;

const ISSUERS: [&str; 2] = ["https://a.test", "https://b.test"];
const ELSEWHERE: &str = "https://elsewhere.example";
pub const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub enum Event {
    Request {
        replica: usize,
        token: usize,
        route: usize,
    },
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
    /// At this replica alone: the other does not hear of it yet.
    RevokeAt(usize, usize),
    /// A new process, which remembers nothing and whose clock counts anew.
    Restart(usize),
    /// What goes wrong with the shared store.
    StoreFails(StoreFault),
    StoreHeals,
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

/// One process.
struct Replica {
    clock: ManualClock,
    authorizer: Authorizer,
    routes: Vec<Arc<Requirement>>,
    revocations: Revocations,
}

/// Replicas that trust two issuers, and the model beside them.
pub struct Theatre {
    /// Whom all others follow.
    clock: ManualClock,
    key: TestKey,
    settings: Settings,
    replicas: Vec<Replica>,
    store: Option<(Watched, SharedSecret)>,
    texts: Vec<String>,
    ledger: Arc<Mutex<Ledger>>,
    gates: Vec<watch::Sender<bool>>,
    model: Model,
    pending: Vec<(Asked, JoinHandle<Result<AccessToken, RejectionKind>>)>,
    counts: Counts,
}

impl Theatre {
    /// One process that shares nothing.
    pub fn new(settings: Settings) -> Self {
        Self::of(settings, ManualClock::new(), 1, None)
    }

    /// Two that share that store, which is on that clock, and a secret.
    pub fn shared(settings: Settings, clock: ManualClock, store: impl SharedStore, secret: u64) -> Self {
        let secret = SharedSecret::new(format!("{secret:032}")).unwrap();
        Self::of(settings, clock, 2, Some((Watched::new(store), secret)))
    }

    fn of(settings: Settings, clock: ManualClock, replicas: usize, store: Option<(Watched, SharedSecret)>) -> Self {
        let key = TestKey::shared(Algorithm::ES256);
        let texts: Vec<_> = TOKENS.iter().map(|token| text(token, &key)).collect();
        let ledger = Arc::new(Mutex::new(Ledger {
            texts: texts.iter().cloned().zip(0..).collect(),
            says: vec![Say::Active; TOKENS.len()],
            trouble: vec![None; 2],
            is_held: vec![false; 2],
            heard_good: vec![0; TOKENS.len()],
            last_was_bad: vec![vec![false; TOKENS.len()]; replicas],
            questions: 0,
            has_strayed: false,
        }));
        let gates: Vec<_> = ISSUERS.iter().map(|_| watch::Sender::new(true)).collect();
        let model = Model::new(settings.clone(), replicas);
        let mut theatre = Self {
            clock,
            key,
            settings,
            replicas: Vec::new(),
            store,
            texts,
            ledger,
            gates,
            model,
            pending: Vec::new(),
            counts: Counts::default(),
        };
        for number in 0..replicas {
            let revocations = Revocations::builder().clock(theatre.clock.clone()).build().unwrap();
            let replica = theatre.replica(number, theatre.clock.clone(), revocations);
            theatre.replicas.push(replica);
        }
        theatre
    }

    fn replica(&self, replica: usize, clock: ManualClock, revocations: Revocations) -> Replica {
        let settings = &self.settings;
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
            let source = Source { replica, issuer, ledger: Arc::clone(&self.ledger), gate: self.gates[issuer].clone() };
            let mut trusted = Issuer::with_keys(ISSUERS[issuer], KeySource::json(self.key.jwk().to_string()))
                .audience(TokenBuilder::AUDIENCE)
                .leeway(of.leeway)
                .status_source(source)
                .status_policy(policy)
                .opaque_tokens(OpaqueTokens::default().prefix(["a_", "b_"][issuer]));
            if let Some((store, secret)) = &self.store {
                trusted = trusted.shared_answers(SharedAnswers::through(store.clone(), secret.clone()));
            }
            builder = builder.issuer(trusted);
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
        Replica { routes: routes.collect(), clock, authorizer, revocations }
    }

    /// A new process in its place, which has heard of the same revocations.
    fn restart(&mut self, number: usize) {
        let (clock, now) = (ManualClock::new(), self.clock.now());
        clock.step_wall_to(now.wall());
        clock.advance(Duration::from_nanos(now.monotonic().subsec_nanos().into()));
        let revocations = self.replicas[number].revocations.clone();
        self.replicas[number] = self.replica(number, clock, revocations);
        self.ledger.lock().unwrap().last_was_bad[number].fill(false);
    }

    async fn settle(&self) {
        loop {
            self.clock.settle().await;
            match &self.store {
                Some((store, _)) if store.is_in_use() => store.changed().await,
                _ => return,
            }
        }
    }

    /// In small steps while somebody waits, as time goes: what is given up after a short while is, before a longer one is
    /// over.
    async fn advance(&mut self, by: Duration, what: &str) -> Result<(), String> {
        let mut left = by;
        while !left.is_zero() {
            let step = if self.store.is_some() && !self.pending.is_empty() { left.min(SECOND / 50) } else { left };
            left -= step;
            self.clock.advance(step);
            // One that was never replaced is on the clock of all.
            let of_their_own = self.replicas.iter().filter(|replica| replica.clock.now() != self.clock.now());
            of_their_own.for_each(|replica| replica.clock.advance(step));
            self.model.now.time = self.clock.now().monotonic();
            self.settle().await;
            self.collect(what).await?;
        }
        Ok(())
    }

    /// What happens, and what everybody does about it.
    pub async fn play(&mut self, event: Event) -> Result<(), String> {
        let what = format!("{event:?}");
        self.model.now.step += 1;
        match event {
            Event::Request { replica, token, route } => self.request(replica, token, route),
            Event::Advance(by) => self.advance(by, &what).await?,
            Event::Say(token, say) => {
                self.ledger.lock().unwrap().says[token] = say;
                self.model.says(token, say);
            }
            Event::Fails(issuer, trouble) => self.change(issuer, |ledger| ledger.trouble[issuer] = Some(trouble)),
            Event::Heals(issuer) => self.change(issuer, |ledger| ledger.trouble[issuer] = None),
            Event::Holds(issuer) => self.change(issuer, |ledger| ledger.is_held[issuer] = true),
            Event::Releases(issuer) => self.change(issuer, |ledger| ledger.is_held[issuer] = false),
            Event::Revoke(token) => (0..self.replicas.len()).for_each(|replica| self.revoke(replica, token)),
            Event::RevokeAt(replica, token) => self.revoke(replica, token),
            Event::RevokeSubject(token) => {
                let Token { issuer, subject, .. } = TOKENS[token];
                for (replica, heard) in self.replicas.iter().zip(&mut self.model.heard) {
                    let revocation = Revocation::subject(Some(ISSUERS[issuer]), subject, ManualClock::START);
                    replica.revocations.revoke(revocation);
                    heard.revoked_subjects.insert((issuer, subject));
                }
            }
            Event::Suspend(token) => {
                for (replica, heard) in self.replicas.iter().zip(&mut self.model.heard) {
                    replica.revocations.suspend(by_id(token));
                    heard.suspended.insert((TOKENS[token].issuer, TOKENS[token].id));
                }
            }
            Event::Resume(token) => {
                for (replica, heard) in self.replicas.iter().zip(&mut self.model.heard) {
                    replica.revocations.resume(&by_id(token));
                    heard.suspended.remove(&(TOKENS[token].issuer, TOKENS[token].id));
                }
            }
            Event::Restart(replica) => {
                // Those who wait there are never answered.
                self.pending.retain(|(asked, _)| asked.replica != replica);
                self.restart(replica);
            }
            Event::StoreFails(fault) => self.store.iter().for_each(|(store, _)| store.fault(Some(fault))),
            Event::StoreHeals => self.store.iter().for_each(|(store, _)| store.fault(None)),
        }
        self.settle().await;
        self.collect(&what).await
    }

    /// Everybody gets an answer at last.
    pub async fn end(mut self) -> Result<Counts, String> {
        for event in [Event::StoreHeals, Event::Releases(0), Event::Releases(1)] {
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

    fn revoke(&mut self, replica: usize, token: usize) {
        self.replicas[replica].revocations.revoke(by_id(token));
        self.model.heard[replica].revoked.insert((TOKENS[token].issuer, TOKENS[token].id));
    }

    fn change(&mut self, issuer: usize, change: impl FnOnce(&mut Ledger)) {
        let mut ledger = self.ledger.lock().unwrap();
        change(&mut ledger);
        self.model.troubled(issuer, ledger.trouble[issuer].is_some() || ledger.is_held[issuer]);
        self.gates[issuer].send_replace(!ledger.is_held[issuer]);
    }

    fn request(&mut self, replica: usize, token: usize, route: usize) {
        let asked = {
            let ledger = self.ledger.lock().unwrap();
            let Moment { step, time } = self.model.now;
            let (heard_bad, heard_good) = (ledger.last_was_bad[replica][token], ledger.heard_good[token]);
            Asked { replica, token, route, at: Moment { step, time }, heard_bad, heard_good }
        };
        let asking = &self.replicas[replica];
        let (authorizer, requirement) = (asking.authorizer.clone(), Arc::clone(&asking.routes[route]));
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
