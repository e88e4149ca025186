//! What a token endpoint answers to a refresh token → which one is sent next, and stored.

use portcullis::{
    issuer::ClientCredentials,
    outbound::{ClientCredentialsToken, RefreshGrant, Refreshing},
};

use super::*;

fn client(server: &Scripted) -> (ManualClock, Connection, TokenClient) {
    let clock = ManualClock::new();
    let connection = Connection::over(server.clone()).clock(clock.clone());
    let client = TokenClient::at("https://idp.example/token", ClientAuthentication::post("c", "s3cret"));
    let client = client.start(&connection).unwrap();
    (clock, connection, client)
}

#[tokio::test]
async fn a_new_refresh_token_counts_also_where_the_rest_of_the_answer_is_of_no_use() {
    for useless in [
        r#""access_token":"a0","token_type":"DPoP""#,
        r#""access_token":"a 0","token_type":"Bearer""#,
        r#""access_token":"a0","token_type":"Bearer","expires_in":-1"#,
        r#""access_token":"a0","token_type":"Bearer","scope":["a"]"#,
        r#""access_token":"a0","token_type":"Bearer","expires_in":0"#,
    ] {
        let server = Scripted::default();
        let ((clock, connection, client), both) = (client(&server), Both::new());
        let token = RefreshedToken::new("r0", client, both.clone(), &connection);
        server.then(200, format!(r#"{{{useless},"refresh_token":"r1"}}"#));
        assert!(get(&token).await.is_err(), "{useless}");
        clock.advance(11 * MINUTE);
        server.then(200, r#"{"access_token":"a1","token_type":"bearer"}"#);
        assert_eq!(text(&get(&token).await.unwrap()), "a1");
        let sent: Vec<_> = server.sent().into_iter().map(|sent| sent.body).collect();
        assert!(sent[1].contains("refresh_token=r1"), "{useless}: {sent:?}");
        assert_eq!(both.happened(), "stored r1");
    }
}

#[tokio::test]
async fn an_empty_refresh_token_is_none() {
    let server = Scripted::default();
    let ((clock, connection, client), both) = (client(&server), Both::new());
    let token = RefreshedToken::new("r0", client, both.clone(), &connection);
    for _ in 0..2 {
        server.then(200, r#"{"access_token":"a0","token_type":"bearer","refresh_token":""}"#);
        assert!(get(&token).await.is_ok());
        assert!(server.sent()[0].body.contains("refresh_token=r0&"));
        clock.advance(11 * MINUTE);
    }
    assert_eq!(both.happened(), "");
}

/// Gets its tokens by a source, whose error it hands on as it is.
#[derive(Debug)]
struct Borrowed(ClientCredentialsToken);

impl RefreshGrant for Borrowed {
    fn refresh(&self, _: &str) -> Refreshing {
        let token = self.0.token(&Extensions::new());
        Box::pin(async move { token.await.map(|token| Refreshed::new(text(&token), MINUTE)) })
    }
}

#[tokio::test]
async fn an_error_of_our_own_says_by_itself_that_the_refresh_token_is_no_good() {
    for (code, is_over) in [("invalid_grant", true), ("invalid_client", false)] {
        let server = Scripted::default();
        let (clock, connection, _) = client(&server);
        let credentials =
            ClientCredentials::at("https://idp.example/token", ClientAuthentication::basic("c", "s3cret"));
        let inner = ClientCredentialsToken::start(&credentials, None, &connection).unwrap();
        let token = RefreshedToken::new("r0", Borrowed(inner), Both::new(), &connection);
        server.then(400, format!(r#"{{"error":"{code}"}}"#));
        assert!(get(&token).await.is_err());
        clock.advance(11 * MINUTE);
        server.then(200, r#"{"access_token":"a0","token_type":"bearer"}"#);
        assert_eq!((get(&token).await.is_err(), server.sent().len()), (is_over, if is_over { 1 } else { 2 }), "{code}");
    }
}
