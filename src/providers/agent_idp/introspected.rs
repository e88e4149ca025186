//! An answer of the introspection endpoint → [`Introspected`] (RFC 7662 §2.2).

use std::fmt;

use serde::Deserialize;

use super::AgentIdpError;
use crate::{clock::UnixTime, issuer::json_object};

/// What AgentIdP says of a token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Introspected {
    /// It counts.
    Active(IntrospectedToken),
    /// It is expired, revoked, or none: that is not told.
    Inactive,
}

/// What AgentIdP says of a token that counts.
#[derive(Clone)]
pub struct IntrospectedToken {
    subject: String,
    client_id: String,
    scope: String,
    issued_at: UnixTime,
    expires_at: UnixTime,
}

/// Each at most once; others are ignored.
#[derive(Deserialize)]
struct Members {
    active: bool,
    sub: Option<String>,
    client_id: Option<String>,
    scope: Option<String>,
    iat: Option<u64>,
    exp: Option<u64>,
}

impl Introspected {
    pub(super) fn read(body: &[u8]) -> Result<Self, AgentIdpError> {
        let members: Members = json_object(body)
            .ok_or(AgentIdpError::Malformed("not an object with a member `active`, true or false, each member once"))?;
        match members {
            Members { active: false, .. } => Ok(Self::Inactive),
            Members {
                active: true,
                sub: Some(subject),
                client_id: Some(client_id),
                scope: Some(scope),
                iat: Some(iat),
                exp: Some(exp),
            } => {
                let (issued_at, expires_at) = (UnixTime::from_secs(iat), UnixTime::from_secs(exp));
                Ok(Self::Active(IntrospectedToken { subject, client_id, scope, issued_at, expires_at }))
            }
            Members { active: true, .. } => {
                Err(AgentIdpError::Malformed("an active token without one of sub, client_id, scope, iat, exp"))
            }
        }
    }

    /// The token, if it counts.
    #[must_use]
    pub fn active(self) -> Option<IntrospectedToken> {
        match self {
            Self::Active(token) => Some(token),
            Self::Inactive => None,
        }
    }
}

impl IntrospectedToken {
    /// `sub`: the agent it speaks for.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `client_id`: the agent that got it.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// `scope`: what it allows, with a space between.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// `iat`: when it was issued.
    #[must_use]
    pub const fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// `exp`: from when on it no longer counts.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
}

impl fmt::Debug for IntrospectedToken {
    /// Not whose it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectedToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
