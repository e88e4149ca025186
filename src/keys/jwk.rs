//! One JWK → a prepared key, or the reason why not (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::VerificationKey;
use crate::crypto::{Algorithm, Curve, KeyError, PreparedKey, base64url};

/// What an issuer's configuration says about the keys that it publishes.
#[derive(Clone, Debug)]
pub(crate) struct JwkRules {
    /// The allowed algorithms; the first RSA one is that of RSA keys which name none.
    pub(crate) algorithms: Vec<Algorithm>,
}

impl Default for JwkRules {
    fn default() -> Self {
        Self { algorithms: Algorithm::ASYMMETRIC.to_vec() }
    }
}

/// Members of any type, so that each can be refused by name; unknown ones are ignored (RFC 7517 §4).
#[derive(Deserialize)]
struct Members {
    kty: Value,
    #[serde(default)]
    kid: Value,
    #[serde(default)]
    alg: Value,
    #[serde(default, rename = "use")]
    key_use: Value,
    #[serde(default)]
    key_ops: Value,
    #[serde(default)]
    crv: Value,
    #[serde(default)]
    n: Value,
    #[serde(default)]
    e: Value,
    #[serde(default)]
    x: Value,
    #[serde(default)]
    y: Value,
    #[serde(default)]
    d: Value,
}

impl JwkRules {
    /// Prepares a public key of a published set. `known` may hand out an equal key that is prepared already.
    pub(super) fn prepare(&self, jwk: &Value, known: &mut KnownKeys) -> Result<VerificationKey, KeyError> {
        let members = Members::deserialize(jwk).map_err(|_| KeyError::Malformed("not a JWK"))?;
        let key_id = optional_text(&members.kid, "`kid` is not a string")?;
        check_purpose(&members)?;
        // A published private key is compromised, whatever it verifies.
        if !members.d.is_null() {
            return Err(KeyError::PrivateKey);
        }
        let algorithm = self.algorithm_of(&members)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(KeyError::NotAllowed(algorithm));
        }
        let material = Material::read(&members, algorithm)?;
        let prepared = known.get_or_prepare(algorithm, material)?;
        Ok(VerificationKey::shared(key_id.map(Into::into), prepared))
    }

    /// The one algorithm of a key: what it says, else what its type implies.
    fn algorithm_of(&self, members: &Members) -> Result<Algorithm, KeyError> {
        let implied = match members.kty.as_str() {
            Some("RSA") => None,
            Some("EC") => {
                let curve = members.crv.as_str().and_then(Curve::from_name);
                Some(curve.ok_or(KeyError::Unsupported("crv"))?.algorithm())
            }
            Some("OKP") if members.crv == "Ed25519" => Some(Algorithm::Ed25519),
            Some("OKP") => return Err(KeyError::Unsupported("crv")),
            Some("oct") => return Err(KeyError::SymmetricInSet),
            _ => return Err(KeyError::Unsupported("kty")),
        };
        let stated = match optional_text(&members.alg, "`alg` is not a string")? {
            Some(name) => Some(Algorithm::from_name(name).ok_or(KeyError::Unsupported("alg"))?),
            None => None,
        };
        match (implied, stated) {
            (Some(implied), Some(stated)) if implied != stated => Err(KeyError::WrongType(stated)),
            (Some(algorithm), _) | (None, Some(algorithm)) => Ok(algorithm),
            (None, None) => {
                let rsa = self.algorithms.iter().find(|algorithm| algorithm.is_rsa());
                Ok(rsa.copied().unwrap_or(Algorithm::RS256))
            }
        }
    }
}

/// RFC 7517 §4.2, §4.3: a key that is meant for something else is not for verifying.
fn check_purpose(members: &Members) -> Result<(), KeyError> {
    match optional_text(&members.key_use, "`use` is not a string")? {
        None | Some("sig") => {}
        Some(_) => return Err(KeyError::NotForVerification("use")),
    }
    match &members.key_ops {
        Value::Null => Ok(()),
        Value::Array(operations) if operations.iter().any(|operation| operation == "verify") => Ok(()),
        _ => Err(KeyError::NotForVerification("key_ops")),
    }
}

fn optional_text<'v>(value: &'v Value, complaint: &'static str) -> Result<Option<&'v str>, KeyError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(KeyError::Malformed(complaint)),
    }
}

/// The numbers of a public key.
#[derive(PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    EllipticCurve { curve: Curve, x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
}

impl Material {
    fn read(members: &Members, algorithm: Algorithm) -> Result<Self, KeyError> {
        let bytes = |value: &Value| {
            let text = value.as_str().ok_or(KeyError::Malformed("a parameter is missing or not a string"))?;
            base64url::decode(text.as_bytes()).ok_or(KeyError::Malformed("a parameter is not base64url"))
        };
        match members.kty.as_str() {
            Some("RSA") if algorithm.is_rsa() => Ok(Self::Rsa { n: bytes(&members.n)?, e: bytes(&members.e)? }),
            Some("EC") => {
                let curve = members.crv.as_str().and_then(Curve::from_name).ok_or(KeyError::Unsupported("crv"))?;
                Ok(Self::EllipticCurve { curve, x: bytes(&members.x)?, y: bytes(&members.y)? })
            }
            Some("OKP") => Ok(Self::Ed25519 { x: bytes(&members.x)? }),
            _ => Err(KeyError::WrongType(algorithm)),
        }
    }
}

/// The keys of one set so far: some servers publish one key under dozens of names, and it is prepared once.
#[derive(Default)]
pub(super) struct KnownKeys(Vec<(Algorithm, Material, Arc<PreparedKey>)>);

impl KnownKeys {
    fn get_or_prepare(&mut self, algorithm: Algorithm, material: Material) -> Result<Arc<PreparedKey>, KeyError> {
        let known = self.0.iter().find(|(of, numbers, _)| *of == algorithm && *numbers == material);
        if let Some((_, _, prepared)) = known {
            return Ok(Arc::clone(prepared));
        }
        let prepared = Arc::new(match &material {
            Material::Rsa { n, e } => PreparedKey::rsa(algorithm, n, e)?,
            Material::EllipticCurve { curve, x, y } => PreparedKey::elliptic_curve(*curve, x, y)?,
            Material::Ed25519 { x } => PreparedKey::ed25519(x)?,
        });
        self.0.push((algorithm, material, Arc::clone(&prepared)));
        Ok(prepared)
    }
}
