//! One binary, so that it links once: the crate through its door, by behaviour.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "a test that cannot go on should say where"
)]

mod crowd;
#[cfg(unix)]
mod external;
#[cfg(unix)]
mod process;
mod scripted;
mod support;
mod wire;

#[cfg(unix)]
mod agent_idp;
mod agent_idp_client;
#[cfg(unix)]
mod authlib;
mod axum;
mod configuration;
mod edges;
#[cfg(unix)]
mod examples;
mod extractors;
mod feeds;
mod grantex;
mod grantex_answers;
mod grantex_client;
#[cfg(unix)]
mod grantex_example;
mod grantex_feed;
mod grantex_session;
mod grantex_status;
mod grantex_tokens;
mod grantex_webhook;
mod grpc;
mod hyper;
mod keys;
mod layers;
mod leakage;
mod middleware;
#[cfg(unix)]
mod oidc_provider;
mod outages;
mod outbound;
mod policy;
#[cfg(unix)]
mod protected_api;
mod readiness;
#[cfg(unix)]
mod redis;
mod rejection;
mod revocation_endpoint;
mod revocation_http;
mod route_files;
mod second_opinion;
mod secrets;
mod status;
#[cfg(unix)]
mod status_variables;
mod surface;
mod vectors;
mod verification;
