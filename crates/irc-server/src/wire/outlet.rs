//! What waits to be written to a socket: in order, late where wanted, and no more than fits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
    time::Instant,
};

/// How long a connection that is closed may take to read what it was told before.
const DRAIN: Duration = Duration::from_secs(5);

/// Bytes that are written at once, give or take a line.
const WRITE_BYTES: usize = 16 << 10;

/// Where what a socket is told is put.
#[derive(Debug)]
pub(crate) struct Outlet {
    chunks: mpsc::UnboundedSender<Chunk>,
    waiting_bytes: Arc<AtomicUsize>,
    abort: oneshot::Sender<()>,
}

/// Where it is taken out again.
#[derive(Debug)]
pub(super) struct Inlet {
    chunks: mpsc::UnboundedReceiver<Chunk>,
    waiting_bytes: Arc<AtomicUsize>,
    abort: oneshot::Receiver<()>,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    at: Instant,
}

/// How a connection ended on the server's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// All that was to be said was said.
    Gently,
    /// At once, or because the other side is gone.
    Abruptly,
}

/// Both ends.
pub(super) fn pair() -> (Outlet, Inlet) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (abort, aborted) = oneshot::channel();
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let outlet = Outlet {
        chunks: sender,
        waiting_bytes: waiting_bytes.clone(),
        abort,
    };
    let inlet = Inlet {
        chunks: receiver,
        waiting_bytes,
        abort: aborted,
    };
    (outlet, inlet)
}

impl Outlet {
    /// Puts bytes in, to be written no earlier than `at`. `false` when more than `limit` bytes would wait.
    pub(crate) fn write(&self, bytes: Vec<u8>, at: Instant, limit: usize) -> bool {
        let length = bytes.len();
        let waiting = self.waiting_bytes.fetch_add(length, Ordering::Relaxed);
        if waiting + length > limit {
            self.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
            return false;
        }
        // An error means that the writer has ended: the reader tells so as well.
        self.chunks.send(Chunk { bytes, at }).ok();
        true
    }

    /// Ends the connection: after what waits, or at once.
    pub(crate) fn close(self, is_abrupt: bool) {
        if is_abrupt {
            self.abort.send(()).ok();
        }
    }
}

impl Inlet {
    /// Writes until the outlet is closed.
    pub(super) async fn run(self, writer: &mut (impl AsyncWrite + Unpin)) -> Closed {
        let Self {
            mut chunks,
            waiting_bytes,
            mut abort,
        } = self;
        let write = async {
            let mut ahead = None;
            while let Some(bytes) = next_bytes(&mut chunks, &mut ahead).await {
                let written = writer.write_all(&bytes).await;
                waiting_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
                if written.is_err() || writer.flush().await.is_err() {
                    return Closed::Abruptly;
                }
            }
            writer.shutdown().await.ok();
            Closed::Gently
        };
        tokio::pin!(write);
        tokio::select! {
            closed = &mut write => closed,
            aborted = &mut abort => match aborted {
                Ok(()) => Closed::Abruptly,
                // The outlet is gone, and what waits may still be read.
                Err(_) => tokio::time::timeout(DRAIN, write).await.unwrap_or(Closed::Abruptly),
            },
        }
    }
}

/// Waits for what is to be written next, with all that is due behind it. What is not due yet is kept ahead.
async fn next_bytes(
    chunks: &mut mpsc::UnboundedReceiver<Chunk>,
    ahead: &mut Option<Chunk>,
) -> Option<Vec<u8>> {
    let first = match ahead.take() {
        Some(chunk) => chunk,
        None => chunks.recv().await?,
    };
    if first.at > Instant::now() {
        tokio::time::sleep_until(first.at).await;
    }
    let now = Instant::now();
    let mut bytes = first.bytes;
    while bytes.len() < WRITE_BYTES {
        match chunks.try_recv() {
            Ok(next) if next.at <= now => bytes.extend_from_slice(&next.bytes),
            Ok(next) => {
                *ahead = Some(next);
                break;
            }
            Err(_) => break,
        }
    }
    Some(bytes)
}
