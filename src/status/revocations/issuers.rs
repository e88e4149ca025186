//! An issuer's fingerprint → its position, how many entries are its own, and up to when all its tokens are refused.

use std::collections::HashMap;

use super::{entry::Entry, fingerprint::Fingerprint};
use crate::clock::UnixTime;

/// The position of what has no issuer of its own: tokens known by their text alone, and issuers beyond the last position.
pub(super) const EVERYONE: u16 = 0;

pub(super) struct Issuers {
    positions: HashMap<Fingerprint, u16>,
    list: Vec<Issuer>,
    free: Vec<u16>,
    /// How many have an epoch, without everyone's.
    epochs: usize,
}

#[derive(Default)]
struct Issuer {
    /// None at [`EVERYONE`], and where the position is free.
    fingerprint: Option<Fingerprint>,
    entries: usize,
    epoch: Option<Entry>,
}

impl Issuers {
    pub(super) fn new() -> Self {
        Self { positions: HashMap::new(), list: vec![Issuer::default()], free: Vec::new(), epochs: 0 }
    }

    /// The position of that issuer, old or new; where all are taken, everyone's.
    pub(super) fn position(&mut self, fingerprint: Option<Fingerprint>, now: UnixTime) -> u16 {
        let Some(fingerprint) = fingerprint else { return EVERYONE };
        if let Some(position) = self.positions.get(&fingerprint) {
            return *position;
        }
        if self.free.is_empty() && u16::try_from(self.list.len()).is_err() {
            self.tidy(|epoch| epoch.is_over(now));
        }
        let Some(position) = self.free.pop().or_else(|| u16::try_from(self.list.len()).ok()) else { return EVERYONE };
        if self.list.len() <= usize::from(position) {
            self.list.push(Issuer::default());
        }
        if let Some(issuer) = self.list.get_mut(usize::from(position)) {
            issuer.fingerprint = Some(fingerprint);
        }
        self.positions.insert(fingerprint, position);
        position
    }

    /// How many entries are each issuer's own, by position.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (u16, usize)> {
        self.list.iter().zip(0..=u16::MAX).map(|(issuer, position)| (position, issuer.entries))
    }

    /// How many issuers have an epoch of their own.
    pub(super) const fn epochs(&self) -> usize {
        self.epochs
    }

    /// The epoch of everyone.
    pub(super) fn everyone(&self) -> Option<&Entry> {
        self.list.first()?.epoch.as_ref()
    }

    pub(super) fn epoch(&self, fingerprint: &Fingerprint) -> Option<&Entry> {
        self.list.get(usize::from(*self.positions.get(fingerprint)?))?.epoch.as_ref()
    }

    pub(super) fn added(&mut self, entry: &Entry) {
        if let Some(issuer) = self.list.get_mut(usize::from(entry.issuer)) {
            issuer.entries += 1;
        }
    }

    pub(super) fn removed(&mut self, entry: &Entry) {
        if let Some(issuer) = self.list.get_mut(usize::from(entry.issuer)) {
            issuer.entries -= 1;
        }
    }

    /// Refuses tokens of an issuer, or of everyone, up to an epoch. Whether that is more than before.
    pub(super) fn raise(&mut self, position: u16, epoch: &Entry) -> bool {
        let Some(issuer) = self.list.get_mut(usize::from(position)) else { return false };
        match &mut issuer.epoch {
            Some(known) => known.merge(epoch),
            unknown => {
                *unknown = Some(*epoch);
                self.epochs += usize::from(position != EVERYONE);
                true
            }
        }
    }

    /// Forgets epochs that are over, and issuers of whom nothing is left.
    pub(super) fn tidy(&mut self, is_over: impl Fn(&Entry) -> bool) {
        for (issuer, position) in self.list.iter_mut().zip(0..=u16::MAX) {
            let ended = issuer.epoch.take_if(|epoch| is_over(epoch));
            self.epochs -= usize::from(ended.is_some() && position != EVERYONE);
            if issuer.entries == 0
                && issuer.epoch.is_none()
                && let Some(fingerprint) = issuer.fingerprint.take()
            {
                self.positions.remove(&fingerprint);
                self.free.push(position);
            }
        }
    }
}
