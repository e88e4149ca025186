//! Everybody with the same good token → what each costs, against the static bearer layer and against ours.

use std::{path::Path, process::Command};

use serde_json::{Map, json};
use tokio::runtime::Runtime;

use crate::{
    Provider,
    chart::{Bar, Chart, Scale, about, version},
    fixture::{Failure, Fixture, TOKEN_LEN},
    measure::{Subject, measure},
    roster::{FLOOR, WARM, roster},
};

/// Measures, prints the table, and keeps it. A process can have one provider of `jsonwebtoken`; those who come with the
/// other one by default run in a second process, against a static bearer layer of its own.
pub(crate) fn run(
    runtime: &Runtime,
    fixture: &Fixture,
    provider: Provider,
    rounds: usize,
    json: Option<&Path>,
) -> Result<(), Failure> {
    let mut chart = Chart {
        title: "What a request costs, against a static bearer layer".to_owned(),
        axis: "time per request, as a multiple of tower-http's ValidateRequestHeaderLayer::bearer".to_owned(),
        scale: Scale::Log,
        about: about(&format!(
            "cargo run --release --manifest-path benches/peers/Cargo.toml; RS256, {TOKEN_LEN}-byte token, median of {rounds} rounds"
        )),
        rows: rows(runtime, fixture, provider, rounds),
    };
    if provider == Provider::RustCrypto {
        // For the process that asked.
        println!("{}", serde_json::to_string(&chart)?);
        return Ok(());
    }
    let program = std::env::current_exe()?;
    let rounds = rounds.to_string();
    let second = Command::new(program).args(["compare", "--rust-crypto", "--rounds", &rounds]).output()?;
    if !second.status.success() {
        return Err(String::from_utf8_lossy(&second.stderr).into());
    }
    let second: Chart = serde_json::from_slice(&second.stdout)?;
    chart.rows.extend(second.rows.into_iter().filter(|row| row.name != FLOOR));
    chart.rows.sort_by(|a, b| a.value.unwrap_or(f64::MAX).total_cmp(&b.value.unwrap_or(f64::MAX)));
    print(&chart);
    json.map_or(Ok(()), |path| chart.write(path))
}

fn rows(runtime: &Runtime, fixture: &Fixture, provider: Provider, rounds: usize) -> Vec<Bar> {
    let mut entries = roster(runtime, fixture, provider);
    let mut runnable: Vec<_> = entries
        .iter_mut()
        .filter_map(|entry| Some((entry.subject.as_mut().ok()?, Some(&fixture.tokens.good))))
        .collect::<Vec<(&mut Subject, _)>>();
    // The floor is always the first, and always runs.
    let measured = measure(&mut runnable, 0, rounds);
    let mut measured = measured.into_iter();
    entries
        .iter()
        .map(|entry| {
            let result = entry.subject.as_ref().ok().and_then(|_| measured.next());
            let mut more = Map::new();
            more.insert("version".to_owned(), version(entry.package).into());
            more.insert("checks".to_owned(), json!(entry.checks));
            if let Some(result) = result {
                more.insert("allocations".to_owned(), result.allocations.into());
            }
            Bar {
                name: entry.name.to_owned(),
                kind: entry.kind,
                value: result.map(|result| result.ratio),
                low: result.map(|result| result.low),
                high: result.map(|result| result.high),
                note: entry
                    .subject
                    .as_ref()
                    .err()
                    .map_or_else(|| entry.note.to_owned(), |why| format!("cannot run: {why}")),
                more,
            }
        })
        .collect()
}

fn print(chart: &Chart) {
    let warm = chart.rows.iter().find(|row| row.name == WARM).and_then(|row| row.value);
    for line in &chart.about {
        println!("{line}");
    }
    println!("\n| | version | to static bearer | quarters | to ours, warm | allocations | checks | |");
    println!("|---|---|---:|---:|---:|---:|---|---|");
    for row in &chart.rows {
        let text = |name: &str| row.more.get(name).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
        let checks = row.more.get("checks").and_then(|checks| checks.as_array()).cloned().unwrap_or_default();
        let checks: Vec<_> = checks.iter().filter_map(|check| check.as_str()).collect();
        let spread = row.low.zip(row.high).map(|(low, high)| format!("{}–{}", digits(low), digits(high)));
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            text("version"),
            row.value.map(digits).unwrap_or_default(),
            spread.unwrap_or_default(),
            row.value.zip(warm).map(|(value, warm)| digits(value / warm)).unwrap_or_default(),
            text("allocations"),
            checks.join(" "),
            row.note
        );
    }
    println!(
        "\n`checks` are those whose failure it was seen to refuse. Allocations include the request's own (see `no layer`).\n\
         A warm request of ours skips the signature, and that is sound: it is the same token to the last byte as one that \n\
         was verified, under a key that is still trusted, in a memory that holds nothing else; its time, its scopes, its \n\
         status and revocations are looked at each time. No other one here remembers a verified token."
    );
}

/// Three digits, which is more than holds.
pub(crate) fn digits(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
