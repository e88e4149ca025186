//! What is revoked: one token, or all that have something in common.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::wire::RevocationMembers;
use crate::{clock::UnixTime, crypto::Sha256, token::Jws};

/// One token, or all tokens of an issuer that have something in common, which are no longer to be accepted.
///
/// ```
/// use portcullis::{clock::UnixTime, status::Revocation};
///
/// // One token, until it would have expired anyway.
/// let one = Revocation::token_id(Some("https://idp.example"), "tok-1").expires_at(UnixTime::from_secs(1_900_000_000));
/// // Log out everywhere: every token of the user that was issued up to now.
/// let all = Revocation::subject(Some("https://idp.example"), "user-1", UnixTime::from_secs(1_899_990_000));
/// assert_ne!(one, all);
/// ```
///
/// With serde it is one flat JSON object: `iss`; one of `jti`, `token_sha256` (base64url), `sid`, `sub`, `client_id`,
/// `grant`, `act`, or `"issuer_wide": true`; and `issued_up_to`, `exp`, `revoked_at` in seconds since the epoch.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "RevocationMembers", try_from = "RevocationMembers")]
pub struct Revocation {
    issuer: Option<Box<str>>,
    target: RevocationTarget,
    issued_up_to: Option<UnixTime>,
    expires_at: Option<UnixTime>,
    revoked_at: Option<UnixTime>,
}

/// What the tokens of a [`Revocation`] have in common.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationTarget {
    /// Their `jti`: one token.
    TokenId(Box<str>),
    /// The SHA-256 digest of their text: one token, whoever issued it. Of a JWT rather the digest of its text up to the
    /// last dot, without the signature: see [`Revocation::token`].
    TokenDigest([u8; 32]),
    /// Their session, `sid`.
    Session(Box<str>),
    /// Their subject, `sub`.
    Subject(Box<str>),
    /// The client they were issued to, `client_id`.
    Client(Box<str>),
    /// A grant they stem from: see [`Issuer::grant_claim`](crate::Issuer::grant_claim).
    Grant(Box<str>),
    /// Somebody who acts with them, `act.sub`, at whatever depth.
    Actor(Box<str>),
    /// Only their issuer.
    Issuer,
}

impl Revocation {
    /// Tokens of `issuer` (`None`: of the one issuer that has no identifier) with this in common, whenever issued.
    #[must_use]
    pub fn new(issuer: Option<&str>, target: RevocationTarget) -> Self {
        Self { issuer: issuer.map(Into::into), target, issued_up_to: None, expires_at: None, revoked_at: None }
    }

    /// The token with this `jti`.
    #[must_use]
    pub fn token_id(issuer: Option<&str>, token_id: &str) -> Self {
        Self::new(issuer, RevocationTarget::TokenId(token_id.into()))
    }

    /// The token of this text. Only a digest is kept: of a JWT, that of what is signed. An ECDSA signature can be written
    /// in another way by whoever holds the token, and holds as well.
    #[must_use]
    pub fn token(text: &str) -> Self {
        Self::new(None, RevocationTarget::TokenDigest(Self::digest(text.as_bytes())))
    }

    /// The tokens of this session.
    #[must_use]
    pub fn session(issuer: Option<&str>, session_id: &str) -> Self {
        Self::new(issuer, RevocationTarget::Session(session_id.into()))
    }

    /// The tokens that stem from this grant.
    #[must_use]
    pub fn grant(issuer: Option<&str>, grant: &str) -> Self {
        Self::new(issuer, RevocationTarget::Grant(grant.into()))
    }

    /// The tokens that speak for this subject and were issued up to an instant.
    #[must_use]
    pub fn subject(issuer: Option<&str>, subject: &str, issued_up_to: UnixTime) -> Self {
        Self::new(issuer, RevocationTarget::Subject(subject.into())).issued_up_to(issued_up_to)
    }

    /// The tokens that were issued to this client up to an instant.
    #[must_use]
    pub fn client(issuer: Option<&str>, client_id: &str, issued_up_to: UnixTime) -> Self {
        Self::new(issuer, RevocationTarget::Client(client_id.into())).issued_up_to(issued_up_to)
    }

    /// The tokens with which this actor acts and that were issued up to an instant.
    #[must_use]
    pub fn actor(issuer: Option<&str>, actor: &str, issued_up_to: UnixTime) -> Self {
        Self::new(issuer, RevocationTarget::Actor(actor.into())).issued_up_to(issued_up_to)
    }

    /// Every token of this issuer that was issued up to an instant.
    #[must_use]
    pub fn issuer(issuer: Option<&str>, issued_up_to: UnixTime) -> Self {
        Self::new(issuer, RevocationTarget::Issuer).issued_up_to(issued_up_to)
    }

    /// Of these tokens only those that were issued up to this instant: `iat`, in the issuer's time, whole seconds, at or
    /// before it. A token that does not say when it was issued is among them.
    #[must_use]
    pub const fn issued_up_to(mut self, instant: UnixTime) -> Self {
        self.issued_up_to = Some(instant);
        self
    }

    /// When the last of these tokens will have expired, so that nothing needs to be remembered any longer.
    #[must_use]
    pub const fn expires_at(mut self, instant: UnixTime) -> Self {
        self.expires_at = Some(instant);
        self
    }

    /// When this was decided, by a clock within five minutes of ours. Default: when it is first heard of. Whoever keeps
    /// revocations for others says so, or they seem new to everybody who starts later.
    #[must_use]
    pub const fn revoked_at(mut self, instant: UnixTime) -> Self {
        self.revoked_at = Some(instant);
        self
    }

    /// Whose tokens these are; `None` for the one issuer that has no identifier, and where the text says it all.
    #[must_use]
    pub fn issuer_identifier(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// What they have in common.
    #[must_use]
    pub const fn target(&self) -> &RevocationTarget {
        &self.target
    }

    pub(super) fn into_target(self) -> RevocationTarget {
        self.target
    }

    /// The latest instant of issue among them; `None`: whenever they were issued.
    #[must_use]
    pub const fn latest_issue(&self) -> Option<UnixTime> {
        self.issued_up_to
    }

    /// When the last of them will have expired, where that is known.
    #[must_use]
    pub const fn expiry(&self) -> Option<UnixTime> {
        self.expires_at
    }

    /// When it was decided, where that was said.
    #[must_use]
    pub const fn decision(&self) -> Option<UnixTime> {
        self.revoked_at
    }

    /// The same tokens, where they are this issuer's.
    pub(crate) fn of_issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// How the text of a token is known, however its signature is written.
    pub(super) fn digest(text: &[u8]) -> [u8; 32] {
        Sha256::of(Jws::parse(text, &mut Vec::new()).map_or(text, |jws| jws.signed()))
    }

    /// How it is known to those who took the digest of all of it.
    pub(super) fn digest_of_all(text: &[u8]) -> [u8; 32] {
        Sha256::of(text)
    }
}

impl fmt::Debug for Revocation {
    /// Who or what was revoked is nobody's business in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation").field("target", &self.target).finish_non_exhaustive()
    }
}

impl fmt::Debug for RevocationTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TokenId(_) => "TokenId",
            Self::TokenDigest(_) => "TokenDigest",
            Self::Session(_) => "Session",
            Self::Subject(_) => "Subject",
            Self::Client(_) => "Client",
            Self::Grant(_) => "Grant",
            Self::Actor(_) => "Actor",
            Self::Issuer => "Issuer",
        })
    }
}
