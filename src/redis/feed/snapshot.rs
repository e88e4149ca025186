//! The state of a log, page by page → all that counts.
//!
//! The head is read first. What happens from then on may be in the pages or not; the tail tells it again. A revocation
//! that is told twice is one. A suspension that was lifted meanwhile may be missing, and one that came may be there: the
//! tail brings each of these targets to what the log says last, and of all others no event was told since the head, so
//! that they stood all the time as they were read.
//!
//! The head says how much there is of everything, so that what somebody deletes, or Redis evicts, is missed.

use std::collections::{HashMap, VecDeque};

use ::redis::{cmd, pipe};
use futures_util::stream;

use super::{
    reading::{Memory, head, lag},
    unavailable,
};
use crate::{
    redis::{RedisRevocations, keys, link::Link, record},
    status::{Cursor, FeedError, FeedSnapshot, Revocation, RevocationEvent},
};

/// About so many entries make a page.
const PAGE: usize = 4096;

/// No more buckets than this are read at once.
const MOST_BUCKETS: usize = 512;

/// The head, and then what counts, on a connection of its own.
pub(super) async fn snapshot(log: RedisRevocations) -> Result<FeedSnapshot, FeedError> {
    let settings = log.settings();
    let mut link = settings.reading.dial(log.redis().timeout()).await?;
    let asked = settings.clock.now().wall();
    let (members, replication, memory): ([Option<String>; 2], String, String) = link.run(&log.checks()).await?;
    Memory::new(&memory).check()?;
    head(&members)?;
    let lag = lag(&replication, settings.min_replicas)?;
    let Extent { cursor, slices } = Extent::ask(&log, &mut link).await?;
    let min_replicas = settings.min_replicas;
    let pages = Pages {
        log,
        link,
        issuers: record::Issuers::new(),
        slices,
        slice: None,
        buckets: VecDeque::new(),
        at_once: 16,
        suspended: Some(0),
    };
    let pages = stream::try_unfold(pages, |mut pages| async move { Ok(pages.next().await?.map(|page| (page, pages))) });
    let snapshot = FeedSnapshot::in_pages(Box::pin(pages), cursor);
    // A master that its replicas have left may have been replaced since.
    Ok(if min_replicas == 0 { snapshot } else { snapshot.as_of(asked.saturating_sub(lag)) })
}

/// Where the log ends, and how much there is.
struct Extent {
    cursor: Cursor,
    slices: VecDeque<Slice>,
}

/// Entries that are over at about the same time.
struct Slice {
    name: String,
    /// There are as many, or more since that was asked.
    least: u64,
}

impl Extent {
    /// All of it at one moment: between two looks at the head that show the same nothing was published. Not in a transaction,
    /// which Redis refuses when it has no memory left.
    async fn ask(log: &RedisRevocations, link: &mut Link) -> Result<Self, FeedError> {
        let key = |name| log.redis().key(name);
        let mut asking = pipe();
        asking.cmd("HGETALL").arg(key(keys::HEAD));
        asking.cmd("HLEN").arg(key(keys::ISSUERS)).cmd("HLEN").arg(key(keys::SUSPENDED));
        asking.cmd("HMGET").arg(key(keys::HEAD)).arg("head");
        let (head, issuers, suspended) = loop {
            let (head, issuers, suspended, (end,)): (HashMap<String, String>, u64, u64, (Option<String>,)) =
                link.run(&asking).await?;
            if head.get("head") == end.as_ref() {
                break (head, issuers, suspended);
            }
        };
        let number = |name| head.get(name).map_or(Some(0), |number: &String| number.parse().ok());
        let cursor =
            head.get("head").and_then(|head| head.parse().ok()).ok_or(FeedError::Malformed("the head of the log"))?;
        if (number("issuers"), number("suspended")) != (Some(issuers), Some(suspended)) {
            return Err(incomplete());
        }
        let slices = head.iter().filter_map(|(name, least)| Some((name.strip_prefix("s:")?, least)));
        let slices: Option<_> =
            slices.map(|(name, least)| Some(Slice { name: name.to_owned(), least: least.parse().ok()? })).collect();
        Ok(Self { cursor, slices: slices.ok_or(FeedError::Malformed("the head of the log"))? })
    }
}

