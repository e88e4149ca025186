//! A developer's API key → codes exchanged, tokens refreshed, verified and revoked, each call as often as it is safe.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::json;

use super::{
    ExchangeRequest, GrantTokens, GrantexConfigError, GrantexError, Refusal, Verification,
    api::{Api, MAX_ANSWER, is_passing},
};
use crate::{
    crypto::Sha256,
    issuer::{Connection, TransportError},
    tasks::scattered,
};

/// A call is made so often at most.
const ATTEMPTS: u32 = 4;

/// The longest that the first pause may be; the next is twice as long, and so on. Up to half of each is left out at random.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// No pause is longer, even if the server wants it.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// A client of a Grantex server, with one developer's API key. Cloning shares it.
///
/// ```no_run
/// use portcullis::{issuer::Connection, providers::grantex::{ExchangeRequest, GrantexClient, Pkce}};
///
/// # async fn run(api_key: &str, code: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let grantex = GrantexClient::new("https://api.grantex.dev", api_key, Connection::new()?)?;
/// let pkce = Pkce::new()?;
/// // … the user consents to a request with `pkce.challenge()`, which brings a code …
/// let request = ExchangeRequest::new(code, "ag_01ASSISTANT").code_verifier(pkce.verifier());
/// let tokens = grantex.exchange(request).await?;
/// let next = grantex.refresh(tokens.refresh_token(), "ag_01ASSISTANT").await?;
/// assert!(grantex.verify(next.grant_token()).await?.is_valid());
/// # Ok(())
/// # }
/// ```
///
/// # What is tried again
///
/// A call that is answered with 429, 502, 503 or 504, or not at all, is made up to three times more: after half a second
/// to a second, then one to two, then two to four, or after the answer's `Retry-After` (up to two minutes). None of these
/// pauses begins that would end after the client's [`patience`](Self::patience), 150 seconds from the first attempt. With the
/// connection's timeout after the last, that bounds a call. A code is exchanged once: see [`exchange`](Self::exchange).
#[derive(Clone, Debug)]
pub struct GrantexClient {
    pub(super) api: Api,
    patience: Duration,
}

/// What came of a call that may have been made more than once.
struct Called {
    answer: Response<Bytes>,
    /// An earlier attempt may have done what was asked, and its answer was lost.
    may_be_done: bool,
}

impl GrantexClient {
    /// The server at this base URL, such as `https://api.grantex.dev`, and the API key of a developer there.
    ///
    /// # Errors
    /// Where the URL is not `https` (or `http` on loopback) or has a query, or the key is none that a server would take.
    pub fn new(base_url: &str, api_key: &str, connection: Connection) -> Result<Self, GrantexConfigError> {
        Ok(Self { api: Api::new(base_url, api_key, connection)?, patience: Duration::from_secs(150) })
    }

    /// No attempt begins later than this after the first. Default: 150 seconds. A server answers a refresh again for five
    /// minutes: with a longer patience a new refresh token could be lost.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Exchanges a code for the tokens of a grant (`POST /v1/token`).
    ///
    /// It is tried once. A code counts once, and the server does not answer the same exchange again: where the answer to the
    /// first attempt was lost, a second could only be refused, and hide that there is a grant whose tokens nobody has. After
    /// [`Transport`](GrantexError::Transport) the user has to consent anew.
    ///
    /// # Errors
    /// Where there is no answer, or one that brings no tokens: 400 for a code that is unknown, expired or used, or a verifier
    /// that is not the challenge's.
    pub async fn exchange(&self, request: ExchangeRequest) -> Result<GrantTokens, GrantexError> {
        let request = self.post("/v1/token", &request.body())?;
        self.granted(&self.call(request, 1).await?)
    }

    /// Exchanges a refresh token for new tokens of the same grant (`POST /v1/token/refresh`). It counts once: the answer holds
    /// the next one, to be kept before anything else: a [`session`](Self::session) does that. The earlier grant token
    /// stays valid until it expires.
    ///
    /// Each attempt has the same `Idempotency-Key`, which is derived from the refresh token. So a server of 0.6 that has
    /// answered before answers the same again, for five minutes, and a lost answer costs nothing: not when it was one of
    /// several attempts, not when this call was dropped, and not when the process was started anew in between.
    /// The key says nothing of the refresh token (SHA-256), and is of no use without it. Servers before 0.6 know no such key; there
    /// a lost answer loses the grant's tokens, and the next attempt is refused with 400.
    ///
    /// # Errors
    /// Where there is no answer, or one that brings no tokens: 400 for a refresh token that is unknown, expired or used, or a
    /// grant that was revoked.
    pub async fn refresh(&self, refresh_token: &str, agent_id: &str) -> Result<GrantTokens, GrantexError> {
        self.refresh_within(ATTEMPTS, refresh_token, agent_id).await
    }

