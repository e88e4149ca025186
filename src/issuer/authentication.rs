//! How a client shows who it is, as configured → [`ClientAuthentication`] (RFC 6749 §2.3, RFC 7523 §2.2, RFC 6750 §2.1).

use std::fmt;

use http::HeaderValue;

use super::{ClientCredentials, EndpointError, PrivateKey, place::InvalidPlace};
use crate::crypto::Sha256;

/// How we show an authorization server who we are.
///
/// ```
/// use portcullis::issuer::{ClientAuthentication, ClientCredentials};
///
/// let basic = ClientAuthentication::basic("orders-api", "s3cret");
/// // A server that wants a Bearer at its introspection endpoint, which is fetched and renewed.
/// let bearer = ClientAuthentication::client_credentials(
///     ClientCredentials::discover(basic.clone()).scope("tokens:read"),
/// );
/// assert_eq!(format!("{basic:?}"), r#"ClientAuthentication(client_secret_basic "orders-api")"#);
/// ```
#[derive(Clone)]
pub struct ClientAuthentication {
    pub(super) method: Method,
    pub(super) audience: Option<Box<str>>,
    pub(super) has_explicit_type: bool,
}

#[derive(Clone)]
pub(super) enum Method {
    Basic { client_id: String, secret: String, is_encoded: bool },
    Post { client_id: String, secret: String },
    PrivateKeyJwt { client_id: String, key: PrivateKey },
    Bearer(String),
    ClientCredentials(Box<ClientCredentials>),
    None,
}

/// Why a client cannot show who it is as configured; found at start-up. Never quotes a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientAuthenticationError {
    /// A client without a name.
    #[error("the client id is empty")]
    EmptyClientId,
    /// A secret of no characters: the variable or file it was read from is empty.
    #[error("the secret of client {0:?} is empty")]
    EmptySecret(String),
    /// A line break or another control character: a secret read from a file often ends in one.
    #[error("the {of} of client {client_id:?} contains a control character, such as a line break")]
    ControlCharacter {
        /// The client.
        client_id: String,
        /// `id` or `secret`.
        of: &'static str,
    },
    /// Without form encoding, the first colon ends the client id.
    #[error("the client id {0:?} contains a colon, which Basic credentials cannot carry unencoded")]
    Colon(String),
    /// Not the characters of a Bearer token (RFC 6750 §2.1).
    #[error("the configured Bearer is empty, or contains what a token cannot")]
    Bearer,
    /// Assertions for nobody.
    #[error("the audience of client assertions is empty")]
    EmptyAudience,
    /// An audience or a type of assertions, and a method that sends none.
    #[error("{0} sends no client assertions, whose audience or type is configured")]
    NoAssertions(&'static str),
    /// The token endpoint knows clients by a secret or a key alone (RFC 6749 §4.4).
    #[error("{0} cannot be used at a token endpoint to get a token with")]
    NotForTokenEndpoint(&'static str),
    /// The token endpoint's URL, or the issuer to discover it from, is not a URL that may be asked.
    #[error("not a token endpoint")]
    Endpoint(#[source] EndpointError),
    /// The token endpoint is to be discovered, and there is no issuer.
    #[error("discovery of the token endpoint needs an issuer")]
    NoIssuer,
    /// Not a list of scopes (RFC 6749 §3.3).
    #[error("{0:?} is not a scope to ask for")]
    Scope(String),
    /// A parameter that the protocol itself sends, that is there twice, or has no name.
    #[error("the extra parameter {0:?} is one that the protocol sends, is there twice, or has no name")]
    Parameter(String),
    /// A token that is to be shared, and nothing that it could be sealed with.
    #[error("to share a token, the client needs a secret of 32 characters or more, or another one to seal it with")]
    Sealing,
    /// A secret to seal with, and nobody to share with.
    #[error("a secret to seal a token with that is not shared")]
    NotShared,
}

impl From<InvalidPlace> for ClientAuthenticationError {
    fn from(place: InvalidPlace) -> Self {
        match place {
            InvalidPlace::Endpoint(error) => Self::Endpoint(error),
            InvalidPlace::NoIssuer => Self::NoIssuer,
        }
    }
}

impl ClientAuthentication {
    const fn of(method: Method) -> Self {
        Self { method, audience: None, has_explicit_type: false }
    }

    /// HTTP Basic, with id and secret form-encoded as RFC 6749 §2.3.1 says (`client_secret_basic`).
    #[must_use]
    pub fn basic(client_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::of(Method::Basic { client_id: client_id.into(), secret: secret.into(), is_encoded: true })
    }

    /// HTTP Basic without that encoding, for servers that do not decode. It matters where the id or the secret holds
    /// other characters than letters, digits, `-`, `.`, `_` and `*`.
    #[must_use]
    pub fn basic_unencoded(client_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::of(Method::Basic { client_id: client_id.into(), secret: secret.into(), is_encoded: false })
    }

    /// Id and secret in the body of the request (`client_secret_post`).
    #[must_use]
    pub fn post(client_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::of(Method::Post { client_id: client_id.into(), secret: secret.into() })
    }

    /// An assertion signed for each request, good for a minute (`private_key_jwt`).
    ///
    /// Its audience is the issuer identifier, as rfc7523bis wants it, or where that is not known the endpoint asked;
    /// its `typ` is `JWT`. See [`audience`](Self::audience) and [`explicit_type`](Self::explicit_type).
    #[must_use]
    pub fn private_key_jwt(client_id: impl Into<String>, key: PrivateKey) -> Self {
        Self::of(Method::PrivateKeyJwt { client_id: client_id.into(), key })
    }

    /// Always the same Bearer, such as an API key.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::of(Method::Bearer(token.into()))
    }

    /// A Bearer that is fetched when it is first needed, and renewed (RFC 6749 §4.4).
    #[must_use]
    pub fn client_credentials(credentials: ClientCredentials) -> Self {
        Self::of(Method::ClientCredentials(Box::new(credentials)))
    }

    /// Nothing is sent.
    ///
    /// RFC 7662 §2.1 demands authorization of some form, lest anybody can try out tokens there ("token scanning"): only
    /// for an endpoint that is guarded otherwise, such as by a network of its own or by mutual TLS.
    #[must_use]
    pub fn none() -> Self {
        Self::of(Method::None)
    }

    /// Whom client assertions are meant for, for servers that do not answer to their issuer identifier: many older ones
    /// want the URL of their token endpoint. An error with other methods, when it is taken into use.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Gives client assertions the `typ` of rfc7523bis, `client-authentication+jwt`, instead of `JWT`: better where the
    /// server knows it, refused by some that do not. An error with other methods, when it is taken into use.
    #[must_use]
    pub fn explicit_type(mut self) -> Self {
        self.has_explicit_type = true;
        self
    }

    /// The name of the method (RFC 7591 §2), or our own for what has none there.
    pub(super) const fn name(&self) -> &'static str {
        match &self.method {
            Method::Basic { .. } => "client_secret_basic",
            Method::Post { .. } => "client_secret_post",
            Method::PrivateKeyJwt { .. } => "private_key_jwt",
            Method::Bearer(_) => "bearer",
            Method::ClientCredentials(_) => "client_credentials",
            Method::None => "none",
        }
    }

    /// The client as which we speak, where we know.
    pub(super) fn client_id(&self) -> Option<&str> {
        match &self.method {
            Method::Basic { client_id, .. }
            | Method::Post { client_id, .. }
            | Method::PrivateKeyJwt { client_id, .. } => Some(client_id),
            Method::ClientCredentials(credentials) => credentials.authentication().client_id(),
            Method::Bearer(_) | Method::None => None,
        }
    }

    /// Adds what tells this client from others: a server may tell each something else. A secret or key that changes is
    /// still the same client's; a Bearer is all there is to know of one.
    pub(super) fn add_to(&self, digest: Sha256) -> Sha256 {
        let digest = digest.piece(self.name().as_bytes()).piece(self.client_id().unwrap_or_default().as_bytes());
        match &self.method {
            Method::Bearer(token) => digest.piece(token.as_bytes()),
            Method::ClientCredentials(credentials) => credentials.add_to(digest),
            _ => digest,
        }
    }

    /// Whether it could work at all.
    pub(super) fn check(&self) -> Result<(), ClientAuthenticationError> {
        use ClientAuthenticationError as Error;
        if self.audience.as_deref() == Some("") {
            return Err(Error::EmptyAudience);
        }
        let is_about_assertions = self.audience.is_some() || self.has_explicit_type;
        if is_about_assertions && !matches!(self.method, Method::PrivateKeyJwt { .. }) {
            return Err(Error::NoAssertions(self.name()));
        }
        match &self.method {
            Method::Basic { client_id, secret, is_encoded } => {
                check_secret(client_id, secret)?;
                let is_ambiguous = !is_encoded && client_id.contains(':');
                if is_ambiguous { Err(Error::Colon(client_id.clone())) } else { Ok(()) }
            }
            Method::Post { client_id, secret } => check_secret(client_id, secret),
            Method::PrivateKeyJwt { client_id, .. } => check_client_id(client_id),
            Method::Bearer(token) => {
                if is_bearer(token) {
                    Ok(())
                } else {
                    Err(Error::Bearer)
                }
            }
            Method::ClientCredentials(credentials) => credentials.check(),
            Method::None => Ok(()),
        }
    }
}

