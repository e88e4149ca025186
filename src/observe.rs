//! Every event and counter of this crate, in one list. The only module that names tracing or metrics.
//!
//! Labels are kinds and configured names; never a token, a secret or a claim.

use std::{error::Error, time::Duration};

/// The counters and gauges, for whoever describes them to a recorder.
pub mod names {
    /// Decisions, by `outcome`: `permit`, or the kind of the rejection.
    pub const DECISIONS: &str = "portcullis_decisions_total";
    /// Attempts to fetch keys, by `issuer` and `outcome`: `changed`, `failed`.
    pub const KEY_FETCHES: &str = "portcullis_key_fetches_total";
    /// Questions to status sources, by `issuer` and `outcome`: `answered`, `failed`.
    pub const STATUS_QUESTIONS: &str = "portcullis_status_questions_total";
    /// Requests for a token of our own, by `from` (token endpoint or issuer) and `outcome`: `fetched`, `failed`; and
    /// `not_stored`, where a refresh token came along that its store did not take.
    pub const TOKEN_REQUESTS: &str = "portcullis_token_requests_total";
    /// What happened while revocation feeds were followed, by `feed` and `outcome`: `synced` (a snapshot was applied),
    /// `ignored` (an event about tokens that are not the feed's), or the kind of trouble: `gap`, `reset`, `late`,
    /// `clock`, `silent`, `unavailable`, `refused`, `malformed`, `too_large`, `panicked`.
    pub const FEEDS: &str = "portcullis_revocation_feed_total";
    /// How old what is known of a revocation feed is, in seconds, by `feed`: a gauge, set when something is heard and
    /// with every attempt.
    pub const FEED_STALENESS: &str = "portcullis_revocation_feed_staleness_seconds";
    /// What came of sharing with other replicas, by `of` (the issuer, or where tokens of our own come from) and `outcome`:
    /// `found` (another replica was told), `asked` (nobody was), `unavailable` (the store failed or was late),
    /// `unreadable` (a record that was not sealed with our secret).
    pub const SHARED: &str = "portcullis_shared_total";
}

pub(crate) fn permitted() {
    #[cfg(feature = "metrics")]
    {
        // What the macro would make anew for every permitted request: 195 instructions of 4,070 (2026-11-22).
        use metrics::{Key, Label, Level, Metadata};
        static LABELS: [Label; 1] = [Label::from_static_parts("outcome", "permit")];
        static KEY: Key = Key::from_static_parts(names::DECISIONS, &LABELS);
        static METADATA: Metadata<'static> = Metadata::new("portcullis", Level::INFO, None);
        metrics::with_recorder(|recorder| recorder.register_counter(&KEY, &METADATA)).increment(1);
    }
}

pub(crate) fn rejected(kind: &'static str, reason: Option<&dyn Error>) {
    count_rejection(kind);
    #[cfg(feature = "tracing")]
    match reason {
        Some(reason) => tracing::debug!(target: "portcullis", kind, reason = %reason, "request refused"),
        None => tracing::debug!(target: "portcullis", kind, "request refused"),
    }
    #[cfg(not(feature = "tracing"))]
    let _ = reason;
}

pub(crate) fn keys_changed(issuer: &str, usable: usize, skipped: usize) {
    count_fetch(issuer, "changed");
    #[cfg(feature = "tracing")]
    tracing::info!(target: "portcullis", issuer, usable, skipped, "keys changed");
    #[cfg(not(feature = "tracing"))]
    let _ = (usable, skipped);
}

pub(crate) fn keys_unavailable(issuer: &str, trouble: &str) {
    count_fetch(issuer, "failed");
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "portcullis", issuer, trouble, "keys could not be fetched");
    #[cfg(not(feature = "tracing"))]
    let _ = trouble;
}

pub(crate) fn status_asked(issuer: &str, trouble: Option<&dyn Error>) {
    count_question(issuer, if trouble.is_none() { "answered" } else { "failed" });
    #[cfg(feature = "tracing")]
    if let Some(trouble) = trouble {
        tracing::warn!(target: "portcullis", issuer, trouble = %trouble, "no word on the status of a token");
    }
}

