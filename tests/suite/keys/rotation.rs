//! New keys, replaced keys, removed keys (threat 19).

use std::sync::Arc;

use portcullis::{
    Algorithm, RejectionKind, Requirement,
    testing::{Fault, Target, TestKey},
};
use serde_json::{Value, json};

use super::{COOLDOWN, INTERVAL};
use crate::{
    crowd::Crowd,
    support::{World, bearer},
};

#[tokio::test]
async fn a_new_key_is_accepted_at_the_cost_of_one_fetch_threat_19() {
    let world = World::new().await;
    for round in 0..3 {
        world.advance(COOLDOWN).await;
        let old = world.issuer.token().build();
        world.issuer.rotate();
        let new = world.issuer.token();
        let outcome = world.check(&new.build()).await;
        assert!(outcome.verdict.is_ok(), "round {round}");
        assert_eq!((outcome.asked.jwks, outcome.asked.metadata), (1, 0), "round {round}");
        for token in [new.build(), old] {
            let outcome = world.check(&token).await;
            assert!(outcome.verdict.is_ok() && outcome.asked.jwks == 0, "round {round}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_thousand_requests_with_a_new_key_are_accepted_by_one_fetch_threat_19() {
    let world = World::new().await;
    world.advance(COOLDOWN).await;
    world.issuer.rotate();
    let held = world.issuer.hold(Target::Jwks);
    let token = world.issuer.token();
    let crowd = Crowd::of(&world.authorizer, (0..1000).map(|_| token.build()));
    world.clock.settle().await;
    assert_eq!((held.waiting(), crowd.waiting()), (1, 1000));
    held.release();
    crowd.expect(Ok(()), "with the new key").await;
    world.clock.settle().await;
    assert_eq!(world.issuer.asked().jwks, 1);
}

#[tokio::test]
async fn a_key_replaced_under_the_same_kid_is_accepted_after_one_fetch_threat_19() {
    let world = World::new().await;
    world.advance(COOLDOWN).await;
    let old = world.issuer.token().build();
    let replacement = TestKey::generate(Algorithm::ES256, world.issuer.current_key().key_id());
    world.issuer.publish(std::slice::from_ref(&replacement));
    world.issuer.sign_with(replacement);
    let outcome = world.check(&world.issuer.token().build()).await;
    assert!(outcome.verdict.is_ok());
    assert_eq!(outcome.asked.jwks, 1);
    let outcome = world.check(&old).await;
    assert_eq!(outcome.verdict.unwrap_err(), RejectionKind::InvalidToken, "the key of that name is another one now");
    assert_eq!(outcome.asked.jwks, 0);
}

#[tokio::test]
async fn a_removed_key_is_refused_from_the_next_refresh_on_threat_19() {
    let on_demand = World::new().await;
    on_demand.advance(COOLDOWN).await;
    let old = on_demand.issuer.token();
    on_demand.issuer.rotate();
    on_demand.issuer.retire("key-1");
    assert!(on_demand.check(&old.build()).await.verdict.is_ok(), "nobody has told us yet");
    assert!(on_demand.check(&on_demand.issuer.token().build()).await.verdict.is_ok(), "refreshed");
    assert_eq!(on_demand.check(&old.build()).await.verdict.unwrap_err(), RejectionKind::InvalidToken);

    let in_time = World::new().await;
    let old = in_time.issuer.token();
    in_time.issuer.rotate();
    in_time.issuer.retire("key-1");
    in_time.advance(INTERVAL).await;
    assert_eq!(in_time.issuer.asked().jwks, 1, "refreshed by itself");
    assert_eq!(in_time.check(&old.build()).await.verdict.unwrap_err(), RejectionKind::InvalidToken);
    assert!(in_time.check(&in_time.issuer.token().build()).await.verdict.is_ok());
}

#[tokio::test]
async fn one_key_under_dozens_of_names_works_under_each_and_counts_once() {
    let world = World::new().await;
    let (alias, last) = (TestKey::generate(Algorithm::ES256, "alias"), TestKey::generate(Algorithm::ES256, "last"));
    let named = |number: usize| alias.clone().with_key_id(format!("alias-{number}"));
    let keys: Vec<TestKey> = (0..40).map(named).chain([last.clone()]).collect();
    world.issuer.publish(&keys);
    world.advance(INTERVAL).await;
    for key in &keys {
        let outcome = world.check(&world.issuer.token().signed_with(key).build()).await;
        assert!(outcome.verdict.is_ok(), "{key:?}");
    }
    // A token without a `kid` is tried against few keys; forty names of one are one.
    let unnamed = world.issuer.token().signed_with(&last).without_header("kid").build();
    assert!(world.check(&unnamed).await.verdict.is_ok());
}

#[tokio::test]
async fn an_rsa_key_without_alg_is_for_the_first_allowed_rsa_algorithm_alone() {
    let key = TestKey::shared(Algorithm::RS256);
    let mut jwk = key.jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let rows: [(&[Algorithm], Algorithm, bool); 8] = [
        (&[], Algorithm::RS256, true),
        (&[], Algorithm::RS384, false),
        (&[], Algorithm::PS256, false),
        (&[Algorithm::PS256], Algorithm::PS256, true),
        (&[Algorithm::PS256], Algorithm::RS256, false),
        (&[Algorithm::ES256, Algorithm::RS512], Algorithm::RS512, true),
        (&[Algorithm::PS256, Algorithm::RS256], Algorithm::PS256, true),
        (&[Algorithm::PS256, Algorithm::RS256], Algorithm::RS256, false),
    ];
    for (allowed, used, accepted) in rows {
        let set: Value = json!({ "keys": [jwk] });
        let world = World::cold(
            |issuer| issuer.publish_raw(set),
            |issuer| if allowed.is_empty() { issuer } else { issuer.algorithms(allowed.iter().copied()) },
            |builder| builder,
        );
        let token = world.issuer.token().signed_with(&key.clone().with_algorithm(used)).build();
        let verdict = world.check(&token).await.verdict;
        assert_eq!(verdict.is_ok(), accepted, "allowed {allowed:?}, used {used}: {verdict:?}");
    }
}

#[tokio::test]
async fn a_key_of_another_algorithm_under_the_same_kid_is_accepted_after_one_fetch_threat_19() {
    for named in [true, false] {
        let world = World::new().await;
        let publish = |key: TestKey| {
            let mut jwk = key.jwk();
            if !named {
                jwk.as_object_mut().unwrap().remove("kid");
            }
            world.issuer.publish_raw(json!({ "keys": [jwk] }));
            world.issuer.sign_with(key);
        };
        let kid = world.issuer.current_key().key_id().to_owned();
        publish(TestKey::generate(Algorithm::Ed25519, kid));
        let outcome = world.check(&world.issuer.token().build()).await;
        assert!(outcome.verdict.is_ok(), "named: {named}");
        assert_eq!(outcome.asked.jwks, 1, "named: {named}");
    }
}

#[tokio::test]
async fn a_token_that_passed_before_falls_with_its_key_threat_19() {
    let world = World::new().await;
    let token = world.issuer.token().expires_in(INTERVAL * 1000).build();
    world.check(&token).await.verdict.unwrap();
    let (headers, requirement) = (bearer(&token), Arc::new(Requirement::authenticated()));
    let input = world.authorizer.input(&headers, &requirement);
    let again = async || world.authorizer.authorize(&input).await.map(drop).map_err(|rejection| rejection.kind());
    assert_eq!(again().await, Ok(()));

    let old = world.issuer.current_key();
    world.issuer.rotate();
    world.advance(INTERVAL).await;
    assert_eq!(again().await, Ok(()), "its key is published still");
    world.issuer.retire(old.key_id());
    world.advance(INTERVAL).await;
    assert_eq!(again().await, Err(RejectionKind::InvalidToken), "its key is gone");
    world.issuer.publish(&[old]);
    world.advance(INTERVAL).await;
    assert_eq!(again().await, Ok(()), "its key is back");
    world.issuer.fault(Target::All, Fault::Reset);
    for _ in 0..20 {
        world.advance(INTERVAL).await;
    }
    assert_eq!(again().await, Err(RejectionKind::KeysUnavailable), "nobody can say any more");
}
