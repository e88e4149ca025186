//! Whether the issuer still stands by a token: what is asked, remembered, and done without an answer.

mod amplification;
mod answers;
mod by_hand;
mod cache;
mod chaos;
mod elsewhere;
mod flood;
mod heard;
mod property;
mod revisions;
mod revoked;
mod runtimes;
mod shared;
pub mod source;
mod stampede;

use std::{sync::Arc, time::Duration};

use portcullis::{AccessToken, Issuer, RejectionKind, Requirement, status::StatusPolicy};
use source::Scripted;

use crate::support::{World, bearer};

const SECOND: Duration = Duration::from_secs(1);

/// An issuer whose tokens that source is asked about.
pub async fn world(source: &Scripted, policy: StatusPolicy) -> World {
    let change = |issuer: Issuer| issuer.status_source(source.clone()).status_policy(policy);
    World::with(change, |builder| builder).await
}

/// What a request comes to where `requirement` counts.
pub async fn verdict(world: &World, token: &str, requirement: Requirement) -> Result<AccessToken, RejectionKind> {
    world.check_for(token, requirement).await.verdict
}

/// The same, driven on a task of its own while others are at work.
pub fn request(
    world: &World,
    token: &str,
    requirement: Requirement,
) -> tokio::task::JoinHandle<Result<(), RejectionKind>> {
    let (authorizer, headers, requirement) = (world.authorizer.clone(), bearer(token), Arc::new(requirement));
    tokio::spawn(async move {
        let permit = authorizer.authorize(&authorizer.input(&headers, &requirement)).await;
        permit.map(drop).map_err(|rejection| rejection.kind())
    })
}
