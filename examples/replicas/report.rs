//! What became of revoked tokens at each replica → a table that is drawn anew after each, and what it all comes to.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use crate::{Fallible, fleet::Outcome};

/// Moves a terminal's cursor up by so many lines, and clears what is below.
fn back(lines: usize) -> String {
    format!("\x1b[{lines}A\x1b[J")
}

pub(crate) struct Report {
    replicas: Vec<Replica>,
    /// Of each revocation that was waited for, the time at the last replica.
    at_the_last: Vec<Duration>,
    demanded: Vec<Duration>,
    /// How many requests were let through that demanded the revocation.
    passed_nevertheless: usize,
    /// How many answers were neither.
    in_doubt: usize,
    is_live: bool,
    drawn: usize,
}

struct Replica {
    port: String,
    times: Vec<Duration>,
    passed: usize,
}

impl Report {
    pub(crate) fn new(ports: Vec<String>) -> Self {
        let replica = |port| Replica { port, times: Vec::new(), passed: 0 };
        Self {
            replicas: ports.into_iter().map(replica).collect(),
            at_the_last: Vec::new(),
            demanded: Vec::new(),
            passed_nevertheless: 0,
            in_doubt: 0,
            is_live: io::stdout().is_terminal(),
            drawn: 0,
        }
    }

    /// Every replica was asked until it refused.
    pub(crate) fn refused(&mut self, outcomes: &[Outcome]) {
        for (replica, outcome) in self.replicas.iter_mut().zip(outcomes) {
            replica.times.push(outcome.after);
            replica.passed += outcome.passed;
            self.in_doubt += usize::from(outcome.is_in_doubt);
        }
        self.at_the_last.extend(outcomes.iter().map(|outcome| outcome.after).max());
    }

    /// Every replica was asked once, and the revocation demanded.
    pub(crate) fn demanded(&mut self, outcomes: &[Outcome]) {
        self.passed_nevertheless += outcomes.iter().map(|outcome| outcome.passed).sum::<usize>();
        self.in_doubt += outcomes.iter().filter(|outcome| outcome.is_in_doubt).count();
        self.demanded.extend(outcomes.iter().map(|outcome| outcome.after).max());
    }

    /// The table as it stands; on a terminal, in place of the one before.
    pub(crate) fn draw(&mut self, done: usize, of: usize) -> io::Result<()> {
        if !self.is_live {
            return Ok(());
        }
        let table = self.table();
        let mut out = io::stdout().lock();
        let before = if self.drawn > 0 { back(self.drawn) } else { String::new() };
        write!(out, "{before}{table}\n{done} of {of} tokens revoked\n")?;
        self.drawn = table.lines().count() + 2;
        out.flush()
    }

    fn table(&self) -> String {
        let mut table = String::from("replica    port   last ms    p50 ms    p99 ms    max ms   passed before\n");
        for (number, replica) in self.replicas.iter().enumerate() {
            let last = replica.times.last().copied().unwrap_or_default();
            let [p50, p99, max] = quantiles(&replica.times);
            let _ = writeln!(
                table,
                "{:>7} {:>7} {:>9.2} {p50:>9.2} {p99:>9.2} {max:>9.2} {:>15}",
                number + 1,
                replica.port,
                milliseconds(last),
                replica.passed,
            );
        }
        table
    }

    /// What all of it comes to. An error where a demand was not met.
    pub(crate) fn summary(&self) -> Fallible<()> {
        let mut out = io::stdout().lock();
        if !self.is_live {
            writeln!(out, "{}", self.table())?;
        }
        let [p50, p99, max] = quantiles(&self.at_the_last);
        writeln!(
            out,
            "{} revocations, from the acknowledgement to the refusal by the last of {} replicas:\n  \
             p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms",
            self.at_the_last.len(),
            self.replicas.len(),
        )?;
        let [p50, p99, max] = quantiles(&self.demanded);
        writeln!(
            out,
            "{} revocations demanded by their revision, from the acknowledgement to the last answer:\n  \
             p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms; {} requests let through",
            self.demanded.len(),
            self.passed_nevertheless,
        )?;
        writeln!(out, "{} answers of all of these were 503: the replica could not tell", self.in_doubt)?;
        if self.passed_nevertheless > 0 {
            return Err("a replica accepted a token whose revocation was demanded".into());
        }
        Ok(())
    }
}

/// The median, the 99th percentile (nearest rank) and the greatest, in milliseconds.
fn quantiles(times: &[Duration]) -> [f64; 3] {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    [50, 99, 100].map(|percent| {
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(rank).copied().map_or(f64::NAN, milliseconds)
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
