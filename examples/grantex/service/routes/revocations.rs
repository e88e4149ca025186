//! `GET /v1/revocations` and what is below: the feed as a snapshot, a long poll, a stream, and one credential at a time.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream;
use portcullis::clock::Sleep;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::super::{Service, answers::Refusal, book::PageToken, feed::Entry, time::iso};

/// How many entries an answer has at most.
const MAX_PAGE: u64 = 1000;

/// For how many seconds a question may wait for news.
const MAX_WAIT: u64 = 25;

/// A follower that has heard nothing for a few of these no longer trusts what it knows.
const HEARTBEAT: Duration = Duration::from_secs(1);

type Parameters = Query<HashMap<String, String>>;

/// Without `since`, everything that is taken back at present; with it, what has happened since.
pub(crate) async fn entries(
    State(service): State<Service>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let limit = integer(&query, "limit", 1, MAX_PAGE)?.unwrap_or(MAX_PAGE);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let since = integer(&query, "since", 0, u64::MAX)?;
    let wait = integer(&query, "wait", 0, MAX_WAIT)?.unwrap_or_default();
    let Some(since) = since else {
        let page = query.get("pageToken").filter(|text| !text.is_empty()).map(|text| PageToken::decode(text));
        let page = page.map(|page| page.ok_or(Refusal::bad_request("pageToken is not a revocation snapshot cursor")));
        let now = service.now();
        let (entries, cursor, next) = service.book().snapshot(page.transpose()?, limit, now);
        let answer = json!({
            "entries": entries, "nextPageToken": next, "cursor": cursor, "snapshot": true, "serverTime": iso(now),
        });
        return Ok(briefly_cached(Json(answer).into_response(), None));
    };

    let (entries, cursor) = newer(&service, since, limit, Duration::from_secs(wait)).await;
    let tag = format!("W/\"r{cursor}-{}\"", entries.len());
    if entries.is_empty() && is_known(&headers, &tag) {
        return Ok(briefly_cached(StatusCode::NOT_MODIFIED.into_response(), Some(&tag)));
    }
    let answer = json!({ "entries": entries, "cursor": cursor, "snapshot": false, "serverTime": iso(service.now()) });
    Ok(briefly_cached(Json(answer).into_response(), Some(&tag)))
}

/// What has happened since, as soon as there is something, and the cursor after it.
async fn newer(service: &Service, since: u64, limit: usize, wait: Duration) -> (Vec<Entry>, u64) {
    let mut head = service.book().feed.follow();
    let mut is_ending = service.0.is_ending.subscribe();
    let mut over = service.0.clock.sleep(wait);
    loop {
        let entries = {
            head.mark_unchanged();
            service.book().feed.since(since, limit)
        };
        if let Some(last) = entries.last() {
            let cursor = last.seq;
            return (entries, cursor);
        }
        if wait.is_zero() {
            return (entries, since);
        }
        tokio::select! {
            _ = head.changed() => {}
            _ = is_ending.wait_for(|is_ending| *is_ending) => return (entries, since),
            () = &mut over => return (entries, since),
        }
    }
}

/// One credential. Unknown ones are called revoked: whoever asks must not let them in.
pub(crate) async fn status(
    State(service): State<Service>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (grant, jti) = (query.get("grantId"), query.get("jti"));
    if grant.is_none() && jti.is_none() {
        return Err(Refusal::bad_request("grantId or jti is required"));
    }
    if grant.is_some_and(|id| id.len() > 256) || jti.is_some_and(|jti| jti.len() > 512) {
        return Err(Refusal::bad_request("grantId and jti must be short identifiers"));
    }
    let now = service.now();
    let status = service.book().status(grant.map(String::as_str), jti.map(String::as_str), now);
    let tag = format!("W/\"s{}-{}\"", status.status, status.expires_at.as_deref().unwrap_or_default());
    if is_known(&headers, &tag) {
        return Ok(briefly_cached(StatusCode::NOT_MODIFIED.into_response(), Some(&tag)));
    }
    let mut answer = json!(status);
    answer["checkedAt"] = iso(now).into();
    Ok(briefly_cached(Json(answer).into_response(), Some(&tag)))
}

/// What has happened since, `ready`, and from then on everything as it happens, with a heartbeat every second.
pub(crate) async fn stream(State(service): State<Service>, Query(query): Parameters) -> Result<Response, Refusal> {
    let since = integer(&query, "since", 0, u64::MAX)?.unwrap_or_default();
    let Ok(permit) = service.0.streams.clone().try_acquire_owned() else {
        let message = format!("At most {} revocation streams per developer on one instance", super::super::MAX_STREAMS);
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_CONNECTIONS", message));
    };
    let head = service.book().feed.follow();
    let follower = Follower {
        head,
        is_ending: service.0.is_ending.subscribe(),
        cursor: since,
        is_ready: false,
        heartbeat: service.0.clock.sleep(HEARTBEAT),
        _permit: permit,
        service,
    };
    let events = stream::unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let mut response = Sse::new(events).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Somebody at the other end of a stream, and how far they have read.
struct Follower {
    service: Service,
    head: tokio::sync::watch::Receiver<u64>,
    is_ending: tokio::sync::watch::Receiver<bool>,
    cursor: u64,
    is_ready: bool,
    heartbeat: Sleep,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event; `None` once the service ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if *self.is_ending.borrow() {
                return None;
            }
            self.head.mark_unchanged();
            let newer = self.service.book().feed.since(self.cursor, 1);
            let now = iso(self.service.now());
            if let Some(entry) = newer.into_iter().next() {
                self.cursor = entry.seq;
                return Some(event("revocation", &json!(entry)));
            }
            if !std::mem::replace(&mut self.is_ready, true) {
                return Some(event("ready", &json!({ "cursor": self.cursor, "serverTime": now })));
            }
            tokio::select! {
                _ = self.head.changed() => {}
                _ = self.is_ending.wait_for(|is_ending| *is_ending) => return None,
                () = &mut self.heartbeat => {
                    self.heartbeat = self.service.0.clock.sleep(HEARTBEAT);
                    let fresh_at = iso(self.service.now());
                    return Some(event("heartbeat", &json!({ "cursor": self.cursor, "freshAt": fresh_at })));
                }
            }
        }
    }
}

fn event(name: &str, data: &serde_json::Value) -> Event {
    Event::default().event(name).data(data.to_string())
}

/// A parameter that is a number, where it is there.
fn integer(query: &HashMap<String, String>, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
    let Some(text) = query.get(name) else { return Ok(None) };
    let is_number = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    let number = number.ok_or_else(|| Refusal::bad_request(format!("{name} must be a non-negative integer")))?;
    if !(least..=most).contains(&number) {
        return Err(Refusal::bad_request(format!("{name} must be between {least} and {most}")));
    }
    Ok(Some(number))
}

fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag)
}

fn briefly_cached(mut response: Response, tag: Option<&str>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=1"));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) {
        headers.insert(header::ETAG, tag);
    }
    response
}
