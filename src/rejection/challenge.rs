//! A rejection → its `WWW-Authenticate` value (RFC 6750 §3, RFC 9110 §11.6.1, RFC 9728 §5.1).

use http::HeaderValue;
use url::Url;

use super::{Challenge, Rejection};

/// What the challenges of one protected resource have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProtectedResource {
    /// The resource identifier (RFC 9728 §1.2).
    pub(crate) identifier: Option<Box<str>>,
    realm: Option<Box<str>>,
    metadata_url: Option<Box<str>>,
}

/// Where the document of RFC 9728 §3.1 stands: before the path of the resource identifier.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

impl ProtectedResource {
    /// Checks the configured words; `None` where the identifier is no absolute URL without a fragment.
    pub(crate) fn new(identifier: Option<&str>, realm: Option<&str>) -> Option<Self> {
        let metadata_url = match identifier {
            None => None,
            Some(identifier) => {
                let mut url = Url::parse(identifier).ok().filter(|url| url.has_host() && url.fragment().is_none())?;
                let path = url.path().trim_end_matches('/').to_owned();
                url.set_path(&format!("{WELL_KNOWN}{path}"));
                Some(String::from(url).into_boxed_str())
            }
        };
        Some(Self { identifier: identifier.map(Into::into), realm: realm.map(Into::into), metadata_url })
    }

    /// The path at which the metadata document is served, where the resource has an identifier.
    pub(crate) fn metadata_path(&self) -> Option<String> {
        Url::parse(self.metadata_url.as_deref()?).ok().map(|url| url.path().to_owned())
    }
}

/// Whether a realm can stand in a header.
pub(crate) fn is_realm(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

impl Rejection {
    /// The challenge that goes with this rejection, where one does.
    #[must_use]
    pub fn challenge(&self) -> Option<HeaderValue> {
        let wire = self.kind.wire();
        if wire.challenge == Challenge::None {
            return None;
        }
        let mut parameters = Parameters(String::from("Bearer"));
        parameters.add("realm", self.resource.realm.as_deref());
        if wire.challenge == Challenge::WithError {
            parameters.add("error", Some(wire.code));
            parameters.add("error_description", Some(wire.description));
        }
        if let Some(requirement) = &self.requirement {
            let scopes = requirement.challenge_scopes();
            parameters.add("scope", (!scopes.is_empty()).then(|| scopes.join(" ")).as_deref());
        }
        parameters.add("resource_metadata", self.resource.metadata_url.as_deref());
        // Every text in it was checked when it was configured.
        HeaderValue::try_from(parameters.0).ok()
    }
}

/// `Bearer name="value", name="value"`, each value a quoted-string.
struct Parameters(String);

impl Parameters {
    fn add(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        self.0.push_str(if self.0.len() == "Bearer".len() { " " } else { ", " });
        self.0.push_str(name);
        self.0.push_str("=\"");
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                self.0.push('\\');
            }
            self.0.push(character);
        }
        self.0.push('"');
    }
}
