//! An issuer's URL → its [`Metadata`] (RFC 8414 §3; OpenID Connect Discovery §4).

use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde::Deserialize;

use super::{Endpoint, EndpointError, Transport, TransportError};

/// Real metadata documents have a few kilobytes.
const MAX_METADATA: usize = 256 * 1024;

/// What an authorization server publishes about itself, as far as we use it.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) jwks_uri: Option<Endpoint>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: Option<String>,
}

/// Why no metadata could be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoveryError {
    #[error("{url} could not be read")]
    Transport { url: String, source: TransportError },
    #[error("{url} answered {status}")]
    Status { url: String, status: StatusCode },
    #[error("{url} is not a metadata document")]
    NotMetadata { url: String },
    /// RFC 8414 §3.3: the metadata MUST NOT be used.
    #[error("{url} describes the issuer {found:?}, not {expected:?}")]
    OtherIssuer { url: String, found: String, expected: String },
    #[error("{url} names an endpoint that cannot be used")]
    Endpoint { url: String, source: EndpointError },
}

/// Asks the two well-known places in turn; `issuer` must be byte for byte what the document says.
pub(crate) async fn discover(transport: &dyn Transport, issuer: &str) -> Result<Metadata, DiscoveryError> {
    let base = Endpoint::parse(issuer).map_err(|source| DiscoveryError::Endpoint { url: issuer.to_owned(), source })?;
    let places =
        [base.well_known_inserted("oauth-authorization-server"), base.well_known_appended("openid-configuration")];
    let [first, second] = &places;
    match fetch(transport, first, &base, issuer).await {
        // Not every authorization server publishes both, and some answer there for their neighbours.
        Err(
            DiscoveryError::Status { .. } | DiscoveryError::NotMetadata { .. } | DiscoveryError::OtherIssuer { .. },
        ) => fetch(transport, second, &base, issuer).await,
        // `jwks_uri` is optional in RFC 8414 and required by OpenID Connect.
        Ok(Metadata { jwks_uri: None }) => {
            Ok(fetch(transport, second, &base, issuer).await.unwrap_or(Metadata { jwks_uri: None }))
        }
        answer => answer,
    }
}

async fn fetch(
    transport: &dyn Transport,
    place: &Endpoint,
    base: &Endpoint,
    expected: &str,
) -> Result<Metadata, DiscoveryError> {
    let url = || place.as_str().to_owned();
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = place.to_uri().map_err(|source| DiscoveryError::Endpoint { url: url(), source })?;
    request.headers_mut().insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    let answer = transport
        .send(request, MAX_METADATA)
        .await
        .map_err(|source| DiscoveryError::Transport { url: url(), source })?;
    if answer.status() != StatusCode::OK {
        return Err(DiscoveryError::Status { url: url(), status: answer.status() });
    }
    let document: Document =
        serde_json::from_slice(answer.body()).map_err(|_| DiscoveryError::NotMetadata { url: url() })?;
    if document.issuer != expected {
        // It ends up in logs, and a stranger wrote it.
        let found = document.issuer.chars().take(200).collect();
        return Err(DiscoveryError::OtherIssuer { url: url(), found, expected: expected.to_owned() });
    }
    let jwks_uri = document
        .jwks_uri
        .map(|text| base.parse_published(&text))
        .transpose()
        .map_err(|source| DiscoveryError::Endpoint { url: url(), source })?;
    Ok(Metadata { jwks_uri })
}
