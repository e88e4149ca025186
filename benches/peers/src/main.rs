//! portcullis beside its peers: the same token, the same checks, one process, turn by turn.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -- --help` says what can be run.

#![allow(clippy::disallowed_methods, reason = "the crate's rules about time and tasks do not bind its measurements")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::fixture::{Failure, Fixture};

mod chart;
mod compare;
mod count;
mod fixture;
mod junk;
mod load;
mod measure;
mod peers;
mod plot;
mod roster;
mod serve;

const HELP: &str = "\
cargo run --release --manifest-path benches/peers/Cargo.toml -- [MODE] [--rounds N] [--json FILE]

  compare            a good token, everybody (default; 61 rounds)
  junk               tokens that are refused (31 rounds)
  load               end to end: an axum server on core 0, wrk with 32 connections on core 1 (5 rounds of 3 seconds for
                     each variant). Needs Linux with two cores, taskset (util-linux) and wrk: apt-get install wrk.
                     Everything listens on 127.0.0.1, and ends with the run.
  plot DATA SVG      draws a file that --json wrote, or one of the same form (src/chart.rs)
  serve VARIANT      one server of `load`, until its standard input ends

Nothing else should run on the machine meanwhile: ratios are robust against noise, the spread shows how much there was.";

/// The cryptography behind `jsonwebtoken`: one for a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    AwsLc,
    RustCrypto,
}

impl Provider {
    fn install(self) -> Result<(), Failure> {
        let (new, old) = match self {
            Self::AwsLc => {
                (&jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER, &jsonwebtoken_10::crypto::aws_lc::DEFAULT_PROVIDER)
            }
            Self::RustCrypto => (
                &jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER,
                &jsonwebtoken_10::crypto::rust_crypto::DEFAULT_PROVIDER,
            ),
        };
        let installed = new.install_default().is_ok() && old.install_default().is_ok();
        installed.then_some(()).ok_or_else(|| "jsonwebtoken has another provider already".into())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let (mut words, mut rounds, mut json, mut provider) = (Vec::new(), None, None, Provider::AwsLc);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--rounds" => rounds = Some(value()?.parse::<usize>()?.max(1)),
            "--json" => json = Some(PathBuf::from(value()?)),
            "--rust-crypto" => provider = Provider::RustCrypto,
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(());
            }
            _ => words.push(argument),
        }
    }
    provider.install()?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", variant] => return serve::run(variant),
        ["load"] => return load::run(rounds.unwrap_or(5), json.as_deref()),
        ["plot", data, svg] => return plot::run(Path::new(data), Path::new(svg)),
        _ => {}
    }
    // What happens in the background has a thread of its own; requests are measured on this one.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _inside = runtime.enter();
    let fixture = runtime.block_on(Fixture::start())?;
    match words[..] {
        [] | ["compare"] => compare::run(&runtime, &fixture, provider, rounds.unwrap_or(61), json.as_deref()),
        ["junk"] => junk::run(&runtime, &fixture, rounds.unwrap_or(31), json.as_deref()),
        _ => Err(HELP.into()),
    }
}
