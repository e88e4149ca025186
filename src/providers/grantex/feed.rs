//! Grantex's revocation feed → the snapshot, events and heartbeats that a follower wants.

mod entry;
mod reading;
mod sse;
mod tail;

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use entry::Page;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use reading::{Readings, number_of_the_log};

use super::{GrantexConfigError, api::Api};
use crate::{
    clock::UnixTime,
    issuer::{Arriving, Connection, TransportError, retry_after},
    observe,
    status::{Cursor, FeedAnswer, FeedError, FeedMessages, FeedSnapshot, RevocationFeed},
};

/// As many entries as a page may have.
const LIMIT: usize = 1000;
/// The longest page that is read, in bytes.
const MAX_PAGE: usize = 2 * 1024 * 1024;
/// As long as the server waits for something to say.
const LONGEST_WAIT: u64 = 25;

const ENTRIES: &str = "/v1/revocations";
const STREAM: &str = "/v1/revocations/stream";

/// What a Grantex server (0.6 and later) says was revoked: for
/// [`Issuer::revocation_feed`](crate::Issuer::revocation_feed), with a
/// [`FeedPolicy`](crate::status::FeedPolicy), whose defaults are those of Grantex's own clients: stale after 5 seconds.
///
/// It speaks of the grants of the one developer whose API key it has, and of nobody else's: only their tokens may be
/// accepted where it is relied upon ([`Grantex::developer`](super::Grantex::developer)). A grant that is revoked or suspended takes with it the tokens that name it as their
/// grant or as its parent, and every grant that was delegated from it, at whatever depth, comes with an entry of its own.
/// A resumed grant is good again, unless it was revoked as well.
///
/// | the feed says | and that comes to |
/// |---|---|
/// | `revoked`, `suspended` | the same of that grant, at once |
/// | `resumed` | the same, with the next heartbeat, unless the log says until then that it was suspended again |
/// | `token_revoked` | that token is revoked |
/// | another action | that grant is suspended, until it is resumed or a snapshot does not name it any more |
/// | an entry that names neither | a malformed message |
///
/// Instants are RFC 3339 texts. An entry whose `expiresAt` is not one is kept for good; a heartbeat that does not say when
/// the log was read is malformed, and so proves nothing.
///
/// # Connections that end
///
/// The log writes its numbers out of order, and its stream does not say up to where they are complete. So the next one
/// begins a minute before the last entry that was heard, and what was heard since then has to come again: where it does
/// not, or another entry stands in its place, the database was restored from a copy, and a snapshot is taken. The same
/// happens where a number goes backwards, or a heartbeat speaks of an entry that did not arrive.
///
/// 401, 403 and 404 (the feed is not enabled) are refusals; 429 and 503 are outages, which last as long as they say, at
/// most five minutes.
#[derive(Clone, Debug)]
pub struct GrantexFeed {
    api: Api,
    issuer: Box<str>,
    name: Box<str>,
    /// How long the log may wait with an answer, in seconds; `None`: a stream.
    wait: Option<u64>,
    readings: Readings,
}

impl GrantexFeed {
    /// The feed of the server at that base URL, such as `https://api.grantex.dev`, for the developer whose API key that is;
    /// about tokens of this issuer, as it is configured (`https://grantex.dev` for that server).
    ///
    /// ```
    /// use portcullis::{issuer::Connection, providers::grantex::GrantexFeed, status::FeedPolicy};
    ///
    /// # fn example(issuer: portcullis::Issuer, key: &str) -> Result<portcullis::Issuer, Box<dyn std::error::Error>> {
    /// let feed = GrantexFeed::at("https://api.grantex.dev", key, "https://grantex.dev", Connection::new()?)?;
    /// let issuer = issuer.revocation_feed(feed, FeedPolicy::default());
    /// # Ok(issuer)
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where the URL is not `https` (or `http` on loopback), or no server would take such a key.
    pub fn at(base_url: &str, api_key: &str, issuer: &str, connection: Connection) -> Result<Self, GrantexConfigError> {
        Ok(Self::new(Api::new(base_url, api_key, connection)?, issuer))
    }

    /// The same, of that server and developer.
    pub(super) fn new(api: Api, issuer: &str) -> Self {
        let name = format!("grantex {}", api.name()).into();
        Self { api, issuer: issuer.into(), name, wait: None, readings: Readings::default() }
    }

    /// Asks again and again what is new, where a stream does not come through or there would be too many of them (a server
    /// has 200 for each developer). The server answers as soon as there is something, and after `wait` at the latest, in
    /// whole seconds from 1 to 25: the nearest of these counts.
    ///
    /// Each answer is a heartbeat. With the default policy (silent for 3 seconds, stale after 5), 1 or 2 seconds are right,
    /// and that comes to 60 or 30 requests a minute, all of which count against the developer's plan.
    #[must_use]
    pub fn long_poll(mut self, wait: Duration) -> Self {
        self.wait = Some(wait.as_secs().clamp(1, LONGEST_WAIT));
        self
    }

