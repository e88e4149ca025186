//! What asking an authorization server takes: a way to it, and the time.

use std::sync::Arc;

use super::Transport;
use crate::clock::SharedClock;

/// What everybody who asks an authorization server needs of the world.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: SharedClock,
}
