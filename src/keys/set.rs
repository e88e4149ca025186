//! A JWK set, or keys given by hand → [`KeySet`]: immutable, asked by `kid` (RFC 7517 §5).

use std::{path::Path, sync::Arc};

use serde_json::Value;

use super::{
    VerificationKey,
    jwk::{JwkRules, KnownKeys},
};
use crate::crypto::{Algorithm, KeyError, PreparedKey};

/// More keys than this in one set is an attack or an accident; each key costs a parse, and each token a look.
const MAX_KEYS: usize = 256;

/// A token that names no `kid` is tried against this many keys of its algorithm.
const MAX_TRIES: usize = 4;

/// The keys of one issuer. Cheap to clone, never changed.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    keys: Vec<VerificationKey>,
    skipped: Vec<SkippedKey>,
}

/// A key of a set that is not used, and why. The others are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Where it stands in the set, from 0.
    pub position: usize,
    /// Why it is not used.
    pub reason: KeyError,
}

/// Why a document is not a key set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Not JSON, or not an object with an array `keys`.
    #[error("not a JWK set")]
    NotAKeySet,
    /// More keys than anybody needs.
    #[error("{0} keys; at most {MAX_KEYS} are read")]
    TooManyKeys(usize),
    /// Not one of the keys can be used.
    #[error("none of the {} keys can be used{}", .0.len(), first_reasons(.0))]
    NoUsableKey(Vec<SkippedKey>),
    /// The file could not be read.
    #[error("{path} could not be read")]
    File {
        /// The path as configured.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What is wrong with the first few, so that a message stays one.
fn first_reasons(skipped: &[SkippedKey]) -> String {
    let reason = |key: &SkippedKey| format!("keys[{}]: {}", key.position, key.reason);
    let reasons: Vec<String> = skipped.iter().take(4).map(reason).collect();
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) }
}

/// What a set has to say to a token's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyMatch {
    /// One of the keys made it.
    Verified,
    /// Keys answered to the `kid` and none of them made it.
    Refuted,
    /// Keys answered to the `kid`, all of them of other algorithms.
    OtherAlgorithm,
    /// No key answers to the `kid`.
    Unknown,
}

impl KeySet {
    /// A set of keys given by hand.
    pub fn new(keys: impl IntoIterator<Item = VerificationKey>) -> Self {
        Self::of(keys.into_iter().collect(), Vec::new())
    }

    /// Reads a JWK set, or a single JWK. A key that cannot be used is skipped and noted.
    ///
    /// Symmetric keys are refused: whoever can read a set could sign with it.
    ///
    /// # Errors
    /// Where the text is no JWK set, holds too many keys, or none that can be used.
    pub fn from_json(json: &[u8]) -> Result<Self, KeySetError> {
        Self::read_usable(json, &JwkRules::default())
    }

