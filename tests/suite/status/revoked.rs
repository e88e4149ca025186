//! What was revoked here is refused from the next request on, whatever else is said or remembered.

use base64_simd::URL_SAFE_NO_PAD;
use portcullis::{
    RejectionKind, Requirement,
    clock::UnixTime,
    status::{Revocation, RevocationTarget, Revocations, StatusPolicy},
};
use serde_json::json;

use super::{
    request,
    source::{Says, Scripted},
    verdict,
};
use crate::support::World;

const ANY: fn() -> Requirement = Requirement::authenticated;

async fn world(revocations: &Revocations, source: Option<&Scripted>) -> World {
    let change = |builder: portcullis::AuthorizerBuilder| builder.revocations(revocations.clone());
    World::with(
        |issuer| match source {
            Some(source) => issuer.status_source(source.clone()).status_policy(StatusPolicy::default()),
            None => issuer.grant_claim("grant").grant_claim("/urn:grant/parent"),
        },
        change,
    )
    .await
}

#[tokio::test]
async fn whatever_a_token_is_known_by_it_can_be_revoked_by_threat_14() {
    let claims = json!({
        "sid": "session", "grant": "grant", "urn:grant": { "parent": "parent" },
        "act": { "sub": "actor", "act": { "sub": "actor of the actor" } },
    });
    let of = Some("https://issuer.test");
    let issued = portcullis::testing::ManualClock::START;
    let earlier = UnixTime::from_secs(issued.as_secs() - 1);
    type Make = fn(&str, &str, Option<&'static str>, UnixTime) -> Revocation;
    let rows: [(&str, Make, bool); 9] = [
        ("its id", |id, _, of, _| Revocation::token_id(of, id), false),
        ("its text", |_, text, _, _| Revocation::token(text), false),
        ("its session", |_, _, of, _| Revocation::session(of, "session"), false),
        ("its grant", |_, _, of, _| Revocation::grant(of, "grant"), false),
        ("the grant above", |_, _, of, _| Revocation::grant(of, "parent"), false),
        ("its subject", |_, _, of, at| Revocation::subject(of, "user-1", at), true),
        ("its client", |_, _, of, at| Revocation::client(of, "client-1", at), true),
        ("an actor behind its actor", |_, _, of, at| Revocation::actor(of, "actor of the actor", at), true),
        ("its issuer", |_, _, of, at| Revocation::issuer(of, at), true),
    ];
    for (by, revocation, is_dated) in rows {
        let revocations = Revocations::new();
        let world = world(&revocations, None).await;
        let mut token = world.issuer.token().claim("jti", "token");
        for (name, value) in claims.as_object().unwrap() {
            token = token.claim(name, value.clone());
        }
        let token = token.build();
        verdict(&world, &token, ANY()).await.unwrap();
        revocations.revoke(revocation("token", &token, Some("https://other.test"), issued));
        let is_text = by == "its text";
        assert_eq!(verdict(&world, &token, ANY()).await.is_err(), is_text, "{by}: of another issuer");
        revocations.revoke(revocation("other", "text", of, earlier));
        if is_dated {
            assert!(verdict(&world, &token, ANY()).await.is_ok(), "{by}: issued later");
        }
        revocations.revoke(revocation("token", &token, of, issued));
        assert_eq!(verdict(&world, &token, ANY()).await.unwrap_err(), RejectionKind::InvalidToken, "{by}");
    }
}

/// The same ES256 token with its signature written in the other way: for each (r, s) that holds, (r, n - s) does too.
fn rewritten(token: &str) -> String {
    /// The order of P-256.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode_to_vec(signature).unwrap();
    let mut borrowed = false;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER).rev() {
        let (less, first) = order.overflowing_sub(*byte);
        let (less, second) = less.overflowing_sub(u8::from(borrowed));
        (*byte, borrowed) = (less, first || second);
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode_to_string(signature))
}

#[tokio::test]
async fn a_token_revoked_by_its_text_is_so_however_its_signature_is_written_threat_14() {
    let revocations = Revocations::new();
    let world = world(&revocations, None).await;
    let token = world.issuer.token().build();
    let other = rewritten(&token);
    assert!(other != token && verdict(&world, &other, ANY()).await.is_ok(), "it is as good as the first");
    revocations.revoke(Revocation::token(&token));
    assert_eq!(verdict(&world, &other, ANY()).await.unwrap_err(), RejectionKind::InvalidToken);
    assert!(verdict(&world, &world.issuer.token().build(), ANY()).await.is_ok(), "another one");
    // Whoever knows no more than a digest of the whole is taken at their word.
    let third = world.issuer.token().build();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, third.as_bytes());
    let digest = RevocationTarget::TokenDigest(digest.as_ref().try_into().unwrap());
    revocations.revoke(Revocation::new(None, digest));
    assert_eq!(verdict(&world, &third, ANY()).await.unwrap_err(), RejectionKind::InvalidToken);
}

#[tokio::test]
async fn a_revocation_that_comes_while_the_issuer_is_asked_has_the_last_word_threat_15() {
    for requirement in [ANY(), ANY().status_on_every_request()] {
        let (revocations, source) = (Revocations::new(), Scripted::new(Says::Active));
        let world = world(&revocations, Some(&source)).await;
        let token = world.issuer.token().claim("jti", "token").build();
        // The question leaves, the revocation arrives, the answer says active.
        source.hold();
        let waiting = request(&world, &token, requirement.clone());
        world.clock.settle().await;
        assert_eq!(source.asked(), 1);
        revocations.revoke(Revocation::token_id(Some(world.issuer.url()), "token"));
        source.release();
        assert_eq!(waiting.await.unwrap(), Err(RejectionKind::InvalidToken));
        // Nor does what it left in memory help anybody, on any route.
        for requirement in [ANY(), requirement.clone(), ANY().max_status_age(super::SECOND)] {
            assert_eq!(verdict(&world, &token, requirement).await.unwrap_err(), RejectionKind::InvalidToken);
        }
        assert_eq!(source.asked(), 1, "and nobody is asked about it again");
    }
}

#[tokio::test]
async fn a_suspension_is_lifted_and_a_revocation_is_not() {
    let revocations = Revocations::new();
    let world = world(&revocations, None).await;
    let token = world.issuer.token().claim("jti", "token").build();
    let one = Revocation::token_id(Some(world.issuer.url()), "token");
    revocations.suspend(one.clone());
    assert!(verdict(&world, &token, ANY()).await.is_err());
    revocations.resume(&one);
    assert!(verdict(&world, &token, ANY()).await.is_ok());
    revocations.revoke(one.clone());
    revocations.suspend(one.clone());
    revocations.resume(&one);
    assert!(verdict(&world, &token, ANY()).await.is_err());
}
