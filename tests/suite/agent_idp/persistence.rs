//! What `examples/agent_idp` finds again in its `DATA_DIR`, and when it does not start.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use http::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::service::{Credentials, Dir, Service};
use crate::process::{Answer, End, File, Refusal, end_of, example};

/// A start that should fail.
async fn refused(variables: &[(&str, &str)]) -> String {
    let mut child = example("agent_idp", variables).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let End { code, stdout, stderr } = end_of(child, stdout).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{variables:?}: {stderr}");
    assert!(!stderr.contains("hush"), "a secret in the log");
    stderr.lines().find(|line| line.starts_with("error: ")).expect(&stderr).to_owned()
}

#[tokio::test]
async fn everything_that_was_answered_is_there_after_a_restart() {
    let dir = Dir::new("idp-restart");
    let variables = [("DATA_DIR", dir.path()), ("MONTHLY_LIMIT", "4")];
    let service = Service::start(&variables).await;
    let admin = service.admin();
    let by = service.token(&admin).await;
    let agent = service.create(&by, &["agents:read"]).await;
    let [suspended, back] = [service.create(&by, &["agents:read"]).await, service.create(&by, &["agents:read"]).await];
    let (kept, revoked) = (service.token(&agent).await, service.token(&agent).await);
    let of_suspended = service.token(&suspended).await;
    assert_eq!(service.revoke(&revoked, &revoked).await.status, StatusCode::OK);
    for (who, what) in [(&suspended, "suspend"), (&back, "suspend"), (&back, "reactivate")] {
        assert_eq!(service.manage(&by, who, what).await.status, StatusCode::OK);
    }
    let rotated = service.manage(&by, &agent, "credentials").await.json();
    let new = Credentials { secret: rotated["client_secret"].as_str().unwrap().to_owned(), ..agent.clone() };
    let agents = service.get("/api/v1/agents", &by).await.text;
    let keys = service.send(Method::GET, "/.well-known/jwks.json", &[], "").await.text;
    assert_eq!(service.stop().await.code, Some(0));

    let service = Service::start(&variables).await;
    assert_eq!(service.printed, [""; 0], "the admin is printed once");
    assert_eq!(service.send(Method::GET, "/.well-known/jwks.json", &[], "").await.text, keys);
    assert_eq!(service.get("/api/v1/agents", &by).await.text, agents);
    for (token, active) in [(&kept, true), (&revoked, false), (&of_suspended, false)] {
        assert_eq!(service.is_active(&by, token).await, active);
    }
    assert_eq!(service.ask_token(&agent, &[]).await.json()["error"], "invalid_client", "the old secret");
    assert_eq!(service.ask_token(&suspended, &[]).await.json()["error"], "unauthorized_client");
    service.token(&back).await;
    // Two of four were issued before.
    service.token(&new).await;
    service.token(&new).await;
    assert_eq!(service.ask_token(&new, &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(service.manage(&by, &suspended, "reactivate").await.status, StatusCode::OK);
    assert!(service.is_active(&by, &of_suspended).await);
}

#[tokio::test]
async fn without_a_directory_nothing_is_kept() {
    let service = Service::start(&[]).await;
    let (admin, token) = (service.admin(), service.token(&service.admin()).await);
    service.stop().await;
    let service = Service::start(&[]).await;
    assert_ne!(service.admin(), admin);
    assert_eq!(service.ask_token(&admin, &[]).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(service.get("/api/v1/agents", &token).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_admin_of_the_variables_is_made_once_and_never_changed() {
    let dir = Dir::new("idp-admin");
    let chosen = Credentials { id: "root".to_owned(), secret: "hush-1".to_owned() };
    let of = |who: &Credentials| {
        let variables = [("DATA_DIR", dir.path()), ("ADMIN_CLIENT_ID", &who.id), ("ADMIN_CLIENT_SECRET", &who.secret)];
        variables.map(|(name, value)| (name, value.to_owned()))
    };
    let start = async |who: &Credentials| {
        let variables = of(who);
        let service = Service::start(&variables.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
        assert_eq!(service.printed, [""; 0]);
        service
    };
    let service = start(&chosen).await;
    let by = service.token(&chosen).await;
    assert!(!service.stop().await.stderr.contains("ADMIN_CLIENT_SECRET"));

    let service = start(&chosen).await;
    let rotated = service.manage(&by, &chosen, "credentials").await.json();
    let new = Credentials { secret: rotated["client_secret"].as_str().unwrap().to_owned(), ..chosen.clone() };
    assert!(!service.stop().await.stderr.contains("ADMIN_CLIENT_SECRET"), "it is the same");

    // A secret that was rotated out does not come back with the variables that are still set.
    let service = start(&chosen).await;
    assert_eq!(service.ask_token(&chosen, &[]).await.status, StatusCode::UNAUTHORIZED);
    service.token(&new).await;
    let log = service.stop().await.stderr;
    assert!(log.contains("ADMIN_CLIENT_SECRET") && !log.contains("hush"), "{log}");

    // Whoever has locked himself out names another.
    let another = Credentials { id: "another".to_owned(), secret: "hush-2".to_owned() };
    let service = start(&another).await;
    let token = service.token(&another).await;
    assert_eq!(service.get("/api/v1/agents", &token).await.json()["agents"].as_array().unwrap().len(), 2);
    service.stop().await;

    let named = Service::start(&[("DATA_DIR", dir.path()), ("ADMIN_CLIENT_ID", "third")]).await;
    assert_eq!(named.admin().id, "third");
    named.token(&named.admin()).await;
}

#[tokio::test]
async fn one_directory_is_for_one_process() {
    let dir = Dir::new("idp-two");
    let mut service = Service::start(&[("DATA_DIR", dir.path())]).await;
    let error = refused(&[("DATA_DIR", dir.path()), ("PORT", "0")]).await;
    assert!(error.contains("DATA_DIR=") && error.contains("another process"), "{error}");
    let admin = service.admin();
    service.token(&admin).await;
    // The next one may as soon as it has gone, however it went.
    service.kill().await;
    Service::start(&[("DATA_DIR", dir.path())]).await.token(&admin).await;
}

#[tokio::test]
async fn what_is_kept_is_for_nobody_else_to_read_and_holds_no_secret() {
    let dir = Dir::new("idp-private");
    let variables = [("DATA_DIR", dir.path()), ("ADMIN_CLIENT_ID", "root"), ("ADMIN_CLIENT_SECRET", "hush-a-by-baby")];
    let service = Service::start(&variables).await;
    let admin = Credentials { id: "root".to_owned(), secret: "hush-a-by-baby".to_owned() };
    let token = service.token(&admin).await;
    let agent = service.create(&token, &["agents:read"]).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path().as_ref()), 0o700);
    service.stop().await;
    let mut files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let (file, None) = (files.next().unwrap(), files.next()) else { panic!("one file") };
    assert_eq!(mode(&file), 0o600);
    let bytes = fs::read(&file).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has(&agent.id), "the test looks at the wrong thing");
    for secret in [&admin.secret, &agent.secret, &token] {
        assert!(!has(secret));
    }
    // Also where somebody has opened it to all.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let _service = Service::start(&variables).await;
    assert_eq!(mode(&file), 0o600);
}

#[tokio::test]
async fn a_bad_configuration_is_an_error_that_names_it() {
    let file = File::new("idp-not-a-dir", "x");
    let inside = format!("{}/data", file.path());
    let rows: [Refusal<'_>; 9] = [
        (&[("PORT", "http")], &["PORT", "http"]),
        (&[("MONTHLY_LIMIT", "many")], &["MONTHLY_LIMIT", "many"]),
        (&[("MONTHLY_LIMIT", "0")], &["MONTHLY_LIMIT", "0"]),
        (&[("MONTHLY_LIMIT", "-1")], &["MONTHLY_LIMIT", "-1"]),
        (&[("ADMIN_CLIENT_SECRET", "hush")], &["ADMIN_CLIENT_SECRET", "ADMIN_CLIENT_ID"]),
        (&[("ADMIN_CLIENT_ID", "a\nb")], &["ADMIN_CLIENT_ID=\"a\\nb\""]),
        (&[("ADMIN_CLIENT_ID", "\u{e9}")], &["ADMIN_CLIENT_ID"]),
        (&[("DATA_DIR", file.path())], &["DATA_DIR", file.path()]),
        (&[("DATA_DIR", &inside)], &["DATA_DIR", &inside]),
    ];
    for (variables, named) in rows {
        let error = refused(&[&[("PORT", "0")], variables].concat()).await;
        assert!(named.iter().all(|name| error.contains(name)), "{variables:?}: {error}");
    }
    // A port that is taken: nobody is shown a secret of a service that is not there.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert!(refused(&[("PORT", &port)]).await.contains(&port));
}

#[tokio::test]
async fn a_file_that_is_damaged_or_is_none_of_ours_is_an_error_and_no_fresh_start() {
    let dir = Dir::new("idp-damaged");
    let variables = [("DATA_DIR", dir.path())];
    let service = Service::start(&variables).await;
    let by = service.token(&service.admin()).await;
    for _ in 0..20 {
        service.create(&by, &["agents:read"]).await;
    }
    service.stop().await;
    let path = Path::new(dir.path()).join("agent_idp.redb");
    let good = fs::read(&path).unwrap();
    let mut scribbled = good.clone();
    // Everything but the head, which says where the rest is.
    scribbled[4096..].iter_mut().for_each(|byte| *byte ^= 0x55);
    for (what, bytes) in [("text", &b"hello, world"[..]), ("scribbled", &scribbled), ("cut", &good[..good.len() / 2])] {
        fs::write(&path, bytes).unwrap();
        let error = refused(&[("DATA_DIR", dir.path()), ("PORT", "0")]).await;
        assert!(error.contains(dir.path()), "{what}: {error}");
    }
    fs::write(&path, good).unwrap();
    let service = Service::start(&variables).await;
    assert_eq!(service.get("/api/v1/agents", &by).await.json()["agents"].as_array().map(Vec::len), Some(21));
    assert_eq!(service.introspect(&by, &by).await["active"], json!(true));
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_promised() {
    let dir = Dir::new("idp-full");
    let variables = [("DATA_DIR", dir.path()), ("ADMIN_CLIENT_ID", "root")];
    let service = Service::start(&variables).await;
    let admin = service.admin();
    service.stop().await;
    let size = fs::metadata(Path::new(dir.path()).join("agent_idp.redb")).unwrap().len();

    // Room for a little more.
    let service = Service::start_within(size / 512 + 64, &variables).await;
    let by = service.token(&admin).await;
    let spare = service.token(&admin).await;
    let wanted = json!({ "name": "x".repeat(200), "scopes": ["agents:read"] });
    let mut made = Vec::new();
    let refused = loop {
        let answer = service.json_by(&by, "/api/v1/agents", &wanted).await;
        if answer.status != StatusCode::CREATED {
            break answer;
        }
        made.push(answer.json()["agentId"].as_str().unwrap().to_owned());
        assert!(made.len() < 20_000, "there is no end of room");
    };
    let unavailable = (StatusCode::SERVICE_UNAVAILABLE, json!("temporarily_unavailable"));
    let said = |answer: &Answer| (answer.status, answer.json()["error"].clone());
    assert_eq!(said(&refused), unavailable);
    assert_eq!(said(&service.ask_token(&admin, &[]).await), unavailable);
    assert_eq!(said(&service.manage(&by, &admin, "credentials").await), unavailable);
    assert_eq!(service.send(Method::GET, "/healthz", &[], "").await.status, StatusCode::SERVICE_UNAVAILABLE);
    // The effect is there, for as long as the process is; that it lasts is not promised.
    assert_eq!(said(&service.revoke(&by, &spare).await), unavailable);
    assert!(!service.is_active(&by, &spare).await);
    assert!(service.stop().await.stderr.contains("nothing is written down any more"));

    let service = Service::start(&variables).await;
    let token = service.token(&admin).await;
    let listed = service.get("/api/v1/agents", &token).await.json();
    let listed: Vec<_> =
        listed["agents"].as_array().unwrap().iter().map(|agent| agent["agentId"].as_str().unwrap()).collect();
    assert!(made.len() > 1 && made.iter().all(|id| listed.contains(&id.as_str())), "{} were made", made.len());
}
