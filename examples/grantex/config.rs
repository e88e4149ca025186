//! The environment → [`Config`], or a sentence that names the offending variable.
//!
//! | variable | meaning |
//! |---|---|
//! | `PORT` | default 3001; 0 picks a free one |
//! | `API_KEY` | the developer's sandbox key, 16 to 512 characters without blanks; default `sandbox-api-key-local` |
//! | `TOKEN_GENERATION` | `legacy`, or `0.6`, the default |
//!
//! An empty variable counts as unset.

use std::env::{self, VarError};

use super::service::{ApiKey, Generation};

/// Everything that is configured.
pub(crate) struct Config {
    pub(crate) port: u16,
    pub(crate) api_key: ApiKey,
    pub(crate) generation: Generation,
}

impl Config {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let port = match environment("PORT")? {
            None => 3001,
            Some(text) => text.parse().map_err(|_| format!("PORT={text:?} is not a port"))?,
        };
        let api_key = environment("API_KEY")?.unwrap_or_else(|| "sandbox-api-key-local".to_owned());
        let api_key = ApiKey::new(api_key).ok_or("API_KEY has to be 16 to 512 characters without blanks")?;
        let generation = match environment("TOKEN_GENERATION")?.as_deref() {
            None | Some("0.6") => Generation::Current,
            Some("legacy") => Generation::Legacy,
            Some(text) => return Err(format!("TOKEN_GENERATION={text:?} is neither legacy nor 0.6")),
        };
        Ok(Self { port, api_key, generation })
    }
}

fn environment(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not Unicode")),
    }
}