    pub(super) async fn refresh_within(
        &self,
        attempts: u32,
        refresh_token: &str,
        agent_id: &str,
    ) -> Result<GrantTokens, GrantexError> {
        let body = json!({ "refreshToken": refresh_token, "agentId": agent_id });
        let mut request = self.post("/v1/token/refresh", &body)?;
        request.headers_mut().insert("idempotency-key", idempotency_key(refresh_token)?);
        self.granted(&self.call(request, attempts).await?)
    }

    /// Asks whether a token stands (`POST /v1/tokens/verify`). For requests, [`verification`](Self::verification) asks by way
    /// of a cache.
    ///
    /// Of tokens of other developers Grantex says that they are invalid.
    ///
    /// # Errors
    /// Where there is no answer, or none that says so.
    pub async fn verify(&self, token: &str) -> Result<Verification, GrantexError> {
        let request = self.post("/v1/tokens/verify", &json!({ "token": token }))?;
        let answer = self.call(request, ATTEMPTS).await?.answer;
        match answer.status() {
            StatusCode::OK => Verification::read(answer.body()).map_err(GrantexError::InvalidJson),
            _ => Err(GrantexError::refused(self.refusal(&answer))),
        }
    }

    /// Revokes a token by its `jti` (`POST /v1/tokens/revoke`), for ever and at once. Other tokens of its grant stay valid.
    ///
    /// # Errors
    /// [`UnknownToken`](GrantexError::UnknownToken) for a `jti` that the server does not know, or that was revoked before: it does not
    /// say which. Not so where an earlier attempt of this very call may have been the one that revoked it, and its answer
    /// was lost: what was asked for is done then.
    pub async fn revoke(&self, token_id: &str) -> Result<(), GrantexError> {
        let request = self.post("/v1/tokens/revoke", &json!({ "jti": token_id }))?;
        let Called { answer, may_be_done } = self.call(request, ATTEMPTS).await?;
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(()),
            StatusCode::NOT_FOUND if may_be_done => Ok(()),
            StatusCode::NOT_FOUND => Err(GrantexError::UnknownToken(self.refusal(&answer))),
            _ => Err(GrantexError::refused(self.refusal(&answer))),
        }
    }

    fn post(&self, path: &str, body: &serde_json::Value) -> Result<Request<Bytes>, GrantexError> {
        self.api.request(Method::POST, path, &[], Some(body)).map_err(GrantexError::Transport)
    }

    /// Makes a call up to `attempts` times. Whatever a server says to the last is an answer.
    async fn call(&self, request: Request<Bytes>, attempts: u32) -> Result<Called, GrantexError> {
        let connection = self.api.connection();
        let clock = &connection.environment().clock;
        let started = clock.now().monotonic();
        let (mut attempt, mut longest, mut may_be_done) = (1, FIRST_PAUSE, false);
        loop {
            let answer = connection.send(request.clone(), MAX_ANSWER).await;
            let (may_pass, asked_to_wait) = match &answer {
                Ok(answer) => (is_passing(answer.status()), self.api.retry_after(answer)),
                Err(error) => (!matches!(error, TransportError::TooLarge(_)), None),
            };
            let pause = asked_to_wait.map_or_else(|| scattered(longest), |wait| wait.min(LONGEST_RETRY_AFTER));
            let spent = clock.now().monotonic().saturating_sub(started);
            if !may_pass || attempt == attempts || spent.saturating_add(pause) > self.patience {
                return answer.map(|answer| Called { answer, may_be_done }).map_err(GrantexError::Transport);
            }
            // A server that says itself that it would not has not.
            may_be_done |= answer.map_or(true, |answer| is_of_gateway(answer.status()));
            clock.sleep(pause).await;
            longest = longest.saturating_mul(2);
            attempt += 1;
        }
    }

    fn refusal(&self, answer: &Response<Bytes>) -> Refusal {
        Refusal::of(answer, self.api.retry_after(answer))
    }

    fn granted(&self, Called { answer, .. }: &Called) -> Result<GrantTokens, GrantexError> {
        match answer.status() {
            // Servers answer 201, and their documentation 200.
            StatusCode::OK | StatusCode::CREATED => GrantTokens::read(answer.body()).map_err(GrantexError::InvalidJson),
            _ => Err(GrantexError::refused(self.refusal(answer))),
        }
    }
}

/// Whether a server in between says that it lost the answer.
const fn is_of_gateway(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
}

/// The same for each refresh with this token, in the form of a UUID (RFC 9562 §5.8) as the SDKs send them.
fn idempotency_key(refresh_token: &str) -> Result<HeaderValue, GrantexError> {
    let digest = Sha256::new().piece(b"portcullis grantex refresh").piece(refresh_token.as_bytes()).finish();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    let (a, b, c, d, e) = (part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32));
    let key = HeaderValue::try_from(format!("{a}-{b}-8{c}-8{d}-{e}"));
    key.map_err(|error| GrantexError::Transport(TransportError::Failed(error.into())))
}
