//! An access token from configuration → the same token for every request.

use std::{fmt, future};

use http::Extensions;

use super::{IssuedToken, SourcedToken, TokenSource};

/// A token that never changes: an API key, or a token that somebody else renews by restarting us.
///
/// A resource that refuses it refuses it for good: the request is not repeated.
#[derive(Clone)]
pub struct FixedToken(IssuedToken);

impl FixedToken {
    /// This token; `None` where it is empty or has characters that no Bearer has (RFC 6750 §2.1), such as the line break at
    /// the end of a file.
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        Some(Self(IssuedToken::new(token, 0)?))
    }
}

impl TokenSource for FixedToken {
    fn token(&self, _: &Extensions) -> SourcedToken {
        Box::pin(future::ready(Ok(self.0.clone())))
    }

    fn refused(&self, _: &IssuedToken) -> bool {
        false
    }
}

impl fmt::Debug for FixedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FixedToken(<redacted>)")
    }
}
