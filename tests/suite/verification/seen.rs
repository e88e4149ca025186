//! A token that was seen before: its signature is not checked again, everything else is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis::{
    Decision, RejectionKind, Requirement,
    authorizer::Answers,
    status::{Revocation, Revocations},
    token::TokenError::Condition,
};

use super::{Refusal, good, judge};
use crate::support::{World, bearer};

/// How many tokens the authorizer keeps.
fn kept(world: &World) -> String {
    let text = format!("{:?}", world.authorizer);
    let (_, entries) = text.split_once("entries: ").unwrap();
    entries.split(',').next().unwrap().to_owned()
}

#[tokio::test]
async fn what_only_looks_like_a_token_that_was_seen_is_verified_threat_23() {
    let world = World::new().await;
    let text = good(&world).subject("good").build();
    judge(&world, &text).await.unwrap();
    let other = good(&world).subject("evil").build();
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let other_payload = other.split('.').nth(1).unwrap();
    let with_other = |part: &str| format!("{}{}", if part.starts_with('A') { 'B' } else { 'A' }, &part[1..]);
    assert_eq!(other_payload.len(), payload.len());
    let rows = [
        ("another payload", format!("{header}.{other_payload}.{signature}")),
        ("another first letter of the header", format!("{}.{payload}.{signature}", with_other(header))),
        ("another first letter of the payload", format!("{header}.{}.{signature}", with_other(payload))),
        ("another first letter of the signature", format!("{signed}.{}", with_other(signature))),
        ("its end", text[1..].to_owned()),
        ("the signature alone", signature.to_owned()),
        ("more in front", format!("AAAA{text}")),
    ];
    for (name, look_alike) in rows {
        assert!(matches!(judge(&world, &look_alike).await, Err(Refusal::Token(_))), "{name}");
        assert_eq!(judge(&world, &text).await.unwrap().subject(), Some("good"), "after {name}");
    }
    assert_eq!(kept(&world), "1", "of what was not verified, nothing is kept");
}

#[tokio::test]
async fn a_flood_of_forgeries_takes_nobodys_place_threat_21() {
    let world = World::with(|issuer| issuer, |builder| builder.token_cache_bytes(32 * 1024)).await;
    let text = good(&world).build();
    judge(&world, &text).await.unwrap();
    for number in 0..300 {
        let forged = good(&world).claim("jti", number.to_string()).tampered().build();
        assert!(judge(&world, &forged).await.is_err());
    }
    assert_eq!(kept(&world), "1");
    for number in 0..300 {
        judge(&world, &good(&world).claim("jti", number.to_string()).build()).await.unwrap();
    }
    assert!((2..64).contains(&kept(&world).parse::<u32>().unwrap()), "bounded: {}", kept(&world));
}

#[tokio::test]
async fn what_an_issuer_is_configured_to_want_is_wanted_each_time_threat_13() {
    let is_enabled = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&is_enabled);
    let world = World::with(
        |issuer| issuer.that("the tenant is enabled", move |_| asked.load(Ordering::Relaxed)),
        |builder| builder,
    )
    .await;
    let text = good(&world).build();
    for enabled in [true, false, true, false] {
        is_enabled.store(enabled, Ordering::Relaxed);
        let verdict = judge(&world, &text).await.map(drop);
        assert_eq!(verdict, if enabled { Ok(()) } else { Err(Refusal::Token(Condition)) });
    }
}

#[tokio::test]
async fn scopes_count_alike_for_whichever_table_prepared_the_requirement_threat_8_13() {
    // More scopes than there are bits; a table of which another's bits would be of other scopes.
    let names: Vec<String> = (0..80).map(|number| format!("s{number}")).collect();
    let world = World::new().await;
    let other = World::new().await;
    for name in names.iter().rev() {
        other.authorizer.compile(Requirement::scope(name)).unwrap();
    }
    let text = good(&world).scopes(["s3", "s70", "s79"]).build();
    let headers = bearer(&text);
    for round in 0..2 {
        for reversed in [false, true] {
            let prepare = |at: usize| if reversed { &names[names.len() - 1 - at] } else { &names[at] };
            for scope in (0..80).map(prepare) {
                let expected = ["s3", "s70", "s79"].contains(&scope.as_str());
                let plain = Requirement::scope(scope);
                let requirements = [
                    world.authorizer.compile(plain.clone()).unwrap(),
                    other.authorizer.compile(plain.clone()).unwrap(),
                    Arc::new(plain.clone()),
                    Arc::new(Requirement::clone(&world.authorizer.compile(plain.clone()).unwrap()).or_all_of(["s79"])),
                    // An alternative of nothing, which must not be one that everybody meets.
                    Arc::new(plain.or_all_of([])),
                ];
                for (by, requirement) in requirements.iter().enumerate() {
                    let expected = (expected || by == 3) && by != 4;
                    let input = world.authorizer.input(&headers, requirement);
                    let passes = world.authorizer.authorize(&input).await.is_ok();
                    assert_eq!(passes, expected, "{scope}, prepared by {by}, round {round}");
                }
            }
        }
    }
}

