//! A URL and a clock → [`TestIssuer`]: a small authorization server, with its keys, its tokens and its troubles.
//!
//! `endpoints` answers a request from the `state`; `faults` lets that go wrong; `doors` are the two ways in.

mod clients;
mod doors;
mod endpoints;
mod faults;
mod state;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::{TestKey, TokenBuilder};
use crate::{
    clock::{Clock, SharedClock, SystemClock},
    crypto::Algorithm,
    issuer::Transport,
    tasks::TaskGuard,
};
use doors::InProcess;
pub use faults::{Fault, Held, Target};
pub use state::Asked;
use state::Core;

/// An authorization server for tests; clones are the same server.
///
/// It publishes its metadata (RFC 8414, OpenID Connect Discovery) and its keys (RFC 7517), grants tokens for client
/// credentials (RFC 6749 §4.4), and answers introspection (RFC 7662, RFC 9701) and revocation (RFC 7009) requests of the
/// clients that [`TestIssuer::register_client`] made known.
#[derive(Clone)]
pub struct TestIssuer {
    core: Arc<Core>,
    /// Ends the server with the last clone.
    _server: Option<Arc<TaskGuard>>,
}

/// Decides what is not left to the default; made by [`TestIssuer::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `in_process` or `start`"]
pub struct TestIssuerBuilder {
    clock: SharedClock,
    algorithm: Algorithm,
    key: Option<TestKey>,
}

impl TestIssuerBuilder {
    /// What it tells the time by; the machine's clock by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// What its own keys are for; `ES256` by default.
    pub const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The key it begins with, instead of one of its own.
    pub fn key(mut self, key: TestKey) -> Self {
        self.key = Some(key);
        self
    }

    /// An authorization server without a socket, at whatever URL.
    ///
    /// # Panics
    /// Where `url` is not an absolute URL.
    #[must_use]
    pub fn in_process(self, url: &str) -> TestIssuer {
        TestIssuer { core: Arc::new(self.core(url)), _server: None }
    }

    /// An authorization server behind HTTP/1.1 on a free port of 127.0.0.1, until its last clone is dropped.
    ///
    /// # Panics
    /// Where there is no tokio runtime, or no port to be had.
    #[must_use = "the server ends when this is dropped"]
    pub async fn start(self) -> TestIssuer {
        let (listener, url) = doors::listen().await;
        let core = Arc::new(self.core(&url));
        #[expect(clippy::expect_used, reason = "a fake server that cannot run is of no use to its test")]
        let server = TaskGuard::spawn(doors::serve(Arc::clone(&core), listener)).expect("a tokio runtime");
        TestIssuer { core, _server: Some(Arc::new(server)) }
    }

    fn core(self, url: &str) -> Core {
        Core::new(url, self.clock, self.algorithm, self.key)
    }
}

impl TestIssuer {
    /// An authorization server to be, with the machine's clock and `ES256`.
    pub fn builder() -> TestIssuerBuilder {
        TestIssuerBuilder { clock: Arc::new(SystemClock::new()), algorithm: Algorithm::ES256, key: None }
    }

    /// An authorization server without a socket; [`TestIssuer::transport`] leads to it.
    ///
    /// # Panics
    /// Where `url` is not an absolute URL.
    #[must_use]
    pub fn in_process(url: &str) -> Self {
        Self::builder().in_process(url)
    }

    /// An authorization server behind HTTP/1.1 on a free port of 127.0.0.1, until its last clone is dropped.
    ///
    /// # Panics
    /// Where there is no tokio runtime, or no port to be had.
    #[must_use = "the server ends when this is dropped"]
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Carries requests to this authorization server in process, and to nobody else.
    #[must_use]
    pub fn transport(&self) -> Arc<dyn Transport> {
        Self::transport_of(&[self])
    }

    /// Carries requests to several authorization servers in process, each by its URL.
    #[must_use]
    pub fn transport_of(issuers: &[&Self]) -> Arc<dyn Transport> {
        Arc::new(InProcess::new(issuers.iter().map(|issuer| Arc::clone(&issuer.core)).collect()))
    }

    /// Its issuer identifier.
    #[must_use]
    pub fn url(&self) -> &str {
        self.core.url()
    }

