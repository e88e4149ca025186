//! The environment → [`Config`], or a sentence that names the offending value.
//!
//! | variable | meaning |
//! |---|---|
//! | `PORT` | default 3000; 0 picks a free one |
//! | `DATA_DIR` | where agents, hashed secrets, the signing key, counters and revocations are kept, by one process at a time; unset: in memory |
//! | `ADMIN_CLIENT_ID` | an agent that may do everything, by a name of printable ASCII characters, made where there is none of that name; unset: one is made up where there is no agent at all |
//! | `ADMIN_CLIENT_SECRET` | its secret when it is made; unset: made up |
//! | `MONTHLY_LIMIT` | how many tokens an agent gets in a calendar month (UTC), default 10000 |
//!
//! An empty variable counts as unset. An agent that is there already keeps its secret, whatever the variables say: what was
//! rotated out must not come back with a restart. Where they say another, this is logged.

use std::{
    env::{self, VarError},
    path::PathBuf,
};

use super::secret::Secret;

/// Everything that is configured.
pub(crate) struct Config {
    pub(crate) port: u16,
    /// `None`: in memory.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) admin_client_id: Option<String>,
    pub(crate) admin_client_secret: Option<Secret>,
    pub(crate) monthly_limit: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { port: 3000, data_dir: None, admin_client_id: None, admin_client_secret: None, monthly_limit: 10_000 }
    }
}

impl Config {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let mut config = Self::default();
        if let Some(text) = environment("PORT")? {
            config.port = text.parse().map_err(|_| format!("PORT={text:?} is not a port"))?;
        }
        if let Some(text) = environment("MONTHLY_LIMIT")? {
            let limit = text.parse().ok().filter(|limit| *limit > 0);
            config.monthly_limit = limit.ok_or_else(|| format!("MONTHLY_LIMIT={text:?} is not a number above zero"))?;
        }
        config.data_dir = environment("DATA_DIR")?.map(PathBuf::from);
        config.admin_client_id = environment("ADMIN_CLIENT_ID")?;
        // RFC 6749 appendix A.1. It is printed on a line that others read.
        let is_printable = |id: &&String| id.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if let Some(id) = config.admin_client_id.as_ref().filter(|id| !is_printable(id)) {
            return Err(format!("ADMIN_CLIENT_ID={id:?} has to be of printable ASCII characters"));
        }
        config.admin_client_secret = environment("ADMIN_CLIENT_SECRET")?.map(Secret::chosen);
        if config.admin_client_secret.is_some() && config.admin_client_id.is_none() {
            return Err("ADMIN_CLIENT_SECRET is a secret of nobody: ADMIN_CLIENT_ID is not set".to_owned());
        }
        Ok(config)
    }
}

fn environment(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8")),
    }
}
