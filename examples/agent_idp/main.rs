//! A token service for agents: AgentIdP's endpoints, guarded by this crate's own layer.
//!
//! ```text
//! cargo run --example agent_idp
//! curl -s -X POST http://localhost:3000/api/v1/token -d grant_type=client_credentials \
//!     -d "client_id=$CLIENT_ID" -d "client_secret=$CLIENT_SECRET" | jq .
//! ```
//!
//! The first start prints the credentials of an agent that may do everything. `config` has every variable. Who may call what
//! is the route table of `guard`; the code behind it looks at no token, but for two questions that only a token service has
//! to answer: whether a client is who it says (`client_authentication`), and whether a token that is to be revoked is the
//! caller's own (`revocation`).
//!
//! What AgentIdP leaves open is decided as follows. The monthly limit is per agent, and counts the tokens that were issued,
//! not the requests that were refused. While an agent is suspended its tokens are refused as well, and introspection calls
//! them inactive; reactivation brings back those that were neither revoked nor expired meanwhile. An agent that may
//! `agents:write` manages all agents: it can make one with every scope.

mod agent_routes;
mod agents;
mod answers;
mod bench;
mod client_authentication;
mod config;
mod form;
mod guard;
mod introspection;
mod month;
#[path = "../shared/process.rs"]
mod process;
mod revocation;
mod secret;
mod secret_check;
mod service;
mod signing_key;
mod store;
#[cfg(test)]
mod tests;
mod token_endpoint;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use config::Config;
use portcullis::clock::SystemClock;
use service::FirstAdmin;

#[tokio::main]
async fn main() -> ExitCode {
    process::run(|_| run()).await
}

async fn run() -> Result<(), Box<dyn Error>> {
    let config = Config::from_environment()?;
    // Once the port is ours: nobody is to read a secret of a service that does not start.
    process::serve(config.port, async |_| service::start(config, SystemClock::new(), print).await).await
}

/// The only time that this secret is seen. One that was chosen is known to whoever chose it.
fn print(admin: &FirstAdmin) -> io::Result<()> {
    let Some(secret) = &admin.made_up_secret else { return Ok(()) };
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "admin client_id={} client_secret={}", admin.client_id, secret.expose())?;
    stdout.flush()
}
