//! A request to an endpoint → its form, and the client that sent it, if it proves to be one.

use std::collections::HashMap;

use base64_simd::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use serde_json::Value;
use url::form_urlencoded;

use super::{
    endpoints::Refusal,
    state::{Client, Core},
};
use crate::crypto::base64url;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Core {
    /// The client that authenticates itself, in exactly one of three ways (RFC 6749 §2.3.1, RFC 7523 §2.2).
    pub(super) fn client(&self, request: &Request<Bytes>, form: &Form) -> Result<String, Refusal> {
        let basic = request.headers().get(header::AUTHORIZATION).map(basic_credentials);
        let (id, secret) = match (basic, form.get("client_secret"), form.get("client_assertion")) {
            (Some(basic), None, None) => basic.ok_or(Refusal::invalid_client("malformed Basic credentials"))?,
            (None, Some(secret), None) => {
                let id = form.get("client_id").ok_or(Refusal::invalid_client("no client_id"))?;
                (id.to_owned(), secret.to_owned())
            }
            (None, None, Some(assertion)) => {
                let is_known = form.get("client_assertion_type") == Some(ASSERTION_TYPE);
                let client = if is_known { self.client_of_assertion(request, form, assertion) } else { None };
                return client.ok_or(Refusal::invalid_client("not an assertion of a known client"));
            }
            (None, None, None) => return Err(Refusal::invalid_client("no client authentication")),
            _ => return Err(Refusal::invalid_request("authenticated in two ways")),
        };
        let known =
            matches!(self.state().clients.get(&id), Some(Client::Secret { secret: known, .. }) if *known == secret);
        if known { Ok(id) } else { Err(Refusal::invalid_client("unknown client, or not its secret")) }
    }

    /// RFC 7523 §3: signed by the client's key, meant for us, lasting a little, and never seen before.
    fn client_of_assertion(&self, request: &Request<Bytes>, form: &Form, assertion: &str) -> Option<String> {
        let (signed, signature) = assertion.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let part = |text: &str| serde_json::from_slice::<Value>(&base64url::decode(text.as_bytes())?).ok();
        let (header, claims) = (part(header)?, part(payload)?);
        let id = claims["iss"].as_str()?;
        let now = self.now().as_secs();
        let asked = request.uri().to_string();
        let for_us = claims["aud"] == self.url() || claims["aud"] == self.place("/token") || claims["aud"] == asked;
        let lasts = claims["exp"].as_u64().is_some_and(|exp| (now + 1..=now + 300).contains(&exp));
        let has_begun = claims["iat"].as_u64().is_some_and(|iat| iat <= now);
        let typed = header["typ"] == "JWT" || header["typ"] == "client-authentication+jwt";
        let is_same = claims["sub"] == id && form.get("client_id").is_none_or(|named| named == id);
        let mut state = self.state();
        let Some(Client::Key { key, .. }) = state.clients.get(id) else { return None };
        let named = header.get("kid").is_none_or(|kid| kid == key.key_id());
        let verifies = header["alg"] == key.algorithm().name()
            && key.verifies(signed.as_bytes(), &base64url::decode(signature.as_bytes())?);
        let is_good = for_us && lasts && has_begun && typed && is_same && named && verifies;
        let is_new = is_good && state.assertions.insert(claims["jti"].as_str()?.to_owned());
        is_new.then(|| id.to_owned())
    }

    /// The client whose Bearer of ours, with that scope, the request carries.
    pub(super) fn bearer(&self, headers: &HeaderMap, scope: &str) -> Result<String, Refusal> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let claims = bearer.and_then(|token| self.claims_if_active(token));
        let claims = claims.ok_or(Refusal::new("invalid_token", "no valid Bearer"))?;
        let granted = claims["scope"].as_str().unwrap_or_default();
        let is_granted = granted.split(' ').any(|granted| granted == scope);
        let client = claims["client_id"].as_str().unwrap_or_default().to_owned();
        if is_granted { Ok(client) } else { Err(Refusal::new("insufficient_scope", "the Bearer lacks a scope")) }
    }
}

/// The parameters of a form, each at most once, none empty (RFC 6749 §3.2).
pub(super) struct Form(HashMap<String, String>);

impl Form {
    pub(super) fn read(request: &Request<Bytes>) -> Result<Self, Refusal> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|text| text.split(';').next()).map(|text| text.trim().to_ascii_lowercase());
        if essence.as_deref() != Some("application/x-www-form-urlencoded") {
            return Err(Refusal::invalid_request("not a form"));
        }
        let mut form = HashMap::new();
        for (name, value) in form_urlencoded::parse(request.body()).into_owned() {
            if !value.is_empty() && form.insert(name, value).is_some() {
                return Err(Refusal::invalid_request("a repeated parameter"));
            }
        }
        Ok(Self(form))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The id and secret of RFC 6749 §2.3.1: form-encoded each, then joined, then base64.
fn basic_credentials(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(STANDARD.decode_to_vec(encoded.trim()).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    let decoded = |text: &str| {
        let pair = format!("={text}");
        form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    Some((decoded(id)?, decoded(secret)?))
}
