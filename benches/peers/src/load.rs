//! Servers, one for each variant, under the same load → requests per second, and the server's CPU time for each.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Map;

use crate::{
    chart::{Bar, Chart, Scale, about},
    compare::digits,
    fixture::Failure,
    measure::quartiles,
    serve::VARIANTS,
};

/// How long a variant is under load in each round, in seconds.
const TURN: u64 = 3;

/// A server process; it ends when this is dropped, by its own id.
struct Server {
    process: Child,
    port: u16,
    token: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What one turn brought.
struct Turn {
    requests_per_second: f64,
    /// Of the server, user and system, in microseconds per request.
    cpu: f64,
}

pub(crate) fn run(rounds: usize, json: Option<&Path>) -> Result<(), Failure> {
    let servers = VARIANTS.map(|(variant, ..)| Server::start(variant));
    let servers = servers.into_iter().collect::<Result<Vec<_>, _>>()?;
    for (server, (variant, ..)) in servers.iter().zip(VARIANTS) {
        server.prove(variant)?;
        server.turn(1)?;
    }
    let mut turns: Vec<Vec<Turn>> = VARIANTS.map(|_| Vec::new()).into();
    for round in 0..rounds {
        for position in 0..servers.len() {
            let who = (position + round) % servers.len();
            turns[who].push(servers[who].turn(TURN)?);
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    let chart = chart(&turns, rounds);
    print(&chart);
    json.map_or(Ok(()), |path| chart.write(path))
}

impl Server {
    fn start(variant: &str) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let mut process = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args(["serve", variant])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("taskset (util-linux) cannot be run: {error}"))?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut server = Self { process, port: 0, token: String::new() };
        let (port, token) = line.trim().split_once(' ').ok_or_else(|| format!("{variant} did not start"))?;
        (server.port, server.token) = (port.parse()?, token.to_owned());
        Ok(server)
    }

    /// A good token is answered with 200, and none with 401.
    fn prove(&self, variant: &str) -> Result<(), Failure> {
        let authorization = format!("authorization: Bearer {}\r\n", self.token);
        let deadline = Instant::now() + Duration::from_secs(10);
        // Some fetch their keys in the background.
        while self.status(&authorization).unwrap_or_default() != "200" {
            if Instant::now() > deadline {
                return Err(format!("{variant} does not let a good token pass").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let without = self.status("")?;
        let expected = if variant == "no-auth" { "200" } else { "401" };
        if without != expected {
            return Err(format!("{variant} answers {without} without a token").into());
        }
        Ok(())
    }

    fn status(&self, header: &str) -> Result<String, Failure> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /agents HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
    }

    /// Puts it under load. Fails unless all answers were good.
    fn turn(&self, seconds: u64) -> Result<Turn, Failure> {
        let before = self.cpu()?;
        let output = Command::new("taskset")
            .args(["-c", "1", "wrk", "-t1", "-c32", &format!("-d{seconds}s"), "-H"])
            .arg(format!("Authorization: Bearer {}", self.token))
            .arg(format!("http://127.0.0.1:{}/agents", self.port))
            .output()?;
        let cpu = self.cpu()? - before;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(format!(
                "wrk cannot be run (apt-get install wrk): {}",
                String::from_utf8_lossy(&output.stderr)
            )
            .into());
        }
        if said.contains("Non-2xx") || said.contains("Socket errors") {
            return Err(format!("not all answers were good:\n{said}").into());
        }
        let number = |line: &str| line.split_whitespace().find_map(|word| word.parse::<f64>().ok());
        let requests = said.lines().find(|line| line.contains(" requests in ")).and_then(number);
        let rate = said.lines().find(|line| line.starts_with("Requests/sec")).and_then(number);
        let (requests, requests_per_second) = requests.zip(rate).ok_or_else(|| format!("wrk said\n{said}"))?;
        Ok(Turn { requests_per_second, cpu: cpu * 1e6 / requests })
    }

    /// User and system time of the server so far, in seconds.
    fn cpu(&self) -> Result<f64, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        // Fields 14 and 15 of proc(5), in hundredths of a second as on every Linux.
        Ok((ticks(11) + ticks(12)) / 100.0)
    }
}

fn chart(turns: &[Vec<Turn>], rounds: usize) -> Chart {
    let floor = VARIANTS.iter().position(|(variant, ..)| *variant == "static-bearer").unwrap_or_default();
    let median = |values: Vec<f64>| quartiles(values)[1];
    let rows = VARIANTS.iter().zip(turns).map(|((_, name, kind), own)| {
        let against = |pick: fn(&Turn) -> f64| {
            median(own.iter().zip(&turns[floor]).map(|(turn, floor)| pick(turn) / pick(floor)).collect())
        };
        let all = |pick: fn(&Turn) -> f64| own.iter().map(pick).collect::<Vec<_>>();
        let (cpu, rate) = (all(|turn| turn.cpu), all(|turn| turn.requests_per_second));
        let mut more = Map::new();
        let mut add = |name: &str, value: f64| more.insert(name.to_owned(), value.into());
        add("cpu_ratio", against(|turn| turn.cpu));
        add("requests_per_second", median(rate.clone()));
        add("requests_per_second_low", rate.iter().copied().fold(f64::MAX, f64::min));
        add("requests_per_second_high", rate.iter().copied().fold(0.0, f64::max));
        add("requests_ratio", against(|turn| turn.requests_per_second));
        Bar {
            name: (*name).to_owned(),
            kind: *kind,
            low: Some(cpu.iter().copied().fold(f64::MAX, f64::min)),
            high: Some(cpu.iter().copied().fold(0.0, f64::max)),
            value: Some(median(cpu)),
            note: String::new(),
            more,
        }
    });
    Chart {
        title: "End to end: the server's CPU time for a request".to_owned(),
        axis: "microseconds of CPU per request; median of the rounds, with the least and the most".to_owned(),
        scale: Scale::Linear,
        about: about(&format!(
            "cargo run --release --manifest-path benches/peers/Cargo.toml -- load; axum on core 0, wrk with 32 connections on \
             core 1, {rounds} rounds"
        )),
        rows: rows.collect(),
    }
}

fn print(chart: &Chart) {
    for line in &chart.about {
        println!("{line}");
    }
    println!(
        "\n| | CPU per request, µs | least–most | to static bearer | requests/s | least–most | to static bearer |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for row in &chart.rows {
        let more = |name: &str| row.more.get(name).and_then(serde_json::Value::as_f64).unwrap_or_default();
        println!(
            "| {} | {} | {}–{} | {} | {:.0} | {:.0}–{:.0} | {} |",
            row.name,
            row.value.map(digits).unwrap_or_default(),
            row.low.map(digits).unwrap_or_default(),
            row.high.map(digits).unwrap_or_default(),
            digits(more("cpu_ratio")),
            more("requests_per_second"),
            more("requests_per_second_low"),
            more("requests_per_second_high"),
            digits(more("requests_ratio")),
        );
    }
}
