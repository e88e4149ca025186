//! Requests to `examples/agent_idp` that are not quite as they should be.

use http::{Method, StatusCode};
use serde_json::json;

use super::service::{Credentials, FORM, Pairs, Service, encoded};

#[tokio::test]
async fn a_form_must_be_one_and_say_everything_once() {
    let service = Service::start(&[]).await;
    let Credentials { id, secret } = service.admin();
    let grant = "grant_type=client_credentials";
    let good = format!("{grant}&client_id={id}&client_secret={secret}");
    let in_json = json!({ "grant_type": "client_credentials", "client_id": id, "client_secret": secret }).to_string();
    let long = format!("{good}&more={}", "x".repeat(40_000));
    let charset = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    let shouted = ("content-type", "Application/X-WWW-Form-URLencoded");
    let in_query = ("content-type", "application/x-www-form-urlencoded2");
    let rows: [(&str, Pairs<'_>, String, u16); 18] = [
        ("good", &[FORM], good.clone(), 200),
        ("with a charset", &[charset], good.clone(), 200),
        ("in capitals", &[shouted], good.clone(), 200),
        ("JSON", &[("content-type", "application/json")], in_json.clone(), 400),
        ("JSON that says it is a form", &[FORM], in_json, 400),
        ("a form that says it is JSON", &[("content-type", "application/json")], good.clone(), 400),
        ("of no type", &[], good.clone(), 400),
        ("of another type", &[in_query], good.clone(), 400),
        ("of two types", &[FORM, FORM], good.clone(), 400),
        ("empty", &[FORM], String::new(), 400),
        ("two grant types", &[FORM], format!("{good}&{grant}"), 400),
        ("two clients", &[FORM], format!("{good}&client_id={id}"), 400),
        ("two secrets", &[FORM], format!("{good}&client_secret={secret}"), 400),
        ("two scopes", &[FORM], format!("{good}&scope=agents:read&scope=agents:write"), 400),
        ("two empty scopes", &[FORM], format!("{good}&scope=&scope="), 400),
        ("one scope, encoded otherwise", &[FORM], format!("{good}&scope=agents%3Aread&sc%6Fpe=agents:read"), 400),
        ("twice what nobody knows", &[FORM], format!("{good}&a=1&a=2"), 400),
        ("too long", &[FORM], long, 413),
    ];
    for (what, headers, body, status) in rows {
        let answer = service.send(Method::POST, "/api/v1/token", headers, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {answer:?}");
        if status != 200 {
            let error = answer.json();
            assert_eq!(error["error"], "invalid_request", "{what}");
            assert!(error["error_description"].is_string(), "{what}");
            assert!(!answer.text.contains(&secret), "{what}");
        }
    }
    // Nothing is read from the query.
    let answer = service.send(Method::POST, &format!("/api/v1/token?{good}"), &[FORM], "").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);

    let token = service.token(&service.admin()).await;
    for path in ["/api/v1/token/introspect", "/api/v1/token/revoke"] {
        let bearer = ("authorization", format!("Bearer {token}"));
        let bearer = (bearer.0, bearer.1.as_str());
        let twice = format!("token={token}&token={token}");
        let in_json = json!({ "token": token }).to_string();
        for (what, headers, body) in [
            ("no token", [bearer, FORM], ""),
            ("two tokens", [bearer, FORM], &twice),
            ("JSON", [bearer, ("content-type", "application/json")], &in_json),
        ] {
            let answer = service.send(Method::POST, path, &headers, body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}, {what}: {answer:?}");
            assert_eq!(answer.json()["error"], "invalid_request", "{path}, {what}");
        }
    }
    assert!(service.is_active(&token, &token).await);
}

#[tokio::test]
async fn a_client_authenticates_in_the_form_or_by_basic_and_never_both() {
    // Both need encoding (RFC 6749 §2.3.1).
    let chosen = Credentials { id: "an admin: 100%".to_owned(), secret: "a secret: & = + /é".to_owned() };
    let variables = [("ADMIN_CLIENT_ID", chosen.id.as_str()), ("ADMIN_CLIENT_SECRET", &chosen.secret)];
    let service = Service::start(&variables).await;
    assert_eq!(service.printed, [""; 0], "a secret that was chosen is not printed");
    let agent = service.create(&service.token(&chosen).await, &["agents:read"]).await;
    let once = |text: &str| encoded(&[("", text)])[1..].to_owned();
    let basic =
        |id: &str, secret: &str| format!("Basic {}", base64_simd::STANDARD.encode_to_string(format!("{id}:{secret}")));
    let of = |who: &Credentials| basic(&once(&who.id), &once(&who.secret));
    let grant = "grant_type=client_credentials";
    let named = format!("{grant}&{}", encoded(&[("client_id", &agent.id)]));
    let misnamed = format!("{grant}&{}", encoded(&[("client_id", &chosen.id)]));
    let both = format!("{named}&client_secret={}", agent.secret);
    let rows: [(&str, &[String], &str, u16, &str); 15] = [
        ("chosen", &[of(&chosen)], grant, 200, ""),
        ("made up", &[of(&agent)], grant, 200, ""),
        ("the scheme in another case", &[of(&agent).replace("Basic", "bASIC")], grant, 200, ""),
        ("named once more", &[of(&agent)], &named, 200, ""),
        ("named otherwise", &[of(&agent)], &misnamed, 400, "invalid_request"),
        ("both", &[of(&agent)], &both, 400, "invalid_request"),
        ("two headers", &[of(&agent), of(&agent)], grant, 400, "invalid_request"),
        ("another scheme, beside the form", &["Bearer abc".to_owned()], &both, 200, ""),
        ("another scheme alone", &["Bearer abc".to_owned()], grant, 401, "invalid_client"),
        ("wrong secret", &[basic(&agent.id, "wrong")], grant, 401, "invalid_client"),
        ("not encoded", &[basic(&chosen.id, &chosen.secret)], grant, 401, "invalid_client"),
        ("no secret", &[basic(&agent.id, "")], grant, 401, "invalid_client"),
        ("no colon", &["Basic YWJj".to_owned()], grant, 401, "invalid_client"),
        ("not Base64", &["Basic !".to_owned()], grant, 401, "invalid_client"),
        ("nothing", &["Basic".to_owned()], grant, 401, "invalid_client"),
    ];
    for (what, authorizations, body, status, error) in rows {
        let mut headers = vec![FORM];
        headers.extend(authorizations.iter().map(|value| ("authorization", value.as_str())));
        let answer = service.send(Method::POST, "/api/v1/token", &headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {answer:?}");
        if status != 200 {
            assert_eq!(answer.json()["error"], error, "{what}");
        }
        let tried_basic = status == 401 && authorizations[0].starts_with("Basic ");
        assert_eq!(answer.challenge(), if tried_basic { "Basic realm=\"AgentIdP\"" } else { "" }, "{what}");
    }
}

#[tokio::test]
async fn no_secret_and_no_token_is_logged() {
    let chosen = Credentials { id: "admin".to_owned(), secret: "correct horse battery".to_owned() };
    let variables = [("ADMIN_CLIENT_ID", chosen.id.as_str()), ("ADMIN_CLIENT_SECRET", &chosen.secret)];
    let service = Service::start(&variables).await;
    let token = service.token(&chosen).await;
    let agent = service.create(&token, &["agents:read"]).await;
    let weak = service.token(&agent).await;
    service.ask_token(&Credentials { secret: "a wrong secret".to_owned(), ..agent.clone() }, &[]).await;
    service.revoke(&weak, &token).await;
    service.revoke(&weak, &weak).await;
    service.get("/api/v1/agents", &weak).await;
    service.json_by(&weak, "/api/v1/agents", &json!({ "scopes": ["agents:read"] })).await;
    let end = service.stop().await;
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), ""));
    assert!(end.stderr.contains("request refused"), "{}", end.stderr);
    let log = &end.stderr;
    for secret in [chosen.secret.as_str(), &agent.secret, "a wrong secret", &token, &weak] {
        assert!(!log.contains(secret), "{log}");
    }
    let signature = token.rsplit('.').next().unwrap();
    assert!(!log.contains(signature), "{log}");
}
