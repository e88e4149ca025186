//! Any token, header or claims → a permit only for what a second reading finds in order.
#![no_main]

use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use libfuzzer_sys::fuzz_target;
use portcullis::{
    Algorithm, Authorizer, Decision, Issuer, KeySet, KeySource, Permit, Requirement, RouteTable, Unlisted,
    VerificationKey,
    authorizer::Answers,
    clock::{Now, UnixTime},
    testing::{TestKey, TokenBuilder},
};
use serde_json::Value;

const ISSUER: &str = "https://idp.example";
const NOW: u64 = 1_900_000_000;
const LEEWAY: f64 = 30.0;

/// HMAC, since it signs a hundred thousand times a second.
static KEY: LazyLock<TestKey> = LazyLock::new(|| TestKey::shared(Algorithm::HS256));

static AUTHORIZER: LazyLock<Authorizer> = LazyLock::new(|| {
    let key = VerificationKey::from_secret(Algorithm::HS256, &KEY.secret().unwrap()).unwrap();
    let issuer = Issuer::with_keys(ISSUER, KeySource::set(KeySet::new([key]))).audience(TokenBuilder::AUDIENCE);
    let routes = RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap();
    Authorizer::builder().issuer(issuer).routes(routes).build().unwrap()
});

// The first byte says what the rest is: claims, a header (both properly signed), or the whole token.
fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let builder = || TokenBuilder::new(ISSUER, &KEY, UnixTime::from_secs(NOW));
    match mode {
        b'c' => {
            if let Some(permit) = permit(&builder().raw_payload(text).build()) {
                check_claims(text, &permit);
            }
        }
        b'h' => {
            if permit(&builder().raw_header(text).build()).is_some() {
                check_header(text);
            }
        }
        _ => assert!(permit(text).is_none(), "nobody signed {text:?}"),
    }
});

fn permit(token: &str) -> Option<Permit> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).ok()?);
    let requirement = Arc::new(Requirement::authenticated());
    let input = AUTHORIZER.input(&headers, &requirement);
    let now = Now::new(UnixTime::from_secs(NOW), std::time::Duration::ZERO);
    match AUTHORIZER.decide(&input, &Answers::default(), now) {
        Decision::Permit(permit) => Some(permit),
        Decision::Reject(_) => None,
        other => panic!("static keys leave nothing to ask: {other:?}"),
    }
}

fn check_claims(text: &str, permit: &Permit) {
    let claims: Value = serde_json::from_str(text).expect("claims are JSON");
    assert_eq!(claims["iss"], ISSUER);
    let is_ours = |audience: &Value| audience == TokenBuilder::AUDIENCE;
    let audiences = claims["aud"].as_array().map_or(std::slice::from_ref(&claims["aud"]), Vec::as_slice);
    assert!(audiences.iter().any(is_ours), "{text}");

    let now = NOW as f64;
    assert!(claims["exp"].as_f64().is_some_and(|at| at > now - LEEWAY - 1.0), "{text}");
    for name in ["nbf", "iat"] {
        let time = claims.get(name).map(|time| time.as_f64().expect("a number"));
        assert!(time.is_none_or(|at| at < now + LEEWAY + 1.0), "{text}");
    }
    for name in ["cnf", "events"] {
        assert!(claims.get(name).is_none(), "{text}");
    }
    let token = permit.token().expect("a token");
    assert_eq!(token.subject(), claims.get("sub").map(|subject| subject.as_str().expect("a string")));
    for scope in token.scopes().iter() {
        assert!(text.contains(scope) || text.contains("\\u") || text.contains("\\/"), "{scope} in {text}");
    }
}

fn check_header(text: &str) {
    let header: Value = serde_json::from_str(text).expect("a header is JSON");
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none(), "{text}");
    if let Some(kind) = header.get("typ") {
        let kind = kind.as_str().expect("a string").to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        assert!(["jwt", "at+jwt"].contains(&kind), "{text}");
    }
}
