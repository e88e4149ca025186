//! The whole story in one process: an issuer, a protected API, and a client that walks through both.
//!
//! ```text
//! cargo run --example quickstart              # walks through it and ends
//! cargo run --example quickstart -- --serve   # and keeps serving, so that the curl lines can be tried
//! ```

use std::{error::Error, time::Duration};

use axum::{Json, Router, routing::get};
use portcullis::{
    AccessToken, Authorizer, Issuer, Requirement, RouteTable, Unlisted,
    clock::{Clock, SystemClock},
    issuer::ClientAuthentication,
    status::{Introspection, Revocation, Revocations},
    testing::{TestIssuer, TokenBuilder},
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    // 1. Somebody who issues tokens. In real life: your identity provider.
    let issuer = TestIssuer::start().await;
    issuer.register_client("demo", "demo-secret", ["agents:read", "agents:write"]);
    issuer.register_client("api", "api-secret", [""; 0]);

    // 2. What each route needs, and the authorizer that sees to it.
    let routes = RouteTable::builder()
        .get("/healthz", Requirement::public())
        // Whether the token still stands, the issuer is asked about each of these. A cached answer, the default, costs less.
        .get("/agents", Requirement::scope("agents:read").status_on_every_request())
        .post("/agents", Requirement::scope("agents:write"))
        .any("/audit/{*rest}", Requirement::any_of(["audit:read", "admin:orgs"]))
        .otherwise(Unlisted::Deny)?;
    println!("The route table:\n\n{}", indented(&routes.to_string()));
    let introspection = Introspection::discover(ClientAuthentication::basic("api", "api-secret"));
    let revocations = Revocations::new();
    let authorizer = Authorizer::builder()
        .issuer(Issuer::discover(issuer.url()).audience(TokenBuilder::AUDIENCE).introspection(introspection))
        .routes(routes)
        .revocations(revocations.clone())
        .build()?;
    authorizer.ready(Duration::from_secs(10)).await?;

    // 3. An ordinary axum service. It has no auth code; it is handed the token that passed.
    let app = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/agents", get(agents).post(agents))
        .route("/audit/{*rest}", get(agents))
        .layer(portcullis::axum::layer(authorizer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let api = format!("http://{}", listener.local_addr()?);
    let server = async { axum::serve(listener, app).await };

    // 4. A client walks through it.
    tokio::select! {
        ended = server => ended?,
        walked = walk(&issuer, &revocations, &api) => walked?,
    }
    Ok(())
}

async fn agents(token: AccessToken) -> Json<Value> {
    Json(json!({ "hello": token.subject(), "scopes": token.scopes().iter().collect::<Vec<_>>() }))
}

async fn walk(issuer: &TestIssuer, revocations: &Revocations, api: &str) -> Result<()> {
    let client = Client::new();
    let get = |path: &str| client.get(format!("{api}{path}"));

    title("Nobody may come in without a token");
    show(get("/agents"), &format!("curl -i {api}/agents")).await?;

    title("The issuer hands one out, for one scope");
    let form = [("grant_type", "client_credentials"), ("scope", "agents:read")];
    let request = client.post(issuer.token_url()).basic_auth("demo", Some("demo-secret")).form(&form);
    let curl = format!(
        "curl -s -u demo:demo-secret -d grant_type=client_credentials -d scope=agents:read {}",
        issuer.token_url()
    );
    let answer = show(request, &curl).await?;
    let token = answer["access_token"].as_str().ok_or("no access token")?.to_owned();

    title("It opens the door it was made for");
    show(get("/agents").bearer_auth(&token), &format!("curl -i {api}/agents -H \"Authorization: Bearer $TOKEN\""))
        .await?;

    title("And no other: writing needs another scope");
    let request = client.request(Method::POST, format!("{api}/agents")).bearer_auth(&token);
    show(request, &format!("curl -i -X POST {api}/agents -H \"Authorization: Bearer $TOKEN\"")).await?;

    title("A token that somebody has tampered with is worth nothing");
    let (start, end) = token.split_at(token.len() - 20);
    let forged = format!("{start}{}{}", if end.starts_with('A') { 'B' } else { 'A' }, &end[1..]);
    show(get("/agents").bearer_auth(forged), &format!("curl -i {api}/agents -H \"Authorization: Bearer $FORGED\""))
        .await?;

    title("So is one that was made for somebody else");
    let foreign = issuer.token().audience("https://other.example").scopes(["agents:read"]).build();
    show(get("/agents").bearer_auth(foreign), &format!("curl -i {api}/agents -H \"Authorization: Bearer $FOREIGN\""))
        .await?;

    title("The issuer changes its keys; nothing needs to be restarted");
    issuer.rotate();
    let fresh = issuer.token().scopes(["agents:read"]).build();
    show(get("/agents").bearer_auth(fresh), &format!("curl -i {api}/agents -H \"Authorization: Bearer $FRESH\""))
        .await?;

    title("Whether a token still stands, only its issuer knows. Whoever it trusts may ask");
    let request = client.post(issuer.introspection_url()).basic_auth("api", Some("api-secret"));
    let introspect = format!("curl -s -u api:api-secret -d token=$TOKEN {}", issuer.introspection_url());
    show(request.form(&[("token", &token)]), &introspect).await?;

    title("The client gives its token back");
    let request = client.post(issuer.revocation_url()).basic_auth("demo", Some("demo-secret"));
    let revoke = format!("curl -i -u demo:demo-secret -d token=$TOKEN {}", issuer.revocation_url());
    show(request.form(&[("token", &token)]), &revoke).await?;

    title("And is refused on the next request, although the signature is as good as ever");
    show(get("/agents").bearer_auth(&token), &format!("curl -i {api}/agents -H \"Authorization: Bearer $TOKEN\""))
        .await?;

    title("A user can be logged out everywhere by the service itself: every token issued up to now");
    let another = issuer.token().subject("mallory").scopes(["agents:read"]).build();
    let request = || get("/agents").bearer_auth(&another);
    let curl_another = format!("curl -i {api}/agents -H \"Authorization: Bearer $ANOTHER\"");
    show(request(), &curl_another).await?;
    revocations.revoke(Revocation::subject(Some(issuer.url()), "mallory", SystemClock::new().now().wall()));
    show(request(), &curl_another).await?;

    title("What the table does not list does not exist");
    show(get("/secrets").bearer_auth(&token), &format!("curl -i {api}/secrets -H \"Authorization: Bearer $TOKEN\""))
        .await?;

    if std::env::args().any(|argument| argument == "--serve") {
        println!("\nStill serving: the API at {api}, the issuer at {}. Try the lines above, with", issuer.url());
        println!("  TOKEN=$({curl} | sed 's/.*\"access_token\":\"\\([^\"]*\\).*/\\1/')");
        println!("Ctrl-C ends it.");
        tokio::signal::ctrl_c().await?;
    }
    Ok(())
}

/// Sends a request and prints both sides as a person would want to read them.
async fn show(request: RequestBuilder, curl: &str) -> Result<Value> {
    println!("  $ {curl}");
    let answer = request.send().await?;
    println!("  {}", answer.status());
    for name in ["www-authenticate", "retry-after"] {
        if let Some(value) = answer.headers().get(name) {
            println!("  {name}: {}", value.to_str()?);
        }
    }
    let text = answer.text().await?;
    println!("  {}", if text.len() > 200 { format!("{}…", &text[..200]) } else { text.clone() });
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn title(text: &str) {
    println!("\n{text}");
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
