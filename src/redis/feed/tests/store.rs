//! What a Redis holds of the log: what the script makes of it, and what it answers to those who read.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::Arc,
};

use ::redis::Value;

use crate::{
    redis::{keys, record::Record},
    status::Cursor,
};

/// What `apply.lua` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Publish,
    Fill,
    Open,
}

/// Why it did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unapplied {
    Absent,
    There,
}

/// What it is called with, beside the events.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) mode: Mode,
    /// By the publisher's clock, in seconds.
    pub(super) now: u64,
    /// By the server's, in milliseconds.
    pub(super) time: u64,
    /// How many entries are left, where it is time to trim.
    pub(super) kept: Option<usize>,
}

/// A hash, and when it is gone.
type Expiring = (BTreeMap<String, String>, u64);

#[derive(Debug)]
struct Entry {
    id: Cursor,
    previous: Cursor,
    event: Option<String>,
}

/// One state of a Redis. Each write makes a new one, so that a server can be left behind, or be set back.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) head: Option<Cursor>,
    log: Vec<Arc<Entry>>,
    issuers: BTreeMap<String, String>,
    slices: BTreeMap<String, u64>,
    used: BTreeMap<String, (BTreeSet<u16>, u64)>,
    entries: BTreeMap<String, Expiring>,
    suspended: BTreeMap<String, String>,
    ends: BTreeMap<String, u64>,
    /// The numbers of the events that are in it, for those who judge.
    told: Vec<usize>,
}

const NEVER: u64 = u64::MAX;

/// Of two times as text the later one; nothing is later than any.
fn later(one: &str, other: &str) -> String {
    let (Ok(first), Ok(second)) = (one.parse::<u64>(), other.parse::<u64>()) else { return String::new() };
    first.max(second).to_string()
}

fn unite(known: &mut BTreeMap<String, String>, field: &str, times: [&str; 3]) -> String {
    let value = match known.get(field) {
        Some(value) => value.split('|').zip(times).map(|(one, other)| later(one, other)).collect::<Vec<_>>(),
        None => times.map(str::to_owned).to_vec(),
    };
    known.insert(field.to_owned(), value.join("|"));
    value[1].clone()
}

impl Store {
    /// Which events it knows, if there is a log.
    pub(super) fn told(&self) -> &[usize] {
        if self.head.is_some() { &self.told } else { &[] }
    }

    pub(super) fn apply(&mut self, call: Call, events: &[(usize, Record)]) -> Result<Cursor, Unapplied> {
        let time = call.time / 1000;
        let mut last = match (call.mode, self.head) {
            (Mode::Publish, None) => return Err(Unapplied::Absent),
            (Mode::Publish, Some(head)) => head,
            (_, Some(_)) => return Err(Unapplied::There),
            (Mode::Open, None) => {
                self.log.clear();
                self.suspended.clear();
                self.ends.clear();
                Cursor::START
            }
            (Mode::Fill, None) => Cursor::START,
        };
        let gone = |instant: u64| instant.max((time + instant).saturating_sub(call.now)) + 600;
        for (number, record) in events {
            // A letter for each byte.
            let arguments = record.arguments().map(|argument| argument.into_iter().map(char::from).collect::<String>());
            let [happened, kind, issuer, id, issued, expires, decided, slice, bucket, json] = arguments;
            let times = [&*issued, &*expires, &*decided];
            let field = format!("{kind}{}:{id}", self.number(&issuer));
            self.told.push(*number);
            match (&*happened, &*slice) {
                ("R", "0") => self.revoke(&slice, &bucket, &field, times, (NEVER, NEVER)),
                ("R", end) if gone(end.parse().unwrap()) > time => {
                    let at = gone(end.parse().unwrap());
                    self.revoke(&slice, &bucket, &field, times, (at, at));
                }
                ("R", _) => {}
                ("S", _) => {
                    let expires = unite(&mut self.suspended, &field, times);
                    self.ends.remove(&field);
                    if let Ok(end) = expires.parse() {
                        self.ends.insert(field, gone(end));
                    }
                    let over: Vec<_> = self.ends.iter().filter(|(_, end)| **end <= time).take(4).collect();
                    for field in over.into_iter().map(|(field, _)| field.clone()).collect::<Vec<_>>() {
                        self.suspended.remove(&field);
                        self.ends.remove(&field);
                    }
                }
                _ => {
                    self.suspended.remove(&field);
                    self.ends.remove(&field);
                }
            }
            if call.mode == Mode::Publish {
                last = self.append(call, last, Some(json));
                self.head = Some(last);
            }
        }
        self.slices.retain(|_, end| *end > time);
        if call.mode == Mode::Open {
            last = self.append(call, Cursor::START, None);
            self.head = Some(last);
        }
        Ok(last)
    }

    fn number(&mut self, issuer: &str) -> String {
        let Some(name) = issuer.strip_prefix('i') else { return String::new() };
        let next = self.issuers.len() + 1;
        self.issuers.entry(name.to_owned()).or_insert_with(|| next.to_string()).clone()
    }

    fn revoke(&mut self, slice: &str, bucket: &str, field: &str, times: [&str; 3], (at, score): (u64, u64)) {
        let (entries, end) = self.entries.entry(format!("r:{slice}:{bucket}")).or_default();
        unite(entries, field, times);
        *end = at.max(*end);
        let (used, end) = self.used.entry(slice.to_owned()).or_default();
        used.insert(bucket.parse().unwrap());
        *end = at.max(*end);
        let known = self.slices.entry(slice.to_owned()).or_default();
        *known = score.max(*known);
    }