    /// How logs and readiness call it, where one index hears feeds of several developers. Default: `grantex` and the URL.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    async fn read_snapshot(self, max_events: usize) -> Result<FeedSnapshot, FeedError> {
        let (limit, mut tokens, mut events) = (LIMIT.to_string(), HashSet::new(), Vec::new());
        let mut query = vec![("limit", limit)];
        let (mut cursor, mut as_of) = (u64::MAX, UnixTime::from_secs(u64::MAX));
        loop {
            let page = self.page(&query, self.api.connection(), true).await?;
            if page.entries.len() > max_events.saturating_sub(events.len()) {
                return Err(FeedError::TooLarge(max_events));
            }
            for entry in &page.entries {
                events.push(entry.event(&self.issuer)?);
            }
            cursor = cursor.min(page.cursor);
            as_of = as_of.min(page.server_time.ok_or(FeedError::Malformed("no time of a snapshot"))?);
            match page.next_page_token.filter(|token| !token.is_empty()) {
                Some(token) if !page.entries.is_empty() && tokens.insert(token.clone()) => {
                    query.truncate(1);
                    query.push(("pageToken", token));
                }
                Some(_) => return Err(FeedError::Malformed("pages without end")),
                None => break,
            }
        }
        let mark = self.mark(number_of_the_log(cursor)?).await?;
        Ok(FeedSnapshot::new(events, self.readings.begin(cursor, mark)).as_of(as_of))
    }

    /// By what the entry at that number is known, where the log holds it: so it is seen to be the same log later.
    async fn mark(&self, seq: u64) -> Result<Option<u32>, FeedError> {
        let Some(before) = seq.checked_sub(1) else { return Ok(None) };
        let page = self.changes(before, 0, 1).await?;
        Ok(page.entries.first().filter(|entry| entry.seq == seq).map(entry::Entry::mark))
    }

    /// What the log holds after that number, or will within so many seconds.
    async fn changes(&self, since: u64, wait: u64, limit: usize) -> Result<Page, FeedError> {
        let query = [("since", since.to_string()), ("wait", wait.to_string()), ("limit", limit.to_string())];
        let patient = self.api.connection().longer_by(Duration::from_secs(wait));
        self.page(&query, &patient, false).await
    }

    async fn page(
        &self,
        query: &[(&str, String)],
        connection: &Connection,
        of_snapshot: bool,
    ) -> Result<Page, FeedError> {
        let answer =
            connection.send(self.request(ENTRIES, query)?, MAX_PAGE).await.map_err(|error| unavailable(&error))?;
        self.accept(answer.status(), answer.headers(), !of_snapshot)?;
        let page: Page = serde_json::from_slice(answer.body())
            .map_err(|_| FeedError::Malformed("a page that is not as it should be"))?;
        if page.snapshot == of_snapshot { Ok(page) } else { Err(FeedError::Malformed("a page of something else")) }
    }

    /// The stream of what the log holds after that number, and of what is to come.
    async fn open(&self, since: u64) -> Result<Arriving, FeedError> {
        let mut request = self.request(STREAM, &[("since", since.to_string())])?;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        let answer = self.api.connection().open(request).await.map_err(|error| unavailable(&error))?;
        self.accept(answer.status(), answer.headers(), true)?;
        let content_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("text/event-stream") {
            return Err(FeedError::Malformed("something else than a stream of events"));
        }
        Ok(answer.into_body())
    }

    fn request(&self, path: &str, query: &[(&str, String)]) -> Result<Request<Bytes>, FeedError> {
        let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.api.request(Method::GET, path, &query, None).map_err(|error| unavailable(&error))
    }

    /// Whether the answer is one; else what it says.
    fn accept(&self, status: StatusCode, headers: &HeaderMap, has_position: bool) -> Result<(), FeedError> {
        let now = self.api.connection().environment().clock.now();
        Err(match status.as_u16() {
            200 => return Ok(()),
            404 => FeedError::Refused("404: the feed is not enabled".to_owned()),
            401 | 403 => FeedError::Refused(format!("{status}: the API key")),
            // It does not know the position that we ask for.
            400 | 410 if has_position => FeedError::Gap,
            _ => FeedError::Unavailable {
                reason: format!("the answer is {status}"),
                retry_after: retry_after(headers, now.wall()),
            },
        })
    }
}

fn unavailable(error: &TransportError) -> FeedError {
    FeedError::Unavailable { reason: observe::chain(error), retry_after: None }
}

impl RevocationFeed for GrantexFeed {
    fn label(&self) -> String {
        self.name.to_string()
    }

    fn issuer(&self) -> Option<&str> {
        Some(&self.issuer)
    }

    fn snapshot(&self, max_events: usize) -> FeedAnswer {
        Box::pin(self.clone().read_snapshot(max_events))
    }

    fn tail(&self, after: Cursor) -> FeedMessages {
        tail::tail(self.clone(), after)
    }
}
