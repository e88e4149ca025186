//! The digest of a token → the last [`Word`] on it. Bounded in bytes; holds no token's text but that of opaque ones in use.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};

use super::{
    StatusPolicy,
    verdict::{Verdict, Word},
};
use crate::{clock::UnixTime, crypto::Sha256};

/// What answers are known by: a digest of the whole token and of who was asked by whom.
///
/// Keys of another issuer, endpoint or client are other keys, also where caches are shared one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StatusKey([u8; 32]);

impl StatusKey {
    pub(super) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

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

/// What a word is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A token whose signature holds, and which ends then.
    Verified(Option<UnixTime>),
    /// A text that anybody may have made up.
    Opaque,
}

/// The words that count for a while. Good ones and others have rooms of their own: whoever floods us with junk fills
/// the one for junk.
pub(super) struct Memory {
    good: Cache<StatusKey, Arc<Word>>,
    bad: Cache<StatusKey, Arc<Word>>,
    /// Held while a word takes the place of another, so that of two the later one stays.
    writing: Mutex<()>,
    /// Grows with every word by which a verified token is worth less than it says.
    revision: AtomicU64,
}

impl Memory {
    pub(super) fn new(policy: &StatusPolicy) -> Self {
        // Whatever was not read for longest goes. By how often a word was read, those of tokens that are long over would
        // keep out the ones in use, about which the issuer would be asked with every request.
        let room = |bytes: u64| {
            let cache = Cache::builder().weigher(|_, word: &Arc<Word>| weight(word)).max_capacity(bytes);
            cache.eviction_policy(EvictionPolicy::lru()).build()
        };
        let of_bad = (policy.max_bytes / 8).max(u64::from(PER_WORD));
        Self { good: room(policy.max_bytes), bad: room(of_bad), writing: Mutex::default(), revision: AtomicU64::new(0) }
    }

    /// The last good word on a token, however old.
    pub(super) fn good(&self, key: &StatusKey) -> Option<Arc<Word>> {
        self.good.get(key)
    }

    /// The last other word on a token, however old.
    pub(super) fn bad(&self, key: &StatusKey) -> Option<Arc<Word>> {
        self.bad.get(key)
    }

    /// How long ago the last question about a token was sent that was answered.
    pub(super) fn age(&self, key: &StatusKey, now: Duration) -> Option<Duration> {
        self.good(key).into_iter().chain(self.bad(key)).map(|word| word.age(now)).min()
    }

    /// The latest question counts, whichever answer comes last.
    pub(super) fn remember(&self, of: Of, key: StatusKey, word: Arc<Word>) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_older = |known: Arc<Word>| known.asked_at.is_after(word.asked_at);
        if self.good(&key).is_some_and(is_older) || self.bad(&key).is_some_and(is_older) {
            return;
        }
        let (room, other) = if word.is_good() { (&self.good, &self.bad) } else { (&self.bad, &self.good) };
        // Whoever would not say has not taken back what was said before.
        if !matches!(word.verdict, Verdict::Undecided) {
            other.invalidate(&key);
        }
        let is_adverse = match (&word.verdict, of) {
            (Verdict::Withdrawn(_), Of::Verified(_)) => true,
            (Verdict::Stands { scopes }, Of::Verified(end)) => scopes.is_some() || word.until != end,
            (_, Of::Opaque) | (Verdict::Described(_) | Verdict::Undecided, _) => false,
        };
        room.insert(key, word);
        if is_adverse {
            // Only now: whoever has read this much has also read the word.
            self.revision.fetch_add(1, Ordering::Release);
        }
    }

    /// To be read before words are. What was found then, of verified tokens, holds for as long as this stays the same,
    /// but for what becomes too old.
    pub(super) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }
}

/// What a word costs with its key and its place in the cache, measured at one million of them.
pub(super) const PER_WORD: u32 = 448;

