//! Tokens without number, and tokens that are almost another: what memory holds is bounded, and never mistaken (threats
//! 21, 23).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use portcullis::{
    Issuer, RejectionKind, Requirement,
    status::{OpaqueTokens, StatusPolicy, StatusQuestion, TokenStatus},
    testing::TokenBuilder,
};
use serde_json::json;

use super::{source::ByToken, verdict};
use crate::support::World;

const ANY: fn() -> Requirement = Requirement::authenticated;

/// A source that counts, and says this.
fn counted(is_active: impl Fn(&StatusQuestion) -> bool + Send + Sync + 'static) -> (ByToken, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let source = ByToken::new(move |question| {
        count.fetch_add(1, Ordering::SeqCst);
        if !is_active(question) {
            return Ok(TokenStatus::inactive());
        }
        let described = json!({ "active": true, "aud": TokenBuilder::AUDIENCE });
        TokenStatus::described(&Bytes::from(described.to_string()))
    });
    (source, asked)
}

async fn of(source: ByToken, policy: StatusPolicy) -> World {
    let change = |issuer: Issuer| {
        issuer.status_source(source).status_policy(policy).opaque_tokens(OpaqueTokens::default().prefix("op_"))
    };
    World::with(change, |builder| builder).await
}

#[tokio::test]
async fn a_flood_of_junk_leaves_the_words_on_good_tokens_where_they_are_threat_21() {
    let (source, asked) = counted(|question| !question.is_opaque());
    let world = of(source, StatusPolicy::default().max_bytes(200_000)).await;
    let good: Vec<_> = (0..50).map(|_| world.issuer.token().build()).collect();
    for token in &good {
        assert!(verdict(&world, token, ANY()).await.is_ok());
    }
    for number in 0..100_000 {
        let junk = verdict(&world, &format!("op_junk-number-{number}"), ANY()).await;
        assert_eq!(junk.unwrap_err(), RejectionKind::InvalidToken);
    }
    assert_eq!(asked.swap(0, Ordering::SeqCst), 100_050);
    for token in &good {
        assert!(verdict(&world, token, ANY()).await.is_ok());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "good words were lost");
}

#[tokio::test]
async fn a_token_that_is_almost_a_known_one_is_another_threat_23() {
    let known = "op_header.payload-of-some-length.signature-of-some-length";
    let (source, asked) = counted(move |question| question.token() == known || !question.is_opaque());
    let world = of(source, StatusPolicy::default()).await;
    assert!(verdict(&world, known, ANY()).await.is_ok());
    assert!(verdict(&world, known, ANY()).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let almost = [
        "op_header.another-payload-as-long.signature-of-some-length",
        "op_another.payload-of-some-length.signature-of-some-length",
        "op_header.payload-of-some-length.signature-of-some-lengti",
        "op_header.payload-of-some-length.signature-of-some-lengt",
        "op_header.payload-of-some-length.signature-of-some-lengthh",
        "op_header.payload-of-some-length.Signature-of-some-length",
        "op_header.payload-of-some-lengt.hsignature-of-some-length",
        "op_header.payload-of-some-length",
    ];
    for (number, token) in (2..).zip(almost) {
        assert_eq!(verdict(&world, token, ANY()).await.unwrap_err(), RejectionKind::InvalidToken, "{token}");
        assert_eq!(asked.load(Ordering::SeqCst), number, "{token}");
    }
    assert!(verdict(&world, known, ANY()).await.is_ok(), "and nothing of it rubbed off");

    // A JWT that is no longer what was signed is not worth a question.
    let signed = world.issuer.token().build();
    assert!(verdict(&world, &signed, ANY()).await.is_ok());
    let before = asked.load(Ordering::SeqCst);
    let other = world.issuer.token().claim("jti", "other").build();
    let part = |text: &str, at: usize| text.split('.').nth(at).unwrap().to_owned();
    let swapped = [part(&signed, 0), part(&other, 1), part(&signed, 2)].join(".");
    for token in [swapped, signed[..signed.len() - 1].to_owned(), format!("{signed}A")] {
        assert_eq!(verdict(&world, &token, ANY()).await.unwrap_err(), RejectionKind::InvalidToken, "{token}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), before);
}
