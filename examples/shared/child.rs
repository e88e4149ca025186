//! A program, its arguments and its variables, and no others → a process that serves, and ends with us.

use std::{path::Path, process::Stdio, time::Duration};

use portcullis::clock::{Clock, SystemClock};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child as Process, Command},
};

use crate::Fallible;

/// A service that does not start by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that serves.
pub(crate) struct Child {
    /// Where it listens.
    pub(crate) url: String,
    _process: Process,
}

impl Child {
    /// This program in another role.
    pub(crate) async fn ourselves(arguments: &[&str]) -> Fallible<Self> {
        Self::start(&std::env::current_exe()?, arguments, &[]).await
    }

    /// Ready when it says where it listens. Its environment holds nothing of ours: no proxy, and no directory in which
    /// somebody keeps their agents.
    pub(crate) async fn start(program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Fallible<Self> {
        let mut command = Command::new(program);
        // Windows has no sockets without it.
        command.env_clear().envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
        command.args(arguments).envs(variables.iter().copied());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no standard output")?).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.strip_prefix("listening on ") {
                    return Ok(url.to_owned());
                }
            }
            Fallible::Err("a service ended before it listened".into())
        };
        tokio::select! {
            url = listening => Ok(Self { url: url?, _process: process }),
            () = SystemClock::new().sleep(PATIENCE) => Err("a service does not start".into()),
        }
    }
}
