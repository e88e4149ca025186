//! What a handler reads of a token that passed.

use std::collections::BTreeMap;

use portcullis::{AccessToken, clock::UnixTime, testing::ManualClock};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{good, judge};
use crate::support::World;

#[derive(Debug, PartialEq, Deserialize)]
struct Tenant {
    #[serde(rename = "https://acme.example/tenant")]
    tenant: String,
    #[serde(default)]
    roles: Vec<Role>,
    level: Option<u8>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Auditor,
    Clerk,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapped(Tenant);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Caller {
    Tenant(Tenant),
    Anyone {},
}

#[derive(Debug, PartialEq, Deserialize)]
struct Flattened {
    sub: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

async fn token(
    change: impl FnOnce(portcullis::testing::TokenBuilder) -> portcullis::testing::TokenBuilder,
) -> AccessToken {
    let world = World::new().await;
    judge(&world, &change(good(&world)).build()).await.unwrap()
}

fn acme() -> Tenant {
    Tenant { tenant: "acme".into(), roles: vec![Role::Clerk, Role::Auditor], level: None }
}

#[tokio::test]
async fn custom_claims_are_read_as_any_type() {
    let token =
        token(|token| token.claim("https://acme.example/tenant", "acme").claim("roles", json!(["clerk", "auditor"])))
            .await;
    let read: AccessToken<Tenant> = token.clone().with_claims().unwrap();
    assert_eq!(*read.claims(), acme());
    assert_eq!(read.subject(), Some("user-1"), "the registered ones are still there");
    assert_eq!(*token.clone().with_claims::<Wrapped>().unwrap().claims(), Wrapped(acme()));
    assert_eq!(*token.clone().with_claims::<Option<Tenant>>().unwrap().claims(), Some(acme()));
    assert_eq!(*token.clone().with_claims::<Box<Tenant>>().unwrap().claims(), Box::new(acme()));
    assert_eq!(*token.clone().with_claims::<Caller>().unwrap().claims(), Caller::Tenant(acme()));
    let flattened = token.clone().with_claims::<Flattened>().unwrap();
    assert_eq!((&*flattened.claims().sub, &flattened.claims().rest["aud"]), ("user-1", &json!("https://api.example")));
    assert_eq!(token.clone().with_claims::<Value>().unwrap().claims()["roles"], json!(["clerk", "auditor"]));
    assert_eq!(token.claims_as::<Tenant>().unwrap(), acme());
    token.with_claims::<()>().unwrap();
}

#[tokio::test]
async fn custom_claims_that_do_not_fit_are_an_error() {
    let rows = [
        ("missing", None, json!([])),
        ("of the wrong type", Some(json!(1)), json!([])),
        ("null", Some(Value::Null), json!([])),
        ("a variant unheard of", Some(json!("acme")), json!(["emperor"])),
    ];
    for (name, tenant, roles) in rows {
        let token = token(|token| {
            let token = token.claim("roles", roles);
            tenant.into_iter().fold(token, |token, tenant| token.claim("https://acme.example/tenant", tenant))
        });
        assert!(token.await.with_claims::<Tenant>().is_err(), "{name}");
    }
}

#[tokio::test]
async fn the_registered_claims_are_as_they_were_signed() {
    let token = token(|token| token.claim("jti", "t-1").claim("nbf", 1_900_000_000.5).scopes(["b", "a", "b"])).await;
    assert_eq!(token.issuer(), Some("https://issuer.test"));
    assert_eq!(token.client_id(), Some("client-1"));
    assert_eq!(token.token_id(), Some("t-1"));
    assert_eq!(token.audiences().collect::<Vec<_>>(), ["https://api.example"]);
    assert_eq!(token.issued_at(), Some(ManualClock::START));
    assert_eq!(token.not_before(), Some(UnixTime::from_secs(1_900_000_001)));
    assert_eq!(token.expires_at(), Some(UnixTime::from_secs(1_900_003_600)));
    assert_eq!(token.scopes().iter().collect::<Vec<_>>(), ["a", "b"]);
    let debug = format!("{token:?}");
    assert!(!debug.contains("user-1") && !debug.contains("t-1") && !debug.contains("eyJ"), "{debug}");
}
