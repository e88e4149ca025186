//! Requests through either door → what the authorization server answers.

use bytes::Bytes;
use http::{Method, Request, Response, header};
use serde_json::json;

use super::*;
use crate::{
    clock::UnixTime,
    issuer::{HttpTransport, TransportError},
    testing::ManualClock,
};

const IDP: &str = "https://idp.example";
const HOUR: Duration = Duration::from_secs(3600);
const MAX: usize = 64 * 1024;

async fn get(transport: &dyn Transport, url: &str) -> Result<Response<Bytes>, TransportError> {
    transport.send(Request::get(url).body(Bytes::new()).unwrap(), MAX).await
}

/// Asks as the client `c`, whose secret is `s&c ret`.
async fn post(transport: &dyn Transport, url: &str, form: &str) -> (u16, Value) {
    // `c:s%26c+ret`
    let request = Request::post(url).header(header::AUTHORIZATION, "Basic YzpzJTI2YytyZXQ=");
    send(transport, request, form).await
}

async fn send(transport: &dyn Transport, request: http::request::Builder, form: &str) -> (u16, Value) {
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = transport.send(request.body(form.to_owned().into()).unwrap(), MAX).await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
}

fn body(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

async fn introspected(issuer: &TestIssuer, token: &str) -> Value {
    post(&*issuer.transport(), &issuer.introspection_url(), &format!("token={token}")).await.1
}

fn with_client(clock: &ManualClock) -> TestIssuer {
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process(IDP);
    issuer.register_client("c", "s&c ret", ["orders:read", "orders:write"]);
    issuer
}

#[tokio::test]
async fn both_doors_lead_to_the_same_server() {
    let started = TestIssuer::start().await;
    let http: Arc<dyn Transport> = Arc::new(HttpTransport::new().unwrap());
    let in_process = TestIssuer::in_process(IDP);
    for (issuer, transport) in
        [(&started, http), (&started, started.transport()), (&in_process, in_process.transport())]
    {
        issuer.reset_asked();
        issuer.register_client("c", "s&c ret", ["orders:read"]);
        for place in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
            let metadata = body(&get(&*transport, &format!("{}{place}", issuer.url())).await.unwrap());
            assert_eq!(metadata["issuer"], issuer.url());
            assert_eq!(metadata["jwks_uri"], issuer.jwks_url());
        }
        let keys = body(&get(&*transport, &issuer.jwks_url()).await.unwrap());
        assert_eq!(keys, json!({ "keys": [issuer.current_key().jwk()] }));

        let (status, granted) = post(&*transport, &issuer.token_url(), "grant_type=client_credentials").await;
        assert_eq!((status, &granted["scope"], &granted["expires_in"]), (200, &"orders:read".into(), &3600.into()));
        let form = format!("token={}", granted["access_token"].as_str().unwrap());
        let (_, claims) = post(&*transport, &issuer.introspection_url(), &form).await;
        assert_eq!(
            (&claims["active"], &claims["scope"], &claims["sub"]),
            (&true.into(), &"orders:read".into(), &"c".into())
        );
        assert_eq!(post(&*transport, &issuer.revocation_url(), &form).await.0, 200);
        let (_, claims) = post(&*transport, &issuer.introspection_url(), &form).await;
        assert_eq!(claims, json!({ "active": false }));

        assert_eq!(get(&*transport, &format!("{}/x", issuer.url())).await.unwrap().status(), 404);
        assert_eq!(get(&*transport, &issuer.token_url()).await.unwrap().status(), 405);
        let asked = Asked::default().with_metadata(2).with_jwks(1).with_token(2).with_introspection(2);
        assert_eq!(issuer.asked(), asked.with_revocation(1));

        issuer.fault(Target::All, Fault::Reset);
        assert!(matches!(get(&*transport, &issuer.jwks_url()).await, Err(TransportError::Failed(_))));
        issuer.fault(Target::Jwks, Fault::Huge(MAX + 1));
        assert!(matches!(get(&*transport, &issuer.jwks_url()).await, Err(TransportError::TooLarge(MAX))));
        issuer.heal();
    }
}

#[tokio::test]
async fn the_server_ends_with_its_last_clone() {
    let issuer = TestIssuer::start().await;
    let (clone, transport) = (issuer.clone(), issuer.transport());
    let (url, http) = (issuer.jwks_url(), HttpTransport::new().unwrap());
    drop(issuer);
    assert!(get(&http, &url).await.is_ok());
    drop(clone);
    ManualClock::new().settle().await;
    assert!(get(&http, &url).await.is_err());
    assert!(get(&*transport, &url).await.is_ok(), "in process it needs no socket");
}

