//! A refresh token and a store → grant tokens for the calls of an agent, each refreshed in time.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::{GrantexClient, GrantexError};
use crate::outbound::{RefreshGrant, RefreshTokenStore, Refreshed, RefreshedToken, Refreshing, SourceError};

impl GrantexClient {
    /// The grant token of an agent for the calls that it makes, refreshed before it expires: for
    /// [`AttachTokenLayer`](crate::outbound::AttachTokenLayer). The store gets each new refresh token before the grant token
    /// that came with it is used; what happens when it fails is told at [`RefreshedToken`].
    ///
    /// ```
    /// use portcullis::{
    ///     issuer::Connection,
    ///     outbound::{AttachTokenLayer, RefreshTokenStore, Storing},
    ///     providers::grantex::GrantexClient,
    /// };
    ///
    /// /// A file, a row, a secret manager.
    /// #[derive(Debug)]
    /// struct Kept;
    ///
    /// impl RefreshTokenStore for Kept {
    ///     fn store(&self, refresh_token: &str) -> Storing {
    /// #       let _ = refresh_token;
    ///         Box::pin(async { Ok(()) })
    ///     }
    /// }
    ///
    /// let grantex = GrantexClient::new("https://api.grantex.dev", "gx_live_0123456789", Connection::new()?)?;
    /// let session = grantex.session("ref_01STORED", "ag_01ASSISTANT", Kept);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A refresh whose answer was lost is repeated with the same idempotency key, as by [`refresh`](Self::refresh). After a
    /// 400 the refresh token is not sent any more: it is used, over, or its grant was revoked; or else suspended, which the
    /// status does not tell apart. Once that is resumed, a new session with what the store holds goes on.
    #[must_use]
    pub fn session(
        &self,
        refresh_token: impl Into<String>,
        agent_id: impl Into<Box<str>>,
        store: impl RefreshTokenStore,
    ) -> RefreshedToken {
        let grant = AgentGrant { client: self.clone(), agent_id: agent_id.into() };
        RefreshedToken::new(refresh_token, grant, store, self.api.connection())
    }
}

/// One agent's refreshes.
#[derive(Clone, Debug)]
struct AgentGrant {
    client: GrantexClient,
    agent_id: Box<str>,
}

impl RefreshGrant for AgentGrant {
    /// Once: who holds the refresh token asks again.
    fn refresh(&self, refresh_token: &str) -> Refreshing {
        let (Self { client, agent_id }, refresh_token) = (self.clone(), refresh_token.to_owned());
        Box::pin(async move {
            let asked = client.api.connection().environment().clock.now().wall();
            let tokens = client.refresh_within(1, &refresh_token, &agent_id).await;
            let tokens = tokens.map_err(|error| -> SourceError { Arc::new(error) })?;
            let refreshed = Refreshed::new(tokens.grant_token(), tokens.expires_at().since(asked));
            Ok(refreshed.refresh_token(tokens.refresh_token()))
        })
    }

    fn is_over(&self, error: &SourceError) -> bool {
        let refusal = error.downcast_ref().and_then(GrantexError::refusal);
        refusal.is_some_and(|refusal| refusal.status() == StatusCode::BAD_REQUEST)
    }

    fn retry_after(&self, error: &SourceError) -> Option<Duration> {
        error.downcast_ref().and_then(GrantexError::refusal)?.retry_after()
    }

    fn name(&self) -> &str {
        self.client.api.name()
    }
}
