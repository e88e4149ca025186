//! Entries by fingerprint → whether a token is among them. Nothing here waits, locks or reads a clock.

use std::collections::{
    BTreeMap, HashMap,
    hash_map::Entry::{Occupied, Vacant},
};

use super::{
    Origin, Revocation,
    entry::{Entry, Kind},
    fingerprint::{Fingerprint, Fingerprints, OfIssuer},
    issuers::Issuers,
    table::Table,
};
use crate::{clock::UnixTime, token::VerifiedToken};

/// What is revoked and suspended.
pub(super) struct Index {
    pub(super) revoked: Table,
    pub(super) suspended: BTreeMap<Origin, HashMap<Fingerprint, Entry>>,
    pub(super) issuers: Issuers,
    /// How many entries there are of each kind: where there are none, nobody has to look.
    kinds: [usize; Kind::COUNT],
    /// How many suspensions there are.
    suspensions: usize,
}

/// An entry on its way into the index.
#[derive(Clone, Copy)]
pub(super) struct Prepared {
    pub(super) fingerprint: Fingerprint,
    issuer: Option<Fingerprint>,
    entry: Entry,
}

impl Prepared {
    pub(super) fn new(revocation: &Revocation, entry: Entry, fingerprints: &Fingerprints) -> Self {
        let (fingerprint, issuer) = (fingerprints.of_target(revocation), fingerprints.of_issuer(revocation));
        Self { fingerprint, issuer, entry }
    }

    /// The same target once more.
    pub(super) fn merge(&mut self, other: &Self) {
        self.entry.merge(&other.entry);
    }
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            revoked: Table::new(),
            suspended: BTreeMap::new(),
            issuers: Issuers::new(),
            kinds: [0; Kind::COUNT],
            suspensions: 0,
        }
    }

    /// How many entries count towards the capacity. Epochs do not: there is one for each issuer at most.
    pub(super) const fn len(&self) -> usize {
        self.revoked.len() + self.suspensions
    }

    /// How many epochs there are.
    pub(super) fn epochs(&self) -> usize {
        self.issuers.epochs() + usize::from(self.issuers.everyone().is_some())
    }

    /// Whether a token is among the entries.
    pub(super) fn contains(&self, token: &VerifiedToken, fingerprints: &Fingerprints) -> bool {
        let is_everyones = self.issuers.everyone().is_some_and(|epoch| epoch.refuses(token.issued_at()));
        if is_everyones || self.has_none() {
            return is_everyones;
        }
        let search = Search::new(self, token, fingerprints);
        search.finds(Kind::TokenId, VerifiedToken::token_id)
            || search.finds(Kind::Session, VerifiedToken::session_id)
            || search.finds(Kind::Subject, VerifiedToken::subject)
            || search.finds(Kind::Client, VerifiedToken::client_id)
            || search.finds(Kind::Grant, VerifiedToken::grants)
            || search.finds(Kind::Actor, VerifiedToken::actors)
            || search.finds(Kind::Issuer, |_| [""])
            || search.finds_text()
    }

    /// Whether nothing is there but everyone's epoch.
    fn has_none(&self) -> bool {
        self.len() == 0 && self.issuers.epochs() == 0
    }

    fn has(&self, kind: Kind) -> bool {
        let of_kind = self.kinds.get(usize::from(kind.number())).is_some_and(|count| *count > 0);
        of_kind || kind == Kind::Issuer && self.issuers.epochs() > 0
    }

    /// Adds what is revoked for good. Whether more is refused than before.
    pub(super) fn revoke(&mut self, prepared: Prepared, now: UnixTime) -> bool {
        let Prepared { fingerprint, issuer, mut entry } = prepared;
        if let Some(known) = self.revoked.get_mut(&fingerprint) {
            return known.merge(&entry);
        }
        entry.issuer = self.issuers.position(issuer, now);
        if entry.kind == Kind::Issuer {
            return self.issuers.raise(entry.issuer, &entry);
        }
        let Self { revoked, issuers, kinds, .. } = self;
        count(kinds, issuers, &entry, true);
        revoked.insert(fingerprint, entry, |(_, entry)| {
            let stays = !entry.is_over(now);
            if !stays {
                count(kinds, issuers, entry, false);
            }
            stays
        });
        true
    }

    /// Adds what `origin` suspends. Whether more is refused than before.
    pub(super) fn suspend(&mut self, origin: Origin, prepared: Prepared, now: UnixTime) -> bool {
        let Self { suspended, issuers, kinds, suspensions, .. } = self;
        match suspended.entry(origin).or_default().entry(prepared.fingerprint) {
            Occupied(mut known) => known.get_mut().merge(&prepared.entry),
            Vacant(vacant) => {
                let mut entry = prepared.entry;
                entry.issuer = issuers.position(prepared.issuer, now);
                count(kinds, issuers, &entry, true);
                *suspensions += 1;
                vacant.insert(entry);
                true
            }
        }
    }

    /// Lifts what `origin` suspends.
    pub(super) fn resume(&mut self, origin: Origin, fingerprint: &Fingerprint) {
        if let Some(entry) = self.suspended.get_mut(&origin).and_then(|entries| entries.remove(fingerprint)) {
            count(&mut self.kinds, &mut self.issuers, &entry, false);
            self.suspensions -= 1;
        }
    }

    /// Lifts all that `origin` suspends but for this. Whether more is refused than before.
    pub(super) fn replace(
        &mut self,
        origin: Origin,
        suspended: impl IntoIterator<Item = Prepared>,
        now: UnixTime,
    ) -> bool {
        let before = self.suspended.remove(&origin).unwrap_or_default();
        self.suspensions -= before.len();
        before.values().for_each(|entry| count(&mut self.kinds, &mut self.issuers, entry, false));
        let mut more = false;
        for prepared in suspended {
            let known = before.get(&prepared.fingerprint);
            more |= known.is_none_or(|known| {
                let mut known = *known;
                known.merge(&prepared.entry)
            });
            self.suspend(origin, prepared, now);
        }
        more
    }

    /// Every entry, and whether it is a suspension.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Fingerprint, &Entry, bool)> {
        let suspended = self.suspended.values().flatten().map(|(fingerprint, entry)| (fingerprint, entry, true));
        self.revoked.slots().map(|(fingerprint, entry)| (fingerprint, entry, false)).chain(suspended)
    }

    /// Keeps of one shard of the revoked what `keep` says.
    pub(super) fn retain_revoked(&mut self, shard: usize, keep: impl Fn(&Fingerprint, &Entry) -> bool) {
        let Self { revoked, issuers, kinds, .. } = self;
        revoked.retain(shard, |(fingerprint, entry)| {
            let stays = keep(fingerprint, entry);
            if !stays {
                count(kinds, issuers, entry, false);
            }
            stays
        });
    }

    /// Keeps of the suspensions what `keep` says.
    pub(super) fn retain_suspended(&mut self, keep: impl Fn(&Fingerprint, &Entry) -> bool) {
        let Self { suspended, issuers, kinds, suspensions, .. } = self;
        for entries in suspended.values_mut() {
            entries.retain(|fingerprint, entry| {
                let stays = keep(fingerprint, entry);
                if !stays {
                    count(kinds, issuers, entry, false);
                    *suspensions -= 1;
                }
                stays
            });
        }
    }
}

