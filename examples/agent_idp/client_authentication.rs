//! Headers and form → who the client says it is, and its secret: in the form or by HTTP Basic (RFC 6749 §2.3.1).

use axum::http::{HeaderMap, header};
use base64_simd::STANDARD;
use url::form_urlencoded;

use super::{answers::Problem, form::Form};

/// A client's word on itself.
pub(crate) struct Claimed {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    /// Whether it came by HTTP Basic.
    pub(crate) by_basic: bool,
}

impl Claimed {
    /// Finds it in exactly one place.
    pub(crate) fn find(headers: &HeaderMap, form: &Form) -> Result<Self, Problem> {
        let (id, secret) = (form.filled("client_id"), form.filled("client_secret"));
        let Some((basic_id, basic_secret)) = basic(headers)? else {
            let (Some(id), Some(secret)) = (id, secret) else { return Err(Problem::InvalidClient { by_basic: false }) };
            return Ok(Self { client_id: id.to_owned(), client_secret: secret.to_owned(), by_basic: false });
        };
        // Naming oneself once more is no second authentication.
        if secret.is_some() || id.is_some_and(|id| id != basic_id) {
            return Err(Problem::request("A client must authenticate in one way only."));
        }
        Ok(Self { client_id: basic_id, client_secret: basic_secret, by_basic: true })
    }
}

/// What stands in `Authorization: Basic`; `None` where there is no such header.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::request("A client must authenticate in one way only."));
    }
    let text = value.to_str().unwrap_or_default();
    let Some((scheme, encoded)) = text.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let decoded = STANDARD.decode_to_vec(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (id, secret) = pair.ok_or(Problem::InvalidClient { by_basic: true })?;
    Ok(Some((decode(id), decode(secret))))
}

/// Both are form-encoded before they are put together.
fn decode(text: &str) -> String {
    let whole = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(whole.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}
