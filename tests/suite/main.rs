//! One binary, so that it links once: the crate through its door, by behaviour.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "a test that cannot go on should say where"
)]

mod crowd;
#[cfg(unix)]
mod process;
mod second_opinion;
mod secrets;
mod support;
mod wire;

mod axum;
mod extractors;
mod grpc;
mod hyper;
mod layers;
mod leakage;
mod middleware;
#[cfg(unix)]
mod oidc_provider;
mod policy;
#[cfg(unix)]
mod protected_api;
mod rejection;
mod route_files;
mod vectors;
//mod configuration;
mod keys;
//mod outages;
//mod readiness;
mod configuration;
mod keys;
mod outages;
mod readiness;
mod surface;
mod verification;
