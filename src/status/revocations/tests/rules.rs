//! One rule of the index after the other.

use serde_json::json;

use super::{A, B, NOW, aged, bounded, refused, seconds, token};
use crate::{
    clock::UnixTime,
    status::revocations::{Origin, Revocation, RevocationEvent, RevocationTarget, Revocations, RevocationsError},
    testing::ManualClock,
};

const FEED: Origin = Origin::feed(0);

fn at(age: u64) -> UnixTime {
    UnixTime::from_secs(NOW.as_secs() - age)
}

#[test]
fn a_token_is_found_by_each_of_its_names_and_by_no_other_threat_14() {
    let claims = json!({
        "iat": NOW.as_secs(), "jti": "jti", "sid": "sid", "sub": "sub", "client_id": "client",
        "grant": "grant", "parent": "parent", "act": { "sub": "actor", "act": { "sub": "deep", "act": { "sub": "deeper" } } },
    });
    let (ours, theirs) = (token(A, &claims), token(B, &claims));
    let text = Revocation::digest(ours.text());
    let rows = [
        Revocation::token_id(A, "jti"),
        Revocation::session(A, "sid"),
        Revocation::subject(A, "sub", NOW),
        Revocation::client(A, "client", NOW),
        Revocation::grant(A, "grant"),
        Revocation::grant(A, "parent"),
        Revocation::actor(A, "actor", NOW),
        Revocation::actor(A, "deep", NOW),
        Revocation::actor(A, "deeper", NOW),
        Revocation::issuer(A, NOW),
        Revocation::new(A, RevocationTarget::TokenDigest(text)),
    ];
    for row in rows {
        let index = Revocations::new();
        assert!(!refused(&index, &ours) && index.is_empty(), "{row:?}");
        index.revoke(row.clone());
        assert!(refused(&index, &ours) && index.len() == 1, "{row:?}");
        assert!(!refused(&index, &theirs), "another issuer: {row:?}");
        // The same names, each as another kind.
        let index = Revocations::new();
        for name in ["jti", "sid", "sub", "client", "grant", "parent", "actor", "deep", "deeper"] {
            let all: [fn(Box<str>) -> RevocationTarget; 6] = [
                RevocationTarget::TokenId,
                RevocationTarget::Session,
                RevocationTarget::Subject,
                RevocationTarget::Client,
                RevocationTarget::Grant,
                RevocationTarget::Actor,
            ];
            let others = all.into_iter().map(|kind| Revocation::new(A, kind(name.into())));
            let right = ["jti", "sid", "sub", "client", "grant grant parent", "actor deep deeper"];
            let wrong = others.zip(right).filter(|(_, right)| !right.split(' ').any(|right| right == name));
            wrong.for_each(|(other, _)| index.revoke(other));
        }
        assert!(!refused(&index, &ours) && index.len() == 45, "{row:?}");
    }
}

#[test]
fn a_token_known_by_its_text_is_anybodys_unless_its_issuer_is_said() {
    let (ours, theirs) = (aged(1, "jti", "t"), token(B, &json!({ "iat": NOW.as_secs() - 1, "jti": "t" })));
    let text = std::str::from_utf8(ours.text()).unwrap();
    let index = Revocations::new();
    index.revoke(Revocation::token(text));
    assert!(refused(&index, &ours) && refused(&index, &theirs), "the text says it all");
    let of_b = Revocations::new();
    of_b.revoke(Revocation::new(B, RevocationTarget::TokenDigest(Revocation::digest(ours.text()))));
    assert!(!refused(&of_b, &ours) && refused(&of_b, &theirs));
}

#[test]
fn an_issuer_without_identifier_is_known_as_nobody_and_by_what_its_tokens_say() {
    let (bare, silent) = (json!({ "sid": "s" }), json!({ "sid": "s" }));
    let (named, repeating) = (json!({ "sid": "s", "iss": "says" }), json!({ "sid": "s", "iss": A }));
    // Where the issuer has a name by configuration, no other counts.
    let tokens = || [token(None, &bare), token(None, &named), token(A, &silent), token(A, &repeating)];
    for (issuer, expected) in [
        (None, [true, true, false, false]),
        (Some("says"), [false, true, false, false]),
        (A, [false, false, true, true]),
        (B, [false; 4]),
    ] {
        for what in [Revocation::session(issuer, "s"), Revocation::issuer(issuer, NOW)] {
            let index = Revocations::new();
            index.revoke(what);
            let found = tokens().map(|token| refused(&index, &token));
            assert_eq!(found, expected, "{issuer:?}");
        }
    }
}

