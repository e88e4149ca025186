//! A token is revoked → how long another process still lets it in, for every way in which it can hear of that.
//!
//! ```text
//! cargo build --release --examples && cargo run --release --example revocation_latency
//! ```
//!
//! Both token services and every protected API are processes of their own, and speak HTTP over loopback. A try issues a
//! token, sees it accepted, revokes it, and from the answer to that on asks the API again and again until it refuses.

mod api;
#[path = "../shared/child.rs"]
mod child;
#[path = "../shared/process.rs"]
mod process;
mod systems;

use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

use systems::{AgentIdp, Grantex, System};

pub(crate) type Fallible<T> = Result<T, Box<dyn Error>>;

const TRIES: usize = 200;

/// An API that does not refuse by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    process::run(|_| async move {
        match &*arguments {
            // Told to stop, it ends of itself, and takes along what it started.
            [] => {
                let told_to_stop = process::told_to_stop()?;
                tokio::select! {
                    outcome = measure() => outcome,
                    () = told_to_stop => Ok(()),
                }
            }
            [role, told_by, service, api_key] if role == api::ROLE => api::run(told_by, service, api_key).await,
            _ => Err("no arguments are needed".into()),
        }
    })
    .await
}

async fn measure() -> Fallible<()> {
    println!("from the revocation's answer to the first refusal, {TRIES} tries each, in milliseconds;");
    println!("and how many of them saw no request pass in between\n");
    println!("{:<9} {:<38} {:>6} {:>6} {:>6} {:>5}", "service", "the API hears of it by", "p50", "p99", "max", "none");
    show("AgentIdP", "introspection on every request", AgentIdp::start().await?).await?;
    show("Grantex", "online verification on every request", Grantex::start("verification").await?).await?;
    show("Grantex", "the revocation feed", Grantex::start("feed").await?).await?;
    show("Grantex", "webhooks", Grantex::start("webhooks").await?).await
}

async fn show(service: &str, way: &str, system: impl System) -> Fallible<()> {
    // The first ones open connections.
    for _ in 0..5 {
        latency(&system).await?;
    }
    let (mut latencies, mut at_once) = (Vec::with_capacity(TRIES), 0);
    for _ in 0..TRIES {
        let (latency, passed) = latency(&system).await?;
        latencies.push(latency);
        at_once += u32::from(passed == 0);
    }
    latencies.sort_unstable();
    let at = |percent: usize| {
        let rank = (TRIES * percent).div_ceil(100).saturating_sub(1);
        latencies.get(rank).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    };
    println!("{service:<9} {way:<38} {:>6.2} {:>6.2} {:>6.2} {at_once:>5}", at(50), at(99), at(100));
    Ok(())
}

/// One try: how long it took until the token was refused, and how many requests passed meanwhile.
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
async fn latency(system: &impl System) -> Fallible<(Duration, u32)> {
    let token = system.issue().await?;
    if !system.is_accepted(&token).await? {
        return Err("a token that was just issued is refused".into());
    }
    system.revoke(&token).await?;
    let (revoked, mut passed) = (Instant::now(), 0);
    while system.is_accepted(&token).await? {
        if revoked.elapsed() > PATIENCE {
            return Err("a revoked token is still accepted".into());
        }
        passed += 1;
    }
    Ok((revoked.elapsed(), passed))
}
