//! A token is revoked at one of many replicas → when each of them refused it.
//!
//! ```text
//! cargo run --release --example replicas                                       # five replicas, twenty revocations
//! cargo run --release --example replicas -- --replicas 20 --revocations 1000
//! ```
//!
//! An issuer, a Redis of our own (`redis-server` must be on the PATH) and every replica of a protected API are there for as
//! long as this runs, on 127.0.0.1. The replicas are processes: each verifies tokens by itself, follows the log of
//! revocations in Redis, and takes revocations in for all of them.
//!
//! Half of the revocations are waited for, and the other half are demanded: the revision that the revocation was answered
//! with is sent along at once, and no replica may accept the token then.

#[path = "../shared/child.rs"]
mod child;
mod fleet;
#[path = "../shared/process.rs"]
mod process;
#[path = "../shared/redis_server.rs"]
mod redis_server;
mod replica;
mod report;

use std::{error::Error, process::ExitCode};

use fleet::Fleet;
use redis_server::RedisServer;
use report::Report;

pub(crate) type Fallible<T> = Result<T, Box<dyn Error>>;

/// More replicas than this are more than one machine should try.
const MOST_REPLICAS: usize = 200;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    process::run(|_| async move {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if let [replica::ROLE, issuer, redis] = *arguments {
            return replica::run(issuer, redis).await;
        }
        let wanted = Wanted::parse(&arguments)?;
        // Told to stop, it ends of itself, and takes along what it started.
        let told_to_stop = process::told_to_stop()?;
        tokio::select! {
            outcome = show(&wanted) => outcome,
            () = told_to_stop => Ok(()),
        }
    })
    .await
}

/// How many of what.
struct Wanted {
    replicas: usize,
    revocations: usize,
}

impl Wanted {
    fn parse(mut arguments: &[&str]) -> Fallible<Self> {
        let mut wanted = Self { replicas: 5, revocations: 20 };
        while let [name, value, rest @ ..] = arguments {
            let number: usize = value.parse().map_err(|_| format!("{name} {value}: not a number"))?;
            match *name {
                "--replicas" if (1..=MOST_REPLICAS).contains(&number) => wanted.replicas = number,
                "--revocations" if number >= 2 => wanted.revocations = number,
                _ => return Err(format!("{name} {number} is not possible").into()),
            }
            arguments = rest;
        }
        match arguments {
            [] => Ok(wanted),
            [argument, ..] => Err(format!("{argument}: known are --replicas NUMBER and --revocations NUMBER").into()),
        }
    }
}

async fn show(wanted: &Wanted) -> Fallible<()> {
    let redis = RedisServer::start().await?;
    println!("Redis {} listens on 127.0.0.1:{}", redis.version(), redis.port());
    let fleet = Fleet::start(wanted.replicas, &redis.url()).await?;
    let mut report = Report::new(fleet.ports());
    for number in 0..wanted.revocations {
        let is_demanded = number % 2 == 1;
        let revoked = fleet.revoke_one(number).await?;
        if is_demanded {
            report.demanded(&fleet.demand(&revoked).await?);
        } else {
            report.refused(&fleet.until_refused(&revoked).await?);
        }
        report.draw(number + 1, wanted.revocations)?;
    }
    report.summary()
}