#[tokio::test]
async fn issuers_are_told_apart_by_url() {
    let urls = ["https://a.example", "https://a.example/t/1", "https://b.example/t", "https://a.example:8443"];
    let issuers = urls.map(TestIssuer::in_process);
    let transport = TestIssuer::transport_of(&issuers.each_ref());
    for issuer in &issuers {
        let keys = body(&get(&*transport, &issuer.jwks_url()).await.unwrap());
        assert_eq!(keys["keys"][0], issuer.current_key().jwk(), "{issuer:?}");
    }
    for (place, issuer) in [
        ("https://a.example/.well-known/oauth-authorization-server", urls[0]),
        ("https://a.example:443/.well-known/openid-configuration", ""),
        ("https://a.example/.well-known/oauth-authorization-server/t/1", urls[1]),
        ("https://a.example/t/1/.well-known/openid-configuration", urls[1]),
        ("https://b.example/.well-known/oauth-authorization-server/t", urls[2]),
        ("https://b.example/.well-known/oauth-authorization-server", ""),
        ("https://b.example/tt/jwks", ""),
        ("http://a.example/jwks", ""),
        ("https://c.example/jwks", ""),
    ] {
        let found = get(&*transport, place).await.map(|answer| body(&answer)["issuer"].clone());
        assert_eq!(found.ok().unwrap_or_else(|| "".into()), issuer, "{place}");
    }
}

#[tokio::test]
async fn the_key_set_follows_its_orders_and_its_tag_follows_the_key_set() {
    let issuer = TestIssuer::in_process(IDP);
    let transport = issuer.transport();
    let url = issuer.jwks_url();
    let ask = async |tag: &str| {
        let request = Request::get(&url).header(header::IF_NONE_MATCH, tag).body(Bytes::new()).unwrap();
        transport.send(request, MAX).await.unwrap()
    };
    let kids = async || {
        let keys = body(&get(&*transport, &url).await.unwrap());
        keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect::<Vec<_>>()
    };
    let first = ask("\"other\"").await;
    assert_eq!((first.status().as_u16(), first.headers().get(header::CACHE_CONTROL)), (200, None));
    let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
    issuer.set_cache_control(Some("max-age=60"));
    let second = ask(&tag).await;
    assert_eq!((second.status().as_u16(), second.body().len()), (304, 0));
    assert_eq!(second.headers()[header::CACHE_CONTROL], "max-age=60");

    let old = issuer.current_key();
    let new = issuer.rotate();
    assert_eq!(ask(&tag).await.status(), 200);
    assert_eq!(kids().await, ["key-1", "key-2"]);
    assert_eq!(issuer.current_key().jwk(), new.jwk());
    issuer.retire(old.key_id());
    assert_eq!(kids().await, ["key-2"]);
    issuer.publish(&[TestKey::shared(Algorithm::Ed25519)]);
    assert_eq!(kids().await, ["shared-Ed25519"]);
    issuer.publish_raw(json!({ "keys": 7 }));
    assert_eq!(body(&get(&*transport, &url).await.unwrap()), json!({ "keys": 7 }));
    issuer.rotate();
    assert_eq!(kids().await, ["shared-Ed25519", "key-3"]);
}

#[test]
fn rsa_keys_rotate_too_and_issuers_differ() {
    let [one, two] = [IDP, IDP].map(|url| TestIssuer::builder().algorithm(Algorithm::RS256).in_process(url));
    let (first, other) = (one.current_key(), two.current_key());
    let next = one.rotate();
    assert_ne!(first.jwk()["n"], other.jwk()["n"]);
    assert_ne!(first.jwk()["n"], next.jwk()["n"]);
    assert_eq!((next.key_id(), next.algorithm()), ("key-2", Algorithm::RS256));
}

#[tokio::test]
async fn a_token_is_active_while_it_is_ours_lasts_and_is_not_revoked() {
    let clock = ManualClock::new();
    let issuer = with_client(&clock);
    let twin = TestIssuer::builder().clock(clock.clone()).in_process(IDP);
    let opaque = issuer.issue_opaque(["orders:read"], HOUR);
    let token = issuer.token();
    let (good, old) = (token.clone().scopes(["x", "y"]).build(), token.build());
    assert_eq!(introspected(&issuer, &opaque).await["scope"], "orders:read");
    assert_eq!(introspected(&issuer, &good).await["scope"], "x y");
    issuer.rotate();
    assert_eq!(introspected(&issuer, &old).await["active"], true);
    issuer.retire("key-1");
    issuer.sign_with(TestKey::shared(Algorithm::PS256));
    let (kept, revoked) = (issuer.token().expires_in(HOUR * 2).build(), issuer.token().build());
    issuer.revoke(&revoked);
    let later = UnixTime::from_secs(clock.now().wall().as_secs() + 1);
    for dead in [
        old,
        revoked,
        twin.token().build(),
        issuer.token().tampered().build(),
        issuer.token().unsigned().build(),
        issuer.token().algorithm_name("nOnE").build(),
        issuer.token().claim("iss", "https://other.example").build(),
        issuer.token().claim("nbf", later.as_secs()).build(),
        issuer.token().without_claim("exp").build(),
        issuer.token().expires_in(Duration::ZERO).build(),
        "unknown".to_owned(),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(introspected(&issuer, &dead).await, json!({ "active": false }), "{dead}");
    }
    clock.advance(HOUR);
    assert_eq!(introspected(&issuer, &kept).await["active"], true);
    assert_eq!(introspected(&issuer, &opaque).await, json!({ "active": false }));
}