fn weight(word: &Word) -> u32 {
    let held = match &word.verdict {
        Verdict::Stands { scopes: Some(scopes) } => 64 + scopes.iter().map(|scope| scope.len() + 48).sum::<usize>(),
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

#[cfg(test)]
mod tests {
    use super::{super::verdict::AskedAt, *};
    use crate::token::{ScopeSet, TokenError};

    const SECOND: Duration = Duration::from_secs(1);

    fn word(verdict: Verdict, asked_at: Duration) -> Arc<Word> {
        Arc::new(Word { verdict, asked_at: AskedAt::new(asked_at), max_age: SECOND, until: None })
    }

    fn good(asked_at: Duration) -> Arc<Word> {
        word(Verdict::Stands { scopes: None }, asked_at)
    }

    fn bad(asked_at: Duration) -> Arc<Word> {
        word(Verdict::Withdrawn(TokenError::Inactive), asked_at)
    }

    fn memory(bytes: u64) -> Memory {
        Memory::new(&StatusPolicy::default().max_bytes(bytes))
    }

    fn settle(memory: &Memory) {
        memory.good.run_pending_tasks();
        memory.bad.run_pending_tasks();
    }

    #[test]
    fn a_hundred_thousand_tokens_stay_within_the_bytes_that_were_given_threat_21() {
        let (memory, keys) = (memory(1_000_000), KeyMaker::new(None, ""));
        let scopes: Arc<ScopeSet> =
            Arc::new(["agents:read", "agents:write"].into_iter().filter_map(|s| s.parse().ok()).collect());
        for number in 0..100_000_u32 {
            let narrowed = word(Verdict::Stands { scopes: Some(Arc::clone(&scopes)) }, SECOND);
            memory.remember(
                Of::Verified(None),
                keys.key(&number.to_be_bytes()),
                if number % 2 == 0 { narrowed } else { good(SECOND) },
            );
            memory.remember(Of::Verified(None), keys.key(format!("junk {number}").as_bytes()), bad(SECOND));
        }
        settle(&memory);
        for (room, bytes) in [(&memory.good, 1_000_000), (&memory.bad, 125_000)] {
            let (size, words) = (room.weighted_size(), room.entry_count());
            assert!(size <= bytes && size > bytes / 2, "{words} words take {size} bytes");
            assert!(size >= words * u64::from(PER_WORD), "{words} words cannot take as little as {size} bytes");
        }
    }

    #[test]
    fn words_on_bad_tokens_have_a_room_of_their_own_threat_21() {
        let (memory, keys) = (memory(100_000), KeyMaker::new(None, ""));
        memory.remember(Of::Verified(None), keys.key(b"good"), good(SECOND));
        for number in 0..10_000_u32 {
            memory.remember(Of::Verified(None), keys.key(&number.to_be_bytes()), bad(SECOND));
        }
        settle(&memory);
        assert_eq!(memory.good.entry_count(), 1);
        assert!(memory.good(&keys.key(b"good")).is_some() && memory.bad.weighted_size() <= 12_500);
    }

    #[test]
    fn the_latest_question_has_the_last_word_threat_15() {
        let (memory, key) = (memory(100_000), KeyMaker::new(None, "").key(b"token"));
        let known = |memory: &Memory| (memory.good(&key).is_some(), memory.bad(&key).is_some());
        memory.remember(Of::Verified(None), key, bad(2 * SECOND));
        memory.remember(Of::Verified(None), key, good(SECOND));
        assert_eq!(known(&memory), (false, true), "it was asked before");
        memory.remember(Of::Verified(None), key, good(3 * SECOND));
        assert_eq!(known(&memory), (true, false));
        memory.remember(Of::Verified(None), key, bad(2 * SECOND));
        assert_eq!(known(&memory), (true, false), "it was asked before");
        memory.remember(Of::Verified(None), key, word(Verdict::Undecided, 4 * SECOND));
        assert_eq!(known(&memory), (true, true), "a silence takes nothing back");
        memory.remember(Of::Verified(None), key, bad(5 * SECOND));
        assert_eq!(known(&memory), (false, true));
    }

    #[test]
    fn whoever_has_read_a_revision_reads_the_words_that_raised_it_threat_15() {
        let (memory, key) = (memory(100_000), KeyMaker::new(None, "").key(b"token"));
        let is_whole =
            || memory.good(&key).is_some_and(|word| matches!(word.verdict, Verdict::Stands { scopes: None }));
        // Whose turn it is: one narrows the token and gives it back in turns, the other keeps what was found of it whole.
        let (narrowed, checked, mut late) = (AtomicU64::new(0), AtomicU64::new(0), 0);
        let wait_for = |count: &AtomicU64, least: u64| {
            while count.load(Ordering::Acquire) < least {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=200 {
                    memory.remember(Of::Verified(None), key, good(SECOND));
                    wait_for(&checked, 2 * round - 1);
                    memory.remember(
                        Of::Verified(None),
                        key,
                        word(Verdict::Stands { scopes: Some(Arc::default()) }, SECOND),
                    );
                    narrowed.store(round, Ordering::Release);
                    wait_for(&checked, 2 * round);
                }
            });
            for round in 1..=200 {
                let mut kept = None;
                while narrowed.load(Ordering::Acquire) < round {
                    let as_of = memory.revision();
                    if is_whole() {
                        kept = Some(as_of);
                        checked.fetch_max(2 * round - 1, Ordering::Release);
                    }
                }
                late += u32::from(kept.is_none_or(|as_of| as_of >= memory.revision()));
                checked.store(2 * round, Ordering::Release);
            }
        });
        assert_eq!(late, 0, "found whole as of a revision that a narrower word had raised");
    }

    #[test]
    fn a_word_is_known_by_the_whole_token_and_by_who_said_it_to_whom_threat_12_23() {
        let names = [(None, ""), (Some(""), ""), (Some("a"), "b"), (Some("ab"), ""), (None, "ab"), (Some("b"), "a")];
        let tokens: [&[u8]; 7] =
            [b"h.p.signature", b"h.P.signature", b"h.p.signatur", b"h.p.signaturee", b"", b"h", b"bh.p.signature"];
        let mut keys: Vec<_> = names
            .into_iter()
            .flat_map(|(issuer, identity)| tokens.map(|token| KeyMaker::new(issuer, identity).key(token).0))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), names.len() * tokens.len());
    }

    #[test]
    fn what_was_in_use_yesterday_does_not_keep_the_tokens_of_today_out_threat_21() {
        const ROOM: u64 = 1000;
        let (memory, keys) = (memory(ROOM * u64::from(PER_WORD)), KeyMaker::new(None, ""));
        for day in ["yesterday", "today"] {
            let mut asked_again = 0;
            for round in 0..20 {
                for number in 0..ROOM / 2 {
                    let key = keys.key(format!("{day} {number}").as_bytes());
                    settle(&memory);
                    if memory.good(&key).is_none() {
                        asked_again += u32::from(round > 0);
                        memory.remember(Of::Verified(None), key, good(SECOND));
                    }
                }
            }
            for number in 0..ROOM / 2 {
                memory.remember(Of::Verified(None), keys.key(format!("{day}, once {number}").as_bytes()), good(SECOND));
            }
            assert_eq!(asked_again, 0, "{day}");
        }
    }
}
