//! The server as its owner has it.
//!
//! - `look` what is in it
//! - `act` what services and operators do

mod act;
mod look;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    io::DuplexStream,
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Clock, Dialect, Faults, NoPerson, Person,
    actor::{self, Call, MAX_CALLS, MAX_TRAFFIC},
    ear::Ear,
    state::State,
    wire::{Acceptor, Traffic},
};

/// How long connections may take to read that the server stops.
const STOP: Duration = Duration::from_secs(2);

/// Bytes that wait in a connection without a socket, each way.
const WIRE_BYTES: usize = 64 << 10;
/// Connections without a socket that may be asked for at once.
const MAX_WIRES: usize = 1024;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or there is none left.
    #[error("127.0.0.1:{port} cannot be listened on")]
    Listen {
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
}

/// A server that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    calls: mpsc::Sender<Call>,
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    clock: Clock,
    is_stopping: watch::Sender<bool>,
    wires: mpsc::Sender<DuplexStream>,
    acceptors: Vec<JoinHandle<()>>,
    actor: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in self.acceptors.iter().chain([&self.actor]) {
            task.abort();
        }
    }
}

impl Server {
    /// Starts a server on 127.0.0.1.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub async fn start(dialect: Dialect) -> Result<Self, StartError> {
        let (calls, called) = mpsc::channel(MAX_CALLS);
        let (traffic, came) = mpsc::channel(MAX_TRAFFIC);
        let (is_stopping, stops) = watch::channel(false);
        let last_id = Arc::new(AtomicU64::new(0));
        let (wires, wired) = mpsc::channel(MAX_WIRES);
        let acceptor = |listener, wired, tls| Acceptor {
            listener,
            wired,
            tls,
            ident_port: dialect.ident_port,
            last_id: last_id.clone(),
            traffic: mpsc::Sender::<Traffic>::clone(&traffic),
            is_stopping: stops.clone(),
        };
        let listener = listen(dialect.port).await?;
        let address = local(&listener, dialect.port)?;
        let mut acceptors = vec![acceptor(listener, Some(wired), None)];
        let mut tls_address = None;
        if let Some(config) = dialect.tls.clone() {
            let listener = listen(0).await?;
            tls_address = Some(local(&listener, 0)?);
            acceptors.push(acceptor(listener, None, Some(TlsAcceptor::from(config))));
        }
        let acceptors = acceptors
            .into_iter()
            .map(|acceptor| tokio::spawn(acceptor.run()));
        Ok(Self {
            calls,
            address,
            tls_address,
            clock: dialect.clock.clone(),
            is_stopping,
            wires,
            acceptors: acceptors.collect(),
            actor: tokio::spawn(actor::run(State::new(dialect), called, came)),
        })
    }

    /// Where it listens without TLS.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection without a socket, for those in the same process. It is closed at once where too many are asked for,
    /// or the server ends.
    #[must_use]
    pub fn wire(&self) -> DuplexStream {
        let (own, other) = tokio::io::duplex(WIRE_BYTES);
        // What is dropped is closed.
        self.wires.try_send(other).ok();
        own
    }

    /// Where it listens with TLS, if the dialect has it.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// What the time is for the server.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What is to go wrong.
    #[must_use]
    pub fn faults(&self) -> Faults<'_> {
        Faults { server: self }
    }

    /// Somebody in the server's memory, registered at once.
    ///
    /// # Errors
    /// Where the nick is none, or taken, or the server full.
    pub async fn person(&self, nick: &str) -> Result<Person, NoPerson> {
        let ear = Arc::new(Ear::default());
        let (wanted, hearing) = (nick.to_owned(), ear.clone());
        let opened = self.with(move |state| state.open_person(&wanted, hearing));
        let id = opened.await?;
        Ok(Person::new(self.calls.clone(), id, nick, ear))
    }

    /// Ends the server: everybody is told, and gets a moment to read it.
    pub async fn stop(mut self) {
        self.with(|state| {
            let text = "Closing link: (unknown) [Server shutdown]";
            state.knobs.refuses = Some(text.to_owned());
            let ids: Vec<_> = state.clients.keys().copied().collect();
            for id in ids {
                state.close(id, "Server shutdown", "Server shutdown");
            }
        })
        .await;
        self.is_stopping.send_replace(true);
        for acceptor in &mut self.acceptors {
            // Who has not read it by then is cut off when this is dropped.
            tokio::time::timeout(STOP, acceptor).await.ok();
        }
    }

    /// Has something done by the one who owns the state, and waits until it is.
    pub(crate) async fn with<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut State) -> R + Send + 'static,
    ) -> R {
        let done = call_actor(&self.calls, call).await;
        done.expect("the state's owner runs as long as the server")
    }
}

/// Has something done; `None` where the server has ended.
pub(crate) async fn call_actor<R: Send + 'static>(
    calls: &mpsc::Sender<Call>,
    call: impl FnOnce(&mut State) -> R + Send + 'static,
) -> Option<R> {
    let (done, is_done) = oneshot::channel();
    let call: Call = Box::new(move |state| {
        // Nobody waits for it any more where this fails.
        done.send(call(state)).ok();
    });
    calls.send(call).await.ok()?;
    is_done.await.ok()
}

async fn listen(port: u16) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.map_err(|source| StartError::Listen { port, source })
}

fn local(listener: &TcpListener, port: u16) -> Result<SocketAddr, StartError> {
    let address = listener.local_addr();
    address.map_err(|source| StartError::Listen { port, source })
}
