//! What an issuer says of a token, for JWTs and for opaque ones: what counts, what contradicts, what is no answer.

use std::time::Duration;

use portcullis::{
    Authorizer, Issuer, RejectionKind, Requirement, RouteTable, Unlisted,
    issuer::ClientAuthentication,
    status::{Introspection, OpaqueTokens, StatusError},
    testing::{ManualClock, TestIssuer, TokenBuilder},
};
use serde_json::{Value, json};

use super::{
    source::{Says, Scripted},
    verdict,
};
use crate::support::World;

const OPAQUE: &str = "an_opaque_token_of_some_length";

async fn world(source: &Scripted) -> World {
    let change = |issuer: Issuer| issuer.status_source(source.clone()).opaque_tokens(OpaqueTokens::default());
    World::with(change, |builder| builder).await
}

/// What is said, with `active` and with an audience.
fn described(mut more: Value) -> Says {
    let members = more.as_object_mut().unwrap();
    members.entry("active").or_insert(json!(true));
    members.entry("aud").or_insert(json!(TokenBuilder::AUDIENCE));
    Says::Describes(more)
}

const OK: Result<(), RejectionKind> = Ok(());
const INVALID: Result<(), RejectionKind> = Err(RejectionKind::InvalidToken);
const UNAVAILABLE: Result<(), RejectionKind> = Err(RejectionKind::StatusUnavailable);

#[tokio::test]
async fn what_is_said_must_be_said_of_the_token_at_hand_threat_12() {
    let now = ManualClock::START.as_secs();
    // (what is said, of a JWT, of an opaque token)
    let rows = [
        (json!({}), OK, OK),
        (json!({ "iss": "https://issuer.test", "sub": "user-1", "client_id": "client-1" }), OK, OK),
        (json!({ "iss": "https://other.test" }), INVALID, INVALID),
        (json!({ "iss": "https://issuer.test/" }), INVALID, INVALID),
        (json!({ "sub": "user-2" }), INVALID, OK),
        (json!({ "client_id": "client-2" }), INVALID, OK),
        (json!({ "jti": "another" }), INVALID, OK),
        (json!({ "aud": [TokenBuilder::AUDIENCE] }), OK, OK),
        (json!({ "aud": [TokenBuilder::AUDIENCE, "https://other.test"] }), INVALID, OK),
        (json!({ "aud": "https://other.test" }), INVALID, INVALID),
        (json!({ "exp": now + 60 }), OK, OK),
        (json!({ "exp": 1_900_000_060.75 }), OK, OK),
        (json!({ "exp": now - 60 }), INVALID, INVALID),
        (json!({ "nbf": now + 60 }), INVALID, INVALID),
        (json!({ "iat": now - 60, "nbf": 1_899_999_999.5 }), OK, OK),
        (json!({ "iat": now + 600 }), OK, INVALID),
        (json!({ "token_type": "bearer" }), OK, OK),
        (json!({ "token_type": "Bearer" }), OK, OK),
        (json!({ "token_type": "DPoP" }), INVALID, INVALID),
        (json!({ "token_type": "refresh_token" }), INVALID, INVALID),
        (json!({ "token_use": "refresh_token" }), INVALID, INVALID),
        (json!({ "typ": "Refresh" }), INVALID, INVALID),
        (json!({ "cnf": { "jkt": "x" } }), INVALID, INVALID),
        (json!({ "scope": "read write", "username": "x", "ext": { "a": [1] } }), OK, OK),
        (json!({ "scope": "re\"ad" }), UNAVAILABLE, UNAVAILABLE),
        (json!({ "scope": 7 }), UNAVAILABLE, UNAVAILABLE),
        (json!({ "exp": "soon" }), UNAVAILABLE, UNAVAILABLE),
        (json!({ "sub": null }), UNAVAILABLE, UNAVAILABLE),
        (json!({ "aud": [7] }), UNAVAILABLE, UNAVAILABLE),
    ];
    for (said, of_jwt, of_opaque) in rows {
        let source = Scripted::new(described(said.clone()));
        let world = world(&source).await;
        let jwt = world.issuer.token().build();
        let check = async |token: &str| verdict(&world, token, Requirement::authenticated()).await.map(drop);
        assert_eq!(check(&jwt).await, of_jwt, "a JWT, of which is said {said}");
        assert_eq!(check(OPAQUE).await, of_opaque, "an opaque token, of which is said {said}");
    }
}

