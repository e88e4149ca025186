//! [`VerifiedToken`] → [`ActiveToken`]: does the issuer still stand by it?
//!
//! With no status source configured, a locally verified token is an active one until it expires.

use std::{ops::Deref, str::FromStr, time::Duration};

use crate::token::VerifiedToken;

/// A verified token that its issuer has not withdrawn, as far as the route wants to know.
///
/// Only this module makes one.
#[derive(Clone, Debug)]
pub struct ActiveToken(VerifiedToken);

impl ActiveToken {
    /// No status source is configured: the signature and the claims are all there is to know. Nothing, where the route
    /// wants to know more; start-up refuses such routes, and requirements made up later end here.
    pub(crate) fn by_local_verification(token: VerifiedToken, freshness: Freshness) -> Option<Self> {
        (freshness == Freshness::Cached).then_some(Self(token))
    }
}

impl Deref for ActiveToken {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}

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
