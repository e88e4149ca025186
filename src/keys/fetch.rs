//! One attempt: where the keys are → the keys, or that they have not changed (RFC 7517 §5, RFC 9111 §5.2).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};

use super::{KeySet, KeySetError, RefreshPolicy, jwk::JwkRules};
use crate::issuer::{DiscoveryError, Endpoint, Published, Transport, TransportError, discover};

/// Whatever the policy says, nobody is asked without pause.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Where an issuer's keys are.
#[derive(Debug)]
pub(super) enum Place {
    Url(Endpoint),
    /// The `jwks_uri` of this issuer's metadata.
    Discovery(Box<str>),
}

/// Why an attempt to read an issuer's keys failed. The keys at hand stay in use, within their bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The issuer's metadata could not be had, or cannot be used.
    #[error("no metadata")]
    Discovery(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The metadata name no `jwks_uri`.
    #[error("the issuer's metadata name no jwks_uri")]
    NoKeysPublished,
    /// No answer, or one that is too large.
    #[error("{url} could not be read")]
    Transport {
        /// Where the keys were asked for.
        url: String,
        /// What went wrong.
        source: TransportError,
    },
    /// An answer other than 200, redirects among them.
    #[error("{url} answered {status}")]
    Status {
        /// Where the keys were asked for.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// The answer is no key set, or one without a usable key.
    #[error("{url} holds no usable keys")]
    Keys {
        /// Where the keys were asked for.
        url: String,
        /// What is wrong with them.
        source: KeySetError,
    },
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The transport panicked.
    #[error("the transport panicked")]
    Panicked,
}

impl From<DiscoveryError> for FetchError {
    fn from(error: DiscoveryError) -> Self {
        Self::Discovery(error.into())
    }
}

/// What an attempt remembers for the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    endpoint: Option<(Endpoint, Duration)>,
    /// A tag says something about the document at its own address alone (RFC 9110 §8.8.3).
    etag: Option<(Endpoint, HeaderValue)>,
    body: Option<Bytes>,
    /// The set holds no usable key, and is looked at again soon.
    is_empty: bool,
}

/// An attempt's outcome.
pub(super) struct Fetched {
    /// `None` where the set is the one at hand.
    pub(super) changed: Option<KeySet>,
    pub(super) fresh_for: Duration,
}

/// Asks once, without bounding the time.
pub(super) async fn fetch(
    place: &Place,
    rules: &JwkRules,
    policy: &RefreshPolicy,
    transport: &dyn Transport,
    memory: &mut Memory,
    now: Duration,
) -> Result<Fetched, FetchError> {
    let endpoint = locate(place, policy, transport, memory, now).await?;
    // Where the keys are not found, or not in time, they may have moved: the address is looked up again.
    let located = memory.endpoint.take();
    let answer = ask(&endpoint, policy, transport, memory).await?;
    let fresh_for = fresh_for(answer.headers(), policy);
    let soon = policy.min_interval.max(SHORTEST_INTERVAL);
    if answer.status() == StatusCode::NOT_MODIFIED || memory.body.as_ref() == Some(answer.body()) {
        memory.endpoint = located;
        return Ok(Fetched { changed: None, fresh_for: if memory.is_empty { soon } else { fresh_for } });
    }
    let set =
        KeySet::read(answer.body(), rules).map_err(|source| FetchError::Keys { url: endpoint.to_string(), source })?;
    memory.endpoint = located;
    memory.etag = answer.headers().get(header::ETAG).map(|tag| (endpoint, tag.clone()));
    memory.body = Some(answer.into_body());
    memory.is_empty = set.keys().is_empty();
    Ok(Fetched { changed: Some(set), fresh_for: if memory.is_empty { soon } else { fresh_for } })
}

/// The URL of the keys; an address found by discovery is kept for the longest interval.
async fn locate(
    place: &Place,
    policy: &RefreshPolicy,
    transport: &dyn Transport,
    memory: &mut Memory,
    now: Duration,
) -> Result<Endpoint, FetchError> {
    let issuer = match (place, &memory.endpoint) {
        (Place::Url(endpoint), _) => return Ok(endpoint.clone()),
        (Place::Discovery(_), Some((endpoint, until))) if now < *until => return Ok(endpoint.clone()),
        (Place::Discovery(issuer), _) => issuer,
    };
    let jwks_uri = discover(transport, issuer, Published::Keys).await?;
    let endpoint = jwks_uri.ok_or(FetchError::NoKeysPublished)?;
    memory.endpoint = Some((endpoint.clone(), now.saturating_add(policy.max_interval)));
    Ok(endpoint)
}

async fn ask(
    endpoint: &Endpoint,
    policy: &RefreshPolicy,
    transport: &dyn Transport,
    memory: &Memory,
) -> Result<http::Response<Bytes>, FetchError> {
    let url = || endpoint.to_string();
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = endpoint.to_uri().map_err(|error| FetchError::Discovery(error.into()))?;
    let accept = HeaderValue::from_static("application/jwk-set+json, application/json");
    request.headers_mut().insert(header::ACCEPT, accept);
    if let Some((_, etag)) = memory.etag.as_ref().filter(|(of, _)| of == endpoint) {
        request.headers_mut().insert(header::IF_NONE_MATCH, etag.clone());
    }
    let answer = transport
        .send(request, policy.max_body)
        .await
        .map_err(|source| FetchError::Transport { url: url(), source })?;
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::NOT_MODIFIED if memory.body.is_some() => Ok(answer),
        status => Err(FetchError::Status { url: url(), status }),
    }
}

/// How long the answer says it is fresh, within our own bounds.
fn fresh_for(headers: &HeaderMap, policy: &RefreshPolicy) -> Duration {
    let directives = || {
        let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim)
    };
    let max_age = directives().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let seconds = value.trim_matches('"').parse().ok()?;
        name.eq_ignore_ascii_case("max-age").then_some(Duration::from_secs(seconds))
    });
    let age = headers
        .get(header::AGE)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(Duration::ZERO, Duration::from_secs);
    let fresh = match max_age {
        Some(max_age) => max_age.saturating_sub(age),
        None if directives()
            .any(|name| name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache")) =>
        {
            Duration::ZERO
        }
        None => policy.interval,
    };
    fresh.max(policy.min_interval).min(policy.max_interval).max(SHORTEST_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_word_on_freshness_counts_within_our_bounds() {
        let rows = [
            (None, None, 300),
            (Some("max-age=600"), None, 600),
            (Some("public, Max-Age=\"600\""), None, 600),
            (Some("max-age=600"), Some("100"), 500),
            (Some("max-age=600"), Some("6000"), 60),
            (Some("max-age=0"), None, 60),
            (Some("no-store"), None, 60),
            (Some("max-age=31536000"), None, 3600),
            (Some("max-age=lots"), None, 300),
            (Some("private"), None, 300),
        ];
        for (cache_control, age, seconds) in rows {
            let mut headers = HeaderMap::new();
            if let Some(value) = cache_control {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
            }
            if let Some(value) = age {
                headers.insert(header::AGE, HeaderValue::from_static(value));
            }
            let expected = Duration::from_secs(seconds);
            assert_eq!(fresh_for(&headers, &RefreshPolicy::default()), expected, "{cache_control:?} {age:?}");
        }
    }
}
