//! Which token of our own to fetch, as configured → [`ClientCredentials`] (RFC 6749 §4.4).

use std::{fmt, sync::Arc};

use super::{
    ClientAuthentication, ClientAuthenticationError,
    authentication::Method,
    form::{ExtraParameters, Form},
    place::PlaceSource,
    shared_token::Through,
};
use crate::{
    crypto::Sha256,
    sharing::{SharedSecret, SharedStore},
};

/// A token of our own, for a server whose endpoints want a Bearer: fetched by client credentials, kept, renewed.
///
/// # How often a token is fetched
///
/// Many servers count the tokens that a client gets, some by the month. So a token is fetched when it is first needed,
/// by one request for all who wait; a caller that gives up cancels nothing; and it is kept for its whole life. While it
/// is used, it is renewed in the background when a tenth of its life is left, but at least 5 seconds and at most a
/// minute (and never more than half of it), each time a little earlier by chance, so that replicas do not ask together.
/// A token that nobody used since it was fetched is not renewed.
///
/// Tokens of one hour are thus renewed after 53 to 59 minutes: 26 a day, 800 a month. Every replica of a service has
/// its own, and in it every [`Introspection`](crate::status::Introspection) that is in use: **12 of them stay within
/// 10,000 a month, 13 do not**, and restarts come on top. Tokens of a quarter of an hour cost four times as many. A
/// server that says nothing of a token's life is taken to mean five minutes, which is more than 10,000 a month for one
/// replica: let it say `expires_in`. What is said to last longer than a day is renewed daily. More replicas can
/// [share](Self::shared_through) one token, and then cost no more than one.
///
/// # When it fails
///
/// An attempt is given up after 5 seconds. Then nobody asks for a second, doubling with each failure up to a minute,
/// or as long as the server says by `Retry-After` on 429 and 503, up to five minutes; who needs a token meanwhile gets
/// the error at once. After an answer that came too late or was of no use, which may have been counted, the pauses go
/// on doubling up to ten minutes. A token that is not yet over is used in the meantime. One that the endpoint refuses
/// with 401 is dropped for a new one, once; if that is refused too, not again for a minute, doubling with each refusal
/// up to an hour, until an hour has gone by without one.
///
/// ```
/// use portcullis::issuer::{ClientAuthentication, ClientCredentials};
///
/// let credentials = ClientCredentials::at(
///     "https://idp.example/api/v1/token",
///     ClientAuthentication::post("4f7c1f0e-8d5b-4a43-9f0a-3d2f6f2f9b11", "s3cret"),
/// )
/// .scope("tokens:read");
/// ```
#[derive(Clone)]
pub struct ClientCredentials {
    place: PlaceSource,
    authentication: ClientAuthentication,
    scope: String,
    resources: Vec<String>,
    extra: ExtraParameters,
    /// Where it is shared, and what it is sealed with, if that is said.
    store: Option<Arc<dyn SharedStore>>,
    sealed_with: Option<SharedSecret>,
}

impl ClientCredentials {
    fn of(place: PlaceSource, authentication: ClientAuthentication) -> Self {
        let (scope, resources, extra) = (String::new(), Vec::new(), ExtraParameters::default());
        Self { place, authentication, scope, resources, extra, store: None, sealed_with: None }
    }

    /// The token endpoint by its URL, and how the client shows there who it is: by secret or by key.
    #[must_use]
    pub fn at(token_url: impl Into<String>, authentication: ClientAuthentication) -> Self {
        Self::of(PlaceSource::Url(token_url.into()), authentication)
    }

    /// The token endpoint that the issuer's metadata name, looked up when the first token is needed.
    #[must_use]
    pub fn discover(authentication: ClientAuthentication) -> Self {
        Self::of(PlaceSource::Discovery, authentication)
    }

