//! Grantex's side of the feed, as its wire contract has it: a table of what counts, a log beside it, and who listens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use portcullis::{clock::Clock, testing::ManualClock};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::{Notify, mpsc};
use url::form_urlencoded;

pub const KEY: &str = "developer-key-0123456789";

/// The log says that it is complete up to what is so old, in seconds.
const SETTLED: u64 = 15;
/// What it says at once.
const MAX_PAGE: usize = 1000;

/// A server; clones are the same one.
#[derive(Clone)]
pub struct Server {
    pub clock: ManualClock,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    database: Database,
    streams: Vec<Stream>,
    /// The database cannot be read.
    is_down: bool,
    /// What every request is answered with.
    fault: Option<(StatusCode, Option<&'static str>)>,
    /// What the pages of snapshots are turned into, or the last one alone.
    change: Option<(Change, bool)>,
    /// Streams say what happened up to this number, and then nothing more.
    stalls_after: Option<u64>,
    stalled: Vec<Stream>,
    asked: Vec<String>,
}

type Change = fn(&mut Value);

/// What a copy is taken of, and restored from.
#[derive(Clone, Default)]
pub struct Database {
    grants: BTreeMap<String, &'static str>,
    tokens: BTreeSet<String>,
    log: Vec<Entry>,
    seq: u64,
}

#[derive(Clone)]
struct Entry {
    seq: u64,
    at: u64,
    is_committed: bool,
    value: Value,
}

struct Stream {
    sender: mpsc::UnboundedSender<Bytes>,
    cursor: u64,
}

/// What an answer's body is.
pub enum Answer {
    Whole(Response<Bytes>),
    Stream(mpsc::UnboundedReceiver<Bytes>),
}

impl Server {
    pub fn new(clock: &ManualClock) -> Self {
        Self { clock: clock.clone(), state: Arc::default(), changed: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> u64 {
        self.clock.now().wall().as_secs()
    }

    // ── what a developer does ──

    /// `revoked`, `suspended` or `resumed`.
    pub fn grant(&self, action: &'static str, grant: &str) {
        let seq = self.begin(action, Some(grant), None);
        self.commit(seq);
    }

    pub fn revoke_token(&self, jti: &str) {
        let seq = self.begin("token_revoked", Some("grnt_of_a_token"), Some(jti));
        self.commit(seq);
    }

    /// Writes to the log what nobody can read before it is committed.
    pub fn begin(&self, action: &'static str, grant: Option<&str>, jti: Option<&str>) -> u64 {
        let at = self.now();
        let Database { log, seq, .. } = &mut self.state().database;
        *seq += 1;
        let end = text(at + 3600);
        let value =
            json!({ "seq": *seq, "action": action, "grantId": grant, "jti": jti, "expiresAt": end, "at": text(at) });
        log.push(Entry { seq: *seq, at, is_committed: false, value });
        *seq
    }

    pub fn commit(&self, seq: u64) {
        let mut state = self.state();
        let State { database: Database { grants, tokens, log, .. }, streams, .. } = &mut *state;
        let entry = log.iter_mut().find(|entry| entry.seq == seq).unwrap();
        entry.is_committed = true;
        let named = |name: &str| entry.value[name].as_str().map(str::to_owned);
        match (entry.value["action"].as_str().unwrap(), named("grantId"), named("jti")) {
            ("token_revoked", _, Some(jti)) => drop(tokens.insert(jti)),
            ("revoked", Some(grant), _) => drop(grants.insert(grant, "revoked")),
            ("resumed", Some(grant), _) => drop(grants.remove(&grant)),
            ("suspended", Some(grant), _) => drop(grants.insert(grant, "suspended")),
            _ => {}
        }
        let value = entry.value.clone();
        streams.retain_mut(|stream| stream.entry(&value));
        drop(state);
        self.changed.notify_waiters();
    }

    // ── what happens to it ──

    /// Says to all who listen that it has read its database, if it has.
    pub fn beat(&self) {
        let now = text(self.now());
        let mut state = self.state();
        let is_down = state.is_down;
        state
            .streams
            .retain(|stream| is_down || stream.say("heartbeat", &json!({ "cursor": stream.cursor, "freshAt": now })));
    }

    /// Says something to all who listen.
    pub fn say(&self, frame: &str) {
        let frame = Bytes::from(frame.to_owned());
        self.state().streams.retain(|stream| stream.sender.send(frame.clone()).is_ok());
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        let mut state = self.state();
        state.streams.retain(|stream| !stream.sender.is_closed());
        state.streams.len()
    }

    /// Ends all streams.
    pub fn cut(&self) {
        self.state().streams.clear();
    }

    pub fn set_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }

    pub fn set_fault(&self, fault: Option<(u16, Option<&'static str>)>) {
        self.state().fault = fault.map(|(status, retry)| (StatusCode::from_u16(status).unwrap(), retry));
    }

    pub fn stall_after(&self, seq: Option<u64>) {
        let mut state = self.state();
        state.stalls_after = seq;
        state.stalled.clear();
    }

    pub fn change_snapshots(&self, change: fn(&mut Value)) {
        self.state().change = Some((change, false));
    }

    pub fn change_last_page(&self, change: fn(&mut Value)) {
        self.state().change = Some((change, true));
    }

    pub fn copy(&self) -> Database {
        self.state().database.clone()
    }

    pub fn restore(&self, copy: Database) {
        self.state().database = copy;
    }

    /// Forgets what was written to the log up to a time, as it does when what was revoked has long expired.
    pub fn prune(&self, up_to: u64) {
        self.state().database.log.retain(|entry| entry.at > up_to || !entry.is_committed);
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked)
    }

    /// What counts: the grants that are `revoked`, or those that are `suspended`.
    pub fn standing(&self, status: &str) -> BTreeSet<String> {
        let state = self.state();
        state.database.grants.iter().filter(|(_, is)| **is == status).map(|(grant, _)| grant.clone()).collect()
    }

    // ── what it answers ──

    pub async fn answer(&self, request: &Request<Bytes>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        let query: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let number = |name: &str| query.get(name).map(|text| text.parse::<u64>().unwrap());
        if let Some(fault) = self.fault(request) {
            return Answer::Whole(fault);
        }
        let (mut page, now) = (json!(null), self.now());
        match (request.uri().path(), number("since")) {
            ("/v1/revocations/stream", since) => return Answer::Stream(self.state().open(since.unwrap_or(0), now)),
            ("/v1/revocations", None) => {
                let state = self.state();
                page = state.database.snapshot(query.get("pageToken"), number("limit").unwrap(), now);
                match state.change {
                    Some((change, false)) => change(&mut page),
                    Some((change, true)) if page["nextPageToken"].is_null() => change(&mut page),
                    _ => {}
                }
            }
            ("/v1/revocations", Some(since)) => {
                page = self.changes(since, number("limit").unwrap(), number("wait").unwrap()).await;
            }
            _ => {}
        }
        Answer::Whole(whole(&page))
    }

    /// What is in the way of an answer.
    fn fault(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let mut state = self.state();
        state.asked.push(request.uri().to_string().split("/v1/revocations").nth(1).unwrap().to_owned());
        let key = request.headers().get(header::AUTHORIZATION);
        let fault = match key.is_some_and(|value| value == &format!("Bearer {KEY}")) {
            true => state.fault.or(state.is_down.then_some((StatusCode::INTERNAL_SERVER_ERROR, None))),
            false => Some((StatusCode::UNAUTHORIZED, None)),
        };
        let (status, retry_after) = fault?;
        let mut response = whole(&json!({ "message": "no", "code": "NO", "requestId": "r" }));
        *response.status_mut() = status;
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.parse().unwrap());
        }
        Some(response)
    }

