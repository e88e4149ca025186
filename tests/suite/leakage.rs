//! Nothing secret in what is printed; and no answer tells one forgery from another.

use std::{error::Error, fmt::Debug, sync::Arc};

use http::HeaderMap;
use portcullis::{
    AccessToken, Algorithm, AuthorizeLayer, Authorizer, Input, Issuer, KeySet, KeySource, Requirement, RouteTable,
    Unlisted, VerificationKey,
    authorizer::{Answers, Decision},
    credential::Bearer,
    testing::TestKey,
};
use serde::Deserialize;
use serde_json::json;
use tower::Layer;

use crate::{
    secrets::{SCOPE, SECRET, SUBJECT, TENANT, assert_clean, secrets},
    support::{World, bearer},
    wire::{Hits, ask},
};

#[derive(Clone, Debug, Deserialize)]
struct Claims {
    tenant: String,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "it is not to be had")]
struct OtherClaims {
    tenant: u64,
}

#[derive(Debug, Deserialize)]
enum KnownTenant {
    Nobody,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "it is not to be had")]
struct KnownClaims {
    tenant: KnownTenant,
}

/// An error and everything below it, in both forms.
fn all_of(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text.push_str(&format!("{error} {error:?} "));
        next = error.source();
    }
    text
}

fn token_of(world: &World) -> String {
    world.issuer.token().subject(SUBJECT).claim("tenant", TENANT).scopes([SCOPE]).build()
}

#[tokio::test]
async fn whatever_knows_a_token_does_not_print_it_threat_29() {
    let world = World::new().await;
    let good = token_of(&world);
    let unknown = world.issuer.token().subject(SUBJECT).key_id("another").scopes([SCOPE]).build();
    let secrets = secrets(&[&good, &unknown]);
    let requirement = Arc::new(Requirement::authenticated());
    let clean = |name: &str, value: &dyn Debug| {
        assert_clean(name, &format!("{value:?}"), &secrets);
        assert_clean(name, &format!("{value:#?}"), &secrets);
    };
    let decide = |input: &Input<'_>| world.authorizer.decide(input, &Answers::default(), world.authorizer.now());

    let (good_headers, unknown_headers) = (bearer(&good), bearer(&unknown));
    let input = world.authorizer.input(&good_headers, &requirement);
    clean("bearer", &Bearer::parse(good.as_bytes(), 10_000).unwrap());
    clean("input", &input);
    clean("need", &decide(&world.authorizer.input(&unknown_headers, &requirement)));
    let Decision::Permit(permit) = decide(&input) else { panic!("a good token") };
    clean("permit", &permit);
    let token = permit.into_token().unwrap();
    clean("access token", &token);
    clean("active token", token.as_active());
    clean("verified token", &**token.as_active());
    let with_claims: AccessToken<Claims> = token.clone().with_claims().unwrap();
    assert_eq!(with_claims.claims().tenant, TENANT);
    clean("access token with claims", &with_claims);
    let decided = Decision::Permit(world.authorizer.authorize(&input).await.unwrap());
    clean("decision", &decided);
}

#[tokio::test]
async fn no_error_and_no_refusal_repeats_a_token_threat_29() {
    let world = World::new().await;
    let good = token_of(&world);
    let bad = world.issuer.token().subject(SUBJECT).claim("tenant", TENANT).scopes([SCOPE]).tampered().build();
    let secrets = secrets(&[&good, &bad]);
    let token = world.check(&good).await.verdict.unwrap();

    let errors: [(&str, Box<dyn Error>); 6] = [
        ("claims of another type", Box::new(token.clone().with_claims::<OtherClaims>().unwrap_err())),
        ("claims of other values", Box::new(token.clone().with_claims::<KnownClaims>().unwrap_err())),
        ("claims of a verified token", Box::new(token.claims_as::<OtherClaims>().unwrap_err())),
        (
            "short secret",
            Box::new(VerificationKey::from_secret(Algorithm::HS512, &SECRET.as_bytes()[..62]).unwrap_err()),
        ),
        ("secret for RSA", Box::new(VerificationKey::from_pem(Algorithm::RS256, SECRET.as_bytes()).unwrap_err())),
        ("secret as a JWK set", Box::new(KeySet::from_json(SECRET.as_bytes()).unwrap_err())),
    ];
    for (name, error) in &errors {
        assert_clean(name, &all_of(&**error), &secrets);
    }
    assert_clean("claims", &format!("{:?}", KnownTenant::Nobody), &secrets);

    for (token, requirement) in [
        (&bad, Requirement::authenticated()),
        (&good, Requirement::scope("other")),
        (&good, Requirement::authenticated().audience("https://other.example")),
        (&good, Requirement::authenticated().that("is nobody", |_| false)),
    ] {
        let requirement = Arc::new(requirement);
        let mut twice = bearer(token);
        twice.append("authorization", bearer(&good).remove("authorization").unwrap());
        for headers in [bearer(token), twice] {
            let rejection =
                world.authorizer.authorize(&world.authorizer.input(&headers, &requirement)).await.unwrap_err();
            assert_clean("rejection", &all_of(&rejection), &secrets);
            assert_clean("challenge", &format!("{:?}", rejection.challenge()), &secrets);
        }
    }
}

