//! Bytes that only the replicas know → a [`SharedSecret`].

use std::{fmt, sync::Arc};

/// A secret that all replicas of a service have, and nobody else: at least 32 bytes, from a random source.
///
/// Keys are derived from it; it is never shown, not even by `Debug`. With another one, what was shared before is not there:
/// changing it costs a question per token, and nothing else.
///
/// ```
/// use portcullis::sharing::SharedSecret;
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = SharedSecret::new(std::fs::read("/run/secrets/replicas")?)?;
/// # Ok(())
/// # }
/// assert!(SharedSecret::new("hunter2").is_err());
/// ```
#[derive(Clone)]
pub struct SharedSecret(Arc<[u8]>);

/// A secret that could be guessed: it has so many bytes, and 32 are needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret of {0} bytes; at least 32 are needed")]
pub struct WeakSecret(pub(crate) usize);

/// The least that a secret must have.
const LEAST: usize = 32;

impl SharedSecret {
    /// The secret of these bytes, such as the output of `openssl rand 32`, in whatever form it is kept.
    ///
    /// # Errors
    /// Where there are fewer than 32.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, WeakSecret> {
        let bytes = bytes.as_ref();
        if bytes.len() < LEAST { Err(WeakSecret(bytes.len())) } else { Ok(Self(bytes.into())) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_enough_and_never_shown_threat_29() {
        assert_eq!(SharedSecret::new([7; 31]).unwrap_err(), WeakSecret(31));
        let secret = SharedSecret::new("a secret of the replicas, 32 byte").unwrap();
        assert_eq!(format!("{secret:?}"), "SharedSecret(<redacted>)");
    }
}
