//! A connection of the bridge's that lags: what the server says on it comes later than it comes to the others.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bridgehead_irc::link::dial::Stream;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::within::Between;

/// Whose connection may lag, and whether it does.
pub(crate) struct Lag {
    nick: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_on: bool,
    waits: Option<Waker>,
}

impl Lag {
    /// The connection that asks for this nick.
    pub(crate) fn of(nick: &'static str) -> Self {
        Self {
            nick,
            state: Arc::default(),
        }
    }

    /// What stands between the bridge and each of its connections.
    pub(crate) fn between(&self) -> Between {
        let (nick, state) = (self.nick, self.state.clone());
        Arc::new(move |inner| {
            Box::new(Lagging {
                inner,
                nick,
                state: state.clone(),
                is_it: false,
            })
        })
    }

    /// From now on it reads nothing, or all that has come meanwhile.
    pub(crate) fn is(&self, is_on: bool) {
        let mut state = self.state.lock();
        state.is_on = is_on;
        if let Some(waits) = state.waits.take_if(|_| !is_on) {
            waits.wake();
        }
    }
}

/// A connection that reads nothing while it lags.
struct Lagging {
    inner: Box<dyn Stream>,
    nick: &'static str,
    state: Arc<Mutex<State>>,
    /// It is the one that may.
    is_it: bool,
}

impl AsyncRead for Lagging {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_it {
            let mut state = self.state.lock();
            if state.is_on {
                state.waits = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Lagging {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let text = String::from_utf8_lossy(bytes);
        self.is_it |= text.contains(&format!("NICK {}", self.nick));
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
