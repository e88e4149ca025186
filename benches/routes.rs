//! Tables of 10 to 10,000 routes → the time of one look-up, by matched pattern and by raw path.
//!
//! `cargo bench --bench routes` for times, `cargo bench --bench routes -- ratios` for those of larger tables beside the
//! smallest: medians of interleaved rounds, so that the machine's speed cancels out.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod support;

use std::{hint::black_box, time::Instant};

use criterion::{BenchmarkId, Criterion, criterion_group};
use http::Method;
use portcullis::{
    Requirement, RouteTable, Unlisted,
    policy::{Location, Lookup},
};

const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Requests to each table in turn: more than one, so that a look-up is not always the same.
const REQUESTS: usize = 64;
const ROUNDS: usize = 101;
const LOOKUPS: u16 = 4_096;

type Row = (Method, String);

/// A table, and requests that it lists.
struct Case {
    table: RouteTable,
    patterns: Vec<Row>,
    paths: Vec<Row>,
}

impl Case {
    /// Resources with a collection, an item and a part of an item, each under several methods.
    fn new(size: usize) -> Self {
        let mut builder = RouteTable::builder();
        let (mut patterns, mut paths) = (Vec::new(), Vec::new());
        for number in 0..size {
            let resource = format!("/api/v1/resource-{:05}", number / 3);
            let (pattern, path) = match number % 3 {
                0 => (resource.clone(), resource),
                1 => (format!("{resource}/{{id}}"), format!("{resource}/a1b2c3d4-e5f6-7890-abcd-ef1234567890")),
                _ => (format!("{resource}/{{id}}/parts/{{part}}"), format!("{resource}/a1b2c3d4/parts/{number}")),
            };
            let methods = [Method::GET, Method::POST, Method::DELETE];
            builder = methods.iter().fold(builder, |builder, method| {
                builder.on([method.clone()], &pattern, Requirement::scope("agents:read"))
            });
            let method = methods[number % methods.len()].clone();
            patterns.push((method.clone(), pattern));
            paths.push((method, path));
        }
        let spread = |all: Vec<Row>| (0..REQUESTS).map(|at| all[at * 7919 % all.len()].clone()).collect();
        Self { table: builder.otherwise(Unlisted::Deny).unwrap(), patterns: spread(patterns), paths: spread(paths) }
    }

    fn by_pattern(&self, at: usize) {
        let (method, pattern) = &self.patterns[at % REQUESTS];
        self.look_up(method, Location::Pattern(black_box(pattern)));
    }

    fn by_path(&self, at: usize) {
        let (method, path) = &self.paths[at % REQUESTS];
        self.look_up(method, Location::Path(black_box(path)));
    }

    fn look_up(&self, method: &Method, location: Location<'_>) {
        assert!(matches!(black_box(self.table.lookup(method, location)), Lookup::Requirement(_)));
    }
}

type By = fn(&Case, usize);
const WAYS: [(&str, By); 2] = [("by pattern", Case::by_pattern), ("by raw path", Case::by_path)];

fn routes(criterion: &mut Criterion) {
    for (name, look_up) in WAYS {
        let mut group = criterion.benchmark_group(name);
        for size in SIZES {
            let case = Case::new(size);
            let mut at = 0;
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| {
                    at += 1;
                    look_up(&case, at);
                });
            });
        }
        group.finish();
    }
}

fn ratios() {
    let cases = SIZES.map(Case::new);
    for (name, look_up) in WAYS {
        let mut rounds: Vec<[f64; SIZES.len()]> = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(cases.each_ref().map(|case| {
                #[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
                let start = Instant::now();
                (0..usize::from(LOOKUPS)).for_each(|at| look_up(case, at));
                start.elapsed().as_secs_f64() * 1e9 / f64::from(LOOKUPS)
            }));
        }
        for (at, size) in SIZES.iter().enumerate() {
            let time = support::quantile(rounds.iter().map(|round| round[at]), 0.5);
            let ratio = support::quantile(rounds.iter().map(|round| round[at] / round[0]), 0.5);
            println!("{name}, {size} routes: {time:.0} ns, {ratio:.2} of {}", SIZES[0]);
        }
    }
}

criterion_group!(benches, routes);

fn main() {
    support::run(benches, ratios);
}
