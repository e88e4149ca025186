//! A log that others write → revocations that take effect here, and how old what we know of it is.

mod cursor;
mod driven;
mod follow;
mod in_process;
mod message;
mod policy;
mod position;
mod scope;
mod source;
mod staleness;
#[cfg(test)]
mod tests;

pub use cursor::{Cursor, CursorError, RevisionError};
pub use driven::FeedState;
pub(crate) use driven::{DrivenFeed, Following};
pub use in_process::{LogFull, RevocationLog, RevocationLogBuilder};
pub use message::{FeedMessage, FeedSnapshot};
pub use policy::FeedPolicy;
pub use source::{FeedAnswer, FeedError, FeedMessages, FeedPages, RevocationFeed};
