//! What a connection may cost before it has said what it wants: a bounded number of them, and a bounded time each.
//!
//! The HTTP library bounds the reading of a request's head, but only once it knows which HTTP is spoken; a peer that
//! says nothing, or stops within HTTP/2's greeting, would be kept for ever.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};

/// Bytes after which it is known which HTTP is spoken: the length of HTTP/2's greeting (RFC 9113, section 3.4). No
/// request that shows a token is shorter.
const GREETING: usize = 24;

/// Accepts as the inner acceptor does, a bounded number at a time, and ends connections that stay silent.
#[derive(Clone)]
pub(super) struct Guard<A> {
    /// The transport: TCP, TLS over it, a unix socket.
    pub(super) inner: A,
    pub(super) places: Arc<Semaphore>,
    /// For the handshake, if there is one, and for the first words again.
    pub(super) patience: Duration,
}

impl<A, I, S> Accept<I, S> for Guard<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Guarded<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let place = self.places.clone().try_acquire_owned();
        let accepted = self.inner.accept(stream, service);
        let patience = self.patience;
        async move {
            let place = place.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            let (stream, service) = tokio::time::timeout(patience, accepted).await??;
            Ok((Guarded::new(stream, patience, place), service))
        }
        .boxed()
    }
}

/// A stream on which something must be said before a deadline.
pub(super) struct Guarded<S> {
    stream: S,
    /// `None` once enough was said.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes that have come before that.
    heard: usize,
    _place: OwnedSemaphorePermit,
}

impl<S> Guarded<S> {
    fn new(stream: S, patience: Duration, place: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            deadline: Some(Box::pin(tokio::time::sleep(patience))),
            heard: 0,
            _place: place,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
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
                self.heard += buffer.filled().len() - before;
                if self.heard >= GREETING {
                    self.deadline = None;
                }
                Poll::Ready(result)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
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
