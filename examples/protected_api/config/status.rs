//! The variables about token status → how an issuer is asked whether its tokens still stand.

use std::time::Duration;

use portcullis::{
    Issuer,
    issuer::{ClientAuthentication, ClientCredentials},
    status::{Introspection, OpaqueTokens, StatusPolicy},
};

use super::Settings;

/// Whom to ask, and as whom. With several issuers each entry says its own: no issuer is shown the secret of another.
pub(super) const IDENTITY: [&str; 5] =
    ["INTROSPECTION_URL", "CLIENT_ID", "CLIENT_SECRET", "TOKEN_URL", "INTROSPECTION_SCOPE"];

/// How often to ask, and what counts without an answer.
pub(super) const RULES: [&str; 3] = ["INTROSPECT", "STATUS_MAX_AGE", "ON_OUTAGE"];

/// The issuer, asked about its tokens as configured; and whether it is asked about all of them.
pub(super) fn asked(issuer: Issuer, of: &Settings<'_>) -> Result<(Issuer, bool), String> {
    let Some(url) = of.get("INTROSPECTION_URL")? else {
        // Ignored, they would promise what is not kept.
        for variable in IDENTITY.into_iter().chain(RULES) {
            if of.own(variable)?.is_some() {
                return Err(format!("{} is set, and {} is not", of.name(variable), of.name("INTROSPECTION_URL")));
            }
        }
        return Ok((issuer, false));
    };
    let authentication = authentication(of)?;
    let introspection = if url != "discover" {
        Introspection::at(url, authentication)
    } else if of.get("ISSUER")?.is_some() {
        Introspection::discover(authentication)
    } else {
        return Err(of.wrong("INTROSPECTION_URL", &url, &format!("needs {}", of.name("ISSUER"))));
    };
    let (policy, asks_about_all) = policy(of)?;
    let issuer = issuer.introspection(introspection).status_policy(policy);
    if of.is_only_one_asked {
        return Ok((issuer.opaque_tokens(OpaqueTokens::default()), asks_about_all));
    }
    // An opaque token does not say whose it is, and the wrong issuer must not be shown it.
    if asks_about_all {
        Ok((issuer, true))
    } else {
        Err(of.wrong("INTROSPECT", "opaque", "with several issuers to ask: which of them could not be told"))
    }
}

/// What the introspection endpoint is shown: the client's id and secret, or a Bearer that these fetch at `TOKEN_URL`.
fn authentication(of: &Settings<'_>) -> Result<ClientAuthentication, String> {
    let needed = |variable| {
        let missing = || format!("{} is not set, and {} needs it", of.name(variable), of.name("INTROSPECTION_URL"));
        of.get(variable)?.ok_or_else(missing)
    };
    let (id, secret) = (needed("CLIENT_ID")?, needed("CLIENT_SECRET")?);
    match (of.get("TOKEN_URL")?, of.get("INTROSPECTION_SCOPE")?) {
        (None, None) => Ok(ClientAuthentication::basic(id, secret)),
        (None, Some(scope)) => Err(of.wrong("INTROSPECTION_SCOPE", &scope, &format!("needs {}", of.name("TOKEN_URL")))),
        (Some(url), scope) => {
            let credentials = ClientCredentials::at(url, ClientAuthentication::post(id, secret));
            let credentials = scope.into_iter().fold(credentials, |credentials, scope| credentials.scope(&scope));
            Ok(ClientAuthentication::client_credentials(credentials))
        }
    }
}

/// How long answers count; and whether they are asked for about JWTs too.
fn policy(of: &Settings<'_>) -> Result<(StatusPolicy, bool), String> {
    let mut policy = StatusPolicy::default();
    if let Some(text) = of.get("STATUS_MAX_AGE")? {
        let seconds = text.parse().map_err(|_| of.wrong("STATUS_MAX_AGE", &text, "is not a number of seconds"))?;
        policy = policy.max_age(Duration::from_secs(seconds));
    }
    if let Some(text) = of.get("ON_OUTAGE")? {
        policy = policy.on_outage(text.parse().map_err(|error| format!("{}={error}", of.name("ON_OUTAGE")))?);
    }
    match of.get("INTROSPECT")?.as_deref() {
        None | Some("all") => Ok((policy, true)),
        Some("opaque") => Ok((policy.only_opaque(), false)),
        Some(other) => Err(of.wrong("INTROSPECT", other, "is neither \"all\" nor \"opaque\"")),
    }
}
