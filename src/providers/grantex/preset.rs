//! The base URL of a Grantex server → an [`Issuer`] that accepts its tokens, of both generations, and nothing else.

use super::{Generation, GrantexClaims, GrantexConfigError, api};
use crate::{
    authorizer::{Issuer, IssuerWithoutAudience},
    crypto::Algorithm,
    keys::KeySource,
    token::{Jws, VerifiedToken},
};

/// Where the SDKs look for the server, whose tokens name [`ISSUER`].
const BASE: &str = "https://api.grantex.dev";

/// What the tokens of the server at [`BASE`] name as their issuer.
const ISSUER: &str = "https://grantex.dev";

/// A Grantex server whose tokens are accepted, once it is said whom they must be meant for.
///
/// ```
/// use portcullis::{Requirement, providers::grantex::{self, Grantex}};
///
/// let issuer = Grantex::at("https://api.grantex.dev")?.developer("dev_01ORDERS").audience("https://calendar.example");
/// # Ok::<(), grantex::GrantexConfigError>(())
/// ```
///
/// What becomes of it is an [`Issuer`] like any other, whose methods tighten it, or add who is asked whether tokens still
/// stand. It has the keys at `/.well-known/jwks.json`, the algorithms RS256 and ES256, and the claims that name a grant and
/// its parent, so that revoking either refuses the token. Tokens of both generations are accepted;
/// with [`token_type`](Issuer::token_type) `AccessTokenJwt`, those of 0.6 alone. One that lacks a claim of its generation, or
/// that contradicts itself, is refused with 401: see [`GrantexClaims`].
///
/// An agent's tokens are revoked by its grants. A [`Revocation::actor`](crate::status::Revocation::actor) finds those that were
/// passed on by that agent, where `act` names it, and not those that it holds: its `act.sub` is the *previous* actor.
///
/// A token of 0.6 that is bound to an agent's key (`cnf`) is refused: it is no Bearer.
#[derive(Clone, Debug)]
#[must_use = "say whom tokens must be meant for"]
pub struct Grantex {
    keys: String,
    issuer: Box<str>,
    developer: Option<Box<str>>,
}

impl Grantex {
    /// The server at this base URL, such as `https://api.grantex.dev`.
    ///
    /// Its tokens must name that URL as their issuer (`iss`), without a slash at its end; those of `https://api.grantex.dev`
    /// name `https://grantex.dev`.
    ///
    /// # Errors
    /// Where the URL is not `https` (or `http` on loopback), or has a query, a fragment or credentials.
    pub fn at(base_url: &str) -> Result<Self, GrantexConfigError> {
        let endpoint = api::base(base_url)?;
        let base = endpoint.as_str().trim_end_matches('/');
        Ok(Self { keys: format!("{base}/.well-known/jwks.json"), issuer: issuer_of(base).into(), developer: None })
    }

    /// Tokens must name this issuer instead, byte for byte.
    pub fn issuer(mut self, identifier: &str) -> Self {
        self.issuer = identifier.into();
        self
    }

    /// Tokens must be of agents of this developer, such as `dev_01ORDERS`.
    ///
    /// A server signs the tokens of all its developers, and tells each of them what was revoked of their own alone. Say this
    /// wherever a [feed](super::GrantexFeed) or [webhooks](super::GrantexWebhook) are relied upon: tokens of another
    /// developer would be accepted there until they expire, revoked or not.
    pub fn developer(mut self, id: &str) -> Self {
        self.developer = Some(id.into());
        self
    }

    /// Tokens must be meant for this audience (`aud`), which an agent's authorization request has to name.
    ///
    /// Servers before 0.6 do not hand `aud` on to a token that is delegated: one of those is refused then.
    #[must_use]
    pub fn audience(self, audience: &str) -> Issuer {
        self.audiences([audience])
    }

    /// Tokens must be meant for one of these audiences.
    #[must_use]
    pub fn audiences<'a>(self, audiences: impl IntoIterator<Item = &'a str>) -> Issuer {
        self.preset(|issuer| issuer.audiences(audiences))
    }

    /// Tokens that are meant for anyone, or for nobody in particular. A token that another service was sent can then be
    /// replayed here; for agents whose authorization requests name no audience.
    #[must_use]
    pub fn dangerous_any_audience(self) -> Issuer {
        self.preset(IssuerWithoutAudience::dangerous_any_audience)
    }

    fn preset(self, meant_for: impl FnOnce(IssuerWithoutAudience) -> Issuer) -> Issuer {
        let issuer = meant_for(Issuer::with_keys(&self.issuer, KeySource::url(self.keys)))
            .algorithms([Algorithm::RS256, Algorithm::ES256])
            .grant_claim("grnt")
            .grant_claim("parentGrnt")
            .grant_claim("/urn:grantex:grant/grant_id")
            .grant_claim("/urn:grantex:grant/parent_grant_id")
            .that("is whole, and consistent, as Grantex writes tokens", is_grantexs);
        let Some(developer) = self.developer else { return issuer };
        let is_of = move |token: &VerifiedToken| {
            GrantexClaims::of(token).is_ok_and(|claims| claims.developer_id() == &*developer)
        };
        issuer.that("is of the developer whose tokens are accepted", is_of)
    }
}

/// What the tokens of the server at this base URL, without a slash at its end, name as their issuer.
pub(super) fn issuer_of(base: &str) -> &str {
    if base == BASE { ISSUER } else { base }
}

/// Whether the claims are those of a generation, and the `typ` is that generation's.
fn is_grantexs(token: &VerifiedToken) -> bool {
    let Ok(claims) = GrantexClaims::of(token) else { return false };
    let is_typed = Jws::parse(token.text(), &mut Vec::new()).is_ok_and(|jws| jws.is_of_type("at+jwt"));
    is_typed == (claims.generation() == Generation::Standard)
}
