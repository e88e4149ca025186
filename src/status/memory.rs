//! The digest of a token → the last [`Word`] on it. Bounded in bytes; holds no token's text but that of opaque ones in use.

use std::sync::Arc;

use moka::sync::Cache;

use super::{
    StatusPolicy,
    verdict::{Verdict, Word},
};
use crate::crypto::Sha256;

/// What answers are known by: a digest of the whole token and of who was asked by whom.
///
/// Keys of another issuer, endpoint or client are other keys, also where caches are shared one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StatusKey([u8; 32]);

/// Makes the keys of one source.
#[derive(Clone, Debug)]
pub(super) struct KeyMaker(Sha256);

impl KeyMaker {
    /// `issuer` is whose tokens, `identity` who is asked and by whom.
    pub(super) fn new(issuer: Option<&str>, identity: &str) -> Self {
        let of_issuer: &[u8] = if issuer.is_some() { b"issuer" } else { b"no issuer" };
        let hash = Sha256::new().piece(of_issuer).piece(issuer.unwrap_or_default().as_bytes());
        Self(hash.piece(identity.as_bytes()))
    }

    pub(super) fn key(&self, token: &[u8]) -> StatusKey {
        StatusKey(self.0.clone().piece(token).finish())
    }
}

/// The words that count for a while. Good ones and others have rooms of their own: whoever floods us with junk fills
/// the one for junk.
pub(super) struct Memory {
    good: Cache<StatusKey, Arc<Word>>,
    bad: Cache<StatusKey, Arc<Word>>,
}

impl Memory {
    pub(super) fn new(policy: &StatusPolicy) -> Self {
        let room =
            |bytes: u64| Cache::builder().weigher(|_, word: &Arc<Word>| weight(word)).max_capacity(bytes).build();
        Self { good: room(policy.max_bytes), bad: room((policy.max_bytes / 8).max(u64::from(PER_WORD))) }
    }

    /// The last good word on a token, however old.
    pub(super) fn good(&self, key: &StatusKey) -> Option<Arc<Word>> {
        self.good.get(key)
    }

    /// The last other word on a token, however old.
    pub(super) fn bad(&self, key: &StatusKey) -> Option<Arc<Word>> {
        self.bad.get(key)
    }

    /// The latest question counts, whichever answer comes last.
    pub(super) fn remember(&self, key: StatusKey, word: Arc<Word>) {
        let is_older = |known: Arc<Word>| known.asked_at > word.asked_at;
        if self.good(&key).is_some_and(is_older) || self.bad(&key).is_some_and(is_older) {
            return;
        }
        let (room, other) = if word.is_good() { (&self.good, &self.bad) } else { (&self.bad, &self.good) };
        // Whoever would not say has not taken back what was said before.
        if !matches!(word.verdict, Verdict::Undecided) {
            other.invalidate(&key);
        }
        room.insert(key, word);
    }
}

/// What a word costs with its key and its place in the cache, measured at one million of them.
const PER_WORD: u32 = 400;

fn weight(word: &Word) -> u32 {
    let held = match &word.verdict {
        Verdict::Stands { scopes: Some(scopes) } => scopes.iter().map(|scope| scope.len() + 16).sum(),
        Verdict::Described(token) => token.memory(),
        Verdict::Stands { scopes: None } | Verdict::Withdrawn(_) | Verdict::Undecided => 0,
    };
    PER_WORD.saturating_add(u32::try_from(held).unwrap_or(u32::MAX))
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("good", &self.good.entry_count()).field("bad", &self.bad.entry_count()).finish()
    }
}
