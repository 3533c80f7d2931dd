//! Asking a service through the websocket that it has opened.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

/// Questions that may wait for the socket; more are refused at once.
const WAITING: usize = 64;

const SILENT: u8 = 1;
const SPOKEN: u8 = 2;

/// The other end of a websocket: what may be asked of the service through it.
pub(crate) struct SocketLink {
    questions: mpsc::Sender<Question>,
    /// Whether the service answers to `http_proxy`: some speak the websocket and not this.
    proxying: AtomicU8,
}

/// A question on its way.
pub(crate) struct Question {
    /// What is wanted.
    pub(crate) command: &'static str,
    /// With what.
    pub(crate) data: Box<RawValue>,
    /// Where the answer goes; closed when nobody waits for it any more.
    pub(crate) answer: oneshot::Sender<Result<Box<RawValue>, SocketError>>,
}

/// Why a question brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SocketError {
    /// The websocket is closed.
    #[error("the websocket was closed")]
    Closed,
    /// Too many questions wait for it.
    #[error("too many questions wait for the websocket")]
    Busy,
    /// No answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The service answered with an error.
    #[error("the service answered through the websocket: {0}")]
    Refused(String),
}

impl SocketLink {
    /// The link, and where its questions come out.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(WAITING);
        let link = Self {
            questions,
            proxying: AtomicU8::new(0),
        };
        (link, asked)
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(
        &self,
        command: &'static str,
        data: Box<RawValue>,
        within: Duration,
    ) -> Result<Box<RawValue>, SocketError> {
        let (answer, answered) = oneshot::channel();
        let question = Question {
            command,
            data,
            answer,
        };
        self.questions
            .try_send(question)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => SocketError::Busy,
                mpsc::error::TrySendError::Closed(_) => SocketError::Closed,
            })?;
        match tokio::time::timeout(within, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(SocketError::Closed),
            Err(_) => Err(SocketError::Timeout(within)),
        }
    }

    /// Whether it is known that `http_proxy` is not answered here.
    pub(crate) fn is_silent(&self) -> bool {
        self.proxying.load(Ordering::Relaxed) == SILENT
    }

    /// What came of an `http_proxy`: one that was never answered is not waited for again.
    pub(crate) fn note_proxying(&self, answered: bool) {
        let now = if answered { SPOKEN } else { SILENT };
        // A service that has answered before was only slow.
        let change = |was: u8| (answered || was != SPOKEN).then_some(now);
        self.proxying
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
            .ok();
    }
}
