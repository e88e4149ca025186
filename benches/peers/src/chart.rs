//! The file that results are kept in, and that a plot is drawn from.
//!
//! A JSON object: `title`, `axis` (what is measured, and its unit), `scale` (`log` or `linear`), `about` (lines of text:
//! date, machine, command), and `rows`. A row has `name`, `kind` (`ours`, `floor` or `peer`, by which it is coloured),
//! `value`, and may have `low` and `high` (a spread, drawn as a line). A row without `value` says in `note` why. Whatever
//! else a row has is drawn by nobody.

use std::{fs, path::Path, process::Command};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fixture::Failure;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) axis: String,
    pub(crate) scale: Scale,
    #[serde(default)]
    pub(crate) about: Vec<String>,
    pub(crate) rows: Vec<Bar>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scale {
    Linear,
    Log,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) low: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) high: Option<f64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
    #[serde(flatten)]
    pub(crate) more: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Ours,
    Floor,
    Peer,
}

impl Chart {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(&rounded(serde_json::to_value(self)?))?;
        text.push('\n');
        Ok(fs::write(path, text)?)
    }
}

/// To four digits: what comes after is noise.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().and_then(|number| format!("{number:.3e}").parse::<f64>().ok()).into()
        }
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, rounded(value))).collect(),
        other => other,
    }
}

/// When and where, for whoever reads the figures later.
pub(crate) fn about(command: &str) -> Vec<String> {
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        format!(
            "{}, {} ({cores} cores), {}",
            said("date", "+%F").unwrap_or_default(),
            processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            said("rustc", "--version").unwrap_or_default()
        ),
        command.to_owned(),
    ]
}

/// The newest version of a package that this one was built with.
pub(crate) fn version(package: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let versions = lock.split("[[package]]").filter_map(|entry| {
        let value = |key: &str| {
            let line = entry.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim_matches(['=', ' ', '"']))
        };
        (value("name ") == Some(package)).then(|| value("version "))?
    });
    versions.last().unwrap_or("?").to_owned()
}
