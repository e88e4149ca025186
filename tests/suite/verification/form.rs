//! One serialization, one reading of it: compact, canonical, each member once, and nothing that must not be ignored.

use portcullis::{RejectionKind, credential::CredentialError, testing::TestKey, token::TokenError};
use serde_json::{Value, json};

use super::{Refusal, check, good, judge};
use crate::support::World;

/// A JWS of these two parts to the letter, whatever they are.
fn jws(key: &TestKey, header: &str, payload: &str) -> String {
    let signed = format!("{header}.{payload}");
    let signature = encode(&key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn encode(bytes: &[u8]) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

#[tokio::test]
async fn only_three_parts_are_a_token_threat_3() {
    let world = World::new().await;
    let token = good(&world).build();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let encrypted = encode(br#"{"alg":"dir","enc":"A256GCM"}"#);
    let rows = [
        ("as it is", token.clone(), Ok(())),
        ("a JWE", format!("{encrypted}..AAAA.{}.AAAA", encode(token.as_bytes())), Err(TokenError::Encrypted)),
        ("a JWE of nothing", "....".into(), Err(TokenError::Encrypted)),
        ("a JWS of five parts", format!("{token}.AAAA.AAAA"), Err(TokenError::Encrypted)),
        ("a dot behind", format!("{token}."), Err(TokenError::NotCompact)),
        ("two dots behind", format!("{token}.."), Err(TokenError::Encrypted)),
        ("three dots behind", format!("{token}..."), Err(TokenError::NotCompact)),
        ("a dot before", format!(".{token}"), Err(TokenError::NotCompact)),
        ("an empty part between", format!("{signed}..{signature}"), Err(TokenError::NotCompact)),
        ("no signature part", signed.to_owned(), Err(TokenError::NotCompact)),
        ("an opaque token", "2YotnFZFEjr1zCsicMWpAA".into(), Err(TokenError::NotCompact)),
        ("an SD-JWT", format!("{token}~"), Err(TokenError::NotCompact)),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn the_json_serializations_are_no_credentials_threat_3() {
    let world = World::new().await;
    let token = good(&world).build();
    let parts: Vec<_> = token.split('.').collect();
    let flattened = json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] });
    let signatures = json!([{ "protected": parts[0], "signature": parts[2] }]);
    let general = json!({ "payload": parts[1], "signatures": signatures });
    for text in [flattened.to_string(), general.to_string(), format!("[{token}]"), format!("\"{token}\"")] {
        let verdict = judge(&world, &text).await;
        assert_eq!(verdict.unwrap_err(), Refusal::Credential(CredentialError::Malformed), "{text}");
        assert_eq!(world.check(&text).await.verdict.unwrap_err(), RejectionKind::InvalidRequest);
        let verdict = judge(&world, &encode(text.as_bytes())).await;
        assert_eq!(verdict.unwrap_err(), Refusal::Token(TokenError::NotCompact), "{text}");
    }
}

#[tokio::test]
async fn a_token_within_a_token_is_not_unwrapped_threat_3() {
    let world = World::new().await;
    let within = good(&world).build();
    let refused = Err(TokenError::CriticalHeader);
    let rows = [
        ("cty", good(&world).header("cty", "JWT").build(), refused),
        ("cty in small", good(&world).header("cty", "jwt").build(), refused),
        ("cty in full", good(&world).header("cty", "application/at+jwt").build(), refused),
        ("nested", good(&world).header("cty", "JWT").raw_payload(within.clone()).build(), refused),
        ("nested, unsaid", good(&world).raw_payload(within.clone()).build(), Err(TokenError::Claims)),
        ("nested as text", good(&world).raw_payload(format!("{within:?}")).build(), Err(TokenError::Claims)),
        ("enc", good(&world).header("enc", "A256GCM").build(), refused),
        ("zip", good(&world).header("zip", "DEF").build(), refused),
        ("cty not text", good(&world).header("cty", 1).build(), Err(TokenError::Header)),
        ("another cty", good(&world).header("cty", "json").build(), Ok(())),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn each_part_has_one_spelling_threat_3() {
    let world = World::new().await;
    let key = world.issuer.current_key();
    let header = with_bits_to_spare(&format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#, key.key_id()));
    let token = good(&world).claim("x", "?????>>>>>").build();
    let payload = with_bits_to_spare(&decode(token.split('.').nth(1).unwrap()));
    assert!(header.len() % 4 == 2 && payload.len() % 4 == 2, "at the end four bits to spare");
    assert!(payload.contains(['-', '_']), "{payload}");

    let right = jws(&key, &header, &payload);
    let (signed, signature) = right.rsplit_once('.').unwrap();
    let refused = Err(TokenError::NotCompact);
    let rows = [
        ("as it is", right.clone(), Ok(())),
        ("stray bits in the header", jws(&key, &stray(&header), &payload), refused),
        ("stray bits in the payload", jws(&key, &header, &stray(&payload)), refused),
        ("stray bits in the signature", format!("{signed}.{}", stray(signature)), refused),
        ("padded signature", format!("{right}=="), refused),
        ("one = too few", format!("{right}="), refused),
        ("the other alphabet", jws(&key, &header, &payload.replace('-', "+").replace('_', "/")), refused),
        ("a letter too many", format!("{right}AAA"), refused),
    ];
    check(&world, rows).await;
    for (name, token) in [
        ("padded header", jws(&key, &format!("{header}=="), &payload)),
        ("padded payload", jws(&key, &header, &format!("{payload}=="))),
        ("a line break", format!("{signed}.\t{signature}")),
        ("a space behind the payload", jws(&key, &header, &format!("{payload} "))),
        ("percent-encoded", right.replace('.', "%2E")),
    ] {
        let verdict = judge(&world, &token).await;
        assert_eq!(verdict.unwrap_err(), Refusal::Credential(CredentialError::Malformed), "{name}");
    }
}

/// JSON behind which so many spaces stand that its last character has four bits to spare.
fn with_bits_to_spare(json: &str) -> String {
    let spaces = (3 - (json.len() + 2) % 3) % 3;
    encode(format!("{json}{}", " ".repeat(spaces)).as_bytes())
}

fn decode(text: &str) -> String {
    String::from_utf8(base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).unwrap()).unwrap()
}

/// The same bytes to a careless decoder: the last character's spare bits set.
fn stray(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = text.bytes().last().unwrap();
    let value = ALPHABET.iter().position(|&byte| byte == last).unwrap();
    assert_eq!(value % 16, 0, "four spare bits, which are zero");
    format!("{}{}", &text[..text.len() - 1], char::from(ALPHABET[value + 1]))
}

#[tokio::test]
async fn what_is_critical_is_not_ignored_threat_4() {
    let world = World::new().await;
    let refused = Err(TokenError::CriticalHeader);
    let lists = [
        json!([]),
        json!(["exp"]),
        json!(["b64"]),
        json!(["b64", "b64"]),
        json!(["alg"]),
        json!(["x-unknown"]),
        json!([""]),
        json!([1]),
        json!("exp"),
        json!({}),
        json!(0),
        json!(false),
        Value::Null,
    ];
    for list in lists {
        let token = good(&world).header("crit", list.clone());
        let name = list.to_string();
        let rows = [
            (name.as_str(), token.clone().header("b64", true).header("exp", 1).header("x-unknown", 1).build(), refused),
            (name.as_str(), token.build(), refused),
        ];
        check(&world, rows).await;
    }
    let rows = [
        ("an escaped name", good(&world).raw_header(r#"{"alg":"ES256","\u0063rit":["x"],"x":1}"#).build(), refused),
        ("an unencoded payload", good(&world).header("b64", false).build(), refused),
        ("b64 not a truth value", good(&world).header("b64", "false").build(), Err(TokenError::Header)),
        ("b64 as by default", good(&world).header("b64", true).build(), Ok(())),
        ("unknown, not critical", good(&world).header("x-unknown", json!({ "a": [1] })).build(), Ok(())),
        ("a claim of that name", good(&world).claim("crit", json!(["exp"])).build(), Ok(())),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn a_header_says_each_thing_once_threat_4() {
    let world = World::new().await;
    let key = world.issuer.current_key();
    let members = format!(r#""alg":"ES256","typ":"at+jwt","kid":"{}""#, key.key_id());
    let token = |more: &str| good(&world).raw_header(format!("{{{members}{more}}}")).build();
    let refused = Err(TokenError::Header);
    let rows = [
        ("as it is", token(""), Ok(())),
        ("alg", token(r#","alg":"ES256""#), refused),
        ("alg none", token(r#","alg":"none""#), refused),
        ("alg, escaped", token(r#","\u0061lg":"none""#), refused),
        ("kid", token(r#","kid":"other""#), refused),
        ("typ", token(r#","typ":"JWT""#), refused),
        ("an unknown one", token(r#","x":1,"x":2"#), refused),
        ("in another case", token(r#","ALG":"none","Kid":"other""#), Ok(())),
        ("within a member", token(r#","x":{"alg":"none","alg":"none"}"#), Ok(())),
        ("a comma at the end", token(","), refused),
        ("a second object", good(&world).raw_header(format!("{{{members}}}{{}}")).build(), refused),
        ("a byte order mark", good(&world).raw_header(format!("\u{feff}{{{members}}}")).build(), refused),
        ("a list", good(&world).raw_header(r#"["alg","ES256"]"#).build(), refused),
        ("nothing", good(&world).raw_header("").build(), refused),
        ("kid a number", good(&world).header("kid", 1).build(), refused),
        ("typ null", good(&world).header("typ", Value::Null).build(), refused),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn a_claims_set_says_each_thing_once_threat_4() {
    let world = World::new().await;
    let members = r#""iss":"https://issuer.test","aud":"https://api.example","exp":1900000600,"scope":"a""#;
    let token = |text: String| good(&world).raw_payload(text).build();
    let with = |more: &str| token(format!("{{{members}{more}}}"));
    let refused = Err(TokenError::Claims);
    let rows = [
        ("as it is", with(""), Ok(())),
        ("iss", with(r#","iss":"https://issuer.test""#), refused),
        ("iss before", token(format!(r#"{{"iss":"https://other.test",{members}}}"#)), refused),
        ("iss, escaped", with(r#","i\u0073s":"https://other.test""#), refused),
        ("aud", with(r#","aud":["https://api.example"]"#), refused),
        ("aud, escaped", token(format!(r#"{{"\u0061ud":"https://other.example",{members}}}"#)), refused),
        ("exp", with(r#","exp":1900000600"#), refused),
        ("exp, escaped", token(format!(r#"{{"ex\u0070":1,{members}}}"#)), refused),
        ("nbf", with(r#","nbf":1,"nbf":1"#), refused),
        ("scope", with(r#","scope":"admin""#), refused),
        ("an unknown one", with(r#","x":1,"x":1"#), refused),
        ("in another case", with(r#","ISS":"https://other.test","Exp":1"#), Ok(())),
        ("a second object", token(format!("{{{members}}}{{}}")), refused),
        ("a list", token(format!("[{{{members}}}]")), refused),
        ("not UTF-8, escaped", with(r#","x":"\ud800""#), Ok(())),
        ("nothing", token(String::new()), refused),
    ];
    check(&world, rows).await;
}