#[test]
fn an_epoch_counts_to_its_very_second_and_takes_undated_tokens_along_threat_14() {
    for revocation in [Revocation::subject(A, "u", at(10)), Revocation::issuer(A, at(10))] {
        let index = Revocations::new();
        index.revoke(revocation);
        assert!(refused(&index, &aged(11, "sub", "u")));
        assert!(refused(&index, &aged(10, "sub", "u")), "in the second of the epoch");
        assert!(!refused(&index, &aged(9, "sub", "u")));
        assert!(refused(&index, &token(A, &json!({ "sub": "u" }))), "nobody knows when it was issued");
    }
}

#[test]
fn the_same_target_again_refuses_what_either_does_threat_16() {
    let young = aged(0, "sub", "u");
    let later = Revocation::new(A, RevocationTarget::Subject("u".into()));
    for (first, second) in
        [(later.clone(), Revocation::subject(A, "u", at(9))), (Revocation::subject(A, "u", at(9)), later)]
    {
        let index = Revocations::new();
        index.revoke(first);
        index.revoke(second);
        assert!(refused(&index, &young) && index.len() == 1);
    }
    let index = Revocations::new();
    index.revoke(Revocation::subject(A, "u", at(5)));
    index.revoke(Revocation::subject(A, "u", at(50)));
    assert!(refused(&index, &aged(5, "sub", "u")) && !refused(&index, &young));
}

#[test]
fn a_suspension_can_be_lifted_and_a_revocation_cannot_threat_16() {
    let (index, token) = (Revocations::new(), aged(1, "grant", "g"));
    let grant = Revocation::grant(A, "g");
    index.suspend(grant.clone());
    assert!(refused(&index, &token) && index.len() == 1);
    index.resume(&Revocation::grant(B, "g"));
    assert!(refused(&index, &token), "another issuer's");
    // By the target, whatever else was said of it.
    index.resume(&grant.clone().issued_up_to(at(100)));
    assert!(!refused(&index, &token) && index.is_empty());
    index.revoke(grant.clone());
    index.suspend(grant.clone());
    index.resume(&grant);
    assert!(refused(&index, &token));
}

#[test]
fn tokens_are_suspended_until_the_last_who_suspends_them_lifts_it_threat_16() {
    let (index, token) = (Revocations::new(), aged(1, "sub", "u"));
    let subject = Revocation::subject(A, "u", NOW);
    let (suspended, resumed) = (RevocationEvent::Suspended(subject.clone()), RevocationEvent::Resumed(subject.clone()));
    for origin in [Origin::LOCAL, FEED, Origin::feed(1)] {
        index.apply(origin, suspended.clone());
    }
    index.apply(FEED, resumed.clone());
    index.apply(FEED, resumed.clone());
    index.apply(Origin::feed(2), resumed.clone());
    assert!(refused(&index, &token), "two are left");
    index.resume(&subject);
    assert!(refused(&index, &token), "one is left");
    index.apply(Origin::feed(1), resumed);
    assert!(!refused(&index, &token));
}

#[test]
fn a_snapshot_adds_revocations_and_replaces_suspensions_of_its_origin_alone_threat_16() {
    let index = Revocations::new();
    let said = |name: &str| Revocation::session(A, name);
    let tokens = ["old", "new", "mine", "lifted", "kept", "undone"].map(|name| aged(1, "sid", name));
    let found = |index: &Revocations| tokens.each_ref().map(|token| refused(index, token));
    index.apply(FEED, RevocationEvent::Revoked(said("old")));
    index.suspend(said("mine"));
    index.apply(FEED, RevocationEvent::Suspended(said("lifted")));
    index.apply(FEED, RevocationEvent::Suspended(said("kept")));
    assert_eq!(found(&index), [true, false, true, true, true, false]);
    let before = index.generation();
    let state = vec![
        RevocationEvent::Suspended(said("undone")),
        RevocationEvent::Revoked(said("new")),
        RevocationEvent::Suspended(said("kept")),
        RevocationEvent::Resumed(said("undone")),
    ];
    index.replace(FEED, state.clone());
    assert_eq!(found(&index), [true, true, true, false, true, false]);
    assert!(index.generation() > before);
    // The same once more is nothing new, and nobody has to look again.
    let before = index.generation();
    index.replace(FEED, state);
    assert_eq!(index.generation(), before);
    index.replace(FEED, Vec::new());
    assert_eq!((found(&index), index.generation()), ([true, true, true, false, false, false], before));
}

