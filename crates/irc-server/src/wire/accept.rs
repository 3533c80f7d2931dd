//! Listens, and serves each connection until either side ends it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bridgehead_irc_protocol::LineBuffer;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    ident,
    outlet::{self, Closed, Inlet},
};
use crate::{
    state::client::{ClientId, Peer},
    wire::Outlet,
};

/// Bytes that are read at once.
const READ_BYTES: usize = 8 << 10;
/// How long the other side may take to notice that it is closed.
const LINGER: Duration = Duration::from_secs(1);
/// How long a handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What sockets bring.
#[derive(Debug)]
pub(crate) enum Traffic {
    /// A connection is there.
    Opened(ClientId, Box<Peer>, Outlet),
    /// A line came over it, without its end.
    Line(ClientId, Vec<u8>),
    /// The other side closed it.
    Closed(ClientId, &'static str),
}

/// Listens on one port. The connections end with it.
pub(crate) struct Acceptor {
    pub(crate) listener: TcpListener,
    /// Connections without sockets.
    pub(crate) wired: Option<mpsc::Receiver<DuplexStream>>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) ident_port: Option<u16>,
    /// The number of the last connection, shared by all ports.
    pub(crate) last_id: Arc<AtomicU64>,
    pub(crate) traffic: mpsc::Sender<Traffic>,
    /// Turns true when no more are accepted.
    pub(crate) is_stopping: watch::Receiver<bool>,
}

impl Acceptor {
    /// Accepts until it is told to stop, and then waits until those who are there have gone.
    pub(crate) async fn run(mut self) {
        let mut connections = JoinSet::new();
        let mut is_stopping = self.is_stopping.clone();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                _ = is_stopping.changed() => break,
                wire = next(&mut self.wired) => {
                    connections.spawn(self.wire(wire));
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, remote)) => {
                        connections.spawn(self.connection(stream, remote));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        while connections.join_next().await.is_some() {}
    }

    fn wire(&self, stream: DuplexStream) -> impl Future<Output = ()> + use<> {
        let connection = Connection {
            id: ClientId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1),
            remote: SocketAddr::from(([127, 0, 0, 1], 0)),
            ident_port: None,
            traffic: self.traffic.clone(),
        };
        connection.serve(stream, false, None, None)
    }

    fn connection(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> impl Future<Output = ()> + use<> {
        let connection = Connection {
            id: ClientId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1),
            remote,
            ident_port: self.ident_port,
            traffic: self.traffic.clone(),
        };
        let tls = self.tls.clone();
        async move {
            stream.set_nodelay(true).ok();
            match tls {
                None => connection.serve_plain(stream).await,
                Some(tls) => connection.serve_tls(stream, tls).await,
            }
        }
    }
}

/// The next connection without a socket; never, where none can come.
async fn next(wired: &mut Option<mpsc::Receiver<DuplexStream>>) -> DuplexStream {
    match wired {
        Some(wires) => match wires.recv().await {
            Some(wire) => wire,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

struct Connection {
    id: ClientId,
    remote: SocketAddr,
    ident_port: Option<u16>,
    traffic: mpsc::Sender<Traffic>,
}

impl Connection {
    async fn serve_plain(self, stream: TcpStream) {
        let ident = self.ident(&stream).await;
        self.serve(stream, false, None, ident).await;
    }

    async fn serve_tls(self, stream: TcpStream, tls: TlsAcceptor) {
        let ident = self.ident(&stream).await;
        let handshake = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await;
        let stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                return;
            }
            Err(_) => return,
        };
        let certificates = stream.get_ref().1.peer_certificates();
        let fingerprint = certificates
            .and_then(<[_]>::first)
            .map(|certificate| hex(&Sha256::digest(certificate)));
        self.serve(stream, true, fingerprint, ident).await;
    }

    async fn ident(&self, stream: &TcpStream) -> Option<String> {
        let local = stream.local_addr().ok()?;
        ident::ask(self.ident_port?, local, self.remote).await
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite,
        is_secure: bool,
        fingerprint: Option<String>,
        ident: Option<String>,
    ) {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (outlet, inlet) = outlet::pair();
        let peer = Box::new(Peer {
            ip: self.remote.ip().to_string(),
            is_secure,
            fingerprint,
            ident,
        });
        let opened = Traffic::Opened(self.id, peer, outlet);
        if self.traffic.send(opened).await.is_ok() {
            self.carry(&mut reader, &mut writer, inlet).await;
        }
    }

    async fn carry(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        inlet: Inlet,
    ) {
        let write = inlet.run(writer);
        tokio::pin!(write);
        let closed = tokio::select! {
            closed = &mut write => closed,
            why = self.read(reader) => {
                self.traffic.send(Traffic::Closed(self.id, why)).await.ok();
                write.await;
                return;
            }
        };
        match closed {
            Closed::Abruptly => {
                self.traffic
                    .send(Traffic::Closed(self.id, "Write error"))
                    .await
                    .ok();
            }
            // What is unread when a socket is closed resets it, and the last words would be lost.
            Closed::Gently => {
                tokio::time::timeout(LINGER, drain(reader)).await.ok();
            }
        }
    }

    /// Reads lines until the other side ends, and says why.
    async fn read(&self, reader: &mut (impl AsyncRead + Unpin)) -> &'static str {
        let mut lines = LineBuffer::new();
        let mut bytes = vec![0; READ_BYTES];
        loop {
            match reader.read(&mut bytes).await {
                Ok(0) => return "Connection closed",
                Ok(count) => lines.push(&bytes[..count]),
                Err(_) => return "Read error: Connection reset by peer",
            }
            while let Some(line) = lines.next_line() {
                let line = Traffic::Line(self.id, line.to_vec());
                if self.traffic.send(line).await.is_err() {
                    return "Server shutdown";
                }
            }
        }
    }
}

async fn drain(reader: &mut (impl AsyncRead + Unpin)) {
    let mut bytes = [0; 1024];
    while reader.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
