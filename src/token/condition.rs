//! A condition of the user's own on a verified token, with the name by which it is printed.

use std::{fmt, sync::Arc};

use super::VerifiedToken;

/// What must hold of a token beyond what the standards say. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Condition {
    pub(crate) name: Box<str>,
    holds: Arc<dyn Fn(&VerifiedToken) -> bool + Send + Sync>,
}

impl Condition {
    pub(crate) fn new(name: &str, holds: impl Fn(&VerifiedToken) -> bool + Send + Sync + 'static) -> Self {
        Self { name: name.into(), holds: Arc::new(holds) }
    }

    pub(crate) fn holds(&self, token: &VerifiedToken) -> bool {
        (self.holds)(token)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({})", self.name)
    }
}
