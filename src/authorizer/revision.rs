//! The revision of the log that a request demands → whether it is known here, and the wait until it is.

use std::{ops::RangeInclusive, time::Duration};

use http::{HeaderMap, HeaderName};

use super::Authorizer;
use crate::status::{Cursor, DrivenFeed, RevisionError};

/// How long a request waits unless configured otherwise.
pub(super) const BUDGET: Duration = Duration::from_millis(100);

/// How long one may.
pub(super) const BUDGETS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(10);

/// What the headers of a request demand.
pub(super) fn demanded(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Cursor>, RevisionError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(RevisionError::Repeated);
    }
    let revision = value.to_str().ok().and_then(|text| text.parse().ok());
    revision.map(Some).ok_or(RevisionError::Malformed)
}

impl Authorizer {
    /// The log that revisions are of; nothing where there is none, or more than one.
    pub(super) fn only_feed(&self) -> Option<&DrivenFeed> {
        let mut feeds = self.feeds();
        feeds.next().filter(|_| feeds.next().is_none())
    }

    /// Whether everything is known here that the log says up to there. To be asked before the index is.
    pub(super) fn has_applied(&self, revision: Cursor) -> bool {
        self.only_feed().is_some_and(|feed| feed.has_applied(revision))
    }

    /// Waits until it is, as long as a request may.
    pub(super) async fn await_revision(&self, revision: Cursor) {
        let Some(feed) = self.only_feed() else { return };
        tokio::select! {
            biased;
            () = feed.applied(revision) => {}
            () = self.inner.clock.sleep(self.inner.revision_budget) => {}
        }
    }
}
