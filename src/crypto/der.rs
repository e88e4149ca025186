//! PEM or DER text of a key → its DER in a known shape (RFC 5280 §4.1, RFC 5208, RFC 8017 §A.1, RFC 7468).

use super::KeyError;

/// `rsaEncryption` with NULL parameters, as an AlgorithmIdentifier.
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// The key of a PEM text that holds exactly one public key.
pub(super) fn from_pem(text: &[u8]) -> Result<Vec<u8>, KeyError> {
    let blocks = pem::parse_many(text).map_err(|_| KeyError::Malformed("not PEM text"))?;
    let [block] = blocks.as_slice() else {
        return Err(KeyError::Malformed("a PEM text must hold exactly one key"));
    };
    match block.tag() {
        "PUBLIC KEY" => Ok(block.contents().to_vec()),
        "RSA PUBLIC KEY" => Ok(spki_of_pkcs1(block.contents())),
        tag if tag.contains("PRIVATE KEY") => Err(KeyError::PrivateKey),
        _ => Err(KeyError::Malformed("the PEM block is not a PUBLIC KEY")),
    }
}

/// A private key in DER, by its shape.
pub(super) enum PrivateDer {
    Pkcs8(Vec<u8>),
    /// PKCS#1.
    Rsa(Vec<u8>),
    /// SEC 1.
    EllipticCurve(Vec<u8>),
}

/// The key of a PEM text that holds exactly one private key, not encrypted.
pub(super) fn private_from_pem(text: &[u8]) -> Result<PrivateDer, KeyError> {
    let mut blocks = pem::parse_many(text).map_err(|_| KeyError::Malformed("not PEM text"))?;
    // `openssl ecparam -genkey` names the curve above the key, which names it too.
    blocks.retain(|block| block.tag() != "EC PARAMETERS");
    let [block] = blocks.as_slice() else {
        return Err(KeyError::Malformed("a PEM text must hold exactly one key"));
    };
    let der = block.contents().to_vec();
    match block.tag() {
        "PRIVATE KEY" => Ok(PrivateDer::Pkcs8(der)),
        "RSA PRIVATE KEY" => Ok(PrivateDer::Rsa(der)),
        "EC PRIVATE KEY" => Ok(PrivateDer::EllipticCurve(der)),
        "ENCRYPTED PRIVATE KEY" => Err(KeyError::Malformed("the private key is encrypted")),
        _ => Err(KeyError::Malformed("the PEM block is not a PRIVATE KEY")),
    }
}

/// Wraps a PKCS#1 RSAPublicKey; `der` is not judged here.
pub(super) fn spki_of_pkcs1(der: &[u8]) -> Vec<u8> {
    let mut bits = vec![0x00];
    bits.extend_from_slice(der);
    let mut body = RSA_ENCRYPTION.to_vec();
    push_tlv(&mut body, 0x03, &bits);
    let mut spki = Vec::new();
    push_tlv(&mut spki, 0x30, &body);
    spki
}

/// Whether these bytes have the shape of a public key or a certificate: one SEQUENCE, which opens with another, or as
/// PKCS#1 does with a long INTEGER. A random secret of 32 bytes has it once in 2^24.
pub(super) fn is_public_key(bytes: &[u8]) -> bool {
    let body = match bytes {
        [0x30, length, body @ ..] if *length < 0x80 && usize::from(*length) == body.len() => body,
        [0x30, 0x81, length, body @ ..] if usize::from(*length) == body.len() => body,
        [0x30, 0x82, high, low, body @ ..] if usize::from(u16::from_be_bytes([*high, *low])) == body.len() => body,
        _ => return false,
    };
    matches!(body, [0x30, ..] | [0x02, 0x81 | 0x82, ..])
}

fn push_tlv(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    let length = value.len().to_be_bytes();
    let significant = length.iter().position(|&byte| byte != 0).map_or(&length[length.len() - 1..], |at| &length[at..]);
    match significant {
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::is_public_key;

    #[test]
    fn public_keys_are_told_from_random_bytes_threat_1() {
        let key = |header: &[u8], length: usize| [header, &[0x30], &vec![0; length - 1]].concat();
        for (header, length) in [(&[0x30, 42][..], 42), (&[0x30, 0x81, 155], 155), (&[0x30, 0x82, 1, 0x22], 0x122)] {
            assert!(is_public_key(&key(header, length)), "{header:x?}");
            assert!(!is_public_key(&key(header, length + 1)), "{header:x?}");
        }
        for secret in [&[][..], &[0x30], &[0x30, 0], &[0x30; 32], &[0x30, 0x82], &[0x30, 3, 0x02, 1, 0]] {
            assert!(!is_public_key(secret), "{secret:x?}");
        }
    }
}
