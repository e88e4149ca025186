//! Requests under way, each a task of its own, so that it is woken as a service's would be.

use std::{future::Future, sync::Arc};

use portcullis::{Authorizer, RejectionKind, Requirement};
use tokio::task::{AbortHandle, JoinSet};

use crate::support::bearer;

/// What a request came to.
pub type Verdict = Result<(), RejectionKind>;

/// One token presented where any valid one will do.
pub fn request(authorizer: &Authorizer, token: &str) -> impl Future<Output = Verdict> + Send + 'static {
    let (authorizer, headers) = (authorizer.clone(), bearer(token));
    async move {
        let requirement = Arc::new(Requirement::authenticated());
        let permit = authorizer.authorize(&authorizer.input(&headers, &requirement)).await;
        permit.map(|_| ()).map_err(|rejection| rejection.kind())
    }
}

/// Requests that were sent together.
#[derive(Default)]
pub struct Crowd {
    tasks: JoinSet<Verdict>,
    handles: Vec<AbortHandle>,
}

impl Crowd {
    /// Sends a request with each token.
    pub fn of(authorizer: &Authorizer, tokens: impl IntoIterator<Item = String>) -> Self {
        let mut crowd = Self::default();
        for token in tokens {
            let handle = crowd.tasks.spawn(request(authorizer, &token));
            crowd.handles.push(handle);
        }
        crowd
    }

    /// How many still wait.
    pub fn waiting(&self) -> usize {
        self.handles.iter().filter(|handle| !handle.is_finished()).count()
    }

    /// They all hang up.
    pub async fn disconnect(mut self) {
        self.tasks.shutdown().await;
    }

    /// Waits for every verdict.
    pub async fn verdicts(self) -> Vec<Verdict> {
        self.tasks.join_all().await
    }

    /// Waits for every verdict; they must all be that one.
    pub async fn expect(self, expected: Verdict, why: &str) {
        let verdicts = self.verdicts().await;
        let others = verdicts.iter().filter(|verdict| **verdict != expected).count();
        assert_eq!(others, 0, "{why}: of {} requests, that many were not answered {expected:?}", verdicts.len());
    }
}
