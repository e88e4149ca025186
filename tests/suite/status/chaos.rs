//! What happens while the issuer gives no word on tokens: what was declared for that, second by second (threat 17).

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use portcullis::{
    AuthorizeLayer, Requirement, RouteTable, Unlisted,
    authorizer::StatusReadiness,
    clock::{Clock, UnixTime},
    status::{Freshness, OnOutage, Revocation, Revocations, StatusError, StatusPolicy},
};
use tower::{Layer, ServiceExt, service_fn};

use super::{
    SECOND,
    source::{Says, Scripted},
};
use crate::support::{World, bearer};

const TICK: Duration = Duration::from_millis(25);
const STALE: OnOutage = OnOutage::AcceptStale(Duration::from_secs(60));
const FRESHNESS: [Freshness; 3] =
    [Freshness::Cached, Freshness::MaxAge(Duration::from_secs(5)), Freshness::EveryRequest];

/// What may go wrong with a source, after how many questions it is left alone, and what it says about coming back.
fn troubles() -> Vec<(Says, Option<u64>, Option<u64>)> {
    let later = Some(20 * SECOND);
    let server = |status, retry_after| StatusError::Server { status, retry_after };
    let passing = [
        Says::Fails(StatusError::Unreachable("connection refused".to_owned())),
        Says::Fails(server(StatusCode::BAD_GATEWAY, None)),
        Says::Fails(StatusError::Malformed("not JSON")),
        Says::Fails(StatusError::ClientRefused { status: StatusCode::UNAUTHORIZED }),
        Says::Fails(StatusError::NoCredentials("no".to_owned())),
        Says::Fails(StatusError::RateLimited { retry_after: None }),
        Says::Panics,
        Says::Hangs,
    ];
    let told = [
        Says::Fails(StatusError::RateLimited { retry_after: later }),
        Says::Fails(server(StatusCode::SERVICE_UNAVAILABLE, later)),
    ];
    // The source is well, and does not want to talk about this token.
    let about_the_token = [
        Says::Fails(StatusError::UnsupportedTokenType),
        Says::Fails(StatusError::QuestionRefused { status: StatusCode::BAD_REQUEST }),
    ];
    let passing = passing.into_iter().map(|says| (says, Some(5), None));
    let told = told.into_iter().map(|says| (says, Some(1), Some(20)));
    passing.chain(told).chain(about_the_token.into_iter().map(|says| (says, None, None))).collect()
}

/// A service, its issuer's source, and the one route that the test is about.
struct Site {
    world: World,
    source: Scripted,
}

/// What a client was told, and how long it had to wait for that.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    retry_after: Option<u64>,
    waited: Duration,
}

impl Site {
    async fn new(freshness: Freshness, of_source: OnOutage, of_route: Option<OnOutage>) -> Self {
        Self::with(freshness, of_source, of_route, &Revocations::new()).await
    }

    async fn with(
        freshness: Freshness,
        of_source: OnOutage,
        of_route: Option<OnOutage>,
        revocations: &Revocations,
    ) -> Self {
        let mut requirement = Requirement::authenticated();
        requirement = match freshness {
            Freshness::MaxAge(age) => requirement.max_status_age(age),
            Freshness::EveryRequest => requirement.status_on_every_request(),
            _ => requirement,
        };
        if let Some(on_outage) = of_route {
            requirement = requirement.on_outage(on_outage);
        }
        let source = Scripted::new(Says::Active);
        let world = World::with(
            |issuer| {
                let policy = StatusPolicy::default().on_outage(of_source);
                issuer.status_source(source.clone()).status_policy(policy)
            },
            |builder| {
                let routes = RouteTable::builder().get("/", requirement).otherwise(Unlisted::Deny).unwrap();
                builder.routes(routes).revocations(revocations.clone())
            },
        )
        .await;
        Self { world, source }
    }

    /// A token that lives long enough.
    fn token(&self) -> String {
        self.world.issuer.token().expires_in(3600 * SECOND).build()
    }

    fn now(&self) -> Duration {
        self.world.clock.now().monotonic()
    }

    fn state(&self) -> StatusReadiness {
        self.world.authorizer.readiness().issuers[0].status.unwrap()
    }

    /// When to look again: every second at first, and then more seldom.
    fn step(&self) -> Duration {
        if self.now() < 7 * SECOND { SECOND } else { 4 * SECOND }
    }

