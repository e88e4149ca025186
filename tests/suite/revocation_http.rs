//! The endpoint for revocations on a real axum server: what it takes in counts from then on, and nothing of it is seen.

use axum::{Router, routing::get};
use portcullis::{
    Requirement, RouteTable, Unlisted,
    middleware::RevocationEndpoint,
    status::{Revocation, RevocationEvent, Revocations, SinkError},
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    secrets::{SUBJECT, TENANT, assert_clean, secrets},
    support::World,
    wire::{Plain, request, send, text},
};

#[tokio::test]
async fn what_is_told_over_http_counts_for_the_very_next_look_threat_14() {
    let routes = RouteTable::builder().get("/agents", Requirement::scope("read")).otherwise(Unlisted::Deny).unwrap();
    let world = World::with(|issuer| issuer, |builder| builder.routes(routes)).await;
    let revocations = Revocations::builder().clock(world.clock.clone()).build().unwrap();
    let endpoint = RevocationEndpoint::to(revocations.clone())
        .behind(&world.authorizer, Requirement::scope("tokens:revoke"))
        .unwrap();
    // Inside of a router whose own layer lists no such route, it would not be reached: it stands beside.
    let app = Router::new()
        .route("/agents", get(|| async { "ok" }))
        .layer(portcullis::axum::layer(world.authorizer.clone()))
        .route_service("/revocations", endpoint);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/revocations", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let (client, admin) = (reqwest::Client::new(), world.issuer.token().scopes(["tokens:revoke"]).build());
    let tokens = ["one", "two", "three"].map(|subject| world.issuer.token().subject(subject).build());
    let mut verified = Vec::new();
    for token in &tokens {
        verified.push(world.check(token).await.verdict.unwrap());
    }
    let found = || verified.iter().map(|token| revocations.is_revoked(token)).collect::<Vec<_>>();
    assert_eq!(found(), [false; 3]);

    let response = client.post(&url).bearer_auth(&admin).form(&[("token", &tokens[0])]).send().await.unwrap();
    assert_eq!((response.status().as_u16(), found()), (200, vec![true, false, false]));
    let batch = json!([{ "sub": "two", "event": "suspend" }, { "sub": "three" }]);
    let response = client.post(&url).bearer_auth(&admin).json(&batch).send().await.unwrap();
    assert_eq!((response.status().as_u16(), found()), (200, vec![true; 3]));
    let lifted = json!([{ "sub": "two", "event": "resume" }, { "sub": "three", "event": "resume" }]);
    let response = client.post(&url).bearer_auth(&admin).json(&lifted).send().await.unwrap();
    assert_eq!((response.status().as_u16(), found()), (200, vec![true, false, true]));
    // Everybody, up to now.
    let response = client.post(&url).bearer_auth(&admin).json(&json!({ "issuer_wide": true })).send().await.unwrap();
    assert_eq!((response.status().as_u16(), found()), (200, vec![true; 3]));

    let response = client.post(&url).json(&batch).send().await.unwrap();
    assert_eq!(response.status(), 401);
    let response = client.post(&url).bearer_auth(&tokens[1]).json(&batch).send().await.unwrap();
    assert_eq!(response.status(), 403);
    let response = client.post(&url).bearer_auth(&admin).body(" ".repeat(300_000)).send().await.unwrap();
    assert_eq!(response.status(), 415);
}

#[tokio::test]
async fn neither_answers_nor_what_is_printed_repeat_what_was_said_threat_29() {
    let world = World::new().await;
    let revocations = Revocations::new();
    let endpoint = RevocationEndpoint::to(revocations.clone())
        .behind(&world.authorizer, Requirement::scope("tokens:revoke"))
        .unwrap();
    let admin = world.issuer.token().scopes(["tokens:revoke"]).claim("tenant", TENANT).build();
    let revoked = world.issuer.token().subject(SUBJECT).build();
    let secrets = secrets(&[&admin, &revoked]);
    let rows = [
        json!({ "sub": SUBJECT }).to_string(),
        json!({ "token": revoked }).to_string(),
        json!({ "sub": SUBJECT, "sid": TENANT }).to_string(),
        json!({ SUBJECT: TENANT }).to_string(),
        json!({ "sub": SUBJECT, "issued_up_to": TENANT }).to_string(),
        json!({ "event": SUBJECT }).to_string(),
        json!({ "iss": TENANT, "sub": SUBJECT }).to_string(),
        json!(revoked).to_string(),
        json!([SUBJECT]).to_string(),
        format!("{{\"sub\":\"{SUBJECT}\",\"sub\":\"{TENANT}\"}}"),
        format!("{revoked}{SUBJECT}"),
    ];
    for said in &rows {
        let head = request("POST /revocations", Some(&admin)).header("content-type", "application/json");
        let response = send(&endpoint, head.body(Plain::from(said.clone())).unwrap()).await;
        assert_clean("extensions", &format!("{:?}", response.extensions()), &secrets);
        assert_clean("answer", &text(response).await, &secrets);
    }
    assert_eq!(revocations.len(), 2);
    let event = RevocationEvent::Revoked(Revocation::session(Some(TENANT), SUBJECT));
    let error = SinkError::new("the log is closed");
    assert_eq!(error.to_string(), "revocations were not taken in: the log is closed");
    for printed in [format!("{endpoint:?}"), format!("{revocations:#?}"), format!("{event:?}"), format!("{error:?}")] {
        assert_clean("printed", &printed, &secrets);
    }
}
