//! A token, and what is wanted for it → the form of a token exchange (RFC 8693 §2.1).

use std::fmt;

use crate::issuer::{ExtraParameters, Form, is_scope};

use super::TokenEndpointError;

/// Kinds of tokens (RFC 8693 §3).
pub mod token_types {
    /// An access token of the same authorization server.
    pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    /// A refresh token of the same authorization server.
    pub const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
    /// An ID token (OpenID Connect Core §2).
    pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
    /// A JWT, of whomever.
    pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
    /// A base64url-encoded SAML 1.1 assertion.
    pub const SAML1: &str = "urn:ietf:params:oauth:token-type:saml1";
    /// A base64url-encoded SAML 2.0 assertion.
    pub const SAML2: &str = "urn:ietf:params:oauth:token-type:saml2";
}

/// A request to exchange a token for another (RFC 8693): the token that a caller showed for one that is narrower, or is
/// meant for the service behind.
///
/// ```
/// use portcullis::outbound::{TokenExchange, token_types};
///
/// let exchange = TokenExchange::new("the caller's token", token_types::ACCESS_TOKEN)
///     .audience("https://billing.example.com")
///     .scope("invoices:read");
/// ```
#[derive(Clone)]
#[must_use = "nothing is exchanged until a client is asked to"]
pub struct TokenExchange {
    subject: Token,
    actor: Option<Token>,
    resources: Vec<String>,
    audiences: Vec<String>,
    scope: Option<String>,
    requested_token_type: Option<String>,
    extra: ExtraParameters,
}

#[derive(Clone)]
struct Token {
    text: String,
    kind: String,
}

impl TokenExchange {
    /// For this token, which says on whose behalf, of this kind: one of [`token_types`], or another URI.
    pub fn new(subject_token: impl Into<String>, subject_token_type: impl Into<String>) -> Self {
        Self {
            subject: Token { text: subject_token.into(), kind: subject_token_type.into() },
            actor: None,
            resources: Vec::new(),
            audiences: Vec::new(),
            scope: None,
            requested_token_type: None,
            extra: ExtraParameters::default(),
        }
    }

    /// Who acts on that behalf, by a token of theirs and its kind; without it, whoever the client is.
    pub fn actor(mut self, actor_token: impl Into<String>, actor_token_type: impl Into<String>) -> Self {
        self.actor = Some(Token { text: actor_token.into(), kind: actor_token_type.into() });
        self
    }

    /// What the new token is to be used at, an absolute URI; may be said several times.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// The same by the name that the server knows it by; may be said several times.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// The scope of the new token, or several with a space between them. Without it, the server decides.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// The kind of token that is wanted. Without it, the server decides.
    pub fn requested_token_type(mut self, kind: impl Into<String>) -> Self {
        self.requested_token_type = Some(kind.into());
        self
    }

    /// Sends a parameter more, where the server wants one.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.push(name.into(), value.into());
        self
    }

    pub(super) fn asked_scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    pub(super) fn form(&self) -> Result<Form, TokenEndpointError> {
        const OWN: [&str; 9] = [
            "grant_type",
            "subject_token",
            "subject_token_type",
            "actor_token",
            "actor_token_type",
            "resource",
            "audience",
            "scope",
            "requested_token_type",
        ];
        if let Some(name) = self.extra.misused(&OWN) {
            return Err(TokenEndpointError::Parameter(name.to_owned()));
        }
        let mut form = Form::default();
        form.push("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
        form.push("subject_token", self.subject.text.as_str());
        form.push("subject_token_type", self.subject.kind.as_str());
        if let Some(actor) = &self.actor {
            form.push("actor_token", actor.text.as_str());
            form.push("actor_token_type", actor.kind.as_str());
        }
        for resource in &self.resources {
            form.push("resource", resource.as_str());
        }
        for audience in &self.audiences {
            form.push("audience", audience.as_str());
        }
        push_scope(&mut form, self.asked_scope())?;
        if let Some(kind) = &self.requested_token_type {
            form.push("requested_token_type", kind.as_str());
        }
        self.extra.add_to(&mut form);
        Ok(form)
    }
}

/// Adds the scope to ask for, if any.
pub(super) fn push_scope(form: &mut Form, scope: Option<&str>) -> Result<(), TokenEndpointError> {
    match scope {
        None => {}
        Some(scope) if is_scope(scope) => form.push("scope", scope),
        Some(other) => return Err(TokenEndpointError::Scope(other.to_owned())),
    }
    Ok(())
}

impl fmt::Debug for TokenExchange {
    /// Neither the tokens nor the values of extra parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchange")
            .field("subject_token_type", &self.subject.kind)
            .field("actor_token_type", &self.actor.as_ref().map(|actor| &actor.kind))
            .field("resources", &self.resources)
            .field("audiences", &self.audiences)
            .field("scope", &self.scope)
            .field("requested_token_type", &self.requested_token_type)
            .field("extra", &self.extra)
            .finish()
    }
}
