//! A rejection → its `WWW-Authenticate` value (RFC 6750 §3, RFC 9110 §11.6.1, RFC 9728 §5.1).

use http::HeaderValue;
use url::Url;

use super::{Challenge, Rejection, RejectionKind};

/// What the challenges of one protected resource have in common, written out once: a refusal copies it.
#[derive(Clone, Debug)]
pub(crate) struct ProtectedResource {
    /// The resource identifier (RFC 9728 §1.2).
    pub(crate) identifier: Option<Box<str>>,
    metadata_url: Option<Box<str>>,
    /// In no order, one of each kind that has a challenge.
    prepared: Box<[Prepared]>,
}

/// The challenge of one kind.
#[derive(Clone, Debug)]
struct Prepared {
    kind: RejectionKind,
    /// For requests of which no scope is demanded.
    whole: HeaderValue,
    /// What stands before the parameter `scope`, and after it.
    around_scope: (Box<str>, Box<str>),
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
        let prepare = |kind: &RejectionKind| Prepared::new(*kind, realm, metadata_url.as_deref());
        let prepared = RejectionKind::ALL.iter().filter_map(prepare).collect();
        Some(Self { identifier: identifier.map(Into::into), metadata_url, prepared })
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

impl Prepared {
    fn new(kind: RejectionKind, realm: Option<&str>, metadata_url: Option<&str>) -> Option<Self> {
        let wire = kind.wire();
        if wire.challenge == Challenge::None {
            return None;
        }
        let mut parameters = Parameters(String::from(SCHEME));
        parameters.add("realm", realm);
        if wire.challenge == Challenge::WithError {
            parameters.add("error", Some(wire.code));
            parameters.add("error_description", Some(wire.description));
        }
        let mut start = parameters.0.clone();
        start.push_str(if start.len() == SCHEME.len() { " " } else { ", " });
        let before = parameters.0.len();
        parameters.add("resource_metadata", metadata_url);
        let end = parameters.0.get(before..).filter(|end| !end.is_empty());
        // Without parameters before it, it is set off from the scheme; after a scope, by a comma.
        let end = end.map_or_else(String::new, |end| format!(", {}", end.trim_start_matches([',', ' '])));
        // Every text in it was checked when it was configured.
        let whole = HeaderValue::try_from(parameters.0).ok()?;
        Some(Self { kind, whole, around_scope: (start.into(), end.into()) })
    }

    fn with_scopes(&self, scopes: &[Box<str>]) -> Option<HeaderValue> {
        let (start, end) = &self.around_scope;
        let of_scopes: usize = scopes.iter().map(|scope| scope.len() + 1).sum();
        // To the byte, as long as no scope has to be quoted: so that the text becomes the value without being copied.
        let mut text = String::with_capacity(start.len() + "scope=\"".len() + of_scopes + end.len());
        text.push_str(start);
        text.push_str("scope=\"");
        for (at, scope) in scopes.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { " " });
            push_quoted(&mut text, scope);
        }
        text.push('"');
        text.push_str(end);
        HeaderValue::try_from(text).ok()
    }
}

impl Rejection {
    /// The challenge that goes with this rejection, where one does.
    #[must_use]
    pub fn challenge(&self) -> Option<HeaderValue> {
        let prepared = self.resource.prepared.iter().find(|prepared| prepared.kind == self.kind)?;
        match self.requirement.as_ref().map_or(&[][..], |requirement| requirement.challenge_scopes()) {
            [] => Some(prepared.whole.clone()),
            scopes => prepared.with_scopes(scopes),
        }
    }
}

const SCHEME: &str = "Bearer";

/// `Bearer name="value", name="value"`, each value a quoted-string.
struct Parameters(String);

impl Parameters {
    fn add(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        self.0.push_str(if self.0.len() == SCHEME.len() { " " } else { ", " });
        self.0.push_str(name);
        self.0.push_str("=\"");
        push_quoted(&mut self.0, value);
        self.0.push('"');
    }
}

fn push_quoted(text: &mut String, value: &str) {
    if !value.contains(['"', '\\']) {
        return text.push_str(value);
    }
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::Requirement;

    #[test]
    fn a_challenge_has_its_parameters_in_one_order_whichever_there_are() {
        let identifier = Some("https://api.example/v1");
        let metadata = r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource/v1""#;
        let error =
            r#"error="insufficient_scope", error_description="The access token lacks a scope that is needed here""#;
        let rows = [
            (None, None, "", "Bearer".to_owned(), format!("Bearer {error}")),
            (Some("r"), None, "", r#"Bearer realm="r""#.to_owned(), format!(r#"Bearer realm="r", {error}"#)),
            (None, identifier, "", format!("Bearer {metadata}"), format!("Bearer {error}, {metadata}")),
            (None, None, "a b", r#"Bearer scope="a b""#.to_owned(), format!(r#"Bearer {error}, scope="a b""#)),
            (
                Some("r"),
                None,
                "a",
                r#"Bearer realm="r", scope="a""#.to_owned(),
                format!(r#"Bearer realm="r", {error}, scope="a""#),
            ),
            (
                None,
                identifier,
                "a",
                format!(r#"Bearer scope="a", {metadata}"#),
                format!(r#"Bearer {error}, scope="a", {metadata}"#),
            ),
            (
                Some(", "),
                identifier,
                r#"a"\ b"#,
                format!(r#"Bearer realm=", ", scope="a\"\\ b", {metadata}"#),
                format!(r#"Bearer realm=", ", {error}, scope="a\"\\ b", {metadata}"#),
            ),
        ];
        for (realm, identifier, scopes, bare, with_error) in rows {
            let resource = Arc::new(ProtectedResource::new(identifier, realm).unwrap());
            let requirement = match scopes {
                "" => Requirement::authenticated(),
                // Not compiled, so that a text which is no scope gets as far as this, too.
                scopes => Requirement::all_of(scopes.split(' ')),
            };
            let challenge = |kind| {
                let rejection =
                    Rejection::new(kind, Arc::clone(&resource)).with_requirement(&Arc::new(requirement.clone()));
                rejection.challenge().unwrap()
            };
            assert_eq!(challenge(RejectionKind::NoCredential), bare);
            assert_eq!(challenge(RejectionKind::InsufficientScope), with_error);
        }
    }

    #[test]
    fn a_scope_that_cannot_stand_in_a_header_leaves_the_challenge_out() {
        let resource = Arc::new(ProtectedResource::new(None, None).unwrap());
        let requirement = Arc::new(Requirement::scope("a\nb"));
        assert_eq!(
            Rejection::new(RejectionKind::NoCredential, resource).with_requirement(&requirement).challenge(),
            None
        );
    }

    #[test]
    fn every_kind_is_listed_once() {
        for kind in RejectionKind::ALL {
            assert_eq!(RejectionKind::ALL.iter().filter(|other| **other == kind).count(), 1, "{kind:?}");
        }
    }
}
