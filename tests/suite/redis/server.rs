//! A real `redis-server` of the test's own on loopback; without the program, tests are skipped, except in CI.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use portcullis::clock::{Clock, SystemClock};
use tokio::process::Child;

/// Nothing is kept on disk.
pub const IN_MEMORY: [&str; 4] = ["--save", "", "--appendonly", "no"];

/// Everything is on disk before it is acknowledged.
pub const ON_DISK: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// A server, listening. It ends with this at the latest, and its directory with it.
pub struct RedisServer {
    child: Option<Child>,
    port: u16,
    directory: PathBuf,
    options: Vec<String>,
    /// Where it is a Sentinel, the file that it keeps what it knows in.
    sentinel: Option<PathBuf>,
}

impl RedisServer {
    /// One that keeps nothing on disk. Nothing, and the reason is printed, where the program is not installed.
    pub async fn start() -> Option<Self> {
        Self::start_with(&IN_MEMORY).await
    }

    /// One with these options of the command line.
    pub async fn start_with(options: &[&str]) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let mut server = Self::prepared(options);
        server.restart().await;
        Some(server)
    }

    /// A Sentinel with that configuration.
    pub async fn start_sentinel(configuration: &str) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let mut server = Self::prepared(&[]);
        let file = server.directory.join("sentinel.conf");
        fs::write(&file, configuration).unwrap();
        server.sentinel = Some(file);
        server.restart().await;
        Some(server)
    }

    /// One that does not run yet: its port is chosen, and nobody listens there.
    fn prepared(options: &[&str]) -> Self {
        let port = free_port();
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-{}-{port}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { child: None, port, directory, options, sentinel: None }
    }

    /// Starts it again on its port, with what is in its directory, and waits until it answers.
    pub async fn restart(&mut self) {
        self.launch();
        self.until("it answers", |server| {
            let answer = server.try_cli(&["PING"]);
            // With a password, it has answered as well.
            answer.contains("PONG") || answer.contains("NOAUTH")
        })
        .await;
    }

    /// The same, and does not wait.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = fs::File::create(self.directory.join("log")).unwrap();
        let child = tokio::process::Command::new("redis-server")
            .args(self.sentinel.iter())
            .args(self.sentinel.iter().map(|_| "--sentinel"))
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            // Replicas are not kept waiting for others.
            .args(["--repl-diskless-sync-delay", "0"])
            .arg("--dir")
            .arg(&self.directory)
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its address for a user of its ACL.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@127.0.0.1:{}", self.port)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Ends it as a power failure would.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Tells it to end, and waits until it has; with persistence, everything is on disk then.
    pub async fn stop(&mut self) {
        self.signal("-TERM");
        if let Some(mut child) = self.child.take() {
            let _ = crate::process::within("the end of Redis", child.wait()).await;
        }
    }

    /// Stops its process, as a machine that hangs: connections stay, and nobody answers.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.id().expect("it runs").to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// What `redis-cli` prints for a command; it must succeed.
    #[track_caller]
    pub fn cli(&self, command: &[&str]) -> String {
        let answer = self.try_cli(command);
        let is_error = ["ERR ", "NOPERM", "READONLY", "WRONGTYPE", "NOAUTH", "Could not connect"];
        assert!(!is_error.iter().any(|error| answer.starts_with(error)), "{command:?}: {answer}");
        answer
    }

    /// The same, whatever comes of it.
    pub fn try_cli(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(command).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).trim().into()
    }

    /// Waits until that replica has what is written here. From then on it says at once what it has.
    pub async fn until_followed_by(&self, replica: &Self) {
        // Beside the keys of the log, and in a cluster in the same slot.
        let key = "{portcullis}followed";
        self.cli(&["INCR", key]);
        let here = self.cli(&["GET", key]);
        // A replica of a cluster names its master to whoever has not said that he wants to read.
        let there = || replica.cli_reading(&["READONLY", &format!("GET {key}")]);
        replica.until("it follows", |_| there() == here).await;
    }

    /// What `redis-cli` prints for the last of some commands on one connection.
    fn cli_reading(&self, commands: &[&str]) -> String {
        let port = self.port.to_string();
        let mut child =
            Command::new("redis-cli").args(["-p", &port]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(commands.join("\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().lines().last().unwrap_or_default().to_owned()
    }

    /// Waits until that is so, for a bounded time.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let clock = SystemClock::new();
        crate::process::within(what, async {
            while !is_so(self) {
                clock.sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            println!("at {}, at last:\n{}", self.port, lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Whether there is a `redis-server` to start; if not, the test is skipped, and in CI it fails.
pub fn is_installed() -> bool {
    let runs = |program| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let is_there = runs("redis-server") && runs("redis-cli");
    if !is_there {
        assert!(env::var_os("CI").is_none(), "redis-server and redis-cli are not installed, and CI skips nothing");
        println!("skipped: redis-server and redis-cli are not installed");
    }
    is_there
}

/// A port that nobody listens on, and that nobody is given by the system: a server that is killed gets it again.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id().wrapping_mul(61);
        // Below those that Linux hands out.
        let port = 12_000 + u16::try_from(number % 20_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
