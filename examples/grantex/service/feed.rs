//! What was taken back, in order: appended by the book, read by whoever asks from where they left off.

use std::collections::BTreeMap;

use portcullis::clock::UnixTime;
use serde::Serialize;
use tokio::sync::watch;

use super::time::iso;

/// What happened to a grant or a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Revoked,
    Suspended,
    Resumed,
    TokenRevoked,
}

/// One entry, as it goes over the wire. In a snapshot `seq` is 0.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) action: Action,
    pub(crate) grant_id: Option<String>,
    pub(crate) jti: Option<String>,
    pub(crate) expires_at: String,
    pub(crate) at: String,
}

impl Entry {
    pub(crate) fn new(action: Action, grant: &str, jti: Option<&str>, expires_at: UnixTime, at: UnixTime) -> Self {
        let (grant_id, jti) = (Some(grant.to_owned()), jti.map(str::to_owned));
        Self { seq: 0, action, grant_id, jti, expires_at: iso(expires_at), at: iso(at) }
    }
}

/// The log, as long as what it speaks of could still be used.
pub(crate) struct Feed {
    entries: BTreeMap<u64, (Entry, UnixTime)>,
    head: watch::Sender<u64>,
}

impl Feed {
    /// An empty log. It counts from the time: what was numbered before a restart is behind whatever comes after.
    pub(crate) fn new(now: UnixTime) -> Self {
        Self { entries: BTreeMap::new(), head: watch::Sender::new(now.as_secs().saturating_mul(1000)) }
    }

    /// The number of the last entry.
    pub(crate) fn head(&self) -> u64 {
        *self.head.borrow()
    }

    /// Tells when there is more.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Entries after `since`, at most so many.
    pub(crate) fn since(&self, since: u64, limit: usize) -> Vec<Entry> {
        let newer = self.entries.range(since.saturating_add(1)..);
        newer.take(limit).map(|(_, (entry, _))| entry.clone()).collect()
    }

    /// Adds an entry about something that ends by itself at `until`, and wakes whoever follows.
    pub(crate) fn append(&mut self, mut entry: Entry, until: UnixTime) {
        entry.seq = self.head() + 1;
        let seq = entry.seq;
        self.entries.insert(seq, (entry, until));
        self.head.send_replace(seq);
    }

    /// Forgets what has ended by itself.
    pub(crate) fn prune(&mut self, now: UnixTime) {
        self.entries.retain(|_, (_, until)| *until > now);
    }
}
