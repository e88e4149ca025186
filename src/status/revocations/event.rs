//! What happened to tokens: they were revoked, suspended, or are good again.

use serde::{Deserialize, Serialize};

use super::{Revocation, wire::RevocationMembers};

/// What a feed or an administrator says of tokens.
///
/// With serde it is the flat JSON object of its [`Revocation`], and in it `event`: `revoke` (the default), `suspend` or
/// `resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "RevocationMembers", try_from = "RevocationMembers")]
#[non_exhaustive]
pub enum RevocationEvent {
    /// They are no longer to be accepted, for good.
    Revoked(Revocation),
    /// They are not to be accepted until further notice.
    Suspended(Revocation),
    /// Whoever says this no longer suspends them. What was revoked stays revoked.
    Resumed(Revocation),
}

impl RevocationEvent {
    /// Which tokens it is about.
    pub(crate) const fn about(&self) -> &Revocation {
        match self {
            Self::Revoked(about) | Self::Suspended(about) | Self::Resumed(about) => about,
        }
    }

    /// The same of other tokens.
    pub(crate) fn map(self, change: impl FnOnce(Revocation) -> Revocation) -> Self {
        match self {
            Self::Revoked(about) => Self::Revoked(change(about)),
            Self::Suspended(about) => Self::Suspended(change(about)),
            Self::Resumed(about) => Self::Resumed(change(about)),
        }
    }
}

/// Who says so. The same tokens may be suspended by several, and then are until the last of them lifts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin(usize);

impl Origin {
    /// This process: whoever calls [`Revocations`](super::Revocations) itself.
    pub(crate) const LOCAL: Self = Self(0);

    /// The feed at this position, counted from zero, of all that speak to an index.
    pub(super) const fn feed(position: usize) -> Self {
        Self(position.saturating_add(1))
    }

    /// The position of that feed.
    pub(super) const fn position(self) -> Option<usize> {
        self.0.checked_sub(1)
    }
}
