//! A token service that speaks as Grantex does, and a calendar API behind our layer that accepts its tokens.
//!
//! ```text
//! cargo run --example grantex
//! key='Authorization: Bearer sandbox-api-key-local' json='Content-Type: application/json' url=http://127.0.0.1:3001
//! curl -s $url/v1/agents -H "$key" -H "$json" -d '{"name":"calendar assistant"}'
//! curl -s $url/v1/authorize -H "$key" -H "$json" -d '{"agentId":"ag_…","principalId":"user_1","scopes":["calendar:read"]}'
//! curl -s $url/v1/token -H "$key" -H "$json" -d '{"agentId":"ag_…","code":"…"}'
//! curl -i $url/calendar/events -H "Authorization: Bearer $TOKEN"
//! curl -i -X DELETE $url/v1/grants/grnt_… -H "$key"
//! ```
//!
//! `config` has every variable, `service` is the token service, `api` the API.

mod api;
mod config;
#[path = "../shared/process.rs"]
mod process;
mod service;

use std::{error::Error, process::ExitCode, sync::Arc};

use config::Config;
use portcullis::clock::SystemClock;
use service::Service;

#[tokio::main]
async fn main() -> ExitCode {
    process::run(|_| run()).await
}

async fn run() -> Result<(), Box<dyn Error>> {
    let config = Config::from_environment()?;
    process::serve(config.port, |url| async move {
        let api = api::router(&url, config.api_key.as_str())?;
        let service = Service::new(url, config.api_key, config.generation, Arc::new(SystemClock::new()))?;
        end_when_told(&service)?;
        Ok(service.router().merge(api))
    })
    .await
}

/// Streams would hold up the end of the process until they are cut off.
fn end_when_told(service: &Service) -> Result<(), Box<dyn Error>> {
    let (service, told_to_stop) = (service.clone(), process::told_to_stop()?);
    #[expect(clippy::disallowed_methods, reason = "an example has no module for tasks")]
    tokio::spawn(async move {
        told_to_stop.await;
        service.end();
    });
    Ok(())
}