/// One token, looked for by one name after another.
struct Search<'a> {
    index: &'a Index,
    fingerprints: &'a Fingerprints,
    token: &'a VerifiedToken,
    /// By what its issuer may be known. That is the name which the issuer is configured under; where it is under none, its
    /// tokens may say one of their own, and whoever revokes them may know only that.
    configured: OfIssuer,
    claimed: Option<OfIssuer>,
}

impl<'a> Search<'a> {
    fn new(index: &'a Index, token: &'a VerifiedToken, fingerprints: &'a Fingerprints) -> Self {
        let configured = token.rules().issuer.as_deref();
        let claimed = token.issuer().filter(|_| configured.is_none()).map(|issuer| fingerprints.issuer(Some(issuer)));
        Self { index, fingerprints, token, configured: fingerprints.issuer(configured), claimed }
    }

    fn issuers(&self) -> impl Iterator<Item = OfIssuer> {
        [Some(self.configured), self.claimed].into_iter().flatten()
    }

    /// Whether any of the names that it has for this is among the entries. Where nobody has to look, nothing of the token
    /// is read, since each cache line of it may be far away.
    fn finds<I: IntoIterator<Item = &'a str>>(&self, kind: Kind, names: impl FnOnce(&'a VerifiedToken) -> I) -> bool {
        let finds = |name: &str| self.issuers().any(|issuer| self.finds_name(issuer, kind, name.as_bytes()));
        self.index.has(kind) && names(self.token).into_iter().any(finds)
    }

    fn finds_text(&self) -> bool {
        self.index.has(Kind::TokenDigest) && {
            // Known by its text alone, whoever issued it.
            let (text, unknown) = (self.token.text(), self.fingerprints.issuer(None));
            [Revocation::digest(text), Revocation::digest_of_all(text)].iter().any(|digest| {
                self.issuers().chain([unknown]).any(|issuer| self.finds_name(issuer, Kind::TokenDigest, digest))
            })
        }
    }

    fn finds_name(&self, issuer: OfIssuer, kind: Kind, name: &[u8]) -> bool {
        let Index { revoked, suspended, issuers, .. } = self.index;
        let fingerprint = issuer.of(kind, name);
        let refuses = |entry: Option<&Entry>| entry.is_some_and(|entry| entry.refuses(self.token.issued_at()));
        refuses(revoked.get(&fingerprint))
            || suspended.values().any(|entries| refuses(entries.get(&fingerprint)))
            || kind == Kind::Issuer && refuses(issuers.epoch(&fingerprint))
    }
}

/// Counts an entry that comes or goes.
fn count(kinds: &mut [usize; Kind::COUNT], issuers: &mut Issuers, entry: &Entry, comes: bool) {
    if let Some(count) = kinds.get_mut(usize::from(entry.kind.number())) {
        *count = if comes { *count + 1 } else { *count - 1 };
    }
    if comes { issuers.added(entry) } else { issuers.removed(entry) }
}
