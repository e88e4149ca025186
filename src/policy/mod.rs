//! Method + path → [`Requirement`], and [`ActiveToken`](crate::status::ActiveToken) + requirement → [`AccessToken`].
//!
//! The route comes first in a request's life, its scopes last, so that a revoked token is a 401 and not a 403.

mod access_token;
mod builder;
mod display;
mod error;
mod path;
mod requirement;
mod route_file;
mod route_table;
mod vocabulary;

pub use access_token::AccessToken;
pub(crate) use access_token::{PolicyRefusal, Sufficient};
pub use builder::RouteTableBuilder;
pub use error::RouteTableError;
pub(crate) use requirement::Access;
pub use requirement::Requirement;
pub use route_table::{Location, Lookup, Preflight, RouteTable, Unlisted};
pub(crate) use vocabulary::ScopeBits;
