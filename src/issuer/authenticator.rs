//! A request's headers and form → the same, with the proof of who we are.

use std::fmt;

use http::{HeaderMap, HeaderValue, header};

use super::{
    ClientAuthentication, ClientAuthenticationError, Endpoint, Environment, PrivateKey, authentication,
    form::{Form, encoded},
    own_token::{OwnBearer, OwnToken},
    token_request::{ClientError, SharedError, TokenRequest},
};
use crate::{
    clock::UnixTime,
    crypto::{Sha256, base64url},
};

/// The running form of a [`ClientAuthentication`]. What it does in the background ends with it.
pub(crate) struct Authenticator {
    kind: Kind,
    environment: Environment,
    /// As which client, where we know.
    client_id: Option<Box<str>>,
    description: String,
    fingerprint: String,
}

enum Kind {
    Direct(Method),
    Own(OwnToken),
}

/// What needs nobody's help.
pub(super) enum Method {
    /// Nothing at all.
    Nothing,
    /// `Authorization`, always the same.
    Header(HeaderValue),
    Post {
        client_id: String,
        secret: String,
    },
    Assertion {
        client_id: String,
        key: PrivateKey,
        audience: Option<Box<str>>,
        token_type: &'static str,
    },
}

/// What was sent as proof, for the case that it is refused.
#[must_use]
pub(crate) struct Shown(Option<OwnBearer>);

impl Authenticator {
    /// Reads the configuration; nobody is asked yet. `issuer` is whom we speak with, as far as that is known.
    pub(crate) fn start(
        authentication: &ClientAuthentication,
        issuer: Option<&str>,
        environment: &Environment,
    ) -> Result<Self, ClientAuthenticationError> {
        authentication.check()?;
        let kind = match &authentication.method {
            authentication::Method::ClientCredentials(credentials) => {
                let request = TokenRequest::start(credentials, issuer, environment)?;
                Kind::Own(OwnToken::new(request, environment.clock.clone()))
            }
            _ => Kind::Direct(Method::prepare(authentication, issuer)?),
        };
        Ok(Self {
            kind,
            environment: environment.clone(),
            client_id: authentication.client_id().map(Into::into),
            description: format!("{authentication:?}"),
            fingerprint: base64url::encode(&authentication.add_to(Sha256::new()).finish()),
        })
    }

    /// What tells this client from others, and says nothing else; the same in every process.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// As which client we speak, where we know.
    pub(crate) fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Adds the proof to a request for `endpoint`. Waits only for a token of our own.
    pub(crate) async fn authenticate(
        &self,
        headers: &mut HeaderMap,
        form: &mut Form,
        endpoint: &Endpoint,
    ) -> Result<Shown, SharedError> {
        match &self.kind {
            Kind::Direct(method) => {
                method.apply(headers, form, endpoint, self.environment.clock.now().wall())?;
                Ok(Shown(None))
            }
            Kind::Own(token) => {
                let bearer = token.get().await?;
                headers.insert(header::AUTHORIZATION, bearer.header().clone());
                Ok(Shown(Some(bearer)))
            }
        }
    }

    /// The endpoint answered 401 to this proof. Whether there is, or will be, another one to try.
    pub(crate) fn refused(&self, shown: &Shown) -> bool {
        match (&self.kind, &shown.0) {
            (Kind::Own(token), Some(bearer)) => token.refused(bearer),
            _ => false,
        }
    }
}

impl Method {
    /// What a configuration other than that of a token of our own comes to.
    pub(super) fn prepare(
        authentication: &ClientAuthentication,
        issuer: Option<&str>,
    ) -> Result<Self, ClientAuthenticationError> {
        use authentication::Method as Configured;
        Ok(match &authentication.method {
            Configured::Basic { client_id, secret, is_encoded: true } => {
                Self::basic(&format!("{}:{}", encoded(client_id), encoded(secret)))?
            }
            Configured::Basic { client_id, secret, is_encoded: false } => {
                Self::basic(&format!("{client_id}:{secret}"))?
            }
            Configured::Post { client_id, secret } => {
                Self::Post { client_id: client_id.clone(), secret: secret.clone() }
            }
            Configured::PrivateKeyJwt { client_id, key } => Self::Assertion {
                client_id: client_id.clone(),
                key: key.clone(),
                audience: authentication.audience.clone().or_else(|| issuer.map(Into::into)),
                token_type: if authentication.has_explicit_type { "client-authentication+jwt" } else { "JWT" },
            },
            Configured::Bearer(token) => Self::header(format!("Bearer {token}"))?,
            Configured::None => Self::Nothing,
            Configured::ClientCredentials(_) => {
                return Err(ClientAuthenticationError::NotForTokenEndpoint(authentication.name()));
            }
        })
    }

    fn basic(joined: &str) -> Result<Self, ClientAuthenticationError> {
        Self::header(format!("Basic {}", base64url::encode_standard(joined.as_bytes())))
    }

    fn header(text: String) -> Result<Self, ClientAuthenticationError> {
        let mut value = HeaderValue::try_from(text).map_err(|_| ClientAuthenticationError::Bearer)?;
        value.set_sensitive(true);
        Ok(Self::Header(value))
    }

    pub(super) fn apply(
        &self,
        headers: &mut HeaderMap,
        form: &mut Form,
        endpoint: &Endpoint,
        now: UnixTime,
    ) -> Result<(), ClientError> {
        match self {
            Self::Nothing => {}
            Self::Header(value) => {
                headers.insert(header::AUTHORIZATION, value.clone());
            }
            Self::Post { client_id, secret } => {
                form.push("client_id", client_id.as_str());
                form.push("client_secret", secret.as_str());
            }
            Self::Assertion { client_id, key, audience, token_type } => {
                let audience = audience.as_deref().unwrap_or(endpoint.as_str());
                let assertion = key.assertion(client_id, audience, token_type, now).ok_or(ClientError::Signing)?;
                form.push("client_id", client_id.as_str());
                form.push("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                form.push("client_assertion", assertion);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}

#[cfg(test)]
mod tests;
