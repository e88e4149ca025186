//! A verified token as it is kept: whose it is, and what its issuer was last heard to say of it.

use super::cache::Kept;
use crate::{policy::ScopeBits, status::Assent, token::VerifiedToken};

/// Nothing of it is believed for longer than whoever said it does: not the keys, not the clock, not the issuer.
pub(super) struct Verified {
    pub(super) token: VerifiedToken,
    /// The position of its issuer.
    pub(super) position: usize,
    /// Its scopes in the bits of the route table.
    pub(super) scopes: ScopeBits,
    /// None before the issuer was asked, and where nobody asks it.
    pub(super) assent: Option<Assent>,
}

impl Verified {
    /// The same with what its issuer was heard to say since.
    pub(super) fn with(&self, assent: Assent) -> Self {
        Self { token: self.token.clone(), assent: Some(assent), ..*self }
    }
}

impl Kept for Verified {
    fn text(&self) -> &[u8] {
        self.token.text()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.token.memory()
    }
}
