//! What every example that serves does as a process: one line when it is ready, a clean end when it is told to stop.

use std::{error::Error, future::Future, io, pin::pin, time::Duration};

use axum::Router;
use portcullis::clock::{Clock, SystemClock};
use tokio::net::TcpListener;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// How long requests that are under way may take once we are told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Logs to standard error: standard output has one line only, for whoever waits for it.
pub(crate) fn log_to_stderr() {
    let targets = Targets::new().with_target("portcullis", tracing::Level::DEBUG).with_default(tracing::Level::WARN);
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(log).with(targets).init();
}

/// Serves on 127.0.0.1 until told to stop. `router` is made once the port is known, and may take its time: nobody is told
/// that we listen before it is there.
///
/// # Errors
/// Where the port is taken, or `router` fails.
pub(crate) async fn serve<F>(port: u16, router: impl FnOnce(String) -> F) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = Result<Router, Box<dyn Error>>>,
{
    let mut told_to_stop = pin!(told_to_stop()?);
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| format!("PORT={port} cannot be listened on: {error}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = tokio::select! {
        router = router(url.clone()) => router?,
        () = &mut told_to_stop => return Ok(()),
    };
    println!("listening on {url}");
    until(listener, router, told_to_stop).await?;
    Ok(())
}

/// Serves until told to stop, then finishes what is under way; what takes longer than [`GRACE`] is cut off.
async fn until(listener: TcpListener, router: Router, told_to_stop: impl Future<Output = ()>) -> io::Result<()> {
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
pub(crate) fn told_to_stop() -> io::Result<impl Future<Output = ()> + use<>> {
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
pub(crate) fn told_to_stop() -> io::Result<impl Future<Output = ()> + use<>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// An error and everything below it, on one line.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let below = error.source().map(|source| format!(": {}", with_sources(source)));
    format!("{error}{}", below.unwrap_or_default())
}
