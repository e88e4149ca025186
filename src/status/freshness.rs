//! How old the issuer's word on a token may be, and what counts while it cannot be had: said per route.

use std::{str::FromStr, time::Duration};

/// How old the issuer's word on a token may be, per route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// As old as the status source's configuration lets it be. The default.
    #[default]
    Cached,
    /// At most this old.
    MaxAge(Duration),
    /// Asked for this very request.
    EveryRequest,
}

/// What to do while the issuer cannot be asked, per route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnOutage {
    /// Answer 503. The default.
    #[default]
    Deny,
    /// Accept a locally valid token whose last good answer is younger than this.
    AcceptStale(Duration),
}

impl FromStr for OnOutage {
    type Err = InvalidOnOutage;

    /// `deny`, or `accept-stale:SECONDS`.
    fn from_str(text: &str) -> Result<Self, InvalidOnOutage> {
        let seconds = text.strip_prefix("accept-stale:").and_then(|seconds| seconds.parse().ok());
        match (text, seconds) {
            ("deny", _) => Ok(Self::Deny),
            (_, Some(seconds)) => Ok(Self::AcceptStale(Duration::from_secs(seconds))),
            _ => Err(InvalidOnOutage(text.to_owned())),
        }
    }
}

/// A text that is no outage policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither \"deny\" nor \"accept-stale:SECONDS\"")]
pub struct InvalidOnOutage(String);
