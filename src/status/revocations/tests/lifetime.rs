//! What is remembered of tokens that no clock agrees about, and for how long.

use serde_json::json;

use super::{A, B, NOW, bounded, refused, seconds, token};
use crate::{
    clock::UnixTime,
    status::revocations::{Origin, Revocation, RevocationEvent, Revocations},
    testing::ManualClock,
};

/// An index with no room, where tokens live for an hour.
fn hourly(clock: &ManualClock) -> Revocations {
    Revocations::builder().capacity(2).max_token_lifetime(seconds(3600)).clock(clock.clone()).build().unwrap()
}

/// Makes the index look for what is over; what it is told is over soon.
fn crowd(index: &Revocations, clock: &ManualClock) {
    let soon = clock.now().wall().saturating_add(seconds(1));
    (0..3).for_each(|number| index.revoke(Revocation::token_id(B, &number.to_string()).expires_at(soon)));
}

#[test]
fn a_token_dated_ahead_is_remembered_until_it_has_expired_threat_26() {
    let clock = ManualClock::new();
    let index = hourly(&clock);
    // Issued by a clock as far ahead of ours as may be, and accepted as long after its end.
    let issued = NOW.as_secs() + 300;
    let ahead = token(A, &json!({ "jti": "t", "iat": issued, "exp": issued + 3600 }));
    index.revoke(Revocation::token_id(A, "t"));
    clock.advance(seconds(300 + 3600 + 300 - 1));
    crowd(&index, &clock);
    assert!(refused(&index, &ahead), "still within its leeway");
    clock.advance(seconds(1));
    crowd(&index, &clock);
    assert!(!refused(&index, &ahead));
}

#[test]
fn a_decision_by_a_clock_behind_ours_covers_tokens_by_one_ahead_threat_26() {
    let clock = ManualClock::new();
    let index = bounded(4, &clock);
    let ahead = token(A, &json!({ "jti": "t", "iat": NOW.as_secs() + 300 }));
    let decided = UnixTime::from_secs(NOW.as_secs() - 300);
    ["s", "t"].into_iter().for_each(|id| index.revoke(Revocation::token_id(A, id).revoked_at(decided)));
    clock.advance(seconds(1000));
    ["u", "v", "w"].into_iter().for_each(|id| index.revoke(Revocation::token_id(A, id)));
    assert!(index.coarsened() == 2 && refused(&index, &ahead));
    let later = token(A, &json!({ "jti": "x", "iat": NOW.as_secs() + 301 }));
    assert!(!refused(&index, &later));
}

#[test]
fn a_suspension_outlives_the_tokens_that_were_there_until_it_is_lifted_threat_14() {
    let clock = ManualClock::new();
    let index = hourly(&clock);
    let grant = Revocation::grant(A, "g");
    index.suspend(grant.clone());
    clock.advance(seconds(7200));
    crowd(&index, &clock);
    let issued = clock.now().wall().as_secs();
    let young = || token(A, &json!({ "grant": "g", "iat": issued, "exp": issued + 3600 }));
    assert!(refused(&index, &young()), "nobody has lifted it");
    // The same for whoever hears of it two hours late.
    let late = hourly(&clock);
    let feed = Origin::feed(0);
    late.replace(feed, vec![RevocationEvent::Suspended(grant.clone().revoked_at(NOW))]);
    assert!(refused(&late, &young()));
    late.apply(feed, RevocationEvent::Resumed(grant.clone()));
    index.resume(&grant);
    assert!(!refused(&late, &young()) && !refused(&index, &young()));
}
