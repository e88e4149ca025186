//! Random events → the index beside a plain list of everything that was ever said.

use std::{fmt, time::Duration};

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

use super::{A, B, NOW, seconds, token};
use crate::{
    clock::UnixTime,
    status::revocations::{Origin, Revocation, RevocationEvent, RevocationTarget, Revocations, entry::LEEWAY},
    testing::ManualClock,
    token::VerifiedToken,
};

#[derive(Clone, Debug)]
enum Step {
    Happens(Origin, Event),
    Replace(Origin, Vec<Event>),
    Advance(Duration),
    /// The wall clock is wrong for as long as it takes to say this.
    WrongClock(i64, Event),
}

/// An event that can be read where a test fails.
#[derive(Clone)]
struct Event(RevocationEvent);

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).unwrap())
    }
}

/// Everything that was ever said.
#[derive(Default)]
struct Model {
    revoked: Vec<Said>,
    suspended: Vec<(Origin, Said)>,
    lifetime: Option<Duration>,
}

#[derive(Clone)]
struct Said {
    what: Revocation,
    decided: UnixTime,
    /// When entries were first merged after that.
    merged: Option<UnixTime>,
}

impl Model {
    fn say(&mut self, origin: Origin, Event(event): Event, now: UnixTime) {
        let said = |what: Revocation| {
            let decided = what.decision().map_or(now, |decided| decided.min(now));
            Said { what, decided, merged: None }
        };
        match event {
            RevocationEvent::Revoked(what) => self.revoked.push(said(what)),
            RevocationEvent::Suspended(what) => self.suspended.push((origin, said(what))),
            RevocationEvent::Resumed(what) => self.suspended.retain(|(other, known)| {
                let key = |one: &Revocation| (one.issuer_identifier().map(str::to_owned), one.target().clone());
                *other != origin || key(&known.what) != key(&what)
            }),
        }
    }

    fn replace(&mut self, origin: Origin, state: Vec<Event>, now: UnixTime) {
        self.suspended.retain(|(other, _)| *other != origin);
        state.into_iter().for_each(|event| self.say(origin, event, now));
    }

    fn merged(&mut self, now: UnixTime) {
        let all = self.revoked.iter_mut().chain(self.suspended.iter_mut().map(|(_, said)| said));
        all.for_each(|said| said.merged = said.merged.or(Some(now)));
    }

    fn outlives_all(&self, token: &VerifiedToken) -> bool {
        let life = token.expires_at().zip(token.issued_at()).map(|(end, start)| end.since(start));
        self.lifetime.is_some_and(|most| life.is_none_or(|life| life > most))
    }

    /// What has to be refused, and what may be: entries that are over may be forgotten, or not yet.
    fn refuses(&self, token: &VerifiedToken, now: UnixTime) -> (bool, bool) {
        let all = || self.revoked.iter().chain(self.suspended.iter().map(|(_, said)| said));
        let binds = |said: &Said, life| said.covers(token) && !said.is_over(now, life) && said.binds(token);
        let must = self.revoked.iter().any(|said| binds(said, self.lifetime))
            || self.suspended.iter().any(|(_, said)| binds(said, None));
        let may = all().any(|said| said.covers(token));
        (must || self.outlives_all(token), may || self.outlives_all(token))
    }
}

impl Said {
    fn covers(&self, token: &VerifiedToken) -> bool {
        let (issuer, ours) = (self.what.issuer_identifier(), token.rules().issuer.as_deref());
        let is_theirs = issuer == ours || ours.is_none() && issuer == token.issuer();
        let is = |name: &str, claim: Option<&str>| is_theirs && claim == Some(name);
        let has = match self.what.target() {
            RevocationTarget::TokenId(name) => is(name, token.token_id()),
            RevocationTarget::Session(name) => is(name, token.session_id()),
            RevocationTarget::Subject(name) => is(name, token.subject()),
            RevocationTarget::Client(name) => is(name, token.client_id()),
            RevocationTarget::Grant(name) => is_theirs && token.grants().any(|grant| *grant == **name),
            RevocationTarget::Actor(name) => is_theirs && token.actors().any(|actor| *actor == **name),
            RevocationTarget::Issuer => is_theirs,
            RevocationTarget::TokenDigest(digest) => {
                (is_theirs || issuer.is_none()) && Revocation::digest(token.text()) == *digest
            }
        };
        has && self.what.latest_issue().zip(token.issued_at()).is_none_or(|(latest, issued)| issued <= latest)
    }

