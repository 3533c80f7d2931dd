//! How connections are encrypted, and what servers and people have to prove.

use std::{fmt, io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsConnector;

/// Why there is no encryption. Displays as what an operator is to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file holds no certificate, or no key.
    #[error("{path} cannot be used: {reason}; it has to hold PEM")]
    File {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// What was stored for somebody is no certificate.
    #[error("the stored certificate cannot be used: {0}")]
    Stored(String),
    /// The certificates of the system, or the client's own, cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Whether servers have to prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// Their certificate has to be good for the name that they are reached by.
    #[default]
    Full,
    /// Any certificate will do.
    None,
}

/// What a connection's encryption is made of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trust {
    /// Whether servers prove who they are.
    pub verify: Verify,
    /// Authorities in the place of the system's.
    pub authorities: Option<Pem>,
    /// The connection's own certificate and key.
    pub certificate: Option<Pem>,
}

/// Certificates or keys, as PEM.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pem {
    text: String,
    /// The file that it was read from.
    path: Option<String>,
}

impl Pem {
    /// What a file holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self, TlsError> {
        let read = std::fs::read_to_string(path);
        let path = path.display().to_string();
        match read {
            Ok(text) => Ok(Self {
                text,
                path: Some(path),
            }),
            Err(error) => Err(TlsError::File {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// What somebody has stored.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            path: None,
        }
    }

    fn unusable(&self, reason: impl ToString) -> TlsError {
        match self.path.clone() {
            Some(path) => TlsError::File {
                path,
                reason: reason.to_string(),
            },
            None => TlsError::Stored(reason.to_string()),
        }
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(self.text.as_bytes()).collect();
        let chain = chain.map_err(|error| self.unusable(error))?;
        match chain.is_empty() {
            true => Err(self.unusable("there is no certificate in it")),
            false => Ok(chain),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(self.text.as_bytes()).map_err(|error| self.unusable(error))
    }
}

impl fmt::Debug for Pem {
    /// Without the text: there are keys in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pem").field(&self.path).finish()
    }
}

/// What connections of this trust are encrypted with.
///
/// # Errors
/// When a file cannot be used.
pub fn connector(trust: &Trust) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = match (trust.verify, &trust.authorities) {
        (Verify::None, _) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider))),
        (Verify::Full, Some(pem)) => builder.with_root_certificates(authorities(pem)?),
        (Verify::Full, None) => builder.with_platform_verifier()?,
    };
    let config = match &trust.certificate {
        Some(own) => builder.with_client_auth_cert(own.chain()?, own.key()?)?,
        None => builder.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Why a server is not believed, with the key that an operator has to set; other errors as they are.
pub(crate) fn explained(error: io::Error, host: &str) -> io::Error {
    let rustls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let words = rustls.and_then(|rustls| words(rustls, host));
    match words {
        Some(words) => io::Error::new(error.kind(), words),
        None => error,
    }
}

/// What is to be told of a server that does not speak TLS.
pub(crate) fn no_tls(host: &str, why: impl fmt::Display) -> String {
    format!(
        "{host} does not answer with TLS at this port ({why}): name a port for TLS in the network's `servers`, such as 6697, \
         or set its `tls` to false"
    )
}

fn words(error: &rustls::Error, host: &str) -> Option<String> {
    let rustls::Error::InvalidCertificate(mistake) = error else {
        let is_plain = matches!(error, rustls::Error::InvalidMessage(_));
        return is_plain.then(|| no_tls(host, error));
    };
    Some(match mistake {
        CertificateError::UnknownIssuer => format!(
            "nobody whom this machine trusts vouches for the certificate of {host}: name the certificate of its authority \
             (PEM) in the network's `tls_ca`"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "the certificate is for another name than {host} ({mistake}): name the server in the network's `servers` as \
                 its certificate does"
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
            "the certificate of {host} has expired ({mistake}): its operators have to renew it; until then, name another \
             server in the network's `servers`"
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!(
                "the certificate of {host} is not valid yet ({mistake}): look at this machine's clock"
            )
        }
        _ => format!(
            "the certificate of {host} cannot be believed ({mistake}): its operators have to replace it, or name its \
             authority (PEM) in the network's `tls_ca`"
        ),
    })
}

fn authorities(pem: &Pem) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in pem.chain()? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// Takes any server for the one that is meant; that the other side holds the key of its certificate is still proven.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
