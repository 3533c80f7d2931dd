//! The certificate that connections are shown, read again when its files are renewed: certificates of some weeks are
//! usual, and services run for longer.

use std::{
    fs::File,
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum_server::tls_rustls::RustlsConfig;
use parking_lot::Mutex;

use super::listener::{ListenError, TlsFiles};

/// Bytes of a file at most.
const MAX_BYTES: u64 = 1 << 20;

/// Files that cannot be used are looked at again so soon: whoever renews them may be half way.
const AFTER_TROUBLE: Duration = Duration::from_secs(60);

/// A certificate in use.
pub(super) struct Certificate {
    files: TlsFiles,
    config: RustlsConfig,
    /// Tells whether the files are other ones than those in use.
    seen: Mutex<u64>,
    hasher: RandomState,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Certificate").field(&self.files).finish()
    }
}

impl Certificate {
    pub(super) async fn read(files: &TlsFiles) -> Result<Self, ListenError> {
        // The process's TLS provider; a second call finds it set already.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let told = told(files);
        let (certificate, key) = contents(files).await.map_err(told)?;
        let hasher = RandomState::new();
        let seen = Mutex::new(hasher.hash_one((&certificate, &key)));
        let config = RustlsConfig::from_pem(certificate, key).await;
        Ok(Self {
            files: files.clone(),
            config: config.map_err(told)?,
            seen,
            hasher,
        })
    }

    /// What acceptors use; it follows when the files are renewed.
    pub(super) fn in_use(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Uses the files as they are now. `false`: they are as before.
    ///
    /// # Errors
    /// They cannot be used; those from before are used on.
    pub(super) async fn renew(&self) -> Result<bool, ListenError> {
        let told = told(&self.files);
        let (certificate, key) = contents(&self.files).await.map_err(told)?;
        let seen = self.hasher.hash_one((&certificate, &key));
        if *self.seen.lock() == seen {
            return Ok(false);
        }
        let renewed = self.config.reload_from_pem(certificate, key).await;
        renewed.map_err(told)?;
        *self.seen.lock() = seen;
        tracing::info!(certificate = %self.files.certificate.display(), "the certificate is a new one");
        Ok(true)
    }

    /// Looks at the files from time to time, and never ends.
    pub(super) async fn renew_again_and_again(self: Arc<Self>, every: Duration) {
        let mut wait = every;
        loop {
            tokio::time::sleep(wait).await;
            wait = match self.renew().await {
                Ok(_) => every,
                Err(error) => {
                    tracing::error!(%error, "the certificate from before is used on");
                    every.min(AFTER_TROUBLE)
                }
            };
        }
    }
}

fn told(files: &TlsFiles) -> impl Fn(io::Error) -> ListenError + Copy {
    move |reason| ListenError::Tls {
        files: files.clone(),
        reason,
    }
}

/// The certificate and its key.
async fn contents(files: &TlsFiles) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let files = files.clone();
    let read = move || Ok((bounded(&files.certificate)?, bounded(&files.key)?));
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(io::Error::other)?
}

fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
