//! The crate's own client and webhook receiver before the example, over HTTP.

use axum::Router;
use http::{Method, StatusCode};
use portcullis::{
    Authorizer, Requirement, RouteTable, Unlisted,
    issuer::{Connection, HttpTransport},
    providers::grantex::{ExchangeRequest, Grantex, GrantexClient, GrantexError, GrantexWebhook, Pkce},
    status::Revocations,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;

use super::{BOTH, Held, KEY, calendar::Shop, text};
use crate::{process::within, support::bearer};

fn client(shop: &Shop, key: &str) -> GrantexClient {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    GrantexClient::new(&shop.url, key, Connection::over(HttpTransport::from(http))).unwrap()
}

#[track_caller]
fn assert_refused(error: &GrantexError, status: StatusCode, message: &str) {
    let refusal = error.refusal().expect("an answer");
    assert_eq!((refusal.status(), refusal.message()), (status, Some(message)));
    assert!(refusal.request_id().is_some_and(|id| id.len() == 36));
}

#[tokio::test]
async fn our_client_lives_through_a_tokens_whole_life() {
    for generation in BOTH {
        let shop = Shop::open(generation).await;
        let grantex = client(&shop, KEY);
        let agent = text(&shop.tell(Method::POST, "/v1/agents", &json!({ "name": "assistant" })).await, "agentId");
        let pkce = Pkce::new().unwrap();
        let wanted = json!({
            "agentId": agent, "principalId": "user_1", "scopes": ["calendar:read"],
            "codeChallenge": pkce.challenge(), "codeChallengeMethod": "S256",
        });
        let code = text(&shop.tell(Method::POST, "/v1/authorize", &wanted).await, "code");
        let bad = StatusCode::BAD_REQUEST;
        let error = grantex.exchange(ExchangeRequest::new(&code, &agent)).await.unwrap_err();
        assert_refused(&error, bad, "codeVerifier is required for PKCE");
        let request = ExchangeRequest::new(&code, &agent).code_verifier(pkce.verifier());
        let first = grantex.exchange(request).await.unwrap();
        assert_eq!(first.scopes().collect::<Vec<_>>(), ["calendar:read"]);
        assert!(grantex.verify(first.grant_token()).await.unwrap().is_valid());

        // An answer that is lost on its way is had again, and the refresh token has been used once.
        *shop.lost.lock().unwrap() = "/v1/token/refresh";
        let second = grantex.refresh(first.refresh_token(), &agent).await.unwrap();
        assert_eq!(shop.asked("/v1/token/refresh"), 2);
        assert_eq!((second.grant_id(), second.expires_at()), (first.grant_id(), first.expires_at()));
        let third = grantex.refresh(second.refresh_token(), &agent).await.unwrap();
        let error = grantex.refresh(first.refresh_token(), &agent).await.unwrap_err();
        assert_refused(&error, bad, "Refresh token already used");
        let last = grantex.refresh(third.refresh_token(), &agent).await.expect("the caller was the same all along");

        let jti = super::part(second.grant_token(), 1)["jti"].as_str().unwrap().to_owned();
        *shop.lost.lock().unwrap() = "/v1/tokens/revoke";
        grantex.revoke(&jti).await.expect("done, though the answer was lost");
        let error = grantex.revoke(&jti).await.unwrap_err();
        assert!(matches!(error, GrantexError::UnknownToken(_)), "{error}");
        assert!(!grantex.verify(second.grant_token()).await.unwrap().is_valid());
        assert!(grantex.verify(last.grant_token()).await.unwrap().is_valid());

        let stranger = client(&shop, "another-key-that-nobody-has");
        let error = stranger.verify(first.grant_token()).await.unwrap_err();
        assert!(matches!(error, GrantexError::Unauthorized(_)), "{error}");
        assert_refused(&error, StatusCode::UNAUTHORIZED, "Invalid API key");
    }
}

#[tokio::test]
async fn a_webhook_refuses_a_revoked_grant() {
    for generation in BOTH {
        let shop = Shop::open(generation).await;
        // The receiver's address is registered first: the secret comes with the answer.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let body = json!({ "url": url, "events": ["grant.revoked"] });
        let secret = text(&shop.tell(Method::POST, "/v1/webhooks", &body).await, "secret");
        let revocations = Revocations::new();
        let webhook = GrantexWebhook::from_issuer(&shop.url).secret(&secret).to(revocations.clone()).unwrap();
        let router = Router::new().route_service("/hook", webhook);
        tokio::spawn(async move { axum::serve(listener, router).await });

        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let authorizer = Authorizer::builder()
            .issuer(Grantex::at(&shop.url).unwrap().dangerous_any_audience())
            .routes(RouteTable::builder().otherwise(Unlisted::Authenticated).unwrap())
            .revocations(revocations)
            .http_client(http)
            .build()
            .unwrap();
        authorizer.ready(Duration::from_secs(10)).await.unwrap();
        let requirement = Arc::new(Requirement::authenticated());
        let passes = async |held: &Held| {
            let headers = bearer(&held.token);
            authorizer.authorize(&authorizer.input(&headers, &requirement)).await.is_ok()
        };
        let (parent, other) = (shop.grant(json!({})).await, shop.grant(json!({})).await);
        let child = shop.delegate(&parent).await;
        for held in [&parent, &child, &other] {
            assert!(passes(held).await);
        }
        shop.revoke(&parent).await;
        within("the webhook", async {
            while passes(&parent).await {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(!passes(&child).await, "it names the revoked one as its parent");
        assert!(passes(&other).await);
    }
}
