//! What goes into a decision, and what comes out.

use std::{fmt, sync::Arc};

use crate::{
    credential::{Bearer, CredentialError, Found},
    keys::KeyQuestion,
    policy::{AccessToken, Requirement, Sufficient},
    rejection::Rejection,
    status::{Answer, Cursor, Inquiry, RevisionError, StatusQuestion},
};

/// A credential and what is required of it: taken from a request, or given by hand.
///
/// ```
/// # fn example(authorizer: &portcullis::Authorizer, token: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// use portcullis::{Input, Requirement, credential::{Bearer, DEFAULT_MAX_LEN}};
///
/// // A message from a queue, say.
/// let requirement = authorizer.compile(Requirement::scope("jobs:run"))?;
/// let input = Input::new(Bearer::parse(token, DEFAULT_MAX_LEN).map(Some), &requirement);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Input<'r> {
    pub(super) credential: Result<Option<Found<'r>>, Unreadable>,
    pub(super) requirement: &'r Arc<Requirement>,
    /// What must be known here of the revocation log before the token may pass.
    pub(super) revision: Option<Cursor>,
}

/// What is wrong with a request that has a credential.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unreadable {
    Credential(CredentialError),
    Revision(RevisionError),
}

impl<'r> Input<'r> {
    /// The credential (or what is wrong with it) and the requirement.
    #[must_use]
    pub fn new(credential: Result<Option<Bearer<'r>>, CredentialError>, requirement: &'r Arc<Requirement>) -> Self {
        Self::found(credential.map(|bearer| bearer.map(Found::from)), requirement)
    }

    /// The token may pass only where everything is known that the revocation log says up to that position, such as one that
    /// [`publish`](crate::status::RevocationLog::publish) returned: whoever has revoked something is not shown the past. Of
    /// several, the greatest counts.
    ///
    /// Where it is not known yet, that is [waited for](super::AuthorizerBuilder::revision_budget). After that, as where the
    /// authorizer does not follow exactly one feed and so cannot tell, the token's issuer is asked, as on a route that asks
    /// on [every request](crate::status::Freshness::EveryRequest); with nobody to ask, the answer is 503, whatever is
    /// accepted in an outage. A credential that may be left out, and is, demands nothing.
    ///
    /// ```
    /// use portcullis::{Authorizer, Input, Rejection, status::Cursor};
    ///
    /// # async fn example(authorizer: &Authorizer, input: Input<'_>, revision: Cursor) -> Result<(), Rejection> {
    /// let permit = authorizer.authorize(&input.at_least(revision)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn at_least(mut self, revision: Cursor) -> Self {
        self.revision = self.revision.max(Some(revision));
        self
    }

    /// What was found in a request.
    pub(super) fn found(
        credential: Result<Option<Found<'r>>, CredentialError>,
        requirement: &'r Arc<Requirement>,
    ) -> Self {
        Self { credential: credential.map_err(Unreadable::Credential), requirement, revision: None }
    }

    /// The same, with what the request says of a revision. Where no token is judged, it says nothing.
    pub(super) fn with_revision(self, said: Result<Option<Cursor>, RevisionError>) -> Self {
        match (self.credential, said) {
            (Ok(Some(_)), Err(error)) => Self { credential: Err(Unreadable::Revision(error)), ..self },
            (_, said) => Self { revision: said.unwrap_or_default(), ..self },
        }
    }

    /// The same, independent of the request: for waiting.
    pub(crate) fn to_owned(self) -> OwnedInput {
        OwnedInput {
            credential: self.credential.map(|found| found.map(|found| found.as_bytes().into())),
            requirement: Arc::clone(self.requirement),
            revision: self.revision,
        }
    }
}

/// An [`Input`] that borrows nothing.
pub(crate) struct OwnedInput {
    credential: Result<Option<Box<[u8]>>, Unreadable>,
    requirement: Arc<Requirement>,
    revision: Option<Cursor>,
}

impl OwnedInput {
    pub(crate) fn as_input(&self) -> Input<'_> {
        let credential = match &self.credential {
            Ok(found) => Ok(found.as_deref().map(Found::again)),
            Err(error) => Err(*error),
        };
        Input { credential, requirement: &self.requirement, revision: self.revision }
    }
}

/// What has been asked for one request so far. Each question is asked at most once.
///
/// To be thrown away with the request: for the next one with the same token, it would no longer be fresh.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The keys were asked for; what came of it is in memory.
    pub(super) keys_asked: bool,
    /// Patience ended before the attempt did: nothing came of it.
    pub(super) keys_timed_out: bool,
    /// The revision that is demanded was waited for.
    pub(super) revision_awaited: bool,
    /// What the status source said of the token, or that it said nothing.
    pub(super) status: Option<Box<Answer>>,
}

/// What a decision comes to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Decision {
    /// The request may pass.
    Permit(Permit),
    /// The request is refused.
    Reject(Rejection),
    /// Memory does not hold the answer: [`ask`](super::Authorizer::ask), then decide again.
    Need(Need),
}

/// A request that may pass.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(super) token: Option<AccessToken>,
    /// The position of the issuer who had better be asked again soon, and what.
    pub(super) renewal: Option<Box<(usize, StatusQuestion)>>,
}

/// The same before anything is handed out: the token is that of the cache.
pub(super) struct Pass<'c> {
    pub(super) token: Option<Sufficient<'c>>,
    pub(super) renewal: Option<Box<(usize, StatusQuestion)>>,
}

impl Pass<'_> {
    /// Without a token, and so with nothing to renew.
    pub(super) const WITHOUT_TOKEN: Self = Self { token: None, renewal: None };

    pub(super) fn into_permit(self) -> Permit {
        Permit { token: self.token.map(Sufficient::hand_out), renewal: self.renewal }
    }
}

impl Permit {
    /// The token that was presented; none on a public route, and where an optional one was left out.
    #[must_use]
    pub const fn token(&self) -> Option<&AccessToken> {
        self.token.as_ref()
    }

    /// The token that was presented.
    #[must_use]
    pub fn into_token(self) -> Option<AccessToken> {
        self.token
    }
}

/// What memory cannot answer.
#[derive(Clone)]
pub struct Need {
    /// The position of the token's issuer.
    pub(super) issuer: usize,
    pub(super) question: Question,
}

/// What an issuer is to be asked for, or a feed waited for.
#[derive(Clone)]
pub(super) enum Question {
    Keys(KeyQuestion),
    /// Boxed as the next one is, so that every decision is no larger for it.
    Revision(Box<Cursor>),
    Status(Box<Inquiry>),
}

impl fmt::Debug for Need {
    /// Neither the `kid` in question, which anybody may have written, nor the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.question {
            Question::Keys(_) => "Need(keys)",
            Question::Revision(_) => "Need(revision)",
            Question::Status(_) => "Need(status)",
        })
    }
}
