//! The environment, and the files it names → [`Config`], or a sentence that names the offending value.
//!
//! | variable | meaning |
//! |---|---|
//! | `PORT` | default 8080; 0 picks a free one |
//! | `ISSUER` | tokens' `iss`; its keys by discovery, unless one of the next two says where they are |
//! | `JWKS_URL`, `JWKS_FILE` | keys without discovery; without `ISSUER` only with `ALLOW_ANY_ISSUER=1` |
//! | `AUDIENCE` | tokens' `aud`; to be left out only with `ALLOW_ANY_AUDIENCE=1` |
//! | `ALGORITHMS` | the only ones allowed, comma-separated; default: the asymmetric ones |
//! | `TOKEN_TYPE` | `at+jwt` (RFC 9068, strict), or `any`, the default |
//! | `LEEWAY` | how many seconds clocks may disagree, default 30 |
//! | `INTROSPECTION_URL` | where tokens are asked about (RFC 7662), or `discover`; opaque tokens are then accepted too |
//! | `CLIENT_ID`, `CLIENT_SECRET` | who asks, by HTTP Basic |
//! | `TOKEN_URL`, `INTROSPECTION_SCOPE` | where these fetch a Bearer to ask with instead, and its scope |
//! | `INTROSPECT` | `all`, the default; or `opaque`, for servers that say nothing about their JWTs |
//! | `STATUS_MAX_AGE` | for how many seconds a good answer counts, default 30; 0: for one request |
//! | `ON_OUTAGE` | `deny`, the default, or `accept-stale:SECONDS` |
//! | `ISSUERS_FILE` | several issuers: a JSON array of objects with the names above in lower case; of what an entry leaves out, `AUDIENCE` to `LEEWAY` and the last three count as in the environment. With several to ask, no opaque tokens |
//! | `ROUTES_FILE` | a JSON file in place of the built-in route table |
//!
//! An empty variable counts as unset.

mod status;

use std::{
    env::{self, VarError},
    fs,
    time::Duration,
};

use portcullis::{Algorithm, Issuer, KeySource, RouteTable, TokenType};
use serde_json::{Map, Value};

/// Which issuer it is. With several, only the entries of `ISSUERS_FILE` can say so.
const IDENTITY: [&str; 4] = ["ISSUER", "JWKS_URL", "JWKS_FILE", "ALLOW_ANY_ISSUER"];

/// The rules for its tokens. With several issuers, the environment speaks for the entries that are silent.
const RULES: [&str; 5] = ["AUDIENCE", "ALLOW_ANY_AUDIENCE", "ALGORITHMS", "TOKEN_TYPE", "LEEWAY"];

/// Everything that is configured.
pub(crate) struct Config {
    pub(crate) port: u16,
    pub(crate) issuers: Vec<Issuer>,
    /// Whether each of them is asked about each of its tokens.
    pub(crate) asks_about_all: bool,
    /// `None`: the built-in table.
    pub(crate) routes: Option<RouteTable>,
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let mut warnings = Vec::new();
        let port = match environment("PORT")? {
            None => 8080,
            Some(text) => text.parse().map_err(|_| format!("PORT={text:?} is not a port"))?,
        };
        let issuers = match environment("ISSUERS_FILE")? {
            Some(path) => issuers(&path, &mut warnings)?,
            None => vec![issuer(&Settings { entry: None, is_only_one_asked: true }, &mut warnings)?],
        };
        let asks_about_all = issuers.iter().all(|(_, asks_about_all)| *asks_about_all);
        let issuers = issuers.into_iter().map(|(issuer, _)| issuer).collect();
        let routes = match environment("ROUTES_FILE")? {
            Some(path) => {
                let json = read("ROUTES_FILE", &path)?;
                Some(RouteTable::from_json(&json).map_err(|error| format!("ROUTES_FILE={path:?}: {error}"))?)
            }
            None => {
                if !asks_about_all {
                    warnings.push(
                        "POST /agents is to ask the issuer on every request whether the token still stands, and nobody \
                         can be asked about some or all tokens: a revoked one passes until it expires"
                            .to_owned(),
                    );
                }
                None
            }
        };
        Ok(Self { port, issuers, asks_about_all, routes, warnings })
    }
}

