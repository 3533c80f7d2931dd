//! Certificates for servers and clients, each signed by itself or by an authority of the test's own.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
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

    /// A server's settings that show this certificate.
    pub(crate) fn shown(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)?;
        Ok(Arc::new(config))
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

/// Who vouches for servers.
pub(crate) struct Authority {
    /// Its own certificate as PEM.
    pub(crate) file: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Begins to vouch; its file is named after it.
    pub(crate) fn new(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let file = folder.join(format!("{name}.ca"));
        fs::write(&file, issuer.pem())?;
        Ok(Self { file, issuer })
    }

    /// A certificate for a name, good from the beginning of one year until that of another.
    pub(crate) fn vouch(
        &self,
        folder: &Path,
        name: &str,
        years: (i32, i32),
    ) -> anyhow::Result<Certificate> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let certificate_file = folder.join("shown.crt");
        let key_file = folder.join("shown.key");
        fs::write(&certificate_file, certificate.pem())?;
        fs::write(&key_file, key.serialize_pem())?;
        Ok(Certificate {
            certificate_file,
            key_file,
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        })
    }
}
