//! A form → the answer of an endpoint that knows who we are, in bounded time; or why there is none.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::Response;

use super::{Refusal, TokenClientError, TokenEndpointError};
use crate::{
    clock::UnixTime,
    issuer::{
        Answered, Authenticator, ClientAuthentication, ClientEndpoint, Connection, ErrorAnswer, Form, InvalidPlace,
        NoAnswer, PlaceSource, Published,
    },
};

/// An endpoint, and how long it may take.
pub(crate) struct BoundedEndpoint {
    endpoint: ClientEndpoint,
    connection: Connection,
}

/// Reads how we show who we are; nobody is asked yet.
pub(crate) fn authenticator(
    authentication: &ClientAuthentication,
    issuer: Option<&str>,
    connection: &Connection,
) -> Result<Arc<Authenticator>, TokenClientError> {
    let started = Authenticator::start(authentication, issuer, connection.environment());
    started.map(Arc::new).map_err(TokenClientError::Client)
}

impl BoundedEndpoint {
    /// Reads where the endpoint is; nobody is asked yet.
    pub(crate) fn start(
        place: &PlaceSource,
        wanted: Published,
        issuer: Option<&str>,
        authenticator: &Arc<Authenticator>,
        connection: &Connection,
    ) -> Result<Self, TokenClientError> {
        let environment = connection.environment();
        let place = place.start(wanted, issuer, environment).map_err(|invalid| match invalid {
            InvalidPlace::Endpoint(source) => TokenClientError::Endpoint { of: wanted.name(), source },
            InvalidPlace::NoIssuer => TokenClientError::NoIssuer,
        })?;
        let endpoint = ClientEndpoint::new(place, Arc::clone(authenticator), environment.clone());
        Ok(Self { endpoint, connection: connection.clone() })
    }

    /// One answer, of whatever status. An own Bearer that is refused with 401 is replaced once, and the form sent again.
    pub(crate) async fn ask(&self, form: &Form) -> Result<Response<Bytes>, TokenEndpointError> {
        let asking = self.endpoint.ask(form, "application/json");
        let answered = self.connection.within(asking).await.map_err(TokenEndpointError::TimedOut)?;
        let Answered { answer, .. } = answered.map_err(|none| match none {
            NoAnswer::Place(error) => TokenEndpointError::Endpoint(error.into()),
            NoAnswer::Uri(error) => TokenEndpointError::Endpoint(error.into()),
            NoAnswer::Credentials(error) => TokenEndpointError::Credentials(error),
            NoAnswer::Transport(error) => TokenEndpointError::Transport(error),
        })?;
        Ok(answer)
    }

    /// What an answer comes to that is not the one hoped for.
    pub(crate) fn refusal(&self, answer: &Response<Bytes>) -> TokenEndpointError {
        TokenEndpointError::Refused(Refusal(ErrorAnswer::read(answer, self.now())))
    }

    /// The time by which answers are judged.
    pub(crate) fn now(&self) -> UnixTime {
        self.connection.environment().clock.now().wall()
    }
}

impl fmt::Debug for BoundedEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}