    fn append(&mut self, call: Call, previous: Cursor, event: Option<String>) -> Cursor {
        let id = self.next_id(call.time, previous, event.as_deref().unwrap_or(&call.time.to_string()));
        self.log.push(Arc::new(Entry { id, previous, event }));
        if let Some(kept) = call.kept {
            self.log.drain(..self.log.len().saturating_sub(kept));
        }
        id
    }

    /// A time, and a digest of what it says and of what came before it.
    fn next_id(&self, time: u64, previous: Cursor, event: &str) -> Cursor {
        let digest = u128::from(hash(&(previous, event)));
        let (time, upper) = (u128::from(time), previous.position() >> 64);
        if time > upper {
            return Cursor::new(time << 64 | digest >> 16);
        }
        Cursor::new(previous.position() + 1 + (digest >> 36))
    }

    /// What is answered at that time, in seconds, to a command that only reads.
    pub(super) fn answer(&self, command: &[String], time: u64) -> Value {
        let words: Vec<&str> = command.iter().map(|word| word.strip_prefix("{portcullis}:").unwrap_or(word)).collect();
        match *words.as_slice() {
            ["HMGET", keys::HEAD, "format", "head"] => {
                let format = self.head.map_or(Value::Nil, |_| text(keys::FORMAT));
                Value::Array(vec![format, self.head.map_or(Value::Nil, |head| text(&head.to_string()))])
            }
            ["XREAD", "COUNT", count, .., "STREAMS", keys::LOG, after] => {
                self.after(after.parse().unwrap(), count.parse().unwrap())
            }
            ["HMGET", keys::HEAD, "head"] => {
                Value::Array(vec![self.head.map_or(Value::Nil, |head| text(&head.to_string()))])
            }
            ["HGETALL", keys::HEAD] => pairs(self.head_members(time).iter()),
            ["HLEN", keys::ISSUERS] => count(self.issuers.len()),
            ["HLEN", keys::SUSPENDED] => count(self.suspended.len()),
            ["GET", key] => {
                let used = self.used.get(key.strip_prefix("b:").unwrap()).filter(|(_, end)| *end > time);
                used.map_or(Value::Nil, |(used, _)| Value::BulkString(bits(used)))
            }
            ["HGETALL", keys::ISSUERS] => pairs(self.issuers.iter()),
            ["HGETALL", key] => {
                let entries = self.entries.get(key).filter(|(_, end)| *end > time);
                pairs(entries.into_iter().flat_map(|(entries, _)| entries))
            }
            ["HSCAN", keys::SUSPENDED, from, "COUNT", _] => self.scan(from.parse().unwrap()),
            _ => panic!("nobody reads {command:?}"),
        }
    }

    /// The whole head: where the log ends, and how much there is of everything.
    fn head_members(&self, time: u64) -> BTreeMap<String, String> {
        let Some(head) = self.head else { return BTreeMap::new() };
        let mut members = BTreeMap::from([
            ("format".to_owned(), keys::FORMAT.to_owned()),
            ("head".to_owned(), head.to_string()),
            ("issuers".to_owned(), self.issuers.len().to_string()),
            ("suspended".to_owned(), self.suspended.len().to_string()),
        ]);
        for slice in self.slices.keys() {
            let of_slice = self.entries.iter().filter(|(key, _)| key.starts_with(&format!("r:{slice}:")));
            let least: usize =
                of_slice.filter(|(_, (_, end))| *end > time).map(|(_, (entries, _))| entries.len()).sum();
            members.insert(format!("s:{slice}"), least.to_string());
        }
        members
    }

    fn after(&self, position: Cursor, count: usize) -> Value {
        let following = self.log.iter().filter(|entry| entry.id > position).take(count);
        let entry = |entry: &Arc<Entry>| {
            let mut fields = vec![text("p"), text(&entry.previous.to_string())];
            fields.extend(entry.event.iter().flat_map(|event| [text("e"), text(event)]));
            Value::Array(vec![text(&entry.id.to_string()), Value::Array(fields)])
        };
        let entries: Vec<_> = following.map(entry).collect();
        if entries.is_empty() {
            return Value::Nil;
        }
        Value::Array(vec![Value::Array(vec![text(keys::LOG), Value::Array(entries)])])
    }

    /// Two at a time, in an order of its own.
    fn scan(&self, from: u64) -> Value {
        let place = |field: &str| (hash(field) >> 1).max(1);
        let mut left: Vec<_> = self.suspended.iter().map(|(field, value)| (place(field), field, value)).collect();
        left.retain(|(place, ..)| *place >= from);
        left.sort_unstable();
        let next = left.get(2).map_or(0, |(place, ..)| *place);
        Value::Array(vec![
            text(&next.to_string()),
            pairs(left.into_iter().take(2).map(|(_, field, value)| (field, value))),
        ])
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::BulkString(text.chars().map(|letter| u8::try_from(letter).unwrap()).collect())
}

fn count(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap())
}

fn hash(what: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Value {
    Value::Array(pairs.flat_map(|(field, value)| [text(field), text(value)]).collect())
}

fn bits(numbers: &BTreeSet<u16>) -> Vec<u8> {
    let mut bits = vec![0; usize::from(numbers.last().map_or(0, |last| last / 8 + 1))];
    for number in numbers {
        bits[usize::from(number / 8)] |= 0x80 >> (number % 8);
    }
    bits
}