    fn is_over(&self, now: UnixTime, lifetime: Option<Duration>) -> bool {
        let last = self.what.latest_issue().map_or(self.decided, |latest| latest.max(self.decided));
        let end = self.what.expiry().or_else(|| Some(last.saturating_add(lifetime?)));
        end.is_some_and(|end| now >= end.saturating_add(LEEWAY))
    }

    /// Whether the token was there when this was merged into something coarser, or it never was.
    fn binds(&self, token: &VerifiedToken) -> bool {
        let is_one = matches!(self.what.target(), RevocationTarget::TokenId(_) | RevocationTarget::TokenDigest(_));
        let is_dated = self.what.latest_issue().is_some();
        let Some(merged) = self.merged else { return true };
        let by = if is_one && !is_dated { self.decided } else { merged };
        token.issued_at().is_none_or(|issued| issued <= by.saturating_add(LEEWAY))
    }
}

/// Half an hour around now.
fn instant() -> impl Strategy<Value = UnixTime> {
    (0..1800_u64).prop_map(|offset| UnixTime::from_secs(NOW.as_secs() - 600 + offset))
}

fn issuer() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![A, A, B, None])
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["1", "2", "3"])
}

fn revocation(tokens: Vec<Parts>) -> impl Strategy<Value = Revocation> {
    let by_name = (0..6_u8, name()).prop_map(|(kind, name)| match kind {
        0 => RevocationTarget::TokenId(name.into()),
        1 => RevocationTarget::Session(name.into()),
        2 => RevocationTarget::Subject(name.into()),
        3 => RevocationTarget::Client(name.into()),
        4 => RevocationTarget::Grant(name.into()),
        _ => RevocationTarget::Actor(name.into()),
    });
    let digest = select(tokens)
        .prop_map(|(issuer, claims)| RevocationTarget::TokenDigest(Revocation::digest(token(issuer, &claims).text())));
    let target = prop_oneof![8 => by_name, 1 => Just(RevocationTarget::Issuer), 1 => digest];
    let optional = || option::weighted(0.4, instant());
    (issuer(), target, optional(), optional(), optional()).prop_map(|(issuer, target, latest, expiry, decided)| {
        let mut revocation = Revocation::new(issuer, target);
        if let Some(latest) = latest {
            revocation = revocation.issued_up_to(latest);
        }
        if let Some(expiry) = expiry {
            revocation = revocation.expires_at(expiry);
        }
        if let Some(decided) = decided {
            revocation = revocation.revoked_at(decided);
        }
        revocation
    })
}

fn event(tokens: &[Parts]) -> impl Strategy<Value = Event> + use<> {
    (0..4_u8, revocation(tokens.to_vec())).prop_map(|(kind, what)| {
        Event(match kind {
            0 | 1 => RevocationEvent::Revoked(what),
            2 => RevocationEvent::Suspended(what),
            _ => RevocationEvent::Resumed(what),
        })
    })
}

fn step(tokens: &[Parts]) -> impl Strategy<Value = Step> + use<> {
    let origin = || select(vec![Origin::LOCAL, Origin::feed(0), Origin::feed(1)]);
    prop_oneof![
        8 => (origin(), event(tokens)).prop_map(|(origin, event)| Step::Happens(origin, event)),
        1 => (origin(), vec(event(tokens), 0..6)).prop_map(|(origin, state)| Step::Replace(origin, state)),
        2 => (0..400_u64).prop_map(|by| Step::Advance(seconds(by))),
        1 => (-100_000..100_000_i64, event(tokens)).prop_map(|(by, event)| Step::WrongClock(by, event)),
    ]
}

