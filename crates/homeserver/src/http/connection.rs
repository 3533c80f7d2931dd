//! How long a new connection may stay silent, and what it may cost.
//!
//! hyper bounds the reading of a request's head, but only once it knows which HTTP is spoken; a
//! client that says nothing, or stops within HTTP/2's greeting, would be kept for ever.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// What an HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An HTTP/2 connection is asked for a sign of life after this, and given as long to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Requests of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 250;

/// Sets the limits of connections that speak already.
pub(crate) fn set_limits(builder: &mut Builder<TokioExecutor>, head_timeout: Duration) {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS);
}

/// Accepts as the inner acceptor does, and ends connections that stay silent.
#[derive(Clone)]
pub(crate) struct PromptAcceptor<A> {
    /// TCP, or TLS over it.
    pub(crate) inner: A,
    /// For the handshake, if there is one, and for the first words again.
    pub(crate) patience: Duration,
}

impl<A, I, S> Accept<I, S> for PromptAcceptor<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Prompt<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepted = self.inner.accept(stream, service);
        let patience = self.patience;
        Box::pin(async move {
            let (stream, service) = tokio::time::timeout(patience, accepted).await??;
            Ok((Prompt::new(stream, patience), service))
        })
    }
}

/// A stream that must say which HTTP it speaks before a deadline.
pub(crate) struct Prompt<S> {
    stream: S,
    /// `None` once the client has spoken.
    deadline: Option<Pin<Box<Sleep>>>,
    /// How much of [`PREFACE`] has come.
    greeted: usize,
}

impl<S> Prompt<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            deadline: Some(Box::pin(tokio::time::sleep(patience))),
            greeted: 0,
        }
    }

    /// Looks whether these bytes settle which HTTP is spoken.
    fn hear(&mut self, bytes: &[u8]) {
        let rest = &PREFACE[self.greeted..];
        if bytes.len() < rest.len() && rest.starts_with(bytes) {
            self.greeted += bytes.len();
        } else {
            self.deadline = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(deadline) = &mut self.deadline else {
            return polled;
        };
        match polled {
            Poll::Pending if deadline.as_mut().poll(context).is_ready() => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                self.hear(&buffer.filled()[before..]);
                Poll::Ready(result)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
