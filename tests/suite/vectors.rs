//! What others say a signature is worth: the RFCs' examples and Wycheproof's cases, against our JWS path.
//!
//! Of the RFC examples, the thumbprints (RFC 7638), `x5t#S256` (RFC 8705) and `ath` (RFC 9449) do not apply: this crate
//! computes none. Their keys, proofs and tokens do.

use std::{collections::BTreeMap, fs, path::Path};

use portcullis::{
    Algorithm, Issuer, KeySet, KeySource, VerificationKey, clock::UnixTime, testing::verify_jws, token::TokenError,
};
use serde_json::Value;

use crate::{
    support::World,
    verification::{Refusal, judge},
};

/// Cases on which we disagree with the label, each with the reason.
type Deviations = &'static [(u64, Verdict, &'static str)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Refused,
}
use Verdict::{Accepted, Refused};

const SIGNATURES: Deviations = &[
    (346, Refused, "the key says PS256 and the JWS PS384: a key has one algorithm"),
    (347, Refused, "the key says ES521, which is no algorithm, and is not used"),
    (350, Refused, "as 346"),
    (351, Refused, "as 347"),
    (367, Accepted, "byte for byte the JWS and the key of 357, which is labelled valid"),
    (370, Accepted, "as 367"),
    (372, Refused, "a question mark inside the header is not base64url"),
    (373, Refused, "a question mark inside the payload is not base64url"),
];

const PUBLISHED_KEYS: Deviations = &[
    (2, Refused, "a symmetric key in a set: whoever reads the set could sign"),
    (7, Accepted, "a key of the ROCA family, which is weak by its maker's fault; we check size, not provenance"),
    (13, Refused, "as 2"),
    (14, Refused, "as 2"),
    (15, Refused, "as 2"),
];

const SECRETS_BY_HAND: Deviations =
    &[(4, Accepted, "two secrets under one name: who configures both by hand means both, and each is tried")];

#[test]
fn wycheproofs_signatures_are_judged_as_a_strict_verifier_does_threat_1() {
    // Symmetric keys never come from a set, so that those of the file are given by hand.
    compare("json_web_signature_test.json", 401, SIGNATURES, |group| {
        Some(group.get("public").map_or_else(|| secrets(&group["private"]), published))
    });
}

#[test]
fn wycheproofs_key_sets_hold_no_key_that_is_unfit_threat_1() {
    compare("json_web_key_test.json", 26, PUBLISHED_KEYS, |group| {
        Some(published(group.get("public").unwrap_or(&group["private"])))
    });
}

#[test]
fn wycheproofs_secrets_given_by_hand_are_judged_by_their_length_threat_1() {
    compare("json_web_key_test.json", 14, SECRETS_BY_HAND, |group| {
        let keys = group["private"]["keys"].as_array().unwrap();
        keys.iter().all(|key| key["kty"] == "oct").then(|| secrets(&group["private"]))
    });
}

/// Judges each case with the keys of its group, and wants exactly these disagreements with the labels.
fn compare(file: &str, judged: usize, expected: Deviations, keys_of: impl Fn(&Value) -> Option<KeySet>) {
    let Some(document) = read(file) else { return };
    let (mut count, mut found) = (0, BTreeMap::new());
    for group in document["testGroups"].as_array().unwrap() {
        let Some(keys) = keys_of(group) else { continue };
        for case in group["tests"].as_array().unwrap() {
            count += 1;
            let jws = case["jws"].as_str().map_or_else(|| case["jws"].to_string(), str::to_owned);
            let verdict = match verify_jws(&jws, &keys) {
                Ok(_) => Accepted,
                Err(_) => Refused,
            };
            let label = match case["result"].as_str().unwrap() {
                "valid" => Accepted,
                "invalid" => Refused,
                other => panic!("{file} has a label {other:?}"),
            };
            if verdict != label {
                found.insert(case["tcId"].as_u64().unwrap(), verdict);
            }
        }
    }
    assert_eq!(count, judged, "{file}");
    assert_eq!(found, expected.iter().map(|&(case, verdict, _)| (case, verdict)).collect(), "{file}");
}

