//! Method, headers and body → the events that the caller may report.

use std::{collections::BTreeSet, fmt, ops::Range};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body::Body;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use url::form_urlencoded;

use super::{Inner, refusal::Refusal};
use crate::{
    middleware::mounted::{self, Unread},
    policy::AccessToken,
    status::{Happened, RevocationEvent, RevocationMembers},
};

/// The longest body that is read, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// The most events in one body.
const MAX_EVENTS: usize = 1000;
/// Instants in seconds since the epoch lie in between; what does not was meant in another unit.
const INSTANTS: Range<u64> = 1_000_000_000..100_000_000_000;

/// Whoever wants something revoked.
pub(super) struct Caller<'r> {
    pub(super) endpoint: &'r Inner,
    pub(super) token: &'r AccessToken,
}

impl Caller<'_> {
    /// The issuer of the caller's token, as it is configured; `None` where it has no identifier.
    fn issuer(&self) -> Option<&str> {
        self.token.rules().issuer.as_deref()
    }

    /// By another name only where the issuer has none, and the token says one.
    fn may_speak_for(&self, issuer: &str) -> bool {
        let own = self.issuer().or_else(|| self.token.issuer());
        own == Some(issuer) || self.endpoint.issuers.iter().any(|other| **other == *issuer)
    }

    /// Of a form: one token, which may be of any issuer that the caller may speak for.
    pub(super) fn token(&self, body: &[u8]) -> Result<Vec<RevocationEvent>, Refusal> {
        let (mut seen, mut token) = (BTreeSet::new(), None);
        for (name, value) in form_urlencoded::parse(body) {
            if name == "token" {
                token = Some(value.into_owned());
            }
            if !seen.insert(name) {
                return Err(Refusal::Malformed("a parameter stands twice".to_owned()));
            }
        }
        let token = token.filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| Refusal::Malformed("there is no token".to_owned()))?;
        let others = self.endpoint.issuers.iter().map(|issuer| Some(&**issuer));
        let issuers: BTreeSet<Option<&str>> = others.chain([self.issuer()]).collect();
        let of = |issuer: Option<&str>| RevocationMembers {
            iss: issuer.map(Into::into),
            token: Some(token.as_str().into()),
            ..RevocationMembers::default()
        };
        issuers.into_iter().map(|issuer| self.event(of(issuer))).collect()
    }

    /// Of JSON: one event, or an array of them.
    pub(super) fn events(&self, body: &[u8]) -> Result<Vec<RevocationEvent>, Refusal> {
        let is_array = body.trim_ascii_start().first() == Some(&b'[');
        let read = if is_array {
            serde_json::from_slice::<Batch>(body).map(|batch| batch.0)
        } else {
            serde_json::from_slice(body).map(|one| vec![one])
        };
        // The error itself would repeat what it did not expect.
        let members = read.map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Refusal::Malformed(format!("no event, or none of ours, at line {line}, column {column}"))
        })?;
        if members.is_empty() || members.len() > MAX_EVENTS {
            return Err(Refusal::Malformed(format!("not between one event and {MAX_EVENTS}")));
        }
        let numbered = members.into_iter().zip(1..);
        numbered.map(|(members, number)| self.event(members).map_err(|refusal| refusal.of_event(number))).collect()
    }

    /// What is to be taken in, if all of it is the caller's to say.
    fn event(&self, mut members: RevocationMembers) -> Result<RevocationEvent, Refusal> {
        let malformed = |what: &str| Err(Refusal::Malformed(what.to_owned()));
        if members.names().any(str::is_empty) {
            return malformed("an empty name");
        }
        if [members.issued_up_to, members.exp].into_iter().flatten().any(|instant| !INSTANTS.contains(&instant)) {
            return malformed("an instant that is not in seconds since the epoch");
        }
        if members.revoked_at.is_some() {
            return malformed("revoked_at is not for the caller to say");
        }
        match members.iss.as_deref() {
            None => members.iss = self.issuer().map(Into::into),
            Some(issuer) if self.may_speak_for(issuer) => {}
            Some(_) => return Err(Refusal::Foreign),
        }
        if members.event != Some(Happened::Resume) {
            let now = self.endpoint.authorizer.now().wall().as_secs();
            members.revoked_at = Some(now);
            if members.sub.is_some() || members.client_id.is_some() || members.act.is_some() || members.issuer_wide {
                members.issued_up_to.get_or_insert(now);
            }
        }
        RevocationEvent::try_from(members).or_else(|error| malformed(&error.to_string()))
    }
}

/// The events of an array, and one more where there are too many: the others of a hostile array are not kept.
struct Batch(Vec<RevocationMembers>);

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BatchVisitor;

        impl<'de> Visitor<'de> for BatchVisitor {
            type Value = Batch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of events")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Batch, A::Error> {
                let mut events = Vec::new();
                while events.len() <= MAX_EVENTS {
                    match array.next_element()? {
                        Some(event) => events.push(event),
                        None => return Ok(Batch(events)),
                    }
                }
                while array.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Batch(events))
            }
        }

        deserializer.deserialize_seq(BatchVisitor)
    }
}

/// How a body is written.
pub(super) enum Form {
    Json,
    Urlencoded,
}

impl Form {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Result<Self, Refusal> {
        if method != Method::POST {
            return Err(Refusal::Method);
        }
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name) && !headers.contains_key(header::CONTENT_ENCODING);
        match () {
            () if is("application/json") => Ok(Self::Json),
            () if is("application/x-www-form-urlencoded") => Ok(Self::Urlencoded),
            () => Err(Refusal::MediaType),
        }
    }
}

/// The whole body.
pub(super) async fn read<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    mounted::read(body, MAX_BODY).await.map_err(|unread| match unread {
        Unread::TooLong => Refusal::TooLong,
        Unread::Broken => Refusal::Malformed("the body could not be read".to_owned()),
    })
}