    async fn changes(&self, since: u64, limit: u64, wait: u64) -> Value {
        let limit = usize::try_from(limit).unwrap().min(MAX_PAGE);
        let changed = self.changed.notified();
        let mut entries = self.state().database.read(since, limit);
        if entries.is_empty() && wait > 0 {
            tokio::select! {
                () = changed => entries = self.state().database.read(since, limit),
                () = Clock::sleep(&self.clock, Duration::from_secs(wait)) => {}
            }
        }
        let now = self.now();
        let settled = self.state().database.settled(since, now);
        let delivered = entries.iter().map(|entry| entry["seq"].as_u64().unwrap()).max();
        let cursor = delivered.map_or(settled, |delivered| settled.min(delivered.max(since)));
        json!({ "entries": entries, "cursor": cursor, "snapshot": false, "serverTime": text(now) })
    }
}

impl State {
    fn open(&mut self, since: u64, now: u64) -> mpsc::UnboundedReceiver<Bytes> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut stream = Stream { sender, cursor: since };
        if let Some(last) = self.stalls_after {
            let entries = self.database.read(since, usize::MAX).into_iter();
            entries.filter(|entry| entry["seq"].as_u64() <= Some(last)).all(|entry| stream.entry(&entry));
            self.stalled.push(stream);
            return receiver;
        }
        self.database.read(since, usize::MAX).iter().all(|entry| stream.entry(entry));
        stream.say("ready", &json!({ "cursor": stream.cursor, "serverTime": text(now) }));
        self.streams.push(stream);
        receiver
    }
}

