//! An issuer signs more than access tokens with the same key; nothing else of it is one.

use portcullis::{TokenType, testing::TokenBuilder, token::TokenError};
use serde_json::{Value, json};

use super::{check, good};
use crate::support::World;

async fn strict() -> World {
    World::with(|issuer| issuer.token_type(TokenType::AccessTokenJwt), |builder| builder).await
}

/// `typ` as most servers write it, for any kind of token.
fn jwt(world: &World) -> TokenBuilder {
    good(world).token_type("JWT")
}

/// A claim of a DPoP confirmation (RFC 9449 §6.1).
fn thumbprint() -> Value {
    json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" })
}

/// Tokens of this issuer's, for us, by the right key, that are not access tokens: by their `typ`, and without it.
fn others(world: &World) -> Vec<(&'static str, TokenBuilder)> {
    let logout = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let session = json!({ "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {} });
    let proof = |token: TokenBuilder| token.claim("htm", "GET").claim("htu", "https://api.example/");
    let mut others = vec![
        ("an ID token", jwt(world).claim("nonce", "n-0S6_WzA2Mj")),
        ("an ID token with a hash of the access token", jwt(world).claim("at_hash", "77QmUPtjPfzWtF2AnpK9RQ")),
        ("an ID token with a hash of the code", jwt(world).claim("c_hash", "LDktKdoQak3Pk0cnXxCltA")),
        ("an ID token with a hash of the state", jwt(world).claim("s_hash", "LDktKdoQak3Pk0cnXxCltA")),
        ("an ID token without typ", good(world).without_header("typ").claim("nonce", "n")),
        ("an ID token whose nonce is null", jwt(world).claim("nonce", Value::Null)),
        ("a logout token", good(world).token_type("logout+jwt").claim("events", logout.clone())),
        ("a logout token without typ", good(world).without_header("typ").claim("events", logout.clone())),
        ("a logout token that is a JWT", jwt(world).claim("events", logout.clone()).claim("sid", "s")),
        ("a security event", good(world).token_type("secevent+jwt").claim("events", session.clone())),
        ("a security event that is a JWT", jwt(world).claim("events", session)),
        ("a security event without events", good(world).token_type("secevent+jwt")),
        ("a DPoP proof", proof(good(world).token_type("dpop+jwt"))),
        ("a DPoP proof that is a JWT", proof(jwt(world))),
        ("half a DPoP proof", jwt(world).claim("htm", "GET")),
        ("the other half", jwt(world).claim("htu", "https://api.example/")),
        (
            "a transaction token",
            good(world).token_type("txntoken+jwt").claim("txn", "97053963").claim("tctx", json!({})),
        ),
        ("a transaction token in full", good(world).token_type("application/txntoken+jwt")),
        ("a signed introspection", good(world).token_type("token-introspection+jwt")),
        ("a client assertion", good(world).token_type("client-authentication+jwt")),
        ("a request object", good(world).token_type("oauth-authz-req+jwt")),
        ("an entity statement", good(world).token_type("entity-statement+jwt")),
        ("a key binding", good(world).token_type("kb+jwt")),
        ("a credential", good(world).token_type("dc+sd-jwt")),
        ("a status list", good(world).token_type("statuslist+jwt")),
        ("an empty typ", good(world).token_type("")),
        ("a typ that begins well", good(world).token_type("at+jwt2")),
        ("a typ that ends well", good(world).token_type("cat+jwt")),
        ("application twice", good(world).token_type("application/application/at+jwt")),
        ("another tree", good(world).token_type("text/at+jwt")),
        // An access token by its header; by its claims not.
        ("events in an access token", good(world).claim("events", logout)),
        ("a proof in an access token", proof(good(world))),
    ];
    for says in ["Refresh", "Offline", "ID", "Logout", "DPoP", "", "Serialized-ID", "bearer "] {
        others.push(("Keycloak's word for another token", jwt(world).claim("typ", says)));
        others.push(("the same under at+jwt", good(world).claim("typ", says)));
    }
    for says in ["id", "refresh", "Id", ""] {
        others.push(("Cognito's word for another token", jwt(world).claim("token_use", says)));
        others.push(("the same under at+jwt", good(world).claim("token_use", says)));
    }
    others.push(("two words that disagree", jwt(world).claim("typ", "Bearer").claim("token_use", "id")));
    others
}

#[tokio::test]
async fn what_else_an_issuer_signs_is_no_access_token_threat_5() {
    for world in [World::new().await, strict().await] {
        for (name, token) in others(&world) {
            let rows = [
                (name, token.build(), Err(TokenError::Kind)),
                (name, token.scopes(["read"]).claim("azp", "client-1").build(), Err(TokenError::Kind)),
            ];
            check(&world, rows).await;
        }
    }
}

#[tokio::test]
async fn a_word_on_the_kind_that_is_no_word_is_malformed_threat_5() {
    let world = World::new().await;
    for value in [Value::Null, json!(1), json!(true), json!(["Bearer"]), json!({})] {
        let rows = [
            ("typ", jwt(&world).claim("typ", value.clone()).build(), Err(TokenError::Claims)),
            ("token_use", jwt(&world).claim("token_use", value.clone()).build(), Err(TokenError::Claims)),
        ];
        check(&world, rows).await;
    }
}

#[tokio::test]
async fn access_tokens_are_written_in_many_ways() {
    let world = World::new().await;
    let none = || good(&world).without_header("typ");
    let minimal = || none().without_claim("jti").without_claim("iat").without_claim("sub").without_claim("client_id");
    let rows = [
        ("RFC 9068", good(&world)),
        ("in full", good(&world).token_type("application/at+jwt")),
        ("in capitals", good(&world).token_type("Application/AT+JWT")),
        ("JWT", jwt(&world)),
        ("jwt", good(&world).token_type("jwt")),
        ("no typ", none()),
        ("no more than iss, aud and exp", minimal()),
        ("Keycloak's", jwt(&world).claim("typ", "Bearer").claim("nonce", "n").claim("session_state", "s")),
        ("Cognito's", none().claim("token_use", "access").claim("origin_jti", "j")),
        ("at+jwt with a nonce", good(&world).claim("nonce", "n")),
        ("Entra's, with a nonce of nobody's", good(&world).claim("nonce", "n").claim("scp", "read")),
        ("with an actor", good(&world).claim("act", json!({ "sub": "agent" }))),
        ("with a session", good(&world).claim("sid", "s").claim("auth_time", 1).claim("acr", "1")),
    ];
    check(&world, rows.map(|(name, token)| (name, token.build(), Ok(())))).await;
}

#[tokio::test]
async fn rfc_9068_to_the_letter_wants_its_type_and_all_its_claims_threat_5() {
    let world = strict().await;
    let kind = Err(TokenError::Kind);
    let without = |name: &str| good(&world).without_claim(name).build();
    let rows = [
        ("at+jwt", good(&world).build(), Ok(())),
        ("in full", good(&world).token_type("application/at+jwt").build(), Ok(())),
        ("with a nonce", good(&world).claim("nonce", "n").build(), Ok(())),
        ("JWT", jwt(&world).build(), kind),
        ("JWT that Keycloak calls Bearer", jwt(&world).claim("typ", "Bearer").build(), kind),
        ("no typ", good(&world).without_header("typ").build(), kind),
        ("no iss", without("iss"), Err(TokenError::Issuer)),
        ("no aud", without("aud"), Err(TokenError::Audience)),
        ("no exp", without("exp"), Err(TokenError::MissingClaim("exp"))),
        ("no sub", without("sub"), Err(TokenError::MissingClaim("sub"))),
        ("no client_id", without("client_id"), Err(TokenError::MissingClaim("client_id"))),
        ("no iat", without("iat"), Err(TokenError::MissingClaim("iat"))),
        ("no jti", without("jti"), Err(TokenError::MissingClaim("jti"))),
        ("sub null", good(&world).claim("sub", Value::Null).build(), Err(TokenError::ClaimType("sub"))),
        ("jti a number", good(&world).claim("jti", 7).build(), Err(TokenError::ClaimType("jti"))),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn a_type_of_ones_own_is_the_only_one_threat_5() {
    let named = TokenType::Named("application/acme-access+jwt".into());
    let world = World::with(|issuer| issuer.token_type(named), |builder| builder).await;
    let kind = Err(TokenError::Kind);
    let rows = [
        ("its own", good(&world).token_type("acme-access+jwt").build(), Ok(())),
        ("its own in full", good(&world).token_type("application/ACME-access+jwt").build(), Ok(())),
        ("at+jwt", good(&world).build(), kind),
        ("JWT", jwt(&world).build(), kind),
        ("none", good(&world).without_header("typ").build(), kind),
        ("an ID token", good(&world).token_type("acme-access+jwt").claim("nonce", "n").build(), kind),
    ];
    check(&world, rows).await;
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_no_bearer_token_threat_24() {
    for world in [World::new().await, strict().await] {
        let certificate = json!({ "x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0" });
        for value in [thumbprint(), certificate, json!({}), json!({ "jwk": {} }), json!("key"), Value::Null] {
            let token = good(&world).claim("cnf", value.clone()).build();
            check(&world, [(value.to_string().as_str(), token, Err(TokenError::SenderConstrained))]).await;
        }
        let escaped = r#"{"iss":"https://issuer.test","aud":"https://api.example","exp":1900000600,"sub":"s","jti":"j",
            "client_id":"c","iat":1900000000,"\u0063nf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}"#;
        let token = good(&world).raw_payload(escaped).build();
        check(&world, [("by an escaped name", token, Err(TokenError::SenderConstrained))]).await;
    }
}
