//! More revocations than there is room for → coarser ones, in an order that hurts least (threat 28).

use std::ops::Range;

use serde_json::json;

use super::{A, B, NOW, aged, bounded, refused, seconds, token};
use crate::{
    clock::UnixTime,
    status::revocations::{Revocation, RevocationTarget, Revocations},
    testing::ManualClock,
};

/// Of issuer A, a token that nobody revoked, issued so many seconds before or after now.
fn bystander(offset: i64) -> crate::token::VerifiedToken {
    token(A, &json!({ "iat": NOW.as_secs().saturating_add_signed(offset), "jti": "bystander" }))
}

/// Revokes tokens, one every second.
fn revoke_tokens(index: &Revocations, clock: &ManualClock, numbers: Range<u64>) {
    for number in numbers {
        index.revoke(Revocation::token_id(A, &format!("t-{number}")));
        clock.advance(seconds(1));
    }
}

#[test]
fn the_oldest_quarter_becomes_an_epoch_and_nothing_is_let_through_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(1000, &clock);
    let first = token(A, &json!({ "jti": "t-0", "iat": NOW.as_secs() + 300 }));
    revoke_tokens(&index, &clock, 0..1000);
    assert_eq!((index.len(), index.coarsened()), (1000, 0));
    assert!(refused(&index, &first) && !refused(&index, &bystander(0)));
    let before = index.generation();
    revoke_tokens(&index, &clock, 1000..1001);
    // Three quarters and the epoch are left; two things happened.
    assert_eq!((index.len(), index.coarsened(), index.generation()), (751, 251, before + 2));
    assert!(refused(&index, &first), "as late as it can have been issued when it was revoked");
    // The last of them was revoked 250 seconds from now; by another clock, it may have been issued five minutes later.
    assert!(refused(&index, &bystander(250 + 300)) && !refused(&index, &bystander(251 + 300)));
    assert!(refused(&index, &token(A, &json!({ "jti": "bystander" }))), "nobody knows when it was issued");
    assert!(!refused(&index, &token(B, &json!({ "iat": NOW.as_secs() }))), "another issuer's");
}

#[test]
fn giving_up_costs_little_however_many_come_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(1000, &clock);
    let before = index.generation();
    revoke_tokens(&index, &clock, 0..10_000);
    let plans = index.generation() - before - 10_000;
    assert!((36..=37).contains(&plans), "250 at a time, not one: {plans}");
    assert!(index.len() <= 1001);
}

#[test]
fn dated_entries_are_merged_exactly_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(4, &clock);
    for age in [400, 300, 200, 100, 50] {
        let subject = format!("u-{age}");
        index.revoke(Revocation::subject(A, &subject, UnixTime::from_secs(NOW.as_secs() - age)));
    }
    // The two oldest are gone: the later of their epochs is everybody's, and no later one.
    assert_eq!((index.len(), index.coarsened()), (4, 2));
    assert!(refused(&index, &bystander(-300)) && !refused(&index, &bystander(-299)));
    assert!(refused(&index, &aged(200, "sub", "u-200")) && !refused(&index, &aged(200, "sub", "u-400")));
}

#[test]
fn what_has_no_end_is_given_up_late_and_suspensions_last_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(8, &clock);
    let young = |claim: &str| token(A, &json!({ "iat": NOW.as_secs() + 100_000, claim: "1" }));
    // The oldest of all, and with an end.
    index.suspend(Revocation::token_id(A, "1"));
    index.revoke(Revocation::session(A, "1"));
    index.revoke(Revocation::new(A, RevocationTarget::Grant("1".into())));
    index.revoke(Revocation::client(A, "1", UnixTime::from_secs(NOW.as_secs() + 200_000)));
    let all = ["jti", "sid", "grant", "client_id"];
    let found = |index: &Revocations| all.map(|claim| refused(index, &young(claim)));
    clock.advance(seconds(50_000));
    for number in 0..30 {
        index.revoke(Revocation::token_id(A, &format!("t-{number}")));
        clock.advance(seconds(1));
    }
    assert!(index.coarsened() > 20 && found(&index) == [true; 4], "single tokens go first");
    // Sessions without end push out what is older; the suspension stays, and can be lifted.
    for number in 0..30 {
        index.revoke(Revocation::session(A, &format!("s-{number}")));
        clock.advance(seconds(1));
    }
    assert_eq!(found(&index)[..3], [true, false, false]);
    let of_session = |number: u32| json!({ "iat": NOW.as_secs() + 100_000, "sid": format!("s-{number}") });
    assert!((27..30).all(|number| refused(&index, &token(A, &of_session(number)))), "the latest are kept");
    assert!((0..20).all(|number| !refused(&index, &token(A, &of_session(number)))), "issued long after");
    let existing = token(A, &json!({ "iat": NOW.as_secs() + 50_030, "sid": "1" }));
    assert!(refused(&index, &existing), "issued before it was given up");
    index.resume(&Revocation::token_id(A, "1"));
    assert!(!found(&index)[0]);
}

#[test]
fn suspensions_beyond_the_bound_are_refused_for_good_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(4, &clock);
    for name in ["1", "2", "3", "4", "5"] {
        index.suspend(Revocation::token_id(A, name));
        clock.advance(seconds(1));
    }
    assert_eq!((index.coarsened(), index.len()), (2, 4));
    index.resume(&Revocation::token_id(A, "1"));
    assert!(refused(&index, &aged(1, "jti", "1")), "nobody knows any longer what was to be lifted");
    index.resume(&Revocation::token_id(A, "5"));
    let late = token(A, &json!({ "iat": NOW.as_secs() + 302, "jti": "5" }));
    assert!(!refused(&index, &late));
}

