//! Feeds that speak to one index → an origin for each, and what becomes of its suspensions when nobody follows it.
//!
//! Several authorizers may share an index, and each may follow feeds of its own: a snapshot of one must lift nothing that
//! another suspended. What a feed suspended stays so while nobody follows it, until somebody hears a feed of that name.

use super::Origin;

/// Every origin there is but the local one; its number is its position, counted from one.
#[derive(Default)]
pub(super) struct Origins(Vec<State>);

enum State {
    /// Somebody follows a feed of this name; there was a snapshot, or not yet.
    Followed {
        name: Box<str>,
        has_spoken: bool,
    },
    /// Nobody does any more, and what it suspended is still suspended.
    Left {
        name: Box<str>,
    },
    Free,
}

impl Origins {
    /// For whoever begins to follow a feed: that of a feed of the same name which was left, or a new one.
    pub(super) fn begin(&mut self, name: Box<str>) -> Origin {
        let is_left = |state: &State| matches!(state, State::Left { name: left } if *left == name);
        let is_free = |state: &State| matches!(state, State::Free);
        let found = self.0.iter().position(is_left).or_else(|| self.0.iter().position(is_free));
        let followed = State::Followed { name, has_spoken: false };
        match found.and_then(|at| Some((at, self.0.get_mut(at)?))) {
            Some((at, state)) => {
                *state = followed;
                Origin::feed(at)
            }
            None => {
                self.0.push(followed);
                Origin::feed(self.0.len() - 1)
            }
        }
    }

    /// A snapshot of this origin was applied. Whose suspensions it replaces besides its own: those of its name that were
    /// left.
    pub(super) fn spoke(&mut self, origin: Origin) -> Vec<Origin> {
        let Some(State::Followed { name, has_spoken }) = self.of(origin) else { return Vec::new() };
        *has_spoken = true;
        let name = name.clone();
        let mut lifted = Vec::new();
        for (at, state) in self.0.iter_mut().enumerate() {
            if matches!(state, State::Left { name: left } if *left == name) {
                *state = State::Free;
                lifted.push(Origin::feed(at));
            }
        }
        lifted
    }

    /// Nobody follows it any more. Whether what it suspended is to be lifted: somebody else has heard a feed of its name.
    pub(super) fn end(&mut self, origin: Origin) -> bool {
        let Some(state) = self.of(origin) else { return false };
        let State::Followed { name, .. } = std::mem::replace(state, State::Free) else { return false };
        let is_heard =
            |state: &State| matches!(state, State::Followed { name: other, has_spoken: true } if *other == name);
        let is_lifted = self.0.iter().any(is_heard);
        if !is_lifted && let Some(state) = self.of(origin) {
            *state = State::Left { name };
        }
        is_lifted
    }

    fn of(&mut self, origin: Origin) -> Option<&mut State> {
        self.0.get_mut(origin.position()?)
    }
}
