#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
//! Authorization middleware for tower: a layer that lets requests reach a service only with a valid access token that
//! suffices for the route.
//!
//! It makes an axum router, a hyper service or a tonic server an OAuth 2 *protected resource*: Bearer JWTs are verified
//! locally, their issuer is asked whether they still stand where a route wants to know, scopes are checked per route, and
//! every refusal is answered as the RFCs want it. The service behind needs no auth code of its own.
//!
//! ```
//! use axum::{Router, routing::get};
//! use portcullis::{AccessToken, Authorizer, Issuer, Requirement, RouteTable, Unlisted};
//!
//! async fn agents(token: AccessToken) -> String {
//!     format!("hello, {}", token.subject().unwrap_or("whoever you are"))
//! }
//!
//! fn app() -> Result<Router, Box<dyn std::error::Error>> {
//!     let authorizer = Authorizer::builder()
//!         .issuer(Issuer::discover("https://idp.example.com").audience("https://api.example.com"))
//!         .routes(
//!             RouteTable::builder()
//!                 .get("/healthz", Requirement::public())
//!                 .get("/agents", Requirement::scope("agents:read"))
//!                 .otherwise(Unlisted::Deny)?,
//!         )
//!         .build()?;
//!     Ok(Router::new()
//!         .route("/healthz", get(|| async { "ok" }))
//!         .route("/agents", get(agents))
//!         .layer(portcullis::axum::layer(authorizer)))
//! }
//! # tokio::runtime::Runtime::new().unwrap().block_on(async { app().unwrap() });
//! ```
//!
//! # The path of a request
//!
//! ```text
//! request ─► route's requirement ─► credential ─► token ─► status ─► scopes ─► your service
//!                  (policy)             │           │        │      (policy)
//!                                       └───────────┴────────┴─────────┴─► rejection: one HTTP or gRPC answer
//! ```
//!
//! The modules are these stages, in this order: [`policy`], [`credential`], [`token`] (with the [`keys`] it needs),
//! [`status`], [`rejection`]. [`authorizer`] puts them in order, [`middleware`] puts that around a service, and
//! [`issuer`], [`sharing`], [`crypto`], [`clock`] and [`observe`] are what they stand on. Three doors lead elsewhere:
//! [`outbound`] to the calls that the service makes itself, [`providers`] to authorization servers that are known, [`redis`]
//! to what all replicas know.
//!
//! # What it refuses
//!
//! Requests that no route lists. Credentials that are repeated, malformed, or over 16 KiB; tokens anywhere but where you
//! said. Unsigned and encrypted tokens, unknown and symmetric algorithms, an algorithm that is not the key's. Foreign
//! issuers and audiences. Expired, future and undated tokens; claims that are repeated or of the wrong type. ID tokens,
//! logout tokens, security events and DPoP proofs; tokens that are bound to a key which was not shown. And at start-up:
//! issuers without an audience, plain `http` beyond loopback, weak keys, contradictory routes.
//!
//! What the issuer or this service has taken back: see [`status`]. When a token could only be judged by keys or by an
//! issuer that cannot be had, the answer is 503 with `Retry-After`; never a pass.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `axum` | module [`axum`]: the layer by matched path, extractors |
//! | `tracing` | events at target `portcullis` |
//! | `metrics` | the counters of [`observe::names`] |
//! | `testing` | module [`testing`]: an issuer, tokens good and bad, a clock moved by hand |
//! | `outbound` | module [`outbound`]: tokens for the calls a service makes itself, and a layer that attaches them |
//! | `agent-idp` | module [`providers::agent_idp`]: what its tokens take, and a client of its token service |
//! | `grantex` | module [`providers::grantex`]: the same, its revocation feed, and its webhooks |
//! | `redis` | module [`redis`]: a log of revocations in Redis, which all replicas follow, and a store for what they share |
//! | `full` | all of them |

pub mod authorizer;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod axum;
pub mod clock;
pub mod credential;
pub mod crypto;
pub mod issuer;
pub mod keys;
pub mod middleware;
pub mod observe;
#[cfg(feature = "outbound")]
#[cfg_attr(docsrs, doc(cfg(feature = "outbound")))]
pub mod outbound;
pub mod policy;
#[cfg(any(feature = "agent-idp", feature = "grantex"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "agent-idp", feature = "grantex"))))]
pub mod providers;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub mod redis;
pub mod rejection;
pub mod sharing;
pub mod status;
mod tasks;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod token;

pub use authorizer::{
    Authorizer, AuthorizerBuilder, ConfigError, Decision, Input, Issuer, IssuerWithoutAudience, Permit,
};
pub use crypto::Algorithm;
pub use keys::{KeySet, KeySource, VerificationKey};
pub use middleware::{Authorize, AuthorizeLayer};
pub use policy::{AccessToken, Requirement, RouteTable, RouteTableBuilder, RouteTableError, Unlisted};
pub use rejection::{Rejection, RejectionKind};
pub use token::{Scope, ScopeSet, TokenType, VerifiedToken};

#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
struct Readme;
