//! An `alg` value → [`Algorithm`] (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864).

use std::{fmt, str::FromStr};

/// A signature algorithm that this crate verifies.
///
/// `none` is not among them and cannot be spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519, under its own name (RFC 9864) or the older `EdDSA` (RFC 8037). Never Ed448.
    Ed25519,
    /// HMAC with SHA-256; only for a secret that was configured by hand.
    HS256,
    /// HMAC with SHA-384; only for a secret that was configured by hand.
    HS384,
    /// HMAC with SHA-512; only for a secret that was configured by hand.
    HS512,
}

/// What key material an algorithm works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Rsa,
    EllipticCurve,
    Edwards,
    Secret,
}

impl Algorithm {
    /// Every asymmetric algorithm, in the order in which a default is looked for.
    pub const ASYMMETRIC: [Self; 10] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::Ed25519,
    ];

    /// The registered name; for Ed25519 the one of RFC 9864.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::Ed25519 => "Ed25519",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }

    /// The algorithm of that exact name (RFC 7515 §4.1.1: case-sensitive).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "ES512" => Self::ES512,
            "Ed25519" | "EdDSA" => Self::Ed25519,
            "HS256" => Self::HS256,
            "HS384" => Self::HS384,
            "HS512" => Self::HS512,
            _ => return None,
        })
    }

    /// Whether whoever verifies could also sign.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self.key_kind(), KeyKind::Secret)
    }

    pub(crate) const fn is_rsa(self) -> bool {
        matches!(self.key_kind(), KeyKind::Rsa)
    }

    pub(crate) const fn key_kind(self) -> KeyKind {
        match self {
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => KeyKind::Rsa,
            Self::ES256 | Self::ES384 | Self::ES512 => KeyKind::EllipticCurve,
            Self::Ed25519 => KeyKind::Edwards,
            Self::HS256 | Self::HS384 | Self::HS512 => KeyKind::Secret,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::from_name(name).ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

/// A configured algorithm name that this crate does not know; names are case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown signature algorithm {0:?}")]
pub struct UnknownAlgorithm(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_to_the_letter() {
        for algorithm in Algorithm::ASYMMETRIC {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert_eq!(Algorithm::from_name(&algorithm.name().to_lowercase()), None);
        }
        assert_eq!(Algorithm::from_name("EdDSA"), Some(Algorithm::Ed25519));
        for not_ours in ["none", "None", "nOnE", "NONE", "", "RS1", "ES256K", "Ed448", "ES521", " RS256", "RS256 "] {
            assert_eq!(Algorithm::from_name(not_ours), None, "{not_ours:?}");
        }
    }
}
