//! Certificates that people log in with (SASL EXTERNAL): made by the bridge, signed by nobody else. Services know them by
//! their fingerprint.

use bridgehead_appservice::Secret;
use rcgen::{CertificateParams, DnType, KeyPair};
use sha2::{Digest as _, Sha256};

/// A certificate with its key.
pub(crate) struct Made {
    /// Both, as PEM.
    pub(crate) pem: Secret,
    /// What services know it by: SHA-256 of it, in hexadecimal digits.
    pub(crate) fingerprint: String,
}

/// Makes one for somebody.
///
/// # Errors
/// Why none can be made, in words for people.
pub(crate) fn make(whose: &str) -> Result<Made, String> {
    let failed = |error: rcgen::Error| format!("no certificate can be made: {error}");
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, whose);
    let certificate = params.self_signed(&key).map_err(failed)?;
    let digest = Sha256::digest(certificate.der());
    Ok(Made {
        pem: Secret::new(certificate.pem() + &key.serialize_pem()),
        fingerprint: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
