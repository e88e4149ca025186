//! Generated tokens before two judges: what the jsonwebtoken crate refuses, we refuse.
//!
//! It tells the time by the machine's clock, so that every generated time is minutes away from any border. Where it is
//! stricter than we mean to be, no such token is made: it wants a type of header parameters that we never look at
//! (`jku`, `x5c`, …), and it does not know `Ed25519` (RFC 9864) as a name for `EdDSA`.

use std::cell::Cell;

use jsonwebtoken::{DecodingKey, Validation};
use portcullis::{
    Algorithm, Issuer, KeySource,
    clock::UnixTime,
    testing::{TestKey, TokenBuilder},
};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use serde_json::{Value, json};

use crate::{support::World, verification::judge};

const ISSUER: &str = "https://issuer.test";

/// What is done to a good token.
#[derive(Clone, Debug)]
enum Change {
    Header(&'static str, Value),
    WithoutHeader(&'static str),
    Claim(&'static str, Value),
    WithoutClaim(&'static str),
    /// One member of header or claims, once more.
    Repeat {
        in_header: bool,
        name: &'static str,
        value: Value,
    },
    SignedWithAnotherKey,
    SignedWithAnotherAlgorithm,
    SignedWithThePublicKey,
    Unsigned,
    Tampered,
    Signature(Vec<u8>),
    /// In the finished text: as many bytes at this place are replaced by these.
    Text(Index, usize, String),
    /// These stand behind the finished text.
    Append(&'static str),
    /// In the finished text: this part stands in the place of that one.
    Part(usize, usize),
}

fn changes(now: u64) -> impl Strategy<Value = Vec<Change>> {
    let header = select(vec!["alg", "typ", "kid", "cty", "crit", "b64", "x"]);
    let claim =
        select(vec!["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "scope", "scp", "cnf", "nonce", "typ", "x"]);
    let time = select(vec!["exp", "nbf", "iat"]);
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    let change = prop_oneof![
        3 => (header.clone(), header_value()).prop_map(|(name, value)| Change::Header(name, value)),
        1 => header.clone().prop_map(Change::WithoutHeader),
        4 => (claim.clone(), claim_value()).prop_map(|(name, value)| Change::Claim(name, value)),
        4 => (time, time_value(now)).prop_map(|(name, value)| Change::Claim(name, value)),
        2 => claim.clone().prop_map(Change::WithoutClaim),
        1 => (header, header_value()).prop_map(|(name, value)| Change::Repeat { in_header: true, name, value }),
        1 => (claim, claim_value()).prop_map(|(name, value)| Change::Repeat { in_header: false, name, value }),
        1 => Just(Change::SignedWithAnotherKey),
        1 => Just(Change::SignedWithAnotherAlgorithm),
        1 => Just(Change::SignedWithThePublicKey),
        1 => Just(Change::Unsigned),
        1 => Just(Change::Tampered),
        1 => bytes.prop_map(Change::Signature),
        4 => (any::<Index>(), 0_usize..3, "[A-Za-z0-9_=.+/~-]{0,2}").prop_map(|(at, cut, new)| Change::Text(at, cut, new)),
        1 => select(vec!["=", "==", ".", "A", "AA", "AAA", ".AAAA", "~"]).prop_map(Change::Append),
        1 => (0_usize..3, 0_usize..3).prop_map(|(from, to)| Change::Part(from, to)),
    ];
    prop::collection::vec(change, 0..=2)
}

fn header_value() -> impl Strategy<Value = Value> {
    let names =
        ["RS256", "ES256", "EdDSA", "HS256", "PS256", "RS384", "none", "nOnE", "", "at+jwt", "JWT", "key", "json"];
    prop_oneof![
        6 => select(names.to_vec()).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => select(vec![json!([]), json!(["exp"]), json!(["b64", "x"]), json!({}), json!({ "a": 1 })]),
    ]
}

fn claim_value() -> impl Strategy<Value = Value> {
    let texts =
        [ISSUER, TokenBuilder::AUDIENCE, "https://issuer.test/", "https://api.example/", "read", "read write", ""];
    let text = select(texts.to_vec()).prop_map(Value::from);
    prop_oneof![
        4 => text.clone(),
        3 => prop::collection::vec(text, 0..3).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!({ "jkt": "x" })),
    ]
}

/// A time that is whole tens of minutes from now, or something that only looks like one.
fn time_value(now: u64) -> impl Strategy<Value = Value> {
    let time = prop_oneof![-50_i64..0, 1_i64..50].prop_map(move |tens| now.saturating_add_signed(tens * 600));
    prop_oneof![
        6 => time.clone().prop_map(Value::from),
        1 => time.clone().prop_map(|time| json!(f64::from(u32::try_from(time).unwrap()) + 0.75)),
        1 => time.clone().prop_map(|time| json!(time.to_string())),
        1 => time.clone().prop_map(|time| json!([time])),
        1 => time.prop_map(|time| json!(-i64::try_from(time).unwrap())),
        1 => select(vec![json!(0), json!(u64::MAX), json!(i64::MIN), json!(1e300), json!(0.5), json!(null), json!(true)]),
    ]
}

/// One issuer with one key, as each judge is told of it.
struct Court {
    key: TestKey,
    other_algorithm: Algorithm,
    ours: World,
    theirs: (DecodingKey, Validation),
}

impl Court {
    async fn new(algorithm: Algorithm, other_algorithm: Algorithm, theirs: jsonwebtoken::Algorithm, now: u64) -> Self {
        let key = TestKey::shared(algorithm).with_key_id("key");
        let source = KeySource::json(key.jwk().to_string());
        let configured = |_| Issuer::with_keys(ISSUER, source).audience(TokenBuilder::AUDIENCE);
        let ours = World::with(configured, |builder| builder).await;
        ours.clock.step_wall_to(UnixTime::from_secs(now));
        let mut validation = Validation::new(theirs);
        validation.leeway = 30;
        validation.validate_nbf = true;
        validation.set_audience(&[TokenBuilder::AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let jwk = serde_json::from_value(key.jwk()).unwrap();
        Self { key, other_algorithm, ours, theirs: (DecodingKey::from_jwk(&jwk).unwrap(), validation) }
    }

    fn token(&self, changes: &[Change]) -> String {
        let good = self.ours.issuer.token().signed_with(&self.key);
        let token = changes.iter().fold(good, |token, change| self.changed(token, change));
        changes.iter().fold(with_repeated(&token, changes).build(), in_text)
    }

    fn changed(&self, token: TokenBuilder, change: &Change) -> TokenBuilder {
        match change {
            Change::Header(name, value) => token.header(name, value.clone()),
            Change::WithoutHeader(name) => token.without_header(name),
            Change::Claim(name, value) => token.claim(name, value.clone()),
            Change::WithoutClaim(name) => token.without_claim(name),
            Change::SignedWithAnotherKey => {
                token.signed_with(&TestKey::shared_other(self.key.algorithm()).with_key_id("key"))
            }
            Change::SignedWithAnotherAlgorithm => {
                token.signed_with(&TestKey::shared(self.other_algorithm).with_key_id("key"))
            }
            Change::SignedWithThePublicKey => token.signed_as_hmac(Algorithm::HS256, self.key.jwk().to_string()),
            Change::Unsigned => token.unsigned(),
            Change::Tampered => token.tampered(),
            Change::Signature(bytes) => token.signature(bytes.clone()),
            Change::Repeat { .. } | Change::Text(..) | Change::Append(_) | Change::Part(..) => token,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the second opinion is that of this very function")]
    fn they_accept(&self, token: &str) -> bool {
        jsonwebtoken::decode::<serde::de::IgnoredAny>(token, &self.theirs.0, &self.theirs.1).is_ok()
    }

    async fn we_accept(&self, token: &str) -> bool {
        judge(&self.ours, token).await.is_ok()
    }
}

/// The token with members that stand twice, signed like that.
fn with_repeated(token: &TokenBuilder, changes: &[Change]) -> TokenBuilder {
    let text = token.build();
    let part = |at: usize| base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text.split('.').nth(at).unwrap()).unwrap();
    changes.iter().fold(token.clone(), |token, change| match change {
        Change::Repeat { in_header, name, value } => {
            let object = String::from_utf8(part(usize::from(!in_header))).unwrap();
            let object = format!("{},\"{name}\":{value}}}", object.strip_suffix('}').unwrap());
            if *in_header { token.raw_header(object) } else { token.raw_payload(object) }
        }
        _ => token,
    })
}

fn in_text(mut text: String, change: &Change) -> String {
    match change {
        Change::Text(at, cut, new) => {
            let start = at.index(text.len());
            let end = text.len().min(start + cut);
            text.replace_range(start..end, new);
            text
        }
        Change::Append(more) => text + more,
        Change::Part(from, to) => {
            let mut parts: Vec<_> = text.split('.').collect();
            if let Some(part) = parts.get(*from).copied()
                && let Some(place) = parts.get_mut(*to)
            {
                *place = part;
            }
            parts.join(".")
        }
        _ => text,
    }
}

#[test]
fn what_jsonwebtoken_refuses_we_refuse() {
    let now = jsonwebtoken::get_current_timestamp();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let algorithms = [
        (Algorithm::RS256, Algorithm::PS256, jsonwebtoken::Algorithm::RS256),
        (Algorithm::ES256, Algorithm::ES384, jsonwebtoken::Algorithm::ES256),
        (Algorithm::Ed25519, Algorithm::ES256, jsonwebtoken::Algorithm::EdDSA),
    ];
    for (ours, other, theirs) in algorithms {
        let court = runtime.block_on(Court::new(ours, other, theirs, now));
        let (both, neither, we_alone) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let count = |cell: &Cell<u32>| cell.set(cell.get() + 1);
        let outcome = runner(ours).run(&changes(now), |changes| {
            let token = court.token(&changes);
            match (runtime.block_on(court.we_accept(&token)), court.they_accept(&token)) {
                (true, true) => count(&both),
                (false, false) => count(&neither),
                (false, true) => count(&we_alone),
                (true, false) => return Err(TestCaseError::fail(format!("we alone accept {token}"))),
            }
            Ok(())
        });
        if let Err(TestError::Fail(reason, changes)) = outcome {
            panic!("{ours}: {reason}\n{changes:#?}");
        }
        let counts = [both.get(), neither.get(), we_alone.get()];
        assert!(counts.iter().all(|&count| count >= 10), "{ours}: too few of some kind, {counts:?}");
    }
}

/// The same cases each time, others for each algorithm; `PROPTEST_CASES` asks for more.
fn runner(algorithm: Algorithm) -> TestRunner {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    config.cases = config.cases.max(1024);
    let seed: Vec<u8> = algorithm.name().bytes().cycle().take(32).collect();
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}
