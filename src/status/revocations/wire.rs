//! A [`RevocationEvent`] or [`Revocation`] ↔ one flat JSON object, as feeds keep it.
//!
//! ```json
//! {"event":"revoke","iss":"https://idp.example","sub":"user-1","issued_up_to":1899990000}
//! ```
//!
//! Whatever is unknown, repeated or contradictory is refused: a member that is overlooked could make a revocation wider
//! or narrower than was meant.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Revocation, RevocationEvent, RevocationTarget};
use crate::{clock::UnixTime, crypto::base64url};

/// What happened, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Happened {
    #[default]
    Revoke,
    Suspend,
    Resume,
}

/// The members of such an object; instants in seconds since the epoch. `null` is not the same as nothing.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RevocationMembers {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) event: Option<Happened>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) iss: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) jti: Option<Box<str>>,
    /// The text of a token: read, and never written.
    #[serde(skip_serializing, deserialize_with = "present")]
    pub(crate) token: Option<Box<str>>,
    /// The SHA-256 digest of a token's text, of a JWT rather without the signature; in base64url.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) token_sha256: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) sid: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) sub: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) client_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) grant: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) act: Option<Box<str>>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) issuer_wide: bool,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) issued_up_to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) exp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) revoked_at: Option<u64>,
}

/// A member that is there has a value.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Members that do not make a revocation together.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum MembersError {
    #[error("not exactly one target")]
    Target,
    #[error("not a SHA-256 digest")]
    Digest,
    #[error("an event where none belongs")]
    Event,
}

impl From<Revocation> for RevocationMembers {
    fn from(revocation: Revocation) -> Self {
        let mut members = Self {
            iss: revocation.issuer_identifier().map(Into::into),
            issued_up_to: revocation.latest_issue().map(UnixTime::as_secs),
            exp: revocation.expiry().map(UnixTime::as_secs),
            revoked_at: revocation.decision().map(UnixTime::as_secs),
            ..Self::default()
        };
        match revocation.into_target() {
            RevocationTarget::TokenId(id) => members.jti = Some(id),
            RevocationTarget::TokenDigest(digest) => members.token_sha256 = Some(base64url::encode(&digest).into()),
            RevocationTarget::Session(id) => members.sid = Some(id),
            RevocationTarget::Subject(id) => members.sub = Some(id),
            RevocationTarget::Client(id) => members.client_id = Some(id),
            RevocationTarget::Grant(id) => members.grant = Some(id),
            RevocationTarget::Actor(id) => members.act = Some(id),
            RevocationTarget::Issuer => members.issuer_wide = true,
        }
        members
    }
}

impl From<RevocationEvent> for RevocationMembers {
    fn from(event: RevocationEvent) -> Self {
        let (happened, revocation) = match event {
            RevocationEvent::Revoked(revocation) => (Happened::Revoke, revocation),
            RevocationEvent::Suspended(revocation) => (Happened::Suspend, revocation),
            RevocationEvent::Resumed(revocation) => (Happened::Resume, revocation),
        };
        Self { event: Some(happened), ..Self::from(revocation) }
    }
}

impl RevocationMembers {
    /// The names that it gives its target.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let Self { jti, token, token_sha256, sid, sub, client_id, grant, act, .. } = self;
        [jti, token, token_sha256, sid, sub, client_id, grant, act].into_iter().filter_map(Option::as_deref)
    }

    fn revocation(self) -> Result<Revocation, MembersError> {
        let digest = self.token_sha256.map(|text| digest(&text)).transpose()?;
        let mut targets = [
            self.jti.map(RevocationTarget::TokenId),
            digest.map(RevocationTarget::TokenDigest),
            self.token.map(|text| RevocationTarget::TokenDigest(Revocation::digest(text.as_bytes()))),
            self.sid.map(RevocationTarget::Session),
            self.sub.map(RevocationTarget::Subject),
            self.client_id.map(RevocationTarget::Client),
            self.grant.map(RevocationTarget::Grant),
            self.act.map(RevocationTarget::Actor),
            self.issuer_wide.then_some(RevocationTarget::Issuer),
        ]
        .into_iter()
        .flatten();
        let (Some(target), None) = (targets.next(), targets.next()) else { return Err(MembersError::Target) };
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

fn digest(text: &str) -> Result<[u8; 32], MembersError> {
    base64url::decode(text.as_bytes()).and_then(|bytes| bytes.try_into().ok()).ok_or(MembersError::Digest)
}

impl TryFrom<RevocationMembers> for Revocation {
    type Error = MembersError;

    fn try_from(members: RevocationMembers) -> Result<Self, MembersError> {
        if members.event.is_some() { Err(MembersError::Event) } else { members.revocation() }
    }
}

impl TryFrom<RevocationMembers> for RevocationEvent {
    type Error = MembersError;

    /// What does not say otherwise is revoked.
    fn try_from(members: RevocationMembers) -> Result<Self, MembersError> {
        let event = members.event.unwrap_or_default();
        let revocation = members.revocation()?;
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
        let text = RevocationEvent::Revoked(Revocation::token("text"));
        assert_eq!(serde_json::from_str::<RevocationEvent>(r#"{"token":"text"}"#).unwrap(), text);
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
            r#"{"jti":"t","sid":null}"#,
            r#"{"jti":"t","iss":null}"#,
            r#"{"sub":"u","issued_up_to":null}"#,
            r#"{"jti":"t","token":"text"}"#,
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
