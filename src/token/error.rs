//! Why a token is refused: for logs and tests; a client is told no more than `invalid_token`.

use std::fmt;

/// What is wrong with a token.
///
/// Carries nothing of the token itself. Before the signature has been proved, these are statements about text that
/// anybody may have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not a JWS in compact serialization: three base64url parts.
    #[error("not a compact JWS")]
    NotCompact,
    /// Encrypted tokens (five parts) are not supported.
    #[error("an encrypted token")]
    Encrypted,
    /// The header is not a JSON object of the right types, or a member stands twice.
    #[error("malformed header")]
    Header,
    /// The header demands an extension (`crit`, `b64`) or nests another token (`cty`).
    #[error("an unsupported header extension")]
    CriticalHeader,
    /// The claims are not a JSON object, or a member stands twice.
    #[error("malformed claims")]
    Claims,
    /// A registered claim is there with a wrong type.
    #[error("the claim `{0}` has the wrong type")]
    ClaimType(&'static str),
    /// A claim that must be there is not.
    #[error("the claim `{0}` is missing")]
    MissingClaim(&'static str),
    /// The algorithm is unknown, not allowed, or not the key's.
    #[error("algorithm not allowed")]
    Algorithm,
    /// The `typ` is not an access token's, or the claims are those of another kind of token.
    #[error("not an access token")]
    Kind,
    /// No issuer of that name is configured.
    #[error("unknown issuer")]
    Issuer,
    /// Meant for somebody else.
    #[error("wrong audience")]
    Audience,
    /// Past its `exp`.
    #[error("expired")]
    Expired,
    /// Before its `nbf`.
    #[error("not valid yet")]
    NotYetValid,
    /// Its `iat` lies in the future.
    #[error("issued in the future")]
    IssuedInFuture,
    /// Older than the configured maximum age.
    #[error("too old")]
    TooOld,
    /// `scope` and `scp` disagree, or hold what is no scope.
    #[error("malformed scopes")]
    Scopes,
    /// Bound to a key or certificate whose possession a bearer does not prove (RFC 9449 §7.2, RFC 8705 §3).
    #[error("bound to a key that was not shown")]
    SenderConstrained,
    /// A condition of the issuer's configuration does not hold.
    #[error("a condition on its claims does not hold")]
    Condition,
    /// No key of the issuer answers to its `kid`.
    #[error("unknown key")]
    UnknownKey,
    /// No key of the issuer made this signature.
    #[error("bad signature")]
    Signature,
    /// The issuer does not stand by it: revoked, expired, or never issued (RFC 7662 §2.2).
    #[error("inactive")]
    Inactive,
    /// What the issuer says about it is said of another token.
    #[error("its issuer describes another token")]
    OtherToken,
    /// Revoked, or suspended, as this service was told.
    #[error("revoked")]
    Revoked,
}

/// The claims do not have the form that was asked for.
///
/// What serde says to that may quote them. It is kept out of `Display`, `Debug` and the sources, all of which end up in
/// logs.
#[derive(thiserror::Error)]
#[error("the claims do not have the form that was asked for")]
pub struct ClaimsError(serde_json::Error);

impl ClaimsError {
    pub(crate) const fn new(error: serde_json::Error) -> Self {
        Self(error)
    }

    /// What serde says, with claim values in it: for a debugger, not for a log.
    #[must_use]
    pub const fn dangerous_detail(&self) -> &serde_json::Error {
        &self.0
    }
}

impl fmt::Debug for ClaimsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimsError(<redacted>)")
    }
}
