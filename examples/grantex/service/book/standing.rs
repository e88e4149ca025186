//! A token or a grant → how it stands; a page token → the next page of everything that was taken back.

use std::{ops::Bound, sync::Arc};

use base64_simd::URL_SAFE_NO_PAD;
use portcullis::clock::UnixTime;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    super::{
        feed::{Action, Entry},
        time::iso,
    },
    Book, Grant, Terms,
};

/// How a token or a grant stands.
#[derive(Debug)]
pub(crate) enum Standing {
    Active(Arc<Terms>),
    /// Revoked or suspended.
    Withdrawn,
    Expired,
    Unknown,
}

/// The answer of `/v1/revocations/status`. Whoever is unknown must not be let in either.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) status: &'static str,
    revoked: bool,
    grant_id: Option<String>,
    jti: Option<String>,
    pub(crate) expires_at: Option<String>,
}

/// Where a snapshot goes on: after the last name of a page. It carries the cursor of its first page along, so that
/// what happens between two pages lies behind the cursor of the last one.
pub(crate) struct PageToken {
    pub(crate) cursor: u64,
    after: After,
}

enum After {
    Grant(String),
    Token(String),
}

impl Book {
    /// How the token of that name stands.
    pub(crate) fn standing(&self, jti: &str, now: UnixTime) -> Standing {
        match self.tokens.get(jti) {
            None => Standing::Unknown,
            Some(token) if token.revoked_at.is_some() => Standing::Withdrawn,
            Some(token) => self.grant_standing(&token.terms.id, now),
        }
    }

    pub(super) fn grant_standing(&self, id: &str, now: UnixTime) -> Standing {
        match self.grants.get(id) {
            None => Standing::Unknown,
            Some(grant) if self.withdrawn(grant).is_some() => Standing::Withdrawn,
            Some(grant) if grant.terms.expires_at <= now => Standing::Expired,
            Some(grant) => Standing::Active(Arc::clone(&grant.terms)),
        }
    }

    pub(super) fn is_revoked(&self, id: &str) -> bool {
        self.grants.get(id).is_some_and(|grant| grant.revoked_at.is_some())
    }

    /// Whether a grant is revoked or suspended, and since when. It is suspended with any of its parents.
    pub(super) fn withdrawn(&self, grant: &Grant) -> Option<(Action, UnixTime)> {
        if let Some(at) = grant.revoked_at {
            return Some((Action::Revoked, at));
        }
        let mut here = Some(grant);
        while let Some(grant) = here {
            if let Some(at) = grant.suspended_at {
                return Some((Action::Suspended, at));
            }
            here = grant.terms.parent.as_ref().and_then(|parent| self.grants.get(parent));
        }
        None
    }

    /// One credential's status: of the token where `jti` is given, else of the grant.
    pub(crate) fn status(&self, grant_id: Option<&str>, jti: Option<&str>, now: UnixTime) -> Status {
        let token = jti.and_then(|jti| self.tokens.get(jti));
        let id = match jti {
            Some(_) => {
                token.map(|token| token.terms.id.as_str()).filter(|id| grant_id.is_none_or(|wanted| wanted == *id))
            }
            None => grant_id,
        };
        let grant = id.and_then(|id| self.grants.get(id));
        let status = match grant {
            None => "unknown",
            Some(_) if token.is_some_and(|token| token.revoked_at.is_some()) => "revoked",
            Some(grant) => self.word(grant, now),
        };
        Status {
            status,
            revoked: status != "active",
            grant_id: grant.map(|grant| grant.terms.id.clone()).or(grant_id.map(str::to_owned)),
            jti: jti.map(str::to_owned),
            expires_at: grant.map(|grant| iso(grant.terms.expires_at)),
        }
    }