#[test]
fn a_snapshot_is_one_step_for_whoever_reads_threat_16() {
    let (index, token) = (Revocations::new(), aged(1, "sid", "s"));
    let suspended = |name: &str| RevocationEvent::Suspended(Revocation::session(A, name));
    let states = [vec![suspended("s"), suspended("x")], vec![suspended("y"), suspended("s")]];
    index.replace(FEED, states[0].clone());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..3000).for_each(|round| index.replace(FEED, states[round % 2].clone())));
        while !writer.is_finished() {
            assert!(refused(&index, &token), "suspended before and after");
        }
    });
}

#[test]
fn a_token_is_clean_as_of_the_generation_read_before_it_was_looked_at_threat_15() {
    let (index, token) = (Revocations::new(), aged(1, "jti", "t"));
    let stamp = || token.unrevoked_as_of().load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((index.generation(), stamp()), (1, 0));
    // Somebody reads the generation; something else is revoked; only then they look.
    let read = index.generation();
    index.revoke(Revocation::token_id(A, "other"));
    assert!(index.stands_as_of(&token, read));
    assert_eq!((stamp(), index.generation()), (read, 2), "to be looked at again");
    assert!(index.stands(&token));
    assert_eq!(stamp(), 2);
    // Not what is refused.
    index.revoke(Revocation::token_id(A, "t"));
    assert!(!index.stands(&token));
    assert_eq!(stamp(), 2);
}

#[test]
fn the_generation_changes_after_the_index_does_threat_15() {
    let index = Revocations::new();
    let before = index.generation();
    index.change([1, 2], |_, _| {
        assert_eq!(index.generation(), before, "whoever reads a new one must find what is new");
        true
    });
    assert_eq!(index.generation(), before + 1);
    index.change([()], |_, ()| false);
    assert_eq!(index.generation(), before + 1, "nothing more is refused");
}

#[test]
fn what_revoke_returned_from_is_refused_from_then_on_by_everybody_threat_15() {
    let index = Revocations::new();
    for round in 0..300 {
        let (name, index) = (format!("t-{round}"), &index);
        let token = &aged(1, "jti", name.clone());
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || while index.stands(token) {});
            index.revoke(Revocation::token_id(A, &name));
            assert!(refused(index, token));
            reader.join().unwrap();
        });
    }
}

#[test]
fn what_is_over_is_forgotten_when_there_is_need_and_not_before_threat_14() {
    let clock = ManualClock::new();
    let index = bounded(16, &clock);
    let token = aged(1, "jti", "t-0");
    for number in 0..16 {
        let expiry = NOW.saturating_add(seconds(60));
        index.revoke(Revocation::token_id(A, &format!("t-{number}")).expires_at(expiry));
    }
    clock.advance(seconds(60 + 5 * 60 - 1));
    assert!(refused(&index, &token), "with the largest leeway, it is still alive");
    clock.advance(seconds(1));
    index.revoke(Revocation::session(A, "s"));
    assert_eq!((index.len(), index.coarsened()), (1, 0));
    assert!(!refused(&index, &token));
    // What is over when it comes is not even noted.
    index.revoke(Revocation::token_id(A, "late").expires_at(NOW));
    assert_eq!((index.len(), index.generation()), (1, 18));
}

#[test]
fn without_an_expiry_nothing_is_forgotten_unless_no_token_lives_that_long_threat_14() {
    let clock = ManualClock::new();
    let build = |clock: &ManualClock| Revocations::builder().capacity(2).clock(clock.clone());
    let (forever, hourly) =
        (build(&clock).build().unwrap(), build(&clock).max_token_lifetime(seconds(3600)).build().unwrap());
    for index in [&forever, &hourly] {
        index.revoke(Revocation::session(A, "s"));
        index.revoke(Revocation::subject(A, "u", NOW.saturating_add(seconds(1000))));
    }
    let (session, subject) = (json!({ "iat": 1, "exp": 2, "sid": "s" }), json!({ "iat": 1, "exp": 2, "sub": "u" }));
    let found = |index: &Revocations| [&session, &subject].map(|claims| refused(index, &token(A, claims)));
    clock.advance(seconds(3600 + 2 * 5 * 60));
    hourly.revoke(Revocation::session(B, "s"));
    assert_eq!((found(&hourly), hourly.coarsened()), ([false, true], 0), "the epoch lay later");
    clock.advance(seconds(1000 - 5 * 60));
    hourly.revoke(Revocation::session(B, "t"));
    assert_eq!((found(&hourly), hourly.coarsened()), ([false, false], 0));
    clock.advance(seconds(1_000_000_000));
    forever.revoke(Revocation::session(B, "s"));
    assert_eq!((found(&forever), forever.coarsened() > 0), ([true, true], true));
}