/// Nobody must believe what is left.
fn incomplete() -> FeedError {
    unavailable("some of its keys are missing in Redis: what is left has to be deleted, and the log established anew")
}

struct Pages {
    log: RedisRevocations,
    link: Link,
    /// As far as they are known.
    issuers: record::Issuers,
    /// Those that were not looked at.
    slices: VecDeque<Slice>,
    /// The one that is looked at; of its entries, how many were not found yet.
    slice: Option<Slice>,
    /// Of the slice that is looked at.
    buckets: VecDeque<String>,
    /// So many of them make a page.
    at_once: usize,
    /// From where to read on what is suspended; nothing where that is done.
    suspended: Option<u64>,
}

/// Fields and values.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl Pages {
    /// The next page that is not empty.
    async fn next(&mut self) -> Result<Option<Vec<RevocationEvent>>, FeedError> {
        loop {
            let page = if !self.buckets.is_empty() {
                self.revoked().await?
            } else if let Some(slice) = self.slice.take() {
                let now = self.log.settings().clock.now().wall();
                if slice.least > 0 && !keys::is_over(&slice.name, now) {
                    return Err(incomplete());
                }
                continue;
            } else if let Some(slice) = self.slices.pop_front() {
                let used = cmd("GET").arg(self.log.redis().key(&keys::used(&slice.name))).to_owned();
                let used: Option<Vec<u8>> = self.link.run(&used).await?;
                let used = used.unwrap_or_default();
                let key = |bucket| self.log.redis().key(&keys::entries(&slice.name, bucket));
                self.buckets = keys::buckets(&used).map(key).collect();
                self.slice = Some(slice);
                continue;
            } else if let Some(cursor) = self.suspended {
                self.suspended(cursor).await?
            } else {
                return Ok(None);
            };
            if !page.is_empty() {
                return Ok(Some(page));
            }
        }
    }

    async fn revoked(&mut self) -> Result<Vec<RevocationEvent>, FeedError> {
        let count = self.at_once.min(self.buckets.len());
        let mut reading = pipe();
        for bucket in self.buckets.drain(..count) {
            reading.cmd("HGETALL").arg(bucket);
        }
        let buckets: Vec<Entries> = self.link.run(&reading).await?;
        let found: usize = buckets.iter().map(Vec::len).sum();
        if let Some(slice) = &mut self.slice {
            slice.least = slice.least.saturating_sub(u64::try_from(found).unwrap_or(u64::MAX));
        }
        // The buckets of a slice are about equally full.
        self.at_once = (count * PAGE / found.max(1)).clamp(1, MOST_BUCKETS);
        self.told(buckets.into_iter().flatten().collect(), RevocationEvent::Revoked).await
    }

    async fn suspended(&mut self, cursor: u64) -> Result<Vec<RevocationEvent>, FeedError> {
        let key = self.log.redis().key(keys::SUSPENDED);
        let scan = cmd("HSCAN").arg(key).arg(cursor).arg("COUNT").arg(PAGE).to_owned();
        let (next, entries): (u64, Entries) = self.link.run(&scan).await?;
        self.suspended = (next != 0).then_some(next);
        self.told(entries, RevocationEvent::Suspended).await
    }

    async fn told(
        &mut self,
        entries: Entries,
        happened: impl Fn(Revocation) -> RevocationEvent + Send,
    ) -> Result<Vec<RevocationEvent>, FeedError> {
        let mut page = Vec::with_capacity(entries.len());
        for (field, value) in entries {
            let mut read = record::read(&field, &value, &self.issuers);
            if read == Err(record::Unread::Issuer) {
                // It came with the entry, or before it.
                self.issuers = self.issuers().await?;
                read = record::read(&field, &value, &self.issuers);
            }
            page.push(happened(read.map_err(|_| FeedError::Malformed("an entry"))?));
        }
        Ok(page)
    }

    async fn issuers(&mut self) -> Result<record::Issuers, FeedError> {
        let all = cmd("HGETALL").arg(self.log.redis().key(keys::ISSUERS)).to_owned();
        let all: Vec<(String, String)> = self.link.run(&all).await?;
        Ok(all.into_iter().map(|(issuer, number)| (number, issuer)).collect())
    }
}
