//! Events → two authorizers with their issuers and one clock, and a complaint where they do not answer alike.

use std::{
    error::Error,
    ops::Add,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::unfold;
use portcullis::{
    Algorithm, Authorizer, Issuer, KeySource, RejectionKind, Requirement, RouteTable, Unlisted, VerifiedToken,
    status::{
        Cursor, FeedAnswer, FeedMessage, FeedMessages, FeedPolicy, FeedSnapshot, OpaqueTokens, Revocation,
        RevocationFeed, Revocations, StatusAnswer, StatusError, StatusPolicy, StatusQuestion, StatusSource,
        TokenStatus,
    },
    testing::{ManualClock, TestIssuer, TestKey, TokenBuilder},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Event, Prepared, Route, Say, Settings, secs};
use crate::support::bearer;

const ISSUER: &str = "https://issuer.test";
const OTHER: &str = "https://other.test";
const ELSEWHERE: &str = "https://elsewhere.example";
const HOUR: Duration = secs(3600);

/// How often what happened, to each of the two.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub permitted: u64,
    pub invalid: u64,
    pub lacking: u64,
    pub unavailable: u64,
    /// Permits for which nobody was asked.
    pub quiet: u64,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            permitted: self.permitted + other.permitted,
            invalid: self.invalid + other.invalid,
            lacking: self.lacking + other.lacking,
            unavailable: self.unavailable + other.unavailable,
            quiet: self.quiet + other.quiet,
        }
    }
}

/// What all of them say, by the token's number, and whether the feed says nothing.
#[derive(Debug)]
struct World {
    /// Their ends by the wall clock.
    says: Mutex<Vec<Say>>,
    texts: Vec<String>,
    tenant: AtomicBool,
    weather: AtomicBool,
    beats: watch::Sender<u64>,
}

#[derive(Debug)]
struct Source {
    world: Arc<World>,
    asked: Arc<Mutex<Vec<usize>>>,
}

impl StatusSource for Source {
    fn identity(&self) -> String {
        "twin".to_owned()
    }

    fn ask(&self, question: &StatusQuestion) -> StatusAnswer {
        let token = self.world.texts.iter().position(|text| text == question.token()).unwrap();
        self.asked.lock().unwrap().push(token);
        let say = self.world.says.lock().unwrap()[token];
        let mut claims = json!({ "active": true });
        if question.is_opaque() {
            claims = json!({ "active": true, "sub": "opaque", "aud": TokenBuilder::AUDIENCE, "scope": "read" });
        }
        match say {
            Say::Active => {}
            Say::Scopes(scopes) => claims["scope"] = scopes.into(),
            Say::Ends(end) => claims["exp"] = end.into(),
            Say::Inactive => return Box::pin(async { Ok(TokenStatus::inactive()) }),
            Say::Refused => {
                let status = http::StatusCode::BAD_REQUEST;
                return Box::pin(async move { Err(StatusError::QuestionRefused { status }) });
            }
        }
        Box::pin(async move { TokenStatus::described(&Bytes::from(claims.to_string())) })
    }
}

/// A log without events, and a heartbeat with every beat.
#[derive(Debug)]
struct Beats(watch::Sender<u64>);

impl RevocationFeed for Beats {
    fn label(&self) -> String {
        "beats".to_owned()
    }

    fn snapshot(&self, _: usize) -> FeedAnswer {
        Box::pin(async { Ok(FeedSnapshot::new(Vec::new(), Cursor::START)) })
    }

    fn tail(&self, _: Cursor) -> FeedMessages {
        Box::pin(unfold(self.0.subscribe(), async |mut beats| {
            beats.changed().await.ok()?;
            Some((Ok(FeedMessage::heartbeat(Cursor::START)), beats))
        }))
    }
}

/// One of the two.
struct Twin {
    authorizer: Authorizer,
    asked: Arc<Mutex<Vec<usize>>>,
}

pub struct Stage {
    clock: ManualClock,
    issuer: TestIssuer,
    keys: Vec<TestKey>,
    world: Arc<World>,
    revocations: Revocations,
    twins: [Twin; 2],
    routes: [Vec<Arc<Requirement>>; 2],
    is_quiet: bool,
    pub counts: Counts,
}

