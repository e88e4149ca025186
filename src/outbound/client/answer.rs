//! What a token endpoint grants → [`TokenAnswer`] (RFC 6749 §5.1, RFC 8693 §2.2.1).

use std::{fmt, time::Duration};

use serde_json::Value;

use crate::issuer::Granted;

/// A token that was granted.
#[derive(Clone)]
pub struct TokenAnswer {
    access_token: String,
    token_type: &'static str,
    expires_in: Option<Duration>,
    scope: Option<String>,
    refresh_token: Option<String>,
    issued_token_type: Option<String>,
}

impl TokenAnswer {
    /// A token to show as a Bearer; any other is of no use. `asked` is the scope that was asked for.
    pub(super) fn bearer(granted: Granted, asked: Option<&str>) -> Result<Self, &'static str> {
        granted.bearer()?;
        Self::of(granted, "Bearer", asked)
    }

    /// RFC 8693 §2.2.1: what is granted for another token may be none to show, if it is said what it is instead.
    pub(super) fn exchanged(granted: Granted, asked: Option<&str>) -> Result<Self, &'static str> {
        if !granted.token_type.eq_ignore_ascii_case("N_A") {
            return Self::bearer(granted, asked);
        }
        let is_printable = |byte| matches!(byte, 0x20..=0x7e);
        if granted.access_token.is_empty() || !granted.access_token.bytes().all(is_printable) {
            return Err("the token is empty, or has characters that none has");
        }
        let answer = Self::of(granted, "N_A", asked)?;
        if answer.issued_token_type.is_none() {
            return Err("its token_type is N_A, and there is no issued_token_type");
        }
        Ok(answer)
    }

    fn of(granted: Granted, token_type: &'static str, asked: Option<&str>) -> Result<Self, &'static str> {
        let expires_in = granted.lifetime()?;
        let Granted { access_token, scope, refresh_token, issued_token_type, .. } = granted;
        let scope = text(scope, "its scope is not text")?.or_else(|| asked.map(str::to_owned));
        let refresh_token = text(refresh_token, "its refresh_token is not text")?;
        let issued_token_type = text(issued_token_type, "its issued_token_type is not text")?;
        Ok(Self { access_token, token_type, expires_in, scope, refresh_token, issued_token_type })
    }

    /// The token.
    #[must_use]
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// `Bearer`; or, for an exchanged token that is not to be shown to a resource, `N_A` (RFC 8693 §2.2.1). Tokens of
    /// other types are refused.
    #[must_use]
    pub const fn token_type(&self) -> &'static str {
        self.token_type
    }

    /// How long it lasts from when it was granted, where the server says so; at most a hundred years.
    #[must_use]
    pub const fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// What it allows, scopes with a space between them: as answered, or as asked for where the answer does not say
    /// (RFC 6749 §5.1). `None` where neither says.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// A refresh token. After [`refresh`](super::TokenClient::refresh), `None` means that the old one goes on
    /// (RFC 6749 §6); a new one replaces it.
    #[must_use]
    pub fn refresh_token(&self) -> Option<&str> {
        self.refresh_token.as_deref()
    }

    /// What kind of token it is that was got by exchange, as a URI (RFC 8693 §3).
    #[must_use]
    pub fn issued_token_type(&self) -> Option<&str> {
        self.issued_token_type.as_deref()
    }
}

fn text(member: Option<Value>, otherwise: &'static str) -> Result<Option<String>, &'static str> {
    match member {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(otherwise),
    }
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAnswer")
            .field("token_type", &self.token_type)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}
