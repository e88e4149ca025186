//! Configurations → what a request then carries, and what an authorization server says to it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::{
    crypto::Algorithm,
    issuer::{ClientAuthenticationError as Error, ClientCredentials},
    testing::{ManualClock, TestIssuer, TestKey},
};

const ODD: &str = "a:b c+d%e\u{e9}&=\"/~*";

fn issuer() -> (TestIssuer, Environment) {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process("https://idp.example/t");
    let environment = Environment { transport: issuer.transport(), clock: Arc::new(clock) };
    (issuer, environment)
}

fn error(authentication: &ClientAuthentication) -> Option<Error> {
    let (issuer, environment) = issuer();
    Authenticator::start(authentication, Some(issuer.url()), &environment).err()
}

/// Sends a form to the introspection endpoint as that client.
async fn introspect(authentication: &ClientAuthentication, world: &(TestIssuer, Environment)) -> Response<Bytes> {
    let (issuer, environment) = world;
    let authenticator = Authenticator::start(authentication, Some(issuer.url()), environment).unwrap();
    let endpoint = Endpoint::parse(&issuer.introspection_url()).unwrap();
    let (mut headers, mut form) = (HeaderMap::new(), Form::default());
    form.push("token", "x");
    let _shown = authenticator.authenticate(&mut headers, &mut form, &endpoint).await.unwrap();
    environment.transport.send(form.post(&endpoint, headers).unwrap(), 65536).await.unwrap()
}

/// The form that is sent to an endpoint, and the headers.
async fn sent(authentication: &ClientAuthentication, issuer: Option<&str>) -> (HeaderMap, String) {
    let (_, environment) = self::issuer();
    let authenticator = Authenticator::start(authentication, issuer, &environment).unwrap();
    let endpoint = Endpoint::parse("https://idp.example/t/introspect").unwrap();
    let (mut headers, mut form) = (HeaderMap::new(), Form::default());
    let _shown = authenticator.authenticate(&mut headers, &mut form, &endpoint).await.unwrap();
    let request = form.post(&endpoint, headers).unwrap();
    (request.headers().clone(), String::from_utf8(request.body().to_vec()).unwrap())
}

