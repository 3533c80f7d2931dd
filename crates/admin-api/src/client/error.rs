//! What may go wrong with a call, by what the caller can do.

use std::{error::Error as _, time::Duration};

use url::Url;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("no server answers at {server}: {reason}; {remedy}")]
    Unreachable {
        /// Where it was looked for.
        server: String,
        /// What happened.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The server understood, and said no.
    #[error("{error} ({errcode})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// A code for programs, such as `M_NOT_FOUND`, `M_FORBIDDEN`, `M_CONFLICT`.
        errcode: String,
        /// What is wrong and what to do, in the server's words.
        error: String,
    },
    /// What is there does not speak as the operator API does.
    #[error("{server} is not understood: {reason}")]
    Unexpected {
        /// Who.
        server: String,
        /// What is odd.
        reason: String,
    },
}

impl ClientError {
    /// Whether the token is missing rights, or none.
    pub fn is_not_allowed(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 401 | 403,
                ..
            }
        )
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    pub(super) fn unreachable(server: &Url, error: &reqwest::Error) -> Self {
        let reason = reason(error);
        let remedy = if reason.contains("certificate") {
            "the server's certificate must be one that this machine trusts for that name (SSL_CERT_FILE adds one)"
        } else if error.is_connect() {
            "start it with `bridgehead serve`, or name the address where it listens"
        } else {
            "look at the server's log, and whether this is its address"
        };
        Self::Unreachable {
            server: server.to_string(),
            reason,
            remedy,
        }
    }

    /// It did not answer in time.
    pub(super) fn silent(server: &Url, within: Duration) -> Self {
        Self::Unreachable {
            server: server.to_string(),
            reason: format!("no answer within {} seconds", within.as_secs()),
            remedy: "look at the server's log: it hangs, or something else listens there",
        }
    }

    pub(super) fn unexpected(server: &Url, reason: &str) -> Self {
        Self::Unexpected {
            server: server.to_string(),
            reason: reason.to_owned(),
        }
    }
}

/// The innermost reason, which is the one that says something: those around it only say that a
/// request failed.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut innermost = error.source();
    while let Some(source) = innermost.and_then(std::error::Error::source) {
        innermost = Some(source);
    }
    innermost.map_or_else(|| error.to_string(), ToString::to_string)
}
