//! A [`RevocationEvent`] or [`Revocation`] ↔ one flat JSON object, as feeds keep it.
//!
//! ```json
//! {"event":"revoke","iss":"https://idp.example","sub":"user-1","issued_up_to":1899990000}
//! ```
//!
//! Whatever is unknown, repeated or contradictory is refused: a member that is overlooked could make a revocation wider
//! or narrower than was meant.

use serde::{Deserialize, Serialize};

use super::{Revocation, RevocationEvent, RevocationTarget};
use crate::{clock::UnixTime, crypto::base64url};

/// What happened, by name.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Happened {
    #[default]
    Revoke,
    Suspend,
    Resume,
}

/// The members, in seconds since the epoch where they are instants.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wire {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Happened>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Box<str>>,
    /// The SHA-256 digest of a token's text, in base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_sha256: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<str>>,
    #[serde(skip_serializing_if = "is_false")]
    issuer_wide: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_up_to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Members that do not make a revocation together.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("not exactly one target")]
    Target,
    #[error("not a SHA-256 digest")]
    Digest,
    #[error("an event where none belongs")]
    Event,
}

impl From<Revocation> for Wire {
    fn from(revocation: Revocation) -> Self {
        let mut wire = Self {
            iss: revocation.issuer_identifier().map(Into::into),
            issued_up_to: revocation.latest_issue().map(UnixTime::as_secs),
            exp: revocation.expiry().map(UnixTime::as_secs),
            revoked_at: revocation.decision().map(UnixTime::as_secs),
            ..Self::default()
        };
        match revocation.into_target() {
            RevocationTarget::TokenId(id) => wire.jti = Some(id),
            RevocationTarget::TokenDigest(digest) => wire.token_sha256 = Some(base64url::encode(&digest).into()),
            RevocationTarget::Session(id) => wire.sid = Some(id),
            RevocationTarget::Subject(id) => wire.sub = Some(id),
            RevocationTarget::Client(id) => wire.client_id = Some(id),
            RevocationTarget::Grant(id) => wire.grant = Some(id),
            RevocationTarget::Actor(id) => wire.act = Some(id),
            RevocationTarget::Issuer => wire.issuer_wide = true,
        }
        wire
    }
}

impl From<RevocationEvent> for Wire {
    fn from(event: RevocationEvent) -> Self {
        let (happened, revocation) = match event {
            RevocationEvent::Revoked(revocation) => (Happened::Revoke, revocation),
            RevocationEvent::Suspended(revocation) => (Happened::Suspend, revocation),
            RevocationEvent::Resumed(revocation) => (Happened::Resume, revocation),
        };
        Self { event: Some(happened), ..Self::from(revocation) }
    }
}

impl Wire {
    fn revocation(self) -> Result<Revocation, WireError> {
        let digest = self.token_sha256.map(|text| digest(&text)).transpose()?;
        let mut targets = [
            self.jti.map(RevocationTarget::TokenId),
            digest.map(RevocationTarget::TokenDigest),
            self.sid.map(RevocationTarget::Session),
            self.sub.map(RevocationTarget::Subject),
            self.client_id.map(RevocationTarget::Client),
            self.grant.map(RevocationTarget::Grant),
            self.act.map(RevocationTarget::Actor),
            self.issuer_wide.then_some(RevocationTarget::Issuer),
        ]
        .into_iter()
        .flatten();
        let (Some(target), None) = (targets.next(), targets.next()) else { return Err(WireError::Target) };
        let mut revocation = Revocation::new(self.iss.as_deref(), target);
        if let Some(seconds) = self.issued_up_to {
            revocation = revocation.issued_up_to(UnixTime::from_secs(seconds));
        }
        if let Some(seconds) = self.exp {
            revocation = revocation.expires_at(UnixTime::from_secs(seconds));
        }
        if let Some(seconds) = self.revoked_at {
            revocation = revocation.revoked_at(UnixTime::from_secs(seconds));
        }
        Ok(revocation)
    }
}

fn digest(text: &str) -> Result<[u8; 32], WireError> {
    base64url::decode(text.as_bytes()).and_then(|bytes| bytes.try_into().ok()).ok_or(WireError::Digest)
}

