//! A token that its issuer has not withdrawn.

use std::ops::Deref;

use crate::token::VerifiedToken;

/// A verified token that its issuer has not withdrawn, as far as the route wants to know.
///
/// Only this module makes one.
#[derive(Clone, Debug)]
pub struct ActiveToken(VerifiedToken);

impl Deref for ActiveToken {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}

/// The same before anybody gets it: most are left where they are kept.
pub(crate) enum Active<'t> {
    /// The issuer stands by it, or its signature and its claims are all that the route wants to know.
    AsItIs(&'t VerifiedToken),
    /// What the issuer said of it is another form of it: fewer scopes, or all that is known of an opaque one.
    AsSaid(VerifiedToken),
}

impl Active<'_> {
    /// To be handed out.
    pub(crate) fn into_token(self) -> ActiveToken {
        ActiveToken(match self {
            Self::AsItIs(token) => token.clone(),
            Self::AsSaid(token) => token,
        })
    }
}

impl Deref for Active<'_> {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        match self {
            Self::AsItIs(token) => token,
            Self::AsSaid(token) => token,
        }
    }
}
