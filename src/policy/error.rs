//! What is wrong with a route table; always with the route it is about.

use crate::token::InvalidScope;

/// Why a route table was refused at start-up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteTableError {
    /// The path is not one that a request could have.
    #[error("{route}: {reason}")]
    Path {
        /// The route as configured.
        route: String,
        /// What is wrong with its path.
        reason: String,
    },
    /// A scope that could never be granted.
    #[error("{route}: {source}")]
    Scope {
        /// The route as configured.
        route: String,
        /// The text that is no scope.
        source: InvalidScope,
    },
    /// Demands that exclude each other, or that nobody can meet.
    #[error("{route}: {reason}")]
    Contradiction {
        /// The route as configured.
        route: String,
        /// What contradicts what.
        reason: &'static str,
    },
    /// Two routes of the table that match the same paths, and decide on the same methods or name the parts differently.
    #[error("{second} conflicts with {first}: both match the same paths")]
    Conflict {
        /// The route that was listed first.
        first: String,
        /// The one that came later.
        second: String,
    },
    /// An implication between texts that are no scopes.
    #[error("implication: {0}")]
    Implication(InvalidScope),
    /// The file is not a route table.
    #[error("not a route table: {0}")]
    File(String),
}