#[tokio::test]
async fn whatever_holds_a_secret_does_not_print_it_threat_29() {
    let secrets = secrets(&[]);
    let clean = |name: &str, value: &dyn Debug| {
        assert_clean(name, &format!("{value:?}"), &secrets);
        let numbers: String = format!("{value:#?}").split_whitespace().collect();
        let compact: Vec<_> = secrets.iter().map(|secret| secret.split_whitespace().collect()).collect();
        assert_clean(name, &numbers, &compact);
    };
    let key = || VerificationKey::from_secret(Algorithm::HS256, SECRET.as_bytes()).unwrap();
    clean("key", &key());
    clean("keys", &KeySet::new([key()]));
    clean("key source", &KeySource::set(KeySet::new([key()])));
    clean("key source from text", &KeySource::json(SECRET));
    let issuer = Issuer::with_keys("https://idp.example", KeySource::set(KeySet::new([key()]))).audience("a");
    clean("issuer", &issuer);
    let of_text = Issuer::with_keys("https://idp.example", KeySource::json(SECRET));
    clean("issuer without audience", &of_text);

    let mut headers = HeaderMap::new();
    headers.insert("authorization", SECRET.parse().unwrap());
    let proxy = format!("http://user:{}@127.0.0.1:9", SECRET.replace([' ', ',', ':'], "-"));
    let client =
        reqwest::Client::builder().default_headers(headers).proxy(reqwest::Proxy::all(proxy).unwrap()).build().unwrap();
    let routes = RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap();
    let builder = Authorizer::builder().issuer(issuer).routes(routes).http_client(client);
    clean("builder", &builder);
    let authorizer = builder.build().unwrap();
    clean("authorizer", &authorizer);
    let layer = AuthorizeLayer::by_raw_path(authorizer);
    clean("layer", &layer);
    clean("fake key", &TestKey::generate(Algorithm::HS256, "key"));
}

#[tokio::test]
async fn one_forgery_is_answered_like_any_other_threat_29() {
    let world = World::new().await;
    let other = TestKey::generate(Algorithm::ES256, world.issuer.current_key().key_id());
    let token = || world.issuer.token();
    let start = world.clock.now().wall();
    let rows = [
        ("bad signature", token().tampered().build()),
        ("signature of another key of that name", token().signed_with(&other).build()),
        ("unknown key", token().key_id("another").build()),
        ("wrong issuer", token().claim("iss", "https://evil.example").build()),
        ("no issuer", token().without_claim("iss").build()),
        ("wrong audience", token().audience("https://other.example").build()),
        ("expired, unverified", token().expires_at(start.saturating_sub(std::time::Duration::from_secs(60))).build()),
        ("expired, and forged", token().expires_at(portcullis::clock::UnixTime::from_secs(1)).tampered().build()),
        ("not yet valid", token().claim("nbf", start.as_secs() + 600).build()),
        ("from the future", token().claim("iat", start.as_secs() + 600).build()),
        ("wrong algorithm", token().algorithm_name("RS256").build()),
        ("unsigned", token().unsigned().build()),
        ("ID token", token().token_type("JWT").claim("nonce", "n").build()),
        ("bound to a key", token().claim("cnf", json!({ "jkt": "x" })).build()),
        ("wrong type", token().claim("exp", "soon").build()),
        ("critical extension", token().header("crit", ["x"]).build()),
        ("no JSON", token().raw_payload("garbage").build()),
        ("encrypted", "a.b.c.d.e".into()),
        ("opaque", "opaque".into()),
    ];
    let service = AuthorizeLayer::by_raw_path(world.authorizer.clone()).layer(Hits::default().service());
    let expected = "401\ncache-control: no-store\ncontent-type: application/json\n\
                    www-authenticate: Bearer error=\"invalid_token\", \
                    error_description=\"The access token is invalid\"\n\n\
                    {\"error\":\"invalid_token\",\"error_description\":\"The access token is invalid\"}";
    for (name, token) in rows {
        assert_eq!(ask(&service, "GET /", Some(&token)).await, expected, "{name}");
    }
}