impl TryFrom<Wire> for Revocation {
    type Error = WireError;

    fn try_from(wire: Wire) -> Result<Self, WireError> {
        if wire.event.is_some() { Err(WireError::Event) } else { wire.revocation() }
    }
}

impl TryFrom<Wire> for RevocationEvent {
    type Error = WireError;

    /// What does not say otherwise is revoked.
    fn try_from(wire: Wire) -> Result<Self, WireError> {
        let event = wire.event.unwrap_or_default();
        let revocation = wire.revocation()?;
        Ok(match event {
            Happened::Revoke => Self::Revoked(revocation),
            Happened::Suspend => Self::Suspended(revocation),
            Happened::Resume => Self::Resumed(revocation),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_the_wire_in_one_form() {
        let (issuer, at) = (Some("https://idp.example"), UnixTime::from_secs(7));
        let rows = [
            (
                RevocationEvent::Revoked(Revocation::token_id(issuer, "t").expires_at(at)),
                r#"{"event":"revoke","iss":"https://idp.example","jti":"t","exp":7}"#,
            ),
            (
                RevocationEvent::Suspended(Revocation::subject(issuer, "u", at).revoked_at(UnixTime::from_secs(9))),
                r#"{"event":"suspend","iss":"https://idp.example","sub":"u","issued_up_to":7,"revoked_at":9}"#,
            ),
            (RevocationEvent::Resumed(Revocation::session(None, "s")), r#"{"event":"resume","sid":"s"}"#),
            (RevocationEvent::Revoked(Revocation::grant(None, "g")), r#"{"event":"revoke","grant":"g"}"#),
            (
                RevocationEvent::Revoked(Revocation::client(None, "c", at)),
                r#"{"event":"revoke","client_id":"c","issued_up_to":7}"#,
            ),
            (
                RevocationEvent::Revoked(Revocation::actor(None, "a", at)),
                r#"{"event":"revoke","act":"a","issued_up_to":7}"#,
            ),
            (
                RevocationEvent::Revoked(Revocation::issuer(issuer, at)),
                r#"{"event":"revoke","iss":"https://idp.example","issuer_wide":true,"issued_up_to":7}"#,
            ),
            (
                RevocationEvent::Revoked(Revocation::token("text")),
                r#"{"event":"revoke","token_sha256":"mC2ePrmW9VnmM_TRlN7zdh2Qn1o7ZH0ahR_q1nwyydE"}"#,
            ),
        ];
        for (event, json) in rows {
            assert_eq!(serde_json::to_string(&event).unwrap(), json);
            assert_eq!(serde_json::from_str::<RevocationEvent>(json).unwrap(), event);
        }
        let bare = r#"{"jti":"t"}"#;
        assert_eq!(serde_json::from_str::<Revocation>(bare).unwrap(), Revocation::token_id(None, "t"));
        assert_eq!(serde_json::to_string(&Revocation::token_id(None, "t")).unwrap(), bare);
    }

    #[test]
    fn what_is_unknown_repeated_or_contradictory_is_no_event_threat_27() {
        for json in [
            "{}",
            r#"{"iss":"i"}"#,
            r#"{"iss":"i","issuer_wide":false}"#,
            r#"{"jti":null}"#,
            r#"{"jti":"t","sid":"s"}"#,
            r#"{"jti":"t","issuer_wide":true}"#,
            r#"{"jti":"t","jti":"u"}"#,
            r#"{"sub":"u","issued_upto":7}"#,
            r#"{"sub":"u","issued_up_to":"7"}"#,
            r#"{"sub":"u","issued_up_to":-7}"#,
            r#"{"sub":7}"#,
            r#"{"event":"forget","jti":"t"}"#,
            r#"{"token_sha256":"mC2e"}"#,
            r#"{"token_sha256":"text"}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<RevocationEvent>(json).is_err(), "{json}");
            assert!(serde_json::from_str::<Revocation>(json).is_err(), "{json}");
        }
        assert!(serde_json::from_str::<Revocation>(r#"{"event":"resume","jti":"t"}"#).is_err());
    }
}
