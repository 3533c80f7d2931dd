//! How connections are encrypted, and what servers and people have to prove.

use std::{fmt, io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject as _},
    },
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_rustls::TlsConnector;

use crate::settings::Verify;

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

/// What a connection's encryption is made of.
#[derive(Debug, Clone, Default)]
pub struct Trust<'a> {
    /// Whether servers prove who they are.
    pub verify: Verify,
    /// Authorities in the place of the system's.
    pub authorities: Option<&'a Path>,
    /// The connection's own certificate and key.
    pub certificate: Option<Own<'a>>,
}

/// A connection's own certificate and key, as PEM.
#[derive(Clone, Copy)]
pub enum Own<'a> {
    /// In a file.
    File(&'a Path),
    /// As they are.
    Pem(&'a str),
}

impl fmt::Debug for Own<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Pem(_) => f.write_str("Pem"),
        }
    }
}

/// What connections of this trust are encrypted with.
///
/// # Errors
/// When a file cannot be used.
pub fn connector(trust: &Trust<'_>) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = match (trust.verify, trust.authorities) {
        (Verify::None, _) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider))),
        (Verify::Full, Some(path)) => builder.with_root_certificates(authorities(path)?),
        (Verify::Full, None) => builder.with_platform_verifier()?,
    };
    let config = match trust.certificate {
        Some(own) => {
            let (chain, key) = match own {
                Own::File(path) => certificate(path)?,
                Own::Pem(pem) => stored(pem)?,
            };
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Why a server is not believed, with the key that an operator has to set; other errors as they are.
pub(super) fn explained(error: io::Error, host: &str) -> io::Error {
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
pub(super) fn no_tls(host: &str, why: impl fmt::Display) -> String {
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

fn unusable(path: &Path, reason: impl ToString) -> TlsError {
    TlsError::File {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, error))?;
    let chain: Vec<_> = read
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, error))?;
    match chain.is_empty() {
        true => Err(unusable(path, "there is no certificate in it")),
        false => Ok(chain),
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

type Certificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certificate(path: &Path) -> Result<Certificate, TlsError> {
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| unusable(path, error))?;
    Ok((chain(path)?, key))
}

/// What the bridge has made for somebody.
fn stored(pem: &str) -> Result<Certificate, TlsError> {
    let broken = |error: pem::Error| TlsError::Stored(error.to_string());
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(broken)?;
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
    Ok((chain.collect::<Result<_, _>>().map_err(broken)?, key))
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