#[test]
fn the_examples_of_the_rfcs_hold() {
    let Some(examples) = read("rfc-examples.json") else { return };
    for example in examples["rfc7515"].as_array().unwrap() {
        let jws = example["compact"].as_str().unwrap();
        let verdict = match example["alg"].as_str().unwrap() {
            "none" => verify_jws(jws, &published(&examples["rfc7515"][1]["jwk"])),
            "HS256" => verify_jws(jws, &KeySet::new([secret(Algorithm::HS256, &example["jwk"]).unwrap()])),
            // An RSA key without `alg` is for RS256, which that of A.2 is.
            _ => verify_jws(jws, &published(&example["jwk"])),
        };
        let expected = if example["expect"] == "valid" { Accepted } else { Refused };
        assert_eq!(verdict.is_ok(), expected == Accepted, "RFC 7515 {}: {verdict:?}", example["appendix"]);
    }
    for example in examples["rfc7638"].as_array().unwrap() {
        assert_eq!(published(&example["jwk"]).keys().len(), 1, "{}", example["source"]);
    }
    for proof in examples["rfc9449"]["proofs"].as_array().unwrap() {
        let keys = published(&proof["header"]["jwk"]);
        assert!(verify_jws(proof["proof"].as_str().unwrap(), &keys).is_ok(), "{proof}");
    }
}

#[test]
fn the_ed25519_signature_of_rfc_8037_holds() {
    let keys = br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let jws = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
               hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let payload = verify_jws(jws, &KeySet::from_json(keys).unwrap());
    assert_eq!(payload.as_deref(), Ok(&b"Example of Ed25519 signing"[..]));
}

#[tokio::test]
async fn the_proofs_and_the_bound_token_of_rfc_9449_are_no_bearer_tokens_threats_5_and_24() {
    let Some(examples) = read("rfc-examples.json") else { return };
    let keys = examples["rfc9449"]["proofs"][0]["header"]["jwk"].to_string();
    let source = KeySource::json(keys);
    let configured = |_| Issuer::without_identifier(source).dangerous_any_audience();
    let world = World::with(configured, |builder| builder).await;
    world.clock.step_wall_to(UnixTime::from_secs(1_562_262_620));
    for proof in examples["rfc9449"]["proofs"].as_array().unwrap() {
        let verdict = judge(&world, proof["proof"].as_str().unwrap()).await;
        assert_eq!(verdict.unwrap_err(), Refusal::Token(TokenError::Kind));
    }
    let bound = judge(&world, examples["rfc9449"]["jwt_with_cnf"]["token"].as_str().unwrap()).await;
    assert_eq!(bound.unwrap_err(), Refusal::Token(TokenError::SenderConstrained));
}

/// A key or a set as an issuer would publish it; without keys where none can be used.
fn published(jwks: &Value) -> KeySet {
    KeySet::from_json(jwks.to_string().as_bytes()).unwrap_or_default()
}

/// The secrets among one JWK or several, as an operator would configure them; the unfit ones are left out.
fn secrets(jwks: &Value) -> KeySet {
    let one = std::slice::from_ref(jwks);
    let jwks = jwks["keys"].as_array().map_or(one, Vec::as_slice);
    KeySet::new(jwks.iter().filter_map(|jwk| secret(jwk["alg"].as_str()?.parse().ok()?, jwk)))
}

fn secret(algorithm: Algorithm, jwk: &Value) -> Option<VerificationKey> {
    let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(jwk["k"].as_str()?).ok()?;
    let key = VerificationKey::from_secret(algorithm, &bytes).ok()?;
    Some(jwk["kid"].as_str().map_or(key.clone(), |id| key.with_key_id(id)))
}

/// One of the files that lie beside the repository; a published crate does not have their folder.
fn read(file: &str) -> Option<Value> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vectors"));
    if !folder.is_dir() {
        println!("skipped: there is no folder {}", folder.display());
        return None;
    }
    Some(serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap())
}