    /// One request; the clock goes on while it waits.
    async fn get(&self, token: &str) -> Told {
        let (started, asked, state) = (self.now(), self.source.asked(), self.state());
        let inner = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
        let mut request = Request::new(());
        *request.headers_mut() = bearer(token);
        let layer = AuthorizeLayer::by_raw_path(self.world.authorizer.clone());
        let answer = tokio::spawn(layer.layer(inner).oneshot(request));
        self.world.clock.settle().await;
        while !answer.is_finished() {
            self.world.advance(TICK).await;
        }
        let waited = self.now() - started;
        assert!(waited <= Duration::from_millis(2500), "nobody waits longer than that: {waited:?}");
        if state == StatusReadiness::LeftAlone {
            assert_eq!((waited, self.source.asked()), (Duration::ZERO, asked), "answered at once, and nobody asked");
        }
        let response = answer.await.unwrap().unwrap();
        let (status, headers) = (response.status(), response.headers());
        let retry_after = headers.get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().parse().unwrap());
        assert_eq!(headers.contains_key(header::WWW_AUTHENTICATE), status == 401, "{status}");
        assert_eq!(retry_after.is_some(), status == 503, "{status}");
        assert!(retry_after.is_none_or(|seconds| (1..=30).contains(&seconds)), "{retry_after:?}");
        Told { status, retry_after, waited }
    }

    /// Lets a second pass at a time, without requests, until the source is found to be well; it must not take long.
    async fn comes_back(&self, why: &str) {
        let asked = self.source.asked();
        self.source.say(Says::Active);
        for second in 0.. {
            assert!(second <= 31, "{why}: not found to be back");
            if self.state() != StatusReadiness::LeftAlone {
                break;
            }
            self.world.advance(SECOND).await;
        }
        assert_eq!((self.state(), self.source.asked()), (StatusReadiness::Answering, asked + 1), "{why}: by one probe");
        let readiness = self.world.authorizer.readiness();
        assert_eq!((readiness.ready, readiness.issuers[0].status_trouble.clone()), (true, None), "{why}");
        let told = self.get(&self.token()).await;
        assert_eq!((told.status, told.waited), (StatusCode::OK, Duration::ZERO), "{why}");
    }
}

/// What was declared for a request that came and was answered so long after the issuer's last word on its token.
/// `None`: either will do, as the age of words is shortened by up to a tenth.
fn declared(freshness: Freshness, on_outage: OnOutage, came: Duration, answered: Duration) -> Option<StatusCode> {
    let (surely, perhaps) = match freshness {
        Freshness::EveryRequest => return Some(StatusCode::SERVICE_UNAVAILABLE),
        Freshness::MaxAge(age) => (age, age),
        _ => (27 * SECOND, 30 * SECOND),
    };
    let is_stale_good = matches!(on_outage, OnOutage::AcceptStale(age) if answered < age);
    if came < surely || is_stale_good {
        Some(StatusCode::OK)
    } else if came >= perhaps {
        Some(StatusCode::SERVICE_UNAVAILABLE)
    } else {
        None
    }
}

