//! Texts and claims by hand → what is read of them, and what is kept.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::crypto::base64url::encode;

const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);

fn rules(issuer: Option<&str>) -> Arc<TokenRules> {
    Arc::new(TokenRules {
        issuer: issuer.map(Into::into),
        audiences: Audiences::Any,
        algorithms: Vec::new(),
        token_type: TokenType::Any,
        leeway: Duration::ZERO,
        max_age: None,
        scope_claim: None,
        grant_claims: vec!["grant".into()],
        conditions: Vec::new(),
    })
}

#[test]
fn a_header_says_more_of_a_token_than_a_payload_that_is_none() {
    let (good, critical) = (encode(br#"{"alg":"RS256"}"#), encode(br#"{"alg":"RS256","crit":["x"]}"#));
    let rows = [
        (format!("{good}.e30~.AA"), TokenError::NotCompact),
        (format!("{good}.W10.AA"), TokenError::Claims),
        (format!("{critical}.e30~.AA"), TokenError::CriticalHeader),
        ("W10.e30~.AA".to_owned(), TokenError::Header),
    ];
    for (text, expected) in rows {
        // What lies in the room from before does not matter.
        let mut room = b"{}".to_vec();
        let read = UnverifiedToken::parse(Bearer::parse(text.as_bytes(), 1000).unwrap(), &mut room);
        assert_eq!(read.map(|_| ()).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn what_a_token_says_is_kept_whoever_its_issuer_is() {
    let json = r#"{"iss":"i","sub":"","client_id":"c\u00e9","jti":"j","sid":"s","aud":["a","b"],"grant":"g","exp":1900000001,
        "act":{"sub":"x","act":{"sub":"y"}},"scope":"r w","nbf":1899999999,"iat":1899999998}"#;
    for (configured, expected) in [(Some("i"), Some("i")), (None, Some("i"))] {
        let claims = Claims::parse(json.as_bytes()).unwrap();
        let read = |rules: &Arc<TokenRules>, generation: Option<u64>, text: &str| match generation {
            Some(generation) => VerifiedToken::signed(rules, generation, &claims, json.as_bytes(), text.as_bytes()),
            None => VerifiedToken::described(rules, &claims, json.as_bytes(), text.as_bytes(), NOW),
        };
        let jwt = format!("e30.{}.AA", encode(json.as_bytes()));
        for (generation, text) in [(Some(7), &*jwt), (Some(0), &jwt), (None, "opaque")] {
            let token = read(&rules(configured), generation, text).unwrap();
            assert_eq!((token.issuer(), token.subject(), token.client_id()), (expected, Some(""), Some("cé")));
            assert_eq!((token.token_id(), token.session_id()), (Some("j"), Some("s")));
            assert!(token.audiences().eq(["a", "b"]) && token.actors().eq(["x", "y"]) && token.grants().eq(["g"]));
            let seconds = |time: Option<UnixTime>| time.map(UnixTime::as_secs);
            let times = [token.expires_at(), token.not_before(), token.issued_at()].map(seconds);
            assert_eq!(times, [Some(1_900_000_001), Some(1_899_999_999), Some(1_899_999_998)]);
            assert_eq!((token.key_generation(), token.is_opaque()), (generation, generation.is_none()));
            assert!(token.text() == text.as_bytes() && *token.payload() == *json.as_bytes());

            let narrowed = token.narrowed_to(&"r".parse::<Scope>().into_iter().collect());
            assert_eq!((narrowed.scopes().to_string(), token.scopes().len()), ("r".to_owned(), 2));
            assert_eq!((narrowed.subject(), narrowed.key_generation()), (Some(""), generation));
            // The text and what it says, 160 for the rest, and rounding.
            let said = text.len() + if generation.is_none() { json.len() } else { 0 };
            assert!((said + 160..said + 300).contains(&token.memory()), "{} for {said}", token.memory());
            assert!(narrowed.memory() <= token.memory());
        }
    }
    // What it does not say, nobody says for it.
    let claims = Claims::parse(b"{}").unwrap();
    let token = VerifiedToken::described(&rules(Some("i")), &claims, b"{}", b"opaque", NOW).unwrap();
    assert_eq!((token.issuer(), token.subject(), token.expires_at(), token.audiences().count()), (None, None, None, 0));
}
