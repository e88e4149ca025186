//! What is remembered of one target: until when its tokens were issued, and when that may be forgotten; in twelve bytes.

use std::time::Duration;

use super::{Revocation, RevocationTarget, fingerprint::Fingerprint};
use crate::clock::UnixTime;

/// By how much clocks may disagree: the largest leeway that an issuer can be configured with.
pub(super) const LEEWAY: Duration = Duration::from_secs(5 * 60);

/// What the tokens of an entry have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    TokenId,
    TokenDigest,
    Session,
    Subject,
    Client,
    Grant,
    Actor,
    Issuer,
}

impl Kind {
    pub(super) const fn of(target: &RevocationTarget) -> Self {
        match target {
            RevocationTarget::TokenId(_) => Self::TokenId,
            RevocationTarget::TokenDigest(_) => Self::TokenDigest,
            RevocationTarget::Session(_) => Self::Session,
            RevocationTarget::Subject(_) => Self::Subject,
            RevocationTarget::Client(_) => Self::Client,
            RevocationTarget::Grant(_) => Self::Grant,
            RevocationTarget::Actor(_) => Self::Actor,
            RevocationTarget::Issuer => Self::Issuer,
        }
    }

    pub(super) const COUNT: usize = 8;

    /// Its number, below [`Self::COUNT`].
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::TokenId => 0,
            Self::TokenDigest => 1,
            Self::Session => 2,
            Self::Subject => 3,
            Self::Client => 4,
            Self::Grant => 5,
            Self::Actor => 6,
            Self::Issuer => 7,
        }
    }

    /// Whether there is only one token of that name, which was there when it was revoked.
    const fn is_one_token(self) -> bool {
        matches!(self, Self::TokenId | Self::TokenDigest)
    }
}

/// Seconds since the epoch, for as long as they fit: until 2106.
type Seconds = u32;

/// One target. Entries of the same target merge into one that refuses whatever any of them does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Tokens issued up to this are refused; where all are, when that was decided.
    instant: Seconds,
    /// When it may be forgotten; at the end of time, never.
    leaves: Seconds,
    /// The position of its issuer in the list of them.
    pub(super) issuer: u16,
    pub(super) kind: Kind,
    /// Whether tokens are refused whenever they were issued.
    always: bool,
}

/// The order in which entries are given up: what is refused longest ago first, what has no end later, suspensions last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    suspended: bool,
    open: bool,
    instant: Seconds,
    /// Tells apart what is equal otherwise, so that no more goes than has to.
    lot: u32,
}

impl Entry {
    const NEVER: Seconds = Seconds::MAX;

    /// What `revocation`, heard of at `now`, comes to where no accepted token lives longer than `lifetime`.
    pub(super) fn new(revocation: &Revocation, now: UnixTime, lifetime: Option<Duration>) -> Self {
        // By a clock that may be behind ours. Nobody can have decided it later than now.
        let decided = revocation.decision().map_or(now, |instant| instant.saturating_add(LEEWAY).min(now));
        let (instant, always) = match revocation.latest_issue().map(|latest| Seconds::try_from(latest.as_secs())) {
            Some(Ok(latest)) => (latest, false),
            _ => (seconds(decided), true),
        };
        // By another clock again, which may be ahead.
        let last_issued = revocation.latest_issue().unwrap_or_default().max(decided.saturating_add(LEEWAY));
        let end = revocation.expiry().or_else(|| Some(last_issued.saturating_add(lifetime?)));
        let leaves = end.map_or(Self::NEVER, |end| seconds(end.saturating_add(LEEWAY)));
        Self { instant, leaves, issuer: 0, kind: Kind::of(revocation.target()), always }
    }

    /// An epoch of everything that `given_up` refuses.
    pub(super) fn epoch(given_up: Self, ceiling: UnixTime) -> Self {
        Self { instant: given_up.reach(ceiling), kind: Kind::Issuer, always: false, ..given_up }
    }

    /// Whether a token of this target is refused.
    pub(super) fn refuses(&self, issued_at: Option<UnixTime>) -> bool {
        self.always || issued_at.is_none_or(|issued| issued.as_secs() <= u64::from(self.instant))
    }

    /// Whether no token is left that could be accepted and that it refuses.
    pub(super) fn is_over(&self, now: UnixTime) -> bool {
        self.leaves != Self::NEVER && u64::from(self.leaves) <= now.as_secs()
    }

    /// Refuses what either does, for as long as either does. Whether that is more than before.
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        let refuses_more = !self.always && (other.always || other.instant > self.instant);
        self.instant = self.instant.max(other.instant);
        self.leaves = self.leaves.max(other.leaves);
        self.always |= other.always;
        refuses_more
    }

    /// Whether it refuses tokens that are yet to be issued: `ceiling` is the latest that any can have been issued by now.
    fn is_open(&self, ceiling: UnixTime) -> bool {
        if self.always { !self.kind.is_one_token() } else { u64::from(self.instant) > ceiling.as_secs() }
    }

    /// Up to when the tokens were issued that it refuses, of those that can be there by now.
    fn reach(&self, ceiling: UnixTime) -> Seconds {
        let reach = match (self.always, self.kind.is_one_token()) {
            (false, _) => self.instant,
            (true, true) => seconds(UnixTime::from_secs(self.instant.into()).saturating_add(LEEWAY)),
            (true, false) => Self::NEVER,
        };
        reach.min(seconds(ceiling))
    }

    pub(super) fn rank(&self, fingerprint: &Fingerprint, suspended: bool, ceiling: UnixTime) -> Rank {
        let open = self.is_open(ceiling);
        let instant = if open { self.instant } else { self.reach(ceiling) };
        Rank { suspended, open, instant, lot: fingerprint.lot() }
    }
}

fn seconds(instant: UnixTime) -> Seconds {
    Seconds::try_from(instant.as_secs()).unwrap_or(Seconds::MAX)
}