/// Where the words about one issuer are: in an entry of a file, or in the environment alone.
struct Settings<'f> {
    entry: Option<&'f Map<String, Value>>,
    /// Whether no other issuer is asked about tokens.
    is_only_one_asked: bool,
}

impl Settings<'_> {
    /// The name of a setting as the user writes it here.
    fn name(&self, variable: &str) -> String {
        if self.entry.is_some() { variable.to_lowercase() } else { variable.to_owned() }
    }

    fn get(&self, variable: &str) -> Result<Option<String>, String> {
        let is_said = self.entry.is_none_or(|entry| entry.contains_key(&self.name(variable)));
        if !is_said && is_rule(variable) { environment(variable) } else { self.own(variable) }
    }

    /// What is said of this issuer, and not of all that say nothing.
    fn own(&self, variable: &str) -> Result<Option<String>, String> {
        let Some(entry) = self.entry else { return environment(variable) };
        let name = self.name(variable);
        let Some(value) = entry.get(&name) else { return Ok(None) };
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(if *flag { "1" } else { "0" }.to_owned()),
            Value::Array(names) if variable == "ALGORITHMS" => {
                let names: Option<Vec<_>> = names.iter().map(Value::as_str).collect();
                Some(names.ok_or_else(|| format!("{name}: {value} is not an array of names"))?.join(","))
            }
            _ => return Err(format!("{name} is not a text, a number or a word of yes or no")),
        };
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Whether a check was switched off, which takes the exact word.
    fn allows(&self, variable: &str) -> Result<bool, String> {
        match self.get(variable)?.as_deref() {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(other) => Err(self.wrong(variable, other, "is neither 1 nor 0")),
        }
    }

    fn wrong(&self, variable: &str, value: &str, what: &str) -> String {
        format!("{}={value:?} {what}", self.name(variable))
    }
}

/// One issuer and the rules for its tokens; and whether it is asked about each of them.
fn issuer(of: &Settings<'_>, warnings: &mut Vec<String>) -> Result<(Issuer, bool), String> {
    let identifier = of.get("ISSUER")?;
    let keys = match (of.get("JWKS_URL")?, of.get("JWKS_FILE")?) {
        (Some(url), Some(file)) => {
            let (url, file) = (of.wrong("JWKS_URL", &url, "and"), of.wrong("JWKS_FILE", &file, "exclude each other"));
            return Err(format!("{url} {file}"));
        }
        (Some(url), None) => Some(KeySource::url(url)),
        (None, Some(path)) => Some(KeySource::file(path)),
        (None, None) => None,
    };
    let allows_any_issuer = of.allows("ALLOW_ANY_ISSUER")?;
    let issuer = match (&identifier, keys) {
        (Some(identifier), None) => Issuer::discover(identifier),
        (Some(identifier), Some(keys)) => Issuer::with_keys(identifier, keys),
        (None, Some(keys)) if allows_any_issuer => {
            warnings.push("no ISSUER: whatever these keys signed is accepted, whoever issued it".to_owned());
            Issuer::without_identifier(keys)
        }
        (None, _) => {
            let (name, allow) = (of.name("ISSUER"), of.name("ALLOW_ANY_ISSUER"));
            return Err(format!("{name} is not set; to accept any, name the keys and set {allow} to 1"));
        }
    };
    let mut issuer = match of.get("AUDIENCE")? {
        Some(audience) => issuer.audience(&audience),
        None if of.allows("ALLOW_ANY_AUDIENCE")? => {
            let whose = identifier.as_deref().unwrap_or("any issuer");
            warnings
                .push(format!("no AUDIENCE for {whose}: a token that was sent to another service can be used here"));
            issuer.dangerous_any_audience()
        }
        None => {
            let (name, allow) = (of.name("AUDIENCE"), of.name("ALLOW_ANY_AUDIENCE"));
            return Err(format!("{name} is not set; to accept tokens meant for any, set {allow} to 1"));
        }
    };
    if let Some(names) = of.get("ALGORITHMS")? {
        let algorithms: Result<Vec<Algorithm>, _> = names.split(',').map(|name| name.trim().parse()).collect();
        issuer =
            issuer.algorithms(algorithms.map_err(|error| of.wrong("ALGORITHMS", &names, &format!("has an {error}")))?);
    }
    issuer = match of.get("TOKEN_TYPE")?.as_deref() {
        None | Some("any") => issuer.token_type(TokenType::Any),
        Some("at+jwt") => issuer.token_type(TokenType::AccessTokenJwt),
        Some(other) => return Err(of.wrong("TOKEN_TYPE", other, "is neither \"at+jwt\" nor \"any\"")),
    };
    if let Some(text) = of.get("LEEWAY")? {
        let seconds = text.parse().map_err(|_| of.wrong("LEEWAY", &text, "is not a number of seconds"))?;
        issuer = issuer.leeway(Duration::from_secs(seconds));
    }
    status::asked(issuer, of)
}

