//! Scenarios → instructions per operation as callgrind counts them, against the budgets in `instructions.txt`.
//!
//! `cargo bench --bench instructions`, with valgrind installed; fails where a scenario costs more than its budget allows.
//! Counts, unlike times, say the same on a busy machine: runs differ by half a percent, where the allocator takes another
//! turn. What aws-lc computes of a signature is left out, since it chooses its code by the processor; digests are not.
//! Everything is built with all features, without a subscriber or a recorder.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use portcullis::{
    Algorithm, AuthorizeLayer, Authorizer, Decision, Issuer, KeySource, Requirement, RouteTable, Unlisted,
    authorizer::Answers,
    clock::UnixTime,
    status::{Revocation, Revocations, StatusAnswer, StatusQuestion, StatusSource, TokenStatus},
    testing::{ManualClock, TestKey, TokenBuilder},
};
use tower::{Layer, Service};

const ISSUER: &str = "https://issuer.example";
/// Of each scenario, after as many that are not counted.
const ROUNDS: u64 = 200;
/// Compilers and C libraries differ; more than this is ours.
const TOLERANCE_PERCENT: u64 = 12;
const BUDGETS: &str = include_str!("instructions.txt");

/// What the counting starts and stops at.
#[inline(never)]
fn counted(operation: &mut dyn FnMut()) {
    operation();
}

/// What is written down when a scenario is over.
#[inline(never)]
fn finished() {
    black_box(());
}

/// Counts the operation and not the preparation of what goes into it.
fn measure<T>(mut prepare: impl FnMut(u64) -> T, mut operation: impl FnMut(T)) {
    for round in 0..2 * ROUNDS {
        let mut input = Some(prepare(round));
        let mut operation = || operation(input.take().unwrap());
        if round < ROUNDS { operation() } else { counted(&mut operation) }
    }
    finished();
}

struct World {
    authorizer: Authorizer,
    /// Each build is another token.
    tokens: TokenBuilder,
    token: String,
}

impl World {
    fn new(status: bool) -> Self {
        let (key, clock) = (TestKey::shared(Algorithm::RS256), ManualClock::new());
        let keys = KeySource::json(key.jwk().to_string());
        let mut issuer = Issuer::with_keys(ISSUER, keys).audience(TokenBuilder::AUDIENCE);
        if status {
            issuer = issuer.status_source(Active);
        }
        let routes = RouteTable::builder()
            .get("/agents", Requirement::scope("agents:read"))
            .get("/agents/{id}", Requirement::scope("agents:read"))
            .post("/agents/{id}", Requirement::scope("payments:write"))
            .otherwise(Unlisted::Deny)
            .unwrap();
        let mut builder = Authorizer::builder().issuer(issuer).routes(routes).clock(clock.clone());
        if status {
            let revocations = Revocations::new();
            revocations.revoke(Revocation::token_id(Some(ISSUER), "another"));
            builder = builder.revocations(revocations);
        }
        // About the size and content of a real access token.
        let tokens = TokenBuilder::new(ISSUER, &key, clock.now().wall())
            .subject("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
            .client_id("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
            .scopes(["agents:read", "agents:write", "tokens:read", "audit:read"]);
        Self { authorizer: builder.build().unwrap(), token: tokens.build(), tokens }
    }

    /// The headers of a request with a token that the authorizer has seen, and whose status it knows.
    fn seen(&self, requirement: &Arc<Requirement>) -> HeaderMap {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {}", self.token).parse().unwrap())]);
        block_on(self.authorizer.authorize(&self.authorizer.input(&headers, requirement))).unwrap();
        headers
    }

    /// Yes or no, for a credential that was found.
    fn verdicts(&self) {
        let requirement = self.requirement();
        let headers = self.seen(&requirement);
        let (input, now) = (self.authorizer.input(&headers, &requirement), self.authorizer.now());
        measure(drop, |()| assert!(self.authorizer.permits(black_box(&input), now)));
    }

    /// From headers to a token in hand.
    fn decisions(&self) {
        let requirement = self.requirement();
        let headers = self.seen(&requirement);
        measure(drop, |()| {
            let (input, now) = (self.authorizer.input(black_box(&headers), &requirement), self.authorizer.now());
            assert!(matches!(self.authorizer.decide(&input, &Answers::default(), now), Decision::Permit(_)));
        });
    }

    fn requirement(&self) -> Arc<Requirement> {
        self.authorizer.compile(Requirement::scope("agents:read")).unwrap()
    }

    /// Requests through the layer, each with the next of these tokens, from arrival to an answer that is dropped.
    fn requests(&self, status: u16, method_and_path: &str, tokens: &[Option<String>]) {
        let (method, path) = method_and_path.split_once(' ').unwrap();
        let request = |number: u64| {
            let token = tokens.get(usize::try_from(number).unwrap() % tokens.len()).unwrap();
            let request = Request::builder().method(method).uri(path).header("accept", "*/*");
            match token {
                Some(token) => request.header("authorization", format!("Bearer {token}")),
                None => request,
            }
            .body(())
            .unwrap()
        };
        let mut service = AuthorizeLayer::by_raw_path(self.authorizer.clone()).layer(Inner);
        measure(request, |request| {
            let mut future = pin!(service.call(request));
            match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => assert_eq!(response.status(), status),
                Poll::Pending => panic!("memory has the answer"),
            }
        });
    }
}

/// Says of every token that it stands.
#[derive(Clone, Debug)]
struct Active;

impl StatusSource for Active {
    fn identity(&self) -> String {
        "active".to_owned()
    }