impl Stream {
    fn entry(&mut self, value: &Value) -> bool {
        self.cursor = self.cursor.max(value["seq"].as_u64().unwrap());
        self.say("revocation", value)
    }

    fn say(&self, event: &str, data: &Value) -> bool {
        let frame = format!("event: {event}\ndata: {data}\n\n");
        // Cut anywhere, as by a network.
        frame.as_bytes().chunks(11).all(|piece| self.sender.send(Bytes::copy_from_slice(piece)).is_ok())
    }
}

impl Database {
    fn committed(&self) -> impl Iterator<Item = &Entry> {
        self.log.iter().filter(|entry| entry.is_committed)
    }

    fn read(&self, since: u64, limit: usize) -> Vec<Value> {
        self.committed().filter(|entry| entry.seq > since).take(limit).map(|entry| entry.value.clone()).collect()
    }

    fn settled(&self, since: u64, now: u64) -> u64 {
        let settled = self.committed().filter(|entry| entry.seq > since && entry.at + SETTLED < now);
        settled.map(|entry| entry.seq).max().unwrap_or(since)
    }

    fn snapshot(&self, token: Option<&String>, limit: u64, now: u64) -> Value {
        let from: usize = token.map_or(0, |token| token.strip_prefix("page ").unwrap().parse().unwrap());
        let entry = |action: &str, grant: Option<&String>, jti: Option<&String>| {
            let end = text(now + 3600);
            json!({ "seq": 0, "action": action, "grantId": grant, "jti": jti, "expiresAt": end, "at": end })
        };
        let grants = self.grants.iter().map(|(grant, status)| entry(status, Some(grant), None));
        let all: Vec<_> = grants.chain(self.tokens.iter().map(|jti| entry("token_revoked", None, Some(jti)))).collect();
        let from = from.min(all.len());
        let end = (from + usize::try_from(limit).unwrap()).min(all.len());
        let next = (end < all.len()).then(|| format!("page {end}"));
        let cursor = self.settled(0, now);
        json!({
            "entries": all[from..end], "nextPageToken": next, "cursor": cursor, "snapshot": true,
            "serverTime": text(now),
        })
    }
}

fn text(seconds: u64) -> String {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap().format(&Rfc3339).unwrap()
}

fn whole(body: &Value) -> Response<Bytes> {
    Response::builder().header(header::CONTENT_TYPE, "application/json").body(body.to_string().into()).unwrap()
}
