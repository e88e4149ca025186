//! Grantex: grants that users give to agents, and the tokens that stem from them.
//!
//! A calendar that agents use, of the developer whose API key it has. Tokens of both generations pass; a revoked grant is
//! refused as soon as the feed says so; where the feed is not heard, and before each payment, Grantex is asked.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use portcullis::{AccessToken, Authorizer, Requirement, RouteTable, Unlisted};
//! use portcullis::{issuer::Connection, providers::grantex::{self, Grantex, GrantexClaims, GrantexClient}, status::FeedPolicy};
//!
//! async fn events(token: AccessToken<GrantexClaims>) -> String {
//!     format!("{} acts for {}", token.claims().agent_id(), token.claims().principal())
//! }
//!
//! # async fn pay() {}
//! # fn app(api_key: &str) -> Result<Router, Box<dyn std::error::Error>> {
//! let client = GrantexClient::new("https://api.grantex.dev", api_key, Connection::new()?)?;
//! let issuer = Grantex::at("https://api.grantex.dev")?
//!     .developer("dev_01CALENDAR")
//!     .audience("https://calendar.example")
//!     .revocation_feed(client.revocation_feed(), FeedPolicy::default())
//!     .status_source(client.verification());
//! let payments = Requirement::scope("payments:initiate:max_500")
//!     .that("is at most one step from the user", grantex::depth_at_most(1))
//!     .status_on_every_request();
//! let routes = RouteTable::builder()
//!     .get("/calendar/events", Requirement::scope("calendar:read"))
//!     .post("/payments", payments)
//!     .otherwise(Unlisted::Deny)?;
//! let authorizer = Authorizer::builder().issuer(issuer).routes(routes).build()?;
//! let app = Router::new().route("/calendar/events", get(events)).route("/payments", axum::routing::post(pay));
//! let app = app.layer(portcullis::axum::layer(authorizer));
//! # Ok(app)
//! # }
//! ```
//!
//! Scopes match to the letter: `payments:initiate:max_500` is no `payments:initiate`, nor the other way round, and what
//! `max_500` means is the handler's to say.

mod api;
mod claims;
mod client;
mod error;
mod feed;
mod json;
mod pkce;
mod preset;
mod session;
mod status;
mod tokens;
mod webhook;

pub use api::GrantexConfigError;
pub use claims::{Budget, Generation, GrantexClaims, acted_by, delegated_by, depth_at_most, never_acted_by};
pub use client::GrantexClient;
pub use error::{GrantexError, Refusal};
pub use feed::GrantexFeed;
pub use pkce::Pkce;
pub use preset::Grantex;
pub use tokens::{ExchangeRequest, GrantTokens, Verification};
pub use webhook::{GrantexWebhook, GrantexWebhookBuilder, GrantexWebhookError};