    /// Everything that is revoked or suspended and has not expired, a page of it: grants first, then tokens.
    pub(crate) fn snapshot(
        &self,
        page: Option<PageToken>,
        limit: usize,
        now: UnixTime,
    ) -> (Vec<Entry>, u64, Option<String>) {
        let PageToken { cursor, after } =
            page.unwrap_or_else(|| PageToken { cursor: self.feed.head(), after: After::Grant(String::new()) });
        let (grants_after, tokens_after) = match after {
            After::Grant(id) => (Some(id), String::new()),
            After::Token(jti) => (None, jti),
        };
        let grants = grants_after.into_iter().flat_map(|id| {
            let rest = self.grants.range::<String, _>((Bound::Excluded(id), Bound::Unbounded));
            rest.filter(|(_, grant)| grant.terms.expires_at > now).filter_map(|(id, grant)| {
                let (action, at) = self.withdrawn(grant)?;
                let entry = Entry::new(action, id, None, grant.terms.expires_at, at);
                Some((entry, After::Grant(id.clone())))
            })
        });
        let tokens = self.tokens.range::<String, _>((Bound::Excluded(tokens_after), Bound::Unbounded));
        let tokens = tokens.filter(|(_, token)| token.terms.expires_at > now).filter_map(|(jti, token)| {
            let (terms, at) = (&token.terms, token.revoked_at?);
            let entry = Entry::new(Action::TokenRevoked, &terms.id, Some(jti), terms.expires_at, at);
            Some((entry, After::Token(jti.clone())))
        });
        let mut found: Vec<_> = grants.chain(tokens).take(limit + 1).collect();
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let next = found.last().filter(|_| !is_last).map(|(_, after)| after.encode(cursor));
        (found.into_iter().map(|(entry, _)| entry).collect(), cursor, next)
    }

    /// Grants, the newest first, of those that `wanted` likes.
    pub(crate) fn grants(&self, now: UnixTime, wanted: impl Fn(&Terms, &str) -> bool) -> Vec<Value> {
        let grants = self.grants.values().rev();
        grants
            .filter(|grant| wanted(&grant.terms, self.word(grant, now)))
            .map(|grant| self.to_json(grant, now))
            .collect()
    }

    /// One grant, as the wire has it.
    pub(crate) fn grant_json(&self, id: &str, now: UnixTime) -> Option<Value> {
        self.grants.get(id).map(|grant| self.to_json(grant, now))
    }

    fn to_json(&self, grant: &Grant, now: UnixTime) -> Value {
        let terms = &grant.terms;
        let mut json = json!({
            "id": terms.id, "grantId": terms.id, "agentId": terms.agent, "agentDid": terms.agent_did(),
            "principalId": terms.principal, "developerId": terms.developer, "scopes": terms.scopes,
            "status": self.word(grant, now), "issuedAt": iso(terms.issued_at), "expiresAt": iso(terms.expires_at),
            "delegationDepth": terms.depth(),
        });
        if let Some(at) = grant.revoked_at {
            json["revokedAt"] = iso(at).into();
        }
        if let Some(parent) = &terms.parent {
            json["parentGrantId"] = parent.as_str().into();
        }
        json
    }

    fn word(&self, grant: &Grant, now: UnixTime) -> &'static str {
        match self.withdrawn(grant) {
            Some((Action::Suspended, _)) => "suspended",
            Some(_) => "revoked",
            None if grant.terms.expires_at <= now => "expired",
            None => "active",
        }
    }
}

impl PageToken {
    /// `None` for what [`Book::snapshot`] has not written.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut parts = text.splitn(3, ':');
        let (cursor, kind, name) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?.to_owned());
        let after = match kind {
            "g" => After::Grant(name),
            "t" => After::Token(name),
            _ => return None,
        };
        Some(Self { cursor, after })
    }
}

impl After {
    fn encode(&self, cursor: u64) -> String {
        let text = match self {
            Self::Grant(id) => format!("{cursor}:g:{id}"),
            Self::Token(jti) => format!("{cursor}:t:{jti}"),
        };
        URL_SAFE_NO_PAD.encode_to_string(text)
    }
}