#[tokio::test]
async fn no_answer_is_no_leave_to_pass_threat_17() {
    let status = http::StatusCode::INTERNAL_SERVER_ERROR;
    for error in [
        StatusError::Unreachable("x".to_owned()),
        StatusError::TimedOut(Duration::from_secs(1)),
        StatusError::Server { status, retry_after: None },
        StatusError::RateLimited { retry_after: None },
        StatusError::ClientRefused { status: http::StatusCode::FORBIDDEN },
        StatusError::UnsupportedTokenType,
        StatusError::QuestionRefused { status: http::StatusCode::NOT_FOUND },
        StatusError::Malformed("x"),
    ] {
        let source = Scripted::new(Says::Fails(error.clone()));
        let world = world(&source).await;
        let jwt = world.issuer.token().build();
        for token in [jwt.as_str(), OPAQUE] {
            let waiting = super::request(&world, token, Requirement::authenticated());
            for _ in 0..4 {
                world.clock.settle().await;
                world.advance(Duration::from_millis(200)).await;
            }
            assert_eq!(waiting.await.unwrap(), UNAVAILABLE, "{error:?}");
        }
    }
}

#[tokio::test]
async fn what_the_source_would_not_say_of_one_token_it_may_say_of_another() {
    let source = Scripted::new(Says::Fails(StatusError::QuestionRefused { status: http::StatusCode::BAD_REQUEST }));
    let world = world(&source).await;
    let check = async |token: &str| verdict(&world, token, Requirement::authenticated()).await.map(drop);
    for round in 0..20 {
        assert_eq!(check(OPAQUE).await, UNAVAILABLE);
        assert_eq!(check(&format!("{OPAQUE}{round}")).await, UNAVAILABLE);
    }
    assert_eq!(source.asked(), 21, "nobody is asked twice about what was refused once");
    source.say(Says::Active);
    assert_eq!(check(&world.issuer.token().build()).await, OK, "and nobody stops asking");
}

#[tokio::test]
async fn an_opaque_token_is_what_its_issuer_says() {
    let source = Scripted::new(described(json!({
        "sub": "user-9", "client_id": "client-9", "scope": "read write", "exp": 1_900_000_100, "jti": "9", "ext": "more",
    })));
    let world = world(&source).await;
    let token = verdict(&world, OPAQUE, Requirement::scope("write")).await.unwrap();
    assert!(token.is_opaque());
    assert_eq!((token.subject(), token.client_id(), token.token_id()), (Some("user-9"), Some("client-9"), Some("9")));
    assert_eq!(token.expires_at().map(|end| end.as_secs()), Some(1_900_000_100));
    assert_eq!(token.claims_as::<Value>().unwrap()["ext"], "more");
    let insufficient = verdict(&world, OPAQUE, Requirement::scope("admin")).await.unwrap_err();
    assert_eq!((insufficient, source.asked()), (RejectionKind::InsufficientScope, 1));
    let elsewhere = verdict(&world, OPAQUE, Requirement::scope("write").audience("https://other.test")).await;
    assert_eq!((elsewhere.unwrap_err(), source.asked()), (RejectionKind::InvalidToken, 1));
    // Its issuer need not say when it expires, but has to say whom it is for.
    source.say(described(json!({})));
    assert_eq!(verdict(&world, &OPAQUE[1..], Requirement::authenticated()).await.unwrap().expires_at(), None);
    source.say(Says::Describes(json!({ "active": true, "sub": "user-9" })));
    assert!(verdict(&world, &OPAQUE[2..], Requirement::authenticated()).await.is_err());
    source.say(Says::Active);
    let unknown = verdict(&world, &OPAQUE[3..], Requirement::authenticated()).await;
    assert_eq!(unknown.unwrap_err(), RejectionKind::StatusUnavailable, "nobody knows what it is");
}

