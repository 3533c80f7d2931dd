//! Certificates for servers and clients, each signed by itself.

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A certificate with its key, also as files.
pub(crate) struct Certificate {
    /// The certificate as PEM.
    pub(crate) certificate_file: PathBuf,
    /// Its key as PEM.
    pub(crate) key_file: PathBuf,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificate {
    /// Makes one for a name, and for this machine's loopback; the files are named after it.
    pub(crate) fn make(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let names = ["localhost", "127.0.0.1", name].map(str::to_owned);
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let certificate_file = folder.join(format!("{name}.crt"));
        let key_file = folder.join(format!("{name}.key"));
        fs::write(&certificate_file, certificate.pem())?;
        fs::write(&key_file, key.serialize_pem())?;
        Ok(Self {
            certificate_file,
            key_file,
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        })
    }

    /// A client's settings that trust nobody but who has this certificate, with the client's own if it has one.
    pub(crate) fn trusted(&self, own: Option<&Self>) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.key.clone()));
                config.with_client_auth_cert(vec![own.certificate.clone()], key)?
            }
        };
        Ok(Arc::new(config))
    }
}
