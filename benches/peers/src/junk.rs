//! Everybody with tokens that are no good → what a refusal costs, its answer included, against a refusing static bearer.

use std::path::Path;

use serde_json::{Map, json};
use tokio::runtime::Runtime;

use crate::{
    Provider,
    chart::{Bar, Chart, Scale, about},
    compare::digits,
    fixture::{Failure, Fixture},
    measure::{Subject, measure},
    roster::{FLOOR, roster},
};

pub(crate) fn run(runtime: &Runtime, fixture: &Fixture, rounds: usize, json: Option<&Path>) -> Result<(), Failure> {
    let tokens = &fixture.tokens;
    let kinds = [
        ("missing", None),
        ("not a JWT", Some(&tokens.not_a_jwt)),
        ("expired", Some(&tokens.expired)),
        ("foreign issuer", Some(&tokens.foreign_issuer)),
        ("unknown kid", Some(&tokens.unknown_key)),
        ("bad signature", Some(&tokens.bad_signature)),
    ];
    let mut entries = roster(runtime, fixture, Provider::AwsLc);
    entries.retain(|entry| entry.subject.is_ok() && !entry.checks.is_empty());
    let mut rows: Vec<Bar> = entries
        .iter()
        .map(|entry| Bar {
            name: entry.name.to_owned(),
            kind: entry.kind,
            value: None,
            low: None,
            high: None,
            note: String::new(),
            more: Map::new(),
        })
        .collect();
    for (name, header) in kinds {
        let mut statuses = Vec::new();
        let mut subjects: Vec<(&mut Subject, _)> = Vec::new();
        for entry in &mut entries {
            if let Ok(subject) = &mut entry.subject {
                statuses.push(subject.status(header));
                subjects.push((subject, header));
            }
        }
        let measured = measure(&mut subjects, 0, rounds);
        for ((row, measured), status) in rows.iter_mut().zip(measured).zip(statuses) {
            // The chart shows the most expensive kind of junk that costs nobody a signature.
            if name == "unknown kid" {
                (row.value, row.low, row.high) = (Some(measured.ratio), Some(measured.low), Some(measured.high));
            }
            let ratio = measured.ratio;
            row.more.insert(
                name.to_owned(),
                json!({ "ratio": ratio, "status": status, "allocations": measured.allocations }),
            );
        }
    }
    let chart = Chart {
        title: "What a token with an unknown kid costs, refusal included".to_owned(),
        axis: "time per request, as a multiple of a static bearer layer's refusal".to_owned(),
        scale: Scale::Log,
        about: about(&format!(
            "cargo run --release --manifest-path benches/peers/Cargo.toml -- junk; median of {rounds} rounds"
        )),
        rows,
    };
    print(&chart, &kinds.map(|(name, _)| name));
    json.map_or(Ok(()), |path| chart.write(path))
}

fn print(chart: &Chart, kinds: &[&str]) {
    for line in &chart.about {
        println!("{line}");
    }
    println!("\nRatio to {FLOOR} refusing the same request; the status answered; allocations.\n");
    println!("| | {} |", kinds.join(" | "));
    println!("|---|{}", "---:|".repeat(kinds.len()));
    for row in &chart.rows {
        let cell = |kind: &&str| {
            let cell = &row.more[*kind];
            let ratio = cell["ratio"].as_f64().map(digits).unwrap_or_default();
            format!("{ratio} ({}, {})", cell["status"], cell["allocations"])
        };
        println!("| {} | {} |", row.name, kinds.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
}
