//! A user's consent → a code → a grant and its first token; a refresh token → the next; a token → one for a sub-agent.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::StatusCode;
use base64_simd::URL_SAFE_NO_PAD;
use portcullis::clock::UnixTime;
use serde_json::json;

use super::{
    super::{answers::Refusal, claims::Minted, ids, time::iso},
    Book, Event, Grant, Standing, Terms, Token,
};

/// A code has to be exchanged within this.
const REQUEST_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A refresh token lives no longer, nor longer than its grant.
const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// For how long a lost answer can be had again.
const REPLAY: Duration = Duration::from_secs(300);

/// How often a grant may be delegated onwards.
const MAX_DEPTH: usize = 3;

/// What an agent asks a user for.
pub(crate) struct Wanted {
    pub(crate) agent: String,
    pub(crate) principal: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) lifetime: Duration,
    pub(crate) audience: Option<String>,
    pub(crate) redirect_uri: Option<String>,
    /// PKCE's S256 (RFC 7636 §4.2).
    pub(crate) challenge: Option<String>,
}

/// A request that the user, whom the sandbox plays, has said yes to.
pub(super) struct Request {
    wanted: Wanted,
    pub(super) expires_at: UnixTime,
    is_consumed: bool,
}

/// What an agent is told of its request.
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) expires_at: UnixTime,
}

/// What an agent brings to have a code exchanged.
pub(crate) struct Exchange<'e> {
    pub(crate) code: &'e str,
    pub(crate) agent: &'e str,
    pub(crate) verifier: Option<&'e str>,
    /// `None`: this generation does not compare them.
    pub(crate) redirect_uri: Option<Option<&'e str>>,
}

/// A new token and the refresh token that goes with it.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) terms: Arc<Terms>,
    pub(crate) token: Minted,
    pub(crate) refresh_token: String,
}

pub(super) struct RefreshToken {
    pub(super) terms: Arc<Terms>,
    expires_at: UnixTime,
    used: Option<Used>,
}

/// When it was used, what came of it, and the digest of the key by which that answer can be had again.
struct Used {
    at: UnixTime,
    answer: Issued,
    key: Option<[u8; 32]>,
}

impl Book {
    /// A request is approved as soon as it is made: with a sandbox key there is no user to wait for.
    pub(crate) fn authorize(&mut self, wanted: Wanted, now: UnixTime) -> Result<Asked, Refusal> {
        if !self.agents.contains_key(&wanted.agent) {
            return Err(Refusal::not_found("Agent not found"));
        }
        let (id, code, expires_at) = (ids::new("areq_", now), ids::ulid(now), now.saturating_add(REQUEST_LIFETIME));
        self.requests.insert(code.clone(), Request { wanted, expires_at, is_consumed: false });
        Ok(Asked { id, code, expires_at })
    }

