//! The two token systems, each with an API that is protected from another process: issue, use, revoke.

use std::future::Future;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::{Fallible, api, child::Child};

const API_KEY: &str = "sandbox-api-key-local";
const ADMIN: [(&str, &str); 2] = [("ADMIN_CLIENT_ID", "admin"), ("ADMIN_CLIENT_SECRET", "of this measurement")];

/// A token service, and an API that accepts its tokens.
pub(crate) trait System {
    fn issue(&self) -> impl Future<Output = Fallible<Token>>;

    /// Answered when the service has revoked it.
    fn revoke(&self, token: &Token) -> impl Future<Output = Fallible<()>>;

    /// Whether the API lets it in. Any answer but 200 and 401 is an error.
    fn is_accepted(&self, token: &Token) -> impl Future<Output = Fallible<bool>>;
}

pub(crate) struct Token {
    text: String,
    /// What it is revoked by, where that is not its text.
    id: String,
}

/// AgentIdP, and `protected_api`, which introspects on every request.
pub(crate) struct AgentIdp {
    service: Child,
    api: Child,
    client: Client,
}

impl AgentIdp {
    pub(crate) async fn start() -> Fallible<Self> {
        let service = example("agent_idp", &ADMIN).await?;
        let url = |path: &str| format!("{}{path}", service.url);
        let (keys, introspection) = (url("/.well-known/jwks.json"), url("/api/v1/token/introspect"));
        let token = url("/api/v1/token");
        let [(_, id), (_, secret)] = ADMIN;
        let variables = [
            ("JWKS_URL", &*keys),
            ("ALLOW_ANY_ISSUER", "1"),
            ("ALLOW_ANY_AUDIENCE", "1"),
            ("ALGORITHMS", "RS256"),
            ("INTROSPECTION_URL", &*introspection),
            ("TOKEN_URL", &*token),
            ("INTROSPECTION_SCOPE", "tokens:read"),
            ("CLIENT_ID", id),
            ("CLIENT_SECRET", secret),
            ("STATUS_MAX_AGE", "0"),
        ];
        let api = example("protected_api", &variables).await?;
        Ok(Self { service, api, client: Client::builder().no_proxy().build()? })
    }

    async fn token(&self) -> Fallible<String> {
        let [(_, id), (_, secret)] = ADMIN;
        let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
        let request = self.client.post(format!("{}/api/v1/token", self.service.url)).form(&form);
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        text(&answer, "access_token")
    }
}

impl System for AgentIdp {
    async fn issue(&self) -> Fallible<Token> {
        let text = self.token().await?;
        Ok(Token { id: text.clone(), text })
    }

    async fn revoke(&self, token: &Token) -> Fallible<()> {
        let request = self.client.post(format!("{}/api/v1/token/revoke", self.service.url));
        // An agent may revoke its own tokens, and this one is.
        let request = request.bearer_auth(&token.text).form(&[("token", &token.id)]);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    async fn is_accepted(&self, token: &Token) -> Fallible<bool> {
        is_accepted(&self.client, &format!("{}/whoami", self.api.url), token).await
    }
}

/// Grantex, and an API of ours in another process.
pub(crate) struct Grantex {
    service: Child,
    api: Child,
    client: Client,
    agent: String,
    told_by: &'static str,
}

impl Grantex {
    /// With an API that hears of revocations in this way.
    pub(crate) async fn start(told_by: &'static str) -> Fallible<Self> {
        let service = example("grantex", &[("API_KEY", API_KEY)]).await?;
        let api = Child::ourselves(&[api::ROLE, told_by, &service.url, API_KEY]).await?;
        let client = Client::builder().no_proxy().build()?;
        let mut system = Self { service, api, client, agent: String::new(), told_by };
        let agent = json!({"name": "latency", "description": "measures", "scopes": ["calendar:read"]});
        system.agent = text(&system.ask(Method::POST, "/v1/agents", agent).await?, "agentId")?;
        Ok(system)
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Fallible<Value> {
        let request = self.client.request(method, format!("{}{path}", self.service.url)).bearer_auth(API_KEY);
        let answer = request.json(&body).send().await?.error_for_status()?.bytes().await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }
}

impl System for Grantex {
    async fn issue(&self) -> Fallible<Token> {
        let wanted = json!({"agentId": self.agent, "principalId": "user-1", "scopes": ["calendar:read"], "audience": api::AUDIENCE});
        let code = text(&self.ask(Method::POST, "/v1/authorize", wanted).await?, "code")?;
        let code = json!({"agentId": self.agent, "code": code});
        let answer = self.ask(Method::POST, "/v1/token", code).await?;
        Ok(Token { text: text(&answer, "grantToken")?, id: text(&answer, "grantId")? })
    }

    /// The whole grant: no webhook tells of a single token.
    async fn revoke(&self, token: &Token) -> Fallible<()> {
        self.ask(Method::DELETE, &format!("/v1/grants/{}", token.id), Value::Null).await?;
        Ok(())
    }

    async fn is_accepted(&self, token: &Token) -> Fallible<bool> {
        let accepted = is_accepted(&self.client, &format!("{}/calendar/events", self.api.url), token).await;
        accepted.map_err(|error| format!("{}: {error}", self.told_by).into())
    }
}

/// The example of this name, as it was built beside us.
async fn example(name: &str, variables: &[(&str, &str)]) -> Fallible<Child> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        return Err(format!("{name} is not built: cargo build --release --examples").into());
    }
    let variables: Vec<_> = variables.iter().copied().chain([("PORT", "0")]).collect();
    Child::start(&path, &[], &variables).await
}

async fn is_accepted(client: &Client, url: &str, token: &Token) -> Fallible<bool> {
    match client.get(url).bearer_auth(&token.text).send().await?.status() {
        StatusCode::OK => Ok(true),
        StatusCode::UNAUTHORIZED => Ok(false),
        status => Err(format!("the API answered {status}").into()),
    }
}

fn text(answer: &Value, member: &str) -> Fallible<String> {
    Ok(answer.get(member).and_then(Value::as_str).ok_or_else(|| format!("no {member} in an answer"))?.to_owned())
}
