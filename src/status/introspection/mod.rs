//! An introspection endpoint, as configured → a [`StatusSource`] (RFC 7662, RFC 9701).
//!
//! What its answers mean:
//!
//! | answer | meaning |
//! |---|---|
//! | 200, a JSON object, `active` is `true`, members of the right type | active, as described |
//! | 200, a JSON object, `active` is `false` | inactive |
//! | 200 and anything else: `active` missing, repeated, `"true"`, `1`, `null`; no object; a member twice or of another type than its claim; another `Content-Type` than JSON; more than 64 KiB | malformed |
//! | 1xx, 2xx other than 200, 3xx (no redirect is followed) | malformed |
//! | 400 with `unsupported_token_type` | the server does not introspect tokens of this kind |
//! | 401, with a Bearer of our own | that is dropped, another fetched, and the question asked once more |
//! | 401, 403 | our credentials were refused |
//! | 404, 405, 410 | the server is in trouble; an endpoint that was discovered is looked up again |
//! | 408, 5xx | the server is in trouble; `Retry-After` of 503 counts |
//! | 429 | too many questions; `Retry-After` counts |
//! | 4xx otherwise | the question was refused, which says nothing about the token |
//! | none | unreachable |
//!
//! Only the first row is ever *active*. An answer without any `Content-Type` is read as JSON: what it says decides.
//! `Retry-After` counts up to five minutes. Members that are not known are ignored; `exp`, `iat` and `nbf` may have a
//! fraction.
//!
//! With [signed answers](Introspection::signed_answers), an answer of 200 is a JWT instead, and a JSON object is malformed.

mod answer;
mod running;
mod signed;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::StatusSource;
use crate::{
    issuer::{
        Authenticator, ClientAuthentication, ClientAuthenticationError, ClientEndpoint, EndpointError, Environment,
        ExtraParameters, InvalidPlace, PlaceSource, Published,
    },
    keys::Keys,
};
use running::{Inner, Running};
use signed::SignedAnswers;

/// Asks an authorization server whether a token still stands, at its introspection endpoint (RFC 7662).
///
/// ```
/// use portcullis::{issuer::{ClientAuthentication, ClientCredentials}, status::Introspection};
///
/// // Most servers: the endpoint from the issuer's metadata, a client with a secret.
/// let introspection = Introspection::discover(ClientAuthentication::basic("orders-api", "s3cret"));
///
/// // One without metadata that wants a Bearer, which is fetched and renewed.
/// let client = ClientAuthentication::post("4f7c1f0e", "s3cret");
/// let introspection = Introspection::at(
///     "https://idp.example/api/v1/token/introspect",
///     ClientAuthentication::client_credentials(
///         ClientCredentials::at("https://idp.example/api/v1/token", client).scope("tokens:read"),
///     ),
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Introspection {
    place: PlaceSource,
    authentication: ClientAuthentication,
    extra: ExtraParameters,
    has_type_hint: bool,
    signed: Option<Audience>,
}

/// Whom signed answers must be meant for.
#[derive(Clone, Debug)]
enum Audience {
    /// The client as which we ask.
    Client,
    Named(Box<str>),
}

/// Why introspection cannot work as configured; found at start-up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntrospectionError {
    /// The endpoint, or the issuer to discover it from, is not a URL that may be asked.
    #[error("not an introspection endpoint")]
    Endpoint(#[source] EndpointError),
    /// The endpoint is to be discovered, and there is no issuer.
    #[error("discovery of the introspection endpoint needs an issuer")]
    NoIssuer,
    /// How we show who we are.
    #[error("client authentication")]
    Client(#[source] ClientAuthenticationError),
    /// A parameter that the protocol itself sends, that is there twice, or has no name.
    #[error("the extra parameter {0:?} is one that the protocol sends, is there twice, or has no name")]
    Parameter(String),
    /// Signed answers that could not be judged.
    #[error("signed answers need {0}")]
    Signed(&'static str),
}

impl From<InvalidPlace> for IntrospectionError {
    fn from(place: InvalidPlace) -> Self {
        match place {
            InvalidPlace::Endpoint(error) => Self::Endpoint(error),
            InvalidPlace::NoIssuer => Self::NoIssuer,
        }
    }
}

impl Introspection {
    fn of(place: PlaceSource, authentication: ClientAuthentication) -> Self {
        Self { place, authentication, extra: ExtraParameters::default(), has_type_hint: true, signed: None }
    }

    /// The endpoint by its URL (`https`, or `http` on loopback), and how we show there who we are.
    #[must_use]
    pub fn at(url: impl Into<String>, authentication: ClientAuthentication) -> Self {
        Self::of(PlaceSource::Url(url.into()), authentication)
    }

    /// The endpoint that the issuer's metadata name: looked up with the first question, and again when it is gone.
    #[must_use]
    pub fn discover(authentication: ClientAuthentication) -> Self {
        Self::of(PlaceSource::Discovery, authentication)
    }

    /// Sends a parameter more with each question, where the server wants one.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.push(name.into(), value.into());
        self
    }

    /// Leaves out `token_type_hint=access_token`, for servers that refuse what they do not know.
    #[must_use]
    pub fn without_type_hint(mut self) -> Self {
        self.has_type_hint = false;
        self
    }

    /// Asks for answers that the issuer signs (RFC 9701), and takes no others.
    ///
    /// An answer must be signed by one of the issuer's keys, with an asymmetric algorithm; be of type
    /// `token-introspection+jwt`; name the issuer, and as its audience the client as which we ask; and have been made
    /// since we asked, give or take a minute.
    #[must_use]
    pub fn signed_answers(mut self) -> Self {
        self.signed = Some(Audience::Client);
        self
    }

    /// The same, where the issuer knows us by another name than that of the client, or we ask with a Bearer whose client
    /// is not configured.
    #[must_use]
    pub fn signed_answers_for(mut self, audience: &str) -> Self {
        self.signed = Some(Audience::Named(audience.into()));
        self
    }

    /// Reads the configuration; nobody is asked yet. `keys` are those of the issuer.
    pub(crate) fn start(
        self,
        issuer: Option<&str>,
        keys: Option<Arc<Keys>>,
        environment: &Environment,
    ) -> Result<Arc<dyn StatusSource>, IntrospectionError> {
        if let Some(name) = self.extra.misused(&["token", "token_type_hint"]) {
            return Err(IntrospectionError::Parameter(name.to_owned()));
        }
        let authenticator =
            Authenticator::start(&self.authentication, issuer, environment).map_err(IntrospectionError::Client)?;
        let signed = match self.signed {
            None => None,
            Some(audience) => {
                let audience = match audience {
                    Audience::Named(name) => Some(name),
                    Audience::Client => authenticator.client_id().map(Into::into),
                };
                Some(SignedAnswers {
                    issuer: issuer.ok_or(IntrospectionError::Signed("an issuer"))?.into(),
                    audience: audience
                        .filter(|audience| !audience.is_empty())
                        .ok_or(IntrospectionError::Signed("an audience: a client id"))?,
                    keys: keys.ok_or(IntrospectionError::Signed("the issuer's keys"))?,
                })
            }
        };
        let place = self.place.start(Published::Introspection, issuer, environment)?;
        let endpoint = ClientEndpoint::new(place, Arc::new(authenticator), environment.clone());
        let (extra, has_type_hint, clock) = (self.extra, self.has_type_hint, environment.clock.clone());
        Ok(Arc::new(Running(Arc::new(Inner { endpoint, extra, has_type_hint, signed, clock }))))
    }
}