    /// Reads a JWK set from a file, once.
    ///
    /// # Errors
    /// Where the file cannot be read, and as for [`from_json`](Self::from_json).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeySetError> {
        Self::read_file(path.as_ref(), &JwkRules::default())
    }

    /// The keys of a set of the jsonwebtoken crate.
    ///
    /// # Errors
    /// As for [`from_json`](Self::from_json).
    pub fn from_jwk_set(set: &jsonwebtoken::jwk::JwkSet) -> Result<Self, KeySetError> {
        let json = serde_json::to_vec(set).map_err(|_| KeySetError::NotAKeySet)?;
        Self::from_json(&json)
    }

    pub(super) fn read_file(path: &Path, rules: &JwkRules) -> Result<Self, KeySetError> {
        let json =
            std::fs::read(path).map_err(|source| KeySetError::File { path: path.display().to_string(), source })?;
        Self::read_usable(&json, rules)
    }

    /// Reads a set that an issuer publishes, which counts also where it holds no key any more.
    pub(super) fn read(json: &[u8], rules: &JwkRules) -> Result<Self, KeySetError> {
        let document: Value = serde_json::from_slice(json).map_err(|_| KeySetError::NotAKeySet)?;
        let jwks = match (document.get("keys"), document.get("kty")) {
            (Some(Value::Array(jwks)), _) => jwks.as_slice(),
            (None, Some(_)) => std::slice::from_ref(&document),
            _ => return Err(KeySetError::NotAKeySet),
        };
        if jwks.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys(jwks.len()));
        }
        let mut known = KnownKeys::default();
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (position, jwk) in jwks.iter().enumerate() {
            match rules.prepare(jwk, &mut known) {
                Ok(key) => keys.push(key),
                Err(reason) => skipped.push(SkippedKey { position, reason }),
            }
        }
        Ok(Self::of(keys, skipped))
    }

    /// The same, for a set that is configured: without a key it is a mistake.
    pub(super) fn read_usable(json: &[u8], rules: &JwkRules) -> Result<Self, KeySetError> {
        let set = Self::read(json, rules)?;
        if set.keys().is_empty() { Err(KeySetError::NoUsableKey(set.skipped().to_vec())) } else { Ok(set) }
    }

    fn of(keys: Vec<VerificationKey>, skipped: Vec<SkippedKey>) -> Self {
        Self { inner: Arc::new(Inner { keys, skipped }) }
    }

    /// The keys in use.
    #[must_use]
    pub fn keys(&self) -> &[VerificationKey] {
        &self.inner.keys
    }

    /// The keys that are not used, and why.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.inner.skipped
    }

    /// Whether a key of that algorithm which answers to `key_id` satisfies `verifies`: those of that name and those
    /// without any, or for a token that names none every key; each distinct key once, and not more than a few. An issuer
    /// publishes a handful, so that a search is cheaper than a hash.
    pub(crate) fn find(
        &self,
        key_id: Option<&str>,
        algorithm: Algorithm,
        verifies: impl Fn(&PreparedKey) -> bool,
    ) -> KeyMatch {
        let keys = self.keys();
        let of_name = keys.iter().filter(|key| key.key_id() == key_id || key_id.is_none());
        let of_no_name = keys.iter().filter(|key| key.key_id().is_none() && key_id.is_some());

        let mut tried: [Option<&PreparedKey>; MAX_TRIES] = [None; MAX_TRIES];
        for key in of_name.chain(of_no_name) {
            let prepared = &**key.prepared();
            let was_tried = |slot: &Option<&PreparedKey>| slot.is_some_and(|other| std::ptr::eq(other, prepared));
            if key.algorithm() != algorithm || tried.iter().any(was_tried) {
                continue;
            }
            let Some(slot) = tried.iter_mut().find(|slot| slot.is_none()) else { break };
            if verifies(prepared) {
                return KeyMatch::Verified;
            }
            *slot = Some(prepared);
        }
        // Keys without a name were worth a try, and say nothing about a name.
        let is_unknown = match key_id {
            Some(id) => !self.knows(id),
            None => keys.is_empty(),
        };
        match (is_unknown, tried[0].is_some()) {
            (true, _) => KeyMatch::Unknown,
            (false, true) => KeyMatch::Refuted,
            (false, false) => KeyMatch::OtherAlgorithm,
        }
    }

    /// Whether a key answers to that name.
    pub(super) fn knows(&self, key_id: &str) -> bool {
        self.keys().iter().any(|key| key.key_id() == Some(key_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestKey;

    #[test]
    fn a_name_finds_the_keys_of_that_name_then_those_without_threat_6() {
        let jwk = TestKey::generate(Algorithm::ES256, "a").jwk();
        let named = |name: Option<&str>| {
            let mut jwk = jwk.clone();
            jwk["kid"] = name.into();
            jwk
        };
        let other = TestKey::generate(Algorithm::ES256, "b").jwk();
        let set =
            |keys: &[Value]| KeySet::from_json(serde_json::json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        let tried = |set: &KeySet, name: Option<&str>| {
            let count = std::cell::Cell::new(0);
            let found = set.find(name, Algorithm::ES256, |_| {
                count.set(count.get() + 1);
                false
            });
            (found, count.get())
        };
        let (both, unnamed) = (set(&[named(Some("a")), other.clone()]), set(&[named(None), other]));
        assert_eq!(tried(&both, Some("a")), (KeyMatch::Refuted, 1));
        assert_eq!(tried(&both, Some("c")), (KeyMatch::Unknown, 0));
        assert_eq!(tried(&both, None), (KeyMatch::Refuted, 2));
        assert_eq!(tried(&unnamed, Some("b")), (KeyMatch::Refuted, 2));
        assert_eq!(tried(&unnamed, Some("c")), (KeyMatch::Unknown, 1), "worth a try, and says nothing about the name");
        assert_eq!(unnamed.find(Some("c"), Algorithm::ES256, |_| true), KeyMatch::Verified);
        assert_eq!(tried(&unnamed, None), (KeyMatch::Refuted, 2));
        assert_eq!(both.find(Some("a"), Algorithm::RS256, |_| true), KeyMatch::OtherAlgorithm);
    }
}