    fn ask(&self, _: &StatusQuestion) -> StatusAnswer {
        Box::pin(async { TokenStatus::described(&serde_json::json!({ "active": true }).to_string().into()) })
    }
}

/// Answers at once.
#[derive(Clone)]
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Full::default())))
    }
}

/// With a world without a status source, and one with.
type Scenario = fn(&World, &World);

/// The names of `instructions.txt`, in the order in which they are run. Tokens were seen before unless it says otherwise.
const SCENARIOS: &[(&str, Scenario)] = &[
    ("yes or no", |world, _| world.verdicts()),
    ("yes or no, with status and revocations", |_, world| world.verdicts()),
    ("decision", |world, _| world.decisions()),
    ("decision, with status and revocations", |_, world| world.decisions()),
    ("request", |world, _| world.requests(200, "GET /agents/7", &[Some(world.token.clone())])),
    ("request, with status and revocations", |_, world| {
        world.seen(&world.requirement());
        world.requests(200, "GET /agents/7", &[Some(world.token.clone())]);
    }),
    ("request, token never seen before, without the signature", |world, _| {
        let token = |number: u64| Some(world.tokens.clone().claim("jti", format!("new-{number:04}")).build());
        world.requests(200, "GET /agents/7", &(0..2 * ROUNDS).map(token).collect::<Vec<_>>());
    }),
    ("refused: no token", |world, _| world.requests(401, "GET /agents/7", &[None])),
    ("refused: not a JWT", |world, _| world.requests(401, "GET /agents/7", &[Some("a".repeat(700))])),
    ("refused: expired", |world, _| {
        let token = world.tokens.clone().expires_at(UnixTime::from_secs(1)).build();
        world.requests(401, "GET /agents/7", &[Some(token)]);
    }),
    ("refused: foreign issuer", |world, _| {
        let token = world.tokens.clone().claim("iss", "https://other.example").build();
        world.requests(401, "GET /agents/7", &[Some(token)]);
    }),
    ("refused: unknown key", |world, _| {
        world.requests(401, "GET /agents/7", &[Some(world.tokens.clone().key_id("unknown").build())]);
    }),
    ("refused: lacks a scope", |world, _| {
        world.requests(403, "POST /agents/7", &[Some(world.token.clone())]);
    }),
    ("refused: unlisted route", |world, _| world.requests(403, "GET /nowhere", &[None])),
];

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Under callgrind: nothing but the scenarios.
fn run() {
    let (plain, asking) = (World::new(false), World::new(true));
    for (_, scenario) in SCENARIOS {
        scenario(&plain, &asking);
    }
}

/// This program under callgrind; one dump for each scenario, in their order.
fn counts() -> Vec<u64> {
    let directory = std::env::temp_dir().join(format!("portcullis-instructions-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--compress-strings=no"])
        .args(["--toggle-collect=instructions::counted", "--dump-after=instructions::finished"])
        .arg(format!("--callgrind-out-file={}", directory.join("dump").display()))
        .arg(std::env::current_exe().unwrap())
        .arg(INSIDE)
        .stdout(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("valgrind, which this needs: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count = |number: usize| {
        let dump = std::fs::read_to_string(directory.join(format!("dump.{}", number + 1))).unwrap();
        (total(&dump) - of_signatures(&dump)) / ROUNDS
    };
    let counts = (0..SCENARIOS.len()).map(count).collect();
    std::fs::remove_dir_all(directory).unwrap();
    counts
}

/// All that was counted for a dump.
fn total(dump: &str) -> u64 {
    dump.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap().trim().parse().unwrap()
}

/// What aws-lc took of it: a call is three lines, of which the last ends with the cost.
fn of_signatures(dump: &str) -> u64 {
    let mut lines = dump.lines();
    let mut sum = 0;
    while let Some(line) = lines.next() {
        if line.starts_with("cfn=") && line.ends_with("_EVP_DigestVerify") {
            let cost = lines.nth(1).and_then(|line| line.rsplit_once(' ')).unwrap().1;
            sum += cost.parse::<u64>().unwrap();
        }
    }
    sum
}

fn budget(name: &str) -> Option<u64> {
    let line = BUDGETS.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
    line.trim().parse().ok()
}

const INSIDE: &str = "inside";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == INSIDE) {
        run();
        return ExitCode::SUCCESS;
    }
    let mut verdict = ExitCode::SUCCESS;
    println!("{:>12} {:>12}", "instructions", "budget");
    for ((name, _), count) in SCENARIOS.iter().zip(counts()) {
        let budget = budget(name);
        let tolerance = budget.unwrap_or_default() * TOLERANCE_PERCENT / 100;
        let (is_kept, word) = match budget {
            None => (false, "WITHOUT A BUDGET"),
            Some(budget) if count > budget + tolerance => (false, "OVER BUDGET"),
            Some(budget) if count < budget - tolerance => (true, "far below: lower the budget"),
            Some(_) => (true, ""),
        };
        if !is_kept {
            verdict = ExitCode::FAILURE;
        }
        println!("{count:>12} {:>12}  {name}  {word}", budget.unwrap_or_default());
    }
    verdict
}
