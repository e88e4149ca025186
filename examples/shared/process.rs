//! What every example that serves does as a process: one line when it is ready, a clean end when it is told to stop.

use std::{
    error::Error,
    future::Future,
    io::{self, Write as _},
    pin::pin,
    process::ExitCode,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use axum::Router;
use portcullis::clock::{Clock, SystemClock};
use tokio::net::TcpListener;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// How long requests that are under way may take once we are told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// How many lines wait at most for whoever reads standard error.
const MAX_LINES: usize = 1024;

/// How long the last of them may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs an example to its end. What it logs goes to standard error, and so does the error that ends it: standard output has
/// one line only, for whoever waits for it.
pub(crate) async fn run<F>(example: impl FnOnce(Log) -> F) -> ExitCode
where
    F: Future<Output = Result<(), Box<dyn Error>>>,
{
    let (log, written) = Log::start();
    let (events, lines) = (log.clone(), tracing_subscriber::fmt::layer().with_ansi(false));
    let targets = Targets::new().with_target("portcullis", tracing::Level::DEBUG).with_default(tracing::Level::WARN);
    tracing_subscriber::registry().with(lines.with_writer(move || events.clone())).with(targets).init();
    let outcome = example(log.clone()).await;
    if let Err(error) = &outcome {
        log.say(&format!("error: {}", with_sources(&**error)));
    }
    log.end(&written);
    outcome.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Standard error, which holds nobody up: a thread of its own writes, and while nobody reads, lines are lost.
#[derive(Clone)]
pub(crate) struct Log(SyncSender<Option<Vec<u8>>>);

impl Log {
    /// It, and what hangs up when everything is written.
    fn start() -> (Self, Receiver<()>) {
        let (sender, lines) = sync_channel(MAX_LINES);
        let (writing, written) = sync_channel(0);
        thread::spawn(move || {
            let _writing: SyncSender<()> = writing;
            // The first that fails is the last: whoever has closed it does not come back.
            let _ =
                lines.into_iter().map_while(|line| line).try_for_each(|line: Vec<u8>| io::stderr().write_all(&line));
        });
        (Self(sender), written)
    }

    /// A line of the example's own.
    pub(crate) fn say(&self, line: &str) {
        let _ = self.0.try_send(Some(format!("{line}\n").into_bytes()));
    }

    /// Waits a little for what was said.
    fn end(self, written: &Receiver<()>) {
        if self.0.try_send(None).is_ok() {
            let _ = written.recv_timeout(LAST_WORDS);
        }
    }
}

impl io::Write for Log {
    /// One line: an event is written in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(Some(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    writeln!(io::stdout(), "listening on {url}")?;
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
fn with_sources(error: &dyn Error) -> String {
    let below = error.source().map(|source| format!(": {}", with_sources(source)));
    format!("{error}{}", below.unwrap_or_default())
}
