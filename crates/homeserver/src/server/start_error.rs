//! Why a server does not start, and what to do about it.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::appservices::{
    BeginError, RegistrarError, namespaces::CompileError, registration::RegistrationError,
};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or folder in the data folder could not be made or read.
    #[error("cannot use {}: {reason}; {}", path.display(), data_dir_remedy(reason))]
    DataDir {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// Another server (or tool) works in the data folder.
    #[error("{} is in use by another server; stop that one, or give each its own data_dir", path.display())]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// A file with a secret may be read by others than its owner.
    #[error("{} may be read by others; run: chmod 600 {}", path.display(), path.display())]
    OpenKey {
        /// The file.
        path: PathBuf,
    },
    /// The signing key is not one.
    #[error(
        "{} does not hold a signing key, which is `ed25519 <version> <64 hexadecimal digits>`; \
         restore it, or remove the file and a new key is made",
        path.display()
    )]
    BadKey {
        /// The key file.
        path: PathBuf,
    },
    /// The file with the first operator's token holds none.
    #[error(
        "{} does not hold an operator's token, which has at least 32 characters; \
         remove the file and a new one is made",
        path.display()
    )]
    BadOperatorToken {
        /// The file.
        path: PathBuf,
    },
    /// The key of the secrets at rest is not one.
    #[error(
        "{} does not hold a key, which is `xchacha20poly1305 <64 hexadecimal digits>`; restore it, \
         or remove the file: a new key is made, and registrations that came over the operator API \
         have to be added again",
        path.display()
    )]
    BadSealingKey {
        /// The key file.
        path: PathBuf,
    },
    /// Registrations were refused; all mistakes are listed.
    #[error("registrations refused:\n{}", .0.iter().map(|e| format!("  {e}")).collect::<Vec<_>>().join("\n"))]
    Registrations(Vec<RegistrationError>),
    /// The namespaces could not be compiled together.
    #[error(transparent)]
    Namespaces(#[from] CompileError),
    /// The database could not be opened.
    #[error("cannot use the database {}: {reason}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        reason: bridgehead_store::Error,
    },
    /// The database could not be written.
    #[error(transparent)]
    Store(#[from] bridgehead_store::Error),
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {reason}; {}", listen_remedy(reason))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// Certificate or key could not be used.
    #[error(
        "cannot use the TLS certificate {} with the key {}: {reason}; \
         both are PEM files, and the key is the first certificate's",
        certificate.display(), key.display()
    )]
    Tls {
        /// The file of `tls.certificate`.
        certificate: PathBuf,
        /// The file of `tls.key`.
        key: PathBuf,
        /// What is wrong.
        reason: io::Error,
    },
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

fn data_dir_remedy(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::PermissionDenied => {
            "let the server's user write there, or name another folder with --data-dir"
        }
        io::ErrorKind::StorageFull => "free some space there",
        _ => "check the folder that is the server's data_dir",
    }
}

fn listen_remedy(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there: end it, or choose another address with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: choose another with --listen, and let a reverse proxy have this one"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: 127.0.0.1 is this machine only, 0.0.0.0 all of its addresses"
        }
        _ => "choose another address with --listen",
    }
}

impl From<BeginError> for StartError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Refused(errors) => Self::Registrations(errors),
            BeginError::Other(RegistrarError::Namespaces(error)) => Self::Namespaces(error),
            BeginError::Other(RegistrarError::Store(error)) => Self::Store(error),
            BeginError::Other(other) => Self::Store(bridgehead_store::Error::Unavailable {
                reason: other.to_string(),
            }),
        }
    }
}
