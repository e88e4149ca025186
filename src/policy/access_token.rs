//! What a handler receives: a token that passed everything.

use std::{borrow::Cow, cell::OnceCell, fmt, ops::Deref};

use serde::{
    Deserializer,
    de::{DeserializeOwned, Visitor},
    forward_to_deserialize_any,
};

use super::{Requirement, ScopeBits};
use crate::{
    status::{Active, ActiveToken},
    token::{ClaimsError, ScopeSet, VerifiedToken},
};

/// An access token that is valid, active and sufficient for the route it was presented at.
///
/// Only the policy makes one. `C` is a type of yours for the claims beyond the registered ones; by default none are
/// read. It dereferences to [`VerifiedToken`], which has the registered claims. Cloning shares the token.
///
/// ```no_run
/// # fn handler(token: portcullis::AccessToken) {
/// if token.scopes().contains("agents:write") {
///     println!("{:?} may write", token.subject());
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct AccessToken<C = ()> {
    token: ActiveToken,
    claims: C,
}

/// Why an active token is not sufficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyRefusal {
    Audience,
    Scope,
    Condition,
}

/// The same before it is handed out.
pub(crate) struct Sufficient<'t>(Active<'t>);

impl<'t> Sufficient<'t> {
    /// Checks the token against the requirement: its audience, its scopes, its predicates.
    /// `scopes` are all of its own, where they were kept as bits.
    pub(crate) fn check(
        token: Active<'t>,
        scopes: Option<ScopeBits>,
        requirement: &Requirement,
    ) -> Result<Self, PolicyRefusal> {
        // Its issuer may have left it fewer.
        let scopes = scopes.filter(|_| matches!(token, Active::AsItIs(_)));
        requirement.check(&token, scopes).map(|()| Self(token))
    }

    pub(crate) fn hand_out(self) -> AccessToken {
        AccessToken { token: self.0.into_token(), claims: () }
    }
}

impl AccessToken {
    /// The same token with its claims read as `C`. Members that `C` does not name are left out.
    ///
    /// # Errors
    /// Where the claims do not have that form.
    pub fn with_claims<C: DeserializeOwned>(self) -> Result<AccessToken<C>, ClaimsError> {
        let payload = OnceCell::new();
        let deserializer = PayloadDeserializer { token: &self.token, payload: &payload };
        let claims = C::deserialize(deserializer).map_err(ClaimsError::new)?;
        Ok(AccessToken { token: self.token, claims })
    }
}

impl<C> AccessToken<C> {
    /// The claims as the type that was asked for.
    #[must_use]
    pub const fn claims(&self) -> &C {
        &self.claims
    }

    /// The scopes it was granted.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        self.token.scopes()
    }

    /// The token without the claims.
    #[must_use]
    pub const fn as_active(&self) -> &ActiveToken {
        &self.token
    }
}

impl<C> Deref for AccessToken<C> {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.token
    }
}

impl<C> fmt::Debug for AccessToken<C> {
    /// No claim values: this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccessToken").field(&self.token).finish()
    }
}

/// Reads the payload only for a type that wants something of it: `()`, the default, costs nothing.
struct PayloadDeserializer<'t> {
    token: &'t VerifiedToken,
    payload: &'t OnceCell<Cow<'t, [u8]>>,
}

/// What a type of claims may ask for is asked of the JSON text.
macro_rules! ask_json {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            let payload = self.payload.get_or_init(|| self.token.payload());
            serde_json::Deserializer::from_slice(payload).$method($($name,)* visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for PayloadDeserializer<'de> {
    type Error = serde_json::Error;

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    ask_json! {
        deserialize_any()
        deserialize_map()
        deserialize_option()
        deserialize_newtype_struct(name: &'static str)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit_struct
        seq tuple tuple_struct identifier ignored_any
    }
}
