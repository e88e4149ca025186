//! How many replicas → as many processes, and what each of them makes of a token that one of them was told is revoked.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use http::{HeaderValue, StatusCode};
use portcullis::{
    redis::{Redis, RedisRevocations},
    testing::{TestIssuer, TokenBuilder},
};
use reqwest::{Client, Response};
use serde_json::json;

use crate::{
    Fallible,
    child::Child,
    replica::{REVISION, ROLE},
};

/// A replica that accepts a revoked token for longer has not heard of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many start at once: each is a process that asks for CPU time.
const START_TOGETHER: usize = 8;

/// The replicas, and somebody who issues tokens for them.
pub(crate) struct Fleet {
    issuer: TestIssuer,
    administrator: String,
    replicas: Vec<Child>,
    client: Client,
}

/// A token that was accepted everywhere until it was revoked.
pub(crate) struct Revoked {
    token: String,
    revision: HeaderValue,
    /// When the replica that was told had answered.
    acknowledged: Instant,
}

/// What became of a revoked token at one replica.
pub(crate) struct Outcome {
    /// From the acknowledgement to the answer.
    pub(crate) after: Duration,
    /// How many requests were let through before.
    pub(crate) passed: usize,
    /// Whether it did not refuse the token, but could not tell: 503.
    pub(crate) is_in_doubt: bool,
}

impl Fleet {
    pub(crate) async fn start(size: usize, redis: &str) -> Fallible<Self> {
        // Whoever runs the service decides that nothing is revoked so far: a log that is not there is not an empty one.
        RedisRevocations::new(Redis::at(redis)?.build()?).establish(Vec::new()).await?;
        let issuer = TestIssuer::start().await;
        let administrator = issuer.token().subject("administrator").scopes(["tokens:revoke"]).build();
        let mut replicas = Vec::with_capacity(size);
        while replicas.len() < size {
            let arguments = [ROLE, issuer.url(), redis];
            let together = START_TOGETHER.min(size - replicas.len());
            replicas.extend(try_join_all((0..together).map(|_| Child::ourselves(&arguments))).await?);
        }
        let client = Client::builder().no_proxy().tcp_nodelay(true).build()?;
        Ok(Self { issuer, administrator, replicas, client })
    }

    pub(crate) fn ports(&self) -> Vec<String> {
        let port = |replica: &Child| replica.url.rsplit(':').next().unwrap_or_default().to_owned();
        self.replicas.iter().map(port).collect()
    }

    /// Has a token accepted everywhere, then has it revoked at one replica: each in its turn.
    pub(crate) async fn revoke_one(&self, number: usize) -> Fallible<Revoked> {
        let id = format!("to-be-revoked-{number}");
        let token = self.token(&id);
        for (answer, replica) in self.ask_all(&token, None).await?.iter().zip(&self.replicas) {
            if answer.status() != StatusCode::OK {
                return Err(format!("{} answered {} to a good token", replica.url, answer.status()).into());
            }
        }
        let told = self.replicas.get(number % self.replicas.len()).ok_or("no replica")?;
        let request = self.client.post(format!("{}/revocations", told.url)).bearer_auth(&self.administrator);
        let answer = request.json(&json!({ "jti": id })).send().await?.error_for_status()?;
        let acknowledged = now();
        let revision = answer.headers().get(REVISION).ok_or("a revocation without a revision")?.clone();
        Ok(Revoked { token, revision, acknowledged })
    }

    /// Asks every replica again and again until it refuses.
    pub(crate) async fn until_refused(&self, revoked: &Revoked) -> Fallible<Vec<Outcome>> {
        try_join_all(self.replicas.iter().map(|replica| async move {
            let mut passed = 0;
            loop {
                let verdict = verdict(&self.ask(replica, &revoked.token, None).await?)?;
                let after = revoked.acknowledged.elapsed();
                if verdict != Verdict::Accepted {
                    return Ok(Outcome { after, passed, is_in_doubt: verdict == Verdict::InDoubt });
                }
                if after > PATIENCE {
                    return Err(format!("{} still accepts a revoked token", replica.url).into());
                }
                passed += 1;
            }
        }))
        .await
    }

    /// Asks every replica once, demanding that it knows of the revocation.
    pub(crate) async fn demand(&self, revoked: &Revoked) -> Fallible<Vec<Outcome>> {
        try_join_all(self.replicas.iter().map(|replica| async move {
            let verdict = verdict(&self.ask(replica, &revoked.token, Some(&revoked.revision)).await?)?;
            let (passed, is_in_doubt) = (usize::from(verdict == Verdict::Accepted), verdict == Verdict::InDoubt);
            Ok(Outcome { after: revoked.acknowledged.elapsed(), passed, is_in_doubt })
        }))
        .await
    }

    fn token(&self, id: &str) -> String {
        let token: TokenBuilder = self.issuer.token().subject("user-1").scopes(["account:read"]);
        token.claim("jti", id).build()
    }

    async fn ask_all(&self, token: &str, revision: Option<&HeaderValue>) -> Fallible<Vec<Response>> {
        try_join_all(self.replicas.iter().map(|replica| self.ask(replica, token, revision))).await
    }

    async fn ask(&self, replica: &Child, token: &str, revision: Option<&HeaderValue>) -> Fallible<Response> {
        let mut request = self.client.get(format!("{}/account", replica.url)).bearer_auth(token);
        if let Some(revision) = revision {
            request = request.header(REVISION, revision);
        }
        Ok(request.send().await?)
    }
}

/// What a replica makes of a token.
#[derive(PartialEq, Eq)]
enum Verdict {
    Accepted,
    Refused,
    /// It does not know, and lets nobody through either.
    InDoubt,
}

fn verdict(answer: &Response) -> Fallible<Verdict> {
    match answer.status() {
        StatusCode::OK => Ok(Verdict::Accepted),
        StatusCode::UNAUTHORIZED => Ok(Verdict::Refused),
        StatusCode::SERVICE_UNAVAILABLE => Ok(Verdict::InDoubt),
        status => Err(format!("a replica answered {status}").into()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn now() -> Instant {
    Instant::now()
}
