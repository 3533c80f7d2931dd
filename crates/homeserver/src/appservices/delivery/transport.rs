//! How a transaction gets to a service: over HTTP, a websocket, or by being fetched.
//!
//! The delivery task knows this interface only, so a simulation can stand in for the network.

use futures_util::future::BoxFuture;

use bridgehead_admin_api::Transport as TransportKind;
use bridgehead_store::FrozenTransaction;

/// Brings transactions to one service.
pub(crate) trait Transport: Send + Sync {
    /// What operators call it.
    fn kind(&self) -> TransportKind;

    /// Brings the transaction; `Ok` means that the service has acknowledged it. Called for one
    /// transaction at a time. Must end within a bounded time, except that dropping the future ends
    /// the attempt.
    fn push<'a>(&'a self, transaction: &'a FrozenTransaction)
    -> BoxFuture<'a, Result<(), Failure>>;

    /// After a failed attempt: returns once there is a new reason to think that the service can
    /// be reached. `misled` says that the last such reason was none. Pending for ever where
    /// nothing can be seen from here.
    fn reachable_again(&self, misled: bool) -> BoxFuture<'_, ()>;
}

/// Why a transaction was not acknowledged. Displays as a sentence for people, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody could be reached: the service is not there.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("no answer within {0} ms")]
    Timeout(u64),
    /// The connection broke before an answer was complete.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The service answered, and it was no.
    #[error("the service answered {status}: {body}")]
    Refused {
        /// The HTTP status, or what stands for it.
        status: u16,
        /// The head of the body.
        body: String,
    },
}

impl Failure {
    /// The kind of failure, as metrics call it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "connect",
            Self::Timeout(_) => "timeout",
            Self::Broken(_) => "broke",
            Self::Refused {
                status: 300..=399, ..
            } => "3xx",
            Self::Refused {
                status: 400..=499, ..
            } => "4xx",
            Self::Refused { .. } => "5xx",
        }
    }

    /// What may be logged: without the service's own words, which may repeat anything.
    pub(crate) fn headline(&self) -> String {
        match self {
            Self::Refused { status, .. } => format!("the service answered {status}"),
            Self::Unreachable(_) | Self::Timeout(_) | Self::Broken(_) => self.to_string(),
        }
    }

    /// After how many such failures in a row the transaction itself is suspected, and split.
    /// `None`: it says nothing about the contents.
    pub(crate) fn suspicion(&self) -> Option<u32> {
        match self {
            // Too large: sending it again as it is cannot help.
            Self::Refused { status: 413, .. } => Some(1),
            // The service cannot make sense of the body.
            Self::Refused {
                status: 400 | 422, ..
            } => Some(2),
            Self::Timeout(_) => Some(3),
            // Tokens, paths, rate limits and proxies: nothing that another body would change.
            Self::Refused {
                status: 401..=407 | 429 | 502..=504,
                ..
            }
            | Self::Unreachable(_) => None,
            Self::Refused { .. } => Some(4),
            // A crash of the service looks like this, and so does a bad line.
            Self::Broken(_) => Some(6),
        }
    }
}