    /// A code, once, → a grant.
    pub(crate) fn exchange(&mut self, by: &Exchange<'_>, now: UnixTime) -> Result<(Issued, [Event; 2]), Refusal> {
        let request = self.requests.get_mut(by.code).filter(|request| request.wanted.agent == by.agent);
        let request = request.ok_or(Refusal::bad_request("Invalid code"))?;
        if request.is_consumed {
            return Err(Refusal::bad_request("Auth request not approved"));
        }
        if request.expires_at <= now {
            return Err(Refusal::bad_request("Auth request expired"));
        }
        let wanted = &request.wanted;
        if wanted.redirect_uri.is_some() && by.redirect_uri.is_some_and(|uri| uri != wanted.redirect_uri.as_deref()) {
            let message = "redirectUri must exactly match the authorization request";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "REDIRECT_URI_MISMATCH", message));
        }
        match (&wanted.challenge, by.verifier) {
            (Some(_), None) => return Err(Refusal::bad_request("codeVerifier is required for PKCE")),
            (Some(challenge), Some(verifier)) if answers(challenge, verifier) => {}
            // A verifier for no challenge: somebody has stripped it from the request (RFC 9700 §4.8.2).
            (_, Some(_)) => return Err(Refusal::bad_request("Invalid codeVerifier")),
            (None, None) => {}
        }
        request.is_consumed = true;
        let terms = Terms {
            id: ids::new("grnt_", now),
            agent: wanted.agent.clone(),
            developer: self.developer.clone(),
            principal: wanted.principal.clone(),
            scopes: wanted.scopes.clone(),
            audience: wanted.audience.clone(),
            issued_at: now,
            expires_at: now.saturating_add(wanted.lifetime),
            parent: None,
            actors: Vec::new(),
        };
        Ok(self.grant(terms, now))
    }

    /// A token of an active grant → a grant for a sub-agent, of no more and for no longer.
    pub(crate) fn delegate(
        &mut self,
        jti: &str,
        agent: &str,
        scopes: Vec<String>,
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<(Issued, [Event; 2]), Refusal> {
        let parent = match self.standing(jti, now) {
            Standing::Active(parent) => parent,
            Standing::Withdrawn => return Err(Refusal::bad_request("Parent grant has been revoked")),
            Standing::Expired => return Err(Refusal::bad_request("Parent grant has expired")),
            Standing::Unknown => return Err(Refusal::bad_request("Invalid parentGrantToken claims")),
        };
        if parent.depth() >= MAX_DEPTH {
            let message = format!("Delegation depth limit reached: chains may not exceed {MAX_DEPTH} hop(s)");
            return Err(Refusal::new(StatusCode::FORBIDDEN, "DELEGATION_DEPTH_EXCEEDED", message));
        }
        let beyond: Vec<_> = scopes.iter().filter(|scope| !parent.scopes.contains(scope)).map(String::as_str).collect();
        if !beyond.is_empty() {
            let message = format!("Requested scopes exceed parent grant scopes: {}", beyond.join(", "));
            return Err(Refusal::bad_request(message));
        }
        if !self.agents.contains_key(agent) {
            return Err(Refusal::not_found("Sub-agent not found"));
        }
        let actors = std::iter::once(parent.agent_did()).chain(parent.actors.iter().cloned());
        let terms = Terms {
            id: ids::new("grnt_", now),
            agent: agent.to_owned(),
            developer: self.developer.clone(),
            principal: parent.principal.clone(),
            scopes,
            audience: None,
            issued_at: now,
            expires_at: parent.expires_at.min(now.saturating_add(lifetime)),
            parent: Some(parent.id.clone()),
            actors: actors.collect(),
        };
        if let Some(parent) = self.grants.get_mut(&parent.id) {
            parent.children.push(terms.id.clone());
        }
        Ok(self.grant(terms, now))
    }

    /// A refresh token, once, → the next token of its grant. What was issued before stays good.
    ///
    /// Whoever lost the answer gets it again by the same `key`. Any other second use means that two hold the same
    /// refresh token; since nobody can tell which of them should, the one that is active ends too (RFC 9700 §4.14.2).
    /// The grant itself stands: a client that only lost an answer keeps the tokens it has.
    pub(crate) fn refresh(
        &mut self,
        refresh_token: &str,
        agent: &str,
        key: Option<&str>,
        now: UnixTime,
    ) -> Result<(Issued, Option<Event>), Refusal> {
        let invalid = || Refusal::bad_request("Invalid refresh token");
        let old = self.refresh_tokens.get(refresh_token).ok_or_else(invalid)?;
        let terms = Arc::clone(&old.terms);
        if terms.agent != agent {
            return Err(Refusal::bad_request("Agent mismatch"));
        }
        match self.grant_standing(&terms.id, now) {
            Standing::Active(_) => {}
            Standing::Withdrawn if self.is_revoked(&terms.id) => {
                return Err(Refusal::bad_request("Grant has been revoked"));
            }
            Standing::Withdrawn => return Err(Refusal::bad_request("Grant is not active")),
            Standing::Expired => return Err(Refusal::bad_request("Grant has expired")),
            Standing::Unknown => return Err(invalid()),
        }
        let key = key.map(sha256);
        let active = self.grants.get_mut(&terms.id).map(|grant| &mut grant.refresh_token);
        if let Some(used) = &old.used {
            let is_same_caller = key.is_some() && used.key == key;
            let is_active = active.as_ref().is_some_and(|active| active.as_ref() == Some(&used.answer.refresh_token));
            if is_same_caller && is_active && now.since(used.at) < REPLAY {
                return Ok((used.answer.clone(), None));
            }
            if !is_same_caller && let Some(active) = active.and_then(Option::take) {
                self.refresh_tokens.remove(&active);
            }
            return Err(Refusal::bad_request("Refresh token already used"));
        }
        if old.expires_at <= now {
            return Err(Refusal::bad_request("Refresh token expired"));
        }
        let issued = self.issue(terms, now);
        if let Some(old) = self.refresh_tokens.get_mut(refresh_token) {
            old.used = Some(Used { at: now, answer: issued.clone(), key });
        }
        let event = token_issued(&issued);
        Ok((issued, Some(event)))
    }

    fn grant(&mut self, terms: Terms, now: UnixTime) -> (Issued, [Event; 2]) {
        let terms = Arc::new(terms);
        let grant = Grant {
            terms: Arc::clone(&terms),
            revoked_at: None,
            suspended_at: None,
            children: Vec::new(),
            refresh_token: None,
        };
        self.grants.insert(terms.id.clone(), grant);
        let issued = self.issue(terms, now);
        let events = [grant_created(&issued.terms), token_issued(&issued)];
        (issued, events)
    }

    fn issue(&mut self, terms: Arc<Terms>, now: UnixTime) -> Issued {
        let issued = Issued {
            token: Minted { jti: ids::new("tok_", now), at: now },
            refresh_token: ids::new("ref_", now),
            terms: Arc::clone(&terms),
        };
        if let Some(grant) = self.grants.get_mut(&terms.id) {
            grant.refresh_token = Some(issued.refresh_token.clone());
        }
        let expires_at = terms.expires_at.min(now.saturating_add(REFRESH_LIFETIME));
        let refresh_token = RefreshToken { terms: Arc::clone(&terms), expires_at, used: None };
        self.refresh_tokens.insert(issued.refresh_token.clone(), refresh_token);
        self.tokens.insert(issued.token.jti.clone(), Token { terms, revoked_at: None });
        issued
    }
}

/// Whether this is the verifier that the challenge was made from (RFC 7636 §4.1, §4.6).
fn answers(challenge: &str, verifier: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(is_unreserved)
        && URL_SAFE_NO_PAD.encode_to_string(sha256(verifier)) == challenge
}

fn sha256(text: &str) -> [u8; 32] {
    digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap_or_default()
}

fn grant_created(terms: &Terms) -> Event {
    let mut data = json!({
        "grantId": terms.id, "agentId": terms.agent, "principalId": terms.principal,
        "scopes": terms.scopes, "expiresAt": iso(terms.expires_at),
    });
    if let Some(parent) = &terms.parent {
        data["delegationDepth"] = terms.depth().into();
        data["parentGrantId"] = parent.as_str().into();
    }
    Event { kind: "grant.created", data }
}

fn token_issued(issued: &Issued) -> Event {
    let terms = &issued.terms;
    let data = json!({
        "tokenId": issued.token.jti, "grantId": terms.id, "agentId": terms.agent, "principalId": terms.principal,
        "scopes": terms.scopes, "expiresAt": iso(terms.expires_at),
    });
    Event { kind: "token.issued", data }
}
