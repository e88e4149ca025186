//! A compact JWS and keys → its payload, by the path that the signature of a token takes (RFC 7515 §5.2).

use crate::{
    keys::{KeySet, KeySource},
    token::{Jws, SignatureError, TokenError},
};

/// The payload of a compact JWS, of whatever it consists, if one of `keys` signed it.
///
/// Header and signature are judged by the very code that judges those of a token, whose claims would be judged next;
/// test vectors have none.
///
/// ```
/// use portcullis::{KeySet, crypto::Algorithm, testing::{self, TestKey, TokenBuilder}};
///
/// let key = TestKey::shared(Algorithm::ES256);
/// let keys = KeySet::from_json(key.jwk().to_string().as_bytes())?;
/// let jws = TokenBuilder::new("https://idp.example", &key, Default::default()).raw_payload("not JSON");
/// assert_eq!(testing::verify_jws(&jws.build(), &keys)?, b"not JSON");
/// assert!(testing::verify_jws(&jws.tampered().build(), &keys).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Why a token of that header and signature is refused.
pub fn verify_jws(jws: &str, keys: &KeySet) -> Result<Vec<u8>, TokenError> {
    let mut room = Vec::new();
    let jws = Jws::parse(jws.as_bytes(), &mut room)?;
    jws.check_algorithm(&KeySource::set(keys.clone()).default_algorithms())?;
    jws.check_signature(keys).map_err(|error| match error {
        SignatureError::UnknownKey(_) => TokenError::UnknownKey,
        SignatureError::BadSignature => TokenError::Signature,
        SignatureError::OtherAlgorithm => TokenError::Algorithm,
        SignatureError::Token(error) => error,
    })?;
    jws.decode_payload()
}
