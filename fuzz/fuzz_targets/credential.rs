//! Any header bytes → at most one bearer token, by a grammar written down a second time.
#![no_main]

use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use libfuzzer_sys::fuzz_target;
use portcullis::{
    Algorithm, Authorizer, Decision, Issuer, KeySet, KeySource, RejectionKind, Requirement, RouteTable, Unlisted,
    VerificationKey, authorizer::Answers,
};

static AUTHORIZER: LazyLock<Authorizer> = LazyLock::new(|| {
    let key = VerificationKey::from_secret(Algorithm::HS256, b"0a1b2c3d4e5f60718293a4b5c6d7e8f9").unwrap();
    let issuer = Issuer::with_keys("https://idp.example", KeySource::set(KeySet::new([key]))).audience("a");
    let routes = RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap();
    Authorizer::builder().issuer(issuer).routes(routes).build().unwrap()
});

// Each line is an `Authorization` header, or a `DPoP` one where it begins with an exclamation mark.
fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        let (name, value) = match line.strip_prefix(b"!") {
            Some(rest) => (HeaderName::from_static("dpop"), rest),
            None => (AUTHORIZATION, line),
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    let requirement = Arc::new(Requirement::authenticated());
    let input = AUTHORIZER.input(&headers, &requirement);
    let kind = match AUTHORIZER.decide(&input, &Answers::default(), AUTHORIZER.now()) {
        Decision::Reject(rejection) => rejection.kind(),
        other => panic!("{other:?}"),
    };

    let values: Vec<&[u8]> = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    let expected = match values.as_slice() {
        [] => RejectionKind::NoCredential,
        [value] => match scheme_and_rest(value) {
            Some(_) if headers.contains_key("dpop") => RejectionKind::InvalidRequest,
            Some(rest) if is_one_token(rest) => RejectionKind::InvalidToken,
            Some(_) => RejectionKind::InvalidRequest,
            None => RejectionKind::NoCredential,
        },
        _ => RejectionKind::InvalidRequest,
    };
    assert_eq!(kind, expected, "{values:?}");
});

/// What follows the scheme `Bearer`, where that is the scheme.
fn scheme_and_rest(value: &[u8]) -> Option<&[u8]> {
    // Where a scheme is followed by what cannot be part of one, it is that scheme, and something is wrong with it.
    let end = value.iter().position(|byte| b" \t,=".contains(byte)).unwrap_or(value.len());
    value[..end].eq_ignore_ascii_case(b"bearer").then(|| &value[end..])
}

/// `1*SP b64token`, not beyond 16 KiB.
fn is_one_token(rest: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(rest) else { return false };
    let token = text.trim_start_matches(' ');
    let body = token.trim_end_matches('=');
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
    token.len() < text.len() && token.len() <= 16 * 1024 && !body.is_empty() && body.chars().all(is_allowed)
}
