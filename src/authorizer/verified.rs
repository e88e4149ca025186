//! A verified token as it is kept: whose it is, and what its issuer was last heard to say of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::cache::Kept;
use crate::{policy::ScopeBits, status::Assent, token::VerifiedToken};

/// Nothing of it is believed for longer than whoever said it does: not the keys, not the clock, not the issuer.
pub(super) struct Verified {
    token: VerifiedToken,
    /// The position of its issuer.
    pub(super) position: usize,
    /// Its scopes in the bits of the route table.
    pub(super) scopes: ScopeBits,
    /// None before the issuer was asked, and where nobody asks it.
    pub(super) assent: Option<Assent>,
    /// None before it was in several hands at once: threads that count the holders of one token wait for each other.
    copies: Option<Arc<[VerifiedToken; COPIES]>>,
}

/// A token gets copies for a request that finds so many holders, the cache among them.
const CROWD: usize = 2;
const COPIES: usize = 8;

impl Verified {
    pub(super) const fn new(token: VerifiedToken, position: usize, scopes: ScopeBits) -> Self {
        Self { token, position, scopes, assent: None, copies: None }
    }

    /// The token; of one in many hands, a copy that other threads rather leave alone.
    pub(super) fn token(&self) -> &VerifiedToken {
        let copy = self.copies.as_ref().and_then(|copies| copies.get(number_of_this_thread() % COPIES));
        copy.unwrap_or(&self.token)
    }

    /// The same with what there is to keep of it since: what its issuer was heard to say, and copies, where it is in other
    /// hands too and takes no more than `most` bytes with them. None where there is nothing.
    pub(super) fn renewed(&self, assent: Option<Assent>, most: usize) -> Option<Self> {
        let is_crowded = self.copies.is_none() && self.token.holders() >= CROWD;
        let gets_copies = is_crowded && self.bytes_of(COPIES + 1) <= most;
        if assent.is_none() && !gets_copies {
            return None;
        }
        let copies = || Arc::new(std::array::from_fn(|_| self.token.copy()));
        Some(Self {
            token: self.token.clone(),
            assent: assent.or_else(|| self.assent.clone()),
            copies: if gets_copies { Some(copies()) } else { self.copies.clone() },
            ..*self
        })
    }

    fn bytes_of(&self, tokens: usize) -> usize {
        size_of::<Self>() + tokens * self.token.memory()
    }
}

impl Kept for Verified {
    fn text(&self) -> &[u8] {
        self.token.text()
    }

    fn bytes(&self) -> usize {
        self.bytes_of(if self.copies.is_some() { COPIES + 1 } else { 1 })
    }
}

/// Each thread has a number of its own, in the order in which they come here.
fn number_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}
