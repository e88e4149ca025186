//! The state of a log, page by page → all that counts.
//!
//! Whoever follows takes a revocation back no more, but a suspension. So what is suspended is brought to one position of the
//! log, on one server: by the events that were told while it was read. A position tells the history before it, so that the
//! tail finds out when the next server has another one. What is revoked is read afterwards: all of it up to that position,
//! and perhaps more, which the tail tells again.
//!
//! The head says how much there is of everything, so that what somebody deletes, or Redis evicts, is missed.

use std::collections::{HashMap, VecDeque};

use ::redis::{Value, cmd, pipe};
use futures_util::stream;

use super::{
    reading::{COUNT, Memory, Reading, Ready, entries, head, lag},
    unavailable,
};
use crate::{
    redis::{RedisRevocations, keys, link::Link, record},
    status::{FeedError, FeedSnapshot, Revocation, RevocationEvent},
};

/// About so many entries make a page.
const PAGE: usize = 4096;

/// No more buckets than this are read at once.
const MOST_BUCKETS: usize = 512;

/// The head and what is suspended, and then the pages of what is revoked, on a connection of its own.
pub(super) async fn snapshot(log: RedisRevocations, most: usize) -> Result<FeedSnapshot, FeedError> {
    let settings = log.settings();
    let mut link = settings.reading.dial(log.redis().timeout()).await?;
    let (members, replication, memory): ([Option<String>; 2], String, String) = link.run(&log.checks()).await?;
    Memory::new(&memory).check()?;
    let mut reading = Reading::new(head(&members)?);
    let lag = lag(&replication, settings.min_replicas)?;
    let mut pages = Pages {
        log,
        link,
        issuers: record::Issuers::new(),
        suspended: Vec::new(),
        slices: VecDeque::new(),
        slice: None,
        buckets: VecDeque::new(),
        at_once: 16,
    };
    pages.suspended = pages.suspended(most).await?;
    pages.catch_up(&mut reading).await?;
    pages.slices = slices(&pages.log, &mut pages.link).await?;
    let pages = stream::try_unfold(pages, |mut pages| async move { Ok(pages.next().await?.map(|page| (page, pages))) });
    // A master that its replicas have left may have been replaced since.
    Ok(FeedSnapshot::in_pages(Box::pin(pages), reading.position()).age(lag))
}

/// Entries that are over at about the same time.
struct Slice {
    name: String,
    /// There are as many, or more since that was asked.
    least: u64,
}

/// Where to look for what is revoked. It is looked at in one moment: between two looks at the head that show the same,
/// nothing was published. Not in a transaction, which Redis refuses when it has no memory left.
async fn slices(log: &RedisRevocations, link: &mut Link) -> Result<VecDeque<Slice>, FeedError> {
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
    if (number("issuers"), number("suspended")) != (Some(issuers), Some(suspended)) {
        return Err(incomplete());
    }
    let slices = head.iter().filter_map(|(name, least)| Some((name.strip_prefix("s:")?, least)));
    let slices: Option<_> =
        slices.map(|(name, least)| Some(Slice { name: name.to_owned(), least: least.parse().ok()? })).collect();
    slices.ok_or(FeedError::Malformed("the head of the log"))
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
    /// The first page.
    suspended: Vec<RevocationEvent>,
    /// Those that were not looked at.
    slices: VecDeque<Slice>,
    /// The one that is looked at; of its entries, how many were not found yet.
    slice: Option<Slice>,
    /// Of the slice that is looked at.
    buckets: VecDeque<String>,
    /// So many of them make a page.
    at_once: usize,
}

/// Fields and values.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl Pages {
    /// The next page that is not empty.
    async fn next(&mut self) -> Result<Option<Vec<RevocationEvent>>, FeedError> {
        loop {
            let page = if !self.suspended.is_empty() {
                std::mem::take(&mut self.suspended)
            } else if !self.buckets.is_empty() {
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

    /// What is suspended, as it is read.
    async fn suspended(&mut self, most: usize) -> Result<Vec<RevocationEvent>, FeedError> {
        let key = self.log.redis().key(keys::SUSPENDED);
        let (mut suspended, mut from) = (Vec::new(), 0);
        loop {
            let scan = cmd("HSCAN").arg(&key).arg(from).arg("COUNT").arg(PAGE).to_owned();
            let (next, entries): (u64, Entries) = self.link.run(&scan).await?;
            suspended.extend(self.told(entries, RevocationEvent::Suspended).await?);
            match next {
                _ if suspended.len() > most => return Err(FeedError::TooLarge(most)),
                0 => return Ok(suspended),
                _ => from = next,
            }
        }
    }

    /// What was suspended and resumed in the meantime.
    async fn catch_up(&mut self, reading: &mut Reading) -> Result<(), FeedError> {
        loop {
            let mut asking = pipe();
            asking.add_command(self.log.entries_after(reading.position(), None)).cmd("INFO").arg("replication");
            let (answer, replication): (Value, String) = self.link.run(&asking).await?;
            // Then it was a master all the time: what it holds is of one history.
            lag(&replication, self.log.settings().min_replicas)?;
            let entries = entries(answer)?;
            let is_all = entries.len() < COUNT;
            reading.read(entries);
            for ready in reading.ready.drain(..) {
                match ready {
                    Ready::Message(message) => {
                        let event = message.into_event();
                        self.suspended.extend(event.filter(|event| !matches!(event, RevocationEvent::Revoked(_))));
                    }
                    Ready::Trouble(error) => return Err(error),
                    Ready::Proof(_) => {}
                }
            }
            if is_all {
                return Ok(());
            }
        }
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
            page.push(happened(read.map_err(|unread| match unread {
                record::Unread::Issuer => incomplete(),
                record::Unread::Malformed => FeedError::Malformed("an entry"),
            })?));
        }
        Ok(page)
    }

    async fn issuers(&mut self) -> Result<record::Issuers, FeedError> {
        let all = cmd("HGETALL").arg(self.log.redis().key(keys::ISSUERS)).to_owned();
        let all: Vec<(String, String)> = self.link.run(&all).await?;
        Ok(all.into_iter().map(|(issuer, number)| (number, issuer)).collect())
    }
}