#[tokio::test]
async fn junk_is_not_worth_a_question_threat_22() {
    let source = Scripted::new(Says::Inactive);
    let world = world(&source).await;
    let jwt = world.issuer.token().build();
    let tampered = world.issuer.token().tampered().build();
    let foreign = world.issuer.token().claim("iss", "https://other.test").build();
    let expired = world.issuer.token().expires_in(Duration::ZERO).issued_at(ManualClock::START).build();
    let (header, rest) = jwt.split_once('.').unwrap();
    let long = "x".repeat(5000);
    let rows = [
        "short",
        &long,
        header,
        rest,
        &jwt[..jwt.len() - 200],
        &tampered,
        &foreign,
        "eyJhbGciOiJub25lIn0.e30.",
        "a.b.c",
    ];
    for junk in rows {
        let kind = verdict(&world, junk, Requirement::authenticated()).await.unwrap_err();
        assert_eq!(kind, RejectionKind::InvalidToken, "{junk}");
    }
    world.advance(Duration::from_secs(60)).await;
    assert!(verdict(&world, &expired, Requirement::authenticated()).await.is_err());
    assert_eq!(source.asked(), 1, "of these only the header of a JWT looks like an opaque token");
}

#[tokio::test]
async fn a_jwt_is_as_old_as_it_says_itself_whatever_its_issuer_leaves_out() {
    let source = Scripted::new(described(json!({})));
    let change = |issuer: Issuer| issuer.status_source(source.clone()).max_token_age(Duration::from_secs(300));
    let world = World::with(change, |builder| builder).await;
    let token = world.issuer.token().build();
    assert_eq!(verdict(&world, &token, Requirement::authenticated()).await.map(drop), OK);
    let old = world.issuer.token().issued_at(portcullis::clock::UnixTime::from_secs(1_899_000_000)).build();
    assert_eq!(verdict(&world, &old, Requirement::authenticated()).await.map(drop), INVALID);
}

#[tokio::test]
async fn where_one_question_may_wait_it_may_be_about_an_opaque_token() {
    let source = Scripted::new(described(json!({})));
    let change = |issuer: Issuer| {
        let policy = portcullis::status::StatusPolicy::default().concurrency(1, 1);
        issuer.status_source(source.clone()).status_policy(policy).opaque_tokens(OpaqueTokens::default())
    };
    let world = World::with(change, |builder| builder).await;
    assert_eq!(verdict(&world, OPAQUE, Requirement::authenticated()).await.map(drop), OK);
}

#[tokio::test]
async fn a_long_jwt_that_only_its_issuer_can_read_is_asked_about() {
    let issuer = TestIssuer::start().await;
    issuer.register_client("api", "hush", ["tokens:read"]);
    let client = ClientAuthentication::basic("api", "hush");
    let introspection = Introspection::at(issuer.introspection_url(), client);
    let trusted = Issuer::introspected(issuer.url(), introspection).audience(TokenBuilder::AUDIENCE);
    let routes = RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap();
    let authorizer = Authorizer::builder().issuer(trusted).routes(routes).build().unwrap();
    for (length, expected) in [(10, OK), (6000, OK), (16_000, Err(RejectionKind::InvalidRequest))] {
        let token = issuer.token().claim("groups", "g".repeat(length)).build();
        assert_eq!(crate::crowd::request(&authorizer, &token).await, expected, "{} characters", token.len());
    }
}