#[test]
fn whoever_revokes_most_pays_for_it_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(100, &clock);
    for number in 0..20 {
        index.revoke(Revocation::token_id(B, &format!("t-{number}")));
    }
    clock.advance(seconds(10));
    revoke_tokens(&index, &clock, 0..2000);
    let theirs = |jti: &str| token(B, &json!({ "iat": NOW.as_secs(), "jti": jti }));
    assert!(index.coarsened() > 1000 && refused(&index, &bystander(0)));
    assert!(refused(&index, &theirs("t-0")) && !refused(&index, &theirs("bystander")), "older, and few");
}

#[test]
fn nobody_gives_up_more_than_half_at_a_time_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(100, &clock);
    let third = Some("https://c.example");
    for (issuer, count) in [(A, 34), (B, 34), (third, 33)] {
        for number in 0..count {
            index.revoke(Revocation::token_id(issuer, &format!("t-{number}")));
            clock.advance(seconds(1));
        }
    }
    // 26 have to go: 17 of one that has 34, and the rest of the other.
    assert_eq!((index.coarsened(), index.len()), (26, 77));
    let refuses = |issuer, at: u64| refused(&index, &token(issuer, &json!({ "iat": NOW.as_secs() + at + 300 })));
    assert!(refuses(A, 8) && !refuses(A, 9) && refuses(B, 34 + 16) && !refuses(B, 34 + 17) && !refuses(third, 0));
}

#[test]
fn texts_beyond_the_bound_are_everybodys_business_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(8, &clock);
    let text = |number: u64| String::from_utf8(aged(number, "jti", "t").text().to_vec()).unwrap();
    for number in 0..9 {
        index.revoke(Revocation::token(&text(number)));
        clock.advance(seconds(1));
    }
    let (theirs, late) = (|at: u64| token(B, &json!({ "iat": NOW.as_secs() + at })), 8 + 300);
    assert!((0..9).all(|number| refused(&index, &aged(number, "jti", "t"))));
    assert!(refused(&index, &theirs(0)) && refused(&index, &theirs(302)) && !refused(&index, &theirs(late)));
}

#[test]
fn an_epoch_is_forgotten_with_the_last_that_it_stands_for_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(4, &clock);
    for number in 1..=5 {
        let expiry = NOW.saturating_add(seconds(1000 * number));
        index.revoke(Revocation::token_id(A, &format!("t-{number}")).expires_at(expiry));
    }
    assert_eq!((index.coarsened(), index.len()), (2, 4));
    let others =
        || (0..5).for_each(|number| index.revoke(Revocation::session(B, &format!("{:?}-{number}", clock.now()))));
    clock.advance(seconds(1999 + 300));
    others();
    assert!(refused(&index, &bystander(0)), "of two that were given up, one may live");
    clock.advance(seconds(3001));
    others();
    assert!(!refused(&index, &bystander(0)));
}

#[test]
fn an_epoch_lasts_as_long_as_the_longest_of_those_it_stands_for_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(2, &clock);
    let at = |age: u64| UnixTime::from_secs(NOW.as_secs() - age);
    let until = |seconds: u64| UnixTime::from_secs(NOW.as_secs() + seconds);
    index.revoke(Revocation::issuer(A, at(100)).expires_at(until(60)));
    // Earlier than that epoch, and longer.
    for name in ["1", "2", "3"] {
        index.revoke(Revocation::subject(A, name, at(200)).expires_at(until(10_000)));
    }
    assert_eq!(index.coarsened(), 2);
    clock.advance(seconds(1000));
    for name in ["1", "2", "3"] {
        index.revoke(Revocation::session(B, name));
    }
    assert!(["1", "2", "3"].iter().all(|name| refused(&index, &aged(200, "sub", *name))));
}

#[test]
fn issuers_beyond_their_bound_share_an_epoch_threat_28() {
    let clock = ManualClock::new();
    let index = bounded(1_000_000, &clock);
    let of = |number: u32| format!("https://{number}.example");
    let epoch = |number: u32| Revocation::issuer(Some(&of(number)), UnixTime::from_secs(NOW.as_secs() - 1));
    for number in 1..65_535 {
        index.revoke(Revocation::token_id(Some(&of(number)), "t"));
    }
    // The last position, until that epoch is over.
    index.revoke(epoch(65_535).expires_at(NOW));
    clock.advance(seconds(5 * 60));
    index.revoke(epoch(65_536));
    let by = |number: u32, age: u64| token(Some(&of(number)), &json!({ "iat": NOW.as_secs() - age, "jti": "t" }));
    assert!(refused(&index, &by(65_536, 1)) && !refused(&index, &by(65_535, 1)) && !refused(&index, &bystander(-1)));
    // What one more revokes is as exact, and only its epoch cannot be told from everybody's.
    index.revoke(Revocation::token_id(Some(&of(65_537)), "t"));
    assert!(refused(&index, &by(65_537, 0)) && !refused(&index, &bystander(-1)));
    index.revoke(epoch(65_537));
    assert!(refused(&index, &bystander(-1)) && !refused(&index, &bystander(0)));
    assert!(refused(&index, &by(65_537, 1)) && index.coarsened() == 0);
}

#[test]
fn nothing_that_was_revoked_is_printed_threat_29() {
    let index = Revocations::new();
    index.revoke(Revocation::subject(A, "secret", NOW));
    assert_eq!(format!("{index:?}"), "Revocations { len: 1, coarsened: 0 }");
}
