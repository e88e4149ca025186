//! What is sent for tokens, and what the answers say: codes and refresh tokens → [`GrantTokens`]; a token → [`Verification`].

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::json::{Moment, Object, Word, present};
use crate::clock::UnixTime;

/// A code that a user's consent brought, to be exchanged for tokens.
#[derive(Clone)]
pub struct ExchangeRequest {
    code: String,
    agent_id: String,
    code_verifier: Option<String>,
    redirect_uri: Option<String>,
}

impl ExchangeRequest {
    /// The code, and the agent that asked for it.
    #[must_use]
    pub fn new(code: impl Into<String>, agent_id: impl Into<String>) -> Self {
        Self { code: code.into(), agent_id: agent_id.into(), code_verifier: None, redirect_uri: None }
    }

    /// [`Pkce::verifier`](super::Pkce::verifier), where the authorization request had a challenge.
    #[must_use]
    pub fn code_verifier(mut self, verifier: impl Into<String>) -> Self {
        self.code_verifier = Some(verifier.into());
        self
    }

    /// The redirect URI of the authorization request, where it had one: from 0.6 on it is wanted again.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    pub(super) fn body(self) -> Value {
        let members = [
            ("code", Some(self.code)),
            ("agentId", Some(self.agent_id)),
            ("codeVerifier", self.code_verifier),
            ("redirectUri", self.redirect_uri),
        ];
        let said = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
        Value::Object(said.collect::<Map<_, _>>())
    }
}

impl fmt::Debug for ExchangeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeRequest").field("agent_id", &self.agent_id).finish_non_exhaustive()
    }
}

/// The tokens of a grant.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantTokens {
    grant_token: Box<str>,
    expires_at: UnixTime,
    scopes: Vec<Box<str>>,
    refresh_token: Box<str>,
    grant_id: Box<str>,
}

impl GrantTokens {
    /// The JWT that the agent shows.
    #[must_use]
    pub fn grant_token(&self) -> &str {
        &self.grant_token
    }

    /// When it expires.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// What was granted.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(|scope| &**scope)
    }

    /// What brings the next grant token, once: keep it before anything else.
    #[must_use]
    pub fn refresh_token(&self) -> &str {
        &self.refresh_token
    }

    /// The grant, which a refresh does not change.
    #[must_use]
    pub fn grant_id(&self) -> &str {
        &self.grant_id
    }

    /// The body of an answer of success.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            grant_token: Word,
            expires_at: Moment,
            scopes: Vec<Box<str>>,
            refresh_token: Word,
            grant_id: Word,
        }
        let read: Result<Object<Wire>, _> = serde_json::from_slice(body);
        let Object(wire) = read.map_err(|_| "not the tokens of a grant")?;
        if !wire.grant_token.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a grant token that cannot stand in a header");
        }
        Ok(Self {
            grant_token: wire.grant_token.0,
            expires_at: wire.expires_at.0,
            scopes: wire.scopes,
            refresh_token: wire.refresh_token.0,
            grant_id: wire.grant_id.0,
        })
    }
}

impl fmt::Debug for GrantTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantTokens").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What Grantex says of a token.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// It stands.
    #[non_exhaustive]
    Valid {
        /// The grant that it stems from.
        grant_id: Option<Box<str>>,
        /// What was granted.
        scopes: Option<Vec<Box<str>>>,
        /// The user who gave the grant.
        principal: Option<Box<str>>,
        /// The DID of the agent that holds it.
        agent: Option<Box<str>>,
        /// When it expires.
        expires_at: Option<UnixTime>,
    },
    /// It does not, or it is another developer's: Grantex does not say which.
    Invalid,
}

impl Verification {
    /// Whether the token stands.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        matches!(self, Self::Valid { .. })
    }

    /// The body of an answer of 200.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Validity {
            valid: bool,
        }
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default, deserialize_with = "present", rename = "grantId")]
            grant_id: Option<Word>,
            #[serde(default, deserialize_with = "present")]
            scopes: Option<Vec<Box<str>>>,
            #[serde(default, deserialize_with = "present")]
            principal: Option<Word>,
            #[serde(default, deserialize_with = "present")]
            agent: Option<Word>,
            #[serde(default, deserialize_with = "present", rename = "expiresAt")]
            expires_at: Option<Moment>,
        }
        let Object(Validity { valid }) =
            serde_json::from_slice(body).map_err(|_| "not an object with a member `valid`, true or false, once")?;
        if !valid {
            return Ok(Self::Invalid);
        }
        let Object(Wire { grant_id, scopes, principal, agent, expires_at }) =
            serde_json::from_slice(body).map_err(|_| "the members of a valid token")?;
        let text = |word: Option<Word>| word.map(|Word(text)| text);
        Ok(Self::Valid {
            grant_id: text(grant_id),
            scopes,
            principal: text(principal),
            agent: text(agent),
            expires_at: expires_at.map(|Moment(time)| time),
        })
    }
}

impl fmt::Debug for Verification {
    /// Not what it says of the token: this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_valid() { "Verification(valid)" } else { "Verification(invalid)" })
    }
}
