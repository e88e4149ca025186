//! Nothing secret in what is logged, counted or answered.
//!
//! A binary of its own: which events are of interest is settled once per process, and other threads would have a say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "a test that cannot go on should say where"
)]

#[path = "logs/outbound.rs"]
mod outbound;
#[path = "suite/secrets.rs"]
mod secrets;
#[allow(dead_code, reason = "shared with the suite")]
#[path = "suite/support.rs"]
mod support;
#[allow(dead_code, reason = "shared with the suite")]
#[path = "suite/wire.rs"]
mod wire;
#[path = "logs/witness.rs"]
mod witness;

use portcullis::{
    AuthorizeLayer, Requirement, RouteTable, Unlisted,
    testing::{Fault, Target},
};
use secrets::{SCOPE, SECRET, SUBJECT, TENANT, assert_clean, secrets};
use serde_json::json;
use support::World;
use tower::{Layer, Service as _, ServiceExt as _};
use wire::{Hits, Plain, ask, request};
use witness::Witness;

#[tokio::test]
async fn no_log_line_no_counter_and_no_answer_shows_a_token_threat_29() {
    let witness = Witness::default();
    let _watching = witness.watch();
    let world = World::with(
        |issuer| issuer,
        |builder| {
            let routes = RouteTable::builder()
                .get("/any", Requirement::authenticated())
                .get("/other", Requirement::scope("other"))
                .get("/nobody", Requirement::authenticated().that("is nobody", |_| false))
                .otherwise(Unlisted::Deny);
            builder.routes(routes.unwrap())
        },
    )
    .await;
    let mine = || world.issuer.token().subject(SUBJECT).claim("tenant", TENANT).scopes([SCOPE]);
    let tokens = [
        mine().build(),
        mine().tampered().build(),
        mine().key_id("kid\nERROR forged line").build(),
        mine().claim("iss", "https://evil.example/\nERROR forged line").build(),
        mine().audience(format!("{TENANT}\nERROR forged line")).build(),
        mine().claim("exp", TENANT).build(),
        mine().token_type("forged\nline").build(),
        mine().header("crit", [SUBJECT]).build(),
        mine().unsigned().build(),
    ];
    let secrets = secrets(&tokens.iter().map(String::as_str).collect::<Vec<_>>());
    let mut service = AuthorizeLayer::by_raw_path(world.authorizer.clone()).layer(Hits::default().service());
    for token in &tokens {
        for path in ["/any", "/other", "/nobody", "/nowhere", "//any"] {
            let answer = ask(&service, &format!("GET {path}"), Some(token)).await;
            assert_clean("answer", &answer, &secrets);
            assert!(!answer.contains("forged"), "{answer}");
        }
        let request = request("GET /any", Some(token)).body(Plain::default()).unwrap();
        let future = service.ready().await.unwrap().call(request);
        assert_clean("future", &format!("{future:?}"), &secrets);
    }
    // What an issuer publishes is not ours to believe either.
    world.issuer.publish_raw(json!({ "keys": [{ "kty": "oct", "k": SECRET, "kid": "a\nERROR forged line" }] }));
    refresh(&world).await;
    world.issuer.fault(Target::Jwks, Fault::Status(500));
    refresh(&world).await;
    world.issuer.set_metadata(json!({ "issuer": "https://a\nERROR forged line", "jwks_uri": SECRET }));
    refresh(&world).await;

    let seen = witness.take();
    for expected in ["request refused", "keys changed", "keys could not be fetched", "describes the issuer"] {
        assert!(seen.iter().any(|line| line.contains(expected)), "{expected:?} is not among {seen:#?}");
    }
    for expected in ["outcome=permit", "outcome=invalid_token", "outcome=insufficient_scope", "outcome=failed"] {
        assert!(seen.iter().any(|line| line.ends_with(expected)), "{expected:?} is not among {seen:#?}");
    }
    for line in &seen {
        assert_clean("line", line, &secrets);
        assert!(!line.contains(|char: char| char.is_control()), "a forged line: {line}");
    }
}

async fn refresh(world: &World) {
    world.clock.advance(std::time::Duration::from_secs(400));
    world.clock.settle().await;
}