/// The entries of `ISSUERS_FILE`.
fn issuers(path: &str, warnings: &mut Vec<String>) -> Result<Vec<(Issuer, bool)>, String> {
    let blame = |what: &dyn std::fmt::Display| format!("ISSUERS_FILE={path:?}: {what}");
    for variable in IDENTITY.into_iter().chain(status::IDENTITY) {
        if let Some(value) = environment(variable)? {
            let value = if variable == "CLIENT_SECRET" { String::new() } else { format!("={value:?}") };
            return Err(blame(&format_args!("{variable}{value} belongs into its entries")));
        }
    }
    let entries: Vec<Map<String, Value>> =
        serde_json::from_str(&read("ISSUERS_FILE", path)?).map_err(|error| blame(&error))?;
    let asked = entries.iter().filter(|entry| is_said(entry.get("introspection_url"))).count();
    for variable in status::RULES {
        if asked == 0 && environment(variable)?.is_some() {
            return Err(blame(&format_args!("{variable} is set, and no entry has an \"introspection_url\"")));
        }
    }
    if asked > 1 {
        warnings
            .push("opaque tokens are refused: which of several issuers to ask about them could not be told".to_owned());
    }
    let read_entry = |(position, entry): (usize, &Map<String, Value>)| {
        let name = entry.get("issuer").map(Value::to_string).unwrap_or_default();
        let blame = |what: &dyn std::fmt::Display| blame(&format_args!("[{position}] {name}: {what}"));
        for name in entry.keys() {
            let is = |variable: &&str| variable.to_lowercase() == *name;
            if !IDENTITY.iter().chain(&status::IDENTITY).any(is) && !RULES.iter().chain(&status::RULES).any(is) {
                return Err(blame(&format_args!("{name:?} is not a setting of an issuer")));
            }
        }
        let settings = Settings { entry: Some(entry), is_only_one_asked: asked == 1 };
        issuer(&settings, warnings).map_err(|what| blame(&what))
    };
    entries.iter().enumerate().map(read_entry).collect()
}

/// Whether a setting of an entry is there, and not as if it were not.
fn is_said(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_null() && value != "")
}

/// Whether entries that say nothing of it follow the environment.
fn is_rule(variable: &str) -> bool {
    RULES.contains(&variable) || status::RULES.contains(&variable)
}

fn environment(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        // Not quoted: it may be a secret.
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8")),
    }
}

fn read(variable: &str, path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{variable}={path:?} cannot be read: {error}"))
}