#[tokio::test]
async fn status_codes_over_time_are_those_that_were_declared_threat_17() {
    let policies =
        [(OnOutage::Deny, None), (STALE, None), (OnOutage::Deny, Some(STALE)), (STALE, Some(OnOutage::Deny))];
    for (says, failures, retry_after) in troubles() {
        for freshness in FRESHNESS {
            for (of_source, of_route) in policies {
                let why = format!("{says:?}, {freshness:?}, {of_source:?}, {of_route:?}");
                let site = Site::new(freshness, of_source, of_route).await;
                let token = site.token();
                assert_eq!(site.get(&token).await.status, StatusCode::OK, "{why}");
                site.source.say(says.clone());
                let mut opened_after = None;
                while site.now() < 70 * SECOND {
                    let came = site.now();
                    let told = site.get(&token).await;
                    let answered = site.now();
                    if let Some(status) = declared(freshness, of_route.unwrap_or(of_source), came, answered) {
                        assert_eq!(told.status, status, "{why}: from {came:?} to {answered:?}");
                    }
                    if site.state() == StatusReadiness::LeftAlone {
                        opened_after.get_or_insert(site.source.asked() - 1);
                    }
                    if let (Some(most), Some(told)) = (retry_after, told.retry_after) {
                        assert!(told <= most, "{why}: come back in {told} s");
                    }
                    site.world.advance(site.step()).await;
                }
                assert_eq!(opened_after, failures, "{why}: so many questions, and then it was left alone");
                // Whether it is back is tried after 1, 2, 4, 8, 16 and 30 s, or as it was told; a no about one token is
                // remembered for nine seconds at least.
                assert!(site.source.asked() <= 13, "{why}: asked {} times", site.source.asked());
                if failures.is_some() {
                    site.comes_back(&why).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_source_that_is_dead_at_the_start_means_503_until_it_is_back_threat_17() {
    for (says, failures, retry_after) in troubles() {
        for freshness in FRESHNESS {
            for of_source in [OnOutage::Deny, STALE] {
                let why = format!("{says:?}, {freshness:?}, {of_source:?}");
                let site = Site::new(freshness, of_source, None).await;
                site.source.say(says.clone());
                assert_eq!(site.state(), StatusReadiness::Untried, "{why}");
                let first = site.get(&site.token()).await;
                assert_eq!(first.status, StatusCode::SERVICE_UNAVAILABLE, "{why}");
                assert!(retry_after.is_none() || first.retry_after == retry_after, "{why}: {first:?}");
                assert!(site.world.authorizer.readiness().issuers[0].status_trouble.is_some(), "{why}");
                let left_alone = failures == Some(1);
                let state = match failures {
                    Some(1) => StatusReadiness::LeftAlone,
                    Some(_) => StatusReadiness::Failing,
                    // It answers, though not what was asked.
                    None => StatusReadiness::Answering,
                };
                assert_eq!((site.state(), site.world.authorizer.readiness().ready), (state, !left_alone), "{why}");
                while site.now() < 100 * SECOND {
                    assert_eq!(site.get(&site.token()).await.status, StatusCode::SERVICE_UNAVAILABLE, "{why}");
                    site.world.advance(site.step()).await;
                }
                let state = if failures.is_some() { StatusReadiness::LeftAlone } else { StatusReadiness::Answering };
                assert_eq!(site.state(), state, "{why}");
                if failures.is_some() {
                    site.comes_back(&why).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_source_that_dies_while_it_is_asked_is_missed_at_once_threat_17() {
    let killed = Says::Fails(StatusError::Unreachable("connection reset".to_owned()));
    for freshness in FRESHNESS {
        for of_source in [OnOutage::Deny, STALE] {
            let why = format!("{freshness:?}, {of_source:?}");
            let site = Site::new(freshness, of_source, None).await;
            let token = site.token();
            assert_eq!(site.get(&token).await.status, StatusCode::OK, "{why}");
            site.world.advance(31 * SECOND).await;
            let asked = site.source.asked();
            site.source.hold();
            site.source.say(killed.clone());
            let source = site.source.clone();
            let dies = async {
                while source.asked() == asked {
                    tokio::task::yield_now().await;
                }
                source.release();
            };
            let (told, ()) = tokio::join!(site.get(&token), dies);
            let answered = site.now();
            assert_eq!(Some(told.status), declared(freshness, of_source, 31 * SECOND, answered), "{why}");
        }
    }
}

#[tokio::test]
async fn a_slow_source_is_waited_for_as_long_as_declared_threat_17() {
    // An attempt takes a second at most, and the whole two and a half.
    let rows = [(900, StatusCode::OK, 1), (1900, StatusCode::OK, 2), (2400, StatusCode::OK, 3)];
    for (answers_at, status, asked) in rows.into_iter().chain([(2600, StatusCode::SERVICE_UNAVAILABLE, 3)]) {
        let site = Site::new(Freshness::Cached, OnOutage::Deny, None).await;
        site.source.hold();
        let answers = async {
            site.world.clock.sleep(Duration::from_millis(answers_at)).await;
            site.source.release();
            std::future::pending::<()>().await;
        };
        let token = site.token();
        let told = tokio::select! {
            told = site.get(&token) => told,
            () = answers => unreachable!(),
        };
        assert_eq!((told.status, site.source.asked()), (status, asked), "{answers_at} ms: {told:?}");
    }
}

#[tokio::test]
async fn what_can_be_told_without_the_issuer_is_told_during_an_outage_threat_17() {
    let (of, dead) = (Some("https://issuer.test"), Says::Fails(StatusError::Unreachable("dead".to_owned())));
    for freshness in FRESHNESS {
        for of_source in [OnOutage::Deny, STALE] {
            let why = format!("{freshness:?}, {of_source:?}");
            let revocations = Revocations::new();
            let site = Site::with(freshness, of_source, None, &revocations).await;
            let good = || site.world.issuer.token().expires_in(3600 * SECOND);
            let revoked = good().claim("jti", "revoked").build();
            let withdrawn = good().claim("jti", "withdrawn").build();
            for token in [&revoked, &withdrawn] {
                assert_eq!(site.get(token).await.status, StatusCode::OK, "{why}");
            }
            site.source.say(Says::Inactive);
            site.world.advance(31 * SECOND).await;
            assert_eq!(site.get(&withdrawn).await.status, StatusCode::UNAUTHORIZED, "{why}");
            revocations.revoke(Revocation::token_id(of, "revoked"));
            site.source.say(dead.clone());
            let hopeless = [
                ("revoked", revoked),
                ("expired", good().expires_at(UnixTime::from_secs(1_000_000_000)).build()),
                ("forged", good().tampered().build()),
                ("another audience", good().audience("https://other.test").build()),
                ("another issuer", good().claim("iss", "https://other.test").build()),
                ("opaque", "2YotnFZFEjr1zCsicMWpAA".to_owned()),
            ];
            let started = site.now();
            for second in 0..15 {
                for (what, token) in &hopeless {
                    let told = site.get(token).await;
                    let expected = (StatusCode::UNAUTHORIZED, Duration::ZERO);
                    assert_eq!((told.status, told.waited), expected, "{why}: {what}, second {second}");
                }
                // What the issuer withdrew is worth a 401 while that is remembered, and never again a 200.
                let age = site.now() - started;
                let told = site.get(&withdrawn).await.status;
                if age < 9 * SECOND {
                    assert_eq!(told, StatusCode::UNAUTHORIZED, "{why}: {age:?}");
                } else if age >= 10 * SECOND {
                    assert_eq!(told, StatusCode::SERVICE_UNAVAILABLE, "{why}: {age:?}");
                }
                assert_eq!(site.get(&site.token()).await.status, StatusCode::SERVICE_UNAVAILABLE, "{why}: {age:?}");
                site.world.advance(SECOND).await;
            }
        }
    }
}
