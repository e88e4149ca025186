//! Tokens and revocations by hand → what the index says of them.

mod lifetime;
mod model;
mod overflow;
mod rules;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::Revocations;
use crate::{
    clock::UnixTime,
    testing::ManualClock,
    token::{Audiences, Claims, TokenRules, TokenType, VerifiedToken},
};

const A: Option<&str> = Some("https://a.example");
const B: Option<&str> = Some("https://b.example");

/// Now, by a new clock.
const NOW: UnixTime = ManualClock::START;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A token with these claims, verified under the rules of `issuer`.
fn token(issuer: Option<&str>, claims: &Value) -> VerifiedToken {
    let rules = TokenRules {
        issuer: issuer.map(Into::into),
        audiences: Audiences::Any,
        algorithms: Vec::new(),
        token_type: TokenType::Any,
        leeway: Duration::ZERO,
        max_age: None,
        scope_claim: None,
        grant_claims: vec!["grant".into(), "parent".into()],
        conditions: Vec::new(),
    };
    let payload = claims.to_string().into_bytes();
    let text = format!("text of {claims}");
    let now = claims["iat"].as_u64().map_or(NOW, UnixTime::from_secs);
    let read = Claims::parse(&payload).unwrap();
    VerifiedToken::described(&Arc::new(rules), &read, &payload, text.as_bytes(), now).unwrap()
}

/// A token of issuer `A` that was issued so many seconds before now and has one more claim.
fn aged(age: u64, claim: &str, value: impl Into<Value>) -> VerifiedToken {
    token(A, &json!({ "iat": NOW.as_secs() - age, claim: value.into() }))
}

fn bounded(capacity: usize, clock: &ManualClock) -> Revocations {
    Revocations::builder().capacity(capacity).clock(clock.clone()).build().unwrap()
}

/// What the index says of a token, asked in both ways.
#[track_caller]
fn refused(revocations: &Revocations, token: &VerifiedToken) -> bool {
    let is_revoked = revocations.is_revoked(token);
    assert_eq!(revocations.stands(token), !is_revoked, "a stale stamp");
    is_revoked
}
