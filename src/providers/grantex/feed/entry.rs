//! What the feed writes as JSON → what happened to which tokens, and when.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    clock::UnixTime,
    status::{FeedError, Revocation, RevocationEvent},
};

/// An entry of the log, or of a snapshot.
#[derive(Debug, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    /// Where in the log it stands; zero in a snapshot.
    pub(super) seq: u64,
    action: Box<str>,
    grant_id: Option<Box<str>>,
    jti: Option<Box<str>>,
    #[serde(default, deserialize_with = "instant")]
    expires_at: Option<UnixTime>,
    /// In the log, when it was written; in a snapshot, something else.
    #[serde(default, deserialize_with = "instant")]
    pub(super) at: Option<UnixTime>,
}

/// A page of entries.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) cursor: u64,
    /// Whether it is of a snapshot, and not of the log.
    pub(super) snapshot: bool,
    pub(super) next_page_token: Option<String>,
    #[serde(default, deserialize_with = "instant")]
    pub(super) server_time: Option<UnixTime>,
}

/// How far the log was read, and when: `ready` and `heartbeat`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Beat {
    pub(super) cursor: u64,
    /// When the log was last read, in a heartbeat.
    #[serde(default, deserialize_with = "instant")]
    pub(super) fresh_at: Option<UnixTime>,
    /// In `ready`, which comes as soon as it was read.
    #[serde(default, deserialize_with = "instant")]
    pub(super) server_time: Option<UnixTime>,
}

impl Entry {
    /// What happened, to tokens of this issuer.
    ///
    /// Of an action that we do not know, this much is known: something happened to that grant. It is suspended until the
    /// log says that it was resumed, or a snapshot does not name it any more.
    pub(super) fn event(&self, issuer: &str) -> Result<RevocationEvent, FeedError> {
        let named = |name: &Option<Box<str>>| name.clone().filter(|name| !name.is_empty());
        let (grant, jti) = (named(&self.grant_id), named(&self.jti));
        let token = jti.map(|jti| Revocation::token_id(Some(issuer), &jti));
        let grant = grant.map(|grant| Revocation::grant(Some(issuer), &grant));
        let (event, about): (fn(Revocation) -> RevocationEvent, _) = match (&*self.action, token) {
            ("token_revoked", Some(token)) => (RevocationEvent::Revoked, Some(token)),
            ("revoked", token) => (RevocationEvent::Revoked, grant.or(token)),
            ("resumed", token) => (RevocationEvent::Resumed, grant.or(token)),
            (_, token) => (RevocationEvent::Suspended, grant.or(token)),
        };
        let mut about = about.ok_or(FeedError::Malformed("an entry about nothing"))?;
        if let Some(instant) = self.expires_at {
            about = about.expires_at(instant);
        }
        // A snapshot says there when a grant was issued, or when a token expires.
        if let Some(instant) = self.at.filter(|_| self.seq > 0) {
            about = about.revoked_at(instant);
        }
        Ok(event(about))
    }