    /// Where its keys are.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        self.core.place("/jwks")
    }

    /// Its token endpoint.
    #[must_use]
    pub fn token_url(&self) -> String {
        self.core.place("/token")
    }

    /// Its introspection endpoint.
    #[must_use]
    pub fn introspection_url(&self) -> String {
        self.core.place("/introspect")
    }

    /// Its revocation endpoint.
    #[must_use]
    pub fn revocation_url(&self) -> String {
        self.core.place("/revoke")
    }

    /// A token of this issuer, signed with its current key, issued now.
    #[must_use]
    pub fn token(&self) -> TokenBuilder {
        self.core.token()
    }

    /// An opaque token, which means something to the introspection endpoint alone.
    #[must_use]
    pub fn issue_opaque(&self, scopes: impl IntoIterator<Item = impl AsRef<str>>, lifetime: Duration) -> String {
        self.core.issue_opaque(&super::token::joined(scopes), lifetime)
    }

    /// Revokes a token, of whichever kind: introspection no longer calls it active.
    pub fn revoke(&self, token: &str) {
        self.core.state().revoked.insert(token.to_owned());
    }

    /// Makes a confidential client known, and what it may ask for.
    pub fn register_client(&self, id: &str, secret: &str, scopes: impl IntoIterator<Item = impl AsRef<str>>) {
        let scopes = scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect();
        self.core.state().clients.insert(id.to_owned(), state::Client::Secret { secret: secret.to_owned(), scopes });
    }

    /// Makes a client known that signs assertions with `key` (RFC 7523), and what it may ask for.
    pub fn register_client_key(&self, id: &str, key: &TestKey, scopes: impl IntoIterator<Item = impl AsRef<str>>) {
        let scopes = scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect();
        self.core.state().clients.insert(id.to_owned(), state::Client::Key { key: key.clone(), scopes });
    }

    /// From now on introspection wants a Bearer of this server with that scope, and no other authentication.
    pub fn protect_introspection(&self, scope: &str) {
        self.core.state().introspection_scope = Some(scope.to_owned());
    }

    /// Grants tokens that last so long; an hour at first.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.core.state().token_lifetime = lifetime;
    }

    /// What it was asked since it began, or since [`TestIssuer::reset_asked`].
    #[must_use]
    pub fn asked(&self) -> Asked {
        self.core.state().asked
    }

    /// Counts from zero again.
    pub fn reset_asked(&self) {
        self.core.state().asked = Asked::default();
    }

    /// From now on `target` fails like this. The latest word counts, and one on a single target before one on all.
    pub fn fault(&self, target: Target, fault: Fault) {
        self.core.state().faults.insert(target, fault);
    }

    /// Ends every fault. Requests that hang already go on hanging; what is held stays held.
    pub fn heal(&self) {
        self.core.state().faults.clear();
    }

    /// Stops requests to `target` before they are answered. What is released is answered as things then stand.
    #[must_use = "dropping it releases the requests"]
    pub fn hold(&self, target: Target) -> Held {
        Held::new(&self.core, target, false)
    }

    /// Stops the answers of `target` on their way back: they tell how things stood when the request arrived.
    #[must_use = "dropping it releases the answers"]
    pub fn hold_answer(&self, target: Target) -> Held {
        Held::new(&self.core, target, true)
    }

    /// What it signs with.
    #[must_use]
    pub fn current_key(&self) -> TestKey {
        self.core.state().current.clone()
    }

    /// Takes a new key of its own into use, and returns it; the old one stays published.
    ///
    /// No two issuers, and no two keys of one, are the same. Only an RSA key that nobody holds any more is used again.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn rotate(&self) -> TestKey {
        self.core.state().rotate()
    }

    /// Signs with `key`, whether it is published or not.
    pub fn sign_with(&self, key: TestKey) {
        self.core.state().sign_with(key);
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: &[TestKey]) {
        self.core.state().publish(keys);
    }

    /// Publishes any document in place of a JWK set, until [`TestIssuer::publish`] or [`TestIssuer::rotate`].
    pub fn publish_raw(&self, document: Value) {
        self.core.state().raw_keys = Some(document);
    }

    /// Publishes a key no longer, and disowns what it signed.
    pub fn retire(&self, key_id: &str) {
        self.core.state().retire(key_id);
    }

    /// Sets or removes the `Cache-Control` of its key set; it has none at first.
    ///
    /// # Panics
    /// Where the text cannot stand in a header.
    pub fn set_cache_control(&self, value: Option<&str>) {
        #[expect(clippy::expect_used, reason = "a slip in a test shows at once")]
        let value = value.map(|text| text.parse().expect("a header value"));
        self.core.state().cache_control = value;
    }

    /// Publishes any document in place of its metadata.
    pub fn set_metadata(&self, document: Value) {
        self.core.state().metadata = Some(document);
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestIssuer").field(&self.url()).finish()
    }
}
