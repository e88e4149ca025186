//! Certificates as they were configured → what the client makes TLS of, and a crypto provider for it.

use ::redis::{ClientTlsConfig, TlsCertificates};
use ::rustls::{
    RootCertStore,
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use super::RedisConfigError;

/// Whose certificates are trusted instead of the system's, and which one is ours. In PEM, checked.
#[derive(Clone, Default)]
pub(super) struct Certificates {
    pub(super) roots: Option<Vec<u8>>,
    pub(super) own: Option<(Vec<u8>, Vec<u8>)>,
}

impl Certificates {
    pub(super) const fn is_empty(&self) -> bool {
        self.roots.is_none() && self.own.is_none()
    }

    pub(super) fn check(&self) -> Result<(), RedisConfigError> {
        if let Some(pem) = &self.roots {
            let mut roots = RootCertStore::empty();
            let all = certificates(pem).filter(|all| all.iter().all(|one| roots.add(one.clone()).is_ok()));
            all.ok_or(RedisConfigError::Tls("the root certificates hold none, or one that cannot be read"))?;
        }
        if let Some((certificate, key)) = &self.own {
            let chain = certificates(certificate);
            let chain = chain.ok_or(RedisConfigError::Tls("the client certificate cannot be read"))?;
            let key = PrivateKeyDer::from_pem_slice(key);
            let key = key.map_err(|_| RedisConfigError::Tls("the client's key cannot be read"))?;
            CertifiedKey::from_der(chain, key, &crypto::aws_lc_rs::default_provider())
                .map_err(|_| RedisConfigError::Tls("the client certificate is not that of its key"))?;
        }
        Ok(())
    }

    pub(super) fn told(&self) -> TlsCertificates {
        let own = self.own.clone().map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        TlsCertificates { client_tls: own, root_cert: self.roots.clone() }
    }
}

/// At least one.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty())
}

/// The client makes its TLS of the process's default provider. Where there is none yet, rustls chooses by its features,
/// and panics where these do not say which (another crate turned on `ring` as well, or `custom-provider`). So ours becomes
/// the default, as it would where rustls chose; one that is installed already stays.
pub(super) fn provide_crypto() {
    if CryptoProvider::get_default().is_none() {
        // Somebody may have been faster, which is as good.
        let _ = crypto::aws_lc_rs::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_hold_none_are_refused() {
        let rows = [
            (Some(""), None),
            (Some("not PEM"), None),
            (Some("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"), None),
            (Some("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), None),
            (None, Some(("", ""))),
            (None, Some(("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no key"))),
        ];
        for (roots, own) in rows {
            let own = own.map(|(certificate, key)| (certificate.into(), key.into()));
            let certificates = Certificates { roots: roots.map(Into::into), own };
            assert!(matches!(certificates.check(), Err(RedisConfigError::Tls(_))), "{roots:?}");
        }
        assert_eq!(Certificates::default().check(), Ok(()));
    }

    #[test]
    fn there_is_a_provider_afterwards() {
        provide_crypto();
        provide_crypto();
        assert!(CryptoProvider::get_default().is_some());
    }
}