fn check_client_id(client_id: &str) -> Result<(), ClientAuthenticationError> {
    if client_id.is_empty() {
        return Err(ClientAuthenticationError::EmptyClientId);
    }
    without_control(client_id, client_id, "id")
}

fn check_secret(client_id: &str, secret: &str) -> Result<(), ClientAuthenticationError> {
    check_client_id(client_id)?;
    if secret.is_empty() {
        return Err(ClientAuthenticationError::EmptySecret(client_id.to_owned()));
    }
    without_control(client_id, secret, "secret")
}

fn without_control(client_id: &str, text: &str, of: &'static str) -> Result<(), ClientAuthenticationError> {
    if text.chars().any(char::is_control) {
        return Err(ClientAuthenticationError::ControlCharacter { client_id: client_id.to_owned(), of });
    }
    Ok(())
}

/// Whether `text` is a `b64token` (RFC 6750 §2.1), and so can stand in a header.
pub(super) fn is_bearer(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && body.bytes().all(is_of_token)
}

/// `Bearer` and `token`, marked as sensitive; `None` where it has characters that no Bearer has.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut header = is_bearer(token).then(|| HeaderValue::try_from(format!("Bearer {token}")).ok())??;
    header.set_sensitive(true);
    Some(header)
}

impl fmt::Debug for ClientAuthentication {
    /// The method and the client, never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client_id() {
            Some(client_id) => write!(f, "ClientAuthentication({} {client_id:?})", self.name()),
            None => write!(f, "ClientAuthentication({})", self.name()),
        }
    }
}
