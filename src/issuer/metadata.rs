//! An issuer's URL → an endpoint that its metadata names (RFC 8414 §3; OpenID Connect Discovery §4).

use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use super::{Endpoint, EndpointError, Transport, TransportError, endpoint::shown};

/// Real metadata documents have a few kilobytes.
const MAX_METADATA: usize = 256 * 1024;

/// An endpoint that an authorization server publishes in its metadata, as far as we use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Keys,
    Token,
    Introspection,
    #[cfg(feature = "outbound")]
    Revocation,
}

impl Published {
    /// Its name in the metadata (RFC 8414 §2).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Keys => "jwks_uri",
            Self::Token => "token_endpoint",
            Self::Introspection => "introspection_endpoint",
            #[cfg(feature = "outbound")]
            Self::Revocation => "revocation_endpoint",
        }
    }
}

/// A metadata document. What in it is wrong spoils nothing but itself.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: Option<Value>,
    token_endpoint: Option<Value>,
    introspection_endpoint: Option<Value>,
    #[cfg(feature = "outbound")]
    revocation_endpoint: Option<Value>,
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

/// Asks the two well-known places in turn for the metadata of `issuer`, which must be byte for byte what the document
/// says, and reads the one endpoint `wanted`. `None` where neither names it.
pub(crate) async fn discover(
    transport: &dyn Transport,
    issuer: &str,
    wanted: Published,
) -> Result<Option<Endpoint>, DiscoveryError> {
    let base = Endpoint::parse(issuer).map_err(|source| DiscoveryError::Endpoint { url: shown(issuer), source })?;
    let places =
        [base.well_known_inserted("oauth-authorization-server"), base.well_known_appended("openid-configuration")];
    let [first, second] = &places;
    match fetch(transport, first, &base, issuer, wanted).await {
        // Not every authorization server publishes both, and some answer there for their neighbours.
        Err(
            DiscoveryError::Status { .. } | DiscoveryError::NotMetadata { .. } | DiscoveryError::OtherIssuer { .. },
        ) => fetch(transport, second, &base, issuer, wanted).await,
        // `jwks_uri` is optional in RFC 8414 and required by OpenID Connect; other endpoints are so in neither.
        Ok(None) => Ok(fetch(transport, second, &base, issuer, wanted).await.unwrap_or(None)),
        answer => answer,
    }
}

async fn fetch(
    transport: &dyn Transport,
    place: &Endpoint,
    base: &Endpoint,
    expected: &str,
    wanted: Published,
) -> Result<Option<Endpoint>, DiscoveryError> {
    let url = || place.to_string();
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
    let found = match wanted {
        Published::Keys => document.jwks_uri,
        Published::Token => document.token_endpoint,
        Published::Introspection => document.introspection_endpoint,
        #[cfg(feature = "outbound")]
        Published::Revocation => document.revocation_endpoint,
    };
    match found {
        None => Ok(None),
        Some(Value::String(text)) => {
            base.parse_published(&text).map(Some).map_err(|source| DiscoveryError::Endpoint { url: url(), source })
        }
        Some(_) => Err(DiscoveryError::NotMetadata { url: url() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::TestIssuer;

    const IDP: &str = "https://idp.example";

    #[tokio::test]
    async fn a_bad_endpoint_spoils_nothing_but_itself() {
        let issuer = TestIssuer::in_process(IDP);
        issuer.set_metadata(json!({
            "issuer": IDP, "jwks_uri": "https://keys.example/jwks", "introspection_endpoint": "http://10.0.0.1/x",
            "token_endpoint": 7,
        }));
        let transport = issuer.transport();
        let keys = discover(&*transport, IDP, Published::Keys).await.unwrap().unwrap();
        assert_eq!(keys.as_str(), "https://keys.example/jwks");
        for bad in [Published::Introspection, Published::Token] {
            assert!(discover(&*transport, IDP, bad).await.is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn the_second_place_is_asked_for_what_the_first_does_not_name() {
        let issuer = TestIssuer::in_process(IDP);
        issuer.set_metadata(json!({ "issuer": IDP, "jwks_uri": format!("{IDP}/jwks") }));
        let transport = issuer.transport();
        assert_eq!(discover(&*transport, IDP, Published::Introspection).await.unwrap(), None);
        assert_eq!(issuer.asked().metadata, 2);
        assert!(discover(&*transport, IDP, Published::Keys).await.unwrap().is_some());
        assert_eq!(issuer.asked().metadata, 3);
    }
}