    /// By what it is known when it is met again within this process.
    pub(super) fn mark(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// An RFC 3339 text, cut off to whole seconds. Anything else says nothing: an entry without an end is kept, and a message
/// without a time is refused where it is needed.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixTime>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let read = value.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    Ok(read.and_then(|time| u64::try_from(time.unix_timestamp()).ok()).map(UnixTime::from_secs))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    const ISSUER: &str = "https://grantex.dev";

    fn entry(value: Value) -> Entry {
        from_value(value).unwrap()
    }

    #[test]
    fn an_entry_says_what_happened_to_whom() {
        let (grant, token) = (Revocation::grant(Some(ISSUER), "g"), Revocation::token_id(Some(ISSUER), "t"));
        let malformed = Err(FeedError::Malformed("an entry about nothing"));
        let rows = [
            ("revoked", json!("g"), json!(null), Ok(RevocationEvent::Revoked(grant.clone()))),
            ("revoked", json!("g"), json!("t"), Ok(RevocationEvent::Revoked(grant.clone()))),
            ("revoked", json!(null), json!("t"), Ok(RevocationEvent::Revoked(token.clone()))),
            ("suspended", json!("g"), json!(null), Ok(RevocationEvent::Suspended(grant.clone()))),
            ("resumed", json!("g"), json!(null), Ok(RevocationEvent::Resumed(grant.clone()))),
            ("resumed", json!(null), json!("t"), Ok(RevocationEvent::Resumed(token.clone()))),
            ("token_revoked", json!("g"), json!("t"), Ok(RevocationEvent::Revoked(token.clone()))),
            ("token_revoked", json!(null), json!("t"), Ok(RevocationEvent::Revoked(token.clone()))),
            // What we do not understand is refused, and is not for good.
            ("token_revoked", json!("g"), json!(null), Ok(RevocationEvent::Suspended(grant.clone()))),
            ("burnt", json!("g"), json!("t"), Ok(RevocationEvent::Suspended(grant.clone()))),
            ("Resumed", json!("g"), json!(null), Ok(RevocationEvent::Suspended(grant))),
            ("", json!(""), json!("t"), Ok(RevocationEvent::Suspended(token))),
            ("revoked", json!(null), json!(null), malformed.clone()),
            ("resumed", json!(""), json!(""), malformed.clone()),
            ("burnt", json!(null), json!(null), malformed),
        ];
        for (action, grant, jti, expected) in rows {
            let read = entry(json!({ "seq": 3, "action": action, "grantId": grant, "jti": jti }));
            assert_eq!(read.event(ISSUER), expected, "{action} {grant} {jti}");
        }
    }

    #[test]
    fn instants_are_rfc_3339_and_anything_else_says_nothing() {
        let end = UnixTime::from_secs(1_795_309_162);
        let rows = [
            (json!("2026-11-22T00:59:22.999Z"), Some(end)),
            (json!("2026-11-22T02:59:22+02:00"), Some(end)),
            (json!("2026-11-22T00:59:22.000000+00:00"), Some(end)),
            (json!("1969-12-31T23:59:59Z"), None),
            (json!("2026-11-22T00:59:22"), None),
            (json!("2026-11-22"), None),
            (json!("soon"), None),
            (json!(1_795_309_162), None),
            (json!({ "a": [1] }), None),
            (json!(null), None),
        ];
        for (text, expected) in rows {
            let mut value = json!({ "seq": 3, "action": "revoked", "grantId": "g", "jti": null });
            (value["expiresAt"], value["at"]) = (text.clone(), text.clone());
            let RevocationEvent::Revoked(about) = entry(value.clone()).event(ISSUER).unwrap() else { panic!() };
            assert_eq!((about.expiry(), about.decision()), (expected, expected), "{text}");
            value["seq"] = json!(0);
            let RevocationEvent::Revoked(about) = entry(value).event(ISSUER).unwrap() else { panic!() };
            assert_eq!((about.expiry(), about.decision()), (expected, None), "of a snapshot, {text}");
        }
    }

    #[test]
    fn an_entry_is_known_again_by_all_that_it_says() {
        let value = json!({ "seq": 3, "action": "revoked", "grantId": "g", "jti": null, "at": "2026-11-22T00:59:22Z" });
        let mark = entry(value.clone()).mark();
        assert_eq!(entry(value.clone()).mark(), mark);
        for (name, other) in [
            ("seq", json!(4)),
            ("action", json!("resumed")),
            ("grantId", json!("h")),
            ("jti", json!("t")),
            ("at", json!("2026-11-22T00:59:23Z")),
            ("expiresAt", json!("2026-11-22T00:59:22Z")),
        ] {
            let mut changed = value.clone();
            changed[name] = other;
            assert_ne!(entry(changed).mark(), mark, "{name}");
        }
    }

    #[test]
    fn what_is_not_an_entry_is_refused() {
        for bad in [
            json!({ "action": "revoked", "grantId": "g" }),
            json!({ "seq": -1, "action": "revoked", "grantId": "g" }),
            json!({ "seq": "1", "action": "revoked", "grantId": "g" }),
            json!({ "seq": 1, "grantId": "g" }),
            json!({ "seq": 1, "action": "revoked", "grantId": 7 }),
            json!([1]),
        ] {
            assert!(from_value::<Entry>(bad.clone()).is_err(), "{bad}");
        }
        let twice = r#"{"seq":1,"action":"resumed","action":"revoked","grantId":"g"}"#;
        assert!(serde_json::from_str::<Entry>(twice).is_err());
    }
}
