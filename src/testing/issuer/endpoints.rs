//! One request → one answer of an authorization server in good health.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{
    clients::Form,
    faults::Target,
    state::{Core, State},
};
use crate::crypto::{Algorithm, base64url};

/// What a client accepts that wants its answers signed.
const SIGNED: &str = "application/token-introspection+jwt";

/// An error answer of RFC 6749 §5.2.
pub(super) struct Refusal {
    code: &'static str,
    description: &'static str,
}

impl Refusal {
    pub(super) const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }

    pub(super) const fn invalid_request(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    pub(super) const fn invalid_client(description: &'static str) -> Self {
        Self::new("invalid_client", description)
    }

    fn into_response(self) -> Response<Bytes> {
        let mut response = json(&json!({ "error": self.code, "error_description": self.description }));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let (status, challenge) = match self.code {
            "invalid_client" => (StatusCode::UNAUTHORIZED, "Basic realm=\"test issuer\""),
            "invalid_token" => (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\""),
            "insufficient_scope" => (StatusCode::FORBIDDEN, "Bearer error=\"insufficient_scope\""),
            _ => return response,
        };
        *response.status_mut() = status;
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        response
    }
}

impl Core {
    /// The whole authorization server: reads and changes its state, waits for nothing.
    pub(super) fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let Some(target) = self.target(request.uri().path()) else {
            return empty(StatusCode::NOT_FOUND);
        };
        let method = if matches!(target, Target::Metadata | Target::Jwks) { Method::GET } else { Method::POST };
        if request.method() != method {
            let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
            let allow = HeaderValue::from_static(if method == Method::GET { "GET" } else { "POST" });
            response.headers_mut().insert(header::ALLOW, allow);
            return response;
        }
        let answer = match target {
            Target::Metadata => return json(&self.metadata()),
            Target::Jwks => return self.jwks(request.headers()),
            Target::Token => self.grant(request),
            Target::Introspection => self.introspect(request),
            Target::Revocation => self.revoke(request),
            Target::All => return empty(StatusCode::NOT_FOUND),
        };
        let mut response = answer.unwrap_or_else(Refusal::into_response);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// RFC 8414 §2.
    fn metadata(&self) -> Value {
        let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
        let published = || {
            json!({
                "issuer": self.url(),
                "jwks_uri": self.place("/jwks"),
                "token_endpoint": self.place("/token"),
                "introspection_endpoint": self.place("/introspect"),
                "revocation_endpoint": self.place("/revoke"),
                "response_types_supported": [],
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": methods,
                "introspection_endpoint_auth_methods_supported": methods,
                "revocation_endpoint_auth_methods_supported": methods,
            })
        };
        self.state().metadata.clone().unwrap_or_else(published)
    }

    fn jwks(&self, headers: &HeaderMap) -> Response<Bytes> {
        let state = self.state();
        let mut response = json(&state.jwks());
        let mut hasher = DefaultHasher::new();
        response.body().hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());

        let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|list| list.split(',')).map(str::trim);
        if known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag) {
            response = empty(StatusCode::NOT_MODIFIED);
        }
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        if let Some(value) = &state.cache_control {
            response.headers_mut().insert(header::CACHE_CONTROL, value.clone());
        }
        response
    }

    /// RFC 6749 §4.4.2.
    fn grant(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let form = Form::read(request)?;
        let client = self.client(request, &form)?;
        match form.get("grant_type") {
            Some("client_credentials") => {}
            Some(_) => return Err(Refusal::new("unsupported_grant_type", "only client_credentials")),
            None => return Err(Refusal::invalid_request("no grant_type")),
        }
        let allowed = self.state().clients.get(&client).map(|known| known.scopes().to_vec()).unwrap_or_default();
        let granted: Vec<String> = match form.get("scope") {
            Some(asked) => asked.split(' ').map(str::to_owned).collect(),
            None => allowed.clone(),
        };
        if !granted.iter().all(|scope| allowed.contains(scope)) {
            return Err(Refusal::new("invalid_scope", "more than this client may ask for"));
        }
        // RFC 9068 §2.2: where no resource owner is involved, `sub` is the client.
        let mut token = self.token().subject(client.as_str()).client_id(client);
        if !granted.is_empty() {
            token = token.scopes(&granted);
        }
        let lifetime = self.state().token_lifetime;
        Ok(json(&json!({
            "access_token": token.expires_in(lifetime).build(), "token_type": "Bearer",
            "expires_in": lifetime.as_secs(),
            "scope": granted.join(" "),
        })))
    }

    /// RFC 7662 §2; signed where the client asks for that (RFC 9701 §4).
    fn introspect(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let form = Form::read(request)?;
        let protection = self.state().introspection_scope.clone();
        let client = match protection {
            Some(scope) => self.bearer(request.headers(), &scope)?,
            None => self.client(request, &form)?,
        };
        let token = form.get("token").ok_or(Refusal::invalid_request("no token"))?;
        let claims = self.claims_if_active(token).unwrap_or_else(|| json!({ "active": false }));
        if request.headers().get(header::ACCEPT).is_none_or(|accept| accept != SIGNED) {
            return Ok(json(&claims));
        }
        let signed = self.token().token_type("token-introspection+jwt").audience(client);
        let signed = ["sub", "client_id", "exp", "jti"].into_iter().fold(signed, super::TokenBuilder::without_claim);
        let mut response = Response::new(Bytes::from(signed.claim("token_introspection", claims).build()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SIGNED));
        Ok(response)
    }

    pub(super) fn claims_if_active(&self, token: &str) -> Option<Value> {
        let (state, now) = (self.state(), self.now().as_secs());
        if state.revoked.contains(token) {
            return None;
        }
        let mut claims = state.opaque.get(token).cloned().or_else(|| state.claims_of_own(token))?;
        let lasts = claims.get("exp")?.as_u64()? > now;
        let begun = claims.get("nbf").is_none_or(|nbf| nbf.as_u64().is_some_and(|nbf| nbf <= now));
        if !lasts || !begun || claims.get("iss")? != self.url() {
            return None;
        }
        let members = claims.as_object_mut()?;
        members.insert("active".into(), true.into());
        members.insert("token_type".into(), "Bearer".into());
        Some(claims)
    }

    /// RFC 7009 §2: an unknown token is no error.
    fn revoke(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let form = Form::read(request)?;
        self.client(request, &form)?;
        let token = form.get("token").ok_or(Refusal::invalid_request("no token"))?;
        self.state().revoked.insert(token.to_owned());
        Ok(empty(StatusCode::OK))
    }
}

impl State {
    /// The claims of a JWT that one of our keys signed.
    fn claims_of_own(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let part = |text: &str| serde_json::from_slice::<Value>(&base64url::decode(text.as_bytes())?).ok();
        let algorithm = Algorithm::from_name(part(header)?.get("alg")?.as_str()?)?;
        let signature = base64url::decode(signature.as_bytes())?;
        let mut keys = self.signers.iter().filter(|key| key.algorithm() == algorithm);
        keys.any(|key| key.verifies(signed.as_bytes(), &signature)).then(|| part(payload))?
    }
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn json(value: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(value.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
