//! What a server takes from outside: the time, chances, and the way to application services.
//!
//! The default is the real world. A test gives its own, so that the same server runs inside the
//! test's thread, without sockets, and does the same each time.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::clock::{Clock, SystemClock};

/// What a server takes from outside. [`Surroundings::default`] is the real world: the machine's
/// clock and randomness, sockets, threads.
#[derive(Clone)]
pub struct Surroundings {
    /// The time. With a runtime whose time stands still, a [`crate::TimerClock`].
    pub clock: Arc<dyn Clock>,
    /// Repeats room and event ids, tokens, device ids and the jitter of retries. Two lives of a
    /// server on the same data must not have the same seed: the second would hand out the tokens
    /// of the first. Salts of passwords, nonces of sealed secrets and names of unfinished files
    /// never depend on it. `None`: the operating system's randomness, which a server in the world
    /// must have.
    pub seed: Option<u64>,
    /// Carries requests to application services; `None`: HTTP over sockets.
    pub outgoing: Option<Arc<dyn Outgoing>>,
    /// All work is done by the calling task, on its thread: the database, hashing, the disk. With
    /// a runtime of one thread and paused time, time moves only when nothing is left to do. The
    /// database survives the end of the process as always, but is not waited for until it would
    /// survive a power failure.
    pub inline: bool,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            seed: None,
            outgoing: None,
            inline: false,
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The seed gives away every token.
        f.debug_struct("Surroundings")
            .field("seeded", &self.seed.is_some())
            .field("outgoing", &self.outgoing.is_some())
            .field("inline", &self.inline)
            .finish_non_exhaustive()
    }
}

/// Carries requests to application services: transactions, queries, pings, third-party look-ups.
///
/// It may be called for several requests at once, also for one service: a transaction is never
/// beside another of the same service, questions may be. A future that is dropped gives the
/// request up; what the service has done by then is done.
pub trait Outgoing: Send + Sync {
    /// Carries one request to the service's url and brings back the whole answer. Any status is an
    /// answer. The server gives up by itself when its own limit is over; it reads the first MiB of
    /// the body. An answer whose status arrived and whose body broke off is an answer with what
    /// arrived of the body.
    ///
    /// # Errors
    /// When no answer came. The text is shown to operators, so it must not hold tokens; the
    /// request's url may have one in its query.
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, OutgoingError>>;

    /// Whether somebody accepts connections at the service's `url`, without asking for anything.
    /// Called twice a second while a service that could not be connected to is waited for; a
    /// change from "no" to "yes" ends the wait.
    fn reachable<'a>(&'a self, url: &'a str) -> BoxFuture<'a, bool>;
}

/// Why a request to an application service brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// Nobody accepts connections there. The service has seen nothing.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// It took too long. The service may have done what was asked.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke before the answer came. The service may have done what was asked.
    #[error("the connection broke: {0}")]
    Broken(String),
}
