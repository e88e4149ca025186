//! The name of an example and its variables, and no others → that example as a process of its own, which ends with us.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use portcullis::clock::{Clock, SystemClock};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child as Process, Command},
};

use crate::{Fallible, PATIENCE};

/// A process that serves.
pub(crate) struct Child {
    /// Where it listens.
    pub(crate) url: String,
    _process: Process,
}

impl Child {
    /// The example of this name, as it was built beside us.
    pub(crate) async fn example(name: &str, variables: &[(&str, &str)]) -> Fallible<Self> {
        let here = std::env::current_exe()?;
        let path: PathBuf = here.with_file_name(name);
        if !path.exists() {
            return Err(format!("{name} is not built: cargo build --release --examples").into());
        }
        let mut command = program(&path);
        command.envs(variables.iter().copied()).env("PORT", "0");
        Self::start(command).await
    }

    /// This program in another role.
    pub(crate) async fn ourselves(arguments: &[&str]) -> Fallible<Self> {
        let mut command = program(&std::env::current_exe()?);
        command.args(arguments);
        Self::start(command).await
    }

    async fn start(mut command: Command) -> Fallible<Self> {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn()?;
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

/// Without what our own environment configures, be it a proxy or a directory in which somebody keeps their agents.
fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    // Windows has no sockets without it.
    command.env_clear().envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
    command
}
