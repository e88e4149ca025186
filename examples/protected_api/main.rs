//! A protected API for any issuer, configured by environment variables.
//!
//! ```text
//! ISSUER=https://idp.example.com AUDIENCE=https://api.example.com cargo run --example protected_api
//! curl -i http://127.0.0.1:8080/whoami -H "Authorization: Bearer $TOKEN"
//! ```
//!
//! `config` has every variable, `routes` what each route needs and what answers it.

mod config;
mod routes;

use std::{error::Error, future::Future, io, pin::pin, process::ExitCode, time::Duration};

use axum::Router;
use config::Config;
use portcullis::{
    Authorizer,
    clock::{Clock, SystemClock},
};
use tokio::net::TcpListener;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// A service that starts together with its issuer should not begin with a 503; one whose issuer is down must begin.
const WAIT_FOR_KEYS: Duration = Duration::from_secs(2);

/// How long requests that are under way may take once we are told to stop.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    // Standard output has one line only, for whoever waits for it.
    let targets = Targets::new().with_target("portcullis", tracing::Level::DEBUG).with_default(tracing::Level::WARN);
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(log).with(targets).init();

    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_sources(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let config = Config::from_environment()?;
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    let is_built_in = config.routes.is_none();
    let table = config.routes.map_or_else(|| routes::built_in(config.asks_about_all), Ok)?;
    eprint!("{table}");

    let authorizer =
        config.issuers.into_iter().fold(Authorizer::builder(), portcullis::AuthorizerBuilder::issuer).routes(table);
    let authorizer = authorizer.build()?;
    let router = if is_built_in { routes::by_pattern(&authorizer) } else { routes::by_raw_path(&authorizer) };

    let mut told_to_stop = pin!(told_to_stop()?);
    let listener = TcpListener::bind(("127.0.0.1", config.port))
        .await
        .map_err(|error| format!("PORT={} cannot be listened on: {error}", config.port))?;
    tokio::select! {
        ready = authorizer.ready(WAIT_FOR_KEYS) => if let Err(missing) = ready {
            eprintln!("warning: {missing}; answering 503 until they are there");
        },
        () = &mut told_to_stop => return Ok(()),
    }
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, router, told_to_stop).await?;
    Ok(())
}

/// Serves until told to stop, then finishes what is under way; what takes longer than [`GRACE`] is cut off.
async fn serve(listener: TcpListener, router: Router, told_to_stop: impl Future<Output = ()>) -> io::Result<()> {
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    });
    let cut_off = async {
        told_to_stop.await;
        stop.send_replace(true);
        SystemClock::new().sleep(GRACE).await;
    };
    tokio::select! {
        outcome = serving.into_future() => outcome,
        () = cut_off => Ok(()),
    }
}

/// SIGINT or SIGTERM, from now on.
#[cfg(unix)]
fn told_to_stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {},
            _ = terminate.recv() => {},
        }
    })
}

#[cfg(not(unix))]
fn told_to_stop() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// An error and everything below it, on one line.
fn with_sources(error: &dyn Error) -> String {
    let below = error.source().map(|source| format!(": {}", with_sources(source)));
    format!("{error}{}", below.unwrap_or_default())
}
