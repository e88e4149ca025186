//! Anything that may happen at a server, in any order → what was revoked is refused in time, and nothing else for long.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{By, INVALID, OK, UNAVAILABLE, World, server::Database};

const GRANTS: [&str; 4] = ["g0", "g1", "g2", "g3"];

/// Longer than the feed may be stale.
const IN_TIME: u64 = 6;

#[derive(Clone, Copy, Debug)]
enum Step {
    Grant(&'static str, usize),
    /// A transaction begins, and writes to the log.
    Begin(&'static str, usize),
    /// The one that has been under way for longest ends.
    Commit,
    Seconds(u32),
    Cut,
    /// The database is away, or back.
    Down(bool),
    Nonsense,
    /// The log forgets.
    Prune,
    Copy,
    /// While nobody is connected, what was copied takes the place of what is there.
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    let grant = 0..GRANTS.len();
    let action = prop::sample::select(vec!["revoked", "suspended", "resumed", "suspended", "resumed"]);
    prop_oneof![
        6 => (action.clone(), grant.clone()).prop_map(|(action, grant)| Step::Grant(action, grant)),
        2 => (action, grant).prop_map(|(action, grant)| Step::Begin(action, grant)),
        2 => Just(Step::Commit),
        6 => (1..30_u32).prop_map(Step::Seconds),
        2 => Just(Step::Cut),
        1 => any::<bool>().prop_map(Step::Down),
        1 => Just(Step::Nonsense),
        1 => Just(Step::Prune),
        1 => Just(Step::Copy),
        1 => Just(Step::Restore),
    ]
}

/// What is true, by our books.
#[derive(Default)]
struct Truth {
    /// Since when a grant has been refused by the server.
    refused_since: BTreeMap<usize, u64>,
    /// What was revoked at any time, or lost while it was suspended: nobody can say what we know of it.
    stained: BTreeSet<usize>,
    /// The log's number of a transaction, its grant, and when it has to end.
    under_way: Vec<(u64, usize, u64)>,
    copy: Option<Database>,
}

impl Truth {
    /// Compares our books with the server's.
    fn update(&mut self, world: &World) {
        let now = world.server.now();
        let (revoked, suspended) = (world.server.standing("revoked"), world.server.standing("suspended"));
        for (number, grant) in GRANTS.iter().enumerate() {
            if revoked.contains(*grant) {
                self.stained.insert(number);
            }
            if revoked.contains(*grant) || suspended.contains(*grant) {
                self.refused_since.entry(number).or_insert(now);
            } else {
                self.refused_since.remove(&number);
            }
        }
    }

    /// No transaction takes as long as it takes a log to be complete.
    async fn pass(&mut self, world: &World, tokens: &[String]) {
        world.seconds(1).await;
        let now = world.server.now();
        while let Some((seq, ..)) = self.under_way.first().copied().filter(|(.., end)| *end <= now) {
            self.under_way.remove(0);
            world.server.commit(seq);
            self.update(world);
        }
        for (number, token) in tokens.iter().enumerate() {
            let verdict = world.check(token).await;
            let since = self.refused_since.get(&number).copied().unwrap_or(now);
            assert!(verdict != OK || now - since <= IN_TIME, "{} passes, refused since {since}, {now}", GRANTS[number]);
        }
    }

    async fn take(&mut self, world: &World, tokens: &[String], step: Step) {
        let now = world.server.now();
        match step {
            Step::Grant(action, grant) if self.is_possible(world, action, grant) => {
                world.server.grant(action, GRANTS[grant]);
            }
            Step::Begin(action, grant) if self.is_possible(world, action, grant) => {
                let seq = world.server.begin(action, Some(GRANTS[grant]), None);
                self.under_way.push((seq, grant, now + 12));
            }
            Step::Commit if !self.under_way.is_empty() => world.server.commit(self.under_way.remove(0).0),
            Step::Seconds(seconds) => {
                for _ in 0..seconds {
                    self.pass(world, tokens).await;
                }
            }
            Step::Cut => world.server.cut(),
            Step::Down(is_down) => world.server.set_down(is_down),
            Step::Nonsense => world.server.say("event: heartbeat\ndata: 7\n\n"),
            // Long after everybody has heard it.
            Step::Prune if world.inner.authorizer.readiness().ready => world.server.prune(now.saturating_sub(120)),
            Step::Copy if self.under_way.is_empty() => self.copy = Some(world.server.copy()),
            Step::Restore if self.under_way.is_empty() => {
                if let Some(copy) = self.copy.clone() {
                    world.server.set_down(true);
                    world.server.cut();
                    self.pass(world, tokens).await;
                    self.stained.extend(self.refused_since.keys());
                    world.server.restore(copy);
                    world.server.set_down(false);
                }
            }
            _ => {}
        }
        self.update(world);
    }

    /// A revocation cannot be undone, and whoever changes a grant waits for whoever else does.
    fn is_possible(&self, world: &World, action: &str, grant: usize) -> bool {
        let is_free = !self.under_way.iter().any(|(_, other, _)| *other == grant);
        is_free && (action == "revoked" || !world.server.standing("revoked").contains(GRANTS[grant]))
    }
}

async fn simulate(by: By, steps: Vec<Step>) {
    let world = World::new(by).await;
    let tokens = GRANTS.map(|grant| world.lasting(grant));
    let mut truth = Truth::default();
    for step in steps {
        truth.take(&world, &tokens, step).await;
    }
    world.server.set_down(false);
    for _ in 0..90 {
        truth.pass(&world, &tokens).await;
    }
    for (number, token) in tokens.iter().enumerate() {
        let verdict = world.check(token).await;
        assert_ne!(verdict, UNAVAILABLE, "it heals by itself");
        if !truth.stained.contains(&number) {
            let is_refused = truth.refused_since.contains_key(&number);
            assert_eq!(verdict, if is_refused { INVALID } else { OK }, "{by:?} {}", GRANTS[number]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_revoked_is_refused_in_time_and_what_is_resumed_passes_in_the_end_threat_16(
        steps in prop::collection::vec(step(), 1..50),
        by in prop::sample::select(vec![By::Stream, By::LongPoll]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(simulate(by, steps));
    }
}
