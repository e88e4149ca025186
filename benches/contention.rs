//! One hot token from one thread and from two: what a thread pays for the other's being there.
//!
//! `cargo bench --bench contention` for the time; `cargo bench --bench contention -- ratios` prints the median slow-down
//! of interleaved rounds, which holds on a busy machine too.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod support;

use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group};
use http::{HeaderMap, header::AUTHORIZATION};
use portcullis::{
    Algorithm, Authorizer, Decision, Input, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    authorizer::Answers,
    clock::Now,
    testing::{ManualClock, TestKey, TokenBuilder},
};

const ISSUER: &str = "https://issuer.example";

/// An authorizer that has seen the token before.
struct Warm {
    authorizer: Authorizer,
    requirement: Arc<Requirement>,
    headers: HeaderMap,
    now: Now,
}

impl Warm {
    fn new() -> Self {
        let (key, clock) = (TestKey::shared(Algorithm::RS256), ManualClock::new());
        let keys = KeySource::json(key.jwk().to_string());
        let authorizer = Authorizer::builder()
            .issuer(Issuer::with_keys(ISSUER, keys).audience(TokenBuilder::AUDIENCE))
            .routes(RouteTable::builder().otherwise(Unlisted::Deny).unwrap())
            .clock(clock.clone())
            .build()
            .unwrap();
        let token = TokenBuilder::new(ISSUER, &key, clock.now().wall())
            .subject("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
            .client_id("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
            .scopes(["agents:read", "agents:write", "tokens:read", "audit:read"])
            .build();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
        let now = authorizer.now();
        let requirement = authorizer.compile(Requirement::scope("agents:read")).unwrap();
        let warm = Self { authorizer, requirement, headers, now };
        // Until it is in use.
        (0..16).for_each(|_| warm.decide());
        warm
    }

    /// Of a request to a route whose requirement all its requests share.
    fn input(&self) -> Input<'_> {
        self.authorizer.input(black_box(&self.headers), &self.requirement)
    }

    /// Yes or no.
    fn permits(&self) {
        assert!(self.authorizer.permits(black_box(&self.input()), self.now));
    }

    /// The token is handed out.
    fn decide(&self) {
        let decision = self.authorizer.decide(&self.input(), &Answers::default(), self.now);
        assert!(matches!(black_box(decision), Decision::Permit(_)));
    }
}

/// A name, and what each thread does again and again.
type Row = (&'static str, fn(&Warm));

const ROWS: [Row; 2] = [("yes or no", Warm::permits), ("the token handed out", Warm::decide)];

fn contention(criterion: &mut Criterion) {
    let warm = Warm::new();
    for (name, work) in ROWS {
        let mut group = criterion.benchmark_group(name);
        for threads in [1, 2] {
            group.bench_function(format!("threads: {threads}"), |bencher| {
                bencher.iter_custom(|rounds| together(threads, rounds, || work(&warm)).average);
            });
        }
        group.finish();
    }
}

/// What came of threads that did the same at the same time.
struct Together {
    /// How long one took for its rounds.
    average: Duration,
    /// For which part of the longest of them all were at work.
    overlap: f64,
}

#[expect(clippy::disallowed_methods, reason = "a measurement of real time")]
fn together(threads: usize, rounds: u64, work: impl Fn() + Sync) -> Together {
    let start = Barrier::new(threads);
    let run = || {
        start.wait();
        let began = Instant::now();
        (0..rounds).for_each(|_| work());
        (began, Instant::now())
    };
    let spans: Vec<_> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mine = run();
        others.into_iter().map(|other| other.join().unwrap()).chain([mine]).collect()
    });
    let took = spans.iter().map(|(began, ended)| *ended - *began);
    let (longest, sum) = (took.clone().max().unwrap(), took.sum::<Duration>());
    let all_began = spans.iter().map(|(began, _)| *began).max().unwrap();
    let first_ended = spans.iter().map(|(_, ended)| *ended).min().unwrap();
    let overlap = first_ended.saturating_duration_since(all_began).as_secs_f64() / longest.as_secs_f64();
    Together { average: sum / u32::try_from(threads).unwrap(), overlap }
}

/// Prints what each row costs from two threads against from one.
fn ratios() {
    const COUNTED: usize = 61;
    let warm = Warm::new();
    for (name, work) in ROWS {
        // Short enough that most rounds are not interrupted.
        let once = together(1, 100, || work(&warm)).average / 100;
        let rounds = Duration::from_millis(1).div_duration_f64(once).ceil();
        #[expect(clippy::as_conversions, reason = "at most a million")]
        let rounds = rounds.clamp(10.0, 1e6) as u64;
        let (mut slower, mut tried) = (Vec::new(), 0);
        while slower.len() < COUNTED && tried < 40 * COUNTED {
            tried += 1;
            let (one, two) = (together(1, rounds, || work(&warm)), together(2, rounds, || work(&warm)));
            // On a busy machine they often take turns, and then they cannot be in each other's way.
            if two.overlap > 0.8 {
                slower.push(two.average.div_duration_f64(one.average));
            }
        }
        let at = |part: f64| support::quantile(slower.iter().copied(), part);
        println!(
            "{name}: two threads on one hot token take {:.2} times as long (middle half {:.2} to {:.2}; {} of {tried} rounds, {once:?} each)",
            at(0.5),
            at(0.25),
            at(0.75),
            slower.len(),
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = contention
}

fn main() {
    support::run(benches, ratios);
}
