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
//! | `ISSUERS_FILE` | several issuers: a JSON array of objects with the names above in lower case; what an entry leaves out of `AUDIENCE` and what follows it counts as in the environment |
//! | `ROUTES_FILE` | a JSON file in place of the built-in route table |
//!
//! An empty variable counts as unset.

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

/// What will describe how the issuer is asked about a token. Ignored, they would promise what is not kept.
const OF_INTROSPECTION: [&str; 7] = [
    "INTROSPECTION_URL",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "TOKEN_URL",
    "INTROSPECTION_SCOPE",
    "STATUS_MAX_AGE",
    "ON_OUTAGE",
];

/// Everything that is configured.
pub(crate) struct Config {
    pub(crate) port: u16,
    pub(crate) issuers: Vec<Issuer>,
    /// `None`: the built-in table.
    pub(crate) routes: Option<RouteTable>,
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let mut warnings = Vec::new();
        for name in OF_INTROSPECTION {
            if environment(name)?.is_some() {
                return Err(format!("{name} is set, and introspection is not supported by this version yet"));
            }
        }
        let port = match environment("PORT")? {
            None => 8080,
            Some(text) => text.parse().map_err(|_| format!("PORT={text:?} is not a port"))?,
        };
        let issuers = match environment("ISSUERS_FILE")? {
            Some(path) => issuers(&path, &mut warnings)?,
            None => vec![issuer(&Settings { entry: None }, &mut warnings)?],
        };
        let routes = match environment("ROUTES_FILE")? {
            Some(path) => {
                let json = read("ROUTES_FILE", &path)?;
                Some(RouteTable::from_json(&json).map_err(|error| format!("ROUTES_FILE={path:?}: {error}"))?)
            }
            None => {
                warnings.push(
                    "POST /agents is to ask the issuer on every request whether the token still stands, and no status \
                     source is configured: a revoked token passes until it expires"
                        .to_owned(),
                );
                None
            }
        };
        Ok(Self { port, issuers, routes, warnings })
    }
}

/// Where the words about one issuer are: in an entry of a file, or in the environment alone.
struct Settings<'f> {
    entry: Option<&'f Map<String, Value>>,
}

impl Settings<'_> {
    /// The name of a setting as the user writes it here.
    fn name(&self, variable: &str) -> String {
        if self.entry.is_some() { variable.to_lowercase() } else { variable.to_owned() }
    }

    fn get(&self, variable: &str) -> Result<Option<String>, String> {
        let Some(entry) = self.entry else { return environment(variable) };
        let name = self.name(variable);
        let Some(value) = entry.get(&name) else {
            return if RULES.contains(&variable) { environment(variable) } else { Ok(None) };
        };
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(if *flag { "1" } else { "0" }.to_owned()),
            Value::Array(names) if variable == "ALGORITHMS" => {
                let names: Option<Vec<_>> = names.iter().map(Value::as_str).collect();
                Some(names.ok_or_else(|| format!("{name}: {value} is not an array of names"))?.join(","))
            }
            _ => return Err(format!("{name}: {value} is not a text, a number or a word of yes or no")),
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

/// One issuer and the rules for its tokens.
fn issuer(of: &Settings<'_>, warnings: &mut Vec<String>) -> Result<Issuer, String> {
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
    Ok(issuer)
}

/// The entries of `ISSUERS_FILE`.
fn issuers(path: &str, warnings: &mut Vec<String>) -> Result<Vec<Issuer>, String> {
    let blame = |what: &dyn std::fmt::Display| format!("ISSUERS_FILE={path:?}: {what}");
    for variable in IDENTITY {
        if let Some(value) = environment(variable)? {
            return Err(blame(&format_args!("{variable}={value:?} belongs into its entries")));
        }
    }
    let entries: Vec<Map<String, Value>> =
        serde_json::from_str(&read("ISSUERS_FILE", path)?).map_err(|error| blame(&error))?;
    let read_entry = |(position, entry): (usize, &Map<String, Value>)| {
        let name = entry.get("issuer").map(Value::to_string).unwrap_or_default();
        let blame = |what: &dyn std::fmt::Display| blame(&format_args!("[{position}] {name}: {what}"));
        for name in entry.keys() {
            let is = |variable: &&str| variable.to_lowercase() == *name;
            if OF_INTROSPECTION.iter().any(is) {
                let what = format_args!("{name:?} is there, and introspection is not supported by this version yet");
                return Err(blame(&what));
            }
            if !IDENTITY.iter().chain(&RULES).any(is) {
                return Err(blame(&format_args!("{name:?} is not a setting of an issuer")));
            }
        }
        issuer(&Settings { entry: Some(entry) }, warnings).map_err(|what| blame(&what))
    };
    entries.iter().enumerate().map(read_entry).collect()
}

fn environment(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(text)) => Err(format!("{name}={text:?} is not UTF-8")),
    }
}

fn read(variable: &str, path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{variable}={path:?} cannot be read: {error}"))
}