fn table() -> RouteTable {
    RouteTable::builder().implies("admin", ["read"]).otherwise(Unlisted::Authenticated).unwrap()
}

/// Number, and whose it is; the last three are an opaque one, a forgery, and another issuer's.
fn texts(issuer: &TestIssuer, keys: &[TestKey]) -> Vec<String> {
    let token = |id: &str| issuer.token().claim("jti", id).expires_in(HOUR).scopes(["read", "write"]);
    let both = json!([TokenBuilder::AUDIENCE, ELSEWHERE]);
    let other = TokenBuilder::new(OTHER, &keys[0], ManualClock::START).claim("jti", "0").expires_in(HOUR);
    vec![
        token("0").signed_with(&keys[0]).audience(both).build(),
        token("1").signed_with(&keys[0]).scopes(["admin"]).expires_in(secs(140)).build(),
        token("2").signed_with(&keys[1]).claim("nbf", ManualClock::START.as_secs() + 120).build(),
        token("3").signed_with(&keys[1]).audience(ELSEWHERE).build(),
        "an_opaque_token".to_owned(),
        token("5").signed_with(&keys[0]).tampered().build(),
        other.scopes(["read"]).build(),
    ]
}

impl Stage {
    pub async fn new(settings: &Settings) -> Self {
        let clock = ManualClock::new();
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process(ISSUER);
        let keys = vec![
            TestKey::shared(Algorithm::ES256).with_key_id("one"),
            TestKey::shared_other(Algorithm::ES256).with_key_id("two"),
        ];
        issuer.publish(&keys);
        let texts = texts(&issuer, &keys);
        let world = Arc::new(World {
            says: Mutex::new(vec![Say::Active; texts.len()]),
            texts,
            tenant: AtomicBool::new(true),
            weather: AtomicBool::new(true),
            beats: watch::Sender::new(0),
        });
        let revocations = Revocations::builder().clock(clock.clone()).build().unwrap();
        let twins = [0, 1024 * 1024].map(|room| {
            let asked = Arc::default();
            let source = || Source { world: Arc::clone(&world), asked: Arc::clone(&asked) };
            let mut policy = StatusPolicy::default().max_age(secs(100)).negative_max_age(secs(40));
            policy = policy.on_outage(settings.on_outage);
            policy = if settings.renews_ahead { policy } else { policy.without_renewal_ahead() };
            policy = if settings.is_only_opaque { policy.only_opaque() } else { policy };
            let tenant = Arc::clone(&world);
            let mut first = Issuer::discover(ISSUER).audience(TokenBuilder::AUDIENCE).leeway(Duration::ZERO);
            first = first.that("the tenant is enabled", move |_| tenant.tenant.load(Ordering::Relaxed));
            first = first.status_source(source()).status_policy(policy).opaque_tokens(OpaqueTokens::default());
            if settings.has_feed {
                let feed = FeedPolicy::default().max_staleness(secs(50)).silence(100 * HOUR);
                first = first.revocation_feed(Beats(world.beats.clone()), feed);
            }
            let second = Issuer::with_keys(OTHER, KeySource::json(keys[0].jwk().to_string()));
            let second = second.audience(TokenBuilder::AUDIENCE).max_token_age(secs(300)).status_source(source());
            let authorizer = Authorizer::builder()
                .issuer(first)
                .issuer(second)
                .routes(table())
                .revocations(revocations.clone())
                .token_cache_bytes(room)
                .shared_transport(issuer.transport())
                .clock(clock.clone());
            Twin { authorizer: authorizer.build().unwrap(), asked }
        });
        for twin in &twins {
            twin.authorizer.ready(secs(1)).await.unwrap();
        }
        let routes = [0, 1].map(|twin| {
            let prepare = |route| requirement(route, &world, &twins[twin].authorizer, &twins[1 - twin].authorizer);
            settings.routes.iter().map(prepare).collect()
        });
        Self { clock, issuer, keys, world, revocations, twins, routes, is_quiet: false, counts: Counts::default() }
    }