#[tokio::test]
async fn yes_or_no_is_what_a_decision_says() {
    let revocations = Revocations::new();
    let world = World::with(|issuer| issuer, |builder| builder.revocations(revocations.clone())).await;
    revocations.revoke(Revocation::token_id(Some("https://issuer.test"), "revoked"));
    let token = |id: &str| good(&world).claim("jti", id).scopes(["read"]).build();
    let unknown = good(&world).key_id("unknown").build();
    let credentials = [token("good"), token("revoked"), good(&world).tampered().build(), unknown, "junk".to_owned()];
    let requirements = [
        Requirement::public(),
        Requirement::optional(),
        Requirement::scope("read"),
        Requirement::scope("write"),
        Requirement::authenticated().audience("https://elsewhere.example"),
    ];
    let now = world.authorizer.now();
    let (mut yes, mut no) = (0, 0);
    for requirement in requirements {
        let requirement = world.authorizer.compile(requirement).unwrap();
        let headers = credentials.iter().map(|token| bearer(token)).chain([http::HeaderMap::new()]);
        for headers in headers {
            let input = world.authorizer.input(&headers, &requirement);
            let decision = world.authorizer.decide(&input, &Answers::default(), now);
            let permits = world.authorizer.permits(&input, now);
            assert_eq!(permits, matches!(decision, Decision::Permit(_)), "{requirement}: {decision:?}");
            if permits { yes += 1 } else { no += 1 }
        }
    }
    assert!(yes >= 8 && no >= 12, "{yes} and {no}");
}

#[tokio::test]
async fn a_token_in_many_hands_is_the_same_in_all_of_them_threat_14() {
    let revocations = Revocations::new();
    let world = World::with(|issuer| issuer, |builder| builder.revocations(revocations.clone())).await;
    let text = good(&world).claim("jti", "hot").scopes(["read"]).build();
    let (headers, requirement) = (bearer(&text), world.authorizer.compile(Requirement::scope("read")).unwrap());
    let decide = || {
        let input = world.authorizer.input(&headers, &requirement);
        match world.authorizer.decide(&input, &Answers::default(), world.clock.now()) {
            Decision::Permit(permit) => Some(permit.into_token().unwrap()),
            _ => None,
        }
    };
    let bytes = || {
        let text = format!("{:?}", world.authorizer);
        let (_, bytes) = text.split_once("bytes: ").unwrap();
        bytes.split([',', ' ', '}']).next().unwrap().trim().parse::<usize>().unwrap()
    };
    judge(&world, &text).await.unwrap();
    let alone = bytes();
    let held: Vec<_> = (0..4).map(|_| decide().unwrap()).collect();
    assert!(bytes() > alone + 4 * text.len(), "it has copies, and they are counted");
    assert_eq!(kept(&world), "1");
    let from_threads = |expected: bool| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..12).map(|_| scope.spawn(decide)).collect();
            for token in threads.into_iter().map(|thread| thread.join().unwrap()) {
                assert_eq!(token.is_some(), expected);
                if let Some(token) = token {
                    assert_eq!((token.token_id(), token.scopes()), (held[0].token_id(), held[0].scopes()));
                    assert_eq!(token.claims_as::<serde_json::Value>().unwrap()["jti"], "hot");
                }
            }
        });
    };
    from_threads(true);
    revocations.revoke(Revocation::token_id(Some("https://issuer.test"), "hot"));
    from_threads(false);
}

#[tokio::test]
async fn only_a_token_that_was_seen_is_called_expired_threat_29() {
    let world = World::new().await;
    let (seen, unseen) = (good(&world).build(), good(&world).build());
    judge(&world, &seen).await.unwrap();
    world.advance(Duration::from_secs(2 * 3600)).await;
    assert_eq!(world.check(&seen).await.verdict.unwrap_err(), RejectionKind::ExpiredToken);
    assert_eq!(world.check(&unseen).await.verdict.unwrap_err(), RejectionKind::InvalidToken);
}