#[tokio::test]
async fn clients_are_answered_by_the_book() {
    let issuer = with_client(&ManualClock::new());
    let transport = &*issuer.transport();
    let secret = "client_id=c&client_secret=s%26c+ret";
    // Basic credentials, form, status, error.
    for (basic, form, status, error) in [
        (None, format!("grant_type=client_credentials&{secret}"), 200, Value::Null),
        (None, format!("grant_type=client_credentials&scope=orders:write&{secret}"), 200, Value::Null),
        (None, format!("grant_type=client_credentials&scope=admin&{secret}"), 400, "invalid_scope".into()),
        (None, format!("grant_type=password&{secret}"), 400, "unsupported_grant_type".into()),
        (None, secret.to_owned(), 400, "invalid_request".into()),
        (None, format!("grant_type=client_credentials&{secret}&{secret}"), 400, "invalid_request".into()),
        (None, "client_id=c&client_secret=x".to_owned(), 401, "invalid_client".into()),
        (None, "client_id=x&client_secret=x".to_owned(), 401, "invalid_client".into()),
        (None, "grant_type=client_credentials".to_owned(), 401, "invalid_client".into()),
        (Some("Basic YzpzJTI2YytyZXQ="), secret.to_owned(), 400, "invalid_request".into()),
        (Some("Basic YzpzJmMgcmV0"), String::new(), 401, "invalid_client".into()),
        (Some("Basic ????"), String::new(), 401, "invalid_client".into()),
        (Some("Bearer x"), String::new(), 401, "invalid_client".into()),
    ] {
        let mut request = Request::post(issuer.token_url());
        if let Some(basic) = basic {
            request = request.header(header::AUTHORIZATION, basic);
        }
        let (answered, body) = send(transport, request, &form).await;
        assert_eq!((answered, &body["error"]), (status, &error), "{basic:?} {form}");
    }
    for url in [issuer.introspection_url(), issuer.revocation_url()] {
        let (status, body) = send(transport, Request::post(&url), "token=x").await;
        assert_eq!((status, &body["error"]), (401, &"invalid_client".into()));
        let request = Request::builder().method(Method::POST).uri(&url).body(Bytes::new()).unwrap();
        assert_eq!(transport.send(request, MAX).await.unwrap().status(), 400, "not a form");
    }
    let request = Request::post(issuer.introspection_url())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from_static(b"token=x"))
        .unwrap();
    let answer = transport.send(request, MAX).await.unwrap();
    assert!(answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic "));
}

#[tokio::test]
async fn every_fault_does_what_it_says() {
    let clock = ManualClock::new();
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process(IDP);
    let transport = issuer.transport();
    let url = issuer.jwks_url();
    let faulty = async |fault| {
        issuer.fault(Target::Jwks, fault);
        get(&*transport, &url).await.unwrap()
    };
    assert_eq!(faulty(Fault::Status(503)).await.status(), 503);
    assert_eq!(faulty(Fault::RetryAfter(429, 7)).await.headers()[header::RETRY_AFTER], "7");
    assert_eq!(faulty(Fault::Redirect("http://x/".into())).await.headers()[header::LOCATION], "http://x/");
    assert!(serde_json::from_slice::<Value>(faulty(Fault::Garbage).await.body()).is_err());
    let other = Fault::Body { status: 201, content_type: "text/html".into(), body: "<p>".into() };
    let answer = faulty(other).await;
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (201, &b"<p>"[..]));
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/html");

    issuer.fault(Target::Jwks, Fault::Slow(HOUR));
    let (answer, ()) = tokio::join!(get(&*transport, &url), async {
        clock.settle().await;
        assert_eq!(clock.sleepers(), 1);
        clock.advance(HOUR);
    });
    assert_eq!(answer.unwrap().status(), 200);

    issuer.fault(Target::Jwks, Fault::Hang);
    tokio::select! {
        biased;
        _ = get(&*transport, &url) => panic!("it answered"),
        () = clock.settle() => {}
    }
    issuer.heal();
    assert_eq!(get(&*transport, &url).await.unwrap().status(), 200);
    assert_eq!(issuer.asked().jwks, 8);
}

#[tokio::test]
async fn a_held_request_sees_what_happened_meanwhile_and_a_held_answer_does_not() {
    let clock = ManualClock::new();
    let issuer = with_client(&clock);
    for answered in [false, true] {
        let token = issuer.token().build();
        let held = if answered { issuer.hold_answer(Target::All) } else { issuer.hold(Target::Introspection) };
        let (claims, ()) = tokio::join!(introspected(&issuer, &token), async {
            held.arrived().await;
            assert_eq!(held.waiting(), 1);
            issuer.revoke(&token);
            held.release();
        });
        assert_eq!(claims["active"], answered);
        assert_eq!(introspected(&issuer, &token).await["active"], false, "no longer held");
    }
    let held = issuer.hold(Target::Jwks);
    let (transport, url) = (issuer.transport(), issuer.jwks_url());
    tokio::select! {
        biased;
        _ = get(&*transport, &url) => panic!("it answered"),
        () = held.arrived() => {}
    }
    assert_eq!((held.waiting(), issuer.asked().jwks), (0, 1), "the client gave up");
}
