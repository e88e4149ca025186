//! The service in process, by a clock that is moved by hand: what a month and an hour do to agents and tokens.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use portcullis::{clock::UnixTime, testing::ManualClock};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tower::ServiceExt as _;

use super::{config::Config, secret::Secret, service};

/// The service, its clock, and the token of an admin that lives for an hour.
struct World {
    clock: ManualClock,
    router: Router,
}

impl World {
    async fn new(at: &str, monthly_limit: u64) -> Self {
        let clock = ManualClock::new();
        clock.step_wall_to(instant(at));
        let config = Config {
            monthly_limit,
            admin_client_id: Some("admin".to_owned()),
            admin_client_secret: Some(Secret::chosen("hush".to_owned())),
            ..Config::default()
        };
        let router = service::start(config, clock.clone(), |_| Ok(())).await.unwrap();
        Self { clock, router }
    }

    async fn post(&self, path: &str, token: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap())
    }

    async fn issue(&self) -> (StatusCode, Value) {
        self.post("/api/v1/token", "-", "grant_type=client_credentials&client_id=admin&client_secret=hush").await
    }

    async fn token(&self) -> String {
        let (status, body) = self.issue().await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    async fn is_active(&self, token: &str) -> bool {
        let body = format!("token={token}");
        let (status, said) = self.post("/api/v1/token/introspect", &self.token().await, &body).await;
        assert_eq!(status, StatusCode::OK, "{said}");
        said["active"].as_bool().unwrap()
    }
}

fn instant(text: &str) -> UnixTime {
    let date = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap();
    UnixTime::from_secs(date.unix_timestamp().try_into().unwrap())
}

#[tokio::test]
async fn the_monthly_limit_is_lifted_on_the_first_of_the_next_month() {
    let world = World::new("2026-11-30T22:00:00Z", 3).await;
    for _ in 0..3 {
        world.token().await;
    }
    let refusal = json!({
        "error": "unauthorized_client",
        "error_description": "Free tier monthly token limit of 3 requests has been reached.",
    });
    assert_eq!(world.issue().await, (StatusCode::FORBIDDEN, refusal.clone()));
    world.clock.step_wall_to(instant("2026-11-30T23:59:59Z"));
    assert_eq!(world.issue().await, (StatusCode::FORBIDDEN, refusal.clone()));
    world.clock.advance(Duration::from_secs(1));
    for _ in 0..3 {
        world.token().await;
    }
    assert_eq!(world.issue().await, (StatusCode::FORBIDDEN, refusal.clone()));
    // A clock that is set back does not give November's again.
    world.clock.step_wall_to(instant("2026-11-30T22:00:00Z"));
    assert_eq!(world.issue().await, (StatusCode::FORBIDDEN, refusal));
}

#[tokio::test]
async fn a_token_counts_for_an_hour_to_the_second() {
    let world = World::new("2026-11-22T08:00:00Z", 100).await;
    let token = world.token().await;
    world.clock.advance(Duration::from_secs(3599));
    assert!(world.is_active(&token).await);
    let body = format!("token={token}");
    assert_eq!(world.post("/api/v1/token/revoke", &token, "token=x").await.0, StatusCode::OK);
    world.clock.advance(Duration::from_secs(1));
    assert!(!world.is_active(&token).await);
    assert_eq!(world.post("/api/v1/token/revoke", &token, "token=x").await.0, StatusCode::UNAUTHORIZED);
    // There is nothing left to revoke, and that is no error.
    assert_eq!(world.post("/api/v1/token/revoke", &world.token().await, &body).await, (StatusCode::OK, json!({})));
}
