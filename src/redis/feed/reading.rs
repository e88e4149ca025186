//! What Redis answers → messages, proofs, or why nobody can read on. Pure.

use std::{collections::VecDeque, time::Duration};

use ::redis::{FromRedisValue, Value};

use super::unavailable;
use crate::{
    redis::keys,
    status::{Cursor, FeedError, FeedMessage, RevocationEvent},
};

/// So many entries are read at once.
pub(super) const COUNT: usize = 512;

/// What is to be handed on, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    Message(FeedMessage),
    /// The log ended here when that was asked.
    Proof(Proof),
    /// And then nothing more.
    Trouble(FeedError),
}

/// The log was seen to end at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) head: Cursor,
    /// When it was asked, by our monotonic clock; answered was it later.
    pub(super) asked: Duration,
    /// How much older than that it may be.
    pub(super) lag: Duration,
}

/// A position in the log, and how far it was seen to reach.
#[derive(Debug)]
pub(super) struct Reading {
    position: Cursor,
    open: Option<Proof>,
    pub(super) ready: VecDeque<Ready>,
}

/// An entry of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    id: Cursor,
    previous: Cursor,
    /// Nothing in the one with which a log is opened.
    event: Option<String>,
}

impl Reading {
    pub(super) const fn new(after: Cursor) -> Self {
        Self { position: after, open: None, ready: VecDeque::new() }
    }

    /// Where the next entries are to be read.
    pub(super) const fn position(&self) -> Cursor {
        self.position
    }

    /// The log reaches as far as that. What was asked for before the entries that come next.
    pub(super) fn seen(&mut self, proof: Proof) {
        if proof.head < self.position {
            // Of a server that lacks what another one had, or of another log.
            self.ready.push_back(Ready::Trouble(FeedError::Gap));
        } else {
            // One that we are on the way to is kept: behind a log that grows as fast as it is read there are always others.
            if self.open.is_none_or(|open| open.head == proof.head) {
                self.open = Some(proof);
            }
            self.close();
        }
    }

    /// These entries follow our position, and unless there are [`COUNT`] of them, these are all.
    pub(super) fn read(&mut self, entries: Vec<Entry>) {
        let is_all = entries.len() < COUNT;
        for entry in entries {
            if entry.previous != self.position || entry.id <= self.position {
                return self.ready.push_back(Ready::Trouble(FeedError::Gap));
            }
            let Some(event) = entry.event else { return self.ready.push_back(Ready::Trouble(FeedError::Gap)) };
            let Ok(event) = serde_json::from_str::<RevocationEvent>(&event) else {
                return self.ready.push_back(Ready::Trouble(FeedError::Malformed("an event")));
            };
            self.ready.push_back(Ready::Message(FeedMessage::event(event, entry.previous, entry.id)));
            self.position = entry.id;
            self.close();
        }
        if is_all && self.open.is_some() {
            // The log reaches further than its entries.
            self.ready.push_back(Ready::Trouble(FeedError::Gap));
        }
    }

    /// Once we are where the log was seen to end, everything is known up to then.
    fn close(&mut self) {
        if let Some(proof) = self.open.take_if(|proof| proof.head == self.position) {
            self.ready.push_back(Ready::Proof(proof));
        }
    }
}

/// What `XREAD` answers for one stream.
pub(super) fn entries(answer: Value) -> Result<Vec<Entry>, FeedError> {
    let wrong = || FeedError::Malformed("a stream");
    let Value::Array(streams) = answer else {
        return if answer == Value::Nil { Ok(Vec::new()) } else { Err(wrong()) };
    };
    let [stream] = <[Value; 1]>::try_from(streams).map_err(|_| wrong())?;
    let [_, entries] = array(stream).and_then(|stream| <[Value; 2]>::try_from(stream).ok()).ok_or_else(wrong)?;
    array(entries).and_then(|entries| entries.into_iter().map(entry).collect()).ok_or_else(wrong)
}

fn entry(value: Value) -> Option<Entry> {
    let [id, fields] = <[Value; 2]>::try_from(array(value)?).ok()?;
    let mut fields = array(fields)?.into_iter();
    let (mut previous, mut event) = (None, None);
    while let Some(name) = fields.next() {
        let value = text(fields.next()?)?;
        // Later versions may say more.
        match &*text(name)? {
            "p" => previous = Some(value),
            "e" => event = Some(value),
            _ => {}
        }
    }
    Some(Entry { id: text(id)?.parse().ok()?, previous: previous?.parse().ok()?, event })
}

fn array(value: Value) -> Option<Vec<Value>> {
    if let Value::Array(items) = value { Some(items) } else { None }
}

fn text(value: Value) -> Option<String> {
    String::from_redis_value(value).ok()
}

/// Where the log ends, by the two members of its head.
pub(in crate::redis) fn head(members: &[Option<String>; 2]) -> Result<Cursor, FeedError> {
    match members {
        [Some(format), _] if format != keys::FORMAT => {
            Err(unavailable(format!("its format is not {}, the one that is known here", keys::FORMAT)))
        }
        [Some(_), Some(head)] => head.parse().map_err(|_| FeedError::Malformed("the head of the log")),
        _ => Err(unavailable("there is no log of that prefix; an empty one has to be established, too")),
    }
}

/// What `INFO memory` says of what happens when memory runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::redis) struct Memory {
    policy: Option<String>,
    is_limited: bool,
}

impl Memory {
    pub(in crate::redis) fn new(info: &str) -> Self {
        Self {
            policy: line(info, "maxmemory_policy").map(str::to_owned),
            is_limited: line(info, "maxmemory") != Some("0"),
        }
    }

    /// The policy by which our keys could go; one that is not told could be any.
    pub(in crate::redis) fn evicts(&self) -> Option<&str> {
        let policy = self.policy.as_deref().unwrap_or("unknown");
        (self.is_limited && policy != "noeviction").then_some(policy)
    }

    pub(super) fn check(&self) -> Result<(), FeedError> {
        self.evicts().map_or(Ok(()), |policy| {
            Err(unavailable(format!("its Redis may evict keys (maxmemory-policy {policy}); it must be noeviction")))
        })
    }
}

/// How much older than the question what a server says may be, by `INFO replication`: it must be a master, and so many
/// replicas must follow it. Another master may have taken over when the last of these was heard, which is told in whole
/// seconds.
pub(super) fn lag(info: &str, min_replicas: u32) -> Result<Duration, FeedError> {
    if line(info, "role") != Some("master") {
        return Err(unavailable("the server is not a master"));
    }
    let Some(last) = usize::try_from(min_replicas).ok().and_then(|wanted| wanted.checked_sub(1)) else {
        return Ok(Duration::ZERO);
    };
    let mut lags: Vec<u64> = info.lines().filter_map(replica).collect();
    lags.sort_unstable();
    let Some(lag) = lags.get(last) else {
        return Err(unavailable(format!("{} replicas follow the master, and {min_replicas} should", lags.len())));
    };
    Ok(Duration::from_secs(*lag).saturating_add(Duration::from_secs(1)))
}

/// The seconds since a replica was heard: of `slave0:ip=…,port=…,state=online,offset=…,lag=…`.
fn replica(line: &str) -> Option<u64> {
    let (name, members) = line.split_once(':')?;
    let is_replica = name.strip_prefix("slave")?.bytes().all(|byte| byte.is_ascii_digit());
    let member = |name| members.split(',').find_map(|member| member.strip_prefix(name)?.strip_prefix('='));
    let is_online = is_replica && member("state") == Some("online");
    member("lag")?.trim().parse().ok().filter(|_| is_online)
}

/// The value of a line such as `role:master`.
fn line<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests;
