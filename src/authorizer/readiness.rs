//! Whether requests can be judged: the last known state, asked of memory.

use std::time::Duration;

use serde::Serialize;

use super::{Authorizer, NotReady, trusted::TrustedIssuer};
use crate::status::{SourceState, StatusLookup};

/// What a readiness probe wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether the tokens of every issuer can be judged: its keys are there, and its status source is not left alone.
    pub ready: bool,
    /// Each issuer by itself.
    pub issuers: Vec<IssuerReadiness>,
}

/// One issuer's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IssuerReadiness {
    /// Its identifier, where it has one.
    pub issuer: Option<String>,
    /// Its keys.
    pub keys: KeysReadiness,
    /// What the last attempt to fetch them found wrong, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Its status source, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusReadiness>,
    /// What the last question to its status source found wrong, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_trouble: Option<String>,
}

/// The state of an issuer's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeysReadiness {
    /// They are there.
    Loaded,
    /// They are there, and the last attempt to refresh them failed.
    Stale,
    /// There are none, or they are too old to be used.
    Missing,
    /// There are to be none: its status source is asked about each token.
    NotUsed,
}

/// The state of an issuer's status source, as far as it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StatusReadiness {
    /// It was not asked yet.
    Untried,
    /// It answered the last question.
    Answering,
    /// It did not answer the last question.
    Failing,
    /// It failed so often that nobody asks for a while, but for one who tries whether it is back.
    LeftAlone,
}

impl Authorizer {
    /// The last known state; asks nobody.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let now = self.now().monotonic();
        let issuers: Vec<_> = self.inner.issuers.iter().map(|issuer| readiness_of(issuer, now)).collect();
        let is_ready = |issuer: &IssuerReadiness| {
            issuer.keys != KeysReadiness::Missing && issuer.status != Some(StatusReadiness::LeftAlone)
        };
        Readiness { ready: issuers.iter().all(is_ready), issuers }
    }

    /// Waits until every issuer's keys are there, for at most `timeout`.
    ///
    /// # Errors
    /// Names the issuers whose keys are missing. The authorizer goes on trying.
    pub async fn ready(&self, timeout: Duration) -> Result<(), NotReady> {
        let all = async {
            for issuer in self.inner.issuers.iter() {
                issuer.keys.loaded(&self.inner.clock).await;
            }
        };
        tokio::select! {
            biased;
            () = all => Ok(()),
            () = self.inner.clock.sleep(timeout) => {
                let missing = self.readiness().issuers.into_iter().filter(|issuer| issuer.keys == KeysReadiness::Missing);
                let name = |issuer: IssuerReadiness| {
                    let name = issuer.issuer.unwrap_or_else(|| "(no identifier)".to_owned());
                    format!("{name} ({})", issuer.trouble.as_deref().unwrap_or("no answer yet"))
                };
                Err(NotReady { issuers: missing.map(name).collect(), waited: timeout })
            }
        }
    }
}

fn readiness_of(issuer: &TrustedIssuer, now: Duration) -> IssuerReadiness {
    let (status, status_trouble) = issuer.status.source().map(StatusLookup::state).unzip();
    IssuerReadiness {
        issuer: issuer.rules.issuer.as_deref().map(str::to_owned),
        keys: keys_readiness(issuer, now),
        trouble: issuer.keys.trouble().map(|trouble| trouble.to_string()),
        status: status.map(|state| match state {
            SourceState::Untried => StatusReadiness::Untried,
            SourceState::Answering => StatusReadiness::Answering,
            SourceState::Failing => StatusReadiness::Failing,
            SourceState::LeftAlone => StatusReadiness::LeftAlone,
        }),
        status_trouble: status_trouble.flatten().map(|trouble| trouble.to_string()),
    }
}

fn keys_readiness(issuer: &TrustedIssuer, now: Duration) -> KeysReadiness {
    if issuer.keys.is_absent() {
        return KeysReadiness::NotUsed;
    }
    match (issuer.keys.current(now).is_some(), issuer.keys.in_trouble()) {
        (true, false) => KeysReadiness::Loaded,
        (true, true) => KeysReadiness::Stale,
        (false, _) => KeysReadiness::Missing,
    }
}
