//! Tokens of both generations: their headers, every claim of theirs, and the keys that they are signed with.

use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use portcullis::testing::ManualClock;
use serde_json::{Value, json};

use super::{BOTH, Generation, Held, URL, World, part};

/// The month of [`ManualClock::START`].
const MONTH: &str = "2030-03";

async fn developer(world: &World, held: &Held) -> Value {
    world.get(&format!("/v1/grants/{}", held.grant)).await.json["developerId"].clone()
}

fn did(held: &Held) -> String {
    format!("did:grantex:{}", held.agent)
}

#[tokio::test]
async fn the_older_generation_has_its_own_names() {
    let world = World::new(Generation::Legacy);
    let held = world.grant(&json!({ "audience": "https://api.example", "expiresIn": "2h" })).await;
    assert_eq!(part(&held.token, 0), json!({ "alg": "RS256", "kid": format!("grantex-{MONTH}") }), "no typ");
    let start = ManualClock::START.as_secs();
    let developer = developer(&world, &held).await;
    let expected = json!({
        "iss": URL, "sub": "user_1", "aud": "https://api.example", "iat": start, "exp": start + 7200,
        "jti": held.jti(), "agt": did(&held), "dev": developer, "scp": ["calendar:read", "email:send"],
        "grnt": held.grant,
    });
    assert_eq!(part(&held.token, 1), expected);

    let child = world.delegate(&held).await;
    let grandchild = world.delegate(&child).await;
    let expected = json!({
        "iss": URL, "sub": "user_1", "iat": start, "exp": start + 3600, "jti": grandchild.jti(),
        "agt": did(&grandchild), "dev": developer, "scp": ["calendar:read"], "grnt": grandchild.grant,
        "parentAgt": did(&child), "parentGrnt": child.grant, "delegationDepth": 2,
    });
    assert_eq!(part(&grandchild.token, 1), expected, "only the direct parent is named, and no audience");
}

#[tokio::test]
async fn the_newer_generation_has_standard_names_and_the_older_ones_too() {
    let world = World::new(Generation::Current);
    let root = world.grant(&json!({ "audience": "https://api.example" })).await;
    let header = part(&root.token, 0);
    assert_eq!((&header["alg"], &header["typ"]), (&"RS256".into(), &"at+jwt".into()));
    let start = ManualClock::START.as_secs();
    let developer = developer(&world, &root).await;
    let expected = json!({
        "iss": URL, "sub": "user_1", "aud": "https://api.example", "iat": start, "exp": start + 86400,
        "jti": root.jti(), "client_id": root.agent, "scope": "calendar:read email:send",
        "urn:grantex:grant": { "grant_id": root.grant, "agent_did": did(&root), "developer_id": developer },
        "agt": did(&root), "dev": developer, "scp": ["calendar:read", "email:send"], "grnt": root.grant,
    });
    assert_eq!(part(&root.token, 1), expected);

    let child = world.delegate(&root).await;
    let grandchild = world.delegate(&child).await;
    let refreshed = Held::new(&grandchild.agent, &world.refresh(&grandchild, None).await);
    assert_ne!(refreshed.jti(), grandchild.jti());
    for held in [&grandchild, &refreshed] {
        let expected = json!({
            "iss": URL, "sub": "user_1", "iat": start, "exp": start + 3600, "jti": held.jti(),
            "client_id": held.agent, "scope": "calendar:read",
            // The previous actors: who delegated to this one stands outermost.
            "act": { "sub": did(&child), "act": { "sub": did(&root) } },
            "urn:grantex:grant": {
                "grant_id": held.grant, "agent_did": did(held), "developer_id": developer,
                "parent_grant_id": child.grant, "delegation_depth": 2,
            },
            "agt": did(held), "dev": developer, "scp": ["calendar:read"], "grnt": held.grant,
            "parentAgt": did(&child), "parentGrnt": child.grant, "delegationDepth": 2,
        });
        assert_eq!(part(&held.token, 1), expected);
    }
}

#[tokio::test]
async fn the_key_set_is_mixed_and_holds_the_key_of_every_token() {
    for generation in BOTH {
        let world = World::new(generation);
        let jwks = world.get("/.well-known/jwks.json").await.json;
        let keys = jwks["keys"].as_array().unwrap();
        let of = |kty: &str| keys.iter().filter(|key| key["kty"] == kty).collect::<Vec<_>>();
        let (rsa, elliptic, edwards) = (of("RSA"), of("EC"), of("OKP"));
        assert_eq!((rsa.len(), elliptic.len(), edwards.len()), (14, 1, 1));
        assert!(keys.iter().all(|key| key["use"] == "sig"));
        assert!(rsa.iter().all(|key| key["n"] == rsa[0]["n"] && key["alg"] == "RS256"), "one key, many names");
        for (kid, at) in [("grantex-rs256-", 0), ("grantex-2030-03", 1), ("grantex-2030-01", 3), ("grantex-2029-12", 4)]
        {
            assert!(rsa[at]["kid"].as_str().unwrap().starts_with(kid), "{}", rsa[at]);
        }
        assert_eq!((&elliptic[0]["crv"], &elliptic[0]["alg"]), (&"P-256".into(), &"ES256".into()));
        assert_eq!((&edwards[0]["crv"], &edwards[0]["alg"]), (&"Ed25519".into(), &"EdDSA".into()));
        assert_eq!(edwards[0]["kid"], format!("grantex-ed25519-{MONTH}"));

        // Somebody else's verifier, by somebody else's thumbprint.
        let set: JwkSet = serde_json::from_value(jwks.clone()).unwrap();
        for (key, prefix) in [(rsa[0], "grantex-rs256-"), (elliptic[0], "grantex-es256-")] {
            let kid = key["kid"].as_str().unwrap();
            let thumb = set.find(kid).unwrap().thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256);
            assert_eq!(kid, format!("{prefix}{}", thumb.unwrap()));
        }
        let held = world.grant(&json!({})).await;
        let kid = part(&held.token, 0)["kid"].as_str().unwrap().to_owned();
        let expected =
            if generation == Generation::Legacy { "grantex-2030-03" } else { rsa[0]["kid"].as_str().unwrap() };
        assert_eq!(kid, expected);
        let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
        let mut validation = Validation::new(jsonwebtoken::Algorithm::RS256);
        validation.validate_exp = false;
        let verified = jsonwebtoken::decode::<Value>(&held.token, &key, &validation).unwrap();
        assert_eq!(verified.claims, part(&held.token, 1));
    }
}
