//! `redis-server` on the PATH → one of our own, on a free port, which ends with us.

use std::{env::temp_dir, fs, io::ErrorKind, path::PathBuf, process::Stdio, time::Duration};

use portcullis::clock::{Clock, SystemClock};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

use crate::Fallible;

const HOW_TO_INSTALL: &str = "there is no redis-server on the PATH. To install it: `apt install redis-server`, \
                              `dnf install redis`, `brew install redis`, or see https://redis.io/downloads";

/// A server that does not start by then never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// A Redis that keeps nothing on disk.
pub(crate) struct RedisServer {
    port: u16,
    version: String,
    directory: PathBuf,
    _process: Child,
}

impl RedisServer {
    pub(crate) async fn start() -> Fallible<Self> {
        // Free now, and hopefully a moment later too.
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let directory = temp_dir().join(format!("portcullis-replicas-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(&directory).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => HOW_TO_INSTALL.into(),
            _ => format!("redis-server does not start: {error}"),
        })?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no standard output")?).lines();
        let mut version = String::new();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, rest)) = line.split_once("Redis version=") {
                    rest.split(',').next().unwrap_or_default().clone_into(&mut version);
                }
                if line.contains("Ready to accept connections") {
                    return Ok(());
                }
            }
            Fallible::Err("redis-server ended before it listened".into())
        };
        tokio::select! {
            ready = listening => ready?,
            () = SystemClock::new().sleep(PATIENCE) => return Err("redis-server does not start".into()),
        }
        Ok(Self { port, version, directory, _process: process })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