/// What a token is made of. Tokens themselves carry stamps, and are new to every index.
type Parts = (Option<&'static str>, Value);

fn parts() -> impl Strategy<Value = Parts> {
    let maybe = || option::of(name());
    let claims = (maybe(), maybe(), maybe(), maybe(), maybe(), maybe(), maybe());
    let times = (option::weighted(0.8, instant()), 1..2000_u64);
    (issuer(), issuer(), claims, times).prop_map(|(issuer, claimed, claims, (issued, life))| {
        let (jti, sid, sub, client_id, grant, parent, actor) = claims;
        let mut object = json!({ "exp": issued.unwrap_or(NOW).as_secs() + life });
        let members = [
            ("jti", jti),
            ("sid", sid),
            ("sub", sub),
            ("client_id", client_id),
            ("grant", grant),
            ("parent", parent),
            ("iss", issuer.or(claimed)),
        ];
        for (member, value) in members {
            value.into_iter().for_each(|value| object[member] = value.into());
        }
        if let Some(actor) = actor {
            object["act"] = json!({ "sub": "0", "act": { "sub": actor } });
        }
        issued.into_iter().for_each(|issued| object["iat"] = Value::from(issued.as_secs()));
        (issuer, object)
    })
}

fn scene() -> impl Strategy<Value = (Vec<Parts>, Vec<Step>, usize, Option<Duration>)> {
    let capacity = prop_oneof![1..12_usize, Just(1000)];
    let lifetime = option::weighted(0.3, (100..1500_u64).prop_map(seconds));
    vec(parts(), 12).prop_flat_map(move |tokens| {
        let steps = vec(step(&tokens), 1..40);
        (Just(tokens), steps, capacity.clone(), lifetime.clone())
    })
}

proptest! {
    /// Threats 14, 16 and 28: late, repeated and reordered, with room and without.
    #[test]
    fn nothing_that_was_revoked_is_accepted_and_nothing_else_refused_threat_28(
        (parts, steps, capacity, lifetime) in scene(),
    ) {
        let tokens: Vec<_> = parts.iter().map(|(issuer, claims)| token(*issuer, claims)).collect();
        let clock = ManualClock::new();
        let mut builder = Revocations::builder().capacity(capacity).clock(clock.clone());
        if let Some(lifetime) = lifetime {
            builder = builder.max_token_lifetime(lifetime);
        }
        let (index, mut model) = (builder.build().unwrap(), Model { lifetime, ..Model::default() });
        for step in steps {
            let (now, merged) = (clock.now().wall(), index.coarsened());
            match step {
                Step::Happens(origin, event) => {
                    index.apply(origin, event.0.clone());
                    model.say(origin, event, now);
                }
                Step::Replace(origin, state) => {
                    index.replace(origin, state.iter().map(|event| event.0.clone()).collect());
                    model.replace(origin, state, now);
                }
                Step::Advance(by) => clock.advance(by),
                Step::WrongClock(by, event) => {
                    clock.step_wall_to(UnixTime::from_secs(now.as_secs().saturating_add_signed(by)));
                    index.apply(Origin::LOCAL, event.0.clone());
                    clock.step_wall_to(now);
                    model.say(Origin::LOCAL, event, now);
                }
            }
            if index.coarsened() > merged {
                model.merged(clock.now().wall());
            }
            for token in &tokens {
                let is_refused = index.is_revoked(token);
                let (must, may) = model.refuses(token, clock.now().wall());
                prop_assert!(is_refused || !must, "accepted, and was revoked");
                prop_assert!(may || !is_refused || index.coarsened() > 0, "refused, and was not revoked");
                prop_assert_eq!(index.stands(token), !is_refused, "a stale stamp");
            }
            prop_assert!(index.read().len() <= capacity);
        }
    }
}
