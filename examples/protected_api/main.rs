//! A protected API for any issuer, configured by environment variables.
//!
//! ```text
//! ISSUER=https://idp.example.com AUDIENCE=https://api.example.com cargo run --example protected_api
//! curl -i http://127.0.0.1:8080/whoami -H "Authorization: Bearer $TOKEN"
//! ```
//!
//! `config` has every variable, `routes` what each route needs and what answers it.

mod config;
#[path = "../shared/process.rs"]
mod process;
mod routes;

use std::{error::Error, process::ExitCode, time::Duration};

use config::Config;
use portcullis::Authorizer;
use process::Log;

/// A service that starts together with its issuer should not begin with a 503; one whose issuer is down must begin.
const WAIT_FOR_KEYS: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    process::run(run).await
}

async fn run(log: Log) -> Result<(), Box<dyn Error>> {
    let config = Config::from_environment()?;
    for warning in &config.warnings {
        log.say(&format!("warning: {warning}"));
    }
    let is_built_in = config.routes.is_none();
    let table = config.routes.map_or_else(|| routes::built_in(config.asks_about_all), Ok)?;
    log.say(table.to_string().trim_end());

    let authorizer =
        config.issuers.into_iter().fold(Authorizer::builder(), portcullis::AuthorizerBuilder::issuer).routes(table);
    let authorizer = authorizer.build()?;
    let router = if is_built_in { routes::by_pattern(&authorizer) } else { routes::by_raw_path(&authorizer) };

    process::serve(config.port, |_| async move {
        if let Err(missing) = authorizer.ready(WAIT_FOR_KEYS).await {
            log.say(&format!("warning: {missing}; answering 503 until they are there"));
        }
        Ok(router)
    })
    .await
}