#[test]
fn nobody_can_have_decided_it_later_than_it_was_heard_of_threat_14() {
    let clock = ManualClock::new();
    let builder = Revocations::builder().capacity(1).clock(clock.clone());
    let index = builder.max_token_lifetime(seconds(3600)).build().unwrap();
    index.revoke(Revocation::session(A, "s").revoked_at(NOW.saturating_add(seconds(1_000_000))));
    clock.advance(seconds(3600 + 2 * 5 * 60));
    index.revoke(Revocation::session(B, "s"));
    assert_eq!((index.len(), index.coarsened()), (1, 0));
}

#[test]
fn a_token_that_lives_longer_than_any_should_is_refused_threat_14() {
    let index = Revocations::builder().max_token_lifetime(seconds(3600)).build().unwrap();
    let of = |issued: Option<u64>, expires: Option<u64>| token(A, &json!({ "iat": issued, "exp": expires }));
    let claims = |value: serde_json::Value| token(A, &value);
    assert!(!refused(&index, &of(Some(1000), Some(4600))));
    assert!(refused(&index, &of(Some(1000), Some(4601))));
    assert!(refused(&index, &claims(json!({ "iat": 1000 }))));
    assert!(refused(&index, &claims(json!({ "exp": NOW.as_secs() + 1 }))));
}

#[test]
fn a_wall_clock_that_was_wrong_for_a_while_loses_nothing_threat_14() {
    let (clock, token) = (ManualClock::new(), aged(1, "jti", "t-0"));
    let index = bounded(4, &clock);
    for number in 0..4 {
        index.revoke(Revocation::token_id(A, &format!("t-{number}")).expires_at(NOW.saturating_add(seconds(600))));
    }
    // A year ahead, and there is need of room; then back, and an hour behind.
    clock.step_wall_to(NOW.saturating_add(seconds(365 * 86_400)));
    index.revoke(Revocation::token_id(A, "more"));
    assert!(refused(&index, &token));
    clock.step_wall_to(at(3600));
    index.revoke(Revocation::token_id(A, "even more"));
    assert!(refused(&index, &token));
    // The same where there is room, and the table grows.
    let clock = ManualClock::new();
    let index = Revocations::builder().clock(clock.clone()).build().unwrap();
    let name = |number: u64| format!("t-{number}");
    for number in 0..1000 {
        index.revoke(Revocation::token_id(A, &name(number)).expires_at(NOW.saturating_add(seconds(600))));
    }
    clock.step_wall_to(NOW.saturating_add(seconds(365 * 86_400)));
    (1000..3000).for_each(|number| index.revoke(Revocation::token_id(A, &name(number))));
    assert!((0..3000).all(|number| refused(&index, &aged(1, "jti", name(number)))));
}

#[test]
fn a_growing_table_forgets_what_is_over_threat_14() {
    let clock = ManualClock::new();
    let index = Revocations::builder().clock(clock.clone()).build().unwrap();
    for number in 0..100_000 {
        clock.advance(seconds(1));
        let expiry = clock.now().wall().saturating_add(seconds(60));
        index.revoke(Revocation::token_id(A, &format!("t-{number}")).expires_at(expiry));
    }
    // No shard looks for what is over before it is full, and with what is alive none ever has to grow.
    assert!(index.len() <= 256 * 13 && index.coarsened() == 0, "360 of them may be alive: {}", index.len());
}

#[test]
fn bounds_that_leave_no_room_are_refused() {
    assert_eq!(Revocations::builder().capacity(0).build().unwrap_err(), RevocationsError::Capacity);
    let fraction = Revocations::builder().max_token_lifetime(std::time::Duration::from_millis(999));
    assert_eq!(fraction.build().unwrap_err(), RevocationsError::MaxTokenLifetime);
}