    pub async fn play(&mut self, event: &Event) -> Result<(), String> {
        let by_id = |token: usize| Revocation::token_id(Some(ISSUER), &token.to_string());
        match *event {
            Event::Requests { token, route, count } => {
                for _ in 0..count {
                    self.request(token, route).await?;
                }
            }
            Event::Advance(by) => self.advance(by).await,
            Event::Say(token, say) => {
                let now = self.clock.now().wall().as_secs();
                let say = if let Say::Ends(after) = say { Say::Ends(now + after) } else { say };
                self.world.says.lock().unwrap()[token] = say;
            }
            Event::Publishes(which) => {
                self.issuer.publish(&which.iter().map(|key| self.keys[*key].clone()).collect::<Vec<_>>());
                self.advance(secs(400)).await;
            }
            Event::Quiet(is_quiet) => self.is_quiet = is_quiet,
            Event::Tenant(is_enabled) => self.world.tenant.store(is_enabled, Ordering::Relaxed),
            Event::Weather(is_fine) => self.world.weather.store(is_fine, Ordering::Relaxed),
            Event::Revoke(token) => self.revocations.revoke(by_id(token)),
            Event::Suspend(token) => self.revocations.suspend(by_id(token)),
            Event::Resume(token) => self.revocations.resume(&by_id(token)),
        }
        self.clock.settle().await;
        Ok(())
    }

    async fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.clock.settle().await;
        if !self.is_quiet {
            self.world.beats.send_modify(|beat| *beat += 1);
        }
    }

    async fn request(&mut self, token: usize, route: usize) -> Result<(), String> {
        let headers = bearer(&self.world.texts[token]);
        let before = self.twins[1].asked.lock().unwrap().len();
        let mut answers = Vec::new();
        for (twin, routes) in self.twins.iter().zip(&self.routes) {
            let permit = twin.authorizer.authorize(&twin.authorizer.input(&headers, &routes[route])).await;
            let answer = match permit.map(|permit| permit.into_token().unwrap()) {
                Ok(token) => Ok(format!("{} {:?} {:?}", token.scopes(), token.token_id(), token.claims_as::<Value>())),
                Err(rejection) => {
                    // Only a token that was verified is called expired; otherwise it is the same.
                    let is_expired = rejection.kind() == RejectionKind::ExpiredToken;
                    let kind = if is_expired { RejectionKind::InvalidToken } else { rejection.kind() };
                    Err((kind, rejection.source().map(ToString::to_string)))
                }
            };
            self.clock.settle().await;
            answers.push((answer, twin.asked.lock().unwrap().clone()));
        }
        let counts = &mut self.counts;
        match &answers[1] {
            (Ok(_), asked) => {
                counts.permitted += 1;
                counts.quiet += u64::from(asked.len() == before);
            }
            (Err((RejectionKind::InvalidToken, _)), _) => counts.invalid += 1,
            (Err((RejectionKind::InsufficientScope, _)), _) => counts.lacking += 1,
            _ => counts.unavailable += 1,
        }
        if answers[0] == answers[1] { Ok(()) } else { Err(format!("{:#?}", answers)) }
    }
}

fn requirement(route: &Route, world: &Arc<World>, ours: &Authorizer, others: &Authorizer) -> Arc<Requirement> {
    let mut requirement = Requirement::authenticated();
    if let [_, ..] = route.scopes {
        requirement = Requirement::all_of(route.scopes.iter().copied());
    }
    if route.is_elsewhere {
        requirement = requirement.audience(ELSEWHERE);
    }
    if route.has_condition {
        let world = Arc::clone(world);
        let holds =
            move |token: &VerifiedToken| world.weather.load(Ordering::Relaxed) || token.scopes().contains("write");
        requirement = requirement.that("fine weather, or whoever may write", holds);
    }
    if let Some(on_outage) = route.on_outage {
        requirement = requirement.on_outage(on_outage);
    }
    requirement = match route.max_age {
        None => requirement.status_on_every_request(),
        Some(0) => requirement,
        Some(age) => requirement.max_status_age(secs(age)),
    };
    // Where nobody is asked about JWTs, none can be prepared that wants to know.
    let by = |who: &Authorizer| who.compile(requirement.clone()).unwrap_or_else(|_| Arc::new(requirement.clone()));
    match route.prepared {
        Prepared::ByUs => by(ours),
        Prepared::ByOthers => by(others),
        Prepared::ByNobody => Arc::new(requirement),
        Prepared::Changed if route.scopes.is_empty() => by(ours),
        Prepared::Changed => Arc::new(Requirement::clone(&by(ours)).or_all_of(["admin"])),
    }
}