pub(crate) fn status_source_left_alone(issuer: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "portcullis", issuer, "the status source is left alone for a while");
    #[cfg(not(feature = "tracing"))]
    let _ = issuer;
}

pub(crate) fn status_source_is_back(issuer: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "portcullis", issuer, "the status source answers again");
    #[cfg(not(feature = "tracing"))]
    let _ = issuer;
}

#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nothing counts"))]
fn count_question(issuer: &str, outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::STATUS_QUESTIONS, "issuer" => issuer.to_owned(), "outcome" => outcome).increment(1);
}

pub(crate) fn token_fetched(from: &str) {
    count_token_request(from, "fetched");
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "portcullis", from, "token of our own fetched");
}

pub(crate) fn token_unavailable(from: &str, trouble: &str) {
    count_token_request(from, "failed");
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "portcullis", from, trouble, "token of our own could not be fetched");
    #[cfg(not(feature = "tracing"))]
    let _ = trouble;
}

#[cfg(feature = "outbound")]
pub(crate) fn refresh_token_not_stored(from: &str, trouble: &str) {
    count_token_request(from, "not_stored");
    #[cfg(feature = "tracing")]
    tracing::error!(target: "portcullis", from, trouble, "new refresh token not stored: a restart would lose it");
    #[cfg(not(feature = "tracing"))]
    let _ = trouble;
}

pub(crate) fn revocations_not_accepted(trouble: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "portcullis", trouble, "revocations were not taken in");
    #[cfg(not(feature = "tracing"))]
    let _ = trouble;
}

pub(crate) fn feed_synced(feed: &str, events: usize) {
    count_feed(feed, "synced");
    #[cfg(feature = "tracing")]
    tracing::info!(target: "portcullis", feed, events, "revocations synchronised");
    #[cfg(not(feature = "tracing"))]
    let _ = events;
}

pub(crate) fn feed_trouble(feed: &str, kind: &'static str, trouble: &str) {
    count_feed(feed, kind);
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "portcullis", feed, kind, trouble, "revocation feed interrupted");
    #[cfg(not(feature = "tracing"))]
    let _ = trouble;
}

/// Whose tokens it was about is nobody's business in a log.
pub(crate) fn feed_event_ignored(feed: &str) {
    count_feed(feed, "ignored");
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "portcullis", feed, "an event about tokens of others was ignored");
}

#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nothing measures"))]
pub(crate) fn feed_staleness(feed: &str, staleness: Duration) {
    #[cfg(feature = "metrics")]
    metrics::gauge!(names::FEED_STALENESS, "feed" => feed.to_owned()).set(staleness.as_secs_f64());
}

#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nothing counts"))]
pub(crate) fn shared(of: &str, outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::SHARED, "of" => of.to_owned(), "outcome" => outcome).increment(1);
}

#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nothing is written"))]
pub(crate) fn shared_store_unavailable(of: &str, trouble: &dyn Error) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "portcullis", of, trouble = %trouble, "nothing is shared with other replicas for now");
}

#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nothing is written"))]
pub(crate) fn shared_store_is_back(of: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "portcullis", of, "shared with other replicas again");
}

#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nothing is written"))]
pub(crate) fn shared_record_unreadable(of: &str) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: "portcullis", of, "a shared record was not sealed with our secret, or for another place");
}

#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nothing counts"))]
fn count_feed(feed: &str, outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::FEEDS, "feed" => feed.to_owned(), "outcome" => outcome).increment(1);
}

#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nothing counts"))]
fn count_rejection(kind: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::DECISIONS, "outcome" => kind).increment(1);
}

#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nothing counts"))]
fn count_fetch(issuer: &str, outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::KEY_FETCHES, "issuer" => issuer.to_owned(), "outcome" => outcome).increment(1);
}

#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nothing counts"))]
fn count_token_request(from: &str, outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::TOKEN_REQUESTS, "from" => from.to_owned(), "outcome" => outcome).increment(1);
}

/// An error and what is below it, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(below) = source {
        text.push_str(": ");
        text.push_str(&below.to_string());
        source = below.source();
    }
    text
}
