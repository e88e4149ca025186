//! Whether requests can be judged: the last known state, asked of memory.

use std::time::Duration;

use serde::Serialize;

use super::{Authorizer, NotReady, trusted::TrustedIssuer};
use crate::status::{DrivenFeed, FeedState, SourceState};

/// What a readiness probe wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether the tokens of every issuer can be judged: its keys are there, its status source is not left
    /// alone, and every revocation feed is heard.
    pub ready: bool,
    /// Each issuer by itself.
    pub issuers: Vec<IssuerReadiness>,
    /// The revocation feeds that speak of tokens of whatever issuer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revocation_feeds: Vec<FeedReadiness>,
}

/// One revocation feed's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FeedReadiness {
    /// How it calls itself.
    pub feed: String,
    /// Whether it is heard.
    pub state: FeedState,
    /// How old what it said is, in milliseconds; none where it has not said anything.
    pub staleness_ms: Option<u64>,
    /// What is wrong with it, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
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
    /// What it publishes about its tokens, where that is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_feed: Option<FeedReadiness>,
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
    /// The last known state; asks nobody. But feeds that nobody follows any more, since the runtime that did is gone, are
    /// followed again: who is not ready gets no requests that would see to it.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.tend_feeds();
        let now = self.now().monotonic();
        let issuers: Vec<_> = self.inner.issuers.iter().map(|issuer| readiness_of(issuer, now)).collect();
        let is_ready = |issuer: &IssuerReadiness| {
            issuer.keys != KeysReadiness::Missing && issuer.status != Some(StatusReadiness::LeftAlone)
        };
        let revocation_feeds: Vec<_> = self.inner.feeds.iter().map(|feed| readiness_of_feed(feed, now)).collect();
        let mut feeds = issuers.iter().filter_map(|issuer| issuer.revocation_feed.as_ref()).chain(&revocation_feeds);
        let ready = issuers.iter().all(is_ready) && feeds.all(|feed| feed.state == FeedState::Synced);
        Readiness { ready, issuers, revocation_feeds }
    }

    /// Waits until every issuer's keys are there and every revocation feed is heard, for at most `timeout`.
    ///
    /// # Errors
    /// Names what is missing. The authorizer goes on trying.
    pub async fn ready(&self, timeout: Duration) -> Result<(), NotReady> {
        let all = async {
            for issuer in self.inner.issuers.iter() {
                issuer.keys.loaded(&self.inner.clock).await;
                if let Some(feed) = issuer.status.feed() {
                    feed.synced().await;
                }
            }
            for feed in &self.inner.feeds {
                feed.synced().await;
            }
        };
        tokio::select! {
            biased;
            () = all => Ok(()),
            () = self.inner.clock.sleep(timeout) => Err(NotReady { missing: self.missing(), waited: timeout }),
        }
    }

    /// What is not there yet, and why.
    fn missing(&self) -> Vec<String> {
        let Readiness { issuers, revocation_feeds, .. } = self.readiness();
        let because = |trouble: Option<&str>| trouble.unwrap_or("no answer yet").to_owned();
        let keys = |issuer: &IssuerReadiness| {
            let name = issuer.issuer.as_deref().unwrap_or("(no identifier)");
            format!("no keys from {name} ({})", because(issuer.trouble.as_deref()))
        };
        let feed = |feed: &FeedReadiness| {
            format!("nothing heard of the revocation feed {} ({})", feed.feed, because(feed.trouble.as_deref()))
        };
        let feeds = issuers.iter().filter_map(|issuer| issuer.revocation_feed.as_ref()).chain(&revocation_feeds);
        let without_keys = issuers.iter().filter(|issuer| issuer.keys == KeysReadiness::Missing);
        without_keys.map(keys).chain(feeds.filter(|feed| feed.state == FeedState::Never).map(feed)).collect()
    }
}

fn readiness_of(issuer: &TrustedIssuer, now: Duration) -> IssuerReadiness {
    let (status, status_trouble) = issuer.status.source().map(|source| source.state(now)).unzip();
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
        revocation_feed: issuer.status.feed().map(|feed| readiness_of_feed(feed, now)),
        status_trouble: status_trouble.flatten().map(|trouble| trouble.to_string()),
    }
}

fn readiness_of_feed(feed: &DrivenFeed, now: Duration) -> FeedReadiness {
    FeedReadiness {
        feed: feed.label().to_owned(),
        state: feed.state(now),
        staleness_ms: feed.staleness(now).map(|staleness| u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX)),
        trouble: feed.trouble(),
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