    /// Asks for this scope, or for several with a space between them; adds to what was asked for before. Without any, the
    /// server decides: ask for no more than is needed.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        if !self.scope.is_empty() {
            self.scope.push(' ');
        }
        self.scope.push_str(scope);
        self
    }

    /// What the token is to be used at (RFC 8707 §2); may be given several times.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Sends a parameter more, such as `audience`, where the server wants it.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.push(name.into(), value.into());
        self
    }

    /// Shares the token with the other replicas of this service: one of them fetches it, the others take it from there, and
    /// so with every renewal. Default: each has its own.
    ///
    /// It is sealed with a key derived from the client's secret, where that has 32 characters or more; otherwise say which
    /// to use: [`sealed_with`](Self::sealed_with). Tokens of other clients, endpoints, scopes and parameters are others. What
    /// is left of a token's life counts from before it was asked for, by the store's clock. One that an endpoint refuses is
    /// removed, and taken from there by nobody. Where the store cannot be had, each replica fetches for itself. Where the one
    /// that fetches ends before it has, the others wait for three seconds, and then the next one does.
    ///
    /// ```no_run
    /// # #[cfg(feature = "redis")]
    /// # fn example() -> Result<(), portcullis::redis::RedisConfigError> {
    /// use portcullis::{issuer::{ClientAuthentication, ClientCredentials}, redis::{Redis, SharedRecords}};
    ///
    /// let redis = Redis::at("rediss://portcullis:password@redis.internal:6380/0")?.build()?;
    /// let client = ClientAuthentication::post("4f7c1f0e", "sk_live_0f1e2d3c4b5a69788796a5b4c3d2e1f0");
    /// let credentials = ClientCredentials::at("https://idp.example/api/v1/token", client)
    ///     .scope("tokens:read")
    ///     .shared_through(SharedRecords::new(&redis));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn shared_through(mut self, store: impl SharedStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Seals what is shared with keys of this secret, which all replicas have: for clients that show who they are by a key,
    /// or whose secret is short and could be guessed from what is in the store.
    #[must_use]
    pub fn sealed_with(mut self, secret: SharedSecret) -> Self {
        self.sealed_with = Some(secret);
        self
    }

    /// Where the token is shared, and the secret that it is sealed with.
    pub(super) fn shared(&self) -> Result<Option<Through>, ClientAuthenticationError> {
        let of_client = match &self.authentication.method {
            Method::Basic { secret, .. } | Method::Post { secret, .. } => SharedSecret::new(secret).ok(),
            _ => None,
        };
        match (&self.store, &self.sealed_with) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(ClientAuthenticationError::NotShared),
            (Some(store), given) => {
                let secret = given.clone().or(of_client).ok_or(ClientAuthenticationError::Sealing)?;
                Ok(Some((Arc::clone(store), secret)))
            }
        }
    }

    pub(super) const fn place(&self) -> &PlaceSource {
        &self.place
    }

    pub(super) const fn authentication(&self) -> &ClientAuthentication {
        &self.authentication
    }

    /// The request, but for who asks.
    pub(super) fn form(&self) -> Form {
        let mut form = Form::default();
        form.push("grant_type", "client_credentials");
        if !self.scope.is_empty() {
            form.push("scope", self.scope.as_str());
        }
        for resource in &self.resources {
            form.push("resource", resource.as_str());
        }
        self.extra.add_to(&mut form);
        form
    }

    /// Adds what tells the token from others: which client's it is, and what was asked for.
    pub(super) fn add_to(&self, digest: Sha256) -> Sha256 {
        self.form().add_to(self.place.add_to(self.authentication.add_to(digest)))
    }

    pub(super) fn check(&self) -> Result<(), ClientAuthenticationError> {
        if matches!(self.authentication.method, Method::Bearer(_) | Method::ClientCredentials(_) | Method::None) {
            return Err(ClientAuthenticationError::NotForTokenEndpoint(self.authentication.name()));
        }
        if !self.scope.is_empty() && !is_scope(&self.scope) {
            return Err(ClientAuthenticationError::Scope(self.scope.clone()));
        }
        if let Some(name) = self.extra.misused(&["grant_type", "scope", "resource"]) {
            return Err(ClientAuthenticationError::Parameter(name.to_owned()));
        }
        self.shared()?;
        self.authentication.check()
    }
}

/// Whether `text` is a list of scopes (RFC 6749 §3.3).
pub(crate) fn is_scope(text: &str) -> bool {
    let is_of_scope = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    text.split(' ').all(|token| !token.is_empty() && token.bytes().all(is_of_scope))
}

impl fmt::Debug for ClientCredentials {
    /// Not the extra parameters, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("place", &self.place)
            .field("authentication", &self.authentication)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
