//! Key material → [`PreparedKey`]: parsed, checked and bound to one algorithm, once (RFC 7518 §3, §6).

use std::fmt;

use aws_lc_rs::{
    hmac,
    rsa::{PublicEncryptingKey, PublicKeyComponents},
    signature::{self, ParsedPublicKey, RsaParameters, VerificationAlgorithm},
};

use super::{Algorithm, KeyKind, der};

/// RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used".
const MIN_RSA_BITS: usize = 2048;
/// A larger modulus buys nothing and costs every request.
const MAX_RSA_BITS: usize = 8192;

/// Why key material was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are not such a key.
    #[error("malformed key: {0}")]
    Malformed(&'static str),
    /// The key is of another type than the algorithm works with.
    #[error("a key of this type cannot be used with {0}")]
    WrongType(Algorithm),
    /// An RSA modulus outside 2048 to 8192 bits.
    #[error("an RSA key of {0} bits; 2048 to 8192 are accepted")]
    RsaSize(usize),
    /// An HMAC secret shorter than its hash (RFC 7518 §3.2).
    #[error("a secret of {actual} bytes; {algorithm} needs at least {needed}")]
    ShortSecret {
        /// The algorithm the secret was meant for.
        algorithm: Algorithm,
        /// How many bytes it needs.
        needed: usize,
        /// How many there are.
        actual: usize,
    },
    /// An HMAC secret that is the text of a key: anybody may know it.
    #[error("a secret that is the text of a public key or certificate")]
    SecretIsKeyText,
    /// A private key where a public one belongs.
    #[error("a private key where a public one belongs")]
    PrivateKey,
    /// The JWK says that it is not for verifying signatures.
    #[error("not a signature verification key: its `{0}` says otherwise")]
    NotForVerification(&'static str),
    /// A `kty`, `crv` or `alg` this crate does not verify with.
    #[error("unsupported `{0}`")]
    Unsupported(&'static str),
    /// The key's algorithm is not on the issuer's list.
    #[error("{0} is not an allowed algorithm")]
    NotAllowed(Algorithm),
    /// A symmetric key in a published set (anyone who reads the set could sign).
    #[error("a symmetric key in a key set")]
    SymmetricInSet,
}

/// The signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadSignature;

/// A NIST curve of RFC 7518 §6.2.1.1, each with its one algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::ES256,
            Self::P384 => Algorithm::ES384,
            Self::P521 => Algorithm::ES512,
        }
    }

    const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// A verification key, ready to use with its one algorithm.
pub(crate) struct PreparedKey {
    algorithm: Algorithm,
    verifier: Verifier,
}

enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl PreparedKey {
    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's over `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match &self.verifier {
            Verifier::Public(key) => key.verify_sig(message, signature).map_err(|_| BadSignature),
            Verifier::Secret(key) => hmac::verify(key, message, signature).map_err(|_| BadSignature),
        }
    }

    /// An RSA key from its big-endian modulus and exponent.
    pub(crate) fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let parameters = rsa_parameters(algorithm).ok_or(KeyError::WrongType(algorithm))?;
        let n = without_leading_zeros(n);
        check_rsa_bits(n.first().map_or(0, |first| n.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0)))?;
        let e = without_leading_zeros(e);
        check_rsa_exponent(e)?;
        let key = PublicKeyComponents { n, e }
            .to_parsed_public_key(parameters)
            .map_err(|_| KeyError::Malformed("not an RSA public key"))?;
        Ok(Self { algorithm, verifier: Verifier::Public(key) })
    }

    /// A key on a NIST curve from its affine coordinates, each of the curve's full length (RFC 7518 §6.2.1.2).
    pub(crate) fn elliptic_curve(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let length = curve.coordinate_len();
        if x.len() != length || y.len() != length {
            return Err(KeyError::Malformed("a coordinate of the wrong length"));
        }
        let point = [&[0x04], x, y].concat();
        Self::public(curve.algorithm(), &point)
    }

    /// An Ed25519 key from its 32 bytes (RFC 8037 §2).
    pub(crate) fn ed25519(x: &[u8]) -> Result<Self, KeyError> {
        if x.len() != 32 {
            return Err(KeyError::Malformed("an Ed25519 key has 32 bytes"));
        }
        Self::public(Algorithm::Ed25519, x)
    }

    /// A key from a bare uncompressed point, or the 32 bytes of Ed25519.
    pub(crate) fn from_raw_point(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        let length = match algorithm {
            Algorithm::ES256 => 65,
            Algorithm::ES384 => 97,
            Algorithm::ES512 => 133,
            Algorithm::Ed25519 => 32,
            other => return Err(KeyError::WrongType(other)),
        };
        if bytes.len() != length {
            return Err(KeyError::Malformed("a point of the wrong length"));
        }
        Self::public(algorithm, bytes)
    }

    /// A key from PEM text: `PUBLIC KEY` or `RSA PUBLIC KEY`.
    pub(crate) fn from_pem(algorithm: Algorithm, text: &[u8]) -> Result<Self, KeyError> {
        Self::from_spki(algorithm, &der::from_pem(text)?)
    }

    /// A key from DER: a SubjectPublicKeyInfo, or for RSA also the bare PKCS#1 RSAPublicKey.
    pub(crate) fn from_der(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        match Self::from_spki(algorithm, bytes) {
            Err(KeyError::Malformed(_)) if algorithm.key_kind() == KeyKind::Rsa => {
                Self::from_spki(algorithm, &der::spki_of_pkcs1(bytes))
            }
            other => other,
        }
    }

    /// A shared secret, at least as long as the hash (RFC 7518 §3.2).
    pub(crate) fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let (hash, needed) = match algorithm {
            Algorithm::HS256 => (hmac::HMAC_SHA256, 32),
            Algorithm::HS384 => (hmac::HMAC_SHA384, 48),
            Algorithm::HS512 => (hmac::HMAC_SHA512, 64),
            other => return Err(KeyError::WrongType(other)),
        };
        if secret.len() < needed {
            return Err(KeyError::ShortSecret { algorithm, needed, actual: secret.len() });
        }
        if is_key_text(secret) {
            return Err(KeyError::SecretIsKeyText);
        }
        Ok(Self { algorithm, verifier: Verifier::Secret(Box::new(hmac::Key::new(hash, secret))) })
    }

    fn from_spki(algorithm: Algorithm, spki: &[u8]) -> Result<Self, KeyError> {
        // A SubjectPublicKeyInfo is a SEQUENCE; raw points and raw Ed25519 bytes are not accepted here.
        if spki.first() != Some(&0x30) {
            return Err(KeyError::Malformed("not a DER public key"));
        }
        if algorithm.key_kind() == KeyKind::Rsa {
            let key = PublicEncryptingKey::from_der(spki)
                .map_err(|_| KeyError::Malformed("not an RSA public key of at least 2048 bits"))?;
            check_rsa_bits(key.key_size_bits())?;
        }
        Self::public(algorithm, spki)
    }

    fn public(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        let verifier = verification_algorithm(algorithm).ok_or(KeyError::WrongType(algorithm))?;
        let key = ParsedPublicKey::new(verifier, bytes)
            .map_err(|_| KeyError::Malformed("not a public key for this algorithm"))?;
        Ok(Self { algorithm, verifier: Verifier::Public(key) })
    }
}

impl fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreparedKey({})", self.algorithm)
    }
}

fn check_rsa_bits(bits: usize) -> Result<(), KeyError> {
    if (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) { Ok(()) } else { Err(KeyError::RsaSize(bits)) }
}

/// RFC 8017 §3.1: odd and at least 3. With 1, everybody could sign.
fn check_rsa_exponent(e: &[u8]) -> Result<(), KeyError> {
    let is_odd = e.last().is_some_and(|last| last % 2 == 1);
    if is_odd && e != [1] { Ok(()) } else { Err(KeyError::Malformed("not an RSA exponent")) }
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

fn is_key_text(secret: &[u8]) -> bool {
    let text = secret.trim_ascii();
    let contains = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    let is_jwk = text.starts_with(b"{") && contains(b"\"kty\"");
    // Some servers publish the body of a PEM text alone; some tools write attributes above it.
    let is_pem_body = base64_simd::forgiving_decode_to_vec(text).is_ok_and(|bytes| der::is_public_key(&bytes));
    let is_ssh = text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-");
    is_jwk || is_pem_body || is_ssh || contains(b"-----BEGIN ") || der::is_public_key(secret)
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn verification_algorithm(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::ES512 => &signature::ECDSA_P521_SHA512_FIXED,
        Algorithm::Ed25519 => &signature::ED25519,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => return None,
        rsa => rsa_parameters(rsa)?,
    })
}