#[tokio::test]
async fn odd_characters_in_id_and_secret_arrive_by_every_way() {
    let world = issuer();
    for secret in [ODD, " ", ":", "%", "+", "%3A", "a%20b", "\u{e9}", "s3cret"] {
        world.0.register_client(ODD, secret, ["x"]);
        for authentication in [ClientAuthentication::basic(ODD, secret), ClientAuthentication::post(ODD, secret)] {
            let answer = introspect(&authentication, &world).await;
            assert_eq!(answer.status(), StatusCode::OK, "{authentication:?} {secret:?}");
        }
        let other = ClientAuthentication::basic(ODD, format!("{secret}x"));
        assert_eq!(introspect(&other, &world).await.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn basic_credentials_are_encoded_as_the_rfc_says_or_not_at_all() {
    for (authentication, joined) in [
        (ClientAuthentication::basic("a:b", "c d+e%f\u{e9}~"), "a%3Ab:c%20d%2Be%25f%C3%A9%7E"),
        (ClientAuthentication::basic_unencoded("ab", "c:d e%f\u{e9}"), "ab:c:d e%f\u{e9}"),
    ] {
        let (headers, body) = sent(&authentication, None).await;
        let expected = format!("Basic {}", base64url::encode_standard(joined.as_bytes()));
        assert_eq!(headers[header::AUTHORIZATION], expected);
        assert!(headers[header::AUTHORIZATION].is_sensitive());
        assert_eq!(body, "");
    }
    let (headers, body) = sent(&ClientAuthentication::post("a b", "c&d"), None).await;
    assert_eq!((headers.get(header::AUTHORIZATION), &*body), (None, "client_id=a+b&client_secret=c%26d"));
    let (headers, body) = sent(&ClientAuthentication::bearer("key"), None).await;
    assert_eq!((&headers[header::AUTHORIZATION], &*body), (&HeaderValue::from_static("Bearer key"), ""));
    let (headers, body) = sent(&ClientAuthentication::none(), None).await;
    assert_eq!((headers.get(header::AUTHORIZATION), &*body), (None, ""));
}

#[tokio::test]
async fn assertions_are_good_at_a_server_for_one_use_each() {
    let world = issuer();
    for algorithm in [Algorithm::RS256, Algorithm::PS384, Algorithm::ES256, Algorithm::ES512, Algorithm::Ed25519] {
        let key = TestKey::shared(algorithm).with_key_id("k");
        let pem = key.private_pem().unwrap();
        let private = PrivateKey::from_pem(algorithm, pem.as_bytes()).unwrap();
        let named = ClientAuthentication::private_key_jwt("c", private.clone().with_key_id("k"));
        // The servers of today's tests spell Ed25519 by its own name.
        world.0.register_client_key("c", &key, ["x"]);
        let token_url = world.0.token_url();
        for good in [
            ClientAuthentication::private_key_jwt("c", private.clone()),
            named.clone(),
            named.clone().explicit_type(),
            named.clone().audience(&token_url),
        ] {
            for _ in 0..2 {
                assert_eq!(introspect(&good, &world).await.status(), StatusCode::OK, "{algorithm} {good:?}");
            }
        }
        for bad in [
            ClientAuthentication::private_key_jwt("d", private.clone()),
            ClientAuthentication::private_key_jwt("c", private.clone().with_key_id("other")),
            named.audience("https://other.example"),
        ] {
            assert_eq!(introspect(&bad, &world).await.status(), StatusCode::UNAUTHORIZED, "{algorithm} {bad:?}");
        }
    }
}

#[tokio::test]
async fn an_assertion_says_what_it_should_and_nothing_twice() {
    let pem = TestKey::shared(Algorithm::ES256).private_pem().unwrap();
    let key = PrivateKey::from_pem(Algorithm::ES256, pem.as_bytes()).unwrap();
    let authentication = ClientAuthentication::private_key_jwt("c", key.with_key_id("k"));
    let assertion = async |authentication: &ClientAuthentication, issuer: Option<&str>| {
        let (_, body) = sent(authentication, issuer).await;
        let fields: Vec<_> = body.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        assert_eq!(fields[0], ("client_id", "c"));
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        assert_eq!(fields[1], ("client_assertion_type", kind));
        let parts: Vec<_> =
            fields[2].1.split('.').take(2).map(|part| base64url::decode(part.as_bytes()).unwrap()).collect();
        [0, 1].map(|at| serde_json::from_slice::<Value>(&parts[at]).unwrap())
    };
    let [header, claims] = assertion(&authentication, Some("https://idp.example/t")).await;
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT", "kid": "k" }));
    let now = ManualClock::START.as_secs();
    let mut expected = json!({
        "iss": "c", "sub": "c", "aud": "https://idp.example/t", "iat": now, "exp": now + 60, "jti": claims["jti"],
    });
    assert_eq!(claims, expected);
    let [_, other] = assertion(&authentication, Some("https://idp.example/t")).await;
    assert_ne!(other["jti"], claims["jti"]);
    let [_, unknown] = assertion(&authentication, None).await;
    expected["aud"] = "https://idp.example/t/introspect".into();
    expected["jti"] = unknown["jti"].clone();
    assert_eq!(unknown, expected);
    let [header, typed] = assertion(&authentication.explicit_type().audience("https://a"), None).await;
    assert_eq!((&header["typ"], &typed["aud"]), (&"client-authentication+jwt".into(), &"https://a".into()));
}

#[tokio::test]
async fn a_bearer_of_our_own_opens_an_endpoint_and_is_replaced_when_that_closes() {
    let (issuer, environment) = issuer();
    issuer.register_client("c", "s3cret", ["tokens:read", "more"]);
    issuer.protect_introspection("tokens:read");
    let credentials = ClientCredentials::discover(ClientAuthentication::basic("c", "s3cret")).scope("tokens:read");
    let authentication = ClientAuthentication::client_credentials(credentials);
    let authenticator = Authenticator::start(&authentication, Some(issuer.url()), &environment).unwrap();
    let endpoint = Endpoint::parse(&issuer.introspection_url()).unwrap();
    let ask = async || {
        let (mut headers, mut form) = (HeaderMap::new(), Form::default());
        form.push("token", "x");
        let shown = authenticator.authenticate(&mut headers, &mut form, &endpoint).await.unwrap();
        let bearer = headers[header::AUTHORIZATION].to_str().unwrap()["Bearer ".len()..].to_owned();
        let request = form.post(&endpoint, headers).unwrap();
        (environment.transport.send(request, 65536).await.unwrap().status().as_u16(), bearer, shown)
    };
    let (status, bearer, _) = ask().await;
    assert_eq!((status, issuer.asked().token), (200, 1));
    issuer.revoke(&bearer);
    let (status, same, shown) = ask().await;
    assert_eq!((status, same == bearer), (401, true));
    assert!(authenticator.refused(&shown));
    let (status, other, shown) = ask().await;
    assert_eq!((status, other == bearer, issuer.asked().token), (200, false, 2));
    assert!(!authenticator.refused(&shown), "not twice in a minute");

    let fixed = Authenticator::start(&ClientAuthentication::bearer("key"), None, &environment).unwrap();
    let shown = fixed.authenticate(&mut HeaderMap::new(), &mut Form::default(), &endpoint).await.unwrap();
    assert!(!fixed.refused(&shown), "there is no other");
}

#[test]
fn what_could_not_work_is_refused_at_start_up_and_never_quoted_threat_29() {
    let basic = ClientAuthentication::basic;
    let secret = "s3cret";
    let with_break = format!("{secret}\n");
    let at = |authentication| ClientCredentials::at("https://idp.example/token", authentication);
    let credentials = |credentials| ClientAuthentication::client_credentials(credentials);
    for (authentication, expected) in [
        (basic("", secret), "the client id is empty"),
        (basic("c", ""), "the secret of client \"c\" is empty"),
        (ClientAuthentication::post("c", ""), "the secret of client \"c\" is empty"),
        (basic("c", &with_break), "the secret of client \"c\" contains a control character"),
        (ClientAuthentication::post("c\0", secret), "the id of client \"c\\0\" contains a control character"),
        (ClientAuthentication::basic_unencoded("a:b", secret), "the client id \"a:b\" contains a colon"),
        (ClientAuthentication::bearer(""), "the configured Bearer is empty"),
        (ClientAuthentication::bearer("s3cret s3cret"), "the configured Bearer is empty, or contains"),
        (ClientAuthentication::bearer("s3cret\n"), "the configured Bearer is empty, or contains"),
        (basic("c", secret).audience(""), "the audience of client assertions is empty"),
        (basic("c", secret).audience("https://a"), "client_secret_basic sends no client assertions"),
        (ClientAuthentication::none().explicit_type(), "none sends no client assertions"),
        (credentials(at(basic("c", secret))).audience("https://a"), "client_credentials sends no client assertions"),
        (credentials(at(basic("c", secret).explicit_type())), "client_secret_basic sends no client assertions"),
        (credentials(at(ClientAuthentication::bearer(secret))), "bearer cannot be used"),
        (credentials(at(ClientAuthentication::none())), "none cannot be used"),
        (credentials(at(credentials(at(basic("c", secret))))), "client_credentials cannot be used"),
        (credentials(at(basic("c", ""))), "the secret of client \"c\" is empty"),
        (credentials(at(basic("c", secret)).scope("a\"b")), "\"a\\\"b\" is not a scope"),
        (credentials(at(basic("c", secret)).scope("a  b")), "is not a scope"),
        (credentials(at(basic("c", secret)).parameter("scope", secret)), "the extra parameter \"scope\""),
        (credentials(at(basic("c", secret)).parameter("client_id", secret)), "the extra parameter \"client_id\""),
        (credentials(ClientCredentials::at("http://idp.example", basic("c", secret))), "not a token endpoint"),
    ] {
        let error = error(&authentication).expect(expected).to_string();
        assert!(error.starts_with(expected) || error.contains(expected), "{error}");
        for shown in [error, format!("{authentication:?}")] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let (_, environment) = issuer();
    let unknown = credentials(ClientCredentials::discover(basic("c", secret)));
    assert!(matches!(Authenticator::start(&unknown, None, &environment), Err(Error::NoIssuer)));
}

#[tokio::test]
async fn nothing_secret_is_in_what_is_shown_of_it_threat_29() {
    let secret = "s3cret-of-ours";
    let pem = TestKey::shared(Algorithm::ES256).private_pem().unwrap();
    let key = PrivateKey::from_pem(Algorithm::ES256, pem.as_bytes()).unwrap();
    let basic = ClientAuthentication::basic("c", secret);
    let credentials = ClientCredentials::at("https://idp.example/t/token", basic.clone()).parameter("api_key", secret);
    let (_, environment) = issuer();
    for (authentication, shown) in [
        (basic.clone(), r#"ClientAuthentication(client_secret_basic "c")"#),
        (ClientAuthentication::basic_unencoded("c", secret), r#"ClientAuthentication(client_secret_basic "c")"#),
        (ClientAuthentication::post("c", secret), r#"ClientAuthentication(client_secret_post "c")"#),
        (ClientAuthentication::private_key_jwt("c", key), r#"ClientAuthentication(private_key_jwt "c")"#),
        (ClientAuthentication::bearer(secret), "ClientAuthentication(bearer)"),
        (
            ClientAuthentication::client_credentials(credentials.clone()),
            r#"ClientAuthentication(client_credentials "c")"#,
        ),
        (ClientAuthentication::none(), "ClientAuthentication(none)"),
    ] {
        assert_eq!(format!("{authentication:?}"), shown);
        let authenticator = Authenticator::start(&authentication, None, &environment).unwrap();
        assert_eq!(format!("{authenticator:?}"), shown);
        assert_eq!(authenticator.client_id(), authentication.client_id());
    }
    let keyed = |url: String| ClientCredentials::at(url, basic.clone());
    for credentials in [
        credentials,
        keyed(format!("https://idp.example/t/token?code={secret}")),
        keyed(format!("https://{secret}:{secret}@idp.example")),
    ] {
        let shown = format!("{credentials:#?}");
        assert!(!shown.contains(secret), "{shown}");
    }
    let (headers, _) = sent(&basic, None).await;
    assert!(!format!("{headers:?}").contains("Basic"), "{headers:?}");
}
