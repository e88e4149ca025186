//! [`VerifiedToken`](crate::token::VerifiedToken) → [`ActiveToken`]: does the issuer still stand by it?
//!
//! With nothing configured, a locally verified token is an active one until it expires. Otherwise, in this order:
//!
//! | | says | how fresh |
//! |---|---|---|
//! | [`Revocations`] | what this service was told to refuse | the very next request |
//! | [`RevocationFeed`] | what a log says was revoked; followed into `Revocations` | its measured staleness, bounded by [`FeedPolicy`] and the route |
//! | [`StatusSource`], such as [`Introspection`] | the issuer itself, by way of a cache | [`StatusPolicy`] and the route's [`Freshness`] |
//!
//! An issuer's own feed ([`Issuer::revocation_feed`](crate::Issuer::revocation_feed)) makes asking about its JWTs
//! unnecessary while it is fresh enough for the route. Where no word is fresh enough, [`OnOutage`] decides.
//!
//! A position in the log is a revision: what publishing a revocation returned ([`Cursor`]). A request that
//! [demands](crate::Input::at_least) one does not pass before it is known here; that is waited for within a budget, and
//! after it the source is asked as on a route that asks on every request.
//!
//! ```text
//! request ─► stage ─► revocations ─► hearing (feeds) ─► memory ─► permit or refusal, at once
//!              ▲                                          │
//!              └──── memory ◄── asking ◄── flights ◄──────┘ nothing fresh enough: a question
//!                                 │
//!                              breaker, source
//! ```

mod active;
pub mod adapters;
mod asking;
mod breaker;
mod feed;
mod flights;
mod freshness;
mod hearing;
mod introspection;
mod lookup;
mod memory;
mod opaque;
mod policy;
mod probe;
mod revocations;
mod shared;
mod source;
mod stage;
mod verdict;

pub(crate) use active::Active;
pub use active::ActiveToken;
pub use feed::{
    Cursor, CursorError, FeedAnswer, FeedError, FeedMessage, FeedMessages, FeedPages, FeedPolicy, FeedSnapshot,
    FeedState, LogFull, RevisionError, RevocationFeed, RevocationLog, RevocationLogBuilder,
};
pub(crate) use feed::{DrivenFeed, Following};
pub use freshness::{Freshness, InvalidOnOutage, OnOutage};
pub(crate) use hearing::Hearing;
pub use introspection::{Introspection, IntrospectionError};
pub use lookup::StatusUnavailable;
pub(crate) use lookup::{NoWord, SourceState, StatusLookup};
pub use opaque::OpaqueTokens;
pub use policy::StatusPolicy;
use revocations::Origin;
pub(crate) use revocations::{Happened, RevocationMembers};
pub use revocations::{
    Revocation, RevocationEvent, RevocationSink, RevocationTarget, Revocations, RevocationsBuilder, RevocationsError,
    SinkAnswer, SinkError,
};
pub use shared::SharedAnswers;
pub use source::{StatusAnswer, StatusError, StatusQuestion, StatusSource, TokenStatus};
pub(crate) use stage::{Answer, Assent, Demand, Inquiry, IssuerStatus, Presented, Standing, Unsettled};
